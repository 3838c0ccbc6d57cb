// What mlock(2) says of pages. The host decides what it pages out, encrypted, and no program can tell: a lock fills the
// pages, counts against RLIMIT_MEMLOCK, and shows in /proc.
#pragma once

#include <cstdint>

namespace occlum {

enum class PageLock : uint8_t { kNone, kLocked, kOnFault };

}  // namespace occlum
