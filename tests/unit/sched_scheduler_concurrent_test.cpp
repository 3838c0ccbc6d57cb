// The scheduler on vCPUs that are host threads: random programs of tasks that wait for each other, and what must hold
// whoever runs when: nobody waits for ever, a timer rings once each time, not early and not after it was cancelled, a lock has one
// owner, a task that ended is freed.
#include "tests/unit/sched_machine.h"

// The C++ run time's own `abi`, which gtest includes, must not be ours.
#define abi cxx_run_time_abi
#include <gtest/gtest.h>
#undef abi

#include <random>

namespace occlum {
namespace {

using testing::HostedTask;
using testing::make_task;
using testing::run_tasks;
using testing::user_code;

// A semaphore as a program of the LibOS would write it.
class Tokens {
 public:
  void give(bool to_all) {
    count_.fetch_add(1);
    if (to_all) {
      queue_.wake_all();
    } else {
      (void)queue_.wake_one();
    }
  }
  // Until it has one. With a deadline it looks around now and then.
  void take(Nanoseconds patience, Interruptible interruptible) {
    while (true) {
      const Nanoseconds deadline = patience == kNever ? kNever : monotonic_now() + patience;
      const Result<void> got =
          wait_until(queue_, deadline, interruptible, [&] { return try_take(); });
      if (!got.is_error()) return;
      static_cast<HostedTask&>(current_task()).interrupted.store(false);
    }
  }
  int left() const { return count_.load(); }

 private:
  bool try_take() {
    int seen = count_.load();
    while (seen > 0) {
      if (count_.compare_exchange_weak(seen, seen - 1)) return true;
    }
    return false;
  }
  std::atomic<int> count_{0};
  WaitQueue queue_;
};

struct Book {
  uint64_t entries = 0;
  uint64_t sum = 0;
};

class Ring final : public Timer {
 public:
  explicit Ring(Task& task) : task_(task) {}
  std::atomic<int> rang{0};
  bool is_alive = true;  // plain: whoever reads it after cancel() must be alone

