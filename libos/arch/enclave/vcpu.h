// The vCPU block: what GS points to while the enclave runs on that vCPU. One per TCS.
//
// Assembly uses the offsets below; the static_asserts keep both in step. The stack protector reads its canary at
// %gs:40 (CMakeLists.txt), so that offset never moves; all blocks hold the same canary, because a task may enter a
// function on one vCPU and leave it on another.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "abi/host_call.h"
#include "libos/arch/arch.h"
#include "libos/arch/registers.h"
#include "libos/arch/repeated_fault.h"
#include "libos/arch/task_context.h"
#include "libos/lib/lock_rank.h"

namespace occlum {

class Task;

struct VcpuBlock {
  VcpuBlock* self;  // 0
  uint64_t
      saved_stack;  // 8   LibOS stack pointer while the vCPU is outside by a host call, or its first stack
  uint64_t exit_target;         // 16  where EEXIT goes (RCX of the last EENTER at CSSA 0)
  uint64_t host_rsp;            // 24
  uint64_t host_rbp;            // 32
  uint64_t canary;              // 40
  uint64_t kernel_stack_top;    // 48  of the current task
  uint64_t user_rip;            // 56  of the way back to user mode
  uint64_t user_rsp;            // 64  of the syscall entry
  uint64_t syscall_entry;       // 72  stubs jump to *%gs:72
  uint64_t exception_stack;     // 80  top of the stack of phase 1
  uint64_t exception_target;    // 88  where phase 1's EEXIT goes
  uint64_t exception_host_rsp;  // 96
  uint64_t exception_host_rbp;  // 104
  uint64_t ssa;                 // 112 address of SSA frame 0
  std::atomic<uint32_t> work;   // 120 not 0: look for work before going back to user mode (kWork*)
  uint32_t index;               // 124
  Task* current;                // 128
  uint64_t shared;              // 136 untrusted address of this vCPU's abi::VcpuShared
  uint64_t tcs;                 // 144
  uint64_t idle_stack_pointer;  // 152 the idle context while a task runs
  FaultInfo fault;              // 160 of the exception being handled
  uint64_t last_ns;             // 176 monotonic clamp
  std::atomic<uint32_t>
      barriers;  // how many full barriers on the way to a program (sched/vcpu_barrier.cpp)
  // Written by this vCPU only.
  std::atomic<uint64_t> stub_syscalls, trapped_syscalls;
  // Which of stub_syscalls is measured next (arch/system_time.h), and where the random gaps come from.
  uint64_t sampled_syscall, sampling_state;
  // The memory whose program it may execute (program_of()); 0: it will look at `work` before it executes any.
  std::atomic<uint64_t> program;
  RepeatedFault stale_fault;  // of the LibOS on its own memory (phase 1)
  bool dead;                  // phase 1 ends this vCPU for good: stop_silently()
  TaskContext* context;       // of the current task; null with it
  LockRankStack* task_lock_ranks;
  LockRankStack lock_ranks;
};
static_assert(offsetof(VcpuBlock, canary) == 40);
static_assert(offsetof(VcpuBlock, syscall_entry) == 72);
static_assert(offsetof(VcpuBlock, ssa) == 112);
static_assert(offsetof(VcpuBlock, current) == 128);
static_assert(offsetof(VcpuBlock, fault) == 160);

constexpr uint32_t kWorkReschedule = 1;  // a tick came and others wait, or may wait
constexpr uint32_t kWorkInterrupt = 2;   // a signal may be pending for the current task

// The block of the vCPU that executes. A task may move to another vCPU whenever it parks.
inline VcpuBlock& this_vcpu() {
  VcpuBlock* block;
  asm volatile("movq %%gs:0, %0" : "=r"(block));
  return *block;
}

// By index; null when that vCPU has not been started.
VcpuBlock* vcpu_block(uint32_t index);

// Makes a TCS with its SSA frames, stacks and block out of dynamic memory and asks the host to run it.
Result<void> start_vcpu(uint32_t index);

// What a fresh vCPU runs on its own stack: scheduler's idle loop. Implemented by sched/.
[[noreturn]] void vcpu_main();

}  // namespace occlum
