// Result, TRY and MUST: values, errors, void, move-only values, conversions.
#include "libos/lib/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>

#include "libos/lib/function_ref.h"

namespace occlum {
namespace {

// In registers: this is what makes Result<long> free.
static_assert(std::is_trivially_copyable_v<Result<long>> && sizeof(Result<long>) == 16);
static_assert(!std::is_copy_constructible_v<Result<std::unique_ptr<int>>>);
static_assert(!std::is_constructible_v<Result<int>, const char*>);

using Box = std::unique_ptr<int>;

Result<int> half(int number) {
  if (number % 2 != 0) return Errno::kInval;
  return number / 2;
}

Result<int> quarter(int number) { return half(TRY(half(number))); }

Result<void> must_be_even(int number) {
  TRY(half(number));
  return {};
}

Result<Box> box(int number) {
  TRY(must_be_even(number));
  return std::make_unique<int>(number);
}

Result<Box> rebox(int number) {
  Box inner = TRY(box(number));
  ++*inner;
  return inner;
}

TEST(Result, ValueAndError) {
  EXPECT_EQ(half(8).value(), 4);
  EXPECT_FALSE(half(8).is_error());
  EXPECT_EQ(half(7).error(), Errno::kInval);
  EXPECT_TRUE(half(7).is_error());
}

TEST(Result, TryYieldsOrReturns) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(6).error(), Errno::kInval);
  EXPECT_EQ(quarter(5).error(), Errno::kInval);
  EXPECT_FALSE(must_be_even(2).is_error());
  EXPECT_EQ(must_be_even(1).error(), Errno::kInval);
}

TEST(Result, MoveOnly) {
  Result<Box> result = rebox(4);
  Box value = result.release_value();
  EXPECT_EQ(*value, 5);
  EXPECT_FALSE(result.is_error());
  EXPECT_EQ(result.value(), nullptr);
  EXPECT_EQ(rebox(3).error(), Errno::kInval);

  Result<Box> moved = std::move(result);
  moved = box(2);
  EXPECT_EQ(*moved.value(), 2);
  moved = Errno::kIo;
  EXPECT_EQ(moved.error(), Errno::kIo);
  moved = box(6);
  EXPECT_EQ(*MUST(std::move(moved)), 6);
}

TEST(Result, DestroysTheValueOnce) {
  auto counted = std::make_shared<int>(1);
  {
    Result<std::shared_ptr<int>> result = std::shared_ptr<int>(counted);
    Result<std::shared_ptr<int>> other = std::move(result);
    EXPECT_EQ(counted.use_count(), 2);
    std::shared_ptr<int> out = other.release_value();
    EXPECT_EQ(counted.use_count(), 2);
    other = Errno::kIo;
  }
  EXPECT_EQ(counted.use_count(), 1);
}

struct Base {
  virtual ~Base() = default;
};
struct Derived : Base {};

TEST(Result, Converts) {
  const auto make = []() -> Result<std::unique_ptr<Derived>> {
    return std::make_unique<Derived>();
  };
  Result<std::unique_ptr<Base>> base = make();
  EXPECT_NE(base.value(), nullptr);
  Result<std::unique_ptr<Derived>> failed = Errno::kNoMem;
  base = std::move(failed);
  EXPECT_EQ(base.error(), Errno::kNoMem);
  const Result<long> widened = half(2);
  EXPECT_EQ(widened.value(), 1);
  Result<int*> pointer = nullptr;
  EXPECT_EQ(pointer.value(), nullptr);
}

TEST(Result, InLambdasAndConditions) {
  const auto sum = [](int a, int b) -> Result<int> { return TRY(half(a)) + TRY(half(b)); };
  EXPECT_EQ(sum(2, 4).value(), 3);
  EXPECT_EQ(sum(2, 3).error(), Errno::kInval);
}

TEST(ResultDeathTest, WrongSidePanics) {
  EXPECT_DEATH((void)half(1).value(), "value of a Result that is EINVAL");
  EXPECT_DEATH((void)half(2).error(), "error of a Result that has a value");
  EXPECT_DEATH((void)MUST(half(1)), "MUST\\(half\\(1\\)\\): EINVAL");
  EXPECT_DEATH(must_be_even(1).value(), "EINVAL");
  EXPECT_DEATH((void)Result<int>(static_cast<Errno>(0)), "panic");
}

TEST(Errno, NumbersAndNames) {
  EXPECT_EQ(static_cast<int>(Errno::kNameTooLong), 36);
  EXPECT_EQ(static_cast<int>(Errno::kHwPoison), 133);
  EXPECT_EQ(errno_name(Errno::kBadFd), "EBADF");
  EXPECT_EQ(errno_name(Errno::kWouldBlock), "EAGAIN");
  EXPECT_EQ(errno_name(static_cast<Errno>(41)), "E?");
  EXPECT_EQ(errno_return_value(Errno::kNoSys), -38);
  EXPECT_EQ(errno_return_value(Errno::kRestartSys), -512);
}

TEST(FunctionRef, BorrowsLambdas) {
  int calls = 0;
  const auto add = [&](int a) { return calls += a; };
  const FunctionRef<int(int)> ref = add;
  EXPECT_EQ(ref(2), 2);
  const FunctionRef<int(int)> copy = ref;
  EXPECT_EQ(copy(3), 5);
  const auto take = [](FunctionRef<std::unique_ptr<int>(std::unique_ptr<int>)> f) {
    return f(std::make_unique<int>(1));
  };
  EXPECT_EQ(*take([](std::unique_ptr<int> p) { return p; }), 1);
}

}  // namespace
}  // namespace occlum
