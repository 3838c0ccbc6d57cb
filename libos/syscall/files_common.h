// What the file system calls share: descriptors and paths of the caller.
#pragma once

#include <array>

#include "libos/fs/vfs/operations.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"

namespace occlum {

// A descriptor that data can go through: kBadFd for O_PATH, too.
Result<RefPtr<File>> io_file(Thread& self, Fd fd);

// Whether pread(2) and its like may be asked of it at all (FMODE_PREAD): of what is a stream by nature they may not.
bool has_positions(const File& file);

// A path that must not be empty: kNoEnt even where the directory is no descriptor.
Result<String> read_name(UserString path);

// The walk for a path of an *at call. kBadFd, kNotDir.
Result<WalkContext> walk_at(Thread& self, Fd directory, std::string_view path);

// An existing file by an *at call's arguments. `flags` may hold AT_SYMLINK_NOFOLLOW (or AT_SYMLINK_FOLLOW when the call
// follows by default not) and AT_EMPTY_PATH.
Result<Path> resolve_at(Thread& self, Fd directory, UserString path, FollowLast follow,
                        uint32_t flags = 0);

// RLIMIT_FSIZE: kFBig and SIGXFSZ for a file that grows beyond it, and for a write that begins there; what begins before
// it is cut. `offset` is null for the file's position.
Result<void> refuse_size();  // fails
Result<void> check_file_size(Thread& self, Inode& inode, uint64_t size);
Result<void> limit_file_size(Thread& self, File& file, const uint64_t* offset, DataSource& source);

// The descriptor's own file as a path, for fchmod and friends. kBadFd.
Result<Path> path_of_fd(Thread& self, Fd fd);

inline FollowLast follow_unless(uint32_t flags, uint32_t no_follow = kAtSymlinkNoFollow) {
  return (flags & no_follow) != 0 ? FollowLast::kNo : FollowLast::kYes;
}

inline CloseOnExec close_on_exec_of(uint32_t open_flags) {
  return (open_flags & kOpenCloseOnExec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo;
}

}  // namespace occlum
