// Typed host calls; see calls.h. Numbers of system calls are x86-64 Linux's.
#include "libos/host/calls.h"

#include <algorithm>

#include "abi/host_call.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/lib/bits.h"
#include "libos/lib/memory.h"

namespace occlum {
namespace {

enum SystemCall : long {
  kRead = 0,
  kWrite = 1,
  kClose = 3,
  kFstat = 5,
  kIoctl = 16,
  kFcntl = 72,
  kGetdents64 = 217,
  kOpenat = 257,
  kNewfstatat = 262,
  kReadlinkat = 267,
};

constexpr int kOpenCloseOnExec = 02000000;
constexpr long kMaxErrno = 133;  // the last errno of Linux
constexpr long kMaxDescriptor = 1 << 24;
constexpr size_t kChunk = host::SharedBuffer::kSize - 4096;

// struct stat of x86-64 Linux.
struct LinuxStat {
  uint64_t dev, ino, nlink;
  uint32_t mode, uid, gid, padding;
  uint64_t rdev;
  int64_t size, block_size, blocks;
  int64_t atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
  int64_t reserved[3];
};
static_assert(sizeof(LinuxStat) == 144);

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

// Two such may be subtracted.
int64_t sane_seconds(int64_t claimed) { return std::clamp(claimed, INT64_MIN / 2, INT64_MAX / 2); }

uint32_t sane_nanoseconds(int64_t claimed) {
  return claimed >= 0 && claimed < kNanosecondsPerSecond ? static_cast<uint32_t>(claimed) : 0;
}

Result<host::HostStat> checked_stat(const LinuxStat& raw) {
  if (raw.size < 0 || raw.blocks < 0) return Errno::kIo;
  return host::HostStat{.dev = raw.dev,
                        .ino = raw.ino,
                        .nlink = raw.nlink,
                        .rdev = raw.rdev,
                        .size = static_cast<uint64_t>(raw.size),
                        .blocks = static_cast<uint64_t>(raw.blocks),
                        .mode = raw.mode & 0177777,
                        .uid = raw.uid,
                        .gid = raw.gid,
                        .blksize = raw.block_size > 0 && raw.block_size <= (1 << 24)
                                       ? static_cast<uint32_t>(raw.block_size)
                                       : 4096,
                        .atime_s = sane_seconds(raw.atime),
                        .mtime_s = sane_seconds(raw.mtime),
                        .ctime_s = sane_seconds(raw.ctime),
                        .atime_ns = sane_nanoseconds(raw.atime_ns),
                        .mtime_ns = sane_nanoseconds(raw.mtime_ns),
                        .ctime_ns = sane_nanoseconds(raw.ctime_ns)};
}

}  // namespace

HostFd::~HostFd() {
  if (is_open()) (void)host::system_call(kClose, static_cast<uint64_t>(number_));
}

HostFd& HostFd::operator=(HostFd&& other) {
  if (this != &other) {
    if (is_open()) (void)host::system_call(kClose, static_cast<uint64_t>(number_));
    number_ = std::exchange(other.number_, -1);
  }
  return *this;
}

namespace host {

Untrusted<long> system_call(long number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                            uint64_t a4, uint64_t a5) {
  return Untrusted<long>(make_host_call(abi::HostCallNumber::kSystemCall,
                                        static_cast<uint64_t>(number), a0, a1, a2, a3, a4, a5));
}

Result<long> check(Untrusted<long> result, long limit) {
  const long value = result.any_value_is_harmless();  // every branch below bounds it
  if (value >= 0) return value <= limit ? Result<long>(value) : Errno::kIo;
  return value >= -kMaxErrno ? static_cast<Errno>(-value) : Errno::kIo;
}

SharedBuffer::SharedBuffer() : base_(bounce_buffer()) {}

Result<uint64_t> SharedBuffer::reserve(size_t size) {
  const size_t rounded = align_up(size, size_t{16});
  if (rounded > kSize - used_) return Errno::kNoMem;
  const uint64_t address = base_ + used_;
  used_ += rounded;
  return address;
}

Result<uint64_t> SharedBuffer::put(std::span<const std::byte> data) {
  const uint64_t address = TRY(reserve(data.size()));
  TRY(copy_to_untrusted(address, data));
  return address;
}

Result<uint64_t> SharedBuffer::put_string(std::string_view text) {
  const uint64_t address = TRY(reserve(text.size() + 1));
  TRY(copy_to_untrusted(address, std::as_bytes(std::span(text))));
  // The NUL: the last word again, its bytes beyond the text zero.
  const size_t tail = text.size() % sizeof(uint64_t);
  uint64_t word = 0;
  copy_bytes(writable_object_bytes(word).first(tail), std::as_bytes(std::span(text)).last(tail));
  TRY(store_untrusted(address + text.size() - tail, word));
  return address;
}

Result<void> SharedBuffer::get(uint64_t address, std::span<std::byte> to) const {
  if (address < base_ || address - base_ > used_ || to.size() > used_ - (address - base_))
    return Errno::kFault;
  return copy_from_untrusted(to, address);
}

Result<HostFd> openat(int directory_fd, std::string_view path, int flags, unsigned mode) {
  SharedBuffer buffer;
  const uint64_t name = TRY(buffer.put_string(path));
  const long fd =
      TRY(check(system_call(kOpenat, static_cast<uint64_t>(static_cast<int64_t>(directory_fd)),
                            name, static_cast<uint64_t>(flags | kOpenCloseOnExec), mode),
                kMaxDescriptor));
  return HostFd(static_cast<int>(fd));
}

namespace {

// One read-like call through the bounce buffer.
Result<size_t> read_chunk(long number, int fd, std::span<std::byte> to) {
  SharedBuffer buffer;
  const size_t wanted = std::min(to.size(), kChunk);
  const uint64_t data = TRY(buffer.reserve(wanted));
  const long count = TRY(check(system_call(number, static_cast<uint64_t>(fd), data, wanted),
                               static_cast<long>(wanted)));
  const size_t bytes = static_cast<size_t>(count);
  TRY(buffer.get(data, to.first(bytes)));
  return bytes;
}

}  // namespace

Result<size_t> read(int fd, std::span<std::byte> buffer) { return read_chunk(kRead, fd, buffer); }
Result<size_t> write(int fd, std::span<const std::byte> data) {
  SharedBuffer buffer;
  const auto chunk = data.first(std::min(data.size(), kChunk));
  const uint64_t at = TRY(buffer.put(chunk));
  return static_cast<size_t>(
      TRY(check(system_call(kWrite, static_cast<uint64_t>(fd), at, chunk.size()),
                static_cast<long>(chunk.size()))));
}

Result<HostStat> fstat(int fd) {
  SharedBuffer buffer;
  const uint64_t at = TRY(buffer.reserve(sizeof(LinuxStat)));
  TRY(check(system_call(kFstat, static_cast<uint64_t>(fd), at), 0));
  LinuxStat raw;
  TRY(buffer.get(at, writable_object_bytes(raw)));
  return checked_stat(raw);
}

Result<HostStat> fstatat(int directory_fd, std::string_view path, int flags) {
  SharedBuffer buffer;
  const uint64_t name = TRY(buffer.put_string(path));
  const uint64_t at = TRY(buffer.reserve(sizeof(LinuxStat)));
  TRY(check(system_call(kNewfstatat, static_cast<uint64_t>(static_cast<int64_t>(directory_fd)),
                        name, at, static_cast<uint64_t>(flags)),
            0));
  LinuxStat raw;
  TRY(buffer.get(at, writable_object_bytes(raw)));
  return checked_stat(raw);
}

Result<size_t> readlinkat(int directory_fd, std::string_view path, std::span<char> to) {
  SharedBuffer buffer;
  const uint64_t name = TRY(buffer.put_string(path));
  const uint64_t at = TRY(buffer.reserve(to.size()));
  const long count =
      TRY(check(system_call(kReadlinkat, static_cast<uint64_t>(static_cast<int64_t>(directory_fd)),
                            name, at, to.size()),
                static_cast<long>(to.size())));
  const size_t bytes = static_cast<size_t>(count);
  TRY(buffer.get(at, std::as_writable_bytes(to).first(bytes)));
  return bytes;
}

Result<size_t> getdents64(int fd, std::span<std::byte> buffer) {
  return read_chunk(kGetdents64, fd, buffer);
}

Result<long> ioctl_int(int fd, uint32_t request, int& value) {
  SharedBuffer buffer;
  const uint64_t at = TRY(buffer.put(object_bytes(value)));
  const long result =
      TRY(check(system_call(kIoctl, static_cast<uint64_t>(fd), request, at), INT32_MAX));
  TRY(buffer.get(at, writable_object_bytes(value)));
  return result;
}

Result<long> fcntl(int fd, int command, uint64_t argument) {
  return check(
      system_call(kFcntl, static_cast<uint64_t>(fd), static_cast<uint64_t>(command), argument),
      INT32_MAX);
}

}  // namespace host

}  // namespace occlum
