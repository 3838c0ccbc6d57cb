// The parts of an SSA frame that phase 1 looks at. (SDM 34.9)
// Invariant: `frame` is the address of SSA frame 0 of a vCPU; the offsets are the SDM's (sgx/arch.h).
#pragma once

#include "abi/enclave_image.h"
#include "sgx/arch.h"

namespace occlum {

constexpr uint64_t kSsaFrameBytes = abi::kSsaFrameSizePages * sgx::kPageSize;

inline sgx::Gprsgx& interrupted_registers(uint64_t frame) {
  return *reinterpret_cast<sgx::Gprsgx*>(frame + sgx::gprsgx_offset(kSsaFrameBytes));
}

inline const sgx::Exinfo& exception_information(uint64_t frame) {
  return *reinterpret_cast<const sgx::Exinfo*>(frame + sgx::exinfo_offset(kSsaFrameBytes));
}

}  // namespace occlum
