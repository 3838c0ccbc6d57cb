// The vDSO for programs: its image, and what its clock needs. See program/vdso.cpp and vdso_data.h; process/vdso_mapping
// puts it into programs.
#pragma once

#include <cstddef>
#include <span>

#include "libos/arch/vdso/vdso_data.h"

namespace occlum {

// The ELF file as it is mapped, with an empty VdsoData at kVdsoDataOffset.
std::span<const std::byte, kVdsoImageSize> vdso_image();

// The constants of this machine's clock.
VdsoData vdso_data();

}  // namespace occlum
