// stat(2), statx(2), access(2), statfs(2), getdents64(2), getcwd(2), readlink(2): what can be asked of files.
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/bytes.h"
#include "libos/syscall/files_common.h"

namespace occlum {

namespace {

LinuxStat to_linux(const Stat& stat) {
  LinuxStat out = {};
  out.dev = stat.dev;
  out.ino = stat.ino;
  out.nlink = stat.nlink;
  out.mode = stat.mode;
  out.uid = stat.uid;
  out.gid = stat.gid;
  out.rdev = stat.rdev;
  out.size = static_cast<int64_t>(stat.size);
  out.blksize = stat.blksize;
  out.blocks = static_cast<int64_t>(stat.blocks);
  out.atime = stat.atime.seconds;
  out.atime_ns = stat.atime.nanoseconds;
  out.mtime = stat.mtime.seconds;
  out.mtime_ns = stat.mtime.nanoseconds;
  out.ctime = stat.ctime.seconds;
  out.ctime_ns = stat.ctime.nanoseconds;
  return out;
}

StatxTime to_statx(const FileTime& time) { return {time.seconds, time.nanoseconds, 0}; }

LinuxStatFs to_linux(const StatFs& stat) {
  LinuxStatFs out = {};
  out.type = static_cast<int64_t>(stat.type);
  out.block_size = out.fragment_size = static_cast<int64_t>(stat.block_size);
  out.blocks = stat.blocks;
  out.blocks_free = stat.blocks_free;
  out.blocks_available = stat.blocks_available;
  out.files = stat.files;
  out.files_free = stat.files_free;
  out.fsid = {static_cast<int32_t>(stat.fsid), static_cast<int32_t>(stat.fsid >> 32)};
  out.name_max = static_cast<int64_t>(stat.name_max);
  out.flags = static_cast<int64_t>(stat.flags);
  return out;
}

// The file that newfstatat and statx ask about: a descriptor itself for an empty path, else a path.
struct Subject {
  Stat stat;
  uint32_t mount_id = 0;
};
Result<Subject> stat_at(Thread& self, Fd directory, UserString path, uint32_t flags) {
  if ((flags & kAtEmptyPath) != 0 && number(directory) >= 0) {
    const bool is_empty = path.is_null() || TRY(UserIn<char>(path.address()).read()) == '\0';
    if (is_empty) {
      const RefPtr<File> file = TRY(self.files().get(number(directory)));
      Subject subject{TRY(file->stat())};
      if (const Path* opened = file->path()) subject.mount_id = opened->mount->id();
      return subject;
    }
  }
  // What is asked of a descriptor alone has no flags that could be wrong (Linux since 6.11).
  if ((flags & ~(kAtSymlinkNoFollow | kAtNoAutomount | kAtEmptyPath | kAtStatxMask)) != 0)
    return Errno::kInval;
  const Path found = TRY(resolve_at(self, directory, path, follow_unless(flags), flags));
  return Subject{TRY(found.inode().stat()), found.mount->id()};
}

Result<long> access_at(Thread& self, Fd directory, UserString path, int mode, uint32_t flags) {
  if ((mode & ~7) != 0) return Errno::kInval;
  if ((flags & ~(kAtEffectiveAccess | kAtSymlinkNoFollow | kAtEmptyPath)) != 0)
    return Errno::kInval;
  // access(2) asks for the real ids, also on the way to the file.
  const UserCredentials& user = self.user();
  Credentials who = TRY(self.credentials().clone());
  if ((flags & kAtEffectiveAccess) == 0) {
    who.fsuid = user.uid;
    who.fsgid = user.gid;
    if ((user.secure_bits & kSecureNoSetuidFixup) == 0)
      who.capabilities = user.uid == 0 ? user.permitted : 0;
  }
  String text;
  if ((flags & kAtEmptyPath) == 0) {
    text = TRY(read_name(path));
  } else if (!path.is_null()) {
    text = TRY(path.read_path());
  }
  WalkContext context = TRY(walk_at(self, directory, text.view()));
  context.credentials = &who;
  const Path found = TRY(lookup_path(context, text.view(), follow_unless(flags),
                                     (flags & kAtEmptyPath) != 0 ? kWalkEmptyPath : 0));
  if (mode == 0) return 0;
  return done(check_access(found, who, static_cast<uint32_t>(mode)));
}

}  // namespace

Result<long> sys_newfstatat(Thread& self, Fd directory, UserString path, UserOut<LinuxStat> out,
                            Flags flags) {
  TRY(out.write(to_linux(TRY(stat_at(self, directory, path, bits(flags))).stat)));
  return 0;
}

Result<long> sys_stat(Thread& self, UserString path, UserOut<LinuxStat> out) {
  return sys_newfstatat(self, kAtCwd, path, out, Flags{0});
}
Result<long> sys_lstat(Thread& self, UserString path, UserOut<LinuxStat> out) {
  return sys_newfstatat(self, kAtCwd, path, out, Flags{kAtSymlinkNoFollow});
}
Result<long> sys_fstat(Thread& self, Fd fd, UserOut<LinuxStat> out) {
  const RefPtr<File> file = TRY(self.files().get(number(fd)));
  TRY(out.write(to_linux(TRY(file->stat()))));
  return 0;
}

Result<long> sys_statx(Thread& self, Fd directory, UserString path, Flags flags, uint32_t mask,
                       UserOut<LinuxStatx> out) {
  constexpr uint32_t kBasic = 0x7ff, kBirth = 0x800, kMountId = 0x1000, kReserved = 0x80000000;
  if ((mask & kReserved) != 0 || (bits(flags) & kAtStatxMask) == kAtStatxMask) return Errno::kInval;
  const Subject subject = TRY(stat_at(self, directory, path, bits(flags)));
  const Stat& stat = subject.stat;
  LinuxStatx answer = {};
  answer.mask = kBasic | kMountId | (stat.btime ? kBirth : 0);
  answer.blksize = stat.blksize;
  answer.nlink = stat.nlink;
  answer.uid = stat.uid;
  answer.gid = stat.gid;
  answer.mode = static_cast<uint16_t>(stat.mode);
  answer.ino = stat.ino;
  answer.size = stat.size;
  answer.blocks = stat.blocks;
  answer.atime = to_statx(stat.atime);
  answer.mtime = to_statx(stat.mtime);
  answer.ctime = to_statx(stat.ctime);
  if (stat.btime) answer.btime = to_statx(*stat.btime);
  answer.rdev_major = device_major(stat.rdev);
  answer.rdev_minor = device_minor(stat.rdev);
  answer.dev_major = device_major(stat.dev);
  answer.dev_minor = device_minor(stat.dev);
  answer.mount_id = subject.mount_id;
  TRY(out.write(answer));
  return 0;
}

Result<long> sys_access(Thread& self, UserString path, int mode) {
  return access_at(self, kAtCwd, path, mode, 0);
}
Result<long> sys_faccessat(Thread& self, Fd directory, UserString path, int mode) {
  return access_at(self, directory, path, mode, 0);
}
Result<long> sys_faccessat2(Thread& self, Fd directory, UserString path, int mode, Flags flags) {
  return access_at(self, directory, path, mode, bits(flags));
}

Result<long> sys_statfs(Thread& self, UserString path, UserOut<LinuxStatFs> out) {
  const Path found = TRY(resolve_at(self, kAtCwd, path, FollowLast::kYes));
  TRY(out.write(to_linux(TRY(stat_file_system(found)))));
  return 0;
}
Result<long> sys_fstatfs(Thread& self, Fd fd, UserOut<LinuxStatFs> out) {
  StatFs answer = TRY(stat_file_system(TRY(path_of_fd(self, fd))));
  // What the kernel makes without a name lies in a file system of its kind.
  const RefPtr<File> file = TRY(self.files().get(number(fd)));
  if (file->path() == nullptr || file->inode() == nullptr) {
    constexpr uint64_t kPipes = 0x50495045, kSockets = 0x534f434b, kProcesses = 0x50494446;
    if (file->kind() == FileKind::kPipe) answer.type = kPipes;
    if (file->kind() == FileKind::kSocket) answer.type = kSockets;
    if (file->kind() == FileKind::kProcess) answer.type = kProcesses;
  }
  TRY(out.write(to_linux(answer)));
  return 0;
}

namespace {

constexpr size_t kDirentBuffer = 32 * 1024;

// Lays directory records out in a buffer of the LibOS. One format has the type before the name, the other at the end.
enum class DirentFormat { kOld, k64 };

class DirentWriter {
 public:
  DirentWriter(std::span<std::byte> buffer, DirentFormat format)
      : buffer_(buffer), format_(format) {}

