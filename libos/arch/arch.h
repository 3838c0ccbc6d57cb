// The machine as the rest of the LibOS sees it. Two implementations: arch/enclave (SGX) and arch/hosted (host threads,
// for tests under sanitizers). What the machine calls back is declared at the end and implemented above.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "libos/arch/registers.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/lib/vec.h"

namespace occlum {

class Task;

// Goes to user mode with the current task's user registers; never returns. Handles pending work first
// (on_return_to_user).
[[noreturn]] void enter_user();

// A fault of a program.
struct FaultInfo {
  uint8_t vector;  // 0 #DE, 1 #DB, 3 #BP, 5 #BR, 6 #UD, 13 #GP, 14 #PF, 16 #MF, 17 #AC, 19 #XM
  uint32_t
      error_code;  // #PF: bit 0 present, 1 write, 2 user, 4 instruction fetch (the host's word: a hint only)
  uint64_t address;  // #PF: EXINFO.MADDR, page-granular or exact
};

// Time stamp counter in ns since an arbitrary start. Never goes back for a task, whichever vCPU it runs on; what two
// tasks on two vCPUs see at one moment may differ by as much as their TSCs.
uint64_t machine_monotonic_ns();
uint64_t machine_boot_realtime_ns();  // realtime minus monotonic, the host's word at start

// What the current task does in the LibOS is not short: its time is measured from here on (system_time.h).
void note_long_work();

// A bounded region in which LibOS code may use vector registers (crypto): the program's state is saved first.
class XstateScope {
 public:
  XstateScope();
  ~XstateScope();
  XstateScope(const XstateScope&) = delete;
  XstateScope& operator=(const XstateScope&) = delete;
};

// What the host passed at start (all untrusted, sizes checked, copied in).
struct BootArguments {
  Vec<String> argv;
  Vec<String> env;
  String cwd;
  Vec<String> writable_dirs;
  String host_name;
  std::array<bool, 3> terminal = {};  // stdin, stdout, stderr are terminals
  // Bit n-1 is signal n, as the runtime was started; any bits may be set.
  uint64_t ignored_signals = 0, blocked_signals = 0;
};
const BootArguments& boot_arguments();

// The measured configuration's text (abi/config.h).
std::string_view measured_config();

// The root image file, mapped by the host read-only into untrusted memory; size 0 when there is none. Copies `to.size()`
// bytes at `offset` in; a truncated or unreadable mapping is kIo. Bytes are hostile until verified.
uint64_t root_image_size();
Result<void> read_root_image(uint64_t offset, std::span<std::byte> to);

// Ends the enclave: the host process ends with `status` (0..255, or 128+signal).
[[noreturn]] void shut_down(int status);

// CPUID as a program may see it: leaf 0xD is computed from XFRM, the others are the host's word, with what an enclave
// does not give masked (arch/enclave/cpuid.cpp).
struct CpuidResult {
  uint32_t eax, ebx, ecx, edx;
};
CpuidResult cpuid(uint32_t leaf, uint32_t subleaf);

// Calls `change`, which may sleep, while no vCPU executes code of a program: those that want to go back to their programs
// wait. False: a vCPU is executing some, or somebody else is here; nothing was done.
bool while_programs_pause(FunctionRef<void()> change);

// How system calls came in, of all vCPUs: by the stub of a patched site, or by a trap.
struct SystemCallCounts {
  uint64_t by_stub, by_trap;
};
SystemCallCounts system_call_counts();

// --- implemented by sched/, called by arch ---
// The first task (which runs kernel_main) and the idle loop of vCPU 0.
[[noreturn]] void start_scheduler();
// At the way back to user mode after a tick: timers, host events, and another task's turn. May return on another vCPU.
void reschedule();
// Lets other tasks run.
void yield_task();

// --- implemented above (process/, syscall/), called by arch ---
// All run on the current task's kernel stack and return to go back to user mode.
void on_syscall(UserRegisters& registers);
void on_fault(UserRegisters& registers, const FaultInfo& fault);
// The last thing before user mode: pending signals, a tick's request to reschedule (arch does that one itself).
void on_return_to_user(UserRegisters& registers);
// A `syscall` instruction has trapped; registers.rip is at it. Before on_syscall. (process/rewrite)
void note_trapped_syscall(const UserRegisters& registers);
// A program that was interrupted in the stub of a patched system call. leave_stub: on to the `syscall` instruction;
// false: it was elsewhere. complete_stub: on to where on_syscall() begins.
bool leave_stub(UserRegisters& registers);
bool complete_stub(UserRegisters& registers);
// What identifies the memory of the current task's program: not 0.
uint64_t program_of(const Task& task);
// True when on_return_to_user has work for the current task; read with ticks able to come: must be cheap.
bool has_return_work(const Task& task);
// The runtime got this signal for the program (Ctrl-C without a terminal, SIGTERM, SIGWINCH, ...). Runs with no lock held,
// possibly on a vCPU without a task: it may send signals, and must not block.
void on_host_signal(int signal);
// The first task, after mm, sched and host calls work: mounts the root, starts the first process.
[[noreturn]] void kernel_main();

}  // namespace occlum
