// Address spaces: single behaviours, and random sequences against a model that knows each page's area and content.
#include "libos/mm/address_space.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "libos/arch/hosted/memory.h"
#include "libos/lib/bits.h"
#include "libos/mm/page_map.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/stats.h"
#include "libos/mm/user.h"
#include "tests/unit/harness/heap.h"
#include "tests/unit/harness/memory.h"

namespace occlum {
namespace {

using testing::program_load;
using testing::program_store;

constexpr Prot kR = Prot::kRead;
constexpr Prot kRW = kProtReadWrite;
constexpr Prot kRX = Prot::kRead | Prot::kExec;

// A file of `pages` pages: byte 0 of page n is n + 1.
class NumberedPages : public PageSource {
 public:
  Result<void> read_page(uint64_t index, std::span<std::byte, 4096> page) override {
    ++reads;
    std::memset(page.data(), 0, page.size());
    page[0] = static_cast<std::byte>(index + 1);
    return {};
  }
  Result<void> write_page(uint64_t index, std::span<const std::byte, 4096> page,
                          uint64_t) override {
    written[index] = static_cast<uint8_t>(page[0]);
    return {};
  }
  bool has_store() const override { return true; }
  int reads = 0;
  std::map<uint64_t, uint8_t> written;
};

MapRequest anonymous(uint64_t length, Prot prot, uint64_t address = 0,
                     Placement placement = Placement::kAnywhere) {
  MapRequest request;
  request.address = address;
  request.length = length;
  request.prot = prot;
  request.placement = placement;
  return request;
}

MapRequest of_object(const RefPtr<MemoryObject>& object, uint64_t pages, Prot prot, bool shared,
                     uint64_t offset = 0) {
  MapRequest request = anonymous(pages * kPageSize, prot);
  request.source.object = object;
  request.source.offset = offset;
  request.source.shared = shared;
  return request;
}

class AddressSpaceTest : public ::testing::Test {
 protected:
  AddressSpaceTest() : space(AddressSpace::create().release_value()) {
    testing::set_current_memory(space.get());
  }
  uint64_t map(MapRequest request) {
    const Result<uint64_t> mapped = space->map(std::move(request));
    EXPECT_FALSE(mapped.is_error());
    return mapped.is_error() ? 0 : mapped.value();
  }
  int load(uint64_t address) {
    uint8_t value = 0;
    const FaultResult result = program_load(*space, address, value);
    return result == FaultResult::kResolved ? value : -static_cast<int>(result);
  }
  FaultResult store(uint64_t address, uint8_t value) {
    return program_store(*space, address, value);
  }

