// Vec and String: against std::vector, at the edges, and with each allocation failing.
#include "libos/lib/vec.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "libos/lib/ptr.h"
#include "libos/lib/string.h"
#include "tests/unit/harness/heap.h"

namespace occlum {
namespace {

using testing::with_each_allocation_failing;

// Not trivially anything, and self-referential: a bytewise move would break it.
struct Tracked {
  Tracked() : Tracked(0) {}
  explicit Tracked(int v) : value(v), self(this) { ++alive; }
  Tracked(const Tracked& other) : Tracked(other.value) {}
  Tracked(Tracked&& other) noexcept : Tracked(other.value) { other.value = -1; }
  Tracked& operator=(const Tracked& other) {
    value = other.value;
    return *this;
  }
  Tracked& operator=(Tracked&& other) noexcept {
    value = std::exchange(other.value, -1);
    return *this;
  }
  ~Tracked() {
    EXPECT_EQ(self, this);
    --alive;
  }
  operator int() const { return value; }
  int value;
  Tracked* self;
  static inline int alive = 0;
};

template <typename T>
class VecTest : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(Tracked::alive, 0);
    EXPECT_EQ(testing::live_allocations(), 0u);
  }
};
using Elements = ::testing::Types<int, Tracked>;
TYPED_TEST_SUITE(VecTest, Elements);

template <typename T>
void expect_equal(const Vec<T>& vec, const std::vector<int>& model) {
  ASSERT_EQ(vec.size(), model.size());
  std::size_t i = 0;
  for (const T& element : vec) EXPECT_EQ(static_cast<int>(element), model[i++]);
}

TYPED_TEST(VecTest, RandomOperationsMatchStdVector) {
  std::mt19937 random(1);
  Vec<TypeParam> vec;
  std::vector<int> model;
  for (int step = 0; step < 5000; ++step) {
    const int value = static_cast<int>(random() % 1000);
    const std::size_t at = model.empty() ? 0 : random() % model.size();
    switch (random() % 9) {
      case 0:
      case 1:
      case 2:
        MUST(vec.push(TypeParam(value)));
        model.push_back(value);
        break;
      case 3:
        MUST(vec.insert(at, TypeParam(value)));
        model.insert(model.begin() + static_cast<long>(at), value);
        break;
      case 4:
        if (model.empty()) break;
        EXPECT_EQ(static_cast<int>(vec.remove(at)), model[at]);
        model.erase(model.begin() + static_cast<long>(at));
        break;
      case 5:
        if (model.empty()) break;
        EXPECT_EQ(static_cast<int>(vec.pop()), model.back());
        model.pop_back();
        break;
      case 6: {
        const std::size_t size = random() % 40;
        MUST(vec.resize(size));
        model.resize(size);
        break;
      }
      case 7:
        vec.remove_if([](const TypeParam& v) { return static_cast<int>(v) % 3 == 0; });
        std::erase_if(model, [](int v) { return v % 3 == 0; });
        break;
      case 8:
        if (model.empty()) break;
        EXPECT_EQ(static_cast<int>(vec.swap_remove(at)), model[at]);
        model[at] = model.back();
        model.pop_back();
        break;
    }
    expect_equal(vec, model);
  }
  expect_equal(MUST(vec.clone()), model);
  Vec<TypeParam> moved = std::move(vec);
  EXPECT_TRUE(vec.is_empty());
  expect_equal(moved, model);
  vec = std::move(moved);
  expect_equal(vec, model);
  vec.clear();
  EXPECT_EQ(vec.capacity(), 0u);
}

TYPED_TEST(VecTest, EveryAllocationFailure) {
  const std::size_t made = with_each_allocation_failing([] {
    Vec<TypeParam> vec;
    for (int i = 0; i < 100; ++i) {
      const std::size_t before = vec.size();
      Result<void> result = i % 2 ? vec.push(TypeParam(i)) : vec.insert(0, TypeParam(i));
      if (result.is_error()) {
        EXPECT_EQ(result.error(), Errno::kNoMem);
        EXPECT_EQ(vec.size(), before);
        return;
      }
    }
    Result<Vec<TypeParam>> copy = vec.clone();
    if (copy.is_error()) return;
    EXPECT_EQ(copy.value().size(), 100u);
  });
  EXPECT_GE(made, 5u);
}