  bool add(const DirectoryEntry& entry) {
    const bool is_64 = format_ == DirentFormat::k64;
    const size_t name_at = is_64 ? 19 : 18;
    const size_t size = align_up(name_at + entry.name.size() + (is_64 ? 1 : 2), size_t{8});
    if (size > buffer_.size() - used_) {
      is_too_small_ = used_ == 0;
      return false;
    }
    const std::span<std::byte> record = buffer_.subspan(used_, size);
    zero_bytes(record);
    store_le<uint64_t>(record, entry.ino);
    store_le<uint64_t>(record.subspan(8), entry.next);
    store_le<uint16_t>(record.subspan(16), static_cast<uint16_t>(size));
    copy_bytes(record.subspan(name_at), text_bytes(entry.name));
    record[is_64 ? 18 : size - 1] = static_cast<std::byte>(entry.type);
    used_ += size;
    return true;
  }

  bool is_too_small() const { return is_too_small_; }
  std::span<const std::byte> written() const { return buffer_.first(used_); }

 private:
  std::span<std::byte> buffer_;
  DirentFormat format_;
  size_t used_ = 0;
  bool is_too_small_ = false;
};

Result<long> get_entries(Thread& self, Fd fd, UserAddress out, size_t size, DirentFormat format) {
  const RefPtr<File> file = TRY(io_file(self, fd));
  if (file->inode() == nullptr || !file->inode()->is_directory()) return Errno::kNotDir;
  if (file->path() != nullptr && file->path()->dentry->is_deleted()) return Errno::kNoEnt;
  Vec<std::byte> buffer = TRY(Vec<std::byte>::create(std::min(size, kDirentBuffer)));
  DirentWriter writer(buffer.span(), format);
  const uint64_t before = TRY(file->seek(0, Whence::kCur));
  TRY(file->read_entries([&](const DirectoryEntry& entry) { return writer.add(entry); }));
  if (writer.is_too_small()) return Errno::kInval;
  if (const Result<void> copied = copy_to_user(self.memory(), out, writer.written());
      copied.is_error()) {
    // The entries were not read.
    TRY(file->seek(static_cast<int64_t>(before), Whence::kSet));
    return copied.error();
  }
  return static_cast<long>(writer.written().size());
}

}  // namespace

Result<long> sys_getdents64(Thread& self, Fd fd, UserAddress out, size_t size) {
  return get_entries(self, fd, out, size, DirentFormat::k64);
}
Result<long> sys_getdents(Thread& self, Fd fd, UserAddress out, size_t size) {
  return get_entries(self, fd, out, size, DirentFormat::kOld);
}

// Returns the length with its NUL, as the system call does.
Result<long> sys_getcwd(Thread& self, UserAddress out, size_t size) {
  String text = TRY(path_to_string(self.fs().cwd(), self.fs().root(), DeletedNames::kRefuse));
  TRY(text.append('\0'));
  if (text.size() > size) return Errno::kRange;
  TRY(copy_to_user(self.memory(), out, text_bytes(text.view())));
  return static_cast<long>(text.size());
}

Result<long> sys_readlinkat(Thread& self, Fd directory, UserString path, UserAddress out,
                            size_t size) {
  if (static_cast<int>(size) <= 0) return Errno::kInval;
  const String text = TRY(path.read_path());
  const WalkContext context = TRY(walk_at(self, directory, text.view()));
  const bool is_empty = text.is_empty() && directory != kAtCwd;
  const Path found =
      TRY(lookup_path(context, text.view(), FollowLast::kNo, is_empty ? kWalkEmptyPath : 0));
  if (!found.inode().is_symlink()) return is_empty ? Errno::kNoEnt : Errno::kInval;
  const String target = TRY(found.inode().read_link());
  const size_t count = std::min(size, target.size());
  TRY(copy_to_user(self.memory(), out, text_bytes(target.view()).first(count)));
  return static_cast<long>(count);
}
Result<long> sys_readlink(Thread& self, UserString path, UserAddress out, size_t size) {
  return sys_readlinkat(self, kAtCwd, path, out, size);
}

}  // namespace occlum
