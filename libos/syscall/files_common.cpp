// See files_common.h.
#include "libos/syscall/files_common.h"

#include <algorithm>

#include "libos/process/process.h"
#include "libos/process/signals/send.h"

namespace occlum {

Result<RefPtr<File>> io_file(Thread& self, Fd fd) {
  RefPtr<File> file = TRY(self.files().get(number(fd)));
  if ((file->flags() & kOpenPath) != 0) return Errno::kBadFd;
  return file;
}

bool has_positions(const File& file) {
  switch (file.kind()) {
    case FileKind::kOther:
    case FileKind::kProcess:
      return true;
    default:
      return false;
  }
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

Result<void> refuse_size() {
  send_signal_to_self(kSigXFsz);
  return Errno::kFBig;
}

Result<void> check_file_size(Thread& self, Inode& inode, uint64_t size) {
  if (size <= self.process().limit(Resource::kFileSize).soft) return {};
  if (!inode.is_regular() || size <= TRY(inode.stat()).size) return {};
  return refuse_size();
}

Result<void> limit_file_size(Thread& self, File& file, const uint64_t* offset, DataSource& source) {
  const uint64_t limit = self.process().limit(Resource::kFileSize).soft;
  if (limit == kRlimInfinity || file.inode() == nullptr || !file.inode()->is_regular()) return {};
  if (source.remaining() == 0) return {};
  uint64_t start = offset != nullptr ? *offset : TRY(file.seek(0, Whence::kCur));
  // Beyond all offsets is another error, also of what then appends.
  if (source.remaining() > kMaxFileSize - std::min(start, kMaxFileSize)) return Errno::kInval;
  if ((file.flags() & kOpenAppend) != 0) start = TRY(file.inode()->stat()).size;
  if (start >= limit) return refuse_size();
  source.truncate(limit - start);
  return {};
}

Result<Path> path_of_fd(Thread& self, Fd fd) {
  const RefPtr<File> file = TRY(self.files().get(number(fd)));
  return path_of_file(file);
}

}  // namespace occlum
