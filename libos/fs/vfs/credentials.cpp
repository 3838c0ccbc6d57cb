// See credentials.h.
#include "libos/fs/vfs/credentials.h"

#include "libos/fs/vfs/stat.h"
#include "libos/sched/task.h"

namespace occlum {

Result<void> check_permission(const Ownership& file, const Credentials& who, uint32_t request) {
  uint32_t granted = file.mode & 7;
  if (who.fsuid == file.uid) {
    granted = (file.mode >> 6) & 7;
  } else if (who.in_group(file.gid)) {
    granted = (file.mode >> 3) & 7;
  }
  if ((granted & request) == request) return {};
  // capabilities(7): CAP_DAC_READ_SEARCH reads files, and reads and searches directories; CAP_DAC_OVERRIDE does
  // everything, but runs a program only when somebody may run it.
  const bool is_directory = type_of_mode(file.mode) == FileType::kDirectory;
  const uint32_t searching = is_directory ? kMayRead | kMayExecute : kMayRead;
  if ((request & ~searching) == 0 && who.has(kCapDacReadSearch)) return {};
  const bool may_run = is_directory || (request & kMayExecute) == 0 || (file.mode & 0111) != 0;
  if (may_run && who.has(kCapDacOverride)) return {};
  return Errno::kAcces;
}

uint32_t mode_without_set_id(const Ownership& file, const Credentials& who) {
  uint32_t mode = file.mode & ~kModeSetUid;
  if ((mode & kModeGroupExecute) != 0 || !may_set_group_id(file.gid, who)) mode &= ~kModeSetGid;
  return mode & kModePermissions;
}

FileTime current_file_time() {
  const Nanoseconds now = realtime_now();
  return {static_cast<int64_t>(now / 1'000'000'000), static_cast<uint32_t>(now % 1'000'000'000)};
}

}  // namespace occlum
