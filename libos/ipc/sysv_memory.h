// System V shared memory (shmget(2), shmop(2), shmctl(2)): segments are memory objects that programs
// map shared. How often a segment is attached is what the address spaces say, so that fork, exec,
// munmap(2) and exit need not report here; a segment that was removed goes when nobody maps it any
// more, which is looked for at the next call here and whenever a process ends.
#pragma once

#include "libos/ipc/sysv_table.h"
#include "libos/mm/memory_object.h"
#include "libos/process/pid.h"

namespace occlum {

class Thread;

struct SegmentStatus {
  IpcPermission permission;
  int id = 0;
  uint64_t size = 0;
  int64_t attach_time = 0, detach_time = 0, change_time = 0;
  Pid creator = 0, last = 0;
  uint64_t attached = 0;
  uint64_t resident_bytes = 0;
};

namespace sysv_memory {

constexpr size_t kMaxSegments = 4096;                     // kernel.shmmni
constexpr uint64_t kMaxSize = UINT64_MAX - (1ull << 24);  // kernel.shmmax, kernel.shmall
constexpr uint32_t kReadOnly = 010000, kRound = 020000, kRemap = 040000, kExecute = 0100000;
constexpr uint32_t kHugePages = 04000;
constexpr uint32_t kRemoved = 01000, kLocked = 02000;  // in IPC_STAT's mode

Result<int> get(int key, uint64_t size, uint32_t flags, const UserCredentials& who, Pid creator);
// `address` is page-aligned, or null: anywhere. Where it is now.
Result<uint64_t> attach(Thread& self, int id, uint64_t address, uint32_t flags);
Result<void> detach(Thread& self, uint64_t address);
Result<void> change(int id, uint32_t uid, uint32_t gid, uint32_t mode, const UserCredentials& who);
Result<void> remove(int id, const UserCredentials& who);
// SHM_LOCK and SHM_UNLOCK: what users have locked counts against their RLIMIT_MEMLOCK (kNoMem), and no more happens.
Result<void> set_locked(int id, bool locked, Thread& self);
enum class Lookup { kById, kByIndex, kByIndexUnchecked };
Result<SegmentStatus> status(int id, Lookup lookup, const UserCredentials& who);
// Frees removed segments that nobody maps.
void sweep();

struct Totals {
  int highest_index = 0;
  int segments = 0;
  uint64_t pages = 0, resident_pages = 0;
};
Totals totals();
Result<Vec<SegmentStatus>> all();

}  // namespace sysv_memory
}  // namespace occlum
