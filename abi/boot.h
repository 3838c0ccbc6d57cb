// The start parameters: what the runtime hands to the enclave at its first EENTER (RDI = address of BootParameters in
// untrusted memory). All of it is the host's word: the enclave copies it in once, checks every size, and uses it only
// for what the host may decide.
#pragma once

#include <cstdint>

#include "abi/host_call.h"

namespace abi {

constexpr uint64_t kBootMagic = 0x3130544F4F424F43;  // "COBOOT01"

struct CpuidLeaf {
  uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};
constexpr uint32_t kMaxCpuidLeaves = 96;

struct BootParameters {
  uint64_t magic;
  uint64_t size;  // sizeof(BootParameters)
  uint64_t
      shared;  // untrusted address of VcpuShared of vCPU 0; vCPU n's is at shared + n * kVcpuSharedSize
  uint64_t vcpus;           // 1..kMaxVcpus
  uint64_t tsc_multiplier;  // ns = (tsc * multiplier) >> shift
  uint64_t tsc_shift;
  uint64_t tsc_now;  // TSC, CLOCK_REALTIME and CLOCK_MONOTONIC read together, ns
  uint64_t realtime_now;
  uint64_t monotonic_now;
  uint64_t root_image;  // untrusted address of the mapped root image, 0: none
  uint64_t root_image_size;
  uint64_t log_level;        // 0 off .. 5 trace
  uint64_t terminal_mask;    // bit n: host descriptor n is a terminal
  uint64_t ignored_signals;  // bit n-1: signal n, when the runtime was started
  uint64_t blocked_signals;
  uint64_t strings;  // untrusted address of the string block
  uint64_t
      strings_size;  // bytes; NUL-terminated strings one after another: argv, env, cwd, writable, host name
  uint64_t argc, envc, writable_count;
  uint64_t memory_limit;  // bytes of enclave memory, 0: none
  uint64_t file_io;       // untrusted address of the buffers of kFileIo's slots, 0: there are none
  uint64_t cpuid_count;
  CpuidLeaf cpuid[kMaxCpuidLeaves];
};
static_assert(sizeof(BootParameters) == 23 * 8 + 24 * kMaxCpuidLeaves);

constexpr uint64_t kMaxBootStrings = uint64_t{8} << 20;

}  // namespace abi
