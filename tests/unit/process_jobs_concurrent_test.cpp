// Processes that stop, continue, end and are waited for, from several sides at once: no thread is lost in a stop, all of
// them stand while their process is said to be stopped, and each child is reaped once, by whoever its parent is then.
#include "tests/unit/process_machine.h"

#include <map>

namespace occlum {
namespace {

using namespace testing;

constexpr uint64_t kNoHang = 1, kStopped = 2, kExited = 4, kContinued = 8, kNoWait = 0x01000000;
constexpr uint64_t kAll = 0, kPid = 1, kSetSubreaper = 36;
constexpr uint64_t kVm = kCloneVm | kSigChld;  // a process in the same memory: quick to make

// What a thread does in between, by dice: runs, sleeps where signals wake it, starts another, forks.
void do_something(uint32_t dice, uint64_t scratch) {
  switch (dice % 5) {
    case 0:
      return step();
    case 1:
      (void)system_call(kNrYield);
      return;
    case 2: {
      struct {
        int64_t seconds, nanoseconds;
      } timeout{0, 20'000};
      store(scratch, timeout);
      constexpr uint64_t kWait = 0;
      store(scratch + 64, uint32_t{0});
      const long result = system_call(kNrFutex, scratch + 64, kWait, 0, scratch);
      EXPECT_TRUE(result == error(Errno::kTimedOut) || result == error(Errno::kIntr)) << result;
      return;
    }
    case 3:
      EXPECT_GT(start_thread([] { step(); }), 0);
      return;
    case 4: {
      const long child = clone_with(kVm, [] { step(); });
      EXPECT_GT(child, 0);
      EXPECT_EQ(system_call(kNrWait4, child, 0, 0, 0), child);
      return;
    }
  }
}

TEST(Jobs, AllThreadsReachTheEnd) {
  constexpr int kThreads = 4, kSenders = 2;
  const int processes = rounds(3), each = 60;
  run_program([&] {
    for (int number = 0; number < processes; ++number) {
      std::atomic<int> done{0}, senders_left{kSenders};
      std::atomic<bool> is_over{false};
      const long child = start_process([&, number] {
        // Of another group than its parent: so SIGTSTP stops it.
        EXPECT_EQ(system_call(kNrSetpgid, 0, 0), 0);
        std::atomic<int> left{kThreads};
        for (int index = 0; index < kThreads; ++index) {
          EXPECT_GT(start_thread([&, index, number] {
                      Random random{static_cast<uint64_t>(number * kThreads + index)};
                      const uint64_t scratch = user_memory(4096);
                      for (int round = 0; round < each; ++round) {
                        do_something(random(), scratch);
                        done.fetch_add(1);
                      }
                      left.fetch_sub(1);
                    }),
                    0);
        }
        await_zero(left);
        exit_program(7);
      });
      ASSERT_GT(child, 0);
      for (int sender = 0; sender < kSenders; ++sender) {
        ASSERT_GT(start_thread([&, sender, child] {
                    Random random{static_cast<uint64_t>(sender)};
                    while (!is_over.load()) {
                      (void)system_call(kNrKill, child, random() % 2 == 0 ? kSigStop : kSigTstp);
                      for (uint32_t i = random() % 4; i != 0; --i) (void)system_call(kNrYield);
                      (void)system_call(kNrKill, child, kSigCont);
                      for (uint32_t i = random() % 16; i != 0; --i) (void)system_call(kNrYield);
                    }
                    senders_left.fetch_sub(1);
                  }),
                  0);
      }
      const uint64_t status = user_memory(4096);
      while (true) {
        ASSERT_EQ(system_call(kNrWait4, child, status, kStopped | kContinued, 0), child);
        const auto value = load<uint32_t>(status);
        if (value == 0xffff) continue;
        if ((value & 0xff) == 0x7f) {
          EXPECT_TRUE(value >> 8 == kSigStop || value >> 8 == kSigTstp) << value;
          continue;
        }
        EXPECT_EQ(value, 7u << 8);
        break;
      }
      is_over.store(true);
      await_zero(senders_left);
      EXPECT_EQ(done.load(), kThreads * each);
    }
  });
}

// While wait(2) says that a process is stopped no thread of it does anything; then all go on.
TEST(Jobs, StoppedMeansAll) {
  constexpr int kThreads = 4;
  const int each = rounds(25);
  std::atomic<long> work{0};
  run_program([&] {
    const long child = start_process([&] {
      for (int index = 0; index < kThreads; ++index) {
        EXPECT_GT(start_thread([&, index] {
                    Random random{static_cast<uint64_t>(index)};
                    const uint64_t scratch = user_memory(4096);
                    while (true) {
                      work.fetch_add(1);
                      // A child of its own would go on working.
                      do_something(random() % 4, scratch);
                    }
                  }),
                  0);
      }
      while (true) (void)system_call(kNrPause);
    });
    ASSERT_GT(child, 0);
    const uint64_t status = user_memory(4096);
    for (int round = 0; round < each; ++round) {
      ASSERT_EQ(system_call(kNrKill, child, kSigStop), 0);
      ASSERT_EQ(system_call(kNrWait4, child, status, kStopped, 0), child);
      EXPECT_EQ(load<uint32_t>(status), static_cast<uint32_t>(kSigStop) << 8 | 0x7f);
      const long before = work.load();
      for (int i = 0; i < 20; ++i) (void)system_call(kNrYield);
      EXPECT_EQ(work.load(), before);
      ASSERT_EQ(system_call(kNrKill, child, kSigCont), 0);
      ASSERT_EQ(system_call(kNrWait4, child, status, kContinued, 0), child);
      EXPECT_EQ(load<uint32_t>(status), 0xffffu);
      while (work.load() < before + kThreads) (void)system_call(kNrYield);
    }
    ASSERT_EQ(system_call(kNrKill, child, kSigKill), 0);
    ASSERT_EQ(system_call(kNrWait4, child, status, 0, 0), child);
    EXPECT_EQ(load<uint32_t>(status), static_cast<uint32_t>(kSigKill));
  });
}

// A fatal signal, or exit_group(2), takes threads out of a stop that is under way, complete, or over.
TEST(Jobs, DeathEndsStops) {
  constexpr int kThreads = 3;
  const int each = rounds(40);
  run_program([&] {
    const uint64_t status = user_memory(4096);
    for (int round = 0; round < each; ++round) {
      Random random{static_cast<uint64_t>(round)};
      std::atomic<bool> ends{false};
      const bool by_itself = round % 3 == 0;
      const long child = start_process([&, round] {
        for (int index = 0; index < kThreads; ++index) {
          (void)start_thread([&, round, index] {
            Random own{static_cast<uint64_t>(round * kThreads + index)};
            const uint64_t scratch = user_memory(4096);
            while (true) {
              do_something(own() % 4, scratch);
              if (index == 0 && ends.load()) exit_program(9);
            }
          });
        }
        while (true) (void)system_call(kNrPause);
      });
      ASSERT_GT(child, 0);
      std::atomic<int> left{1};
      std::atomic<bool> is_over{false};
      ASSERT_GT(start_thread([&, child] {
                  while (!is_over.load()) {
                    (void)system_call(kNrKill, child, kSigStop);
                    (void)system_call(kNrYield);
                    (void)system_call(kNrKill, child, kSigCont);
                  }
                  left.fetch_sub(1);
                }),
                0);
      for (uint32_t i = random() % 32; i != 0; --i) (void)system_call(kNrYield);
      if (by_itself) {
        ends.store(true);
      } else {
        EXPECT_EQ(system_call(kNrKill, child, round % 3 == 1 ? kSigKill : kSigTerm), 0);
      }
      EXPECT_EQ(system_call(kNrWait4, child, status, 0, 0), child);
      EXPECT_EQ(load<uint32_t>(status), static_cast<uint32_t>(by_itself        ? 9 << 8
                                                              : round % 3 == 1 ? kSigKill
                                                                               : kSigTerm));
      is_over.store(true);
      await_zero(left);
    }
  });
}

// Who was reaped, and with which status.
struct Reaped {
  std::mutex mutex;
  std::map<long, int> times, status;
  std::atomic<int> count{0};

  void note(long pid, int its_status) {
    const std::lock_guard guard(mutex);
    ++times[pid];
    status[pid] = its_status;
    count.fetch_add(1);
  }
};

// One way to wait for any child. False: there is none at the moment.
bool reap_one(Reaped& reaped, uint64_t scratch, int way) {
  const uint64_t status = scratch, info = scratch + 64, set = scratch + 256;
  switch (way % 4) {
    case 0: {
      const long pid = system_call(kNrWait4, -1, status, 0, 0);
      if (pid > 0) reaped.note(pid, load<int>(status));
      return pid > 0;
    }
    case 1: {
      const long found = system_call(kNrWaitid, kAll, 0, info, kExited | kNoWait, 0);
      if (found != 0) return false;
      // Somebody else may be faster now.
      const Pid pid = load<SignalInfo>(info).child.pid;
      if (system_call(kNrWaitid, kPid, pid, info, kExited, 0) != 0) return true;
      const SignalInfo its = load<SignalInfo>(info);
      EXPECT_EQ(its.child.pid, pid);
      EXPECT_EQ(its.code, kCldExited);
      reaped.note(its.child.pid, its.child.status << 8);
      return true;
    }
    case 2: {
      const long pid = system_call(kNrWait4, -1, status, kNoHang, 0);
      if (pid > 0) reaped.note(pid, load<int>(status));
      return pid > 0;
    }
    default: {  // by its signal, which stands for any number of children
      store(set, SignalSet::of(kSigChld));
      struct {
        int64_t seconds, nanoseconds;
      } timeout{0, 100'000};
      store(scratch + 320, timeout);
      if (system_call(kNrSigtimedwait, set, 0, scratch + 320, sizeof(SignalSet)) != kSigChld)
        return false;
      bool found = false;
      while (true) {
        const long pid = system_call(kNrWait4, -1, status, kNoHang, 0);
        if (pid <= 0) return found;
        reaped.note(pid, load<int>(status));
        found = true;
      }
    }
  }
}

TEST(Wait, EachChildIsReapedOnce) {
  constexpr int kWaiters = 4, kMakers = 2;
  const int each = rounds(120);
  Reaped reaped;
  std::mutex mutex;
  std::map<long, int> made;
  std::atomic<int> left{kWaiters};
  run_program([&] {
    const uint64_t blocked = user_memory(4096);
    change_mask(kBlock, SignalSet::of(kSigChld), blocked);
    for (int index = 0; index < kWaiters; ++index) {
      ASSERT_GT(start_thread([&, index] {
                  const uint64_t scratch = user_memory(4096);
                  while (reaped.count.load() != each * kMakers) {
                    if (!reap_one(reaped, scratch, index)) (void)system_call(kNrYield);
                  }
                  left.fetch_sub(1);
                }),
                0);
    }
    for (int maker = 0; maker < kMakers; ++maker) {
      ASSERT_GT(start_thread([&, maker] {
                  for (int number = 0; number < each; ++number) {
                    const int code = (maker * each + number) % 100;
                    const long pid = clone_with(number % 8 == 0 ? kSigChld : kVm, [code] {
                      if (code % 3 == 0) step();
                      (void)system_call(kNrExit, code);
                    });
                    EXPECT_GT(pid, 0);
                    const std::lock_guard guard(mutex);
                    made[pid] = code << 8;
                  }
                }),
                0);
    }
    await_zero(left);
    EXPECT_EQ(system_call(kNrWait4, -1, 0, 0, 0), error(Errno::kChild));
  });
  EXPECT_EQ(reaped.count.load(), each * kMakers);
  EXPECT_EQ(made, reaped.status);
  for (const auto& [pid, times] : reaped.times) EXPECT_EQ(times, 1) << pid;
}

// Children of children that are gone go to the subreaper, dead or alive.
TEST(Wait, OrphansGoToTheSubreaper) {
  constexpr int kWaiters = 3, kBelow = 3;
  const int each = rounds(40);
  const int all = each * (1 + kBelow);
  Reaped reaped;
  std::atomic<int> left{kWaiters};
  run_program([&] {
    ASSERT_EQ(system_call(kNrPrctl, kSetSubreaper, 1, 0, 0, 0), 0);
    for (int index = 0; index < kWaiters; ++index) {
      ASSERT_GT(start_thread([&, index] {
                  const uint64_t scratch = user_memory(4096);
                  while (reaped.count.load() != all) {
                    if (!reap_one(reaped, scratch, index)) (void)system_call(kNrYield);
                  }
                  left.fetch_sub(1);
                }),
                0);
    }
    for (int number = 0; number < each; ++number) {
      ASSERT_GT(clone_with(kVm,
                           [number] {
                             for (int below = 0; below < kBelow; ++below) {
                               EXPECT_GT(clone_with(kVm,
                                                    [below] {
                                                      for (int i = 0; i < below; ++i)
                                                        (void)system_call(kNrYield);
                                                    }),
                                         0);
                             }
                             for (int i = number % 3; i != 0; --i) (void)system_call(kNrYield);
                           }),
                0);
    }
    await_zero(left);
    EXPECT_EQ(system_call(kNrWait4, -1, 0, 0, 0), error(Errno::kChild));
  });
  EXPECT_EQ(reaped.count.load(), all);
  for (const auto& [pid, times] : reaped.times) EXPECT_EQ(times, 1) << pid;
}

// With SIGCHLD ignored children vanish: who waits for them wakes when the last has.
TEST(Wait, IgnoredChildrenVanish) {
  constexpr int kWaiters = 2;
  const int each = rounds(40);
  run_program([&] {
    set_action(kSigChld, SignalAction{.handler = kSigIgn, .flags = 0, .restorer = 0, .mask = {}});
    for (int round = 0; round < each; ++round) {
      std::atomic<int> left{kWaiters};
      for (int child = 0; child < 4; ++child) ASSERT_GT(clone_with(kVm, [] { step(); }), 0);
      for (int index = 0; index < kWaiters; ++index) {
        ASSERT_GT(start_thread([&] {
                    EXPECT_EQ(system_call(kNrWait4, -1, 0, 0, 0), error(Errno::kChild));
                    left.fetch_sub(1);
                  }),
                  0);
      }
      await_zero(left);
    }
  });
}

}  // namespace
}  // namespace occlum
