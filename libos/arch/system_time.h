// SystemTime: how long a task worked inside the LibOS, as told apart from its program (getrusage(2)).
//
// What the LibOS does for a task is of two kinds. What is long by nature (faults, ticks, calls of the host, loops with
// preemption points) is measured from its beginning to the way back to the program. Of system calls that come by a
// patched site, which may be as short as a look at the clock, one in kSampled is measured and counts that many times;
// the gaps are random, so that no pattern of a program hides in them. Where such a call becomes long, the rest of it is
// measured and counts once; so does what a sample takes beyond kLongestSample, when the machine took the processor away.
// Time without a vCPU does not count.
//
// Only the task itself writes. Others read without a lock, and may miss the moment of a change.
#pragma once

#include <atomic>
#include <cstdint>

namespace occlum {

class SystemTime {
 public:
  static constexpr uint64_t kSampled = 32;
  static constexpr uint64_t kLongestSample = 100'000;  // ns, more than a short call ever takes

  bool is_open() const { return weight_.load(std::memory_order_relaxed) != 0; }
  bool is_exact() const { return weight_.load(std::memory_order_relaxed) == 1; }

  // A sampled call begins.
  void begin_sample(uint64_t now) { open(now, kSampled); }
  // From now on all counts, once.
  void begin_exact(uint64_t now) {
    if (is_exact()) return;
    add_until(now);
    open(now, 1);
  }
  // Back to the program.
  void end(uint64_t now) {
    add_until(now);
    weight_.store(0, std::memory_order_relaxed);
  }

  // Off the vCPU, and on one again: what was open goes on.
  void pause(uint64_t now) { add_until(now); }
  void resume(uint64_t now) { since_.store(is_open() ? now : 0, std::memory_order_release); }

  // ns until `now`.
  uint64_t read(uint64_t now) const {
    while (true) {
      const uint64_t since = since_.load(std::memory_order_acquire);
      const uint64_t sum = total_.load(std::memory_order_acquire);
      const uint64_t weight = weight_.load(std::memory_order_acquire);
      if (since_.load(std::memory_order_acquire) != since) continue;
      return sum + (since != 0 ? counted(since, now, weight) : 0);
    }
  }

 private:
  static uint64_t counted(uint64_t since, uint64_t now, uint64_t weight) {
    if (weight == 0 || now <= since) return 0;
    const uint64_t sampled = now - since < kLongestSample ? now - since : kLongestSample;
    return sampled * weight + (now - since - sampled);
  }
  void open(uint64_t now, uint64_t weight) {
    weight_.store(weight, std::memory_order_release);
    since_.store(now, std::memory_order_release);
  }
  // Closed first, then added: a reader between the two finds too little, never too much.
  void add_until(uint64_t now) {
    const uint64_t since = since_.load(std::memory_order_relaxed);
    if (since == 0) return;
    since_.store(0, std::memory_order_release);
    const uint64_t spent = counted(since, now, weight_.load(std::memory_order_relaxed));
    total_.store(total_.load(std::memory_order_relaxed) + spent, std::memory_order_release);
  }

  std::atomic<uint64_t> total_{0};
  std::atomic<uint64_t> since_{0};   // 0: not on a vCPU, or nothing is measured
  std::atomic<uint64_t> weight_{0};  // 0: nothing is measured
};

}  // namespace occlum
