// The part of fault.cpp that is plain arithmetic.
#pragma once

#include <cstdint>

namespace occlum {

// si_code of SIGFPE from the unmasked exception bits, which x87 and SSE share.
int float_exception_code(uint32_t exceptions);

}  // namespace occlum
