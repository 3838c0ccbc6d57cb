// A machine for the hosted tests on which the real scheduler runs: every vCPU is a host thread, which finds its block by
// GS as in the enclave; every task has a stack of its own and is a fiber to the sanitizers, so that TSan sees the order
// of accesses that the scheduler makes, and no other. The host (ticks, kicks, sleeping vCPUs) is played here.
//
// Include it once per test program, which then consists of the scheduler and of what is included besides.
#pragma once

#include <asm/prctl.h>
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "libos/lib/address.h"
#include "libos/sched/run_queue.cpp"
#include "libos/sched/scheduler.cpp"
#include "libos/sched/timer_queue.cpp"
#include "libos/sched/wait_queue.cpp"
#include "libos/sched/wait_word.cpp"

#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#endif

// As entry_raw_noinstr.S has it, under another name: a switch is more than that here.
extern "C" void hosted_swap_stacks(uint64_t* save_here, uint64_t new_stack);
asm(R"(
.text
.globl hosted_swap_stacks
hosted_swap_stacks:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
)");

namespace occlum {
void tick_vcpu_now(uint32_t index);

namespace testing {

constexpr uint32_t kVcpus = 4;
constexpr size_t kStackSize = 256 * 1024;
constexpr size_t kXstateBytes = 576;  // what XSAVE writes at least

// What a stack that is switched out points to, in the place of its own stack pointer.
struct Fiber {
  uint64_t stack_pointer = 0;
  void* fiber = nullptr;  // TSan's
  void* fake_stack = nullptr;
  const void* bottom = nullptr;  // ASan's view of the stack
  size_t size = 0;
  std::array<std::byte, kXstateBytes> xstate = {};
};

inline void* current_fiber() {
#if __has_feature(thread_sanitizer)
  return __tsan_get_current_fiber();
#else
  return nullptr;
#endif
}

// A host's side of one vCPU. Never freed: its thread sleeps in the host until the process ends.
struct HostVcpu {
  VcpuBlock block = {};
  abi::VcpuShared shared = {};
  Fiber idle;
  Fiber* running = nullptr;  // only its own thread
  std::mutex mutex;
  std::condition_variable kicked;
  bool is_kicked = false;
};

class Machine {
 public:
  static Machine& the() {
    static Machine* machine = new Machine;
    return *machine;
  }

  HostVcpu& vcpu(uint32_t index) { return *vcpus_[index]; }
  uint32_t started() const { return started_.load(std::memory_order_acquire); }

  void start_vcpu() {
    const uint32_t index = started_.load(std::memory_order_relaxed);
    if (index == kVcpus || claimed_.exchange(true)) return;
    HostVcpu& vcpu = *vcpus_[index];
    vcpu.block.self = &vcpu.block;
    vcpu.block.index = index;
    vcpu.block.shared = address_of(&vcpu.shared);
    started_.store(index + 1, std::memory_order_release);
    std::thread([&vcpu] {
      syscall(SYS_arch_prctl, ARCH_SET_GS, &vcpu.block);
      pthread_attr_t attributes;
      void* bottom = nullptr;
      pthread_getattr_np(pthread_self(), &attributes);
      pthread_attr_getstack(&attributes, &bottom, &vcpu.idle.size);
      pthread_attr_destroy(&attributes);
      vcpu.idle.bottom = bottom;
      vcpu.running = &vcpu.idle;
      is_vcpu() = true;
      vcpu_main();
    }).detach();
    claimed_.store(false);
  }

  void kick(HostVcpu& vcpu) {
    const std::lock_guard guard(vcpu.mutex);
    vcpu.is_kicked = true;
    vcpu.kicked.notify_one();
  }

  // From outside: the first vCPU that looks starts the task.
  void submit(RefPtr<Task> task) {
    {
      const std::lock_guard guard(mutex_);
      submitted_.push_back(std::move(task));
      has_submitted_.store(true);
    }
    // As a signal from the host does: whoever sleeps wakes, whoever works is ticked.
    tick_vcpu_now(0);
    kick(vcpu(0));
  }
  void take_submitted() {
    if (!has_submitted_.exchange(false)) return;
    std::vector<RefPtr<Task>> tasks;
    {
      const std::lock_guard guard(mutex_);
      tasks.swap(submitted_);
    }
    for (RefPtr<Task>& task : tasks) start_task(std::move(task));
  }

