// Conflict groups: address spaces at the same addresses, against a model of what each must see. Single threaded, in
// random sequences, and from several threads, each with programs of its own that fork.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "libos/arch/hosted/memory.h"
#include "libos/lib/bits.h"
#include "libos/mm/address_space.h"
#include "libos/mm/page_map.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/range_counts.h"
#include "libos/mm/stats.h"
#include "libos/mm/user.h"
#include "tests/unit/harness/heap.h"
#include "tests/unit/ipc_tasks.h"

namespace occlum {

bool recall_program(uint64_t) { return true; }

namespace {

constexpr uint64_t kWindowPages = 48;

// A file whose page n starts with n + 1.
class NumberedPages : public PageSource {
 public:
  Result<void> read_page(uint64_t index, std::span<std::byte, 4096> page) override {
    std::memset(page.data(), 0, page.size());
    page[0] = static_cast<std::byte>(index + 1);
    return {};
  }
  Result<void> write_page(uint64_t, std::span<const std::byte, 4096>, uint64_t) override {
    return {};
  }
  bool has_store() const override { return true; }
};

uint64_t window_start(int which) {
  return user_range().start + (uint64_t{8} << 30) +
         static_cast<uint64_t>(which) * 4 * kWindowPages * kPageSize;
}

// One program and what it must see.
class Program {
 public:
  Program(uint64_t window, RefPtr<MemoryObject> file) : window_(window), file_(std::move(file)) {
    space_ = AddressSpace::create().release_value();
  }

  void step(std::mt19937& random) {
    const uint64_t first = random() % kWindowPages;
    const uint64_t count = 1 + random() % std::min<uint64_t>(kWindowPages - first, 8);
    switch (random() % 10) {
      case 0:
        return map_anonymous(first, count);
      case 1:
        return map_file(first, count);
      case 2:
        return unmap(first, count);
      case 3:
        return protect(first, count, random() % 3);
      case 4:
        return drop(first, count);
      case 5:
      case 6:
      case 7:
        return write(first, static_cast<uint8_t>(1 + random() % 255));
      default:
        return check(first);
    }
  }

  void check_all() {
    for (uint64_t page = 0; page < kWindowPages; ++page) check(page);
  }

  Result<RefPtr<AddressSpace>> try_fork() { return space_->fork(); }
  Program fork() {
    Program child = *this;
    child.space_ = space_->fork().release_value();
    return child;
  }

 private:
  struct Page {
    Prot prot;
    std::optional<uint64_t> file;  // its page there
    uint8_t value;
  };

  uint64_t at(uint64_t page) const { return window_ + page * kPageSize; }

  void map(uint64_t first, uint64_t count, MapSource source) {
    MapRequest request;
    request.address = at(first);
    request.length = count * kPageSize;
    request.prot = kProtReadWrite;
    request.placement = Placement::kFixed;
    request.source = std::move(source);
    ASSERT_EQ(space_->map(std::move(request)).value(), at(first));
  }
  void map_anonymous(uint64_t first, uint64_t count) {
    map(first, count, {});
    for (uint64_t i = first; i < first + count; ++i) pages_[i] = {kProtReadWrite, std::nullopt, 0};
  }
  void map_file(uint64_t first, uint64_t count) {
    MapSource source;
    source.object = file_;
    source.offset = first * kPageSize;
    map(first, count, std::move(source));
    for (uint64_t i = first; i < first + count; ++i)
      pages_[i] = {kProtReadWrite, i, static_cast<uint8_t>(i + 1)};
  }
  void unmap(uint64_t first, uint64_t count) {
    ASSERT_FALSE(space_->unmap(at(first), count * kPageSize).is_error());
    for (uint64_t i = first; i < first + count; ++i) pages_.erase(i);
  }
  void protect(uint64_t first, uint64_t count, unsigned which) {
    const Prot prot = which == 0 ? Prot::kNone : which == 1 ? Prot::kRead : kProtReadWrite;
    bool is_whole = true;
    for (uint64_t i = first; i < first + count; ++i) is_whole = is_whole && pages_.contains(i);
    const Result<void> done = space_->protect(at(first), count * kPageSize, prot);
    ASSERT_EQ(!done.is_error(), is_whole);
    // What lies before a hole has changed.
    for (uint64_t i = first; i < first + count && pages_.contains(i); ++i) pages_.at(i).prot = prot;
  }
  void drop(uint64_t first, uint64_t count) {
    constexpr int kDontNeed = 4;
    (void)space_->advise(at(first), count * kPageSize, kDontNeed);
    for (uint64_t i = first; i < first + count; ++i) {
      const auto page = pages_.find(i);
      if (page == pages_.end()) continue;
      page->second.value = page->second.file ? static_cast<uint8_t>(*page->second.file + 1) : 0;
    }
  }
  void write(uint64_t page, uint8_t value) {
    const auto known = pages_.find(page);
    const bool allowed = known != pages_.end() && has(known->second.prot, Prot::kWrite);
    const auto bytes = std::as_bytes(std::span(&value, 1));
    ASSERT_EQ(!copy_to_user(*space_, UserAddress(at(page)), bytes).is_error(), allowed);
    if (allowed) known->second.value = value;
  }
  void check(uint64_t page) {
    const auto known = pages_.find(page);
    const bool allowed = known != pages_.end() && has(known->second.prot, Prot::kRead);
    uint8_t value = 0;
    const auto bytes = std::as_writable_bytes(std::span(&value, 1));
    ASSERT_EQ(!copy_from_user(*space_, bytes, UserAddress(at(page))).is_error(), allowed);
    if (allowed) ASSERT_EQ(value, known->second.value) << "page " << page;
  }

