// A look at every file under a directory, without reading one: how much there is, whether it can be
// read, and a fingerprint that changes when anything that enters the root image may have changed
// (names, types, modes, sizes, inode numbers, modification and change times). 100,000 files take
// about half a second.
#pragma once

#include <cstdint>
#include <string>

#include "image/error.h"
#include "sgx/arch.h"

namespace image {

struct TreeScan {
  uint64_t entries = 0;  // without the directory itself
  uint64_t bytes = 0;    // of regular files, rounded up to blocks, hard links counted once
  sgx::Hash fingerprint{};
};

Result<TreeScan> scan_tree(const std::string& directory);

}  // namespace image
