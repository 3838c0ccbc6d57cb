// The order in which locks are taken. A thread that holds a lock takes only locks of a later rank
// (two of one rank only through with_both, in address order), so there are no deadlocks. Checked at
// run time when OCCLUM_DEBUG_LOCKS is defined (all hosted builds, debug builds of the enclave).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace occlum {

// Outermost first. Add where yours belongs, with what it protects.
enum class LockRank : std::uint8_t {
  kWindowSize,     // the size of a terminal: held while its foreground group is told
  kProcessTable,   // pid table, sessions, process groups
  kProcess,        // one process: children, wait status, credentials
  kThreadGroup,    // the threads of a process, exec and exit
  kFiles,          // a descriptor table
  kMount,          // the mount tree
  kFilePosition,   // the position of an open file
  kRename,         // renames that move directories, one at a time
  kDentry,         // the names in a directory, or the writers of a file: its inode's mutex
  kUnion,          // one file of a union: its layers
  kInode,          // one file: size, contents, directory entries
  kProgramText,    // the patched system calls of an address space; the vDSO's object
  kConflicts,      // who is in which conflict group: one change at a time
  kConflictGroup,  // one conflict group: an exchange of its resident member
  kSpaces,         // the list of all address spaces
  kAddressSpace,   // the areas of an address space
  kGroupRanges,    // how many members of a conflict group have which addresses
  kPageCache,      // cached pages of one object
  kBlockStore,     // what lies below a page cache: verified blocks, host files
  kVerifiedData,   // cached blocks of a verified image
  kVerifiedTree,   // cached blocks of its hash tree
  kAttributes,     // owner, mode and times of a file
  kDentryCache,    // the table of cached names
  kSignal,         // pending signals, handlers
  kFutex,          // futex buckets
  kPoll,           // epoll sets, poll registrations
  kPipe,           // one pipe
  kSocket,         // one socket
  kTurns,          // who waits for his turn to be resident
  kWaitQueue,      // one wait queue
  kReady,          // the ready list of an epoll set: taken by wakers
  kScheduler,      // run queues, vCPU states
  kTimer,          // timer queues
  kLinearRanges,   // free linear ranges of programs
  kPageMap,        // page descriptors, enclave memory
  kHeap,           // the kernel heap
  kHostCall,       // the ring to the host
  kLog,            // the log's output
};

enum class LockKind : std::uint8_t { kSpin, kMutex };

// The locks that one holder (a LibOS thread, or a vCPU outside any thread) has, oldest first. Not
// for sharing.
class LockRankStack {
 public:
  static constexpr std::size_t kMaxHeld = 16;

  // kLater: panics unless `rank` is later than all that are held. kSecond: may equal the last, for
  // with_both. kAny: for try_lock, which cannot deadlock.
  enum class Order : std::uint8_t { kLater, kSecond, kAny };
  void push(LockRank rank, LockKind kind, Order order);
  // The lock may be any of those held: unlocking need not be last-in first-out.
  void pop(LockRank rank, LockKind kind);

  std::size_t held() const { return held_; }
  std::size_t spin_locks_held() const { return spin_locks_held_; }

 private:
  struct Entry {
    LockRank rank;
    LockKind kind;
  };
  std::array<Entry, kMaxHeld> entries_ = {};
  std::uint8_t held_ = 0;
  std::uint8_t spin_locks_held_ = 0;
};

// The stack of whoever runs now; implemented by arch, and by the hosted tests.
LockRankStack& current_lock_ranks();

#ifdef OCCLUM_DEBUG_LOCKS
inline constexpr bool kCheckLockRanks = true;
#else
inline constexpr bool kCheckLockRanks = false;
#endif

// Call where a thread may sleep: panics (in debug builds) if a spin lock is held.
void assert_may_sleep();

}  // namespace occlum
