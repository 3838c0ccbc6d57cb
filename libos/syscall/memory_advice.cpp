// madvise(2), msync(2), mincore(2), and the mlock(2) family, which has nothing to do: the host decides what it pages
// out, encrypted, and no program can tell.
#include "libos/lib/bits.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/files_common.h"
#include "libos/syscall/linux_memory.h"

namespace occlum {
namespace {

constexpr int kAdvisePopulateRead = 22;

// RLIMIT_MEMLOCK. What is locked already is not counted: nothing is really locked.
Result<void> check_lock_limit(Thread& self, uint64_t bytes) {
  if (self.user().has(kCapIpcLock)) return {};
  const uint64_t limit = self.process().limit(Resource::kMemLock).soft;
  if (limit == 0) return Errno::kPerm;
  if (align_down(limit, kPageSize) < bytes) return Errno::kNoMem;
  return {};
}

uint64_t locked_bytes(UserAddress address, size_t length) {
  const auto end = checked_add(address.value() & kPageMask, uint64_t{length});
  const auto pages = end ? checked_align_up(*end, kPageSize) : std::nullopt;
  return pages.value_or(UINT64_MAX);
}

Result<long> lock_range(AddressSpace& memory, uint64_t address, size_t length, bool populate) {
  if (length == 0) return 0L;
  const uint64_t start = align_down(address, kPageSize);
  const auto end = checked_add(address, uint64_t{length});
  if (!end) return Errno::kInval;
  TRY(memory.check_mapped(start, *end - start));
  // Pages that cannot be read stay as they are: mlock(2) on PROT_NONE memory is what ENOMEM is for.
  if (populate && memory.advise(start, *end - start, kAdvisePopulateRead).is_error())
    return Errno::kNoMem;
  return 0L;
}

}  // namespace

Result<long> sys_madvise(Thread& self, UserAddress address, size_t length, int advice) {
  return done(self.memory().advise(address.value(), length, advice));
}

Result<long> sys_msync(Thread& self, UserAddress address, size_t length, int flag_word) {
  const auto flags = static_cast<uint32_t>(flag_word);
  if ((flags & ~(kMsAsync | kMsInvalidate | kMsSync)) != 0) return Errno::kInval;
  if ((flags & kMsAsync) != 0 && (flags & kMsSync) != 0) return Errno::kInval;
  // A length that rounds up to nothing is nothing to do.
  if (is_aligned(address.value(), kPageSize) && !checked_align_up(length, kPageSize)) return 0;
  return done(self.memory().sync(address.value(), length, flag_word));
}

Result<long> sys_mincore(Thread& self, UserAddress address, size_t length, UserAddress vector) {
  if (!is_aligned(address.value(), kPageSize)) return Errno::kInval;
  // In parts: the range may be large, and results are stored without the address space's lock.
  constexpr uint64_t kPart = 4096;
  const auto size = checked_align_up(length, kPageSize);
  if (!size || !checked_add(address.value(), uint64_t{*size})) return Errno::kNoMem;
  Vec<uint8_t> pages;
  TRY(pages.reserve(kPart));
  for (uint64_t done = 0; done < *size; done += kPart * kPageSize) {
    pages.truncate(0);
    const uint64_t bytes = std::min<uint64_t>(*size - done, kPart * kPageSize);
    TRY(self.memory().residency(address.value() + done, bytes,
                                [&](bool resident) { pages.push_reserved(resident ? 1 : 0); }));
    TRY(copy_to_user(self.memory(), vector + done / kPageSize, std::as_bytes(pages.span())));
  }
  return 0L;
}

Result<long> sys_mlock(Thread& self, UserAddress address, size_t length) {
  TRY(check_lock_limit(self, locked_bytes(address, length)));
  return lock_range(self.memory(), address.value(), length, true);
}

Result<long> sys_mlock2(Thread& self, UserAddress address, size_t length, int flags) {
  if ((static_cast<uint32_t>(flags) & ~kMlockOnFault) != 0) return Errno::kInval;
  TRY(check_lock_limit(self, locked_bytes(address, length)));
  return lock_range(self.memory(), address.value(), length, flags == 0);
}

Result<long> sys_munlock(Thread& self, UserAddress address, size_t length) {
  return lock_range(self.memory(), address.value(), length, false);
}

Result<long> sys_mlockall(Thread& self, int flag_word) {
  const auto flags = static_cast<uint32_t>(flag_word);
  if (flags == 0 || flags == kMclOnFault) return Errno::kInval;
  if ((flags & ~(kMclCurrent | kMclFuture | kMclOnFault)) != 0) return Errno::kInval;
  TRY(check_lock_limit(self, (flags & kMclCurrent) != 0 ? self.memory().mapped_bytes() : 0));
  return 0L;
}

Result<long> sys_munlockall(Thread&) { return 0L; }

}  // namespace occlum
