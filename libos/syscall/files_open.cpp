// open(2), close(2), dup(2), fcntl(2), flock(2).
#include <algorithm>

#include "libos/fs/vfs/file_locks.h"
#include "libos/fs/vfs/leases.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/io_signal.h"
#include "libos/syscall/files_common.h"

namespace occlum {

namespace {

Result<long> open_at(Thread& self, Fd directory, std::string_view path, uint32_t flags,
                     uint32_t mode, uint32_t walk) {
  FdReservation reservation = TRY(self.files().reserve(1, close_on_exec_of(flags)));
  const WalkContext context = TRY(walk_at(self, directory, path));
  RefPtr<File> file = TRY(open_file(context, path, flags, mode, self.fs().umask(), walk));
  file->set_opened_as(self.credentials_number());
  const int fd = reservation[0];
  reservation.commit(std::move(file));
  return fd;
}

}  // namespace

Result<long> sys_openat(Thread& self, Fd directory, UserString path, Flags flags, Mode mode) {
  TRY(check_open_flags(bits(flags)));
  const String text = TRY(read_name(path));
  return open_at(self, directory, text.view(), bits(flags) | kOpenLargeFile,
                 bits(mode) & kModePermissions, 0);
}

Result<long> sys_open(Thread& self, UserString path, Flags flags, Mode mode) {
  return sys_openat(self, kAtCwd, path, flags, mode);
}

Result<long> sys_creat(Thread& self, UserString path, Mode mode) {
  return sys_openat(self, kAtCwd, path, Flags{kOpenCreate | kOpenWriteOnly | kOpenTruncate}, mode);
}

Result<long> sys_openat2(Thread& self, Fd directory, UserString path, UserIn<OpenHow> how,
                         size_t size) {
  if (size < sizeof(OpenHow)) return Errno::kInval;
  if (size > 4096) return Errno::kTooBig;
  const OpenHow wanted = TRY(how.read());
  for (size_t at = sizeof(OpenHow); at < size; ++at) {
    if (TRY(UserIn<uint8_t>(how.address() + at).read()) != 0) return Errno::kTooBig;
  }
  constexpr uint64_t kKnownFlags =
      kOpenAccessMode | kOpenCreate | kOpenExclusive | kOpenNoCtty | kOpenTruncate | kOpenAppend |
      kOpenNonblock | kOpenSync | kOpenAsync | kOpenDirect | kOpenLargeFile | kOpenDirectory |
      kOpenNoFollow | kOpenNoAtime | kOpenCloseOnExec | kOpenPath | kOpenTmpFile;
  if ((wanted.flags & ~kKnownFlags) != 0) return Errno::kInval;
  const bool creates =
      (wanted.flags & kOpenCreate) != 0 || (wanted.flags & kOpenTmpFile) == kOpenTmpFile;
  if (creates ? (wanted.mode & ~uint64_t{kModePermissions}) != 0 : wanted.mode != 0)
    return Errno::kInval;
  constexpr uint32_t kWithPath = kOpenPath | kOpenDirectory | kOpenNoFollow | kOpenCloseOnExec;
  if ((wanted.flags & kOpenPath) != 0 && (wanted.flags & ~uint64_t{kWithPath}) != 0)
    return Errno::kInval;
  TRY(check_open_flags(static_cast<uint32_t>(wanted.flags)));
  constexpr uint64_t kNoXDev = 1, kNoMagicLinks = 2, kNoSymlinks = 4, kBeneath = 8, kInRoot = 16,
                     kCached = 32;
  if ((wanted.resolve & ~uint64_t{63}) != 0) return Errno::kInval;
  if ((wanted.resolve & kBeneath) != 0 && (wanted.resolve & kInRoot) != 0) return Errno::kInval;
  if ((wanted.resolve & kCached) != 0)
    return Errno::kAgain;  // we never promise to stay in the cache
  uint32_t walk = 0;
  if ((wanted.resolve & kNoXDev) != 0) walk |= kWalkNoXDev;
  if ((wanted.resolve & kNoMagicLinks) != 0) walk |= kWalkNoMagicLinks;
  if ((wanted.resolve & kNoSymlinks) != 0) walk |= kWalkNoSymlinks | kWalkNoMagicLinks;
  if ((wanted.resolve & kBeneath) != 0) walk |= kWalkBeneath;
  if ((wanted.resolve & kInRoot) != 0) walk |= kWalkInRoot;
  const String text = TRY(read_name(path));
  FdReservation reservation =
      TRY(self.files().reserve(1, close_on_exec_of(static_cast<uint32_t>(wanted.flags))));
  // With RESOLVE_IN_ROOT an absolute path starts at the directory, too.
  WalkContext context = self.fs().walk(self.credentials());
  if (directory != kAtCwd) context.start = TRY(path_of_fd(self, directory));
  uint32_t flags = static_cast<uint32_t>(wanted.flags);
  if ((flags & kOpenPath) == 0) flags |= kOpenLargeFile;
  RefPtr<File> file = TRY(open_file(context, text.view(), flags, static_cast<uint32_t>(wanted.mode),
                                    self.fs().umask(), walk));
  file->set_opened_as(self.credentials_number());
  const int fd = reservation[0];
  reservation.commit(std::move(file));
  return fd;
}

Result<long> sys_close(Thread& self, Fd fd) { return done(self.files().close(number(fd))); }

Result<long> sys_close_range(Thread& self, uint32_t first, uint32_t last, Flags flags) {
  constexpr uint32_t kUnshare = 2, kCloseOnExec = 4;
  if (first > last || (bits(flags) & ~(kUnshare | kCloseOnExec)) != 0) return Errno::kInval;
  // A table that nobody shares stays, and with it the record locks of its owner.
  if ((bits(flags) & kUnshare) != 0 && self.shares_files())
    self.replace_files(TRY(self.files().clone()));
  if ((bits(flags) & kCloseOnExec) != 0) {
    self.files().mark_range(first, last);
  } else {
    self.files().close_range(first, last);
  }
  return 0;
}

Result<long> sys_dup(Thread& self, Fd fd) {
  return TRY(self.files().install_open(TRY(self.files().get(number(fd)))));
}

Result<long> sys_dup2(Thread& self, Fd from, Fd to) {
  if (from == to) {
    TRY(self.files().get(number(from)));
    return number(to);
  }
  return TRY(self.files().duplicate(number(from), number(to), CloseOnExec::kNo));
}

Result<long> sys_dup3(Thread& self, Fd from, Fd to, Flags flags) {
  if (from == to || (bits(flags) & ~kOpenCloseOnExec) != 0) return Errno::kInval;
  return TRY(self.files().duplicate(number(from), number(to), close_on_exec_of(bits(flags))));
}

namespace {

enum class LockOwner { kProcess, kDescription };

constexpr int16_t kRdLock = 0, kWrLock = 1, kUnLock = 2;

// struct flock as a range of bytes (fcntl(2), "Advisory record locking").
Result<RecordLock> decode_lock(Thread& self, const RefPtr<File>& file, const LinuxFlock& wanted,
                               LockOwner owner) {
  int64_t base = 0;
  switch (wanted.whence) {
    case 0:
      break;
    case 1:
      // What has no position is always at the beginning.
      if (const Result<uint64_t> at = file->seek(0, Whence::kCur); !at.is_error())
        base = static_cast<int64_t>(at.value());
      break;
    case 2:
      base = static_cast<int64_t>(TRY(file->stat()).size);
      break;
    default:
      return Errno::kInval;
  }
  const std::optional<int64_t> start = checked_add(base, wanted.start);
  if (!start) return Errno::kOverflow;
  RecordLock lock;
  lock.start = static_cast<uint64_t>(*start);
  if (wanted.length > 0) {
    const std::optional<int64_t> end = checked_add(*start, wanted.length - 1);
    if (!end) return Errno::kOverflow;
    lock.end = static_cast<uint64_t>(*end);
  } else if (wanted.length < 0) {
    const std::optional<int64_t> first = checked_add(*start, wanted.length);
    if (!first || *first < 0) return Errno::kInval;
    lock.start = static_cast<uint64_t>(*first);
    lock.end = static_cast<uint64_t>(*start - 1);
  } else if (*start < 0) {
    return Errno::kInval;
  }
  if (*start < 0) return Errno::kInval;
  switch (wanted.type) {
    case kRdLock:
      lock.type = LockType::kRead;
      break;
    case kWrLock:
      lock.type = LockType::kWrite;
      break;
    case kUnLock:
      lock.type = LockType::kUnlock;
      break;
    default:
      return Errno::kInval;
  }
  if (owner == LockOwner::kDescription) {
    lock.owner = file.get();
  } else {
    lock.owner = &self.files();
    lock.pid = self.pid();
  }
  return lock;
}

Result<long> get_lock(Thread& self, const RefPtr<File>& file, UserInOut<LinuxFlock> at,
                      LockOwner owner) {
  LinuxFlock answer = TRY(at.read());
  if (answer.type != kRdLock && answer.type != kWrLock &&
      (owner == LockOwner::kProcess || answer.type != kUnLock)) {
    return Errno::kInval;
  }
  const RecordLock lock = TRY(decode_lock(self, file, answer, owner));
  if (owner == LockOwner::kDescription && answer.pid != 0) return Errno::kInval;
  const RecordLock other = TRY(file->locks())->test(lock);
  if (other.type == LockType::kUnlock) {
    answer.type = kUnLock;
  } else {
    answer.type = other.type == LockType::kRead ? kRdLock : kWrLock;
    answer.whence = 0;
    answer.start = static_cast<int64_t>(other.start);
    answer.length = other.end == UINT64_MAX ? 0 : static_cast<int64_t>(other.end - other.start + 1);
    // A lock outlives the process that took it where another shares its descriptors.
    answer.pid = other.pid == -1 || is_pid_used(other.pid) ? other.pid : 0;
  }
  TRY(at.write(answer));
  return 0;
}

Result<long> set_lock(Thread& self, const RefPtr<File>& file, UserInOut<LinuxFlock> at,
                      LockOwner owner, LockWait wait) {
  const LinuxFlock wanted = TRY(at.read());
  const RecordLock lock = TRY(decode_lock(self, file, wanted, owner));
  if (lock.type == LockType::kRead && !file->can_read()) return Errno::kBadFd;
  if (lock.type == LockType::kWrite && !file->can_write()) return Errno::kBadFd;
  if (owner == LockOwner::kDescription && wanted.pid != 0) return Errno::kInval;
  return done(TRY(file->locks())->set(lock, wait));
}

constexpr int kDupFd = 0, kGetFd = 1, kSetFd = 2, kGetFl = 3, kSetFl = 4, kGetLk = 5, kSetLk = 6,
              kSetLkW = 7, kSetOwn = 8, kGetOwn = 9, kSetSig = 10, kGetSig = 11, kSetOwnEx = 15,
              kGetOwnEx = 16, kOfdGetLk = 36, kOfdSetLk = 37, kOfdSetLkW = 38, kSetLease = 1024,
              kGetLease = 1025, kDupFdCloexec = 1030, kSetPipeSize = 1031, kGetPipeSize = 1032;
constexpr int kAddSeals = 1033, kGetSeals = 1034;
constexpr uint64_t kFdCloexec = 1;

// struct f_owner_ex: F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP.
struct LinuxOwner {
  uint32_t type;
  int32_t number;
};
static_assert(static_cast<uint32_t>(IoOwner::Kind::kThread) == 0 &&
              static_cast<uint32_t>(IoOwner::Kind::kGroup) == 2);

// fcntl(2), "File Sealing".
Result<long> seals_of_file(File& file, int command, uint64_t argument) {
  if (command == kAddSeals && !file.can_write()) return Errno::kPerm;
  Inode* inode = file.inode();
  if (inode == nullptr) return Errno::kInval;
  if (command == kGetSeals) return static_cast<long>(TRY(inode->seals()));
  lock_detail::Guard<Mutex> guard(inode->mutex());
  return done(inode->add_seals(static_cast<uint32_t>(argument)));
}

}  // namespace

Result<long> sys_fcntl(Thread& self, Fd fd, int command, uint64_t argument) {
  FileTable& files = self.files();
  const RefPtr<File> file = TRY(files.get(number(fd)));
  switch (command) {
    case kDupFd:
      return TRY(files.install_at_least(static_cast<int>(argument), file, CloseOnExec::kNo));
    case kDupFdCloexec:
      return TRY(files.install_at_least(static_cast<int>(argument), file, CloseOnExec::kYes));
    case kGetFd:
      return TRY(files.close_on_exec(number(fd))) == CloseOnExec::kYes ? 1 : 0;
    case kSetFd:
      return done(files.set_close_on_exec(
          number(fd), (argument & kFdCloexec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo));
    case kGetFl:
      return file->flags();
    default:
      break;
  }
  if ((file->flags() & kOpenPath) != 0) return Errno::kBadFd;
  const UserInOut<LinuxFlock> lock{UserAddress(argument)};
  switch (command) {
    case kSetFl:
      if ((argument & ~uint64_t{file->flags()} & kOpenNoAtime) != 0) {
        const Stat stat = TRY(file->stat());
        if (!is_owner({stat.mode, stat.uid, stat.gid}, self.credentials())) return Errno::kPerm;
      }
      // Of pipes it means packets.
      if ((argument & kOpenDirect) != 0 && file->kind() != FileKind::kPipe &&
          (file->inode() == nullptr || !file->inode()->is_regular())) {
        return Errno::kInval;
      }
      if (((argument ^ file->flags()) & kOpenAsync) != 0)
        TRY(set_async(self, *file, number(fd), (argument & kOpenAsync) != 0));
      return done(file->set_flags(static_cast<uint32_t>(argument)));
    case kGetLk:
      return get_lock(self, file, lock, LockOwner::kProcess);
    case kSetLk:
      return set_lock(self, file, lock, LockOwner::kProcess, LockWait::kNo);
    case kSetLkW:
      return set_lock(self, file, lock, LockOwner::kProcess, LockWait::kYes);
    case kOfdGetLk:
      return get_lock(self, file, lock, LockOwner::kDescription);
    case kOfdSetLk:
      return set_lock(self, file, lock, LockOwner::kDescription, LockWait::kNo);
    case kOfdSetLkW:
      return set_lock(self, file, lock, LockOwner::kDescription, LockWait::kYes);
    case kSetOwn:
      return done(set_signal_owner(self, *file, static_cast<int>(argument)));
    case kSetSig:
      return done(set_io_signal(*file, argument));
    case kGetOwn:
      return signal_owner_number(*file);
    case kSetOwnEx: {
      const LinuxOwner owner = TRY(UserIn<LinuxOwner>(UserAddress(argument)).read());
      if (owner.type > static_cast<uint32_t>(IoOwner::Kind::kGroup)) return Errno::kInval;
      return done(
          set_signal_owner(self, *file, static_cast<IoOwner::Kind>(owner.type), owner.number));
    }
    case kGetOwnEx: {
      const IoOwner its = signal_owner(*file);
      const LinuxOwner owner = {static_cast<uint32_t>(its.kind), its.number};
      TRY(UserOut<LinuxOwner>(UserAddress(argument)).write(owner));
      return 0;
    }
    case kGetSig:
      return io_signal(*file);
    case kSetLease:
      return done(set_lease_of(self, *file, number(fd), static_cast<int>(argument)));
    case kGetLease: {
      const LeaseType type = lease_of(*file);
      return type == LeaseType::kNone ? kUnLock : type == LeaseType::kRead ? kRdLock : kWrLock;
    }
    case kSetPipeSize:
    case kGetPipeSize:
      if (file->kind() != FileKind::kPipe) return Errno::kBadFd;
      return file->fcntl(command, argument);
    case kAddSeals:
    case kGetSeals:
      return seals_of_file(*file, command, argument);
    default:
      return file->fcntl(command, argument);
  }
}

Result<long> sys_flock(Thread& self, Fd fd, int operation) {
  constexpr int kShared = 1, kExclusive = 2, kNonblock = 4, kUnlock = 8, kMandatory = 32;
  if ((operation & kMandatory) != 0) return 0;  // ignored, as Linux does since 5.15
  const int kind = operation & ~kNonblock;
  if (kind != kShared && kind != kExclusive && kind != kUnlock) return Errno::kInval;
  const RefPtr<File> file = TRY(io_file(self, fd));
  const LockWait wait = (operation & kNonblock) != 0 ? LockWait::kNo : LockWait::kYes;
  if (kind != kUnlock && !file->can_read() && !file->can_write()) return Errno::kBadFd;
  FileLocks* locks = TRY(file->locks());
  switch (kind) {
    case kShared:
      return done(locks->flock(*file, LockType::kRead, wait, self.pid()));
    case kExclusive:
      return done(locks->flock(*file, LockType::kWrite, wait, self.pid()));
    case kUnlock:
      return done(locks->flock(*file, LockType::kUnlock, wait, self.pid()));
    default:
      return Errno::kInval;
  }
}

}  // namespace occlum
