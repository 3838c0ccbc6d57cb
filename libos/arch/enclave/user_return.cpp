// Between the program and the LibOS, after the assembly has saved the registers and before it restores them.
//
// return_to_user() is the one way back. It loops until there is no work, then loads the vector state and restores. A
// tick or another vCPU may set work at any moment up to the last jump: the assembly looks at the block's work word
// inside the restartable sequence, so none is lost.
#include <algorithm>

#include "libos/arch/arch.h"
#include "libos/arch/enclave/image_symbols_raw.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/enclave/xstate.h"
#include "libos/arch/guarded_copy.h"
#include "libos/arch/memory.h"
#include "libos/lib/address.h"
#include "sgx/arch.h"

namespace occlum {
namespace {

extern "C" [[noreturn]] void restore_user_registers(UserRegisters* registers);

constexpr uint64_t kSyscallLength = 2;  // 0f 05
constexpr uint32_t kSyscallBytes = 0x050f;
constexpr uint64_t kResumeFlag =
    1 << 16;  // set in the flags that a fault saves, not in those of SYSCALL

// Cheaper than fetch_add: nobody else writes, and the LibOS is not preempted.
void count(std::atomic<uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// `syscall` is #UD in an enclave. The two bytes may lie at the end of the last mapped page: read them one by one.
bool is_system_call(uint64_t rip) {
  uint16_t bytes = 0;
  uint64_t fault = 0;
  return user_range().contains(rip) && user_range().contains(rip + 1) &&
         guarded_copy(address_of(&bytes), rip, sizeof(bytes), fault) && bytes == kSyscallBytes;
}

void trapped_system_call(UserRegisters& registers) {
  note_trapped_syscall(registers);
  registers.rflags &= ~kResumeFlag;
  registers.rip += kSyscallLength;
  registers.rcx = registers.rip;
  registers.r11 = registers.rflags;
  registers.original_rax = registers.rax;
  count(this_vcpu().trapped_syscalls);
  on_syscall(registers);
}

constinit std::atomic<bool> programs_pause{false};

void wait_for_pause_end() {
  while (programs_pause.load(std::memory_order_acquire)) {
    __builtin_ia32_pause();
    yield_task();
  }
}

// system_time.h. The gaps between samples are 1 to 2 * kSampled - 1 calls: each call is equally likely to be measured.
[[gnu::noinline]] void sample_system_call(VcpuBlock& vcpu) {
  constexpr uint64_t kMultiplier = 6364136223846793005, kIncrement = 1442695040888963407;
  uint64_t product = 0;
  (void)__builtin_mul_overflow(vcpu.sampling_state, kMultiplier, &product);
  (void)__builtin_add_overflow(product, kIncrement, &vcpu.sampling_state);
  const uint64_t gap = 1 + (vcpu.sampling_state >> 33) % (2 * SystemTime::kSampled - 1);
  vcpu.sampled_syscall = vcpu.stub_syscalls.load(std::memory_order_relaxed) + gap;
  vcpu.context->system_time.begin_sample(machine_monotonic_ns());
}

constinit std::atomic<uint64_t> interruption_cost{0};  // ns

// What an exception costs: address 0 is never mapped.
[[gnu::noinline]] uint64_t measure_exception() {
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 3; ++i) {
    const uint64_t start = machine_monotonic_ns();
    uint64_t word = 0, fault = 0;
    (void)guarded_copy(address_of(&word), 0, sizeof(word), fault);
    least = std::min(least, machine_monotonic_ns() - start);
  }
  return std::max<uint64_t>(least, 1);
}

// An asynchronous exit, and all that the host does for it, belongs to the system's time. In here its beginning cannot be
// seen: one of the LibOS's own has been measured instead.
void measure_interruption() {
  uint64_t cost = interruption_cost.load(std::memory_order_relaxed);
  if (cost == 0) [[unlikely]] {
    cost = measure_exception();
    interruption_cost.store(cost, std::memory_order_relaxed);
  }
  const uint64_t now = machine_monotonic_ns();
  this_vcpu().context->system_time.begin_exact(now - std::min(cost, now));
}

void left_program() { this_vcpu().program.store(0, std::memory_order_relaxed); }

}  // namespace

// A vCPU that is in the LibOS says that it goes back, then looks whether there is a pause; here the pause begins, then it
// is seen whether they have said so. Either they see it or we see that they may be gone. It is not a bit of a vCPU's work:
// the first task there would take it, and the next one, which runs while that one waits, would go back to its program.
bool while_programs_pause(FunctionRef<void()> change) {
  if (programs_pause.exchange(true, std::memory_order_seq_cst)) return false;
  bool all_inside = true;
  for (uint32_t index = 0; const VcpuBlock* vcpu = vcpu_block(index); ++index) {
    all_inside = all_inside && vcpu->program.load(std::memory_order_seq_cst) == 0;
  }
  if (all_inside) change();
  programs_pause.store(false, std::memory_order_release);
  return all_inside;
}

extern "C" [[noreturn]] void return_to_user(UserRegisters& registers) {
  while (true) {
    VcpuBlock& vcpu = this_vcpu();
    vcpu.barriers.store(
        vcpu.barriers.load(std::memory_order_relaxed) + 1,
        std::memory_order_relaxed);  // the exchange below orders it: sched/vcpu_barrier.cpp
    const Task& task = *vcpu.current;
    // The exchange is the barrier: while_programs_pause(), recall_program().
    vcpu.program.store(program_of(task), std::memory_order_relaxed);
    const uint32_t work = vcpu.work.exchange(0, std::memory_order_seq_cst);
    const bool is_pause = programs_pause.load(std::memory_order_seq_cst);
    if (work == 0 && !is_pause && !has_return_work(task)) {
      if (vcpu.context->system_time.is_open()) [[unlikely]]
        vcpu.context->system_time.end(machine_monotonic_ns());
      load_xstate(*vcpu.context);
      if (vcpu.work.load(std::memory_order_acquire) == 0) restore_user_registers(&registers);
      continue;
    }
    left_program();
    if (is_pause) wait_for_pause_end();
    if ((work & kWorkReschedule) != 0) reschedule();  // may come back on another vCPU
    if (has_return_work(task)) on_return_to_user(registers);
  }
}

extern "C" [[noreturn]] void tick_entered(UserRegisters& registers) {
  left_program();
  measure_interruption();
  (void)leave_stub(registers);
  return_to_user(registers);
}

extern "C" [[noreturn]] void syscall_entered(UserRegisters& registers) {
  left_program();
  VcpuBlock& vcpu = this_vcpu();
  count(vcpu.stub_syscalls);
  if (vcpu.stub_syscalls.load(std::memory_order_relaxed) >= vcpu.sampled_syscall) [[unlikely]]
    sample_system_call(vcpu);
  on_syscall(registers);
  return_to_user(registers);
}

extern "C" [[noreturn]] void exception_entered(UserRegisters& registers) {
  left_program();
  measure_interruption();
  const FaultInfo fault = this_vcpu().fault;
  if (fault.vector == sgx::vector::kUd && is_system_call(registers.rip)) {
    trapped_system_call(registers);
  } else if (fault.vector == sgx::vector::kPf && complete_stub(registers)) {
    on_syscall(
        registers);  // the program took the stub's page away; nothing else in a stub can fault
  } else {
    (void)leave_stub(registers);
    on_fault(registers, fault);
  }
  return_to_user(registers);
}

SystemCallCounts system_call_counts() {
  SystemCallCounts counts{.by_stub = 0, .by_trap = 0};
  for (uint32_t index = 0; const VcpuBlock* vcpu = vcpu_block(index); ++index) {
    counts.by_stub += vcpu->stub_syscalls.load(std::memory_order_relaxed);
    counts.by_trap += vcpu->trapped_syscalls.load(std::memory_order_relaxed);
  }
  return counts;
}

void enter_user() { return_to_user(this_vcpu().context->user_registers()); }

}  // namespace occlum
