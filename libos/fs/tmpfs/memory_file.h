// memfd_create(2): a file in memory without a name, on a tmpfs that is mounted nowhere.
#pragma once

#include <cstdint>
#include <string_view>

#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/inode.h"

namespace occlum {

// Opened to read and write. It belongs to `owner` (its mode has the permissions); `seals` are its first: kSealSeal
// when none may be added. Errors: kNoMem.
Result<RefPtr<File>> create_memory_file(std::string_view name, const Ownership& owner,
                                        uint32_t seals);

// The same with MFD_HUGETLB, where none of the pages of `page_size` bytes are set aside: it has a size, and no contents.
Result<RefPtr<File>> create_huge_memory_file(std::string_view name, const Ownership& owner,
                                             uint32_t seals, uint64_t page_size);

}  // namespace occlum
