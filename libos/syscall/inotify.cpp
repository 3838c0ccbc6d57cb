// inotify(7): inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/inotify_file.h"
#include "libos/process/process.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/files_common.h"

namespace occlum {
namespace {

constexpr uint32_t kAnyBit = kNotifyAllEvents | kNotifyUnmount | kNotifyOverflow | kNotifyIgnored |
                             kNotifyOnlyDirectory | kNotifyDontFollow | kNotifyExcludeUnlinked |
                             kNotifyMaskCreate | kNotifyMaskAdd | kNotifyIsDirectory |
                             kNotifyOneShot;

Result<RefPtr<InotifyFile>> inotify_of(const RefPtr<File>& file) {
  if (file->kind() != FileKind::kInotify) return Errno::kInval;
  return static_ptr_cast<InotifyFile>(file);
}

}  // namespace

Result<long> sys_inotify_init1(Thread& self, Flags flags) {
  if ((bits(flags) & ~(kOpenCloseOnExec | kOpenNonblock)) != 0) return Errno::kInval;
  RefPtr<File> file =
      TRY(InotifyFile::create(self.user().uid, kOpenReadOnly | (bits(flags) & kOpenNonblock)));
  const CloseOnExec cloexec =
      (bits(flags) & kOpenCloseOnExec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo;
  return static_cast<long>(TRY(self.files().install(std::move(file), cloexec)));
}

Result<long> sys_inotify_init(Thread& self) { return sys_inotify_init1(self, Flags{}); }

Result<long> sys_inotify_add_watch(Thread& self, Fd fd, UserString path, uint32_t mask) {
  if ((mask & kAnyBit) == 0) return Errno::kInval;
  const RefPtr<File> file = TRY(io_file(self, fd));
  if ((mask & kNotifyMaskAdd) != 0 && (mask & kNotifyMaskCreate) != 0) return Errno::kInval;
  const RefPtr<InotifyFile> inotify = TRY(inotify_of(file));
  const FollowLast follow = (mask & kNotifyDontFollow) != 0 ? FollowLast::kNo : FollowLast::kYes;
  const uint32_t walk = (mask & kNotifyOnlyDirectory) != 0 ? kWalkDirectory : 0;
  const String text = TRY(read_name(path));
  const WalkContext context = TRY(walk_at(self, kAtCwd, text.view()));
  const Path watched = TRY(lookup_path(context, text.view(), follow, walk));
  TRY(check_access(watched, self.credentials(), kMayRead));
  return static_cast<long>(TRY(add_watch(inotify->queue(), watched, mask, self.user().uid)));
}

Result<long> sys_inotify_rm_watch(Thread& self, Fd fd, int watch) {
  const RefPtr<InotifyFile> inotify = TRY(inotify_of(TRY(io_file(self, fd))));
  return done(remove_watch(inotify->queue(), watch));
}

}  // namespace occlum
