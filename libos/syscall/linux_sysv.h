// Structures of System V IPC and POSIX message queues as programs see them (uapi: asm-generic/ipcbuf.h, msgbuf.h,
// shmbuf.h; asm/sembuf.h; linux/msg.h, sem.h, shm.h, mqueue.h). Included by linux_types.h.
#pragma once

#include <array>
#include <cstdint>

namespace occlum {

struct LinuxIpcPermission {  // ipc64_perm
  int32_t key;
  uint32_t uid, gid, cuid, cgid;
  uint32_t mode;
  uint16_t sequence, padding1;
  uint32_t padding2;
  std::array<uint64_t, 2> unused;
};
static_assert(sizeof(LinuxIpcPermission) == 48);

struct LinuxMessageQueue {  // msqid64_ds
  LinuxIpcPermission permission;
  int64_t send_time, receive_time, change_time;
  uint64_t bytes, messages, max_bytes;
  int32_t last_sender, last_receiver;
  std::array<uint64_t, 2> unused;
};
static_assert(sizeof(LinuxMessageQueue) == 120);

struct LinuxMessageInfo {  // msginfo
  int32_t pool, map, max, max_bytes, max_queues, segment_size, headers;
  uint16_t segments;
};
static_assert(sizeof(LinuxMessageInfo) == 32);

struct LinuxSemaphoreSet {  // semid64_ds
  LinuxIpcPermission permission;
  int64_t operation_time;
  uint64_t unused1;
  int64_t change_time;
  uint64_t unused2;
  uint64_t count;
  std::array<uint64_t, 2> unused3;
};
static_assert(sizeof(LinuxSemaphoreSet) == 104);

struct LinuxSemaphoreInfo {  // seminfo
  int32_t map, sets, semaphores, undos, per_set, per_call, undo_entries, undo_size, max_value,
      max_adjustment;
};
static_assert(sizeof(LinuxSemaphoreInfo) == 40);

struct LinuxSegment {  // shmid64_ds
  LinuxIpcPermission permission;
  uint64_t size;
  int64_t attach_time, detach_time, change_time;
  int32_t creator, last;
  uint64_t attached;
  std::array<uint64_t, 2> unused;
};
static_assert(sizeof(LinuxSegment) == 112);

struct LinuxSegmentLimits {  // shminfo64
  uint64_t max, min, segments, per_process, all;
  std::array<uint64_t, 4> unused;
};
static_assert(sizeof(LinuxSegmentLimits) == 72);

struct LinuxSegmentUse {  // shm_info
  int32_t used_ids, padding;
  uint64_t pages, resident, swapped, swap_attempts, swap_successes;
};
static_assert(sizeof(LinuxSegmentUse) == 48);

struct MessageQueueAttributes {  // mq_attr
  int64_t flags, max_messages, message_size, messages;
  std::array<int64_t, 4> reserved;
};
static_assert(sizeof(MessageQueueAttributes) == 64);

struct LinuxSemaphoreOperation {  // sembuf
  uint16_t number;
  int16_t change, flags;
};
static_assert(sizeof(LinuxSemaphoreOperation) == 6);

}  // namespace occlum
