// Host calls in the hosted tests: this process is the host. Weak, so that arch can bring its own.
#include "libos/host/calls.h"

#include <cpuid.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "libos/arch/arch.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/sched/scheduler.h"

namespace occlum {

namespace {

thread_local std::vector<std::byte> shared(host::SharedBuffer::kSize);

Errno last_error() { return static_cast<Errno>(errno); }

Result<long> checked(long result) {
  if (result < 0) return last_error();
  return result;
}

host::HostStat to_host_stat(const struct stat& raw) {
  host::HostStat out = {};
  out.dev = raw.st_dev;
  out.ino = raw.st_ino;
  out.nlink = raw.st_nlink;
  out.rdev = raw.st_rdev;
  out.size = static_cast<uint64_t>(raw.st_size);
  out.blocks = static_cast<uint64_t>(raw.st_blocks);
  out.mode = raw.st_mode;
  out.uid = raw.st_uid;
  out.gid = raw.st_gid;
  out.blksize = static_cast<uint32_t>(raw.st_blksize);
  out.atime_s = raw.st_atim.tv_sec;
  out.mtime_s = raw.st_mtim.tv_sec;
  out.ctime_s = raw.st_ctim.tv_sec;
  out.atime_ns = static_cast<uint32_t>(raw.st_atim.tv_nsec);
  out.mtime_ns = static_cast<uint32_t>(raw.st_mtim.tv_nsec);
  out.ctime_ns = static_cast<uint32_t>(raw.st_ctim.tv_nsec);
  return out;
}

std::string text(std::string_view view) { return std::string(view); }

}  // namespace

HostFd::~HostFd() {
  if (is_open()) ::close(number_);
}
HostFd& HostFd::operator=(HostFd&& other) {
  if (this != &other) {
    if (is_open()) ::close(number_);
    number_ = std::exchange(other.number_, -1);
  }
  return *this;
}

namespace host {

Untrusted<long> system_call(long number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                            uint64_t a4, uint64_t a5) {
  const long result = ::syscall(number, a0, a1, a2, a3, a4, a5);
  return Untrusted<long>(result < 0 ? -errno : result);
}

SharedBuffer::SharedBuffer() : base_(reinterpret_cast<uint64_t>(shared.data())) {}
Result<uint64_t> SharedBuffer::reserve(size_t size) {
  const size_t rounded = (size + 15) & ~size_t{15};
  if (rounded > kSize - used_) return Errno::kNoMem;
  const uint64_t at = base_ + used_;
  used_ += rounded;
  return at;
}
Result<uint64_t> SharedBuffer::put(std::span<const std::byte> data) {
  const uint64_t at = TRY(reserve(data.size()));
  std::memcpy(reinterpret_cast<void*>(at), data.data(), data.size());
  return at;
}
Result<uint64_t> SharedBuffer::put_string(std::string_view string) {
  const uint64_t at = TRY(reserve(string.size() + 1));
  std::memcpy(reinterpret_cast<void*>(at), string.data(), string.size());
  *reinterpret_cast<char*>(at + string.size()) = '\0';
  return at;
}
Result<void> SharedBuffer::get(uint64_t address, std::span<std::byte> to) const {
  std::memcpy(to.data(), reinterpret_cast<const void*>(address), to.size());
  return {};
}

Result<long> check(Untrusted<long> result, long limit) {
  const long value = result.any_value_is_harmless();
  if (value < 0) return static_cast<Errno>(-value);
  return value <= limit ? Result<long>(value) : Errno::kIo;
}

Result<HostFd> openat(int directory, std::string_view path, int flags, unsigned mode) {
  return HostFd(static_cast<int>(
      TRY(checked(::openat(directory, text(path).c_str(), flags | O_CLOEXEC, mode)))));
}
Result<size_t> read(int fd, std::span<std::byte> buffer) {
  return static_cast<size_t>(TRY(checked(::read(fd, buffer.data(), buffer.size()))));
}
Result<size_t> write(int fd, std::span<const std::byte> data) {
  return static_cast<size_t>(TRY(checked(::write(fd, data.data(), data.size()))));
}
Result<HostStat> fstat(int fd) {
  struct stat raw;
  TRY(checked(::fstat(fd, &raw)));
  return to_host_stat(raw);
}
Result<HostStat> fstatat(int directory, std::string_view path, int flags) {
  struct stat raw;
  TRY(checked(::fstatat(directory, text(path).c_str(), &raw, flags)));
  return to_host_stat(raw);
}
Result<size_t> readlinkat(int directory, std::string_view path, std::span<char> buffer) {
  return static_cast<size_t>(
      TRY(checked(::readlinkat(directory, text(path).c_str(), buffer.data(), buffer.size()))));
}
Result<size_t> getdents64(int fd, std::span<std::byte> buffer) {
  return static_cast<size_t>(
      TRY(checked(::syscall(SYS_getdents64, fd, buffer.data(), buffer.size()))));
}
Result<long> fcntl(int fd, int command, uint64_t argument) {
  return checked(::fcntl(fd, command, argument));
}

}  // namespace host

// No slots: host_files.cpp makes the calls above. A test of it brings its own.
uint64_t file_io_buffers() { return 0; }
bool runs_task() { return false; }
void note_file_wait(int) {}
int64_t make_host_call(abi::HostCallNumber, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t) {
  return -ENOSYS;
}
Result<void> copy_from_untrusted(std::span<std::byte>, uint64_t) { return Errno::kFault; }
Result<void> copy_to_untrusted(uint64_t, std::span<const std::byte>) { return Errno::kFault; }

CpuidResult cpuid(uint32_t leaf, uint32_t subleaf) {
  CpuidResult result = {};
  __get_cpuid_count(leaf, subleaf, &result.eax, &result.ebx, &result.ecx, &result.edx);
  return result;
}
XstateScope::XstateScope() {}
XstateScope::~XstateScope() {}

}  // namespace occlum