  uint64_t window_;
  RefPtr<MemoryObject> file_;
  RefPtr<AddressSpace> space_;
  std::map<uint64_t, Page> pages_;
};

class Residency : public ::testing::Test {
 protected:
  NumberedPages source;
  RefPtr<MemoryObject> file =
      MemoryObject::create(&source, kWindowPages* kPageSize).release_value();
  ~Residency() override { file->detach_source(); }
};

// Random programs in `windows` windows that overlap by half, forked and ended at random.
void run(std::mt19937& random, const RefPtr<MemoryObject>& file, int windows, int steps) {
  std::vector<Program> programs;
  for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
    const size_t which = programs.empty() ? 0 : random() % programs.size();
    const unsigned what = random() % 40;
    if (programs.empty() || (what == 0 && programs.size() < 8)) {
      const uint64_t start =
          window_start(static_cast<int>(random() % static_cast<unsigned>(windows)));
      programs.emplace_back(start + random() % 2 * kWindowPages / 2 * kPageSize, file);
    } else if (what == 1 && programs.size() < 8) {
      programs.push_back(programs[which].fork());
    } else if (what == 2) {
      programs[which].check_all();
      programs.erase(programs.begin() + static_cast<long>(which));
    } else {
      programs[which].step(random);
    }
  }
  for (Program& program : programs) program.check_all();
}

TEST_F(Residency, RandomProgramsSeeTheirOwn) {
  const uint64_t held_before = memory_counters.held_pages.load();
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    run(random, file, 2, 2500);
    ASSERT_FALSE(HasFatalFailure());
  }
  EXPECT_EQ(memory_counters.held_pages.load(), held_before);
  EXPECT_TRUE(is_range_free({window_start(0), window_start(4)}));
}

// The family of one program, each member with a thread of its own.
TEST_F(Residency, ThreadsOfOneFamily) {
  std::mt19937 random(7);
  Program first(window_start(0), file);
  for (int i = 0; i < 200; ++i) first.step(random);
  std::vector<Program> programs;
  for (int i = 0; i < 4; ++i) programs.push_back(first.fork());
  std::vector<std::thread> threads;
  for (Program& program : programs) {
    threads.emplace_back([&, seed = &program - programs.data()] {
      std::mt19937 mine(static_cast<unsigned>(seed));
      for (int i = 0; i < 300; ++i) program.step(mine);
      Program child = program.fork();
      for (int i = 0; i < 100; ++i) {
        program.step(mine);
        child.step(mine);
      }
      child.check_all();
      program.check_all();
    });
  }
  for (std::thread& thread : threads) thread.join();
  first.check_all();
}

