// What the start knows and other files of arch/enclave need.
#pragma once

#include "abi/boot.h"

namespace occlum {

// The host's parameters, copied in and checked.
const abi::BootParameters& boot_parameters();

void initialize_clock();

// Nothing can be said to the host and nothing can go on.
[[noreturn]] void stop_silently();

}  // namespace occlum
