// OwnPtr and RefPtr: ownership, destruction through bases, allocation failure.
#include "libos/lib/ptr.h"

#include <gtest/gtest.h>

#include "tests/unit/harness/heap.h"

namespace occlum {
namespace {

using testing::FailAllocation;
using testing::live_allocations;

struct Counter {
  explicit Counter(int& alive) : alive_(alive) { ++alive_; }
  Counter(const Counter&) = delete;
  ~Counter() { --alive_; }
  int& alive_;
};

struct Shape {
  virtual ~Shape() = default;
  virtual int sides() const = 0;
};
struct Extra {
  virtual ~Extra() = default;
  long padding = 7;
};
// Its Shape is not at its start: freeing must find the start and the size of the whole.
struct alignas(64) Square : Extra, Shape {
  explicit Square(int& alive) : counter(alive) {}
  int sides() const override { return 4; }
  Counter counter;
};

class File : public RefCounted<File> {
 public:
  virtual ~File() = default;
  virtual int kind() const { return 0; }
};
class Pipe : public Extra, public File {
 public:
  explicit Pipe(int& alive) : counter_(alive) {}
  int kind() const override { return 1; }

 private:
  Counter counter_;
};
class Plain : public RefCounted<Plain> {
 public:
  explicit Plain(int& alive) : counter_(alive) {}

 private:
  Counter counter_;
};

class PtrTest : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(live_allocations(), 0u);
  }
  int alive = 0;
};

TEST_F(PtrTest, OwnPtrMovesAndClears) {
  OwnPtr<Counter> a = MUST(make_own<Counter>(alive));
  OwnPtr<Counter> b = std::move(a);
  EXPECT_EQ(a, nullptr);
  EXPECT_TRUE(b);
  EXPECT_EQ(alive, 1);
  b = MUST(make_own<Counter>(alive));
  EXPECT_EQ(alive, 1);
  OwnPtr<Counter>& same = b;
  b = std::move(same);
  EXPECT_EQ(alive, 1);
  b = nullptr;
  EXPECT_EQ(alive, 0);
}

TEST_F(PtrTest, OwnPtrDestroysThroughABase) {
  OwnPtr<Square> square = MUST(make_own<Square>(alive));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(square.get()) % 64, 0u);
  OwnPtr<Shape> shape = std::move(square);
  EXPECT_NE(static_cast<void*>(shape.get()), dynamic_cast<void*>(shape.get()));
  EXPECT_EQ(shape->sides(), 4);
  OwnPtr<Square> again = static_ptr_cast<Square>(std::move(shape));
  EXPECT_EQ(again->counter.alive_, 1);
  shape = std::move(again);
}

TEST_F(PtrTest, OwnPtrLeakAndAdopt) {
  Counter* raw = MUST(make_own<Counter>(alive)).leak();
  EXPECT_EQ(alive, 1);
  OwnPtr<Counter>::adopt(*raw).clear();
}

struct Node {
  OwnPtr<Node> next;
};
TEST_F(PtrTest, OwnPtrOfAnIncompleteType) {
  OwnPtr<Node> list = MUST(make_own<Node>());
  list->next = MUST(make_own<Node>());
}

TEST_F(PtrTest, RefPtrCounts) {
  RefPtr<Pipe> pipe = MUST(make_ref<Pipe>(alive));
  EXPECT_EQ(pipe->reference_count(), 1u);
  RefPtr<File> file = pipe;
  EXPECT_EQ(pipe->reference_count(), 2u);
  EXPECT_EQ(file, pipe);
  EXPECT_EQ(file, pipe.get());
  pipe = nullptr;
  EXPECT_EQ(file->kind(), 1);
  RefPtr<Pipe> back = static_ptr_cast<Pipe>(file);
  EXPECT_EQ(file->reference_count(), 2u);
  back = static_ptr_cast<Pipe>(RefPtr<File>(std::move(file)));
  EXPECT_EQ(back->reference_count(), 1u);
  file = std::move(back);
  RefPtr<File> other = ref_to(*file);
  EXPECT_EQ(file->reference_count(), 2u);
  RefPtr<File>& same = file;
  file = same;
  EXPECT_EQ(file->reference_count(), 2u);
  file.clear();
  EXPECT_EQ(alive, 1);
}

TEST_F(PtrTest, RefPtrWithoutVirtuals) {
  RefPtr<Plain> plain = MUST(make_ref<Plain>(alive));
  RefPtr<const Plain> constant = plain;
  plain.clear();
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(static_ptr_cast<Plain>(RefPtr<Plain>()), nullptr);
}

TEST_F(PtrTest, TryRefAndAdopt) {
  RefPtr<Plain> plain = MUST(make_ref<Plain>(alive));
  ASSERT_TRUE(plain->try_ref());
  RefPtr<Plain> second = RefPtr<Plain>::adopt(*plain);
  EXPECT_EQ(plain->reference_count(), 2u);
}

Result<RefPtr<File>> open_pipe(int& alive) { return make_ref<Pipe>(alive); }
TEST_F(PtrTest, MakersConvertAndFail) {
  EXPECT_EQ(MUST(open_pipe(alive))->kind(), 1);
  FailAllocation failure(1);
  EXPECT_EQ(open_pipe(alive).error(), Errno::kNoMem);
  FailAllocation again(1);
  EXPECT_EQ(make_own<Counter>(alive).error(), Errno::kNoMem);
}

TEST(PtrDeathTest, NullIsNotFollowed) {
  OwnPtr<Node> own;
  RefPtr<File> ref;
  EXPECT_DEATH((void)own->next, "null pointer followed");
  EXPECT_DEATH((void)ref->kind(), "null pointer followed");
  EXPECT_DEATH((void)*ref, "null pointer followed");
}

}  // namespace
}  // namespace occlum
