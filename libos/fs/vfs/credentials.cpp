// See credentials.h.
#include "libos/fs/vfs/credentials.h"

#include "libos/fs/vfs/stat.h"
#include "libos/sched/task.h"

namespace occlum {

Result<void> check_permission(const Ownership& file, const Credentials& who, uint32_t request) {
  const bool is_directory = type_of_mode(file.mode) == FileType::kDirectory;
  if (who.privileged) {
    // CAP_DAC_OVERRIDE runs a program only when somebody may run it.
    if ((request & kMayExecute) != 0 && !is_directory && (file.mode & 0111) == 0)
      return Errno::kAcces;
    return {};
  }
  uint32_t granted = file.mode & 7;
  if (who.fsuid == file.uid) {
    granted = (file.mode >> 6) & 7;
  } else if (who.in_group(file.gid)) {
    granted = (file.mode >> 3) & 7;
  }
  if ((granted & request) != request) return Errno::kAcces;
  return {};
}

FileTime current_file_time() {
  const Nanoseconds now = realtime_now();
  return {static_cast<int64_t>(now / 1'000'000'000), static_cast<uint32_t>(now % 1'000'000'000)};
}

}  // namespace occlum
