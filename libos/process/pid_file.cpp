#include "libos/process/pid_file.h"

namespace occlum {
namespace {
constexpr uint32_t kReadWrite = 2;
}  // namespace

PidFile::PidFile(RefPtr<Process> process, uint32_t flags)
    : File(kReadWrite | flags), process_(std::move(process)) {}

Result<RefPtr<File>> PidFile::create(RefPtr<Process> process, uint32_t flags) {
  return make_ref<PidFile>(std::move(process), flags);
}

Result<RefPtr<Process>> PidFile::process_of(const RefPtr<File>& file) {
  if (file->kind() != FileKind::kProcess) return Errno::kBadFd;
  return static_cast<PidFile&>(*file).process_;
}

PollEvents PidFile::poll(Poller* poller) {
  if (poller != nullptr && poller->watch(process_->exit_queue()).is_error()) return kPollErr;
  return process_->has_ended() ? kPollIn | kPollRdNorm : 0;
}

Result<String> PidFile::describe() { return String::create("anon_inode:[pidfd]"); }

}  // namespace occlum
