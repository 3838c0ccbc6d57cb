// The measured configuration: what `occlum build` puts at abi::kConfigAddress and the LibOS reads at its start.
//
// Text, so that anybody can look at what was measured: lines `key=value`, in the order of the table, UTF-8, no escapes
// (values never hold a newline; the builder refuses them). A key that may repeat is marked *. The region starts with a
// little-endian uint64_t that holds the length of the text in bytes. Numbers are decimal. No host facts, vCPU counts or
// limits that the host may choose are ever here (two machines build the same MRENCLAVE).
//
//   version=1
//   mode=instance | do
//   debuggable=0 | 1
//   root.size=N               bytes of EROFS data at the start of the root image file (whole 4 KiB blocks)
//   root.hash=HEX             dm-verity root hash (SHA-256); the tree follows the data in the same file
//   root.salt=HEX             dm-verity salt
//   root.hash_offset=N        byte offset in the file of the hash tree's top block (after the verity superblock)
//   mount=TYPE SOURCE TARGET OPTIONS *   further mounts, in order; `-` for an empty field; TYPE is
//                             tmpfs, hostfs, proc, dev; hostfs SOURCE is a host path; OPTIONS comma separated (ro, size=N)
//   env=NAME=VALUE *          trusted defaults
//   env.untrusted=NAME *      the host may set these
//   entry_point=/path *       allowed path prefixes for `occlum run`
//   stack_size=N              bytes, default of RLIMIT_STACK
//   disable_log=0 | 1         1: only errors are logged
#pragma once

#include <cstdint>

namespace abi {
constexpr uint64_t kConfigHeaderSize = sizeof(uint64_t);
}  // namespace abi
