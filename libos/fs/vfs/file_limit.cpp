// See file_limit.h. fs/file_table.c's alloc_empty_file is Linux's place for file-max.
#include "libos/fs/vfs/file_limit.h"

#include <atomic>

#include "libos/fs/vfs/file.h"

namespace occlum {

namespace {
constinit std::atomic<uint64_t> most{1048576};
constinit std::atomic<uint64_t (*)()> callers_limit{nullptr};
constinit std::atomic<bool (*)()> caller_is_privileged{nullptr};
constexpr uint64_t kUsualDescriptors = 1024;
}  // namespace

uint64_t most_files() { return most.load(std::memory_order_relaxed); }

Result<void> set_most_files(uint64_t number) {
  if (number > INT64_MAX) return Errno::kInval;
  most.store(number, std::memory_order_relaxed);
  return {};
}

Result<void> check_file_limit(uint64_t more) {
  if (live_objects<File>() + more <= most_files()) return {};
  const auto is_privileged = caller_is_privileged.load(std::memory_order_acquire);
  return is_privileged == nullptr || is_privileged() ? Result<void>() : Errno::kNFile;
}

uint64_t descriptor_limit() {
  const auto limit = callers_limit.load(std::memory_order_acquire);
  return limit == nullptr ? kUsualDescriptors : limit();
}

void set_file_limit_caller(FileLimitCaller caller) {
  callers_limit.store(caller.descriptor_limit, std::memory_order_release);
  caller_is_privileged.store(caller.is_privileged, std::memory_order_release);
}

}  // namespace occlum
