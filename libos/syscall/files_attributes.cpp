// chmod(2), chown(2), truncate(2), utimensat(2) and what came before it; sync(2).
#include <array>

#include "libos/process/process.h"
#include "libos/process/signals/send.h"
#include "libos/syscall/files_common.h"

namespace occlum {

namespace {

Result<long> chmod_at(Thread& self, Fd directory, UserString path, Mode mode, uint32_t flags) {
  const Path found = TRY(resolve_at(self, directory, path, follow_unless(flags), flags));
  return done(change_mode(found, self.credentials(), bits(mode)));
}

}  // namespace

Result<long> sys_chmod(Thread& self, UserString path, Mode mode) {
  return chmod_at(self, kAtCwd, path, mode, 0);
}
Result<long> sys_fchmodat(Thread& self, Fd directory, UserString path, Mode mode) {
  return chmod_at(self, directory, path, mode, 0);
}
Result<long> sys_fchmodat2(Thread& self, Fd directory, UserString path, Mode mode, Flags flags) {
  if ((bits(flags) & ~(kAtSymlinkNoFollow | kAtEmptyPath)) != 0) return Errno::kInval;
  return chmod_at(self, directory, path, mode, bits(flags));
}
Result<long> sys_fchmod(Thread& self, Fd fd, Mode mode) {
  TRY(io_file(self, fd));
  return done(change_mode(TRY(path_of_fd(self, fd)), self.credentials(), bits(mode)));
}

Result<long> sys_fchownat(Thread& self, Fd directory, UserString path, uint32_t uid, uint32_t gid,
                          Flags flags) {
  if ((bits(flags) & ~(kAtSymlinkNoFollow | kAtEmptyPath)) != 0) return Errno::kInval;
  const Path found =
      TRY(resolve_at(self, directory, path, follow_unless(bits(flags)), bits(flags)));
  return done(change_owner(found, self.credentials(), uid, gid));
}
Result<long> sys_chown(Thread& self, UserString path, uint32_t uid, uint32_t gid) {
  return sys_fchownat(self, kAtCwd, path, uid, gid, Flags{0});
}
Result<long> sys_lchown(Thread& self, UserString path, uint32_t uid, uint32_t gid) {
  return sys_fchownat(self, kAtCwd, path, uid, gid, Flags{kAtSymlinkNoFollow});
}
Result<long> sys_fchown(Thread& self, Fd fd, uint32_t uid, uint32_t gid) {
  TRY(io_file(self, fd));
  return done(change_owner(TRY(path_of_fd(self, fd)), self.credentials(), uid, gid));
}

Result<long> sys_truncate(Thread& self, UserString path, int64_t length) {
  if (length < 0) return Errno::kInval;
  const Path found = TRY(resolve_at(self, kAtCwd, path, FollowLast::kYes));
  if (found.inode().is_regular()) {
    TRY(check_access(found, self.credentials(), kMayWrite));
    TRY(check_file_size(self, found.inode(), static_cast<uint64_t>(length)));
  }
  return done(truncate_path(found, self.credentials(), static_cast<uint64_t>(length)));
}

namespace {

constexpr int64_t kUtimeNow = (1 << 30) - 1, kUtimeOmit = (1 << 30) - 2;

// What to set; nullopt for "as it is".
struct Times {
  std::optional<FileTime> atime, mtime;
  TimesPermission permission = TimesPermission::kOwner;
  bool valid = true;     // else kInval, once the file has been found
  bool nothing = false;  // UTIME_OMIT twice: not even the file is looked for
};

Times times_now() {
  const FileTime now = current_file_time();
  return {.atime = now, .mtime = now, .permission = TimesPermission::kOwnerOrWriter};
}

Result<Times> times_of(UserIn<Timespec> at) {
  if (at.is_null()) return times_now();
  Times times;
  const FileTime now = current_file_time();
  bool all_now = true;
  const auto decode = [&](size_t index, std::optional<FileTime>& out) -> Result<void> {
    const Timespec given = TRY(at.read_at(index));
    if (given.nanoseconds == kUtimeOmit) {
      all_now = false;
      return {};
    }
    if (given.nanoseconds == kUtimeNow) {
      out = now;
      return {};
    }
    all_now = false;
    if (given.nanoseconds < 0 || given.nanoseconds >= 1'000'000'000) {
      times.valid = false;
      return {};
    }
    out = FileTime{given.seconds, static_cast<uint32_t>(given.nanoseconds)};
    return {};
  };
  TRY(decode(0, times.atime));
  TRY(decode(1, times.mtime));
  times.nothing = times.valid && !times.atime && !times.mtime;
  if (all_now) times.permission = TimesPermission::kOwnerOrWriter;
  return times;
}

Result<Times> times_of(UserIn<Timeval> at) {
  if (at.is_null()) return times_now();
  const auto decode = [](const Timeval& given) -> Result<FileTime> {
    if (given.microseconds < 0 || given.microseconds >= 1'000'000) return Errno::kInval;
    return FileTime{given.seconds, static_cast<uint32_t>(given.microseconds * 1000)};
  };
  return Times{.atime = TRY(decode(TRY(at.read_at(0)))), .mtime = TRY(decode(TRY(at.read_at(1))))};
}

Result<long> set_times(Thread& self, const Path& path, const Times& times) {
  if (!times.valid) return Errno::kInval;
  return done(change_times(path, self.credentials(), times.atime, times.mtime, times.permission));
}

}  // namespace

Result<long> sys_utimensat(Thread& self, Fd directory, UserString path, UserIn<Timespec> at,
                           Flags flags) {
  const Times times = TRY(times_of(at));
  if (times.nothing) return 0;
  // A null path means the descriptor itself (futimens(3)).
  if (path.is_null() && directory != kAtCwd) {
    if (bits(flags) != 0) return Errno::kInval;
    TRY(io_file(self, directory));
    return set_times(self, TRY(path_of_fd(self, directory)), times);
  }
  if ((bits(flags) & ~(kAtSymlinkNoFollow | kAtEmptyPath)) != 0) return Errno::kInval;
  return set_times(
      self, TRY(resolve_at(self, directory, path, follow_unless(bits(flags)), bits(flags))), times);
}

Result<long> sys_futimesat(Thread& self, Fd directory, UserString path, UserIn<Timeval> at) {
  const Times times = TRY(times_of(at));
  return set_times(self, TRY(resolve_at(self, directory, path, FollowLast::kYes)), times);
}
Result<long> sys_utimes(Thread& self, UserString path, UserIn<Timeval> at) {
  return sys_futimesat(self, kAtCwd, path, at);
}

Result<long> sys_utime(Thread& self, UserString path, UserIn<UtimeBuffer> at) {
  Times times = times_now();
  if (!at.is_null()) {
    const UtimeBuffer given = TRY(at.read());
    times = {.atime = FileTime{given.access_time, 0},
             .mtime = FileTime{given.modification_time, 0}};
  }
  return set_times(self, TRY(resolve_at(self, kAtCwd, path, FollowLast::kYes)), times);
}

Result<long> sys_sync(Thread&) {
  const Result<Vec<RefPtr<Mount>>> mounts = mount_table().all();
  if (mounts.is_error()) return 0;
  for (const RefPtr<Mount>& mount : mounts.value()) {
    static_cast<void>(mount->file_system().sync().is_error());  // sync(2) reports nothing
  }
  return 0;
}

Result<long> sys_syncfs(Thread& self, Fd fd) {
  TRY(io_file(self, fd));
  const Path path = TRY(path_of_fd(self, fd));
  return done(path.mount->file_system().sync());
}

}  // namespace occlum
