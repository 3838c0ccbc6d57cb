// Locks and reference counts with threads; for TSan.
#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/vec.h"

namespace occlum {
namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 5000;

template <typename F>
void in_threads(F&& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

struct Pair {
  long a = 0;
  long b = 0;
};

template <typename L>
class ConcurrentLockTest : public ::testing::Test {};
using Locks = ::testing::Types<SpinLocked<Pair>, MutexLocked<Pair>>;
TYPED_TEST_SUITE(ConcurrentLockTest, Locks);

TYPED_TEST(ConcurrentLockTest, MutualExclusion) {
  TypeParam locked{LockRank::kPipe};
  in_threads([&](int) {
    for (int i = 0; i < kRounds; ++i) {
      locked.with([](Pair& pair) {
        EXPECT_EQ(pair.a, pair.b);
        ++pair.a;
        ++pair.b;
      });
      if (i % 16 == 0) locked.try_with([](Pair& pair) { EXPECT_EQ(pair.a, pair.b); });
    }
  });
  locked.with([](Pair& pair) { EXPECT_EQ(pair.a, long{kThreads} * kRounds); });
}

TYPED_TEST(ConcurrentLockTest, WithBothDoesNotDeadlock) {
  std::array<TypeParam, 3> accounts = {TypeParam{LockRank::kPipe}, TypeParam{LockRank::kPipe},
                                       TypeParam{LockRank::kPipe}};
  in_threads([&](int thread) {
    for (int i = 0; i < kRounds; ++i) {
      const std::size_t from = static_cast<std::size_t>(i + thread) % 3;
      const std::size_t to = (from + 1 + static_cast<std::size_t>(i) % 2) % 3;
      with_both(accounts[from], accounts[to], [](Pair& x, Pair& y) {
        --x.a;
        ++y.a;
      });
    }
  });
  long sum = 0;
  for (TypeParam& account : accounts) sum += account.with([](Pair& pair) { return pair.a; });
  EXPECT_EQ(sum, 0);
}

// Holders that sleep let the waiters sleep, too: the contended path, and its wake-ups.
TEST(ConcurrentMutex, WaitersSleepAndWake) {
  MutexLocked<int> locked{LockRank::kPipe};
  in_threads([&](int) {
    for (int i = 0; i < 200; ++i) {
      locked.with([](int& value) {
        ++value;
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      });
    }
  });
  EXPECT_EQ(locked.with([](int& value) { return value; }), kThreads * 200);
}

class Object : public RefCounted<Object> {
 public:
  explicit Object(long& destroyed) : destroyed_(destroyed) {}
  ~Object() {
    // Written by all threads, read here: the last unref must have seen them all.
    for (const long mark : marks) EXPECT_EQ(mark, kRounds);
    ++destroyed_;
  }
  std::array<long, kThreads> marks = {};

 private:
  long& destroyed_;
};

TEST(ConcurrentRefPtr, DestroyedOnceAfterAll) {
  long destroyed = 0;
  for (int round = 0; round < 20; ++round) {
    std::array<RefPtr<Object>, kThreads> owners;
    owners[0] = MUST(make_ref<Object>(destroyed));
    for (int i = 1; i < kThreads; ++i) owners[static_cast<std::size_t>(i)] = owners[0];
    in_threads([&](int thread) {
      RefPtr<Object> mine = std::move(owners[static_cast<std::size_t>(thread)]);
      for (int i = 0; i < kRounds; ++i) {
        const RefPtr<Object> copy = mine;
        ++copy->marks[static_cast<std::size_t>(thread)];
      }
    });
    EXPECT_EQ(destroyed, round + 1);
  }
}

// A table that does not own: lookups race with the last unref.
TEST(ConcurrentRefPtr, TryRefNeverRevives) {
  struct Entry : RefCounted<Entry> {
    explicit Entry(SpinLocked<Entry*>& t) : table(t) {}
    ~Entry() {
      table.with([&](Entry*& slot) {
        if (slot == this) slot = nullptr;
      });
    }
    SpinLocked<Entry*>& table;
    std::atomic<int> uses = 0;
  };
  SpinLocked<Entry*> table{LockRank::kDentry, nullptr};
  in_threads([&](int) {
    for (int i = 0; i < kRounds; ++i) {
      RefPtr<Entry> found = table.with([](Entry*& slot) {
        return slot != nullptr && slot->try_ref() ? RefPtr<Entry>::adopt(*slot) : nullptr;
      });
      if (!found) {
        found = MUST(make_ref<Entry>(table));
        table.with([&](Entry*& slot) { slot = found.get(); });
      }
      ++found->uses;
    }
  });
  EXPECT_EQ(table.with([](Entry*& slot) { return slot; }), nullptr);
}

}  // namespace
}  // namespace occlum
