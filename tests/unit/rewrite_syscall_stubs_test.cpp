// Patching text of an address space: what is patched, when, and that stubs are found again.
#include "libos/process/rewrite/syscall_stubs.h"

#include <gtest/gtest.h>

#include <cstring>

#include "libos/arch/arch.h"
#include "libos/lib/bytes.h"
#include "libos/mm/user.h"

namespace occlum {

namespace {
bool others_are_inside = false;
int pauses = 0;
}  // namespace

bool while_programs_pause(FunctionRef<void()> change) {
  ++pauses;
  if (others_are_inside) change();
  return others_are_inside;
}

namespace {

constexpr Prot kText = Prot::kRead | Prot::kExec;
constexpr uint64_t kNumber = 39;
constexpr int kTrapsBeforePatch = 4;
// Offsets of three movs in the text: within 16 bytes, long, and across the end of 16 bytes.
constexpr uint64_t kShort = 0x40, kLong = 0x80, kAcross = 0xcd;

class TextPage : public PageSource {
 public:
  Result<void> read_page(uint64_t, std::span<std::byte, 4096> page) override {
    std::memset(page.data(), 0x90, page.size());
    for (const uint64_t offset : {kShort, kAcross})
      std::memcpy(&page[offset], "\xb8\x27\0\0\0\x0f\x05", 7);
    std::memcpy(&page[kLong], "\x48\xc7\xc0\x27\0\0\0\x0f\x05", 9);
    return {};
  }
  Result<void> write_page(uint64_t, std::span<const std::byte, 4096>, uint64_t) override {
    return Errno::kIo;
  }
  bool has_store() const override { return true; }
};

class SyscallStubsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    others_are_inside = false;
    pauses = 0;
    object = MemoryObject::create(&source, 4096).release_value();
    memory = AddressSpace::create().release_value();
    text = map(kText, false);
  }

  uint64_t map(Prot prot, bool shared) {
    MapRequest request;
    request.length = 4096;
    request.prot = prot;
    request.source.object = object;
    request.source.shared = shared;
    return memory->map(std::move(request)).release_value();
  }

  std::array<std::byte, 8> bytes_at(uint64_t address) {
    std::array<std::byte, 8> bytes;
    EXPECT_FALSE(copy_from_user(*memory, bytes, UserAddress(address)).is_error());
    return bytes;
  }

  // The `syscall` behind the mov traps so many times. True when the mov has become a jump.
  bool trap(uint64_t mov, uint64_t mov_size = 5, int times = kTrapsBeforePatch) {
    UserRegisters registers = {};
    registers.rip = mov + mov_size;
    registers.rax = kNumber;
    for (int i = 0; i < times; ++i) stubs.note_trap(*memory, registers);
    return bytes_at(mov + (mov_size == 7 ? 1 : 0))[0] == std::byte{0xe9};
  }

  uint64_t target_of(uint64_t jump) {
    const auto code = bytes_at(jump);
    const auto distance = static_cast<int32_t>(load_le<uint32_t>(std::span(code).subspan(1, 4)));
    return jump + 5 + static_cast<uint64_t>(static_cast<int64_t>(distance));
  }

  TextPage source;
  RefPtr<MemoryObject> object;
  RefPtr<AddressSpace> memory;
  SyscallStubs stubs;
  uint64_t text = 0;
};

TEST_F(SyscallStubsTest, PatchesAfterSomeTraps) {
  EXPECT_FALSE(trap(text + kShort, 5, kTrapsBeforePatch - 1));
  EXPECT_TRUE(trap(text + kShort, 5, 1));
  const uint64_t stub = target_of(text + kShort);
  const SyscallSite site{.start = text + kShort, .number = kNumber, .mov_size = 5};
  EXPECT_TRUE(is_in_reach(stub, site.start));
  const auto code = encode_stub(site, stub);
  EXPECT_EQ(std::memcmp(bytes_at(stub).data(), code.data(), 8), 0);
  EXPECT_EQ(std::memcmp(bytes_at(text + kShort + 5).data(), "\x0f\x05\x90", 3), 0);
  for (const uint64_t instruction : {0u, 5u, 12u}) {
    ASSERT_TRUE(stubs.site_of(stub + instruction));
    EXPECT_EQ(*stubs.site_of(stub + instruction), site);
  }
  EXPECT_FALSE(stubs.site_of(stub + 64));
  EXPECT_FALSE(stubs.site_of(text + kShort));
  EXPECT_FALSE(stubs.site_of(0));
}

