// The C++ face of the guarded accesses of entry_raw_noinstr.S.
// Invariant: the assembly touches exactly the given ranges and returns through its fixup after a fault.
#include "libos/arch/guarded_copy.h"

namespace occlum {
namespace {

struct GuardedResult {
  uint64_t value;    // RAX
  uint64_t faulted;  // RDX
};

extern "C" {
GuardedResult guarded_copy_raw(uint64_t to, uint64_t from, size_t bytes);
GuardedResult guarded_copy_words_raw(uint64_t to, uint64_t from, size_t words);
GuardedResult guarded_zero_raw(uint64_t to, size_t bytes);
GuardedResult guarded_load_u32_raw(uint64_t from);
GuardedResult guarded_cmpxchg_u32_raw(uint64_t at, uint32_t expected, uint32_t desired);
GuardedResult guarded_cmpxchg_u128_raw(uint64_t at, unsigned __int128* expected,
                                       const unsigned __int128* desired);
}

bool report(GuardedResult result, uint64_t& fault_address) {
  if (result.faulted == 0) return true;
  fault_address = result.value;
  return false;
}

}  // namespace

bool guarded_copy(uint64_t to, uint64_t from, size_t bytes, uint64_t& fault_address) {
  return report(guarded_copy_raw(to, from, bytes), fault_address);
}

bool guarded_copy_words(uint64_t to, uint64_t from, size_t words, uint64_t& fault_address) {
  return report(guarded_copy_words_raw(to, from, words), fault_address);
}

bool guarded_zero(uint64_t to, size_t bytes, uint64_t& fault_address) {
  return report(guarded_zero_raw(to, bytes), fault_address);
}

bool guarded_load_u32(uint64_t from, uint32_t& value, uint64_t& fault_address) {
  const GuardedResult result = guarded_load_u32_raw(from);
  value = static_cast<uint32_t>(result.value);
  return report(result, fault_address);
}

bool guarded_cmpxchg_u32(uint64_t at, uint32_t expected, uint32_t desired, uint32_t& found,
                         uint64_t& fault_address) {
  const GuardedResult result = guarded_cmpxchg_u32_raw(at, expected, desired);
  found = static_cast<uint32_t>(result.value);
  return report(result, fault_address);
}

bool guarded_cmpxchg_u128(uint64_t at, unsigned __int128& expected, unsigned __int128 desired,
                          bool& stored, uint64_t& fault_address) {
  const GuardedResult result = guarded_cmpxchg_u128_raw(at, &expected, &desired);
  stored = result.faulted == 0 && result.value != 0;
  return report(result, fault_address);
}

}  // namespace occlum
