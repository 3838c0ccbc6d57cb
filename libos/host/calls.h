// Typed host calls: the only code that sees what the host returns arrive. (read(2), openat(2), ...: the host's kernel)
//
// Every call leaves the enclave, runs one system call of the host on buffers in untrusted memory and comes back. The
// calling vCPU is blocked meanwhile, so calls that may wait for long (sockets, terminals) are made on non-blocking host
// descriptors and waiting is done with sched/host_events.h; contents of files are read and written by
// sched/host_files.h. Results are Untrusted<> until checked; an errno from the host is
// mapped to a plausible Linux errno (1..133), else kIo. HostFd owns a host descriptor and closes it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "libos/host/untrusted.h"
#include "libos/lib/result.h"

namespace occlum {

// An open descriptor of the host process.
class HostFd {
 public:
  HostFd() = default;
  explicit HostFd(int number) : number_(number) {}
  HostFd(HostFd&& other) : number_(std::exchange(other.number_, -1)) {}
  HostFd& operator=(HostFd&& other);
  HostFd(const HostFd&) = delete;
  ~HostFd();
  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_ = -1;
};

namespace host {

// One raw host system call with plain arguments: numbers only, no pointers into the enclave. Returns what the host
// kernel returned (negative errno). For calls with memory arguments use the functions below or SharedBuffer.
Untrusted<long> system_call(long number, uint64_t a0 = 0, uint64_t a1 = 0, uint64_t a2 = 0,
                            uint64_t a3 = 0, uint64_t a4 = 0, uint64_t a5 = 0);

// The calling vCPU's buffer in untrusted memory, for building the memory arguments of one host system call. Valid until
// the current task blocks or makes another host call; not nested. offset() addresses are outside ELRANGE by
// construction.
class SharedBuffer {
 public:
  SharedBuffer();
  static constexpr size_t kSize = 256 * 1024;
  // Copies in; returns the untrusted address to pass to the host. Errors: kNoMem when the buffer is full.
  Result<uint64_t> put(std::span<const std::byte> data);
  Result<uint64_t> put_string(std::string_view text);  // adds the NUL
  Result<uint64_t> reserve(size_t size);               // 16-byte aligned, uninitialised
  // Copies out once: checks that the range lies in this buffer, so double fetches are impossible afterwards.
  Result<void> get(uint64_t address, std::span<std::byte> to) const;

 private:
  uint64_t base_;
  size_t used_ = 0;
};

// A negative `long` from the host as an Errno, or the value when it is at most `limit`.
Result<long> check(Untrusted<long> result, long limit);

// --- descriptors; the returned counts are checked against the buffer. What may wait for a disk is in
// sched/host_files.h ---
Result<HostFd> openat(int directory_fd, std::string_view path, int flags,
                      unsigned mode);                           // O_CLOEXEC is added
Result<size_t> read(int fd, std::span<std::byte> buffer);       // one call, may be short
Result<size_t> write(int fd, std::span<const std::byte> data);  // one call, may be short
struct
    HostStat {  // fields of struct stat that the host claims; all untrusted in meaning, sane in range
  uint64_t dev, ino, nlink, rdev, size, blocks;
  uint32_t mode, uid, gid, blksize;
  int64_t atime_s, mtime_s, ctime_s;
  uint32_t atime_ns, mtime_ns, ctime_ns;
};
Result<HostStat> fstat(int fd);
Result<HostStat> fstatat(int directory_fd, std::string_view path, int flags);
Result<size_t> readlinkat(int directory_fd, std::string_view path, std::span<char> buffer);
Result<size_t> getdents64(
    int fd, std::span<std::byte> buffer);  // records still to be parsed as hostile bytes
Result<long> ioctl_int(int fd, uint32_t request, int& value);  // int in, int out
Result<long> fcntl(int fd, int command, uint64_t argument);

}  // namespace host

}  // namespace occlum