// Programs that come, conflict, fork and go.
TEST_F(Residency, ThreadsOfManyGroups) {
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      run(random, file, 3, 1500);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(is_range_free({window_start(0), window_start(4)}));
}

TEST_F(Residency, ManyPagesAreGuarded) {
  constexpr uint64_t kPages = 1000;
  const RefPtr<AddressSpace> parent = AddressSpace::create().release_value();
  MapRequest request;
  request.length = kPages * kPageSize;
  request.prot = kProtReadWrite;
  const uint64_t at = parent->map(std::move(request)).value();
  const auto put = [&](AddressSpace& space, uint64_t page, uint32_t value) {
    ASSERT_FALSE(
        copy_to_user(space, UserAddress(at + page * kPageSize), std::as_bytes(std::span(&value, 1)))
            .is_error());
  };
  const auto get = [&](AddressSpace& space, uint64_t page) {
    uint32_t value = 0;
    EXPECT_FALSE(copy_from_user(space, std::as_writable_bytes(std::span(&value, 1)),
                                UserAddress(at + page * kPageSize))
                     .is_error());
    return value;
  };
  for (uint32_t i = 0; i < kPages; ++i) put(*parent, i, i);
  const uint64_t held_before = memory_counters.held_pages.load();
  RefPtr<AddressSpace> child = parent->fork().release_value();
  EXPECT_EQ(memory_counters.held_pages.load(), held_before);  // nothing was copied
  put(*child, 500, 1);
  EXPECT_LE(memory_counters.held_pages.load(), held_before + 64);
  put(*parent, 20, 2);
  RefPtr<AddressSpace> grandchild = child->fork().release_value();
  put(*grandchild, 500, 3);
  for (uint32_t i = 0; i < kPages; ++i) {
    ASSERT_EQ(get(*parent, i), i == 20 ? 2 : i);
    ASSERT_EQ(get(*child, i), i == 500 ? 1 : i);
    ASSERT_EQ(get(*grandchild, i), i == 500 ? 3 : i);
  }
  child.clear();
  grandchild.clear();
  for (uint32_t i = 0; i < kPages; ++i) {
    put(*parent, i, i + 1);
    ASSERT_EQ(get(*parent, i), i + 1);
  }
  EXPECT_EQ(memory_counters.held_pages.load(), held_before);
}

TEST_F(Residency, HintsAndGrowthStayClearOfAllMembers) {
  const RefPtr<AddressSpace> parent = AddressSpace::create().release_value();
  const auto map = [](AddressSpace& space, uint64_t at, uint64_t pages, Placement placement) {
    MapRequest request;
    request.address = at;
    request.length = pages * kPageSize;
    request.prot = kProtReadWrite;
    request.placement = placement;
    return space.map(std::move(request)).value();
  };
  const uint64_t at = map(*parent, window_start(0), 4, Placement::kFixed);
  const RefPtr<AddressSpace> child = parent->fork().release_value();
  EXPECT_NE(map(*child, at, 4, Placement::kHint), at);
  EXPECT_NE(map(*child, at + 2 * kPageSize, 8, Placement::kHint), at + 2 * kPageSize);
  EXPECT_NE(map(*parent, at + 3 * kPageSize, 1, Placement::kHint), at + 3 * kPageSize);
  // In place it grows only to where its own next area is.
  (void)map(*child, at + 6 * kPageSize, 1, Placement::kFixed);
  EXPECT_TRUE(
      child->remap(at, 4 * kPageSize, 8 * kPageSize, AddressSpace::Remap::kInPlace, 0).is_error());
  EXPECT_EQ(
      child->remap(at, 4 * kPageSize, 6 * kPageSize, AddressSpace::Remap::kInPlace, 0).value(), at);
  EXPECT_EQ(
      parent->remap(at, 4 * kPageSize, 8 * kPageSize, AddressSpace::Remap::kInPlace, 0).value(),
      at);
}

// No memory at some moment of a fork: it fails, and the parent is as it was.
TEST_F(Residency, ForkWithoutMemory) {
  std::mt19937 random(3);
  Program parent(window_start(0), file);
  for (int i = 0; i < 300; ++i) parent.step(random);
  const size_t failures = testing::with_each_allocation_failing([&] {
    Result<RefPtr<AddressSpace>> child = parent.try_fork();
    if (child.is_error()) EXPECT_EQ(child.error(), Errno::kNoMem);
  });
  EXPECT_GT(failures, 3u);
  parent.check_all();
}

