// Constants of the memory system calls (asm-generic/mman.h, asm-generic/mman-common.h, linux/mman.h).
#pragma once

#include <cstdint>

namespace occlum {

constexpr uint32_t kMapShared = 0x01, kMapPrivate = 0x02, kMapSharedValidate = 0x03,
                   kMapType = 0x0f, kMapFixed = 0x10, kMapAnonymous = 0x20, kMap32Bit = 0x40,
                   kMapGrowsDown = 0x100, kMapDenyWrite = 0x800, kMapExecutable = 0x1000,
                   kMapLocked = 0x2000, kMapNoReserve = 0x4000, kMapPopulate = 0x8000,
                   kMapNonBlock = 0x10000, kMapStack = 0x20000, kMapHugeTlb = 0x40000,
                   kMapSync = 0x80000, kMapFixedNoReplace = 0x100000,
                   kMapHugeSize = 31u << 26;  // which size, with MAP_HUGETLB
// What MAP_SHARED_VALIDATE accepts.
constexpr uint32_t kMapKnown = kMapType | kMapFixed | kMapAnonymous | kMap32Bit | kMapGrowsDown |
                               kMapDenyWrite | kMapExecutable | kMapLocked | kMapNoReserve |
                               kMapPopulate | kMapNonBlock | kMapStack | kMapFixedNoReplace |
                               kMapHugeSize;

constexpr uint32_t kProtSem = 0x8, kProtGrowsDown = 0x01000000, kProtGrowsUp = 0x02000000;

constexpr uint32_t kMremapMayMove = 1, kMremapFixed = 2, kMremapDontUnmap = 4;
constexpr uint32_t kMsAsync = 1, kMsInvalidate = 2, kMsSync = 4;
constexpr uint32_t kMclCurrent = 1, kMclFuture = 2, kMclOnFault = 4;
constexpr uint32_t kMlockOnFault = 1;

}  // namespace occlum
