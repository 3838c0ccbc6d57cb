// A dm-verity hash tree behind the data of a root image, in one file.
//
// Format: dm-verity on-disk version 1, as `veritysetup format` writes it (cryptsetup, "DMVerity" in
// its wiki; the kernel's Documentation/admin-guide/device-mapper/verity.rst): SHA-256 over salt and
// block, blocks of 4096 bytes for data and hashes, a 512-byte superblock in its own block right
// behind the data, then the levels of the tree from the root's down.
//
//     0 ........ data_size | superblock | top level (1 block) | ... | lowest level
//                          ^ --hash-offset      ^ tree_offset
//
// UUID and salt are fixed, so that the same data give the same file: the salt protects nothing
// here, because the tree is published and measured, not secret. So `veritysetup verify FILE FILE
// ROOTHASH --hash-offset=DATA_SIZE` accepts the file.
//
// The data are at least two blocks, because a tree over a single block has no level at all. Hashing
// uses all CPUs that the process may use, at 1.5 GB/s each with SHA extensions.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "image/files.h"
#include "sgx/arch.h"

namespace image {

inline constexpr uint64_t kVerityBlock = 4096;

// 32 bytes of ASCII, for whoever looks at the superblock.
inline constexpr sgx::Hash kVeritySalt = {'O', 'c', 'c', 'l', 'u', 'm', ' ', 'r', 'o', 'o', 't',
                                          ' ', 'i', 'm', 'a', 'g', 'e', ',', ' ', 'd', 'm', '-',
                                          'v', 'e', 'r', 'i', 't', 'y', ' ', 'v', '0', '1'};
inline constexpr std::array<uint8_t, 16> kVerityUuid = {'O', 'c', 'c', 'l', 'u', 'm', 'v', 'e',
                                                        'r', 'i', 't', 'y', '0', '0', '0', '1'};

struct VerityImage {
  uint64_t data_size = 0;    // bytes, whole blocks
  uint64_t tree_offset = 0;  // of the top block
  uint64_t file_size = 0;
  sgx::Hash root_hash{};
};

// Pads the data of `file` to whole blocks and appends superblock and tree. `progress` is told the
// bytes hashed so far, from one of the hashing threads.
Result<VerityImage> append_verity_tree(const File& file,
                                       const std::function<void(uint64_t)>& progress);

std::string hex(std::span<const uint8_t> bytes);

}  // namespace image
