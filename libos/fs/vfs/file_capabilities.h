// File capabilities: the extended attribute `security.capability` (capabilities(7), "File capabilities"; the layout is
// struct vfs_cap_data of linux/capability.h).
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string_view>

#include "libos/fs/vfs/inode.h"

namespace occlum {

constexpr Capability kCapSetFcap{31};
constexpr std::string_view kCapabilityAttribute = "security.capability";

struct FileCapabilities {
  uint64_t permitted = 0, inheritable = 0;
  bool effective = false;
};

// What the attribute says. Nothing when it is of another user namespace than the only one there is. kInval.
Result<std::optional<FileCapabilities>> parse_file_capabilities(std::span<const std::byte> value);
// Of a file; nothing where it has none, or its file system has no such attributes.
Result<std::optional<FileCapabilities>> file_capabilities(Inode& inode);

// For setxattr(2): revisions 2 and 3 only, of the right size. kInval.
Result<void> check_capability_attribute(std::span<const std::byte> value);
// What getxattr(2) shows: revision 3 of root's is told as revision 2.
Result<Vec<std::byte>> shown_capability_attribute(Vec<std::byte> value);

// Writing to a file, truncating it and giving it away take its capabilities, whoever does it. With the inode's mutex held.
void drop_file_capabilities(Inode& inode);
// Somebody has seen or made some: before that, drop_file_capabilities() need not look.
void note_file_capabilities();

}  // namespace occlum
