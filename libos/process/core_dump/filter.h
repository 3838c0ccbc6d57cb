// /proc/<pid>/coredump_filter: what of the memory is in a core file (core(5)).
#pragma once

#include <cstdint>

namespace occlum {

constexpr uint32_t kDumpPrivateAnonymous = 1, kDumpSharedAnonymous = 2, kDumpPrivateFile = 4,
                   kDumpSharedFile = 8, kDumpElfHeaders = 16;
constexpr uint32_t kDumpFilterBits =
    0x1ff;  // others are for huge pages and DAX, which are not here
constexpr uint32_t kDumpFilterDefault = 0x33;

}  // namespace occlum