  RefPtr<AddressSpace> space;
};

TEST_F(AddressSpaceTest, AnonymousMemory) {
  const uint64_t at = map(anonymous(100 * kPageSize, kRW));
  EXPECT_EQ(load(at), 0);
  EXPECT_EQ(store(at + 99 * kPageSize, 5), FaultResult::kResolved);
  EXPECT_EQ(load(at + 99 * kPageSize), 5);
  EXPECT_EQ(space->handle_fault(at + 100 * kPageSize, Access::kRead), FaultResult::kNoMapping);
  EXPECT_EQ(space->mapped_bytes(), 100 * kPageSize);
  ASSERT_FALSE(space->unmap(at, 100 * kPageSize).is_error());
  EXPECT_EQ(load(at), -static_cast<int>(FaultResult::kNoMapping));
  EXPECT_EQ(space->mapped_bytes(), 0u);
}

TEST_F(AddressSpaceTest, ReservationsCostNothing) {
  const uint64_t before = memory_counters.committed_pages.load();
  const uint64_t at = map(anonymous(uint64_t{40} << 30, Prot::kNone));
  EXPECT_LE(memory_counters.committed_pages.load(), before + 1);
  EXPECT_EQ(space->handle_fault(at, Access::kRead), FaultResult::kNoPermission);
  const uint64_t calls = hosted_memory_counters().host_calls;
  ASSERT_FALSE(space->protect(at + (uint64_t{20} << 30), 16 * kPageSize, kRW).is_error());
  EXPECT_EQ(hosted_memory_counters().host_calls, calls);
  EXPECT_EQ(store(at + (uint64_t{20} << 30), 1), FaultResult::kResolved);
  ASSERT_FALSE(space->unmap(at, uint64_t{40} << 30).is_error());
}

TEST_F(AddressSpaceTest, FixedReplacesOnlyOwnMemory) {
  const uint64_t at = map(anonymous(16 * kPageSize, kRW));
  EXPECT_EQ(store(at + 4 * kPageSize, 9), FaultResult::kResolved);
  EXPECT_EQ(map(anonymous(kPageSize, kRW, at + 4 * kPageSize, Placement::kFixed)),
            at + 4 * kPageSize);
  EXPECT_EQ(load(at + 4 * kPageSize), 0);
  EXPECT_EQ(space->map(anonymous(kPageSize, kRW, at, Placement::kFixedNoReplace)).error(),
            Errno::kExist);
  EXPECT_EQ(space->map(anonymous(kPageSize, kRW, 4096, Placement::kFixed)).error(), Errno::kPerm);
  EXPECT_EQ(space->map(anonymous(kPageSize, kRW, at + 1, Placement::kFixed)).error(),
            Errno::kInval);
}

TEST_F(AddressSpaceTest, HintsAreTakenWhenFree) {
  const uint64_t at = user_range().start + (uint64_t{30} << 30);
  EXPECT_EQ(map(anonymous(kPageSize, kRW, at, Placement::kHint)), at);
  EXPECT_NE(map(anonymous(kPageSize, kRW, at, Placement::kHint)), at);
  EXPECT_NE(map(anonymous(kPageSize, kRW, 1, Placement::kHint)), 0u);
}

TEST_F(AddressSpaceTest, ProtectSplitsAndMerges) {
  const uint64_t at = map(anonymous(8 * kPageSize, kRW));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(store(at + i * kPageSize, i + 1), FaultResult::kResolved);
  ASSERT_FALSE(space->protect(at + 2 * kPageSize, 2 * kPageSize, kR).is_error());
  EXPECT_EQ(space->areas().value().size(), 3u);
  EXPECT_EQ(store(at + 2 * kPageSize, 1), FaultResult::kNoPermission);
  EXPECT_EQ(load(at + 3 * kPageSize), 4);
  ASSERT_FALSE(space->protect(at + kPageSize, 2 * kPageSize, Prot::kNone).is_error());
  EXPECT_EQ(load(at + kPageSize), -static_cast<int>(FaultResult::kNoPermission));
  ASSERT_FALSE(space->protect(at, 8 * kPageSize, kRW).is_error());
  EXPECT_EQ(space->areas().value().size(), 1u);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(load(at + i * kPageSize), i + 1);
  EXPECT_EQ(space->protect(at, 9 * kPageSize, kR).error(), Errno::kNoMem);
}

TEST_F(AddressSpaceTest, PrivateFilePages) {
  NumberedPages file;
  const auto object = MemoryObject::create(&file, 3 * kPageSize + 100).release_value();
  const uint64_t text = map(of_object(object, 4, kRX, false));
  const uint64_t data = map(of_object(object, 5, kRW, false));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(load(text + i * kPageSize), i + 1);
  EXPECT_EQ(store(text, 0), FaultResult::kNoPermission);
  EXPECT_EQ(store(data + kPageSize, 77), FaultResult::kResolved);
  EXPECT_EQ(load(data + kPageSize), 77);
  EXPECT_EQ(load(text + kPageSize), 2);
  EXPECT_EQ(load(data + 4 * kPageSize), -static_cast<int>(FaultResult::kBusError));
  // MADV_DONTNEED reads the file again.
  ASSERT_FALSE(space->advise(data, 4 * kPageSize, 4).is_error());
  EXPECT_EQ(load(data + kPageSize), 2);
  EXPECT_EQ(file.reads, 4);
  // Text can be patched without becoming writable.
  const std::array<std::byte, 2> patch{std::byte{0x11}, std::byte{0x22}};
  ASSERT_FALSE(space->poke(text + 5, patch).is_error());
  EXPECT_EQ(load(text + 6), 0x22);
  EXPECT_EQ(store(text, 0), FaultResult::kNoPermission);
  space = nullptr;
  object->detach_source();
}

TEST_F(AddressSpaceTest, SharedMappingsAreOnePlace) {
  NumberedPages file;
  const auto object = MemoryObject::create(&file, 8 * kPageSize).release_value();
  std::array<std::byte, 1> byte{std::byte{200}};
  DataSource before(byte);
  ASSERT_EQ(object->write(kPageSize, before).value(), 1u);
  const uint64_t at = map(of_object(object, 8, kRW, true));
  EXPECT_EQ(load(at + kPageSize), 200);
  EXPECT_EQ(store(at, 99), FaultResult::kResolved);
  DataSink sink{std::span<std::byte>(byte)};
  ASSERT_EQ(object->read(0, sink).value(), 1u);
  EXPECT_EQ(static_cast<int>(byte[0]), 99);
  // A second program, read-only, at the same address; and a part of it with an offset.
  const RefPtr<AddressSpace> other = AddressSpace::create().release_value();
  EXPECT_EQ(other->map(of_object(object, 8, kR, true)).value(), at);
  // The same pages once more are elsewhere, and the same.
  const uint64_t again = map(of_object(object, 2, kRW, true, 4 * kPageSize));
  EXPECT_NE(again, at + 4 * kPageSize);
  EXPECT_EQ(load(again), 5);
  EXPECT_EQ(store(at + 4 * kPageSize, 77), FaultResult::kResolved);
  EXPECT_EQ(load(again), 77);
  EXPECT_EQ(store(again, 6), FaultResult::kResolved);
  ASSERT_FALSE(space->unmap(again, 2 * kPageSize).is_error());
  EXPECT_FALSE(testing::machine_can_load(again));
  EXPECT_EQ(load(at + 4 * kPageSize), 6);
  ASSERT_FALSE(object->write_back().is_error());
  EXPECT_EQ(file.written[0], 99);
  ASSERT_FALSE(object->resize(2 * kPageSize).is_error());
  EXPECT_EQ(load(at + 3 * kPageSize), -static_cast<int>(FaultResult::kBusError));
  // Where the program wants it, read-only; the end of the object is the end there too.
  MapRequest fixed = of_object(object, 3, kR, true);
  fixed.placement = Placement::kFixed;
  fixed.address = user_range().start + (uint64_t{50} << 30);
  const uint64_t view = map(std::move(fixed));
  EXPECT_EQ(load(view), 99);
  EXPECT_EQ(store(view, 1), FaultResult::kNoPermission);
  EXPECT_EQ(load(view + 2 * kPageSize), -static_cast<int>(FaultResult::kBusError));
  ASSERT_FALSE(object->resize(3 * kPageSize).is_error());
  EXPECT_EQ(store(at + 2 * kPageSize, 3), FaultResult::kResolved);
  EXPECT_EQ(load(view + 2 * kPageSize), 3);
  // What the object is asked to write back, it finds there.
  byte[0] = std::byte{55};
  DataSource more(byte);
  ASSERT_EQ(object->write(1, more).value(), 1u);
  EXPECT_EQ(load(view + 1), 55);
  space = nullptr;
  object->detach_source();
}

TEST_F(AddressSpaceTest, SharedRightsAndKernelAccess) {
  const auto object = MemoryObject::create(nullptr, 4 * kPageSize).release_value();
  const uint64_t at = map(of_object(object, 4, kRW, true));
  EXPECT_EQ(store(at, 5), FaultResult::kResolved);
  ASSERT_FALSE(space->protect(at, kPageSize, Prot::kNone).is_error());
  EXPECT_EQ(load(at), -static_cast<int>(FaultResult::kNoPermission));
  std::array<std::byte, 1> byte{};
  DataSink sink{std::span<std::byte>(byte)};
  ASSERT_EQ(object->read(0, sink).value(), 1u);
  EXPECT_EQ(static_cast<int>(byte[0]), 5);
  byte[0] = std::byte{6};
  DataSource source(byte);
  ASSERT_EQ(object->write(0, source).value(), 1u);
  EXPECT_EQ(load(at), -static_cast<int>(FaultResult::kNoPermission));
  ASSERT_FALSE(space->protect(at, kPageSize, kR).is_error());
  EXPECT_EQ(load(at), 6);
  EXPECT_EQ(store(at, 1), FaultResult::kNoPermission);
  ASSERT_FALSE(space->unmap(at, 4 * kPageSize).is_error());
  EXPECT_FALSE(testing::machine_can_load(at));
  DataSink again{std::span<std::byte>(byte)};
  ASSERT_EQ(object->read(0, again).value(), 1u);
  EXPECT_EQ(static_cast<int>(byte[0]), 6);
}

TEST_F(AddressSpaceTest, SharedAtAFixedAddress) {
  const auto object = MemoryObject::create(nullptr, 4 * kPageSize).release_value();
  std::array<std::byte, 1> byte{std::byte{3}};
  DataSource source(byte);
  ASSERT_EQ(object->write(2 * kPageSize, source).value(), 1u);
  const uint64_t reserve = map(anonymous(16 * kPageSize, Prot::kNone));
  MapRequest fixed = of_object(object, 2, kRW, true, 2 * kPageSize);
  fixed.placement = Placement::kFixed;
  fixed.address = reserve + 4 * kPageSize;
  EXPECT_EQ(map(std::move(fixed)), reserve + 4 * kPageSize);
  EXPECT_EQ(load(reserve + 4 * kPageSize), 3);
  EXPECT_EQ(store(reserve + 5 * kPageSize, 4), FaultResult::kResolved);
  // Ordinary memory takes its place again; the object keeps its pages.
  EXPECT_EQ(map(anonymous(16 * kPageSize, kRW, reserve, Placement::kFixed)), reserve);
  EXPECT_EQ(load(reserve + 4 * kPageSize), 0);
  DataSink sink{std::span<std::byte>(byte)};
  ASSERT_EQ(object->read(3 * kPageSize, sink).value(), 1u);
  EXPECT_EQ(static_cast<int>(byte[0]), 4);
}

TEST_F(AddressSpaceTest, RemapGrowsShrinksAndMoves) {
  const uint64_t at = map(anonymous(8 * kPageSize, kRW));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(store(at + i * kPageSize, i + 1), FaultResult::kResolved);
  EXPECT_EQ(
      space->remap(at, 8 * kPageSize, 4 * kPageSize, AddressSpace::Remap::kMayMove, 0).value(), at);
  EXPECT_EQ(space->handle_fault(at + 4 * kPageSize, Access::kRead), FaultResult::kNoMapping);
  EXPECT_EQ(
      space->remap(at, 4 * kPageSize, 6 * kPageSize, AddressSpace::Remap::kInPlace, 0).value(), at);
  EXPECT_EQ(load(at + 5 * kPageSize), 0);
  const uint64_t blocker = map(anonymous(kPageSize, kRW, at + 6 * kPageSize, Placement::kFixed));
  EXPECT_EQ(
      space->remap(at, 6 * kPageSize, 7 * kPageSize, AddressSpace::Remap::kInPlace, 0).error(),
      Errno::kNoMem);
  const uint64_t moved =
      space->remap(at, 6 * kPageSize, 700 * kPageSize, AddressSpace::Remap::kMayMove, 0).value();
  EXPECT_NE(moved, at);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(load(moved + i * kPageSize), i + 1);
  EXPECT_EQ(load(at), -static_cast<int>(FaultResult::kNoMapping));
  const uint64_t to = blocker + (uint64_t{1} << 30);
  EXPECT_EQ(
      space->remap(moved, 700 * kPageSize, 3 * kPageSize, AddressSpace::Remap::kFixed, to).value(),
      to);
  EXPECT_EQ(load(to + 2 * kPageSize), 3);
  EXPECT_EQ(space->handle_fault(to + 3 * kPageSize, Access::kRead), FaultResult::kNoMapping);
  EXPECT_EQ(space->remap(to, kPageSize, 0, AddressSpace::Remap::kMayMove, 0).error(),
            Errno::kInval);
  EXPECT_EQ(space->remap(at, kPageSize, kPageSize * 2, AddressSpace::Remap::kMayMove, 0).error(),
            Errno::kFault);
}

TEST_F(AddressSpaceTest, Break) {
  ASSERT_FALSE(space->create_heap().is_error());
  const uint64_t start = space->set_break(0);
  EXPECT_EQ(space->set_break(start + 10000), start + 10000);
  EXPECT_EQ(store(start + 9999, 3), FaultResult::kResolved);
  EXPECT_EQ(store(start + 5 * kPageSize, 3), FaultResult::kNoMapping);
  EXPECT_EQ(space->mapped_bytes(), 3 * kPageSize);
  EXPECT_EQ(space->set_break(start + 100), start + 100);
  EXPECT_EQ(load(start + 9999), -static_cast<int>(FaultResult::kNoMapping));
  EXPECT_EQ(space->set_break(start + 10000), start + 10000);
  EXPECT_EQ(load(start + 9999), 0);
  EXPECT_EQ(space->set_break(start - 1), start + 10000);
  EXPECT_EQ(space->set_break(UINT64_MAX), start + 10000);
  EXPECT_EQ(space->areas().value()[0].name.view(), "[heap]");
}

TEST_F(AddressSpaceTest, StacksGrow) {
  MapRequest request = anonymous(4 * kPageSize, kRW);
  request.grows_down = true;
  request.address = user_range().start + (uint64_t{60} << 30);
  request.placement = Placement::kFixed;
  const uint64_t at = map(std::move(request));
  EXPECT_EQ(store(at - 10 * kPageSize, 8), FaultResult::kResolved);
  EXPECT_EQ(space->areas().value().size(), 1u);
  EXPECT_EQ(load(at - kPageSize), 0);
  EXPECT_EQ(store(at - 1000 * kPageSize * 16, 8), FaultResult::kNoMapping);
}

TEST_F(AddressSpaceTest, UserCopies) {
  const uint64_t at = map(anonymous(100 * kPageSize, kRW));
  std::vector<std::byte> data(90 * kPageSize, std::byte{7}), back(90 * kPageSize);
  const uint64_t faults = memory_counters.faults.load();
  ASSERT_FALSE(copy_to_user(*space, UserAddress(at + 100), data).is_error());
  EXPECT_GT(memory_counters.faults.load(), faults);
  ASSERT_FALSE(copy_from_user(*space, back, UserAddress(at + 100)).is_error());
  EXPECT_EQ(data, back);
  EXPECT_EQ(copy_to_user(*space, UserAddress(at + 50 * kPageSize), data).error(), Errno::kFault);
  EXPECT_EQ(copy_to_user(*space, UserAddress(UINT64_MAX - 3), data).error(), Errno::kFault);
  EXPECT_EQ(copy_to_user(*space, UserAddress(kernel_dynamic_range().start), data).error(),
            Errno::kFault);
  ASSERT_FALSE(zero_user(*space, UserAddress(at), 5000).is_error());
  EXPECT_EQ(load(at + 4999), 0);
  EXPECT_EQ(load(at + 5000), 7);
  ASSERT_FALSE(space->protect(at, kPageSize, kR).is_error());
  EXPECT_EQ(copy_to_user(*space, UserAddress(at), std::span(data).first(1)).error(), Errno::kFault);
  // Two areas in a row are one range.
  ASSERT_FALSE(
      copy_from_user(*space, std::span(back).first(2 * kPageSize), UserAddress(at)).is_error());
  const RefPtr<AddressSpace> other = AddressSpace::create().release_value();
  EXPECT_EQ(copy_to_user(*other, UserAddress(at + kPageSize), std::span(data).first(1)).error(),
            Errno::kFault);
  EXPECT_EQ(load_user_u32(*space, UserAddress(at + 2)).error(), Errno::kInval);
  EXPECT_EQ(
      compare_exchange_user_u32(*space, UserAddress(at + 2 * kPageSize), 0x07070707, 5).value(),
      0x07070707u);
  EXPECT_EQ(load_user_u32(*space, UserAddress(at + 2 * kPageSize)).value(), 5u);
}

TEST_F(AddressSpaceTest, Strings) {
  const uint64_t at = map(anonymous(2 * kPageSize, kRW));
  const std::string text(300, 'x');
  const uint64_t end = at + 2 * kPageSize;
  const auto put = [&](uint64_t where, size_t size) {
    ASSERT_FALSE(
        copy_to_user(*space, UserAddress(where), std::as_bytes(std::span(text).first(size)))
            .is_error());
  };
  put(end - 301, 300);
  EXPECT_EQ(copy_string_from_user(*space, UserAddress(end - 301), 4096).value().view(), text);
  EXPECT_EQ(copy_string_from_user(*space, UserAddress(end - 301), 301).value().size(), 300u);
  EXPECT_EQ(copy_string_from_user(*space, UserAddress(end - 301), 300).error(),
            Errno::kNameTooLong);
  put(end - 300, 300);
  EXPECT_EQ(copy_string_from_user(*space, UserAddress(end - 300), 4096).error(), Errno::kFault);
  EXPECT_EQ(copy_string_from_user(*space, UserAddress(0), 4096).error(), Errno::kFault);
}

TEST_F(AddressSpaceTest, FutexKeys) {
  const auto object = MemoryObject::create(nullptr, 4 * kPageSize).release_value();
  const uint64_t at = map(of_object(object, 4, kRW, true));
  const uint64_t own = map(anonymous(kPageSize, kRW));
  const RefPtr<AddressSpace> other = AddressSpace::create().release_value();
  const uint64_t there = other->map(of_object(object, 4, kRW, true)).value();
  EXPECT_EQ(space->futex_key(at + 8, false).value(), other->futex_key(there + 8, false).value());
  EXPECT_EQ(space->futex_key(own, false).value(), space->futex_key(own, true).value());
  EXPECT_EQ(other->futex_key(own, false).error(), Errno::kFault);
}

// --- random sequences ---

struct ModelPage {
  Prot prot;
  uint8_t value;
};
using Model = std::map<uint64_t, ModelPage>;  // by page address

class RandomOperations {
 public:
  explicit RandomOperations(unsigned seed)
      : random_(seed), space_(AddressSpace::create().release_value()) {}

