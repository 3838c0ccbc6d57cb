// Extended attributes of EROFS: behind the inode, a header, the numbers of those that several files share, then its own.
#include <array>

#include "libos/fs/erofs/erofs.h"
#include "libos/lib/bytes.h"

namespace occlum {

using namespace erofs;

namespace {

std::string_view prefix_of(uint8_t index) {
  switch (index) {
    case 1:
      return "user.";
    case 4:
      return "trusted.";
    case 6:
      return "security.";
    default:
      return {};  // ACLs, and what is newer than we are
  }
}

}  // namespace

Result<void> ErofsInode::for_each_xattr(FunctionRef<Result<bool>(const Xattr&)> visit) {
  if (node_.xattr_size == 0) return {};
  Vec<std::byte> all = TRY(Vec<std::byte>::create(node_.xattr_size));
  TRY(fs().image_->read(node_.offset + node_.header_size, all.span()));
  const size_t shared = load_le<uint8_t>(all.span().subspan(4));
  const size_t own_start = kXattrHeaderSize + shared * 4;
  if (own_start > all.size()) return Errno::kIo;

  for (size_t i = 0; i < shared; ++i) {
    const uint32_t id = load_le<uint32_t>(all.span().subspan(kXattrHeaderSize + i * 4));
    const uint64_t at = fs().super_.xattr_start + uint64_t{id} * 4;
    std::array<std::byte, kXattrEntrySize> entry;
    TRY(fs().image_->read(at, entry));
    const size_t name_size = load_le<uint8_t>(entry),
                 value_size = load_le<uint16_t>(std::span(entry).subspan(2));
    Vec<std::byte> body = TRY(Vec<std::byte>::create(name_size + value_size));
    TRY(fs().image_->read(at + kXattrEntrySize, body.span()));
    const Xattr xattr{load_le<uint8_t>(std::span(entry).subspan(1)),
                      bytes_text(body.span().first(name_size)), body.span().subspan(name_size)};
    if (TRY(visit(xattr))) return {};
  }
  for (size_t at = own_start; at + kXattrEntrySize <= all.size();) {
    const std::span<const std::byte> entry = all.span().subspan(at);
    const size_t name_size = load_le<uint8_t>(entry),
                 value_size = load_le<uint16_t>(entry.subspan(2));
    if (name_size + value_size > entry.size() - kXattrEntrySize) return Errno::kIo;
    if (name_size + value_size == 0 && load_le<uint8_t>(entry.subspan(1)) == 0)
      return {};  // padding
    const Xattr xattr{load_le<uint8_t>(entry.subspan(1)),
                      bytes_text(entry.subspan(kXattrEntrySize, name_size)),
                      entry.subspan(kXattrEntrySize + name_size, value_size)};
    if (TRY(visit(xattr))) return {};
    at += align_up(kXattrEntrySize + name_size + value_size, size_t{4});
  }
  return {};
}

Result<Vec<std::byte>> ErofsInode::get_xattr(std::string_view name) {
  Vec<std::byte> value;
  bool found = false;
  TRY(for_each_xattr([&](const Xattr& xattr) -> Result<bool> {
    const std::string_view prefix = prefix_of(xattr.prefix);
    if (prefix.empty() || !name.starts_with(prefix) || name.substr(prefix.size()) != xattr.name)
      return false;
    value = TRY(Vec<std::byte>::copy_of(xattr.value));
    found = true;
    return true;
  }));
  if (!found) return Errno::kNoData;
  return value;
}

Result<String> ErofsInode::list_xattr() {
  String names;
  TRY(for_each_xattr([&](const Xattr& xattr) -> Result<bool> {
    const std::string_view prefix = prefix_of(xattr.prefix);
    if (prefix.empty() || xattr.name.find('\0') != std::string_view::npos) return false;
    TRY(names.append(prefix));
    TRY(names.append(xattr.name));
    TRY(names.append('\0'));
    return false;
  }));
  return names;
}

}  // namespace occlum
