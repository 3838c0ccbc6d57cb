// What the three families of System V IPC share: the permission record.
#pragma once

#include "libos/ipc/sysv_table.h"
#include "libos/syscall/linux_types.h"

namespace occlum {

inline LinuxIpcPermission to_user(const IpcPermission& permission) {
  return {.key = permission.key,
          .uid = permission.uid,
          .gid = permission.gid,
          .cuid = permission.cuid,
          .cgid = permission.cgid,
          .mode = permission.mode,
          .sequence = permission.sequence,
          .padding1 = 0,
          .padding2 = 0,
          .unused = {}};
}

}  // namespace occlum
