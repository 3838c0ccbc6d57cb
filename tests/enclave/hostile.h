// The hostile runtime: `occlum` with a runtime that does what a hostile host may do at the enclave's boundary.
//
// It is the real command and the real host/ (loader, host calls, vCPU threads), put behind a Device whose entry function
// is this program's own assembly (enter.S). So every EENTER, ERESUME, EEXIT and AEX passes here: registers are filled
// with garbage on the way in, looked at on the way out; results of host calls are replaced before the enclave sees them;
// ticks come where the test wants them.
//
// What it shall do is in the environment: HOSTILE="key=value,...", which the program in the enclave never gets to see.
//
//   seed=N            of all that is random here
//   entry=1           registers, flags, vector state, MXCSR and x87 control word are hostile at every entry
//   inspect=1         look at everything at every exit
//   fast=0|1          software SGX's fast path (default 1)
//   strict=0|1        strict mode (default 1)
//   results=PERMILLE  so many host calls in a thousand get a hostile result; data=PERMILLE: hostile data in the buffers
//   skip=PERMILLE     so many host calls are not made at all
//   only=NUMBER       of host system calls, only this one
//   numbers=MASK      of host calls, only those with this number (bit n for abi::HostCallNumber n)
//   after=N           the first N host calls are left alone
//   flip=1            a thread changes words of the shared memory all the time
//   boot=FIELD:VALUE  a start parameter is replaced
//   again=PERMILLE    phase 1 is entered once more, for no reason
//   ticks=MICROSECONDS   a thread sends ticks, so far apart at most, at random
//   step=FROM-SIZE    hex; a tick at each instruction there, repeatable; begins at the program's line "STEP BEGIN"
//   close=FROM-SIZE   hex; now and then, the memory there is made inaccessible and accessible again before phase 1 is
//                     entered: in strict mode it may then fault
//   open=1            no page ever loses all its rights in the host's page tables, whatever the enclave is told
//   report=PATH       where to write the counts
#pragma once

#include <asm/sgx.h>
#include <signal.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "abi/boot.h"

namespace hostile {

// In the order in which enter.S stores them.
struct Registers {
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
};

constexpr size_t kXsaveBytes = 4096;

// One crossing, on the host's stack; enter.S knows the offsets.
struct alignas(64) Crossing {
  uint8_t host_xstate[kXsaveBytes];  // 0
  uint8_t in_xstate[kXsaveBytes];    // 4096
  uint8_t out_xstate[kXsaveBytes];   // 8192
  Registers in;                      // 12288
  Registers out;                     // 12424
  uint64_t features;                 // 12560: what XSAVE and XRSTOR of the above cover
  sgx_enclave_run* run;              // 12568
};
static_assert(offsetof(Crossing, in) == 12288 && offsetof(Crossing, out) == 12424);
static_assert(offsetof(Crossing, features) == 12560 && sizeof(Crossing) == 12608);

struct Settings {
  uint64_t seed = 1;
  bool entry = false, inspect = false, fast = true, strict = true, flip = false, open = false;
  uint64_t results = 0, data = 0, skip = 0, again = 0, ticks = 0, after = 0, numbers = UINT64_MAX;
  long only = -1;
  std::string boot, report;
  std::vector<std::pair<uint64_t, uint64_t>> steps;
  std::pair<uint64_t, uint64_t> close{0, 0};
};
extern Settings settings;

struct Counts {
  std::atomic<uint64_t> entries{0}, exits{0}, exceptions{0}, ticks{0}, leaks{0}, replaced{0},
      corrupted{0}, skipped{0}, left_open{0}, steps{0}, rounds{0}, pointers{0}, phase_one_faults{0},
      closed_faults{0};
};
extern Counts counts;

// A word of the pattern that test programs fill their registers with.
constexpr uint32_t kPattern = 0xe7c0ffee;

uint64_t random_number();  // of the calling thread, from the seed
bool one_in_thousand(uint64_t permille);

// Prints what leaked, or was not as it must be, and counts it.
void complain(const char* where, const char* what, uint64_t value = 0);

// inspect.cpp
void prepare_inspection();  // once, while CPUID is still the processor's
void fill_hostile(Crossing& crossing);
void inspect_exit(const Crossing& crossing, uint64_t target, uint64_t aep);
void inspect_exit_vectors(const Crossing& crossing, const uint8_t* own);
void inspect_shared_memory(const void* shared);
void inspect_asynchronous_exit(const void* ucontext, const Crossing& crossing);

// host_calls.cpp
void before_host_call(
    abi::VcpuShared& shared);  // the enclave has left; the runtime has not looked yet
void after_host_call(abi::VcpuShared& shared);  // the runtime has answered
void start_flipping(uint8_t* shared, uint64_t vcpus);
void replace_boot_parameter(abi::BootParameters& boot, const std::string& field_and_value);

// ticks.cpp
void note_thread();   // the calling thread is a vCPU's
void tick_handled();  // by it
void start_ticks(int signal);
void begin_steps(int signal);
void next_step_round();
bool stepping();

}  // namespace hostile
