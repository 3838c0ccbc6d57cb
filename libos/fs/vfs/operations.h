// File operations on paths: open, create, remove, rename, change attributes, with Linux's checks in Linux's order (mount
// flags, permissions, sticky directories, O_* semantics). Syscalls decode and call these; exec and the mount plan too.
#pragma once

#include <cstdint>
#include <string_view>

#include "libos/fs/fs_context.h"
#include "libos/fs/vfs/lookup.h"

namespace occlum {

// open(2)'s flags (x86-64).
constexpr uint32_t kOpenAccessMode = 3, kOpenReadOnly = 0, kOpenWriteOnly = 1, kOpenReadWrite = 2;
constexpr uint32_t kOpenCreate = 0100, kOpenExclusive = 0200, kOpenNoCtty = 0400,
                   kOpenTruncate = 01000, kOpenAppend = 02000, kOpenNonblock = 04000,
                   kOpenDsync = 010000, kOpenAsync = 020000, kOpenDirect = 040000,
                   kOpenLargeFile = 0100000, kOpenDirectory = 0200000, kOpenNoFollow = 0400000,
                   kOpenNoAtime = 01000000, kOpenCloseOnExec = 02000000, kOpenSync = 04010000,
                   kOpenPath = 010000000, kOpenTmpFile = 020200000;

// open(2) without the descriptor. `mode` has the umask not yet applied.
Result<RefPtr<File>> open_file(const WalkContext& context, std::string_view path, uint32_t flags,
                               uint32_t mode, uint32_t umask, uint32_t walk = 0);
// Opens what is known already (exec, magic links); checks permissions.
Result<RefPtr<File>> open_path(const Path& path, const Credentials& credentials, uint32_t flags);

// The path that a file was opened by; an anonymous one for pipes and the like.
Result<Path> path_of_file(const RefPtr<File>& file);

// Flags of open(2) that exclude each other: kInval, before any name is looked at.
Result<void> check_open_flags(uint32_t flags);

// What mknod(2) can make: kPerm for a directory, kInval for what is no type.
Result<void> check_node_type(uint32_t mode);

// mknod(2), mkdir(2), symlink(2): `attributes.mode` has the type; the umask is applied here.
Result<void> make_node(const WalkContext& context, std::string_view path, NewInode attributes,
                       uint32_t umask);
Result<void> make_directory(const WalkContext& context, std::string_view path, uint32_t mode,
                            uint32_t umask);
Result<void> make_symlink(const WalkContext& context, std::string_view target,
                          std::string_view path);
Result<void> make_link(const Path& target, const WalkContext& context, std::string_view path);
Result<void> remove_file(const WalkContext& context, std::string_view path);
Result<void> remove_directory(const WalkContext& context, std::string_view path);
Result<void> rename_path(const WalkContext& from_context, std::string_view from,
                         const WalkContext& to_context, std::string_view to, uint32_t flags);
// The same in parts, for callers that must find one side's errors before they look at the other.
Result<void> check_rename_flags(uint32_t flags);
Result<void> rename_between(const ParentPath& from, const ParentPath& to, const Credentials& who,
                            uint32_t flags);

// chmod(2), chown(2), truncate(2), utimensat(2) on a path found already.
Result<void> change_mode(const Path& path, const Credentials& credentials, uint32_t mode);
// UINT32_MAX leaves an id as it is.
Result<void> change_owner(const Path& path, const Credentials& credentials, uint32_t uid,
                          uint32_t gid);
// A file whose content somebody changes who is not privileged is no longer setuid, nor setgid if its group may run it.
Result<void> drop_set_ids(Inode& inode, const Credentials& who);
Result<void> truncate_path(const Path& path, const Credentials& credentials, uint64_t size);
enum class TimesPermission { kOwner, kOwnerOrWriter };  // the latter when both times become now
Result<void> change_times(const Path& path, const Credentials& credentials,
                          std::optional<FileTime> atime, std::optional<FileTime> mtime,
                          TimesPermission permission);

// kAcces, or kRoFs for kMayWrite on a read-only mount.
Result<void> check_access(const Path& path, const Credentials& credentials, uint32_t request);
// kRoFs.
Result<void> check_writable(const Path& path);

// statfs(2): the file system's answer with the mount's flags.
Result<StatFs> stat_file_system(const Path& path);

}  // namespace occlum
