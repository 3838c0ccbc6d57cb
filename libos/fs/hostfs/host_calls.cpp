// See host_calls.h. Numbers of system calls are x86-64 Linux's.
#include "libos/fs/hostfs/host_calls.h"

#include <array>

#include "libos/lib/bytes.h"

namespace occlum::host_calls {

namespace {

enum Number : long {
  kNumberFtruncate = 77,
  kNumberFchmod = 91,
  kNumberFstatfs = 138,
  kNumberMkdirat = 258,
  kNumberMknodat = 259,
  kNumberFchownat = 260,
  kNumberUnlinkat = 263,
  kNumberLinkat = 265,
  kNumberSymlinkat = 266,
  kNumberUtimensat = 280,
  kNumberRenameat2 = 316,
};
constexpr int kDupFdCloexec = 1030;

Result<void> done(Untrusted<long> result) {
  TRY(host::check(result, 0));
  return {};
}

uint64_t fd_argument(int fd) { return static_cast<uint64_t>(static_cast<int64_t>(fd)); }

}  // namespace

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

Result<void> fstatfs(int fd, std::span<std::byte> out) {
  host::SharedBuffer buffer;
  const uint64_t at = TRY(buffer.reserve(out.size()));
  TRY(done(host::system_call(kNumberFstatfs, fd_argument(fd), at)));
  return buffer.get(at, out);
}

Result<void> mkdirat(int directory, std::string_view name, uint32_t mode) {
  host::SharedBuffer buffer;
  return done(host::system_call(kNumberMkdirat, fd_argument(directory),
                                TRY(buffer.put_string(name)), mode));
}

Result<void> mknodat(int directory, std::string_view name, uint32_t mode) {
  host::SharedBuffer buffer;
  return done(host::system_call(kNumberMknodat, fd_argument(directory),
                                TRY(buffer.put_string(name)), mode, 0));
}

Result<void> symlinkat(std::string_view target, int directory, std::string_view name) {
  host::SharedBuffer buffer;
  const uint64_t target_at = TRY(buffer.put_string(target));
  return done(host::system_call(kNumberSymlinkat, target_at, fd_argument(directory),
                                TRY(buffer.put_string(name))));
}

Result<void> linkat(int from_directory, std::string_view from, int to_directory,
                    std::string_view to) {
  host::SharedBuffer buffer;
  const uint64_t from_at = TRY(buffer.put_string(from));
  const uint64_t to_at = TRY(buffer.put_string(to));
  return done(host::system_call(kNumberLinkat, fd_argument(from_directory), from_at,
                                fd_argument(to_directory), to_at, 0));
}

Result<void> unlinkat(int directory, std::string_view name, int flags) {
  host::SharedBuffer buffer;
  return done(host::system_call(kNumberUnlinkat, fd_argument(directory),
                                TRY(buffer.put_string(name)), static_cast<uint64_t>(flags)));
}

Result<void> renameat2(int from_directory, std::string_view from, int to_directory,
                       std::string_view to, uint32_t flags) {
  host::SharedBuffer buffer;
  const uint64_t from_at = TRY(buffer.put_string(from));
  const uint64_t to_at = TRY(buffer.put_string(to));
  return done(host::system_call(kNumberRenameat2, fd_argument(from_directory), from_at,
                                fd_argument(to_directory), to_at, flags));
}

Result<void> fchownat(int directory, std::string_view name, uint32_t uid, uint32_t gid) {
  host::SharedBuffer buffer;
  return done(host::system_call(kNumberFchownat, fd_argument(directory),
                                TRY(buffer.put_string(name)), uid, gid, kSymlinkNoFollow));
}

Result<void> utimensat(int directory, std::string_view name, std::optional<FileTime> atime,
                       std::optional<FileTime> mtime) {
  constexpr int64_t kOmit = (1 << 30) - 2;
  std::array<std::byte, 32> times;
  const auto put = [&](size_t at, const std::optional<FileTime>& time) {
    store_le<int64_t>(std::span(times).subspan(at), time ? time->seconds : 0);
    store_le<int64_t>(std::span(times).subspan(at + 8), time ? int64_t{time->nanoseconds} : kOmit);
  };
  put(0, atime);
  put(16, mtime);
  host::SharedBuffer buffer;
  const uint64_t times_at = TRY(buffer.put(times));
  return done(host::system_call(kNumberUtimensat, fd_argument(directory),
                                TRY(buffer.put_string(name)), times_at, kSymlinkNoFollow));
}

Result<void> fchmod(int fd, uint32_t mode) {
  return done(host::system_call(kNumberFchmod, fd_argument(fd), mode));
}

Result<void> ftruncate(int fd, uint64_t size) {
  return done(host::system_call(kNumberFtruncate, fd_argument(fd), size));
}

Result<HostFd> duplicate(int fd) {
  return HostFd(static_cast<int>(TRY(host::fcntl(fd, kDupFdCloexec, 0))));
}

}  // namespace occlum::host_calls
