// Giving kept memory back to the host.
//
// Freed pages are kept: the next mapping of the same addresses uses them at once. What is kept beyond the recent peak
// of use plus a margin goes back, and so does as much as it takes when the limit would fail a request.
#pragma once

#include <cstdint>

namespace occlum {

// Called after program memory was released, with no lock above kAddressSpace held: may make host calls.
void trim_kept_pages();

// Tries to give back at least `pages`; for a request that the limit would fail.
void reclaim_kept_pages(uint64_t pages);

// The margin, in bytes; 64 MiB unless set (tests).
void set_kept_margin(uint64_t bytes);

}  // namespace occlum
