// Accesses that may fault: copies to and from program memory and untrusted memory. A fault inside ends the access
// and is reported, instead of being handled where it happens; the caller decides. Addresses are plain numbers: nothing
// here is checked against owners (mm/user_copy does that).
#pragma once

#include <cstddef>
#include <cstdint>

namespace occlum {

// All return false when an access faulted, with the address (page-granular at least) in `fault_address`. Bytes before
// the fault may have been stored.
bool guarded_copy(uint64_t to, uint64_t from, size_t bytes, uint64_t& fault_address);
bool guarded_zero(uint64_t to, size_t bytes, uint64_t& fault_address);
// 8-byte aligned on both sides, whole words: for untrusted memory (INTEL-SA-00615, -00657).
bool guarded_copy_words(uint64_t to, uint64_t from, size_t words, uint64_t& fault_address);
bool guarded_load_u32(uint64_t from, uint32_t& value, uint64_t& fault_address);
// `found` is what was there; `desired` was stored when it equals `expected`.
bool guarded_cmpxchg_u32(uint64_t at, uint32_t expected, uint32_t desired, uint32_t& found,
                         uint64_t& fault_address);

// 16 bytes at once, 16-byte aligned. `expected` becomes what was there; `stored` says whether it was equal.
bool guarded_cmpxchg_u128(uint64_t at, unsigned __int128& expected, unsigned __int128 desired,
                          bool& stored, uint64_t& fault_address);

}  // namespace occlum
