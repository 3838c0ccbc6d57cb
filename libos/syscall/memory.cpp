// mmap(2), munmap(2), mprotect(2), mremap(2), brk(2).
#include <algorithm>

#include "libos/fs/vfs/file.h"
#include "libos/lib/bits.h"
#include "libos/mm/address_space.h"
#include "libos/mm/stack_growth.h"
#include "libos/process/memory_limits.h"
#include "libos/process/personality.h"
#include "libos/process/process.h"
#include "libos/process/rewrite/rewrite.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/files_common.h"
#include "libos/syscall/linux_memory.h"

namespace occlum {
namespace {

Prot prot_of(int prot) { return static_cast<Prot>(prot & 7); }

// Private writable memory that is no stack: what RLIMIT_DATA limits (since Linux 4.7, as getrlimit(2) says).
bool is_data(const Area& area) {
  return !area.shared && has(area.prot, Prot::kWrite) && !area.grows_down;
}

// READ_IMPLIES_EXEC: what can be read can be executed.
Prot wanted_prot(Thread& self, int prot) {
  const Prot wanted = prot_of(prot);
  const bool implies = (self.personality & kReadImpliesExec) != 0 && has(wanted, Prot::kRead);
  return implies ? wanted | Prot::kExec : wanted;
}

// How much of [start, end) is mapped, and how much of that is data.
struct Mapped {
  uint64_t all = 0, data = 0;
};
Result<Mapped> mapped_in(AddressSpace& memory, uint64_t start, uint64_t end) {
  Mapped mapped;
  for (const Area& area : TRY(memory.areas())) {
    if (area.end <= start || end <= area.start) continue;
    const uint64_t bytes = std::min(area.end, end) - std::max(area.start, start);
    mapped.all += bytes;
    if (is_data(area)) mapped.data += bytes;
  }
  return mapped;
}

// RLIMIT_AS and RLIMIT_DATA, for `more` bytes of which `more_data` are data; what lies at [replaced, +length) goes.
struct Growth {
  uint64_t more = 0, more_data = 0;
  uint64_t replaced = 0, replaced_length = 0;
};
Result<void> check_limits(Thread& self, const Growth& growth) {
  const ResourceLimits limits = self.process().limits();
  const uint64_t most = limits[Resource::kAddressSpace].soft,
                 most_data = limits[Resource::kData].soft;
  if (most == kRlimInfinity && (most_data == kRlimInfinity || growth.more_data == 0)) return {};
  Mapped now = TRY(mapped_in(self.memory(), 0, UINT64_MAX));
  if (growth.replaced_length != 0) {
    const auto end = checked_add(growth.replaced, growth.replaced_length);
    const Mapped gone = TRY(mapped_in(self.memory(), growth.replaced, end.value_or(UINT64_MAX)));
    now.all -= gone.all;
    now.data -= gone.data;
  }
  const auto exceeds = [](uint64_t limit, uint64_t used, uint64_t more) {
    return limit != kRlimInfinity && more != 0 && (more > limit || used > limit - more);
  };
  if (exceeds(most, now.all, growth.more) || exceeds(most_data, now.data, growth.more_data))
    return Errno::kNoMem;
  return {};
}

// MAP_LOCKED or mlockall(MCL_FUTURE).
Result<PageLock> lock_of(Thread& self, uint32_t flags, uint64_t size) {
  PageLock lock = self.memory().future_lock();
  if ((flags & kMapLocked) != 0) {
    if (self.process().limit(Resource::kMemLock).soft == 0 && !self.user().has(kCapIpcLock))
      return Errno::kPerm;
    if (lock == PageLock::kNone) lock = PageLock::kLocked;
  }
  if (lock != PageLock::kNone) TRY(check_lock_limit(self, size));
  return lock;
}

Placement placement_of(uint32_t flags, UserAddress address) {
  if ((flags & kMapFixedNoReplace) != 0) return Placement::kFixedNoReplace;
  if ((flags & kMapFixed) != 0) return Placement::kFixed;
  return address.is_null() ? Placement::kAnywhere : Placement::kHint;
}

Result<MapSource> source_of(Thread& self, uint32_t flags, int prot, Fd fd, uint64_t offset,
                            size_t length) {
  const bool shared = (flags & kMapType) != kMapPrivate;
  if ((flags & kMapAnonymous) != 0) {
    MapSource source;
    source.shared = shared;
    return source;
  }
  const RefPtr<File> file = TRY(io_file(self, fd));
  if (!file->can_read()) return Errno::kAcces;
  // As far as there are offsets. What would not fit into memory is another error.
  if (length <= user_range().size() && offset > uint64_t{INT64_MAX} - length)
    return Errno::kOverflow;
  MapSource source = TRY(file->map_source(offset, length, shared, prot_of(prot)));
  // Mapping counts as access.
  const Path* path = file->path();
  if (path != nullptr && file->inode() != nullptr && (file->flags() & kOpenNoAtime) == 0 &&
      (path->mount->flags() & kMountNoAtime) == 0) {
    file->inode()->note_access();
  }
  return source;
}

// A file where nothing may be executed is only read.
Result<Prot> mapping_prot(Thread& self, uint32_t flags, int prot, Fd fd) {
  const Prot wanted = wanted_prot(self, prot);
  if (wanted == prot_of(prot) || (flags & kMapAnonymous) != 0) return wanted;
  const RefPtr<File> file = TRY(io_file(self, fd));
  const Path* path = file->path();
  const bool may = path == nullptr || (path->mount->flags() & kMountNoExec) == 0;
  return may ? wanted : prot_of(prot);
}

// MAP_32BIT: the second gigabyte, as Linux has it.
Result<long> map_low(AddressSpace& memory, const MapRequest& wanted) {
  constexpr uint64_t kStart = uint64_t{1} << 30, kEnd = uint64_t{2} << 30,
                     kStep = uint64_t{1} << 20;
  const uint64_t length = align_up(wanted.length, kPageSize);
  for (uint64_t at = kStart; length <= kEnd && at <= kEnd - length; at += align_up(length, kStep)) {
    MapRequest request = TRY(wanted.another());
    request.address = at;
    request.length = length;
    request.placement = Placement::kFixedNoReplace;
    const Result<uint64_t> mapped = memory.map(std::move(request));
    if (!mapped.is_error()) return static_cast<long>(mapped.value());
    if (mapped.error() != Errno::kExist) return mapped.error();
  }
  return Errno::kNoMem;
}

}  // namespace

Result<long> sys_mmap(Thread& self, UserAddress address, size_t length, int prot, int flag_word,
                      Fd fd, uint64_t offset) {
  const auto flags = static_cast<uint32_t>(flag_word);
  const uint32_t type = flags & kMapType;
  if (!is_aligned(offset, kPageSize)) return Errno::kInval;
  if ((flags & kMapAnonymous) == 0) TRY(io_file(self, fd));
  if (type != kMapShared && type != kMapPrivate && type != kMapSharedValidate) return Errno::kInval;
  if (type == kMapSharedValidate && (flags & ~kMapKnown) != 0) return Errno::kOpNotSupp;
  if (type == kMapSharedValidate && (flags & kMapAnonymous) != 0) return Errno::kInval;
  // Only what is nobody else's grows.
  if ((flags & kMapGrowsDown) != 0 && (type != kMapPrivate || (flags & kMapAnonymous) == 0))
    return Errno::kInval;
  if (length == 0 || ((flags & kMapFixed) != 0 && !is_aligned(address.value(), kPageSize)))
    return Errno::kInval;
  if ((flags & kMapHugeTlb) != 0) return Errno::kNoMem;  // no huge pages are set aside
  const auto size = checked_align_up(length, kPageSize);
  if (!size) return Errno::kNoMem;

  MapRequest request;
  request.lock = TRY(lock_of(self, flags, *size));
  request.source = TRY(source_of(self, flags, prot, fd, offset, length));
  request.prot = TRY(mapping_prot(self, flags, prot, fd));
  const bool adds_data =
      !request.source.shared && has(prot_of(prot), Prot::kWrite) && (flags & kMapGrowsDown) == 0;
  const bool replaces = placement_of(flags, address) == Placement::kFixed;
  TRY(check_limits(self, {.more = *size,
                          .more_data = adds_data ? *size : 0,
                          .replaced = address.value(),
                          .replaced_length = replaces ? *size : 0}));
  request.address = address.value();
  request.length = *size;
  request.placement = placement_of(flags, address);
  request.grows_down = (flags & kMapGrowsDown) != 0;
  request.is_stack = (flags & kMapStack) != 0;
  request.not_reserved = (flags & kMapNoReserve) != 0;
  request.populate = ((flags & kMapPopulate) != 0 && (flags & kMapNonBlock) == 0) ||
                     request.lock == PageLock::kLocked;
  const bool is_file_copy = !request.source.shared && request.source.object;
  const bool is_text = is_file_copy && has(prot_of(prot), Prot::kExec);
  if (is_file_copy) request.room_behind = kRoomForStubs;
  if (request.grows_down)
    request.room_behind = stack_room(self.process().limit(Resource::kStack).soft);
  if ((flags & kMap32Bit) != 0 && request.placement == Placement::kAnywhere) {
    return map_low(self.memory(), request);
  }
  const uint64_t mapped = TRY(self.memory().map(std::move(request)));
  if (is_text) prepare_text(self.memory(), mapped);
  return static_cast<long>(mapped);
}

Result<long> sys_munmap(Thread& self, UserAddress address, size_t length) {
  return done(self.memory().unmap(address.value(), length));
}

Result<long> sys_mprotect(Thread& self, UserAddress address, size_t length, int prot) {
  const auto bits = static_cast<uint32_t>(prot);
  constexpr uint32_t kGrows = kProtGrowsDown | kProtGrowsUp;
  if ((bits & ~(7 | kProtSem | kGrows)) != 0 || (bits & kGrows) == kGrows) return Errno::kInval;
  uint64_t start = address.value();
  if ((bits & kProtGrowsUp) != 0)  // nothing does on x86
    return self.memory().find_area(start) ? Errno::kInval : Errno::kNoMem;
  if ((bits & kProtGrowsDown) != 0) {
    // From the start of the stack's area on.
    const auto area = self.memory().find_area(start);
    if (!area) return Errno::kNoMem;
    if (!area->grows_down) return Errno::kInval;
    length += start - area->start;
    start = area->start;
  }
  // Pages that become writable become data.
  if (has(prot_of(prot), Prot::kWrite) &&
      self.process().limit(Resource::kData).soft != kRlimInfinity) {
    const uint64_t end = checked_add(start, uint64_t{length}).value_or(UINT64_MAX);
    uint64_t more_data = 0;
    for (const Area& area : TRY(self.memory().areas())) {
      if (area.end <= start || end <= area.start) continue;
      if (!area.shared && !has(area.prot, Prot::kWrite) && !area.grows_down)
        more_data += std::min(area.end, end) - std::max(area.start, start);
    }
    TRY(check_limits(self, {.more_data = more_data}));
  }
  return done(self.memory().protect(start, length, wanted_prot(self, prot)));
}

namespace {

// MREMAP_DONTUNMAP: what is wrong with the arguments, then whether another mapping of that size may be. By then Linux has
// unmapped what a fixed one replaces.
Result<void> check_second_mapping(Thread& self, uint64_t from, uint64_t old_size, uint64_t new_size,
                                  uint64_t to, bool fixed) {
  if (!is_aligned(from, kPageSize) || !is_aligned(to, kPageSize)) return Errno::kInval;
  if (new_size == 0 || new_size != old_size) return Errno::kInval;
  if (to < from + old_size && from < to + new_size) return Errno::kInval;
  AddressSpace& memory = self.memory();
  const auto area = memory.find_area(from);
  // remap() says what is wrong with it; several move one by one.
  if (!area || (area->end < from + old_size && !fixed)) return {};
  const Mapped mapped = TRY(mapped_in(memory, from, from + old_size));
  const Result<void> checked = check_limits(self, {.more = mapped.all,
                                                   .more_data = mapped.data,
                                                   .replaced = to,
                                                   .replaced_length = fixed ? new_size : 0});
  if (checked.is_error() && fixed) TRY(memory.unmap(to, new_size));
  return checked;
}

}  // namespace

Result<long> sys_mremap(Thread& self, UserAddress old_address, size_t old_size, size_t new_size,
                        int flag_word, UserAddress new_address) {
  const auto flags = static_cast<uint32_t>(flag_word);
  if ((flags & ~(kMremapMayMove | kMremapFixed | kMremapDontUnmap)) != 0) return Errno::kInval;
  const bool fixed = (flags & kMremapFixed) != 0;
  const bool may_move = (flags & kMremapMayMove) != 0;
  const bool leaves = (flags & kMremapDontUnmap) != 0;
  if ((fixed || leaves) && !may_move) return Errno::kInval;
  if (new_size < old_size && old_address.value() + old_size > kTaskSizeMax) return Errno::kInval;
  if (old_size > kTaskSizeMax) return leaves ? Errno::kInval : Errno::kFault;
  if (new_size > kTaskSizeMax ||
      ((fixed || leaves) && new_address.value() > kTaskSizeMax - new_size)) {
    return Errno::kInval;
  }
  if (new_size > old_size) {
    const uint64_t more = align_up(new_size, kPageSize) - align_down(old_size, kPageSize);
    const auto area = self.memory().find_area(old_address.value());
    if (area && area->lock != PageLock::kNone) TRY(check_lock_limit(self, more));
    TRY(check_limits(self, {.more = more, .more_data = area && is_data(*area) ? more : 0}));
  }
  if (leaves) {
    TRY(check_second_mapping(self, old_address.value(), align_up(old_size, kPageSize),
                             align_up(new_size, kPageSize), new_address.value(), fixed));
  }
  const auto how = fixed      ? AddressSpace::Remap::kFixed
                   : may_move ? AddressSpace::Remap::kMayMove
                              : AddressSpace::Remap::kInPlace;
  return static_cast<long>(TRY(
      self.memory().remap(old_address.value(), old_size, new_size, how, new_address.value(),
                          leaves ? AddressSpace::Behind::kEmpty : AddressSpace::Behind::kNothing)));
}

namespace {

// Whether `range` is mapped from its start to its end, like its start throughout.
Result<bool> is_one_mapping(AddressSpace& memory, uint64_t start, uint64_t end) {
  uint64_t at = start;
  const Vec<Area> areas = TRY(memory.areas());
  const Area* first = nullptr;
  for (const Area& area : areas) {
    if (area.end <= at) continue;
    if (at >= end) break;
    if (first == nullptr) first = &area;
    if (area.start > at || !area.shared || area.object != first->object ||
        area.prot != first->prot || area.may_write != first->may_write || area.lock != first->lock)
      return false;
    at = area.end;
  }
  return at >= end;
}

}  // namespace

// As Linux has it since 4.0: another mapping of the same object over a part of the old one.
Result<long> sys_remap_file_pages(Thread& self, UserAddress address, size_t length, int prot,
                                  size_t page_offset, int flag_word) {
  const uint64_t start = align_down(address.value(), kPageSize);
  const uint64_t size = align_down(uint64_t{length}, kPageSize);
  const auto end = checked_add(start, size);
  if (prot != 0 || size == 0 || !end) return Errno::kInval;
  if (!checked_add(uint64_t{page_offset}, size / kPageSize)) return Errno::kInval;
  AddressSpace& memory = self.memory();
  const auto area = memory.find_area(start);
  if (!area || !area->shared || !TRY(is_one_mapping(memory, start, *end))) return Errno::kInval;
  const auto offset = checked_mul(uint64_t{page_offset}, kPageSize);
  if (!offset || *offset > uint64_t{INT64_MAX} - size) return Errno::kOverflow;
  TRY(check_limits(self, {.more = size, .replaced = start, .replaced_length = size}));

  MapRequest request;
  request.address = start;
  request.length = size;
  request.prot = area->prot;
  request.placement = Placement::kFixed;
  request.lock = area->lock;
  request.populate = (static_cast<uint32_t>(flag_word) & kMapNonBlock) == 0;
  request.source = TRY(memory.source_at(start));
  request.source.offset = *offset;
  TRY(memory.map(std::move(request)));
  return 0;
}

// Not as the C library has it: the break that holds afterwards, whether it was set or not.
Result<long> sys_brk(Thread& self, UserAddress address) {
  AddressSpace& memory = self.memory();
  const uint64_t now = memory.set_break(0);
  if (address.value() > now) {
    const uint64_t more = address.value() - now;
    const AddressSpace::Layout& layout = memory.layout;
    const uint64_t used = (now - layout.brk_start) + (layout.data_end - layout.data_start);
    const uint64_t limit = self.process().limit(Resource::kData).soft;
    if ((limit != kRlimInfinity && (more > limit || used > limit - more)) ||
        check_limits(self, {.more = more, .more_data = more}).is_error()) {
      return static_cast<long>(now);
    }
    const uint64_t end = checked_align_up(address.value(), kPageSize).value_or(UINT64_MAX);
    if (memory.future_lock() != PageLock::kNone &&
        check_lock_limit(self, end - align_up(now, kPageSize)).is_error())
      return static_cast<long>(now);
  }
  return static_cast<long>(memory.set_break(address.value()));
}

}  // namespace occlum
