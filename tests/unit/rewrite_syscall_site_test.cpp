// Which bytes are a system call that may be patched, and what the patch does when it is executed.
#include "libos/process/rewrite/syscall_site.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>
#include <vector>

namespace occlum {
namespace {

constexpr uint64_t kAt = 0x70000000;  // of the `syscall`
constexpr uint64_t kNoR8 = UINT64_MAX;

// `bytes` end where the `syscall` begins; what is missing before them is NOPs.
std::optional<SyscallSite> find(std::initializer_list<int> bytes, uint64_t rax,
                                uint64_t r8 = kNoR8) {
  std::array<std::byte, kSiteWindow> before;
  before.fill(std::byte{0x90});
  size_t at = kSiteWindow - bytes.size();
  for (const int byte : bytes) before.at(at++) = static_cast<std::byte>(byte);
  return find_syscall_site(before, kAt, rax, r8);
}

TEST(SyscallSite, ShortForm) {
  const auto site = find({0xb8, 39, 0, 0, 0}, 39);
  ASSERT_TRUE(site);
  EXPECT_EQ(site->start, kAt - 5);
  EXPECT_EQ(site->jump_at(), kAt - 5);
  EXPECT_EQ(site->number, 39u);
  EXPECT_EQ(site->mov_size, 5);
  EXPECT_EQ(site->return_address(), kAt + 2);
}

TEST(SyscallSite, LongForm) {
  const auto site = find({0x48, 0xc7, 0xc0, 0xca, 0, 0, 0}, 202);
  ASSERT_TRUE(site);
  EXPECT_EQ(site->start, kAt - 7);
  EXPECT_EQ(site->jump_at(), kAt - 6);
  EXPECT_EQ(site->number, 202u);
  EXPECT_EQ(site->return_address(), kAt + 2);
}

TEST(SyscallSite, TheNumberMustBeTheOneThatWasCalled) {
  EXPECT_FALSE(find({0xb8, 39, 0, 0, 0}, 40));
  EXPECT_FALSE(find({0xb8, 39, 0, 0, 0}, 39 | uint64_t{1} << 32));
  EXPECT_FALSE(find({0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff}, UINT64_MAX));
  EXPECT_FALSE(find({0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff}, 0xffffffff));
}

TEST(SyscallSite, NeverSigreturn) {
  EXPECT_FALSE(find({0x48, 0xc7, 0xc0, 15, 0, 0, 0}, 15));
  EXPECT_FALSE(find({0xb8, 15, 0, 0, 0}, 15));
}

TEST(SyscallSite, OtherInstructions) {
  EXPECT_FALSE(find({}, 39));
  EXPECT_FALSE(find({0xb9, 39, 0, 0, 0}, 39));              // mov $39,%ecx
  EXPECT_FALSE(find({0x49, 0xc7, 0xc0, 39, 0, 0, 0}, 39));  // mov $39,%r8
  EXPECT_FALSE(find({0x48, 0xc7, 0xc1, 39, 0, 0, 0}, 39));  // mov $39,%rcx
  EXPECT_FALSE(find({0x31, 0xc0}, 0));                      // xor %eax,%eax
  EXPECT_FALSE(find({0xb8, 0, 0, 1, 0}, 0x10000));          // no such number
}

TEST(SyscallSite, MovToR8IsToldByR8) {
  EXPECT_FALSE(find({0x41, 0xb8, 39, 0, 0, 0}, 39, 39));
  EXPECT_TRUE(find({0x41, 0xb8, 39, 0, 0, 0}, 39, 40));  // 41 ends the instruction before
  EXPECT_TRUE(find({0x40, 0xb8, 39, 0, 0, 0}, 39, 39));  // an empty REX: still EAX
}

TEST(SyscallSite, EndsOfLongerInstructions) {
  EXPECT_FALSE(find({0xc7, 0x45, 0xb8, 39, 0, 0, 0}, 39));        // movl $39,-72(%rbp)
  EXPECT_FALSE(find({0xc7, 0x44, 0x24, 0xb8, 39, 0, 0, 0}, 39));  // movl $39,-72(%rsp)
  EXPECT_FALSE(find({0x81, 0x7d, 0xb8, 39, 0, 0, 0}, 39));        // cmpl $39,-72(%rbp)
  EXPECT_FALSE(find({0x69, 0x55, 0xb8, 39, 0, 0, 0}, 39));        // imul $39,-72(%rbp),%edx
  EXPECT_FALSE(find({0xf7, 0x45, 0xb8, 39, 0, 0, 0}, 39));        // testl $39,-72(%rbp)
  EXPECT_FALSE(find({0x8d, 0xb8, 39, 0, 0, 0}, 39));              // lea 39(%rax),%edi
  EXPECT_FALSE(find({0x8b, 0x84, 0xb8, 39, 0, 0, 0}, 39));        // mov 39(%rax,%rdi,4),%eax
  EXPECT_TRUE(find({0x48, 0x89, 0xe7, 0xb8, 39, 0, 0, 0}, 39));   // mov %rsp,%rdi; mov $39,%eax
}

TEST(SyscallSite, AtomicStores) {
  EXPECT_TRUE(is_atomic_store(0x1000, 5));
  EXPECT_TRUE(is_atomic_store(0x100b, 5));
  EXPECT_FALSE(is_atomic_store(0x100c, 5));
  EXPECT_FALSE(is_atomic_store(0x0ffe, 5));
}

TEST(SyscallSite, Reach) {
  EXPECT_TRUE(is_in_reach(0x1000, 0x400000));
  EXPECT_TRUE(is_in_reach(0x400000 + kStubReach - 1, 0x400000));
  EXPECT_FALSE(is_in_reach(0x400000 + kStubReach, 0x400000));
  EXPECT_FALSE(is_in_reach(0x400000, 0x400000 + kStubReach));
}

// Executes a patched site, with a block as GS whose word at 72 leads to code that adds 0x10000 to RAX and returns to RCX.
struct Outcome {
  uint64_t rax, rcx, rdi, carry, red_zone;
};

extern "C" void run_site(uint64_t code, Outcome* outcome);
asm(R"(
run_site:
  pushq %rbx
  movq %rsi, %rbx
  movq %rdi, %rax
  movq $0x5a5a, -64(%rsp)
  movl $77, %edi
  stc
  call *%rax
  setc 24(%rbx)
  movq %rax, (%rbx)
  movq %rcx, 8(%rbx)
  movq %rdi, 16(%rbx)
  movq -64(%rsp), %rax
  movq %rax, 32(%rbx)
  popq %rbx
  ret
)");

uint8_t* map_code(uint64_t at) {
  void* page = mmap(reinterpret_cast<void*>(at), 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  EXPECT_EQ(page, reinterpret_cast<void*>(at));
  return static_cast<uint8_t*>(page);
}

class Patched : public testing::TestWithParam<std::tuple<int, int64_t>> {};

TEST_P(Patched, DoesWhatTheCallDid) {
  constexpr uint64_t kText = 0x200000000000, kCode = 16, kEntry = 512, kStub = 64;
  const auto [mov_size, distance] = GetParam();
  uint8_t* text = map_code(kText);
  uint8_t* stubs = map_code(kText + static_cast<uint64_t>(distance));
  const uint64_t stub_at = kText + static_cast<uint64_t>(distance) + kStub;
  const std::vector<uint8_t> code =
      mov_size == 7 ? std::vector<uint8_t>{0x48, 0xc7, 0xc0, 39, 0, 0, 0, 0x0f, 0x05, 0xc3}
                    : std::vector<uint8_t>{0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
  memcpy(text + kCode, code.data(), code.size());
  const uint8_t entry[] = {0x48, 0x8d, 0x80, 0x00, 0x00, 0x01, 0x00,  // lea 0x10000(%rax),%rax
                           0xff, 0xe1};                               // jmp *%rcx
  memcpy(text + kEntry, entry, sizeof entry);
  const uint64_t block[10] = {0, 0, 0, 0, 0, 0, 0, 0, 0, kText + kEntry};

  std::array<std::byte, kSiteWindow> before;
  const uint64_t syscall_at = kCode + static_cast<uint64_t>(mov_size);
  memcpy(before.data(), text + syscall_at - kSiteWindow, kSiteWindow);
  const auto site = find_syscall_site(before, kText + syscall_at, 39, kNoR8);
  ASSERT_TRUE(site);
  ASSERT_TRUE(is_in_reach(stub_at, site->start));
  const auto stub = encode_stub(*site, stub_at);
  memcpy(stubs + kStub, stub.data(), stub.size());
  const auto jump = encode_jump(*site, stub_at);
  memcpy(text + (site->jump_at() - kText), jump.data(), jump.size());
  EXPECT_EQ(text[syscall_at], 0x0f);
  EXPECT_EQ(text[syscall_at + 1], 0x05);

  constexpr long kSetGs = 0x1001;
  ASSERT_EQ(syscall(SYS_arch_prctl, kSetGs, block), 0);
  for (const uint64_t start : {site->start, site->jump_at()}) {
    Outcome outcome = {};
    run_site(start, &outcome);
    EXPECT_EQ(outcome.rax, 39u + 0x10000);
    EXPECT_EQ(outcome.rcx, site->return_address());
    EXPECT_EQ(outcome.rdi, 77u);
    EXPECT_EQ(outcome.carry, 1u);
    EXPECT_EQ(outcome.red_zone, 0x5a5au);
  }
  syscall(SYS_arch_prctl, kSetGs, 0);
  munmap(text, 4096);
  munmap(stubs, 4096);
}

INSTANTIATE_TEST_SUITE_P(Sites, Patched,
                         testing::Combine(testing::Values(5, 7),
                                          testing::Values(int64_t{4096}, int64_t{-0x10000},
                                                          static_cast<int64_t>(kStubReach) - 4096,
                                                          -static_cast<int64_t>(kStubReach) +
                                                              4096)));

}  // namespace
}  // namespace occlum