  void run(int steps) {
    base_ = space_->map(anonymous(kWindow * kPageSize, Prot::kNone)).value();
    ASSERT_FALSE(space_->unmap(base_, kWindow * kPageSize).is_error());
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) one();
    check_all();
    uint64_t pages = 0;
    const auto areas = space_->areas().release_value();
    for (const Area& area : areas) pages += (area.end - area.start) / kPageSize;
    EXPECT_EQ(pages, model_.size());
    EXPECT_EQ(space_->mapped_bytes(), model_.size() * kPageSize);
  }

 private:
  static constexpr uint64_t kWindow = 256;

  uint64_t page() { return base_ + random_() % kWindow * kPageSize; }
  uint64_t length() { return (1 + random_() % (random_() % 4 == 0 ? 60 : 8)) * kPageSize; }
  Prot prot() {
    constexpr Prot kProts[] = {Prot::kNone, kR, kRW, kRW, kRX, kProtAll};
    return kProts[random_() % 6];
  }
  void set(uint64_t at, uint64_t bytes, Prot prot) {
    for (uint64_t p = at; p < at + bytes; p += kPageSize) model_[p] = {prot, 0};
  }
  void erase(uint64_t at, uint64_t bytes) {
    model_.erase(model_.lower_bound(at), model_.lower_bound(at + bytes));
  }
  bool covered(uint64_t at, uint64_t bytes) {
    for (uint64_t p = at; p < at + bytes; p += kPageSize) {
      if (!model_.contains(p)) return false;
    }
    return true;
  }
  bool uniform(uint64_t at, uint64_t bytes) {
    if (!covered(at, bytes)) return false;
    for (uint64_t p = at; p < at + bytes; p += kPageSize) {
      if (model_[p].prot != model_[at].prot) return false;
    }
    return true;
  }

