// VcpuAccount: how long a vCPU ran tasks, and how much of that in the LibOS (/proc/stat).
//
// Only the vCPU itself writes, between two tasks. Others read without a lock: an odd version says that it is writing.
#pragma once

#include <atomic>
#include <cstdint>

namespace occlum {

class VcpuAccount {
 public:
  struct Times {  // ns
    uint64_t whole = 0, system = 0;
  };
  struct Reading {
    Times normal,
        nice;  // of turns that are over; apart from those of tasks with a nice value above 0
    // The turn that goes on: whose (an identity only; null: idle), since when, and the task's system time then.
    const void* task = nullptr;
    uint64_t since = 0, system_before = 0;
    bool is_nice = false;
  };

  // `system`: the task's system time until `now`.
  void begin(const void* task, uint64_t now, uint64_t system, bool is_nice) {
    change([&] {
      task_.store(task, std::memory_order_release);
      since_.store(now, std::memory_order_release);
      system_before_.store(system, std::memory_order_release);
      is_nice_.store(is_nice, std::memory_order_release);
    });
  }
  void end(uint64_t now, uint64_t system) {
    Sum& sum = is_nice() ? nice_ : normal_;
    const uint64_t since = since_.load(std::memory_order_relaxed);
    const uint64_t before = system_before_.load(std::memory_order_relaxed);
    change([&] {
      add(sum.whole, now > since ? now - since : 0);
      add(sum.system, system > before ? system - before : 0);
      task_.store(nullptr, std::memory_order_release);
    });
  }
  bool is_nice() const { return is_nice_.load(std::memory_order_relaxed); }

  Reading read() const {
    while (true) {
      const uint64_t version = version_.load(std::memory_order_acquire);
      const Reading reading{.normal = normal_.read(),
                            .nice = nice_.read(),
                            .task = task_.load(std::memory_order_acquire),
                            .since = since_.load(std::memory_order_acquire),
                            .system_before = system_before_.load(std::memory_order_acquire),
                            .is_nice = is_nice_.load(std::memory_order_acquire)};
      if (version % 2 == 0 && version_.load(std::memory_order_relaxed) == version) return reading;
    }
  }

 private:
  struct Sum {
    std::atomic<uint64_t> whole{0}, system{0};
    Times read() const {
      return {.whole = whole.load(std::memory_order_acquire),
              .system = system.load(std::memory_order_acquire)};
    }
  };
  static void add(std::atomic<uint64_t>& sum, uint64_t more) {
    sum.store(sum.load(std::memory_order_relaxed) + more, std::memory_order_release);
  }
  // Who reads one of the new values sees the odd version as well, or a later one: each is a release store after it.
  template <typename Change>
  void change(Change apply) {
    const uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    apply();
    version_.store(version + 2, std::memory_order_release);
  }

  std::atomic<uint64_t> version_{0};
  Sum normal_, nice_;
  std::atomic<const void*> task_{nullptr};
  std::atomic<uint64_t> since_{0}, system_before_{0};
  std::atomic<bool> is_nice_{false};
};

VcpuAccount::Reading read_vcpu_account(uint32_t vcpu);
// How often a vCPU was given a task.
uint64_t context_switch_count();

}  // namespace occlum
