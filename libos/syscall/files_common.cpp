// See files_common.h.
#include "libos/syscall/files_common.h"

namespace occlum {

Result<RefPtr<File>> io_file(Thread& self, Fd fd) {
  RefPtr<File> file = TRY(self.files().get(number(fd)));
  if ((file->flags() & kOpenPath) != 0) return Errno::kBadFd;
  return file;
}

Result<String> read_name(UserString path) {
  String text = TRY(path.read_path());
  if (text.is_empty()) return Errno::kNoEnt;
  return text;
}

Result<WalkContext> walk_at(Thread& self, Fd directory, std::string_view path) {
  WalkContext context = self.fs().walk(self.credentials());
  if (directory == kAtCwd || path.starts_with('/')) return context;
  context.start = TRY(path_of_fd(self, directory));
  return context;
}

Result<Path> resolve_at(Thread& self, Fd directory, UserString path, FollowLast follow,
                        uint32_t flags) {
  String text;
  // AT_EMPTY_PATH allows a null pointer, too.
  if ((flags & kAtEmptyPath) == 0 || !path.is_null()) text = TRY(path.read_path());
  if ((flags & kAtEmptyPath) == 0 && text.is_empty()) return Errno::kNoEnt;
  const WalkContext context = TRY(walk_at(self, directory, text.view()));
  return lookup_path(context, text.view(), follow,
                     (flags & kAtEmptyPath) != 0 ? kWalkEmptyPath : 0);
}

Result<Path> path_of_fd(Thread& self, Fd fd) {
  const RefPtr<File> file = TRY(self.files().get(number(fd)));
  return path_of_file(file);
}

}  // namespace occlum
