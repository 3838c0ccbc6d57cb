#include "libos/ipc/anonymous_inode.h"

#include <atomic>

#include "libos/lib/log.h"

namespace occlum {

namespace {
constinit std::atomic<uint64_t> next_number{1024};
// st_dev of pipefs, sockfs and anon_inodefs: no mounted file system has it.
constexpr uint64_t kAnonymousDevice = 14;
}  // namespace

uint64_t next_anonymous_number() { return next_number.fetch_add(1, std::memory_order_relaxed); }

Stat anonymous_stat(uint32_t mode, uint64_t number) {
  const FileTime now = current_file_time();
  Stat stat;
  stat.dev = kAnonymousDevice;
  stat.ino = number != 0 ? number : 1;
  stat.mode = mode;
  stat.atime = stat.mtime = stat.ctime = now;
  return stat;
}

Result<String> describe_anonymous(std::string_view kind, uint64_t number) {
  String text;
  TRY(append_format(text, "{}:[{}]", kind, number));
  return text;
}

}  // namespace occlum
