// Locks: what `with` returns, and the rank check.
#include "libos/lib/lock.h"

#include <gtest/gtest.h>

#include <memory>

namespace occlum {
namespace {

template <typename L>
class LockTest : public ::testing::Test {};
using Locks = ::testing::Types<SpinLocked<int>, MutexLocked<int>>;
TYPED_TEST_SUITE(LockTest, Locks);

TYPED_TEST(LockTest, WithReturnsWhatTheFunctionReturns) {
  TypeParam locked{LockRank::kPipe, 4};
  EXPECT_EQ(locked.with([](int& value) { return value + 1; }), 5);
  locked.with([](int& value) { value = 6; });
  int outside = 0;
  int& reference = locked.with([&](int&) -> int& { return outside; });
  EXPECT_EQ(&reference, &outside);
  const TypeParam& constant = locked;
  const auto box = constant.with([](const int& value) { return std::make_unique<int>(value); });
  EXPECT_EQ(*box, 6);
  EXPECT_EQ(current_lock_ranks().held(), 0u);
}

TYPED_TEST(LockTest, TryWith) {
  TypeParam locked{LockRank::kPipe, 1};
  EXPECT_TRUE(locked.try_with([](int& value) { ++value; }));
  locked.with([&](int& value) {
    EXPECT_EQ(value, 2);
    EXPECT_FALSE(locked.try_with([](int&) {}));
  });
  EXPECT_TRUE(locked.try_with([](int&) {}));
}

TYPED_TEST(LockTest, TryWithMayGoAgainstTheOrder) {
  TypeParam outer{LockRank::kProcess, 1};
  TypeParam inner{LockRank::kPipe, 2};
  inner.with([&](int&) { EXPECT_TRUE(outer.try_with([](int&) {})); });
  EXPECT_EQ(current_lock_ranks().held(), 0u);
}

TYPED_TEST(LockTest, WithBothInEitherOrder) {
  TypeParam a{LockRank::kPipe, 1}, b{LockRank::kPipe, 2};
  EXPECT_EQ(with_both(a, b, [](int& x, int& y) { return x * 10 + y; }), 12);
  EXPECT_EQ(with_both(b, a, [](int& x, int& y) { return x * 10 + y; }), 21);
  EXPECT_EQ(current_lock_ranks().held(), 0u);
}

TYPED_TEST(LockTest, NestingInRankOrder) {
  TypeParam outer{LockRank::kProcess, 1};
  TypeParam inner{LockRank::kPipe, 2};
  outer.with([&](int&) { inner.with([&](int&) { EXPECT_EQ(current_lock_ranks().held(), 2u); }); });
}

TYPED_TEST(LockTest, WrongOrderDies) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  TypeParam outer{LockRank::kProcess, 1};
  TypeParam inner{LockRank::kPipe, 2};
  TypeParam peer{LockRank::kPipe, 3};
  EXPECT_DEATH(inner.with([&](int&) { outer.with([](int&) {}); }), "lock rank");
  EXPECT_DEATH(inner.with([&](int&) { peer.with([](int&) {}); }), "lock rank");
  EXPECT_DEATH(inner.with([&](int&) { inner.with([](int&) {}); }), "lock rank");
  EXPECT_DEATH(with_both(inner, inner, [](int&, int&) {}), "panic");
}

TEST(LockDeathTest, NoSleepingUnderASpinLock) {
  SpinLocked<int> spin{LockRank::kProcess};
  MutexLocked<int> mutex{LockRank::kPipe};
  EXPECT_DEATH(spin.with([&](int&) { mutex.with([](int&) {}); }), "spin lock is held");
  EXPECT_DEATH(spin.with([](int&) { assert_may_sleep(); }), "sleeping");
  mutex.with([](int&) { assert_may_sleep(); });
}

TEST(LockDeathTest, RankStack) {
  LockRankStack stack;
  stack.push(LockRank::kPipe, LockKind::kSpin, LockRankStack::Order::kLater);
  stack.push(LockRank::kTimer, LockKind::kSpin, LockRankStack::Order::kLater);
  stack.pop(LockRank::kPipe, LockKind::kSpin);
  EXPECT_DEATH(stack.pop(LockRank::kPipe, LockKind::kSpin), "not held");
  EXPECT_DEATH(stack.push(LockRank::kSocket, LockKind::kSpin, LockRankStack::Order::kLater),
               "lock rank");
  stack.pop(LockRank::kTimer, LockKind::kSpin);
  EXPECT_EQ(stack.held(), 0u);
  EXPECT_EQ(stack.spin_locks_held(), 0u);
}

}  // namespace
}  // namespace occlum