  void one() {
    const uint64_t at = page(), bytes = length();
    switch (random_() % 9) {
      case 0: {
        const Prot p = prot();
        if (at + bytes > base_ + kWindow * kPageSize) break;
        ASSERT_EQ(space_->map(anonymous(bytes, p, at, Placement::kFixed)).value(), at);
        set(at, bytes, p);
        break;
      }
      case 1:
        ASSERT_FALSE(space_->unmap(at, bytes).is_error());
        erase(at, bytes);
        break;
      case 2: {
        const Prot p = prot();
        const bool ok = covered(at, bytes);
        ASSERT_EQ(!space_->protect(at, bytes, p).is_error(), ok);
        // What lies before a hole has changed.
        for (uint64_t q = at; q < at + bytes && model_.contains(q); q += kPageSize)
          model_[q].prot = p;
        break;
      }
      case 3:
        remap(at, bytes, length());
        break;
      case 4: {
        const bool ok = covered(at, bytes);
        ASSERT_EQ(!space_->advise(at, bytes, 4).is_error(), ok);
        for (uint64_t q = at; q < at + bytes; q += kPageSize) {
          if (model_.contains(q)) model_[q].value = 0;
        }
        break;
      }
      case 5: {
        const bool mapped = model_.contains(at);
        const bool ok = mapped && has(model_[at].prot, Prot::kWrite);
        if (!mapped) model_.erase(at);
        const auto value = static_cast<uint8_t>(random_());
        std::array<std::byte, 1> byte{static_cast<std::byte>(value)};
        if (random_() % 2 == 0) {
          ASSERT_EQ(program_store(*space_, at, value), ok       ? FaultResult::kResolved
                                                       : mapped ? FaultResult::kNoPermission
                                                                : FaultResult::kNoMapping);
        } else {
          ASSERT_EQ(!copy_to_user(*space_, UserAddress(at), byte).is_error(), ok);
        }
        if (ok) model_[at].value = value;
        break;
      }
      default:
        check(at);
    }
  }