  static bool& is_vcpu() {
    thread_local bool value = false;
    return value;
  }

 private:
  Machine() {
    for (auto& vcpu : vcpus_) vcpu = std::make_unique<HostVcpu>();
    start_vcpu();
    std::thread([this] { tick(); }).detach();
  }

  // What phase 1 does with a tick, on vCPUs that asked for one.
  [[noreturn]] void tick() {
    while (true) {
      std::this_thread::sleep_for(std::chrono::microseconds(300));
      for (uint32_t index = 0; index < started(); ++index) {
        HostVcpu& vcpu = *vcpus_[index];
        if (__atomic_load_n(&vcpu.shared.tick_wanted, __ATOMIC_RELAXED) != 0)
          vcpu.block.work.fetch_or(kWorkReschedule, std::memory_order_relaxed);
      }
    }
  }

  std::array<std::unique_ptr<HostVcpu>, kVcpus> vcpus_;
  std::atomic<uint32_t> started_{0};
  std::atomic<bool> claimed_{false};
  std::mutex mutex_;
  std::vector<RefPtr<Task>> submitted_;
  std::atomic<bool> has_submitted_{false};
};

inline HostVcpu& host_vcpu() { return Machine::the().vcpu(this_vcpu().index); }

// On the new stack: who ran before is left.
__attribute__((disable_sanitizer_instrumentation)) inline void arrived(void* fake_stack) {
#if __has_feature(address_sanitizer)
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#else
  (void)fake_stack;
#endif
}

inline void first_code_of_task() {
  arrived(nullptr);
  task_first_run();
}

}  // namespace testing

// --- what arch/ gives the scheduler ---

extern "C" __attribute__((noinline, disable_sanitizer_instrumentation)) void switch_stack(
    uint64_t* save_here, uint64_t new_stack) {
  testing::HostVcpu& vcpu = testing::host_vcpu();
  testing::Fiber& own = *vcpu.running;
  auto& next = *std::bit_cast<testing::Fiber*>(new_stack);
  own.fiber = testing::current_fiber();
  *save_here = std::bit_cast<uint64_t>(&own);
  vcpu.running = &next;
#if __has_feature(address_sanitizer)
  __sanitizer_start_switch_fiber(&own.fake_stack, next.bottom, next.size);
#endif
#if __has_feature(thread_sanitizer)
  __tsan_switch_to_fiber(next.fiber, 0);  // what a vCPU does is in order
#endif
  hosted_swap_stacks(&own.stack_pointer, next.stack_pointer);
  testing::arrived(own.fake_stack);
}

Result<void> TaskContext::create() {
  void* memory = mmap(nullptr, testing::kStackSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Errno::kNoMem;
  stack_top_ = std::bit_cast<uint64_t>(memory) + testing::kStackSize;
  auto* fiber = new testing::Fiber;
  fiber->bottom = memory;
  fiber->size = testing::kStackSize;
#if __has_feature(thread_sanitizer)
  fiber->fiber = __tsan_create_fiber(0);
#endif
  fiber->stack_pointer = stack_top_ - sizeof(UserRegisters) - 8 * sizeof(uint64_t);
  std::bit_cast<uint64_t*>(fiber->stack_pointer)[6] =
      std::bit_cast<uint64_t>(&testing::first_code_of_task);
  saved_stack_pointer = xstate_ = std::bit_cast<uint64_t>(fiber);
  return {};
}

TaskContext::~TaskContext() {
  if (stack_top_ == 0) return;
  auto* fiber = std::bit_cast<testing::Fiber*>(xstate_);
#if __has_feature(thread_sanitizer)
  __tsan_destroy_fiber(fiber->fiber);
#endif
  munmap(std::bit_cast<void*>(stack_top_ - testing::kStackSize), testing::kStackSize);
  delete fiber;
}

UserRegisters& TaskContext::user_registers() {
  return *std::bit_cast<UserRegisters*>(stack_top_ - sizeof(UserRegisters));
}

std::span<std::byte> TaskContext::xstate() {
  return std::bit_cast<testing::Fiber*>(xstate_)->xstate;
}
void TaskContext::reset_xstate() { std::ranges::fill(xstate(), std::byte{0}); }
void TaskContext::copy_xstate_from(TaskContext& other) {
  std::ranges::copy(other.xstate(), xstate().begin());
}
void stash_xstate(TaskContext&) {}
size_t xstate_size() { return testing::kXstateBytes; }
uint64_t xstate_features() { return 3; }
Result<void> sanitize_xstate(std::span<std::byte>) { return {}; }

uint64_t machine_monotonic_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  const uint64_t now =
      static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
  if (!testing::Machine::is_vcpu()) return now;
  VcpuBlock& vcpu = this_vcpu();
  return vcpu.last_ns = std::max(vcpu.last_ns, now);
}
uint64_t machine_boot_realtime_ns() { return 0; }
void note_long_work() {}  // nobody asks how long the LibOS has worked

LockRankStack& current_lock_ranks() {
  thread_local LockRankStack outside;
  if (!testing::Machine::is_vcpu()) return outside;
  VcpuBlock& vcpu = this_vcpu();
  return vcpu.task_lock_ranks != nullptr ? *vcpu.task_lock_ranks : vcpu.lock_ranks;
}

uint32_t vcpu_count() { return testing::kVcpus; }
uint32_t started_vcpus() { return testing::Machine::the().started(); }
void start_one_more_vcpu() { testing::Machine::the().start_vcpu(); }
VcpuBlock* vcpu_block(uint32_t index) {
  return index < started_vcpus() ? &testing::Machine::the().vcpu(index).block : nullptr;
}
void tick_vcpu_now(uint32_t index) {
  vcpu_block(index)->work.fetch_or(kWorkReschedule, std::memory_order_relaxed);
}
uint64_t vcpu_shared() { return this_vcpu().shared; }
Result<void> store_untrusted(uint64_t to, uint64_t value) {
  __atomic_store_n(std::bit_cast<uint64_t*>(to), value, __ATOMIC_RELAXED);
  return {};
}
int64_t make_host_call(abi::HostCallNumber number, uint64_t index, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t) {
  if (number != abi::HostCallNumber::kKick) abort();
  testing::Machine::the().kick(testing::Machine::the().vcpu(static_cast<uint32_t>(index)));
  return 0;
}
void wait_for_host(Nanoseconds timeout, bool) {
  testing::HostVcpu& vcpu = testing::host_vcpu();
  std::unique_lock lock(vcpu.mutex);
  const auto is_kicked = [&] { return vcpu.is_kicked; };
  if (timeout == kNever) {
    vcpu.kicked.wait(lock, is_kicked);
  } else {
    vcpu.kicked.wait_for(lock, std::chrono::nanoseconds(timeout), is_kicked);
  }
  vcpu.is_kicked = false;
}
void collect_host_events(Nanoseconds) {}
void deliver_host_signals() { testing::Machine::the().take_submitted(); }
void kernel_main() { abort(); }

namespace testing {

// A program: it runs in the LibOS all the time, and calls user_code() where it would be in user mode.
class HostedTask : public Task {
 public:
  explicit HostedTask(std::function<void()> body) : body_(std::move(body)) { ++alive(); }
  ~HostedTask() override { --alive(); }
  void run() override {
    body_();
    body_ = {};
    exit_task();
  }
  bool has_interrupt() const override { return interrupted.load(std::memory_order_acquire); }
  std::atomic<bool> interrupted{false};

  static std::atomic<int>& alive() {
    static std::atomic<int> count{0};
    return count;
  }

 private:
  std::function<void()> body_;
};

inline RefPtr<HostedTask> make_task(std::function<void()> body) {
  RefPtr<HostedTask> task = MUST(make_ref<HostedTask>(std::move(body)));
  MUST(task->context().create());
  return task;
}

// The way back to a program and in again (user_return.cpp).
inline void user_code() {
  VcpuBlock& vcpu = this_vcpu();
  const uint32_t work = vcpu.work.exchange(0, std::memory_order_seq_cst);
  if ((work & kWorkReschedule) != 0) reschedule();
}

// Runs the tasks and waits until all of them, and those that they start, are gone. Who loses a wake-up waits for ever: two
// minutes, and the test says so.
inline void run_tasks(std::vector<RefPtr<HostedTask>> tasks) {
  for (RefPtr<HostedTask>& task : tasks) Machine::the().submit(std::move(task));
  tasks.clear();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (HostedTask::alive().load() != 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (std::chrono::steady_clock::now() < limit) continue;
    std::fprintf(stderr, "%d tasks wait for ever\n", HostedTask::alive().load());
    abort();
  }
}

}  // namespace testing
}  // namespace occlum
