// Advisory locks of one file: record locks of fcntl(2) (of processes, and of open file descriptions) and flock(2).
//
// One list of ranges for record locks, one of holders for flock; they do not see each other, as on Linux. A range is
// [start, end] in bytes. Owners are addresses that are compared only: the FileTable for POSIX locks, the File for the
// other two. Waiting is interruptible.
//
// What is held and who waits lies in a FileLockTable, which /proc/locks finds in the list of all.
#pragma once

#include <cstdint>

#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/lock_anchor.h"
#include "libos/lib/lock.h"
#include "libos/lib/vec.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

enum class LockType : uint8_t { kRead, kWrite, kUnlock };
enum class LockWait : uint8_t { kNo, kYes };

struct RecordLock {
  const void* owner = nullptr;
  int pid = -1;  // whom F_GETLK names; -1 for open file description locks
  LockType type = LockType::kUnlock;
  uint64_t start = 0;
  uint64_t end = UINT64_MAX;  // the last byte
  bool overlaps(uint64_t first, uint64_t last) const { return start <= last && first <= end; }
};

struct FlockHolder {
  const File* file = nullptr;
  int pid = 0;  // who took it
  LockType type = LockType::kUnlock;
};

// What is held of one file, in order of the ranges, and who waits, in order of arrival.
struct LockSnapshot {
  uint64_t device = 0, inode = 0;
  Vec<RecordLock> records, waiting_records;
  Vec<FlockHolder> holders, waiting_holders;
};
// Whether the second may not be taken while the first is there.
bool excludes(const RecordLock& held, const RecordLock& wanted);
bool excludes(const FlockHolder& held, const FlockHolder& wanted);

// Of all files that have any, the latest first. Errors: kNoMem.
Result<Vec<LockSnapshot>> all_file_locks();

class FileLockTable;

class FileLocks {
 public:
  // Of the file with this identity. Errors: kNoMem.
  static Result<OwnPtr<FileLocks>> create(uint64_t device, uint64_t inode);
  explicit FileLocks(RefPtr<FileLockTable> table);  // use create
  ~FileLocks();

  // F_SETLK, F_SETLKW and their OFD forms. kAgain; kDeadLk; kRestartSys.
  Result<void> set(RecordLock lock, LockWait wait);
  // F_GETLK: the first lock that stands in the way; type kUnlock when none does.
  RecordLock test(const RecordLock& lock) const;
  // flock(2), by the process `pid`. kAgain (EWOULDBLOCK), kRestartSys.
  Result<void> flock(const File& file, LockType type, LockWait wait, int pid);
  // A process closed a descriptor of the file: its POSIX locks go.
  void release_owner(const void* owner);
  // An open file description ended.
  void release_description(const File& file);

  // For /proc. Errors: kNoMem.
  Result<LockSnapshot> snapshot() const;

 private:
  Result<void> try_flock(const File& file, LockType type, int pid);
  const RefPtr<FileLockTable> table_;
  WaitQueue changed_;
};

}  // namespace occlum
