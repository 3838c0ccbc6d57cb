// PI futexes and robust lists under contention: who holds a lock is alone, no waiter is forgotten, timeouts, signals and
// deaths of owners and waiters in between change nothing, and an owner's death is told exactly once.
#include "tests/unit/process_machine.h"

#include "libos/ipc/futex_pi_locks.h"
#include "libos/syscall/linux_types.h"

namespace occlum {
namespace {

using namespace testing;

constexpr uint64_t kWake = 1, kWait = 0, kLockPi = 6, kUnlockPi = 7, kTryLockPi = 8,
                   kWaitRequeuePi = 11, kCmpRequeuePi = 12;
constexpr int kThreads = 6;

uint32_t my_number() { return static_cast<uint32_t>(get_tid()); }

// A lock as the C library makes it: one word, and what it guards, which is no atomic: TSan sees who is not alone.
struct PiMutex {
  uint64_t word = 0;
  long guarded = 0;

  // `deadline`: address of a timespec, 0 for none. 0 or -errno.
  long lock(uint64_t deadline = 0) {
    if (compare_exchange(word, 0, my_number()) == 0) return 0;
    return system_call(kNrFutex, word, kLockPi, 0, deadline);
  }
  long try_lock() {
    if (compare_exchange(word, 0, my_number()) == 0) return 0;
    return system_call(kNrFutex, word, kTryLockPi, 0, 0);
  }
  void unlock() {
    const uint32_t mine = my_number();
    if (compare_exchange(word, mine, 0) == mine) return;
    EXPECT_EQ(system_call(kNrFutex, word, kUnlockPi, 0, 0), 0);
  }
  // After the death of an owner: true when the word tells of one, which is then forgotten.
  bool make_consistent() {
    while (true) {
      const uint32_t now = load_word(word);
      if ((now & kFutexOwnerDied) == 0) return false;
      if (compare_exchange(word, now, now & ~kFutexOwnerDied) == now) return true;
    }
  }
};

TEST(PiFutex, OneAtATime) {
  const int each = rounds(600);
  std::array<PiMutex, 3> locks;
  std::atomic<int> left{kThreads}, waiting{kThreads};
  std::atomic<long> added{0};
  run_program([&] {
    for (PiMutex& lock : locks) lock.word = user_memory(4096);
    for (int index = 0; index < kThreads; ++index) {
      ASSERT_GT(start_thread([&, index] {
                  Random random{static_cast<uint64_t>(index)};
                  const uint64_t at_once = user_memory(4096);  // the epoch: long ago
                  meet(waiting);
                  for (int round = 0; round < each; ++round) {
                    PiMutex& lock = locks[random() % locks.size()];
                    const uint32_t dice = random() % 8;
                    const long result = dice == 0   ? lock.try_lock()
                                        : dice == 1 ? lock.lock(at_once)
                                                    : lock.lock();
                    if (result != 0) {
                      EXPECT_TRUE(dice == 0 ? result == error(Errno::kAgain)
                                            : result == error(Errno::kTimedOut))
                          << result;
                      EXPECT_LE(dice, 1u);
                      continue;
                    }
                    ++lock.guarded;
                    added.fetch_add(1);
                    if (random() % 4 == 0) (void)system_call(kNrYield);
                    // In order, so that no circle is closed; the priority goes along the chain.
                    if (&lock != &locks.back() && random() % 4 == 0) {
                      EXPECT_EQ(locks.back().lock(), 0);
                      ++locks.back().guarded;
                      added.fetch_add(1);
                      step();
                      locks.back().unlock();
                    }
                    lock.unlock();
                    step();
                  }
                  left.fetch_sub(1);
                }),
                0);
    }
    await_zero(left);
    for (PiMutex& lock : locks) EXPECT_EQ(load_word(lock.word), 0u);
  });
  EXPECT_EQ(locks[0].guarded + locks[1].guarded + locks[2].guarded, added.load());
}

TEST(PiFutex, CirclesAreRefused) {
  const int each = rounds(300);
  std::array<PiMutex, 2> locks;
  std::atomic<int> left{2}, waiting{2};
  run_program([&] {
    for (PiMutex& lock : locks) lock.word = user_memory(4096);
    for (size_t index = 0; index < 2; ++index) {
      ASSERT_GT(start_thread([&, index] {
                  PiMutex &first = locks[index], &second = locks[1 - index];
                  meet(waiting);
                  for (int round = 0; round < each; ++round) {
                    EXPECT_EQ(first.lock(), 0);
                    ++first.guarded;
                    EXPECT_EQ(first.lock(), error(Errno::kDeadLk));
                    const long result = second.lock();
                    if (result == 0) {
                      ++second.guarded;
                      second.unlock();
                    } else {
                      EXPECT_EQ(result, error(Errno::kDeadLk));
                    }
                    first.unlock();
                  }
                  left.fetch_sub(1);
                }),
                0);
    }
    await_zero(left);
    for (PiMutex& lock : locks) EXPECT_EQ(load_word(lock.word), 0u);
  });
}

// Signals interrupt waiters, whose handlers run, and who then wait again.
TEST(PiFutex, SignalsInterruptWaiters) {
  const int each = rounds(300);
  PiMutex lock;
  std::atomic<int> left{kThreads}, waiting{kThreads};
  std::atomic<long> sent{0}, handled{0}, added{0};
  std::array<std::atomic<long>, kThreads> numbers = {};
  run_program([&] {
    lock.word = user_memory(4096);
    set_handler(34, [&](int, const SignalInfo&) { handled.fetch_add(1); });
    for (int index = 0; index < kThreads; ++index) {
      ASSERT_GT(start_thread([&, index] {
                  numbers[static_cast<size_t>(index)] = get_tid();
                  meet(waiting);
                  Random random{static_cast<uint64_t>(index)};
                  for (int round = 0; round < each; ++round) {
                    EXPECT_EQ(lock.lock(), 0);
                    ++lock.guarded;
                    added.fetch_add(1);
                    const long target = numbers[random() % kThreads].load();
                    if (target != 0 && system_call(kNrTgkill, get_pid(), target, 34) == 0)
                      sent.fetch_add(1);
                    if (random() % 2 == 0) (void)system_call(kNrYield);
                    lock.unlock();
                  }
                  // Whoever has it as a target must find it, and its last signals are handled.
                  left.fetch_sub(1);
                  await_zero(left);
                  step();
                }),
                0);
    }
    await_zero(left);
    EXPECT_EQ(load_word(lock.word), 0u);
  });
  EXPECT_EQ(lock.guarded, added.load());
  EXPECT_GT(sent.load(), 0);
  // None has merged with another: it is a queued signal.
  EXPECT_EQ(handled.load(), sent.load());
}

struct RobustHead {
  uint64_t next;
  int64_t futex_offset;
  uint64_t pending;
};

// One entry: the list's pointer lies 8 bytes before the word.
void hold_robust(uint64_t head, uint64_t word, uint64_t flag) {
  const uint64_t entry = word - 8;
  store(entry, head);
  store(head, RobustHead{.next = entry | flag, .futex_offset = 8, .pending = 0});
  ASSERT_EQ(system_call(kNrSetRobustList, head, sizeof(RobustHead)), 0);
}
void let_go_robust(uint64_t head) {
  store(head, RobustHead{.next = head, .futex_offset = 8, .pending = 0});
}

// Threads that end while they own the lock: by exit, with and without waiters behind them.
TEST(PiFutex, OwnersDie) {
  const int generations = rounds(60);
  PiMutex lock;
  std::atomic<long> died{0}, told{0}, added{0};
  run_program([&] {
    lock.word = user_memory(4096) + 64;
    for (int generation = 0; generation < generations; ++generation) {
      std::atomic<int>* left = new std::atomic<int>(kThreads);
      for (int index = 0; index < kThreads; ++index) {
        ASSERT_GT(start_thread([&, index, generation, left] {
                    Random random{static_cast<uint64_t>(generation * kThreads + index)};
                    const uint64_t head = user_memory(4096);
                    for (int round = 0; round < 4; ++round) {
                      EXPECT_EQ(lock.lock(), 0);
                      hold_robust(head, lock.word, 1);
                      if (lock.make_consistent()) told.fetch_add(1);
                      ++lock.guarded;
                      added.fetch_add(1);
                      if (random() % 2 == 0) (void)system_call(kNrYield);
                      if (random() % 4 == 0) {
                        died.fetch_add(1);
                        left->fetch_sub(1);
                        return;
                      }
                      let_go_robust(head);
                      lock.unlock();
                    }
                    left->fetch_sub(1);
                  }),
                  0);
      }
      await_zero(*left);
      delete left;
    }
    while (thread_count() != 1) (void)system_call(kNrYield);
    EXPECT_EQ(lock.lock(), 0);
    if (lock.make_consistent()) told.fetch_add(1);
    lock.unlock();
    EXPECT_EQ(load_word(lock.word), 0u);
  });
  EXPECT_EQ(lock.guarded, added.load());
  EXPECT_GT(died.load(), 0);
  EXPECT_EQ(told.load(), died.load());
}

// Robust locks of the ordinary kind: the waiters are in a bucket, and one is woken at a death.
TEST(RobustFutex, OwnersDie) {
  const int generations = rounds(60);
  uint64_t word = 0;
  long guarded = 0;
  std::atomic<long> died{0}, told{0}, added{0};
  const auto lock = [&] {
    const uint32_t mine = my_number();
    uint32_t others = 0;  // who has waited does not know whether others do
    while (true) {
      const uint32_t now = load_word(word);
      if ((now & kFutexTidMask) == 0) {
        const uint32_t next = mine | (now & kFutexWaiters) | others;
        if (compare_exchange(word, now, next) != now) continue;
        return (now & kFutexOwnerDied) != 0;
      }
      if ((now & kFutexWaiters) == 0 && compare_exchange(word, now, now | kFutexWaiters) != now)
        continue;
      (void)system_call(kNrFutex, word, kWait, now | kFutexWaiters, 0);
      others = kFutexWaiters;
    }
  };
  run_program([&] {
    word = user_memory(4096) + 64;
    for (int generation = 0; generation < generations; ++generation) {
      std::atomic<int>* left = new std::atomic<int>(kThreads);
      for (int index = 0; index < kThreads; ++index) {
        ASSERT_GT(start_thread([&, index, generation, left] {
                    Random random{static_cast<uint64_t>(generation * kThreads + index)};
                    const uint64_t head = user_memory(4096);
                    for (int round = 0; round < 4; ++round) {
                      if (lock()) told.fetch_add(1);
                      hold_robust(head, word, 0);
                      ++guarded;
                      added.fetch_add(1);
                      if (random() % 2 == 0) (void)system_call(kNrYield);
                      if (random() % 4 == 0) {
                        died.fetch_add(1);
                        left->fetch_sub(1);
                        return;
                      }
                      let_go_robust(head);
                      const uint32_t before = load_word(word);
                      // The waiters' bit may come meanwhile.
                      uint32_t now = before;
                      while (true) {
                        const uint32_t found = compare_exchange(word, now, 0);
                        if (found == now) break;
                        now = found;
                      }
                      if ((now & kFutexWaiters) != 0) (void)system_call(kNrFutex, word, kWake, 1);
                    }
                    left->fetch_sub(1);
                  }),
                  0);
      }
      await_zero(*left);
      delete left;
    }
    while (thread_count() != 1) (void)system_call(kNrYield);
    if (lock()) told.fetch_add(1);
  });
  EXPECT_EQ(guarded, added.load());
  EXPECT_GT(died.load(), 0);
  EXPECT_EQ(told.load(), died.load());
}

// A condition variable as glibc made them of these two operations: each token is taken once, by a waiter that has the lock.
TEST(PiFutex, RequeueMovesEachWaiterOnce) {
  const int each = rounds(200);
  constexpr int kTakers = 4, kGivers = 2;
  PiMutex lock;
  uint64_t sequence = 0;
  int tokens = 0;
  std::atomic<int> left{kTakers + kGivers};
  std::atomic<long> taken{0}, moved{0};
  run_program([&] {
    const uint64_t words = user_memory(8192);
    lock.word = words;
    sequence = words + 4096;
    for (int index = 0; index < kTakers; ++index) {
      ASSERT_GT(start_thread([&] {
                  for (int round = 0; round < each; ++round) {
                    EXPECT_EQ(lock.lock(), 0);
                    while (tokens == 0) {
                      const uint32_t seen = load_word(sequence);
                      lock.unlock();
                      const long result =
                          system_call(kNrFutex, sequence, kWaitRequeuePi, seen, 0, lock.word);
                      if (result != 0) {
                        EXPECT_EQ(result, error(Errno::kAgain));
                        EXPECT_EQ(lock.lock(), 0);
                      }
                    }
                    --tokens;
                    ++lock.guarded;
                    taken.fetch_add(1);
                    lock.unlock();
                  }
                  left.fetch_sub(1);
                }),
                0);
    }
    for (int index = 0; index < kGivers; ++index) {
      ASSERT_GT(start_thread([&, index] {
                  Random random{static_cast<uint64_t>(index)};
                  for (int round = 0; round < each * kTakers / kGivers; ++round) {
                    EXPECT_EQ(lock.lock(), 0);
                    ++tokens;
                    const uint32_t now = load_word(sequence) + 1;
                    store(sequence, now);
                    const long result = system_call(kNrFutex, sequence, kCmpRequeuePi, 1,
                                                    random() % 3, lock.word, now);
                    EXPECT_GE(result, 0);
                    moved.fetch_add(result);
                    lock.unlock();
                    if (random() % 2 == 0) (void)system_call(kNrYield);
                  }
                  left.fetch_sub(1);
                }),
                0);
    }
    await_zero(left);
    EXPECT_EQ(load_word(lock.word), 0u);
  });
  EXPECT_EQ(tokens, 0);
  EXPECT_EQ(taken.load(), static_cast<long>(each) * kTakers);
  EXPECT_EQ(lock.guarded, taken.load());
}

// exit_group(2) takes owners and waiters at whatever they are doing; nothing of them stays behind.
TEST(PiFutex, WholeProcessesDie) {
  const int each = rounds(30);
  run_program([&] {
    for (int round = 0; round < each; ++round) {
      const long child = start_process([round] {
        const uint64_t word = user_memory(4096);
        const uint64_t sequence = user_memory(4096);
        for (int index = 0; index < kThreads; ++index) {
          (void)start_thread([word, sequence, index] {
            PiMutex lock{.word = word};
            while (true) {
              if (index < 2) {
                (void)system_call(kNrFutex, sequence, kWaitRequeuePi, 0, 0, word);
                if ((load_word(word) & kFutexTidMask) == my_number()) lock.unlock();
              } else {
                EXPECT_EQ(lock.lock(), 0);
                (void)system_call(kNrFutex, sequence, kCmpRequeuePi, 1, 1, word, 0);
                (void)system_call(kNrYield);
                lock.unlock();
              }
            }
          });
        }
        for (int i = 0; i < round * 3; ++i) (void)system_call(kNrYield);
        exit_program(round & 0x7f);
      });
      EXPECT_GT(child, 0);
      EXPECT_EQ(system_call(kNrWait4, child, 0, 0, 0), child);
    }
  });
}

}  // namespace
}  // namespace occlum