  void remap(uint64_t at, uint64_t bytes, uint64_t wanted) {
    if (!uniform(at, bytes)) return;
    // Somewhere within the window, so that the model stays small.
    const uint64_t to = page();
    if (to + wanted > base_ + kWindow * kPageSize) return;
    const bool overlap = to < at + bytes && at < to + wanted;
    Result<uint64_t> done = Errno::kNoMem;
    if (random_() % 2 == 0) {
      done = space_->remap(at, bytes, wanted, AddressSpace::Remap::kFixed, to);
      ASSERT_EQ(done.is_error(), overlap);
    } else {
      done = space_->remap(at, bytes, wanted, AddressSpace::Remap::kInPlace, 0);
    }
    if (done.is_error()) return;
    const uint64_t now = done.value();
    std::vector<ModelPage> pages;
    const Prot p = model_[at].prot;
    for (uint64_t q = at; q < at + std::min(bytes, wanted); q += kPageSize)
      pages.push_back(model_[q]);
    erase(at, bytes);
    set(now, wanted, p);
    for (size_t i = 0; i < pages.size(); ++i) model_[now + i * kPageSize] = pages[i];
  }

  void check(uint64_t at) {
    const auto it = model_.find(at);
    uint8_t value = 0;
    const FaultResult result = program_load(*space_, at, value);
    if (it == model_.end()) {
      ASSERT_EQ(result, FaultResult::kNoMapping);
    } else if (it->second.prot == Prot::kNone) {
      ASSERT_EQ(result, FaultResult::kNoPermission);
    } else {
      ASSERT_EQ(result, FaultResult::kResolved);
      ASSERT_EQ(value, it->second.value);
    }
  }
  void check_all() {
    for (uint64_t i = 0; i < kWindow && !::testing::Test::HasFatalFailure(); ++i)
      check(base_ + i * kPageSize);
  }

