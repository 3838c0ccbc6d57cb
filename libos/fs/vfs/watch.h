// A watch of one file by one listener: notify.h. In the registry, which owns it.
#pragma once

#include "libos/fs/vfs/notify.h"

namespace occlum {

struct Watch {
  ListNode node;
  RefPtr<Inode> inode;  // keeps the file's number from meaning another
  RefPtr<WatchListener> listener;
  uint64_t number_of_file = 0, device = 0;
  int number = 0;
  uint32_t mask = 0;
  uint32_t user = 0;
};

}  // namespace occlum
