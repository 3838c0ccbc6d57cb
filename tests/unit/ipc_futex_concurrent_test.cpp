// The buckets of futex waiters under threads: no wake-up is lost, none is counted twice, and timeouts race with wakes.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "libos/ipc/futex_queue.h"
#include "tests/unit/ipc_tasks.h"

namespace occlum {
namespace {

constexpr FutexKey kKey{.space = 1, .offset = 64}, kOther{.space = 1, .offset = 4096};

// futex(2)'s FUTEX_WAIT on a word of ours. True: woken.
bool wait_on(std::atomic<uint32_t>& word, uint32_t expected, const FutexKey& key,
             Nanoseconds deadline) {
  FutexWaiter waiter(current_task(), key, kFutexAnyBits);
  join_queue(waiter);
  if (word.load() != expected) {
    if (leave_queue(waiter)) EXPECT_LE(MUST(wake_waiters(key, 1, kFutexAnyBits)), 1u);
    return false;
  }
  return !sleep_in_queue(waiter, deadline).is_error();
}

TEST(FutexQueue, SemaphoreOfManyThreads) {
  constexpr int kThreads = 4, kRounds = 3'000;
  std::atomic<uint32_t> tokens{0};
  std::atomic<int> taken{0};
  const auto take = [&] {
    for (int round = 0; round < kRounds; ++round) {
      while (true) {
        uint32_t seen = tokens.load();
        if (seen != 0) {
          if (tokens.compare_exchange_weak(seen, seen - 1)) break;
          continue;
        }
        (void)wait_on(tokens, 0, kKey, kNever);
      }
      taken.fetch_add(1);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(take);
  for (int i = 0; i < kThreads * kRounds; ++i) {
    tokens.fetch_add(1);
    (void)MUST(wake_waiters(kKey, 1, kFutexAnyBits));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken.load(), kThreads * kRounds);
  EXPECT_EQ(tokens.load(), 0u);
  EXPECT_FALSE(has_waiters(kKey));
}

TEST(FutexQueue, TimeoutsRaceWithWakes) {
  constexpr int kRounds = 2'000;
  std::atomic<uint32_t> word{0};
  std::atomic<bool> done{false};
  std::atomic<long> woken{0}, wakes{0};
  std::thread waker([&] {
    while (!done.load()) wakes.fetch_add(MUST(wake_waiters(kOther, 2, kFutexAnyBits)));
  });
  const auto wait = [&] {
    for (int round = 0; round < kRounds; ++round) {
      if (wait_on(word, 0, kOther, monotonic_now() + static_cast<uint64_t>(round % 50) * 1'000))
        woken.fetch_add(1);
    }
  };
  std::thread first(wait), second(wait);
  first.join();
  second.join();
  done.store(true);
  waker.join();
  EXPECT_EQ(woken.load(), wakes.load());
}

TEST(FutexQueue, BitsChoose) {
  std::atomic<bool> waits{false};
  std::thread waiter([&] {
    FutexWaiter own(current_task(), kKey, 4);
    join_queue(own);
    waits.store(true);
    EXPECT_FALSE(sleep_in_queue(own, kNever).is_error());
  });
  while (!waits.load()) {
  }
  EXPECT_EQ(MUST(wake_waiters(kKey, 1, 3)), 0u);
  EXPECT_EQ(MUST(wake_waiters(kKey, 1, 6)), 1u);
  waiter.join();
}

}  // namespace
}  // namespace occlum