TEST_F(SyscallStubsTest, StubsShareAPage) {
  EXPECT_TRUE(trap(text + kShort));
  EXPECT_TRUE(trap(text + kLong, 7));
  EXPECT_TRUE(trap(text + kAcross));
  const uint64_t page = target_of(text + kShort) / 4096;
  EXPECT_EQ(target_of(text + kLong + 1) / 4096, page);
  EXPECT_EQ(target_of(text + kAcross) / 4096, page);
  EXPECT_EQ(bytes_at(text + kLong)[0], std::byte{0x48});
  EXPECT_EQ(stubs.site_of(target_of(text + kLong + 1))->mov_size, 7);
  EXPECT_EQ(pauses, 0);
}

TEST_F(SyscallStubsTest, WatchedTextIsTheProgramsOwn) {
  const auto short_text = bytes_at(text + kShort), long_text = bytes_at(text + kLong);
  EXPECT_TRUE(trap(text + kShort));
  EXPECT_TRUE(trap(text + kLong, 7));
  const uint64_t stub = target_of(text + kShort);
  stubs.watch(*memory);
  stubs.watch(*memory);
  EXPECT_EQ(bytes_at(text + kShort), short_text);
  EXPECT_EQ(bytes_at(text + kLong), long_text);
  EXPECT_TRUE(stubs.site_of(stub));
  EXPECT_FALSE(trap(text + kShort));
  stubs.unwatch();
  EXPECT_FALSE(trap(text + kShort));
  stubs.unwatch();
  EXPECT_TRUE(trap(text + kShort));
  EXPECT_EQ(target_of(text + kShort), stub);
}

TEST_F(SyscallStubsTest, TheFileAndOtherMappingsKeepTheirText) {
  EXPECT_TRUE(trap(text + kShort));
  const uint64_t other = map(kText, false);
  EXPECT_EQ(bytes_at(other + kShort)[0], std::byte{0xb8});
}

TEST_F(SyscallStubsTest, OnlyPrivateReadOnlyTextOfFiles) {
  EXPECT_FALSE(trap(map(kText | Prot::kWrite, false) + kShort));
  EXPECT_FALSE(trap(map(Prot::kRead, false) + kShort));
  EXPECT_FALSE(trap(map(kText, true) + kShort));
  MapRequest request;
  request.length = 4096;
  request.prot = kText;
  const uint64_t anonymous = memory->map(std::move(request)).release_value();
  ASSERT_FALSE(memory->poke(anonymous + kShort, bytes_at(text + kShort)).is_error());
  EXPECT_FALSE(trap(anonymous + kShort));
}

TEST_F(SyscallStubsTest, AJumpAcrossSixteenBytesWaitsForTheOthers) {
  const RefPtr<AddressSpace> second = memory, third = memory;
  EXPECT_TRUE(trap(text + kShort));
  EXPECT_EQ(pauses, 0);
  EXPECT_FALSE(trap(text + kAcross));
  EXPECT_EQ(pauses, 1);
  others_are_inside = true;
  EXPECT_TRUE(trap(text + kAcross));
  EXPECT_EQ(pauses, 2);
}

TEST_F(SyscallStubsTest, DroppedTextGetsTheSameStub) {
  constexpr int kDontNeed = 4;
  EXPECT_TRUE(trap(text + kShort));
  const uint64_t stub = target_of(text + kShort);
  ASSERT_FALSE(memory->advise(text, 4096, kDontNeed).is_error());
  EXPECT_EQ(bytes_at(text + kShort)[0], std::byte{0xb8});
  EXPECT_TRUE(trap(text + kShort));
  EXPECT_EQ(target_of(text + kShort), stub);
}

TEST_F(SyscallStubsTest, ManySitesTakeTurns) {
  // More sites than the cache of candidates: the ones that trap most are patched all the same.
  for (int round = 0; round < 3 * kTrapsBeforePatch; ++round) {
    for (const uint64_t offset : {kShort, kAcross}) (void)trap(text + offset, 5, 1);
    (void)trap(text + kLong, 7, 1);
  }
  EXPECT_TRUE(trap(text + kShort, 5, 0));
  EXPECT_TRUE(trap(text + kAcross, 5, 0));
  EXPECT_TRUE(trap(text + kLong, 7, 0));
}

}  // namespace
}  // namespace occlum
