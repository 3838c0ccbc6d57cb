// Software SGX: what a processor with SGX and Linux's driver do for an enclave, done in the host
// process by the rules of the SDM. The enclave's image runs unchanged, ENCLU instructions included.
// It gives no confidentiality at all: it exists so that everything can be built, run and tested
// where there is no SGX.
//
// The functions mirror the system's own, so that host/ has one table for both: open the device,
// mmap it, ioctl it, enter through the vDSO function. Structures and request numbers are those of
// <asm/sgx.h>.
//
// Threads. Any host thread may enter an enclave; attach_thread() is called by the first entry if
// the thread did not. It takes over the thread's alternate signal stack, its ES selector (an LDT
// tag, by which code that runs with the enclave's FS and GS finds the thread) and its Syscall User
// Dispatch. The handlers of SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP and SIGSYS belong to the
// emulator from open_device() on; faults of the host's own code go to whoever had the signal
// before. Handlers of other signals that may interrupt an enclave must be set by
// emulator::sigaction().
//
// README.md in this folder tells how it works and what it does not do.
#pragma once

#include <asm/sgx.h>
#include <signal.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "sgx/arch.h"

namespace emulator {

// Nanoseconds that each event is made to last, to predict hardware. 0 adds nothing.
struct CostModel {
  std::uint32_t enter = 0;    // EENTER or ERESUME
  std::uint32_t exit = 0;     // EEXIT
  std::uint32_t aex = 0;      // an asynchronous exit
  std::uint32_t eaug = 0;     // a page added by the driver
  std::uint32_t emodpr = 0;   // a page restricted, its type changed, or removed
  std::uint32_t eadd = 0;     // a page added at build
  std::uint32_t eextend = 0;  // a page measured at build
  std::uint32_t leaf = 0;     // any other ENCLU leaf

  static constexpr CostModel off() { return {}; }
  static constexpr CostModel sgx2() {
    return {.enter = 1750,
            .exit = 1750,
            .aex = 3000,
            .eaug = 8000,
            .emodpr = 10000,
            .eadd = 2000,
            .eextend = 8000,
            .leaf = 300};
  }
};

struct Options {
  // Enter by a jump and patch ENCLU sites of the form ENCLU + 3-byte NOP (0f 01 d7 0f 1f 00) into
  // jumps. Off: every ENCLU traps; slow, and the reference.
  bool fast_path = true;
  // Fail what hardware would fail even where it is merely undefined for well-behaved software, and
  // inject legal but rare events, from `seed`: ioctls that return EAGAIN, EINTR and partial counts,
  // spurious #PFs, and those of the second of two processors that touch an absent page.
  bool strict = false;
  std::uint64_t seed = 1;
  CostModel cost = CostModel::off();
  // Ask for huge pages on big mappings.
  bool huge_pages = true;
};

// Set before open_device(); later calls change only `strict`, `seed` and `cost`.
void set_options(const Options& options);

// Counted since the process started, over all threads.
struct Statistics {
  std::uint64_t leaf[sgx::kEncluLeaves] = {};
  std::uint64_t aex = 0;
  std::uint64_t eaug = 0;
  std::uint64_t eaug_races = 0;      // touches of an absent page that came second, in strict mode
  std::uint64_t page_opens = 0;      // invisible page-table fills (one mprotect each)
  std::uint64_t traps = 0;           // ENCLU instructions that trapped
  std::uint64_t injected = 0;        // strict mode's injections
  std::uint64_t deferred_ticks = 0;  // signals that waited for a leaf to finish
};
Statistics statistics();

// As open("/dev/sgx_enclave", O_RDWR | O_CLOEXEC): a real file descriptor, or -1 and errno. ENODEV
// if this machine lacks what the emulator needs; then unavailable_reason() says what.
int open_device();
const char* unavailable_reason();

// True for a descriptor that open_device() gave and close() did not yet take.
bool is_device(int fd);
// True if any byte of [address, address+size) lies in the ELRANGE of a created enclave.
bool in_elrange(const void* address, std::size_t size);

// As the system calls. Ranges and descriptors that are not an enclave's are passed on to the
// kernel.
void* mmap(void* address, std::size_t size, int prot, int flags, int fd, off_t offset);
int munmap(void* address, std::size_t size);
int mprotect(void* address, std::size_t size, int prot);
int ioctl(int fd, unsigned long request, void* argument);
int close(int fd);

// __vdso_sgx_enter_enclave(): the kernel's semantics, user handler included, and so the kernel's
// traps for its callers:
//   * RBX, RBP and RSP come back; R12-R15 come back as the enclave leaves them, and as 0 after an
//     exception. A caller in C++ goes through assembly that saves them.
//   * An enclave that leaves with the RSP it came with must be resumed at the stack depth at which
//     it was entered.
//   * DF and AC may be set on return. Vector registers are the enclave's, or the initial state
//     after an exception.
vdso_sgx_enter_enclave_t enter_function();

// Readies the calling thread. 0, or -1 and errno. Idempotent. A thread that enters without is
// attached then, at the price of its vector registers. detach_thread() gives its resources back; it
// must not be in an enclave, nor have one interrupted.
int attach_thread();
void detach_thread();

// As sigaction(2), for signals that may arrive while the thread is in an enclave. The handler sees
// what it would on hardware: the asynchronous exit has happened, RIP is at the AEP (whose bytes are
// ENCLU), RAX=3 (ERESUME), RBX=TCS, RCX=AEP; it runs on the host stack that the thread entered from
// (SA_ONSTACK is ignored), with all signals but the emulator's six blocked; it may enter the
// enclave again on the same TCS. When it returns, the enclave continues. For the emulator's own six
// signals this sets who gets faults that are not the enclave's.
int sigaction(int signal, const struct ::sigaction* action, struct ::sigaction* old);

// For tests of restartable sequences: while `signal` is not 0, enclaves are single-stepped, and at
// each instruction in [start, start+size) `signal`'s handler (set by emulator::sigaction) is called
// once, as if the signal had come there; once per address, so that a sequence which restarts gets
// through. Needs fast_path off, and slows all enclaves; one at a time. Returns how many addresses
// the former setting had ticked.
std::size_t step_ticks(const void* start, std::size_t size, int signal);

// Whether CPUID inside the enclave raises #UD as on hardware. False where the kernel or hypervisor
// has no CPUID faulting (arch_prctl(ARCH_SET_CPUID) gives ENODEV): there CPUID runs natively, and
// only a scan of the image finds it.
bool cpuid_faulting();
// Whether `syscall` inside an enclave raises #UD as on hardware (Syscall User Dispatch is there and
// usable).
bool syscall_faulting();

}  // namespace emulator
