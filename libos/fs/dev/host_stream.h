// HostStream: a host descriptor as an open file: the runtime's stdin, stdout and stderr when they
// are not terminals.
//
// The description behind the descriptor is shared with other host processes (a shell's pipe), so
// its O_NONBLOCK is not ours to set. Reads and writes on pipes and sockets use preadv2/pwritev2
// with RWF_NOWAIT where the host's kernel can, else poll(2) first and at most PIPE_BUF bytes at a
// time; waiting is done on a HostWatch, never on a vCPU. Regular files and the like are always
// ready, and go by sched/host_files.h. Everything that is read is the host's word.
#pragma once

#include "libos/fs/vfs/file.h"
#include "libos/ipc/anonymous_inode.h"
#include "libos/lib/ptr.h"
#include "libos/sched/host_events.h"

namespace occlum {

class HostStream : public File {
 public:
  // Takes no ownership: 0..2 stay open for the runtime. Errors: kBadFd, kNoMem, kIo.
  static Result<RefPtr<HostStream>> create(int fd);
  HostStream(int fd, uint32_t flags, uint32_t mode) : File(flags), fd_(fd), inode_(mode, 0, 0) {}

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  Result<size_t> read_at(uint64_t offset, DataSink& sink) override;
  Result<size_t> write_at(uint64_t offset, DataSource& source) override;
  Result<uint64_t> seek(int64_t offset, Whence whence) override;
  Result<void> truncate(uint64_t size) override;
  Result<void> sync(bool data_only) override;
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  PollEvents poll(Poller* poller) override;
  Result<Stat> stat() override;
  Result<void> set_attributes(const AttributeChange& change) override;
  Result<String> describe() override;
  LockAnchor& lock_anchor() override { return inode_.lock_anchor(); }

 private:
  enum class Direction { kRead, kWrite };
  // One attempt; kAgain when it would block.
  Result<size_t> try_read(std::span<std::byte> buffer);
  Result<size_t> try_write(std::span<const std::byte> data);
  Result<void> wait(PollEvents events);

  const int fd_;
  OwnPtr<HostWatch> watch_;  // null: always ready
  bool is_seekable_ = false;
  AnonymousInode inode_;  // of root, with the host's mode; changes stay in the enclave
  std::atomic<bool> can_nowait_{true};  // the host knows RWF_NOWAIT for this descriptor
};

}  // namespace occlum