 private:
  void expired() override {
    EXPECT_TRUE(is_alive);
    rang.fetch_add(1);
    task_.unpark();
  }
  Task& task_;
};

struct World {
  static constexpr int kTasks = 24;
  std::array<Tokens, 3> tokens;
  MutexLocked<Book> book{LockRank::kFiles};
  SpinLocked<Book> spin_book{LockRank::kPipe};
  std::array<HostedTask*, kTasks> tasks = {};  // alive as long as `running` says so
  std::atomic<uint64_t> children{0};
  std::atomic<int> at_end{0};
  WaitQueue end;
};

void timer_round(std::mt19937& random) {
  Ring ring(current_task());
  const Nanoseconds when = monotonic_now() + random() % 150'000;
  ring.arm(when);
  int arms = 1;
  if (random() % 2 == 0) {
    while (ring.rang.load() == 0) (void)park(kNever, Interruptible::kNo);
    EXPECT_GE(monotonic_now(), when);
  } else if (random() % 2 == 0) {
    ring.arm(when + random() % 50'000);
    ++arms;
    user_code();
  }
  ring.cancel();
  ring.is_alive = false;
  EXPECT_LE(ring.rang.load(), arms);
}

void sleep_round(std::mt19937& random) {
  const Nanoseconds deadline = monotonic_now() + random() % 100'000;
  // Others may unpark us for no reason of ours.
  while (park(deadline, Interruptible::kNo) != ParkResult::kTimedOut) {
  }
  EXPECT_GE(monotonic_now(), deadline);
}

void child_round(World& world) {
  std::atomic<bool> ended{false};
  WaitQueue queue;
  std::atomic<int> users{1};
  // The queue is on our stack: the child is done with it when the count says so.
  start_task(make_task([&] {
    world.children.fetch_add(1);
    user_code();
    ended.store(true);
    queue.wake_all();
    users.store(0);
  }));
  EXPECT_FALSE(
      wait_until(queue, kNever, Interruptible::kNo, [&] { return ended.load(); }).is_error());
  while (users.load() != 0) yield_task();
}

Scheduling random_scheduling(std::mt19937& random) {
  Scheduling scheduling;
  switch (random() % 4) {
    case 0:
      scheduling.policy = SchedulingPolicy::kFifo;
      scheduling.priority = static_cast<uint8_t>(1 + random() % 99);
      break;
    case 1:
      scheduling.policy = SchedulingPolicy::kRoundRobin;
      scheduling.priority = static_cast<uint8_t>(1 + random() % 99);
      break;
    default:
      scheduling.nice = static_cast<int8_t>(random() % 40) - 20;
  }
  return scheduling;
}

void one_round(World& world, std::mt19937& random, int round) {
  HostedTask& other = *world.tasks[random() % World::kTasks];
  Tokens& tokens = world.tokens[random() % world.tokens.size()];
  switch (random() % 14) {
    case 0:
    case 1:
    case 2: {
      const Nanoseconds patience = random() % 2 == 0 ? kNever : random() % 60'000;
      tokens.give(random() % 4 == 0);
      tokens.take(patience, random() % 2 == 0 ? Interruptible::kYes : Interruptible::kNo);
      break;
    }
    case 3:
    case 4:
      world.book.with([&](Book& book) {
        ++book.entries;
        if (round % 8 == 0) yield_task();
        ++book.sum;
      });
      break;
    case 5:
      world.spin_book.with([&](Book& book) { book.sum += ++book.entries; });
      break;
    case 6:
      timer_round(random);
      break;
    case 7:
      sleep_round(random);
      break;
    case 8:
      other.unpark();
      break;
    case 9:
      other.interrupted.store(true);
      other.interrupt();
      break;
    case 10:
      if (round % 4 == 0) child_round(world);
      break;
    case 11:
      other.set_affinity(random() % 2 == 0 ? kAllVcpus : 1 + random() % 15);
      break;
    case 12:
      if (random() % 2 == 0) {
        other.set_scheduling(random_scheduling(random));
      } else {
        other.inherit_priority(static_cast<uint8_t>(random() % 100));
      }
      break;
    default:
      yield_task();
  }
  user_code();
}

void run_world(uint32_t seed, int rounds) {
  World world;
  std::vector<RefPtr<HostedTask>> tasks;
  for (int i = 0; i < World::kTasks; ++i) {
    tasks.push_back(make_task([&world, seed, i, rounds] {
      std::mt19937 random(seed * 1000 + static_cast<uint32_t>(i));
      for (int round = 0; round < rounds; ++round) one_round(world, random, round);
      // The others have a pointer to us until all are here.
      world.at_end.fetch_add(1);
      world.end.wake_all();
      while (wait_until(world.end, kNever, Interruptible::kNo, [&] {
               return world.at_end.load() == World::kTasks;
             }).is_error()) {
      }
    }));
    world.tasks[static_cast<size_t>(i)] = tasks.back().get();
  }
  run_tasks(std::move(tasks));
  for (const Tokens& tokens : world.tokens) EXPECT_EQ(tokens.left(), 0);
  world.book.with([](Book& book) { EXPECT_EQ(book.entries, book.sum); });
  world.spin_book.with(
      [](Book& book) { EXPECT_EQ(book.sum, book.entries * (book.entries + 1) / 2); });
}

TEST(Scheduler, RandomPrograms) {
  for (uint32_t seed = 1; seed <= 20; ++seed) run_world(seed, 60);
}

// Two tasks that hand one permit to and fro: each wake-up is the only one.
TEST(Scheduler, PingPong) {
  constexpr int kRounds = 3'000, kPairs = 3;
  struct Pair {
    std::array<std::atomic<int>, 2> balls = {1, 0};
    std::array<HostedTask*, 2> players = {};
  };
  std::array<Pair, kPairs> pairs;
  std::vector<RefPtr<HostedTask>> tasks;
  std::atomic<int> finished{0};
  for (Pair& pair : pairs) {
    for (size_t side = 0; side < 2; ++side) {
      tasks.push_back(make_task([&pair, &finished, side] {
        for (int round = 0; round < kRounds; ++round) {
          while (pair.balls[side].exchange(0) == 0) (void)park(kNever, Interruptible::kNo);
          pair.balls[1 - side].store(1);
          pair.players[1 - side]->unpark();
          user_code();
        }
        finished.fetch_add(1);
        while (finished.load() != 2 * kPairs) yield_task();
      }));
      pair.players[side] = tasks.back().get();
    }
  }
  run_tasks(std::move(tasks));
}

// Tasks that begin and end as fast as they can, each with a stack that the next may get.
TEST(Scheduler, ShortLives) {
  constexpr int kStarters = 6, kEach = 150;
  std::atomic<int> lived{0};
  std::vector<RefPtr<HostedTask>> tasks;
  for (int i = 0; i < kStarters; ++i) {
    tasks.push_back(make_task([&lived] {
      for (int n = 0; n < kEach; ++n) {
        start_task(make_task([&lived] { lived.fetch_add(1); }));
        user_code();
        if (n % 16 == 0) yield_task();
      }
    }));
  }
  run_tasks(std::move(tasks));
  EXPECT_EQ(lived.load(), kStarters * kEach);
}

}  // namespace
}  // namespace occlum
