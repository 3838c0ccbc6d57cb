// Leases (fcntl(2), "Leases"; fs/locks.c has the rules): who holds one is told by a signal before another opens the file in
// a way that conflicts, or truncates it, and that one waits until the lease is given up, or lease-break-time is over.
//
// Whether a lease can be had depends on who has the file open. So each open regular file is an Opener, in a list of those
// whose inodes have the same hash; the lease is a part of it. While nobody has a lease, open(2) pays one relaxed load
// for them.
#pragma once

#include <cstdint>

#include "libos/lib/list.h"
#include "libos/lib/result.h"
#include "libos/sched/task.h"

namespace occlum {

class File;
class Inode;

enum class LeaseType : uint8_t { kNone, kRead, kWrite };

// Whom a file's signals go to (F_SETOWN): a process, or with a negative number a group; and who said so.
struct IoOwner {
  int who = 0;
  uint32_t uid = 0, euid = 0;
};

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
  int fd = -1;  // that the lease was taken by: si_fd
  IoOwner owner;
};

// F_SETLEASE: kAgain; kInval when leases are disabled. `owner` gets the signals unless somebody does already.
Result<void> set_lease(File& file, LeaseType type, int fd, const IoOwner& owner);
// F_GETLEASE: what it is to become, when a break is under way.
LeaseType lease_of(File& file);
// F_SETOWN and F_GETOWN, of regular files; the others have none.
void set_io_owner(File& file, const IoOwner& owner);
int io_owner(File& file);

enum class LeaseBreak : uint8_t { kForReading, kForWriting };
enum class BreakWait : uint8_t { kNo, kYes };
// Before the file is opened, or truncated. kAgain; kRestartSys.
Result<void> break_leases(const Inode& inode, LeaseBreak how, BreakWait wait);

// /proc/sys/fs/lease-break-time (seconds; 0: for ever) and leases-enable.
struct LeaseSettings {
  std::atomic<uint32_t> break_seconds{45};
  std::atomic<bool> is_enabled{true};
};
extern LeaseSettings lease_settings;

// Sends `signal` (0: SIGIO without further information) for what happened to `fd`. process/ sets it at start.
using IoSignaller = void (*)(const IoOwner& owner, int signal, int fd);
void set_io_signaller(IoSignaller signaller);

}  // namespace occlum
