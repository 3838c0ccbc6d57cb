// What is to be taken back of semaphores (SEM_UNDO in semop(2)) when the last of those who have it ends: a thread's own,
// from its first such operation on, or shared by CLONE_SYSVSEM.
#pragma once

#include "libos/lib/ptr.h"

namespace occlum {

// An identity; what it stands for is in the sets (sysv_semaphores.cpp). The destructor takes it back, in the name of the
// current thread's process; locks up to the process table's may be held.
class SemaphoreUndo : public RefCounted<SemaphoreUndo> {
 public:
  SemaphoreUndo() = default;
  ~SemaphoreUndo();
};

}  // namespace occlum
