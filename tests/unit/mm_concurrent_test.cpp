// mm/ from several host threads, under TSan: allocators, faults, copies against unmapping, objects.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "libos/lib/bits.h"
#include "libos/mm/address_space.h"
#include "libos/mm/kernel_heap.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/page_map.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/user.h"
#include "tests/unit/harness/memory.h"

namespace occlum {
namespace {

void in_threads(int count, auto&& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

MapRequest anonymous(uint64_t length) {
  MapRequest request;
  request.length = length;
  request.prot = kProtReadWrite;
  return request;
}

TEST(Concurrent, AllocatorsAndHeap) {
  in_threads(4, [](int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::vector<std::pair<uint8_t*, size_t>> blocks;
    for (int step = 0; step < 1000; ++step) {
      if (blocks.size() < 50 || random() % 2 == 0) {
        const size_t size = 1 + random() % (random() % 10 == 0 ? 9000 : 300);
        auto* memory = static_cast<uint8_t*>(kernel_heap::allocate(size, 8));
        ASSERT_NE(memory, nullptr);
        memory[0] = memory[size - 1] = static_cast<uint8_t>(seed);
        blocks.push_back({memory, size});
      } else {
        const size_t i = random() % blocks.size();
        ASSERT_EQ(blocks[i].first[0], seed);
        kernel_heap::free(blocks[i].first, blocks[i].second);
        blocks[i] = blocks.back();
        blocks.pop_back();
      }
      if (step % 50 == 0) {
        const uint64_t top = allocate_kernel_stack().value();
        free_kernel_stack(top);
        const Result<AddressRange> range = allocate_range(16 * kPageSize, kPageSize);
        ASSERT_FALSE(range.is_error());
        ASSERT_FALSE(page_map::populate_zero(range.value(), kProtReadWrite).is_error());
        page_map::release(range.value(), page_map::Rights::kRevoke);
        free_range(range.value());
      }
      if (step % 500 == 0) trim_free_pages(20);
    }
    for (const auto& [memory, size] : blocks) kernel_heap::free(memory, size);
  });
}

TEST(Concurrent, FaultsOfOneProgram) {
  const RefPtr<AddressSpace> space = AddressSpace::create().release_value();
  constexpr uint64_t kPages = 2000;
  const uint64_t at = space->map(anonymous(kPages * kPageSize)).value();
  in_threads(4, [&](int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    for (int step = 0; step < 2000; ++step) {
      const uint64_t page = random() % kPages;
      // Each thread has its byte in every page.
      ASSERT_EQ(
          testing::program_store(*space, at + page * kPageSize + static_cast<uint64_t>(seed), 1),
          FaultResult::kResolved);
    }
  });
}

// One thread of a program copies to a mapping that another one keeps unmapping, while a second program keeps mapping
// whatever is free: its memory must stay as it wrote it.
TEST(Concurrent, CopiesNeverReachAnotherProgram) {
  const RefPtr<AddressSpace> victim = AddressSpace::create().release_value();
  const RefPtr<AddressSpace> space = AddressSpace::create().release_value();
  std::atomic<uint64_t> target = 0;
  std::atomic<bool> stop = false;
  constexpr uint64_t kSize = 8 * kPageSize;
  in_threads(4, [&](int role) {
    if (role == 0) {
      for (int step = 0; step < 1000; ++step) {
        const uint64_t at = space->map(anonymous(kSize)).value();
        target.store(at);
        if (step % 3 == 0) std::this_thread::yield();
        ASSERT_FALSE(space->unmap(at, kSize).is_error());
      }
      stop = true;
    } else if (role == 1 || role == 2) {
      const std::vector<std::byte> data(kSize, std::byte{0xee});
      while (!stop) {
        const uint64_t at = target.load();
        if (at != 0) (void)copy_to_user(*space, UserAddress(at), data);
      }
    } else {
      const std::vector<std::byte> mine(kSize, std::byte{0x11});
      std::vector<std::byte> back(kSize);
      while (!stop) {
        const uint64_t at = victim->map(anonymous(kSize)).value();
        ASSERT_FALSE(copy_to_user(*victim, UserAddress(at), mine).is_error());
        std::this_thread::yield();
        ASSERT_FALSE(copy_from_user(*victim, back, UserAddress(at)).is_error());
        ASSERT_EQ(mine, back);
        ASSERT_FALSE(victim->unmap(at, kSize).is_error());
      }
    }
  });
}

TEST(Concurrent, MappingAndProtecting) {
  const RefPtr<AddressSpace> space = AddressSpace::create().release_value();
  in_threads(3, [&](int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::array<std::byte, 64> data{};
    for (int step = 0; step < 800; ++step) {
      const uint64_t pages = 1 + random() % 20;
      const uint64_t at = space->map(anonymous(pages * kPageSize)).value();
      ASSERT_FALSE(copy_to_user(*space, UserAddress(at), data).is_error());
      ASSERT_FALSE(space->protect(at, kPageSize, Prot::kRead).is_error());
      ASSERT_TRUE(space->may_access(at, pages * kPageSize, Access::kRead));
      ASSERT_FALSE(space->may_access(at, kPageSize, Access::kWrite));
      ASSERT_TRUE(copy_to_user(*space, UserAddress(at), data).is_error());
      ASSERT_FALSE(space->unmap(at, pages * kPageSize).is_error());
    }
  });
}

// A file is read and written through memory that maps it, while it shrinks and grows and others map it.
TEST(Concurrent, ObjectsUnderMappings) {
  const RefPtr<MemoryObject> object = MemoryObject::create(nullptr, 64 * kPageSize).release_value();
  in_threads(4, [&](int role) {
    const RefPtr<AddressSpace> space = AddressSpace::create().release_value();
    testing::set_current_memory(space.get());
    std::mt19937 random(static_cast<unsigned>(role));
    for (int step = 0; step < 300; ++step) {
      MapRequest request = anonymous(64 * kPageSize);
      request.source.object = object;
      request.source.shared = step % 2 == 0;
      const Result<uint64_t> mapped = space->map(std::move(request));
      ASSERT_FALSE(mapped.is_error());
      const uint64_t at = mapped.value();
      switch (role) {
        case 0:
          ASSERT_FALSE(object->resize((32 + random() % 33) * kPageSize).is_error());
          break;
        case 1: {
          DataSink sink(UserAddress(at), 16 * kPageSize);  // reads the file into itself
          ASSERT_FALSE(object->read(0, sink).is_error());
          break;
        }
        case 2: {
          DataSource source(UserAddress(at + 8 * kPageSize), 8 * kPageSize);
          ASSERT_FALSE(object->write(0, source).is_error());
          break;
        }
        default: {
          std::array<std::byte, 100> data{};
          (void)copy_to_user(*space, UserAddress(at + random() % 30 * kPageSize), data);
          ASSERT_FALSE(object->punch_hole(random() % 30 * kPageSize, 2 * kPageSize).is_error());
        }
      }
      ASSERT_FALSE(space->unmap(at, 64 * kPageSize).is_error());
    }
  });
}

}  // namespace
}  // namespace occlum
