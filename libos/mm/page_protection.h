// HostRights: collects changes of host rights and makes one host call per run of pages with the same target.
#pragma once

#include <cstdint>

#include "libos/mm/page_map.h"

namespace occlum::page_map {

// Pages are added in ascending order. Between two pages with the same target, up to kBridge pages that are not
// committed are taken along (their descriptors remember it): fewer calls, fewer host VMAs.
class HostRights {
 public:
  static constexpr uint64_t kBridge = 16;

  // All of these return what the host call said; on an error the run is forgotten and its descriptors stay.
  Result<void> add(uint64_t page, Prot host);
  Result<void> flush();

  // Call for a page that needs no change and must not be taken along.
  Result<void> skip() { return flush(); }

 private:
  bool can_bridge(uint64_t page) const;

  uint64_t start_ = 0, end_ = 0;
  Prot host_ = Prot::kNone;
};

// The same for EMODPE, which is cheap but still one call per run.
class EpcmRights {
 public:
  Result<void> add(uint64_t page, Prot epcm);
  Result<void> flush();

 private:
  uint64_t start_ = 0, end_ = 0;
  Prot epcm_ = Prot::kNone;
};

}  // namespace occlum::page_map
