// mmap(2), munmap(2), mprotect(2), mremap(2), brk(2).
#include "libos/fs/vfs/file.h"
#include "libos/lib/bits.h"
#include "libos/mm/address_space.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/files_common.h"
#include "libos/syscall/linux_memory.h"

namespace occlum {
namespace {

constexpr uint64_t kUserEnd = 0x7ffffffff000;  // of Linux's half for programs

Prot prot_of(int prot) { return static_cast<Prot>(prot & 7); }

// RLIMIT_AS, and RLIMIT_DATA for private writable memory (since Linux 4.7, as getrlimit(2) says).
Result<void> check_limits(Thread& self, uint64_t more, bool is_data) {
  const ResourceLimits limits = self.process().limits();
  const uint64_t mapped = self.memory().mapped_bytes();
  const auto exceeds = [&](Resource resource) {
    const uint64_t limit = limits[resource].soft;
    return limit != kRlimInfinity && (more > limit || mapped > limit - more);
  };
  if (exceeds(Resource::kAddressSpace) || (is_data && exceeds(Resource::kData)))
    return Errno::kNoMem;
  return {};
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

// MAP_32BIT: the second gigabyte, as Linux has it.
Result<long> map_low(AddressSpace& memory, const MapRequest& wanted) {
  constexpr uint64_t kStart = uint64_t{1} << 30, kEnd = uint64_t{2} << 30,
                     kStep = uint64_t{1} << 20;
  const uint64_t length = align_up(wanted.length, kPageSize);
  for (uint64_t at = kStart; length <= kEnd && at <= kEnd - length; at += align_up(length, kStep)) {
    MapRequest request;
    request.address = at;
    request.length = length;
    request.prot = wanted.prot;
    request.placement = Placement::kFixedNoReplace;
    request.populate = wanted.populate;
    request.source.object = wanted.source.object;
    request.source.offset = wanted.source.offset;
    request.source.shared = wanted.source.shared;
    request.source.may_write = wanted.source.may_write;
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
  if (type != kMapShared && type != kMapPrivate && type != kMapSharedValidate) return Errno::kInval;
  if (type == kMapSharedValidate && (flags & ~kMapKnown) != 0) return Errno::kOpNotSupp;
  if (type == kMapSharedValidate && (flags & kMapAnonymous) != 0) return Errno::kInval;
  if (!is_aligned(offset, kPageSize)) return Errno::kInval;
  if ((flags & kMapAnonymous) == 0) TRY(io_file(self, fd));
  if (length == 0 || ((flags & kMapFixed) != 0 && !is_aligned(address.value(), kPageSize)))
    return Errno::kInval;
  if ((flags & kMapHugeTlb) != 0) return Errno::kNoMem;  // no huge pages are set aside
  const auto size = checked_align_up(length, kPageSize);
  if (!size) return Errno::kNoMem;

  MapRequest request;
  request.source = TRY(source_of(self, flags, prot, fd, offset, length));
  const bool is_data = !request.source.shared && has(prot_of(prot), Prot::kWrite);
  TRY(check_limits(self, *size, is_data));
  request.address = address.value();
  request.length = *size;
  request.prot = prot_of(prot);
  request.placement = placement_of(flags, address);
  request.grows_down = (flags & kMapGrowsDown) != 0 && (flags & kMapAnonymous) != 0;
  request.is_stack = (flags & kMapStack) != 0;
  request.populate = (flags & (kMapPopulate | kMapLocked)) != 0 && (flags & kMapNonBlock) == 0;
  if ((flags & kMap32Bit) != 0 && request.placement == Placement::kAnywhere) {
    return map_low(self.memory(), request);
  }
  return static_cast<long>(TRY(self.memory().map(std::move(request))));
}

Result<long> sys_munmap(Thread& self, UserAddress address, size_t length) {
  return done(self.memory().unmap(address.value(), length));
}

Result<long> sys_mprotect(Thread& self, UserAddress address, size_t length, int prot) {
  const auto bits = static_cast<uint32_t>(prot);
  constexpr uint32_t kGrows = kProtGrowsDown | kProtGrowsUp;
  if ((bits & ~(7 | kProtSem | kGrows)) != 0 || (bits & kGrows) == kGrows) return Errno::kInval;
  uint64_t start = address.value();
  if ((bits & kProtGrowsDown) != 0) {
    // From the start of the stack's area on.
    const auto area = self.memory().find_area(start);
    if (!area) return Errno::kNoMem;
    if (!area->grows_down) return Errno::kInval;
    length += start - area->start;
    start = area->start;
  }
  return done(self.memory().protect(start, length, prot_of(prot)));
}

Result<long> sys_mremap(Thread& self, UserAddress old_address, size_t old_size, size_t new_size,
                        int flag_word, UserAddress new_address) {
  const auto flags = static_cast<uint32_t>(flag_word);
  if ((flags & ~(kMremapMayMove | kMremapFixed)) != 0)
    return Errno::kInval;  // MREMAP_DONTUNMAP, too
  const bool fixed = (flags & kMremapFixed) != 0;
  const bool may_move = (flags & kMremapMayMove) != 0;
  if (fixed && !may_move) return Errno::kInval;
  if (new_size < old_size && old_address.value() + old_size > kUserEnd) return Errno::kInval;
  if (old_size > kUserEnd) return Errno::kFault;
  if (new_size > kUserEnd || (fixed && new_address.value() > kUserEnd - new_size)) {
    return Errno::kInval;
  }
  if (new_size > old_size) TRY(check_limits(self, new_size - old_size, false));
  const auto how = fixed      ? AddressSpace::Remap::kFixed
                   : may_move ? AddressSpace::Remap::kMayMove
                              : AddressSpace::Remap::kInPlace;
  return static_cast<long>(
      TRY(self.memory().remap(old_address.value(), old_size, new_size, how, new_address.value())));
}

// Not as the C library has it: the break that holds afterwards, whether it was set or not.
Result<long> sys_brk(Thread& self, UserAddress address) {
  AddressSpace& memory = self.memory();
  const uint64_t now = memory.set_break(0);
  if (address.value() > now && check_limits(self, address.value() - now, true).is_error()) {
    return static_cast<long>(now);
  }
  return static_cast<long>(memory.set_break(address.value()));
}

}  // namespace occlum
