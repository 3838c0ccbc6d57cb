// Files of the host, without a vCPU that waits for the host's disk.
//
// A request is one host call on a slot: a number and a buffer in untrusted memory, of which there are kFileIoSlots. The
// runtime answers at once what its kernel can do without waiting. Else it says that the result is pending; the task
// sleeps, and the vCPU runs others. The result comes as a host event with the request's token (host_events.cpp), as
// the readiness of sockets does.
//
// What the host may do: answer late, never, early, twice, or for a request that nobody made. A token belongs to one use
// of one slot, so only the first answer to a request that is in flight is taken; a slot is used again only after that.
// Sleeping for an answer is not interruptible (Linux's disk sleep): a killed program dies after it. Counts are checked
// against what was asked, and the data is copied out of the buffer once.
//
// Where no task runs (the idle loop), and when the runtime gave no buffers, the vCPU makes the call itself and waits.
#pragma once

#include <cstdint>
#include <span>

#include "libos/lib/result.h"

namespace occlum {

namespace host {

Result<size_t> pread(int fd, std::span<std::byte> buffer,
                     uint64_t offset);  // short only at the end of file
Result<size_t> pwrite(int fd, std::span<const std::byte> data, uint64_t offset);
// At the position that the host keeps, and moving it; may be short.
Result<size_t> read_file(int fd, std::span<std::byte> buffer);
Result<size_t> write_file(int fd, std::span<const std::byte> data);
Result<void> fsync(int fd, bool data_only);
Result<void> fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t length);

}  // namespace host

// A host event with a token of abi::kFileIoToken. Wakes whoever waits for it, if anybody does.
void complete_host_file(uint64_t token, int64_t result);

// How often a task slept for the host's disk.
uint64_t host_file_waits();

}  // namespace occlum
