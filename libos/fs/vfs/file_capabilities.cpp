// See file_capabilities.h.
#include "libos/fs/vfs/file_capabilities.h"

#include "libos/lib/memory.h"

namespace occlum {
namespace {

constexpr uint32_t kRevisionMask = 0xff000000, kRevision1 = 0x01000000, kRevision2 = 0x02000000,
                   kRevision3 = 0x03000000, kEffective = 1;
constexpr size_t kSize1 = 12, kSize2 = 20, kSize3 = 24;

constinit std::atomic<bool> are_used{false};

uint32_t word(std::span<const std::byte> value, size_t index) {
  uint32_t result = 0;
  copy_bytes(writable_object_bytes(result), value.subspan(index * sizeof(result), sizeof(result)));
  return result;
}

uint32_t revision_of(std::span<const std::byte> value) {
  return value.size() < sizeof(uint32_t) ? 0 : word(value, 0) & kRevisionMask;
}

}  // namespace

Result<std::optional<FileCapabilities>> parse_file_capabilities(std::span<const std::byte> value) {
  const uint32_t revision = revision_of(value);
  const size_t size = revision == kRevision1   ? kSize1
                      : revision == kRevision2 ? kSize2
                      : revision == kRevision3 ? kSize3
                                               : 0;
  if (size == 0 || value.size() != size) return Errno::kInval;
  constexpr size_t kRootIndex = 5;
  if (revision == kRevision3 && word(value, kRootIndex) != 0)
    return std::optional<FileCapabilities>();
  FileCapabilities result{.permitted = word(value, 1),
                          .inheritable = word(value, 2),
                          .effective = (word(value, 0) & kEffective) != 0};
  if (revision != kRevision1) {
    result.permitted |= uint64_t{word(value, 3)} << 32;
    result.inheritable |= uint64_t{word(value, 4)} << 32;
  }
  result.permitted &= kAllCapabilities;
  result.inheritable &= kAllCapabilities;
  return std::optional(result);
}

Result<std::optional<FileCapabilities>> file_capabilities(Inode& inode) {
  const Result<Vec<std::byte>> value = inode.get_xattr(kCapabilityAttribute);
  if (value.is_error()) {
    if (value.error() == Errno::kNoMem || value.error() == Errno::kIo) return value.error();
    return std::optional<FileCapabilities>();
  }
  note_file_capabilities();
  return parse_file_capabilities(value.value().span());
}

Result<void> check_capability_attribute(std::span<const std::byte> value) {
  const uint32_t revision = revision_of(value);
  const bool is_valid = (revision == kRevision2 && value.size() == kSize2) ||
                        (revision == kRevision3 && value.size() == kSize3);
  return is_valid ? Result<void>() : Errno::kInval;
}

Result<Vec<std::byte>> shown_capability_attribute(Vec<std::byte> value) {
  if (check_capability_attribute(value.span()).is_error()) return Errno::kInval;
  constexpr size_t kRootIndex = 5;
  if (value.size() != kSize3 || word(value.span(), kRootIndex) != 0) return value;
  const uint32_t first = kRevision2 | (word(value.span(), 0) & kEffective);
  copy_bytes(value.span().first(sizeof(first)), object_bytes(first));
  value.truncate(kSize2);
  return value;
}

void drop_file_capabilities(Inode& inode) {
  if (!are_used.load(std::memory_order_relaxed) || inode.is_directory()) return;
  if (!inode.get_xattr(kCapabilityAttribute).is_error())
    (void)inode.remove_xattr(kCapabilityAttribute);
}

void note_file_capabilities() { are_used.store(true, std::memory_order_relaxed); }

}  // namespace occlum
