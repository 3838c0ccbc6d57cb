// Random bytes that the host can neither see nor choose. arch implements it with RDRAND and panics
// when the processor keeps failing; the hosted tests implement it with getrandom(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace occlum {

void random_bytes(std::span<std::byte> out);

}  // namespace occlum
