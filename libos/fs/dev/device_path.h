// Where a device stands in /dev, for descriptors that were made without a name: ttyname(3) and
// fstat(2) find it so.
#pragma once

#include <string_view>

#include "libos/fs/vfs/lookup.h"

namespace occlum {

// A null path when there is no such file (no /dev).
inline Path device_path(std::string_view name) {
  const Credentials root;
  const WalkContext context = {mount_table().root(), mount_table().root(), &root};
  auto path = lookup_path(context, name, FollowLast::kYes);
  return path.is_error() ? Path() : path.release_value();
}

}  // namespace occlum
