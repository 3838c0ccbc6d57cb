// The LibOS as the enclave builder sees it: a static ELF file, cut into segments of whole pages.
//
// The file must be ET_EXEC for x86-64, linked at abi::kLibosImageBase, without interpreter or
// dynamic section (nothing may be left to relocate at start: what is measured is what runs). Each
// PT_LOAD becomes one segment with its R, W and X; the page of section `.tcs` is cut out and
// becomes the page of type TCS. Two PT_LOADs must not share a page. Anything else is refused with a
// sentence: the file comes from our own build, but a truncated or foreign one must not become an
// enclave. Source: the System V ABI, chapters 4 and 5; SDM 34.8 for the TCS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "image/error.h"

namespace image {

struct EnclaveSegment {
  uint64_t address = 0;            // page-aligned
  uint64_t memory_size = 0;        // whole pages
  uint64_t secinfo_flags = 0;      // permissions and page type
  std::vector<std::byte> content;  // at most memory_size bytes; the rest is zero
};

struct LibosImage {
  std::vector<EnclaveSegment> segments;  // by address, without overlap
  uint64_t tcs_address = 0;
};

// `name` is the file's name for messages.
Result<LibosImage> read_libos_elf(std::string_view bytes, std::string_view name);

}  // namespace image
