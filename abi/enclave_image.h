// The enclave image file: what the image builder writes and the host runtime loads.
//
// The file is a header, a segment table, the SIGSTRUCT and the contents of the segments. It says page for page what is
// EADDed, with which SECINFO, and in which order; loading it is a walk over the table, and MRENCLAVE is a function of
// the file alone. ELRANGE starts at address 0, so an address in the file is also the enclave offset.
//
// The segments are the PT_LOADs of the LibOS ELF (its section `.tcs` becomes the one page of type TCS) and, at
// kConfigAddress, the measured configuration text (abi/config.h). All pages named here are measured.
#pragma once

#include <cstdint>

namespace abi {

// 32 TiB, from address 0: the largest power of two below the place where Linux puts mappings under an unlimited stack
// (a third of 47 bits), which are the host's. Programs reserve address space in terabytes, and all share this.
constexpr uint64_t kElrangeSize = uint64_t{1} << 45;
constexpr uint64_t kElrangeFirstMapped = 0x10000;  // nothing is mapped below 64 KiB
constexpr uint64_t kKernelStart = 0x1F0000000000;  // programs below, the LibOS's own memory above
constexpr uint64_t kLibosImageBase = 0x1FFFC0000000;  // 32 TiB - 1 GiB; the LibOS is linked there
constexpr uint64_t kConfigAddress = 0x1FFFB0000000;   // the measured configuration
constexpr uint64_t kConfigMaxSize = uint64_t{16} << 20;
constexpr uint32_t kSsaFrameSizePages = 4;
constexpr uint32_t kSsaFrames = 2;

constexpr char kEnclaveImageMagic[8] = {'O', 'C', 'C', 'L', 'E', 'N', 'C', '1'};
constexpr uint64_t kSigstructSize = 1808;

struct EnclaveImageHeader {
  char magic[8];
  uint32_t header_size;       // sizeof(EnclaveImageHeader)
  uint32_t segment_count;     // EnclaveImageSegment records follow the header
  uint64_t elrange_size;      // kElrangeSize
  uint32_t ssa_frame_size;    // pages
  uint32_t miscselect;        // EXINFO
  uint64_t attributes;        // SECS.ATTRIBUTES flags (MODE64BIT, DEBUG, ...)
  uint64_t xfrm_required;     // SIGSTRUCT.XFRM under the mask
  uint64_t xfrm_allowed;      // XFRM bits that SIGSTRUCT's mask leaves to the start
  uint64_t tcs_address;       // the one measured TCS
  uint64_t sigstruct_offset;  // file offset of the 1808-byte SIGSTRUCT
  uint8_t mrenclave[32];      // for `occlum print`; the loader trusts SIGSTRUCT and EINIT, not this
  uint8_t mrsigner[32];
};
static_assert(sizeof(EnclaveImageHeader) == 136);

struct EnclaveImageSegment {
  uint64_t address;      // page-aligned enclave offset
  uint64_t memory_size;  // bytes, whole pages; what is beyond file_size is zero
  uint64_t file_offset;
  uint64_t file_size;      // bytes, <= memory_size
  uint64_t secinfo_flags;  // SECINFO.FLAGS: R, W, X and the page type
};
static_assert(sizeof(EnclaveImageSegment) == 40);

}  // namespace abi
