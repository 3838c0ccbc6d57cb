// PidFile: a descriptor that means a process (pidfd_open(2)): readable once it has ended.
#pragma once

#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/lock_anchor.h"
#include "libos/process/process.h"

namespace occlum {

class PidFile final : public File {
 public:
  // `flags`: 0 or O_NONBLOCK (waitid on it then does not block).
  static Result<RefPtr<File>> create(RefPtr<Process> process, uint32_t flags);
  PidFile(RefPtr<Process> process, uint32_t flags);

  // The process of a descriptor; kBadFd when it is none of these.
  static Result<RefPtr<Process>> process_of(const RefPtr<File>& file);

  // Linux has it as a regular file that nothing can be done with.
  Result<size_t> read_at(uint64_t, DataSink&) override { return Errno::kInval; }
  Result<size_t> write_at(uint64_t, DataSource&) override { return Errno::kInval; }
  Result<void> truncate(uint64_t) override { return Errno::kOpNotSupp; }
  Result<void> allocate(int, uint64_t, uint64_t) override { return Errno::kOpNotSupp; }
  PollEvents poll(Poller* poller) override;
  Result<String> describe() override;
  FileKind kind() const override { return FileKind::kProcess; }
  LockAnchor& lock_anchor() override { return locks_; }

 private:
  const RefPtr<Process> process_;
  LockAnchor locks_;
};

}  // namespace occlum
