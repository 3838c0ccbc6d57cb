// Advisory locks of one file: record locks of fcntl(2) (of processes, and of open file descriptions) and flock(2).
//
// One list of ranges for record locks, one of holders for flock; they do not see each other, as on Linux. A range is
// [start, end] in bytes. Owners are addresses that are compared only: the FileTable for POSIX locks, the File for the
// other two. Waiting is interruptible.
#pragma once

#include <cstdint>

#include "libos/fs/vfs/file.h"
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

class FileLocks {
 public:
  // F_SETLK, F_SETLKW and their OFD forms. kAgain; kDeadLk; kRestartSys.
  Result<void> set(RecordLock lock, LockWait wait);
  // F_GETLK: the first lock that stands in the way; type kUnlock when none does.
  RecordLock test(const RecordLock& lock) const;
  // flock(2). kAgain (EWOULDBLOCK), kRestartSys.
  Result<void> flock(const File& file, LockType type, LockWait wait);
  // A process closed a descriptor of the file: its POSIX locks go.
  void release_owner(const void* owner);
  // An open file description ended.
  void release_description(const File& file);

  // For /proc/locks.
  Result<Vec<RecordLock>> records() const;

 private:
  struct Holder {
    const File* file;
    LockType type;
  };
  struct State {
    Vec<RecordLock> records;
    Vec<Holder> holders;
  };
  static const RecordLock* conflict(const State& state, const RecordLock& lock);
  static Result<void> apply(State& state, const RecordLock& lock);
  Result<void> try_flock(const File& file, LockType type);

  mutable SpinLocked<State> state_{LockRank::kAttributes};
  WaitQueue changed_;
};

}  // namespace occlum
