// TaskContext: the machine state of one task: its kernel stack, its saved registers, its vector state.
//
// The LibOS is compiled without vector registers, so a program's vector state stays live in the CPU while the LibOS
// works for it. It is saved (once per entry, save_xstate()) before a switch to another task, an exit to the host, an
// XstateScope or a signal frame, and loaded again at the way back to user mode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "libos/arch/registers.h"
#include "libos/arch/system_time.h"
#include "libos/lib/result.h"

namespace occlum {

class TaskContext {
 public:
  TaskContext() = default;
  TaskContext(const TaskContext&) = delete;
  TaskContext& operator=(const TaskContext&) = delete;
  ~TaskContext();

  static constexpr size_t kKernelStackSize = 16 * 1024;
  // The XSAVE area in standard format: 576 bytes plus AVX, AVX-512 (2696 at most without AMX).
  static constexpr size_t kXstateSize = 4096;

  // Allocates the kernel stack (guard page below, canary at its end) and the vector state area, which starts as the
  // initial state. Errors: kNoMem.
  Result<void> create();

  // The program's registers: at the top of the kernel stack, valid while the task is inside the LibOS.
  UserRegisters& user_registers();

  // The program's vector state as XSAVE wrote it (standard format, xstate_size() bytes). Forces it out of the CPU when
  // this task's state is live there; changes made through the span are loaded at the way back to user mode.
  // Only for the current task or one that is not running.
  std::span<std::byte> xstate();
  // Back to the initial state (execve).
  void reset_xstate();
  // Copies the other task's vector state (clone).
  void copy_xstate_from(TaskContext& other);

  // --- for arch/ and sched/ ---
  uint64_t kernel_stack_top() const { return stack_top_; }
  uint64_t saved_stack_pointer = 0;  // of a task that is switched out
  bool xstate_live = false;          // the CPU of the current vCPU holds it, memory is stale
  SystemTime system_time;
  uint64_t xstate_address() const { return xstate_; }

 private:
  uint64_t stack_top_ = 0;
  uint64_t xstate_ = 0;
};

// Size in bytes and XCR0-like feature mask (SECS.ATTRIBUTES.XFRM) of XSAVE areas, standard format. For signal frames.
size_t xstate_size();
uint64_t xstate_features();

// Makes `area` (copied from a program, so any bytes) safe for XRSTOR: clears unknown features, compaction, reserved
// header bytes and MXCSR bits. Returns kInval when it cannot be a standard-format area.
Result<void> sanitize_xstate(std::span<std::byte> area);

}  // namespace occlum
