// How many open files there may be: in all (/proc/sys/fs/file-max, ENFILE), and how high a descriptor of the caller's may
// be (RLIMIT_NOFILE, EMFILE). Who the caller is only process/ knows: it says so at start.
#pragma once

#include <cstdint>

#include "libos/lib/result.h"

namespace occlum {

uint64_t most_files();
Result<void> set_most_files(uint64_t number);  // kInval

// Whether the caller may have `more` open files than there are now: kNFile. The privileged (CAP_SYS_ADMIN) always may.
Result<void> check_file_limit(uint64_t more);

// The soft limit of the process that asks.
uint64_t descriptor_limit();

struct FileLimitCaller {
  uint64_t (*descriptor_limit)() = nullptr;
  bool (*is_privileged)() = nullptr;
};
void set_file_limit_caller(FileLimitCaller caller);

}  // namespace occlum