TEST(Vec, Edges) {
  Vec<int> vec;
  EXPECT_TRUE(vec.span().empty());
  EXPECT_EQ(vec.begin(), vec.end());
  MUST(vec.reserve(0));
  MUST(vec.resize(0));
  MUST(vec.append({}));
  vec.truncate(3);
  EXPECT_EQ(vec.capacity(), 0u);
  MUST(vec.reserve(3));
  EXPECT_EQ(vec.capacity(), 3u);
  vec.push_reserved(1);
  const std::array more = {2, 3};
  MUST(vec.append(more));
  EXPECT_EQ(vec.capacity(), 3u);
  EXPECT_EQ(vec.first(), 1);
  EXPECT_EQ(vec.last(), 3);
  EXPECT_EQ(vec.reserve(SIZE_MAX).error(), Errno::kNoMem);
  EXPECT_EQ(vec.resize(SIZE_MAX / 4).error(), Errno::kNoMem);
  EXPECT_EQ(vec.size(), 3u);
  EXPECT_EQ(MUST(Vec<long>::create(5))[4], 0);
}

TYPED_TEST(VecTest, AppendsItself) {
  Vec<TypeParam> vec;
  std::vector<int> model = {1, 2, 3};
  for (const int i : model) MUST(vec.push(TypeParam(i)));
  for (int i = 0; i < 6; ++i) {
    MUST(vec.append(vec.span()));
    const std::vector<int> half = model;
    model.insert(model.end(), half.begin(), half.end());
  }
  expect_equal(vec, model);
}

TEST(Vec, MoveOnlyElements) {
  Vec<OwnPtr<int>> vec;
  for (int i = 0; i < 20; ++i) MUST(vec.insert(0, MUST(make_own<int>(i))));
  OwnPtr<int> taken = vec.remove(3);
  EXPECT_EQ(*taken, 16);
  Vec<Vec<int>> nested = MUST(Vec<Vec<int>>::create(2));
  MUST(nested[1].push(4));
  EXPECT_EQ(nested[1].last(), 4);
}

TEST(VecDeathTest, IndicesAreChecked) {
  Vec<int> vec = MUST(Vec<int>::create(2));
  const std::size_t two = 2;
  EXPECT_DEATH(vec[two] = 1, "index < size_");
  EXPECT_DEATH(MUST(vec.insert(3, 1)), "index <= size_");
  EXPECT_DEATH((void)vec.remove(2), "index < size_");
  EXPECT_DEATH((void)Vec<int>().pop(), "panic");
  EXPECT_DEATH((void)Vec<int>().first(), "panic");
  EXPECT_DEATH((void)*vec.end(), "");
  EXPECT_DEATH(
      {
        while (true) vec.push_reserved(1);
      },
      "panic");
}

TEST(String, Operations) {
  String text = MUST(String::create("abc"));
  EXPECT_EQ(text.view(), "abc");
  EXPECT_EQ(text.size(), 3u);
  MUST(text.append("de"));
  MUST(text.append('f'));
  EXPECT_EQ(text, "abcdef");
  EXPECT_TRUE(text > "abc");
  EXPECT_EQ(MUST(String::concat("/", text, "", "/x")), "/abcdef/x");
  String copy = MUST(text.clone());
  MUST(copy.append(copy.view()));
  MUST(copy.append(copy.view().substr(1)));
  EXPECT_EQ(copy, "abcdefabcdefbcdefabcdef");
  copy.truncate(6);
  text.truncate(1);
  EXPECT_EQ(text, "a");
  EXPECT_EQ(copy, "abcdef");
  EXPECT_LT(text, copy);
  text.clear();
  EXPECT_TRUE(text.is_empty());
  EXPECT_EQ(text, "");
  EXPECT_EQ(MUST(String::create("")), text);
  EXPECT_EQ(MUST(String::create(std::string_view("a\0b", 3))).size(), 3u);
}

TEST(String, EveryAllocationFailure) {
  with_each_allocation_failing([] {
    Result<String> text = String::create("12345678");
    if (text.is_error()) return;
    for (int i = 0; i < 10; ++i) {
      if (text.value().append("abcdefgh").is_error()) {
        EXPECT_EQ(text.value().size() % 8, 0u);
        return;
      }
    }
    EXPECT_EQ(text.value().size(), 88u);
  });
}

}  // namespace
}  // namespace occlum
