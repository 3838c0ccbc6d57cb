// madvise(2), msync(2), mincore(2), and the mlock(2) family (mm/page_lock.h).
#include "libos/lib/bits.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space.h"
#include "libos/process/memory_limits.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/files_common.h"
#include "libos/syscall/linux_memory.h"

namespace occlum {
namespace {

constexpr int kAdvisePopulateRead = 22, kAdvisePopulateWrite = 23;

// mlock(2) and mlockall(2) by who may not lock anything.
Result<void> check_may_lock(Thread& self) {
  const bool may =
      self.process().limit(Resource::kMemLock).soft != 0 || self.user().has(kCapIpcLock);
  return may ? Result<void>() : Errno::kPerm;
}

// Fills what is locked. What can only be written or executed is filled as well; what cannot be accessed at all is an
// error.
Result<void> fill_locked(AddressSpace& memory, uint64_t start, uint64_t end) {
  for (const Area& area : TRY(memory.areas())) {
    const uint64_t from = std::max(area.start, start), to = std::min(area.end, end);
    if (from >= to) continue;
    if (area.prot == Prot::kNone) return Errno::kNoMem;
    if (has(area.prot, Prot::kRead)) {
      TRY(memory.advise(from, to - from, kAdvisePopulateRead));
    } else if (has(area.prot, Prot::kWrite)) {
      TRY(memory.advise(from, to - from, kAdvisePopulateWrite));
    } else {
      for (uint64_t at = from; at < to; at += kPageSize) {
        if (memory.handle_fault(at, Access::kExecute) != FaultResult::kResolved)
          return Errno::kNoMem;
      }
    }
  }
  return {};
}

Result<long> lock_range(Thread& self, uint64_t address, size_t length, PageLock lock) {
  AddressSpace& memory = self.memory();
  const uint64_t start = align_down(address, kPageSize);
  // These sums wrap around, as Linux's do: a length near 2^64 is nothing.
  const uint64_t size = align_down(length + (address - start) + (kPageSize - 1), kPageSize);
  const uint64_t end = start + size;
  if (lock != PageLock::kNone) {
    TRY(check_may_lock(self));
    // What is locked already does not count again.
    const uint64_t more = size - memory.locked_bytes(start, end < start ? UINT64_MAX : end);
    if (check_lock_limit(self, more).is_error()) return Errno::kNoMem;
  }
  if (end < start) return Errno::kInval;
  if (size == 0) return 0L;
  TRY(memory.set_lock(start, size, lock));
  if (lock == PageLock::kLocked && fill_locked(memory, start, end).is_error()) return Errno::kNoMem;
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
  return lock_range(self, address.value(), length, PageLock::kLocked);
}

Result<long> sys_mlock2(Thread& self, UserAddress address, size_t length, int flags) {
  if ((static_cast<uint32_t>(flags) & ~kMlockOnFault) != 0) return Errno::kInval;
  return lock_range(self, address.value(), length,
                    flags == 0 ? PageLock::kLocked : PageLock::kOnFault);
}

Result<long> sys_munlock(Thread& self, UserAddress address, size_t length) {
  return lock_range(self, address.value(), length, PageLock::kNone);
}

// Here all that is mapped counts, and what it fills may fail unseen.
Result<long> sys_mlockall(Thread& self, int flag_word) {
  const auto flags = static_cast<uint32_t>(flag_word);
  if (flags == 0 || flags == kMclOnFault) return Errno::kInval;
  if ((flags & ~(kMclCurrent | kMclFuture | kMclOnFault)) != 0) return Errno::kInval;
  TRY(check_may_lock(self));
  AddressSpace& memory = self.memory();
  const bool all = (flags & kMclCurrent) != 0, future = (flags & kMclFuture) != 0;
  const uint64_t limit = self.process().limit(Resource::kMemLock).soft;
  if (all && memory.mapped_bytes() > limit && !self.user().has(kCapIpcLock)) return Errno::kNoMem;
  const PageLock lock = (flags & kMclOnFault) != 0 ? PageLock::kOnFault : PageLock::kLocked;
  memory.set_all_locks(all ? std::optional(lock) : std::nullopt, future ? lock : PageLock::kNone);
  if (!all || lock != PageLock::kLocked) return 0L;
  for (const Area& area : TRY(memory.areas())) {
    if (area.prot == Prot::kNone) continue;
    (void)memory.advise(area.start, area.end - area.start, kAdvisePopulateRead);
  }
  return 0L;
}

Result<long> sys_munlockall(Thread& self) {
  self.memory().set_all_locks(PageLock::kNone, PageLock::kNone);
  return 0L;
}

}  // namespace occlum
