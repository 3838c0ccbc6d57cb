// What crosses the enclave boundary at run time: the host calls and the words in shared (untrusted) memory.
//
// A host call is: the enclave writes a HostCallFrame of its vCPU in untrusted memory and EEXITs; the runtime serves the
// frame, stores `result` and EENTERs again. No pointer in a frame ever lies in ELRANGE. Everything here can be read and
// changed by the host at any time: the enclave copies out once and checks.
#pragma once

#include <atomic>
#include <cstdint>

namespace abi {

enum class HostCallNumber : uint64_t {
  kSystemCall = 1,  // args: number, a0..a5 -> the host kernel's return value (negative errno)
  kExit,            // args: status -> never returns; the whole runtime ends
  kWait,  // args: timeout ns (UINT64_MAX: none), poll host events (0/1) -> number of events in the frame
  kKick,         // args: vCPU index: ends that vCPU's kWait, or makes its next one return at once
  kProtect,      // args: address, length, PROT_*: mprotect of enclave pages
  kModifyTypes,  // args: address, length, page type
  kRemovePages,  // args: address, length
  kStartVcpu,    // args: TCS address, index -> 0 or negative errno
  kWatch,        // args: host descriptor, token, EPOLL events -> 0 or negative errno
  kUnwatch,      // args: host descriptor
  kRestrict,     // args: address, length, SECINFO rights: EMODPR of committed pages
  kFileIo,  // args: FileOperation, host descriptor, slot, length, offset, mode, token -> count or
            // negative errno, or kFileIoPending: the result comes as a host event with the token
};

// Input and output of host files on the slot's own buffer, of kFileIoSlotSize bytes. The runtime answers at once what
// it can do without waiting for a disk. A slot and its buffer are the enclave's again once it has the result.
enum class FileOperation : uint64_t {
  kRead = 1,  // to the buffer, at an offset or at kFilePosition
  kWrite,     // from the buffer
  kSync,
  kDataSync,
  kAllocate,  // fallocate(2): mode, offset, length
};
constexpr uint64_t kFilePosition = UINT64_MAX;
constexpr int64_t kFileIoPending = INT64_MIN;
constexpr uint64_t kFileIoToken = uint64_t{1}
                                  << 63;  // set in these tokens, clear in those of kWatch
constexpr uint64_t kFileIoSlots = 64;
constexpr uint64_t kFileIoSlotSize = 256 * 1024;

constexpr uint64_t kMaxHostEvents = 64;

struct HostEvent {
  uint64_t token;
  uint64_t events;  // poll bits; with a token of kFileIo: its result, an int64_t
};

struct HostCallFrame {
  uint64_t number;
  uint64_t args[7];
  int64_t result;
  uint64_t reserved[7];
  HostEvent events[kMaxHostEvents];  // filled by kWait
};
static_assert(sizeof(HostCallFrame) == 128 + 16 * kMaxHostEvents);

// One per vCPU, in untrusted memory, page-aligned; the bounce buffer follows at kBounceOffset.
constexpr uint64_t kLogOffset =
    4096;  // the log's own buffer, so that logging never disturbs a call in the making
constexpr uint64_t kLogSize = 4096;
constexpr uint64_t kBounceOffset = 8192;
constexpr uint64_t kBounceSize = 256 * 1024;
constexpr uint64_t kVcpuSharedSize = kBounceOffset + kBounceSize;

struct VcpuShared {
  HostCallFrame frame;
  uint64_t tick_wanted;  // not 0: the enclave asks for ticks on this vCPU
  uint64_t
      tick_pending;  // set by the runtime: a tick came while the vCPU was outside; cleared by who sees it
  // In vCPU 0's only: signals that the runtime got for the program (SIGINT, SIGTERM, SIGWINCH, ...). The runtime adds
  // one to the signal's count, then to the generation; the enclave compares both with what it has seen.
  uint64_t host_signal_generation;
  uint64_t host_signal_counts[65];
};
static_assert(sizeof(VcpuShared) <= kLogOffset);

constexpr uint32_t kMaxVcpus = 64;

}  // namespace abi
