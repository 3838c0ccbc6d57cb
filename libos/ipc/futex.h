// Futexes (futex(2), futex(7); Franke, Russell, Kirkwood: "Fuss, Futexes and Furwocks", 2002).
//
// A waiter joins its bucket first and looks at the word afterwards, so a waker, who changes the word first and looks at
// the bucket afterwards, always finds it or has been seen: no wake-up is lost although user memory, which may have to
// be paged in, is never touched under the bucket's spin lock. A waiter that finds another value than it expected, and
// was woken meanwhile, passes that wake on: it was meant for one that really waited. Addresses are of the caller's memory;
// a futex in a shared mapping is the same one in every process (AddressSpace::futex_key).
#pragma once

#include <cstdint>

#include "libos/lib/result.h"
#include "libos/mm/address_space.h"
#include "libos/sched/task.h"

namespace occlum {

class Thread;

enum class FutexScope : uint8_t { kShared, kPrivate };
struct FutexAddress {
  uint64_t address = 0;
  FutexScope scope = FutexScope::kShared;
};

constexpr uint32_t kFutexAnyBits = UINT32_MAX;
// The word of a PI or robust futex.
constexpr uint32_t kFutexWaiters = 0x80000000, kFutexOwnerDied = 0x40000000,
                   kFutexTidMask = 0x3fffffff;

// Sleeps while the word is `expected`, until a wake with a bit of `bits`, or `deadline` (monotonic, absolute).
// Errors: kAgain (another value), kTimedOut, kFault, kInval, kRestartSys, kRestartRestartBlock (with a deadline).
Result<void> futex_wait(Thread& self, FutexAddress futex, uint32_t expected, uint32_t bits,
                        Nanoseconds deadline);

// Wakes up to `count` waiters; how many.
Result<long> futex_wake(AddressSpace& memory, FutexAddress futex, uint32_t count, uint32_t bits);

// Wakes `wake_count` waiters of `from` and moves up to `move_count` of the others to `to`; woken plus moved.
Result<long> futex_requeue(AddressSpace& memory, FutexAddress from, FutexAddress to,
                           uint32_t wake_count, uint32_t move_count);

// FUTEX_WAKE_OP: changes the word at `second` as `operation` says, wakes waiters of `first`, and those of `second` when
// the old value satisfies the comparison. kNoSys for an unknown operation.
Result<long> futex_wake_op(AddressSpace& memory, FutexAddress first, FutexAddress second,
                           uint32_t first_count, uint32_t second_count, uint32_t operation);

// Priority inheritance futexes, as locks that the LibOS hands over in order of arrival. (There are no priorities to
// inherit between LibOS threads.) Errors: kDeadLk, kSrch, kPerm, kAgain, kTimedOut.
enum class PiWait { kTry, kBlock };
Result<void> futex_lock_pi(Thread& self, FutexAddress futex, PiWait wait, Nanoseconds deadline);
Result<void> futex_unlock_pi(Thread& self, FutexAddress futex);

// A thread ends, or executes another program: its robust futexes are marked, CLEARTID's word is cleared; waiters wake.
void leave_futexes(Thread& self);

}  // namespace occlum
