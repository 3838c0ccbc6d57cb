// EROFS on disk (erofs.docs.kernel.org, "Core on-disk format"; fs/erofs/erofs_fs.h of Linux 6.6), little-endian.
//
// Everything that is read is verified before (verified_image.h) but checked all the same: the image builder is trusted
// to be ours, not to be free of mistakes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace occlum::erofs {

constexpr uint64_t kSuperOffset = 1024;
constexpr size_t kSuperSize = 128;
constexpr uint32_t kMagic = 0xE0F5E1E2;
constexpr uint8_t kBlockBits = 12;
constexpr uint64_t kBlockSize = uint64_t{1} << kBlockBits;

// Offsets in the superblock.
constexpr size_t kSuperMagic = 0x0, kSuperBlockBits = 0xC, kSuperRootNid = 0xE, kSuperInodes = 0x10,
                 kSuperBuildTime = 0x18, kSuperBuildTimeNs = 0x20, kSuperBlocks = 0x24,
                 kSuperMetaBlock = 0x28, kSuperXattrBlock = 0x2C, kSuperIncompatible = 0x50,
                 kSuperDirBlockBits = 0x5A;

// feature_incompat. Compression only matters to the files that use it (their layout says so); a device table or
// directory blocks of another size would change what everything means.
constexpr uint32_t kIncompatDeviceTable = 0x8;

// Inodes lie in slots of 32 bytes.
constexpr uint64_t kSlotSize = 32;
constexpr size_t kCompactSize = 32, kExtendedSize = 64;

enum class DataLayout : uint8_t {
  kFlatPlain = 0,
  kCompressedFull = 1,
  kFlatInline = 2,
  kCompressedCompact = 3,
  kChunkBased = 4
};

constexpr uint32_t kNoBlock = 0xFFFFFFFF;

// Directory entries: 12 bytes, then the names of the block.
constexpr size_t kDirentSize = 12;

// Extended attributes: a header of 12 bytes, the numbers of shared ones, then the inline ones, each aligned to 4.
constexpr size_t kXattrHeaderSize = 12, kXattrEntrySize = 4;

}  // namespace occlum::erofs
