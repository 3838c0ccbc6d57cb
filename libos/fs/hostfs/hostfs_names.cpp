// Making and removing names in host directories. See hostfs.h.
#include "libos/fs/hostfs/host_calls.h"
#include "libos/fs/hostfs/hostfs.h"

namespace occlum {

// The file that was just made under this name.
Result<RefPtr<Inode>> HostInode::created(std::string_view name) { return lookup(name); }

Result<RefPtr<Inode>> HostInode::create(std::string_view name, const NewInode& attributes) {
  if (!is_directory()) return Errno::kNotDir;
  TRY(check_writes());
  if (!host_calls::is_plain_name(name)) return Errno::kInval;
  const int directory = TRY(directory_fd());
  const uint32_t mode = attributes.mode & 01777;
  RefPtr<Inode> inode;
  switch (type_of_mode(attributes.mode)) {
    case FileType::kRegular: {
      HostFd fd = TRY(host::openat(directory, name,
                                   host_calls::kReadWrite | host_calls::kCreate |
                                       host_calls::kExclusive | host_calls::kNoFollow,
                                   mode));
      // The host's umask is not the program's.
      TRY(host_calls::fchmod(fd.number(), mode));
      const host::HostStat stat = TRY(host::fstat(fd.number()));
      RefPtr<HostInode> made = TRY(fs().inode_for(stat, ref_to(*this), name));
      if (!made->is_regular()) return Errno::kIo;
      TRY(made->current_pages())->set_descriptor(std::move(fd), HostPages::Need::kWrite);
      inode = std::move(made);
      break;
    }
    case FileType::kDirectory:
      TRY(host_calls::mkdirat(directory, name, mode));
      inode = TRY(created(name));
      break;
    case FileType::kSymlink:
      TRY(host_calls::symlinkat(attributes.target, directory, name));
      inode = TRY(created(name));
      break;
    case FileType::kFifo:
    case FileType::kSocket:
      TRY(host_calls::mknodat(directory, name, type_bits(type_of_mode(attributes.mode)) | mode));
      inode = TRY(created(name));
      break;
    default:
      return Errno::kPerm;  // no devices on the host
  }
  const Stat stat = TRY(inode->stat());
  if (stat.uid != attributes.uid || stat.gid != attributes.gid) {
    // As far as the host lets us.
    static_cast<void>(
        host_calls::fchownat(directory, name, attributes.uid, attributes.gid).is_error());
    static_cast<HostInode&>(*inode).note_stat(
        TRY(host::fstatat(directory, name, host_calls::kSymlinkNoFollow)));
  }
  return inode;
}

Result<void> HostInode::link(std::string_view name, Inode& target) {
  TRY(check_writes());
  if (!host_calls::is_plain_name(name)) return Errno::kInval;
  if (&target.file_system() != &file_system()) return Errno::kXDev;
  const HostName from = TRY(static_cast<HostInode&>(target).host_name());
  TRY(host_calls::linkat(from.directory, from.name.view(), TRY(directory_fd()), name));
  static_cast<HostInode&>(target).note_links(1);
  return {};
}

Result<void> HostInode::remove(std::string_view name, Inode& child, int flags) {
  TRY(check_writes());
  if (!host_calls::is_plain_name(name)) return Errno::kInval;
  TRY(host_calls::unlinkat(TRY(directory_fd()), name, flags));
  static_cast<HostInode&>(child).note_links(-1);
  return {};
}

Result<void> HostInode::unlink(std::string_view name, Inode& child) {
  return remove(name, child, 0);
}
Result<void> HostInode::rmdir(std::string_view name, Inode& child) {
  return remove(name, child, host_calls::kRemoveDir);
}

Result<void> HostInode::rename(std::string_view old_name, Inode& child, Inode& new_parent,
                               std::string_view new_name, Inode* replaced, uint32_t flags) {
  TRY(check_writes());
  if (&new_parent.file_system() != &file_system()) return Errno::kXDev;
  if ((flags & ~(kRenameNoReplace | kRenameExchange)) != 0) return Errno::kInval;
  if (!host_calls::is_plain_name(old_name) || !host_calls::is_plain_name(new_name))
    return Errno::kInval;
  HostInode& to = static_cast<HostInode&>(new_parent);
  String own_name = TRY(String::create(new_name));
  String other_name = TRY(String::create(old_name));
  TRY(host_calls::renameat2(TRY(directory_fd()), old_name, TRY(to.directory_fd()), new_name,
                            flags));
  static_cast<HostInode&>(child).set_location(ref_to(to), std::move(own_name));
  if (replaced != nullptr) {
    HostInode& other = static_cast<HostInode&>(*replaced);
    if ((flags & kRenameExchange) != 0) {
      other.set_location(ref_to(*this), std::move(other_name));
    } else {
      other.note_links(-1);
    }
  }
  return {};
}

}  // namespace occlum
