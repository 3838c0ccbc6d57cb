#include "libos/ipc/anonymous_inode.h"

#include <atomic>

#include "libos/lib/log.h"

namespace occlum {

namespace {
constinit std::atomic<uint64_t> next_number{1024};
// st_dev of pipefs and sockfs: no mounted file system has it.
constexpr uint64_t kAnonymousDevice = 14;
}  // namespace

AnonymousInode::AnonymousInode(uint32_t mode, uint32_t uid, uint32_t gid)
    : number_(next_number.fetch_add(1, std::memory_order_relaxed)) {
  const FileTime now = current_file_time();
  attributes_.with([&](InodeAttributes& own) { own = {mode, uid, gid, now, now, now}; });
}

Stat AnonymousInode::stat() const {
  Stat stat;
  stat.dev = kAnonymousDevice;
  stat.ino = number_;
  attributes_.with([&](const InodeAttributes& own) { own.tell(stat); });
  return stat;
}

void AnonymousInode::change(const AttributeChange& change) {
  const FileTime now = current_file_time();
  attributes_.with([&](InodeAttributes& own) { own.apply(change, now); });
}

Result<String> AnonymousInode::describe(std::string_view kind) const {
  String text;
  TRY(append_format(text, "{}:[{}]", kind, number_));
  return text;
}

}  // namespace occlum
