// The configuration text in the measured segment (abi/config.h).
// Invariant: the segment is EADDed and measured with the image, so its size field is trusted.
#include "abi/config.h"
#include "abi/enclave_image.h"
#include "libos/arch/arch.h"
#include "libos/lib/memory.h"

#pragma clang unsafe_buffer_usage begin

namespace occlum {

std::string_view measured_config() {
  uint64_t size = 0;
  const std::span<const std::byte> header(reinterpret_cast<const std::byte*>(abi::kConfigAddress),
                                          abi::kConfigHeaderSize);
  copy_bytes(writable_object_bytes(size), header);
  return {reinterpret_cast<const char*>(abi::kConfigAddress + abi::kConfigHeaderSize), size};
}

}  // namespace occlum

#pragma clang unsafe_buffer_usage end
