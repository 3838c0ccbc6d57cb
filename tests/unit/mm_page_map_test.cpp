// The page map, the page allocator, the kernel heap and the range allocator, each against a simple model.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "libos/arch/hosted/memory.h"
#include "libos/lib/bits.h"
#include "libos/mm/kernel_heap.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/page_map.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/reclaim.h"
#include "libos/mm/stats.h"
#include "tests/unit/harness/heap.h"
#include "tests/unit/harness/memory.h"

namespace occlum {
namespace {

using testing::machine_can_load;
using testing::machine_can_store;

uint8_t* bytes(uint64_t address) { return reinterpret_cast<uint8_t*>(address); }

AddressRange take(uint64_t pages) {
  Result<AddressRange> range = allocate_range(pages * kPageSize, kPageSize);
  EXPECT_FALSE(range.is_error());
  return range.value();
}

void give_back(AddressRange range) {
  page_map::release(range, page_map::Rights::kRevoke);
  free_range(range);
}

TEST(PageMap, FreshPagesAreZeroAndHaveTheirRights) {
  const AddressRange range = take(8);
  EXPECT_FALSE(machine_can_load(range.start));
  ASSERT_FALSE(page_map::populate_zero(range, kProtReadWrite).is_error());
  EXPECT_TRUE(machine_can_store(range.start));
  for (uint64_t i = 0; i < range.size(); ++i) ASSERT_EQ(bytes(range.start)[i], 0);
  EXPECT_EQ(page_map::present_pages(range), 8u);
  give_back(range);
  EXPECT_FALSE(machine_can_load(range.start));
  EXPECT_EQ(page_map::kept_pages(range), 8u);
}

TEST(PageMap, ReadWritePagesNeedNoHostCall) {
  const uint64_t before = hosted_memory_counters().host_calls;
  // Far away, so that nothing is reused.
  const AddressRange range{user_range().end - 64 * kPageSize, user_range().end};
  ASSERT_FALSE(allocate_range_at(range).is_error());
  ASSERT_FALSE(page_map::populate_zero(range, kProtReadWrite).is_error());
  EXPECT_EQ(hosted_memory_counters().host_calls, before);
  page_map::release(range, page_map::Rights::kLeave);
  ASSERT_FALSE(page_map::populate_kept(range, kProtReadWrite).is_error());
  EXPECT_EQ(hosted_memory_counters().host_calls, before);
  page_map::release(range, page_map::Rights::kRevoke);
  EXPECT_EQ(hosted_memory_counters().host_calls, before + 1);
  ASSERT_FALSE(page_map::decommit_kept(range).is_error());
  EXPECT_EQ(page_map::kept_pages(range), 0u);
  free_range(range);
}

TEST(PageMap, RecycledPagesAreZeroed) {
  const AddressRange range = take(4);
  ASSERT_FALSE(page_map::populate_zero(range, kProtReadWrite).is_error());
  std::memset(bytes(range.start), 7, range.size());
  page_map::release(range, page_map::Rights::kRevoke);
  ASSERT_FALSE(page_map::populate_zero(range, Prot::kRead).is_error());
  EXPECT_TRUE(machine_can_load(range.start));
  EXPECT_FALSE(machine_can_store(range.start));
  for (uint64_t i = 0; i < range.size(); ++i) ASSERT_EQ(bytes(range.start)[i], 0);
  give_back(range);
}

TEST(PageMap, RightsGoUpAndDown) {
  const AddressRange range = take(4);
  ASSERT_FALSE(page_map::populate_zero(range, Prot::kRead).is_error());
  const Prot all[] = {Prot::kNone, Prot::kRead, kProtReadWrite, kProtAll,
                      Prot::kRead | Prot::kExec};
  for (const Prot from : all) {
    for (const Prot to : all) {
      ASSERT_FALSE(page_map::set_prot(range, from).is_error());
      ASSERT_FALSE(page_map::set_prot(range, to).is_error());
      EXPECT_EQ(page_map::state_of(range.start).effective(), to);
      EXPECT_EQ(machine_can_load(range.start), to != Prot::kNone);
      EXPECT_EQ(machine_can_store(range.start), has(to, Prot::kWrite));
    }
  }
  give_back(range);
}

TEST(PageMap, CopyIntoTheEpcm) {
  const AddressRange range = take(2);
  const uint64_t source = allocate_pages(1).value();
  std::memset(bytes(source), 42, kPageSize);
  const uint64_t calls = hosted_memory_counters().host_calls;
  const bool fresh = page_map::kept_pages(range) == 0;
  ASSERT_FALSE(page_map::populate_copy(range.start, source, Prot::kRead | Prot::kExec).is_error());
  EXPECT_EQ(bytes(range.start)[100], 42);
  EXPECT_FALSE(machine_can_store(range.start));
  if (fresh) EXPECT_EQ(hosted_memory_counters().host_calls, calls);
  ASSERT_FALSE(page_map::populate_copy(range.start + kPageSize, source, kProtReadWrite).is_error());
  EXPECT_TRUE(machine_can_store(range.start + kPageSize));
  free_pages(source, 1);
  give_back(range);
}

TEST(PageMap, TheHostMayHaveNoMemory) {
  const AddressRange range{user_range().end - 512 * kPageSize, user_range().end - 400 * kPageSize};
  ASSERT_FALSE(allocate_range_at(range).is_error());
  fail_commits_after(16);
  EXPECT_TRUE(page_map::populate_zero(range, kProtReadWrite).is_error());
  fail_commits_after(UINT64_MAX);
  EXPECT_FALSE(page_map::populate_zero(range, kProtReadWrite).is_error());
  give_back(range);
}

TEST(PageMap, LimitAndReclaim) {
  reclaim_kept_pages(uint64_t{1} << 30);
  const AddressRange range = take(256);
  ASSERT_FALSE(page_map::populate_zero(range, kProtReadWrite).is_error());
  const uint64_t committed = memory_counters.committed_pages.load();
  set_memory_limit((committed + 10) * kPageSize);
  const AddressRange more{user_range().end - 1024 * kPageSize, user_range().end - 900 * kPageSize};
  ASSERT_FALSE(allocate_range_at(more).is_error());
  EXPECT_TRUE(page_map::populate_zero(more, kProtReadWrite).is_error());
  give_back(range);  // now the kept pages make room
  EXPECT_FALSE(page_map::populate_zero(more, kProtReadWrite).is_error());
  set_memory_limit(0);
  give_back(more);
}

TEST(PageMap, KeptPagesAboveTheMarginGoBack) {
  trim_kept_pages();
  const AddressRange range = take(4096);
  ASSERT_FALSE(page_map::populate_zero(range, kProtReadWrite).is_error());
  give_back(range);
  set_kept_margin(0);
  for (int i = 0; i < 2000; ++i) trim_kept_pages();  // the recent peak decays
  EXPECT_LT(memory_counters.user_kept_pages.load(), 1024u);
  set_kept_margin(64 * 1024 * 1024);
}

TEST(PageAllocator, RandomRuns) {
  std::mt19937 random(1);
  std::map<uint64_t, uint64_t> runs;
  for (int step = 0; step < 20000; ++step) {
    if (runs.empty() || random() % 5 < 3) {
      const uint64_t count = random() % 8 == 0 ? 1 + random() % 300 : 1 + random() % 6;
      const Result<uint64_t> run = allocate_pages(count);
      ASSERT_FALSE(run.is_error());
      const uint64_t start = run.value();
      auto next = runs.lower_bound(start);
      if (next != runs.end()) ASSERT_LE(start + count * kPageSize, next->first);
      if (next != runs.begin()) {
        const auto before = std::prev(next);
        ASSERT_LE(before->first + before->second * kPageSize, start);
      }
      runs[start] = count;
      std::memset(bytes(start), static_cast<int>(start >> 12), kPageSize);
      std::memset(bytes(start + (count - 1) * kPageSize), static_cast<int>(start >> 12), kPageSize);
    } else {
      auto it =
          std::next(runs.begin(), static_cast<long>(random() % std::min<size_t>(runs.size(), 50)));
      const auto mark = static_cast<uint8_t>(it->first >> 12);
      ASSERT_EQ(bytes(it->first)[kPageSize / 2], mark);
      ASSERT_EQ(bytes(it->first + it->second * kPageSize - 1)[0], mark);
      free_pages(it->first, it->second);
      runs.erase(it);
    }
    if (step % 1000 == 999) trim_free_pages(random() % 200);
  }
  for (const auto& [start, count] : runs) free_pages(start, count);
  const uint64_t free_now = memory_counters.kernel_free_pages.load();
  EXPECT_GT(trim_free_pages(free_now), 0u);
}

// What is kept of the stacks of ended tasks goes back but for a page of each, and they are used again.
TEST(PageAllocator, FreeStacksAreTrimmed) {
  constexpr uint64_t kStacks = 100;
  const auto allocate = [] {
    std::vector<uint64_t> stacks;
    for (uint64_t i = 0; i < kStacks; ++i) {
      stacks.push_back(allocate_kernel_stack().value());
      for (uint64_t page = 1; page <= kKernelStackPages; ++page)
        std::memset(bytes(stacks.back() - page * kPageSize), static_cast<int>(i + page), kPageSize);
    }
    for (uint64_t i = 0; i < kStacks; ++i) {
      for (uint64_t page = 1; page <= kKernelStackPages; ++page)
        EXPECT_EQ(*bytes(stacks[i] - page * kPageSize), static_cast<uint8_t>(i + page));
    }
    return stacks;
  };
  std::vector<uint64_t> stacks = allocate();
  for (const uint64_t stack : stacks) free_kernel_stack(stack);
  trim_free_pages(uint64_t{1} << 30);
  const uint64_t kept = memory_counters.kept_stack_pages.load();
  EXPECT_GE(kept, kStacks);
  EXPECT_LT(kept, 2 * kStacks);  // those of tests before, too
  EXPECT_EQ(trim_free_pages(1), 0u);

  const uint64_t pages = memory_counters.kernel_pages.load();
  stacks = allocate();
  EXPECT_LE(memory_counters.kernel_pages.load(), pages + kStacks * (kKernelStackPages - 1));
  EXPECT_EQ(memory_counters.kept_stack_pages.load(), kept - kStacks);
  for (const uint64_t stack : stacks) free_kernel_stack(stack);
}

TEST(PageAllocator, StacksHaveGuards) {
  std::vector<uint64_t> stacks;
  for (int i = 0; i < 100; ++i) {
    const uint64_t top = allocate_kernel_stack().value();
    std::memset(bytes(top - kKernelStackPages * kPageSize), 1, kKernelStackPages * kPageSize);
    EXPECT_FALSE(machine_can_load(top - kKernelStackPages * kPageSize - 1));
    stacks.push_back(top);
  }
  for (const uint64_t top : stacks) free_kernel_stack(top);
  EXPECT_EQ(allocate_kernel_stack().value(), stacks.back());
  free_kernel_stack(stacks.back());
}

TEST(KernelHeap, RandomSizes) {
  std::mt19937 random(2);
  struct Block {
    void* memory;
    size_t size, align;
    uint8_t mark;
  };
  std::vector<Block> blocks;
  const uint64_t before = memory_counters.heap_bytes.load();
  const auto check_and_free = [&](const Block& block) {
    const auto* data = static_cast<const uint8_t*>(block.memory);
    for (size_t i = 0; i < block.size; ++i) ASSERT_EQ(data[i], block.mark);
    kernel_heap::free(block.memory, block.size);
  };
  for (int step = 0; step < 50000; ++step) {
    if (blocks.size() < 100 || (blocks.size() < 3000 && random() % 2 == 0)) {
      const size_t size = random() % 16 == 0 ? 1 + random() % 20000 : 1 + random() % 600;
      const size_t align = size_t{1} << random() % 8;
      void* memory = kernel_heap::allocate(size, align);
      ASSERT_NE(memory, nullptr);
      ASSERT_EQ(reinterpret_cast<uint64_t>(memory) % align, 0u);
      const auto mark = static_cast<uint8_t>(random());
      std::memset(memory, mark, size);
      blocks.push_back({memory, size, align, mark});
    } else {
      const size_t i = random() % blocks.size();
      check_and_free(blocks[i]);
      blocks[i] = blocks.back();
      blocks.pop_back();
    }
  }
  for (const Block& block : blocks) check_and_free(block);
  EXPECT_EQ(memory_counters.heap_bytes.load(), before);
}

TEST(KernelHeapDeathTest, NoticesADoubleFree) {
  void* memory = kernel_heap::allocate(100, 8);
  void* other = kernel_heap::allocate(100, 8);
  kernel_heap::free(memory, 100);
  EXPECT_DEATH(kernel_heap::free(static_cast<char*>(other) + 8, 100), "");
  kernel_heap::free(other, 100);
}

// Every page of a window of the user range, as the model sees it.
TEST(RangeAllocator, AgainstAModel) {
  std::mt19937 random(3);
  std::map<uint64_t, uint64_t> taken;  // start -> end
  const auto overlaps = [&](AddressRange range) {
    auto it = taken.upper_bound(range.start);
    if (it != taken.begin() && std::prev(it)->second > range.start) return true;
    return it != taken.end() && it->first < range.end;
  };
  const uint64_t base = user_range().start + (uint64_t{1} << 33);
  for (int step = 0; step < 30000; ++step) {
    const uint64_t size = (1 + random() % (random() % 10 == 0 ? 5000 : 20)) * kPageSize;
    switch (random() % 4) {
      case 0: {
        const Result<AddressRange> range = allocate_range(size, kPageSize << (random() % 4));
        ASSERT_FALSE(range.is_error());
        // Also the neighbouring pages are free.
        ASSERT_FALSE(overlaps({range.value().start - kPageSize, range.value().end + kPageSize}));
        taken[range.value().start] = range.value().end;
        break;
      }
      case 1: {
        const uint64_t start = base + random() % 100000 * kPageSize;
        const AddressRange range{start, start + size};
        ASSERT_EQ(is_range_free(range), !overlaps(range));
        ASSERT_EQ(!allocate_range_at(range).is_error(), !overlaps(range));
        if (!overlaps(range)) taken[range.start] = range.end;
        break;
      }
      default: {
        if (taken.empty()) break;
        auto it = taken.lower_bound(random() % 2 == 0 ? 0 : base + random() % 100000 * kPageSize);
        if (it == taken.end()) it = taken.begin();
        const AddressRange whole{it->first, it->second};
        taken.erase(it);
        if (random() % 3 == 0 && whole.size() > 2 * kPageSize) {
          // Only the middle of it.
          const AddressRange middle{whole.start + kPageSize, whole.end - kPageSize};
          taken[whole.start] = middle.start;
          taken[middle.end] = whole.end;
          free_range(middle);
        } else {
          free_range(whole);
        }
      }
    }
  }
  for (const auto& [start, end] : taken) free_range({start, end});
  EXPECT_EQ(linear_use().free_ranges, 1u);
}

TEST(RangeAllocator, FirstFitReuses) {
  const AddressRange a = take(10), b = take(20);
  free_range(a);
  EXPECT_EQ(take(10).start, a.start);
  free_range(a);
  free_range(b);
}

}  // namespace
}  // namespace occlum
