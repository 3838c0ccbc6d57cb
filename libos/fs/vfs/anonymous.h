// Objects without a place in the tree: pipes, sockets, eventfds seen through /proc/<pid>/fd, and O_TMPFILE's host.
#pragma once

#include "libos/fs/vfs/mount.h"

namespace occlum {

// The file system of inodes that have none: type "anon_inodefs".
Result<RefPtr<FileSystem>> anonymous_file_system();

// True for the mount of an anonymous_path(): its dentry's name is the whole description.
bool is_anonymous(const Mount& mount);

// An inode that stands for an open file without one: stat() and open() ask the file.
Result<RefPtr<Inode>> inode_of_file(RefPtr<File> file);

}  // namespace occlum
