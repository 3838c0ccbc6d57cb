// System calls without libc, and so without errno: for code that runs with the enclave's FS.
#pragma once

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdint>

namespace emulator::raw {

template <typename... Args>
inline long syscall(long number, Args... args) {
  const long values[6] = {(long)args...};
  long result;
  register long r10 __asm__("r10") = values[3];
  register long r8 __asm__("r8") = values[4];
  register long r9 __asm__("r9") = values[5];
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(values[0]), "S"(values[1]), "d"(values[2]), "r"(r10), "r"(r8),
                     "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

inline long mprotect(std::uint64_t start, std::uint64_t size, int prot) {
  return syscall(SYS_mprotect, start, size, prot);
}

inline std::uint64_t fsbase() {
  std::uint64_t value;
  __asm__ volatile("rdfsbase %0" : "=r"(value));
  return value;
}
inline std::uint64_t gsbase() {
  std::uint64_t value;
  __asm__ volatile("rdgsbase %0" : "=r"(value));
  return value;
}
inline void set_fsbase(std::uint64_t value) {
  __asm__ volatile("wrfsbase %0" ::"r"(value) : "memory");
}
inline void set_gsbase(std::uint64_t value) {
  __asm__ volatile("wrgsbase %0" ::"r"(value) : "memory");
}

}  // namespace emulator::raw

// The same with errno, for host context. Not libc's names: the preload library interposes those.
namespace emulator::sys {

inline long with_errno(long result) {
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}
inline void* mmap(void* address, std::uint64_t size, int prot, int flags, int fd, long offset) {
  return reinterpret_cast<void*>(
      with_errno(raw::syscall(SYS_mmap, address, size, prot, flags, fd, offset)));
}
inline int munmap(void* address, std::uint64_t size) {
  return static_cast<int>(with_errno(raw::syscall(SYS_munmap, address, size)));
}
inline int mprotect(void* address, std::uint64_t size, int prot) {
  return static_cast<int>(with_errno(raw::syscall(SYS_mprotect, address, size, prot)));
}
inline int madvise(void* address, std::uint64_t size, int advice) {
  return static_cast<int>(with_errno(raw::syscall(SYS_madvise, address, size, advice)));
}
inline int ioctl(int fd, unsigned long request, void* argument) {
  return static_cast<int>(with_errno(raw::syscall(SYS_ioctl, fd, request, argument)));
}
inline int close(int fd) { return static_cast<int>(with_errno(raw::syscall(SYS_close, fd))); }
inline int open(const char* path, int flags) {
  return static_cast<int>(with_errno(raw::syscall(SYS_openat, -100, path, flags, 0)));
}

}  // namespace emulator::sys
