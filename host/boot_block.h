// The start parameters in shared memory (abi/boot.h): gathered from the options and the machine.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "abi/boot.h"
#include "host/runtime.h"

namespace host {

// What the enclave is given: stays mapped until the process ends.
struct BootBlock {
  abi::BootParameters* parameters;  // in untrusted memory
  uint8_t* shared;                  // vcpus * abi::kVcpuSharedSize bytes
  uint8_t* file_buffers;            // abi::kFileIoSlots * abi::kFileIoSlotSize bytes, or null
};

std::expected<BootBlock, std::string> make_boot_block(const RunOptions& options, unsigned vcpus);

}  // namespace host
