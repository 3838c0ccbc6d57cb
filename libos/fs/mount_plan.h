// The first tree: what the measured configuration and the boot arguments ask for (abi/config.h).
//
// instance: union(verified EROFS image, tmpfs) at /, then the configured mounts. do: union(the host's / read-only,
// tmpfs) at /, each --rw directory as a writable hostfs over itself, fresh /proc /dev /sys /run over the host's, and a
// fresh /tmp. Types that are not registered (proc, dev before their part exists) leave an empty tmpfs and a warning.
#pragma once

#include <span>
#include <string_view>

#include "libos/fs/fs_context.h"
#include "libos/lib/string.h"

namespace occlum {

// Registers tmpfs, hostfs, erofs and union. Call before mount_root, once.
void register_storage_file_systems();

// `config` is the measured text, `writable_dirs` and `cwd` the host's words from the boot arguments. Returns the context
// of the first process: root, working directory (`cwd` where it exists, else /). Errors are logged in one sentence.
Result<RefPtr<FsContext>> mount_root(std::string_view config, std::span<const String> writable_dirs,
                                     std::string_view cwd);

}  // namespace occlum
