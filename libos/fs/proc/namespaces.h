// The files behind /proc/<pid>/ns (namespaces(7)): one namespace of each kind, numbered as the initial ones are on Linux.
// Programs compare their inodes; nothing else can be done with them, since setns(2) is not there.
#pragma once

#include <cstdint>

#include "libos/fs/vfs/mount.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"

namespace occlum {

enum class Namespace : uint8_t { kTime, kCgroup, kPid, kUser, kUts, kIpc, kMount, kNet };

// "mnt:[4026531840]". Errors: kNoMem.
Result<String> namespace_name(Namespace which);
// A regular file that is not in the tree, with that number. Errors: kNoMem.
Result<Path> namespace_path(Namespace which);

}  // namespace occlum
