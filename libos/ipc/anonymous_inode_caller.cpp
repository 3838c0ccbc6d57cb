// Apart from the rest, which can do without threads.
#include "libos/ipc/anonymous_inode.h"
#include "libos/process/thread.h"

namespace occlum {

AnonymousInode::AnonymousInode(uint32_t mode)
    : AnonymousInode(mode, current_thread().credentials().fsuid,
                     current_thread().credentials().fsgid) {}

}  // namespace occlum