  std::mt19937 random_;
  RefPtr<AddressSpace> space_;
  uint64_t base_ = 0;
  Model model_;
};

TEST(AddressSpaceRandom, AgainstAModel) {
  const uint64_t live = testing::live_allocations();
  const uint64_t present = memory_counters.user_present_pages.load();
  const uint64_t free_bytes = linear_use().free_bytes;
  for (unsigned seed = 1; seed <= 5 && !::testing::Test::HasFatalFailure(); ++seed) {
    RandomOperations operations(seed);
    operations.run(4000);
  }
  EXPECT_EQ(memory_counters.user_present_pages.load(), present);
  EXPECT_EQ(linear_use().free_bytes, free_bytes);
  EXPECT_GE(testing::live_allocations(), live);
}

// A file whose pages are full of 7.
class FullPages : public NumberedPages {
 public:
  Result<void> read_page(uint64_t index, std::span<std::byte, 4096> page) override {
    TRY(NumberedPages::read_page(index, page));
    std::memset(page.data(), 7, page.size());
    return {};
  }
};

// An allocation may fail on the way.
std::vector<uint8_t> content_of(MemoryObject& object) {
  std::vector<uint8_t> content(object.size());
  DataSink sink(std::as_writable_bytes(std::span(content)));
  for (int tries = 0; sink.remaining() != 0 && tries < 3; ++tries)
    (void)object.read(sink.transferred(), sink);
  EXPECT_EQ(sink.remaining(), 0u);
  return content;
}

// The page is to be written whole and is not in the cache; then half of it cannot be read.
TEST_F(AddressSpaceTest, AWriteThatEndsInAPageKeepsTheRest) {
  FullPages file;
  const RefPtr<MemoryObject> object = MemoryObject::create(&file, 2 * kPageSize).release_value();
  const uint64_t at = map(anonymous(kPageSize, kRW));
  for (uint64_t i = kPageSize / 2; i < kPageSize; ++i)
    ASSERT_EQ(store(at + i, 9), FaultResult::kResolved);
  DataSource source(UserAddress(at + kPageSize / 2), kPageSize);
  EXPECT_EQ(object->write(kPageSize, source).release_value(), kPageSize / 2);
  const std::vector<uint8_t> content = content_of(*object);
  for (size_t i = 0; i < content.size(); ++i) {
    const bool is_new = i >= kPageSize && i < kPageSize * 3 / 2;
    ASSERT_EQ(content[i], is_new ? 9 : 7) << i;
  }
  object->detach_source();
}

TEST_F(AddressSpaceTest, AWriteThatFindsNoMemoryKeepsWhatWasThere) {
  const std::vector<uint8_t> data(3 * kPageSize, 9);
  const auto body = [&](uint64_t offset) {
    FullPages file;
    const auto object = MemoryObject::create(&file, 4 * kPageSize);
    if (object.is_error()) return;
    DataSource source(std::as_bytes(std::span(data)));
    const Result<size_t> written = object.value()->write(offset, source);
    const uint64_t done = written.is_error() ? 0 : written.value();
    const std::vector<uint8_t> content = content_of(*object.value());
    for (uint64_t i = 0; i < content.size(); ++i)
      ASSERT_EQ(content[i], i >= offset && i < offset + done ? 9 : 7) << i << " of " << done;
    object.value()->detach_source();
  };
  for (const uint64_t offset : {uint64_t{0}, kPageSize / 2})
    EXPECT_GT(testing::with_each_allocation_failing([&] { body(offset); }), 3u);
}

// Every operation, with its first allocation failing, then its second, ...: kNoMem or success, and nothing is lost.
TEST(AddressSpaceFailures, EachAllocation) {
  const uint64_t present = memory_counters.user_present_pages.load();
  const uint64_t free_bytes = linear_use().free_bytes;
  const auto body = [] {
    Result<RefPtr<AddressSpace>> made = AddressSpace::create();
    if (made.is_error()) return;
    AddressSpace& space = *made.value();
    const auto object = MemoryObject::create(nullptr, 8 * kPageSize);
    (void)space.create_heap();
    (void)space.set_break(space.set_break(0) + 50000);
    const Result<uint64_t> at = space.map(anonymous(32 * kPageSize, kRW));
    if (!object.is_error()) {
      const Result<uint64_t> shared = space.map(of_object(object.value(), 8, kRW, true));
      if (!shared.is_error()) {
        (void)program_store(space, shared.value() + kPageSize, 4);
        (void)space.protect(shared.value() + 2 * kPageSize, kPageSize, kR);
        (void)space.unmap(shared.value() + 4 * kPageSize, kPageSize);
      }
      const Result<uint64_t> alias = space.map(of_object(object.value(), 8, kRW, true));
      if (!alias.is_error()) {
        (void)program_store(space, alias.value() + kPageSize, 5);
        if (!shared.is_error()) (void)program_store(space, shared.value() + kPageSize, 6);
        (void)program_store(space, alias.value(), 7);
        (void)space.protect(alias.value() + kPageSize, kPageSize, kR);
        (void)space.remap(alias.value() + 2 * kPageSize, 6 * kPageSize, 20 * kPageSize,
                          AddressSpace::Remap::kMayMove, 0);
      }
      (void)space.map(of_object(object.value(), 8, kRX, false));
    }
    if (at.is_error()) return;
    (void)program_store(space, at.value() + 8 * kPageSize, 1);
    (void)space.protect(at.value() + 4 * kPageSize, 8 * kPageSize, kR);
    (void)space.unmap(at.value() + 6 * kPageSize, kPageSize);
    (void)space.map(anonymous(4 * kPageSize, kRW, at.value() + 5 * kPageSize, Placement::kFixed));
    (void)space.remap(at.value() + 16 * kPageSize, 16 * kPageSize, 4000 * kPageSize,
                      AddressSpace::Remap::kMayMove, 0);
    (void)space.areas();
  };
  EXPECT_GT(testing::with_each_allocation_failing(body), 20u);
  EXPECT_EQ(memory_counters.user_present_pages.load(), present);
  EXPECT_EQ(linear_use().free_bytes, free_bytes);
}

TEST(AddressSpaceFailures, TheHostHasNoPages) {
  const uint64_t present = memory_counters.user_present_pages.load();
  const uint64_t free_bytes = linear_use().free_bytes;
  for (uint64_t pages = 0; pages < 120; pages += 7) {
    const RefPtr<AddressSpace> space = AddressSpace::create().release_value();
    // Far away, where no page was committed yet.
    const uint64_t at = user_range().start + (uint64_t{100} << 30) + pages * 1024 * kPageSize;
    ASSERT_FALSE(space->map(anonymous(64 * kPageSize, kRW, at, Placement::kFixed)).is_error());
    fail_commits_after(pages);
    for (uint64_t i = 0; i < 64; ++i) {
      const FaultResult result = program_store(*space, at + i * kPageSize, 1);
      EXPECT_TRUE(result == FaultResult::kResolved || result == FaultResult::kOutOfMemory);
    }
    fail_commits_after(UINT64_MAX);
    for (uint64_t i = 0; i < 64; ++i) {
      EXPECT_EQ(program_store(*space, at + i * kPageSize, 1), FaultResult::kResolved);
    }
  }
  EXPECT_EQ(memory_counters.user_present_pages.load(), present);
  EXPECT_EQ(linear_use().free_bytes, free_bytes);
}

}  // namespace
}  // namespace occlum
