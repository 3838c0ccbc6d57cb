// Leases (fcntl(2), "Leases"; fs/locks.c has the rules): who holds one is told by a signal before another opens the file in
// a way that conflicts, or truncates it, and that one waits until the lease is given up, or lease-break-time is over.
//
// Whether a lease can be had depends on who has the file open. So each open regular file is an Opener, in a list of those
// whose inodes have the same hash; the lease is a part of it. While nobody has a lease, open(2) pays one relaxed load
// for them.
#pragma once

#include <cstdint>
#include <optional>

#include "libos/fs/vfs/io_signals.h"
#include "libos/lib/list.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"
#include "libos/sched/task.h"

namespace occlum {

class File;
class Inode;

enum class LeaseType : uint8_t { kNone, kRead, kWrite };

class Opener {
 public:
  // The file's inode, and whether it was opened for reading: Inode::writers() knows the others.
  Opener(File& file, const Inode& inode, bool reads);
  ~Opener();
  Opener(const Opener&) = delete;
  Opener& operator=(const Opener&) = delete;

  // The rest is leases.cpp's, under the list's lock.
  ListNode node;
  File& file;
  const Inode& inode;
  const bool reads;
  LeaseType lease = LeaseType::kNone;
  bool must_unlock = false, must_downgrade = false;  // a break is under way
  Nanoseconds unlock_by = kNever, downgrade_by = kNever;
  // Who took it, and of what: for /proc.
  int pid = 0;
  uint64_t device = 0, inode_number = 0;
  AsyncList told;  // the file is in it while it has a lease
};

// F_SETLEASE: kAgain; kInval when leases are disabled. `owner`, a process, gets the signals unless somebody does already.
Result<void> set_lease(File& file, LeaseType type, int fd, const IoOwner& owner);
// F_GETLEASE: what it is to become, when a break is under way.
LeaseType lease_of(File& file);

enum class LeaseBreak : uint8_t { kForReading, kForWriting };
enum class BreakWait : uint8_t { kNo, kYes };
// Before the file is opened, or truncated, by a program. kAgain; kRestartSys.
Result<void> break_leases(const Inode& inode, LeaseBreak how, BreakWait wait);

// For /proc: a lease, or somebody who waits for all leases of that file to give way.
struct LeaseRow {
  const Inode* inode;  // an identity: may be gone
  uint64_t device = 0, inode_number = 0;
  int pid = 0;
  LeaseType type = LeaseType::kNone;  // what it is to become, or what the breaker wants
  bool is_breaking = false;
};
Result<Vec<LeaseRow>> all_leases();          // kNoMem
Result<Vec<LeaseRow>> all_lease_breakers();  // kNoMem
std::optional<LeaseRow> lease_row_of(File& file);

// Whose process asks, for /proc: process/ says it at start.
void set_lease_breaker_pid(int (*current_pid)());

// /proc/sys/fs/lease-break-time (seconds; 0: for ever) and leases-enable.
struct LeaseSettings {
  std::atomic<uint32_t> break_seconds{45};
  std::atomic<bool> is_enabled{true};
};
extern LeaseSettings lease_settings;

}  // namespace occlum
