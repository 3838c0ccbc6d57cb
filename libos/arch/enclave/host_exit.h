// Leaving the enclave on purpose: host calls, and the only primitives that touch untrusted memory.
//
// Untrusted memory is read and written in aligned 8-byte words only, never across ELRANGE (INTEL-SA-00615, -00657), and
// every access may fault (the host can unmap anything): that is an error, not a crash.
#pragma once

#include <cstdint>
#include <span>

#include "abi/host_call.h"
#include "libos/lib/result.h"

namespace occlum {

// [address, address + size) lies wholly outside ELRANGE and inside the canonical lower half.
bool is_untrusted_range(uint64_t address, uint64_t size);

// Errors: kFault (not untrusted memory, or the host took it away).
Result<void> copy_from_untrusted(std::span<std::byte> to, uint64_t from);
Result<void> copy_to_untrusted(
    uint64_t to, std::span<const std::byte> from);  // `to` 8-byte aligned; rounds up to words
Result<uint64_t> load_untrusted(uint64_t from);     // aligned
Result<void> store_untrusted(uint64_t to, uint64_t value);  // aligned

// One host call on the current vCPU. Whatever the host left in `result` is returned: untrusted.
int64_t make_host_call(abi::HostCallNumber number, uint64_t a0 = 0, uint64_t a1 = 0,
                       uint64_t a2 = 0, uint64_t a3 = 0, uint64_t a4 = 0, uint64_t a5 = 0,
                       uint64_t a6 = 0);

// The current vCPU's bounce buffer (abi::kBounceSize bytes of untrusted memory).
uint64_t bounce_buffer();
// The current vCPU's abi::VcpuShared.
uint64_t vcpu_shared();
// vCPU 0's, which also holds what concerns the whole enclave.
uint64_t boot_shared_memory();
// The buffers of kFileIo's slots, one after another; 0: there are none.
uint64_t file_io_buffers();

}  // namespace occlum
