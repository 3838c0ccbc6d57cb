// In hosted tests a holder of locks is a host thread.
#include "libos/lib/lock_rank.h"

namespace occlum {

LockRankStack& current_lock_ranks() {
  thread_local LockRankStack ranks;
  return ranks;
}

}  // namespace occlum
