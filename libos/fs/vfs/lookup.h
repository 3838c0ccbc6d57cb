// Path walk: from text to a Path (path_resolution(7), openat(2), openat2(2), symlink(7)).
//
// The rules: a path is at most 4095 bytes, a component 255; an empty path is ENOENT unless allowed; every directory on
// the way needs search permission; at most 40 symbolic links are followed in one walk; a trailing slash demands a
// directory and follows a final link; ".." at the walk's root stays there; mounts are crossed both ways.
#pragma once

#include <cstdint>
#include <string_view>

#include "libos/fs/vfs/mount.h"

namespace occlum {

constexpr size_t kPathMax = 4096;  // with the NUL
constexpr size_t kNameMax = 255;
constexpr int kMaxSymlinks = 40;

// Who walks, and from where.
struct WalkContext {
  Path root;   // "/" and the limit of ".."
  Path start;  // of relative paths
  const Credentials* credentials;
};

enum class FollowLast { kNo, kYes };

// Bits of a walk.
constexpr uint32_t kWalkEmptyPath = 1;     // "" means the start (AT_EMPTY_PATH)
constexpr uint32_t kWalkNoXDev = 2;        // RESOLVE_NO_XDEV: kXDev
constexpr uint32_t kWalkNoMagicLinks = 4;  // RESOLVE_NO_MAGICLINKS: kLoop
constexpr uint32_t kWalkNoSymlinks = 8;    // RESOLVE_NO_SYMLINKS: kLoop
constexpr uint32_t kWalkBeneath = 16;      // RESOLVE_BENEATH: kXDev
constexpr uint32_t kWalkInRoot = 32;       // RESOLVE_IN_ROOT
constexpr uint32_t kWalkDirectory = 64;    // the result must be a directory: kNotDir

// An existing file. Errors: kNoEnt, kNotDir, kAcces, kLoop, kNameTooLong, ...
Result<Path> lookup_path(const WalkContext& context, std::string_view path, FollowLast follow,
                         uint32_t walk = 0);

// Everything but the last component: for what creates, removes or renames a name.
struct ParentPath {
  Path parent;  // a directory
  String name;  // the last component; "." , ".." or empty (the path was "/") when special
  bool trailing_slash = false;  // "name/"
  bool is_special() const { return name.is_empty() || name == "." || name == ".."; }
};
Result<ParentPath> lookup_parent(const WalkContext& context, std::string_view path,
                                 uint32_t walk = 0);

// The child of a directory: the cached dentry or the file system's answer. Never kNoEnt: the dentry may be negative.
// Mounts are not crossed. Without search permission checked: that is the walk's business. With the directory's
// mutex() held, use lookup_child_locked.
Result<RefPtr<Dentry>> lookup_child(const RefPtr<Dentry>& directory, std::string_view name,
                                    bool last);
Result<RefPtr<Dentry>> lookup_child_locked(const RefPtr<Dentry>& directory, std::string_view name);

}  // namespace occlum
