// Guarded accesses for hosted tests: the kernel makes them (process_vm_readv(2) on ourselves), so that a fault is an
// error code. The sanitizers do not see these accesses, as they do not see a program's.
#include "libos/arch/guarded_copy.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace occlum {
namespace {

// Copies up to `bytes`; returns how many, at least up to the page that faults.
size_t copy_some(uint64_t to, uint64_t from, size_t bytes) {
  const iovec local{reinterpret_cast<void*>(to), bytes};
  const iovec remote{reinterpret_cast<void*>(from), bytes};
  // Not through the C library's function, which the sanitizers intercept.
  const long copied =
      syscall(SYS_process_vm_readv, static_cast<long>(getpid()), &local, 1L, &remote, 1L, 0L);
  return copied < 0 ? 0 : static_cast<size_t>(copied);
}

bool can_read(uint64_t at) {
  std::byte byte;
  return copy_some(reinterpret_cast<uint64_t>(&byte), at, 1) == 1;
}

}  // namespace

bool guarded_copy(uint64_t to, uint64_t from, size_t bytes, uint64_t& fault_address) {
  size_t done = 0;
  while (done < bytes) {
    // Page by page, so that what faulted is known.
    const size_t part =
        std::min({bytes - done, 4096 - (to + done) % 4096, 4096 - (from + done) % 4096});
    if (copy_some(to + done, from + done, part) != part) {
      fault_address = can_read(from + done) ? to + done : from + done;
      return false;
    }
    done += part;
  }
  return true;
}

bool guarded_zero(uint64_t to, size_t bytes, uint64_t& fault_address) {
  static constexpr std::array<std::byte, 4096> kZeroes = {};
  size_t done = 0;
  while (done < bytes) {
    const size_t part = std::min(bytes - done, kZeroes.size());
    if (!guarded_copy(to + done, reinterpret_cast<uint64_t>(kZeroes.data()), part, fault_address)) {
      return false;
    }
    done += part;
  }
  return true;
}

bool guarded_copy_words(uint64_t to, uint64_t from, size_t words, uint64_t& fault_address) {
  return guarded_copy(to, from, words * 8, fault_address);
}

bool guarded_load_u32(uint64_t from, uint32_t& value, uint64_t& fault_address) {
  return guarded_copy(reinterpret_cast<uint64_t>(&value), from, sizeof(value), fault_address);
}

bool guarded_cmpxchg_u32(uint64_t at, uint32_t expected, uint32_t desired, uint32_t& found,
                         uint64_t& fault_address) {
  // Writable? Zero bytes more than that cannot be asked without writing, so the access is made: callers have checked.
  if (!guarded_load_u32(at, found, fault_address)) return false;
  found = expected;
  __atomic_compare_exchange_n(reinterpret_cast<uint32_t*>(at), &found, desired, false,
                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return true;
}

bool guarded_cmpxchg_u128(uint64_t at, unsigned __int128& expected, unsigned __int128 desired,
                          bool& stored, uint64_t&) {
  const unsigned __int128 found =
      __sync_val_compare_and_swap(reinterpret_cast<unsigned __int128*>(at), expected, desired);
  stored = found == expected;
  expected = found;
  return true;
}

}  // namespace occlum
