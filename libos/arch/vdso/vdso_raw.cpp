// Invariant: the image lies between the two symbols of image_raw.S, which checks its size.
#include "libos/arch/arch.h"
#include "libos/arch/enclave/boot.h"
#include "libos/arch/vdso/vdso.h"

namespace occlum {

extern "C" const std::byte vdso_image_start[];

std::span<const std::byte, kVdsoImageSize> vdso_image() {
#pragma clang unsafe_buffer_usage begin
  return std::span<const std::byte, kVdsoImageSize>(vdso_image_start, kVdsoImageSize);
#pragma clang unsafe_buffer_usage end
}

VdsoData vdso_data() {
  const abi::BootParameters& boot = boot_parameters();
  return {.tsc_base = boot.tsc_now,
          .multiplier = boot.tsc_multiplier,
          .shift = boot.tsc_shift,
          .monotonic_base = boot.monotonic_now,
          .realtime_offset = machine_boot_realtime_ns()};
}

}  // namespace occlum