// Pages that could not be filled when their program became resident: moving them and forking fill or keep them.
TEST_F(Residency, WhatCouldNotBeFilledIsNotLost) {
  constexpr uint64_t kPages = 8;
  const RefPtr<AddressSpace> parent = AddressSpace::create().release_value();
  const uint64_t at = window_start(0), elsewhere = window_start(2);
  MapRequest request;
  request.address = at;
  request.length = kPages * kPageSize;
  request.prot = kProtReadWrite;
  request.placement = Placement::kFixed;
  ASSERT_EQ(parent->map(std::move(request)).value(), at);
  const auto get = [](AddressSpace& space, uint64_t address) -> Result<uint64_t> {
    uint64_t value = 0;
    TRY(copy_from_user(space, std::as_writable_bytes(std::span(&value, 1)), UserAddress(address)));
    return value;
  };
  for (uint64_t i = 0; i < kPages; ++i) {
    const uint64_t value = i + 1;
    ASSERT_FALSE(
        copy_to_user(*parent, UserAddress(at + i * kPageSize), std::as_bytes(std::span(&value, 1)))
            .is_error());
  }
  const RefPtr<AddressSpace> child = parent->fork().release_value();
  ASSERT_FALSE(child->unmap(at, kPages * kPageSize).is_error());
  ASSERT_FALSE(page_map::decommit_kept({at, at + kPages * kPageSize}).is_error());
  fail_commits_after(0);
  const bool is_filled = !get(*parent, at).is_error();
  fail_commits_after(UINT64_MAX);
  ASSERT_FALSE(is_filled);
  const RefPtr<AddressSpace> second = parent->fork().release_value();
  const uint64_t size = kPages * kPageSize;
  fail_commits_after(0);
  const Result<uint64_t> refused =
      parent->remap(at, size, size, AddressSpace::Remap::kFixed, elsewhere);
  fail_commits_after(UINT64_MAX);
  EXPECT_TRUE(refused.is_error());
  ASSERT_EQ(parent->remap(at, size, size, AddressSpace::Remap::kFixed, elsewhere).value(),
            elsewhere);
  for (uint64_t i = 0; i < kPages; ++i) {
    EXPECT_EQ(get(*parent, elsewhere + i * kPageSize).value(), i + 1);
    EXPECT_EQ(get(*second, at + i * kPageSize).value(), i + 1);
  }
}

TEST(RangeCountsTest, AgainstAModel) {
  std::mt19937 random(5);
  RangeCounts counts;
  std::vector<uint32_t> model(200);
  for (int step = 0; step < 20000; ++step) {
    const uint64_t first = random() % model.size();
    const uint64_t last = first + 1 + random() % (model.size() - first);
    const AddressRange range{first * kPageSize, last * kPageSize};
    if (random() % 2 == 0) {
      ASSERT_FALSE(counts.add(range).is_error());
      for (uint64_t i = first; i < last; ++i) ++model[i];
    } else {
      uint64_t end = first;
      while (end < last && model[end] != 0) ++end;
      if (end == first) continue;
      std::vector<bool> freed(model.size());
      counts.remove({first * kPageSize, end * kPageSize}, [&](AddressRange part) {
        for (uint64_t at = part.start; at < part.end; at += kPageSize) freed[at / kPageSize] = true;
      });
      for (uint64_t i = first; i < end; ++i) ASSERT_EQ(--model[i] == 0, freed[i]);
    }
    const uint64_t where = random() % model.size();
    ASSERT_EQ(counts.count_at(where * kPageSize), model[where]);
    uint64_t at = 0;
    counts.for_each({0, model.size() * kPageSize}, [&](AddressRange part, uint32_t count) {
      ASSERT_EQ(part.start, at);
      for (; at < part.end; at += kPageSize) ASSERT_EQ(model[at / kPageSize], count);
    });
    ASSERT_EQ(at, model.size() * kPageSize);
  }
}

}  // namespace
}  // namespace occlum
