#include "libos/sched/vcpu_barrier.h"

#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/vcpus.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

// A vCPU counts, then passes its barrier, then executes the program: so one whose count has changed passes it before it
// touches the program's memory, and one that is in the LibOS will. The work bit catches it on its last steps out.
bool has_passed(const VcpuBlock& vcpu, uint32_t count_before) {
  return vcpu.program.load(std::memory_order_seq_cst) == 0 ||
         vcpu.barriers.load(std::memory_order_seq_cst) != count_before;
}

void wait_for_barrier(VcpuBlock& vcpu, uint32_t count_before) {
  constexpr uint64_t kSpin = 30'000, kNap = 100'000;  // ns
  const uint64_t until = machine_monotonic_ns() + kSpin;
  while (!has_passed(vcpu, count_before)) {
    __builtin_ia32_pause();
    if (machine_monotonic_ns() > until)
      (void)park(machine_monotonic_ns() + kNap, Interruptible::kNo);
  }
}

}  // namespace

void pass_barrier_on_vcpus() {
  std::array<uint32_t, abi::kMaxVcpus> counts = {};
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // By the time of the second loop this task may be on another vCPU: the one that it left has passed a barrier.
  for (uint32_t index = 0; VcpuBlock* vcpu = vcpu_block(index); ++index) {
    counts[index] = vcpu->barriers.load(std::memory_order_seq_cst);
    if (vcpu == &this_vcpu() || vcpu->program.load(std::memory_order_seq_cst) == 0) continue;
    vcpu->work.fetch_or(kWorkInterrupt, std::memory_order_seq_cst);
    tick_vcpu_now(index);
  }
  for (uint32_t index = 0; VcpuBlock* vcpu = vcpu_block(index); ++index) {
    if (vcpu != &this_vcpu()) wait_for_barrier(*vcpu, counts[index]);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace occlum
