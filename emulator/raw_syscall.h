// System calls without libc, and so without errno: for code that runs with the enclave's FS.
#pragma once

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
                   : "a"(number), "D"(values[0]), "S"(values[1]), "d"(values[2]), "r"(r10), "r"(r8), "r"(r9)
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
inline void set_fsbase(std::uint64_t value) { __asm__ volatile("wrfsbase %0" ::"r"(value) : "memory"); }
inline void set_gsbase(std::uint64_t value) { __asm__ volatile("wrgsbase %0" ::"r"(value) : "memory"); }

}  // namespace emulator::raw
