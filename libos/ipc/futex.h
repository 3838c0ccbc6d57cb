// Futexes (futex(2), futex(7); Franke, Russell, Kirkwood: "Fuss, Futexes and Furwocks", 2002).
//
// A waiter joins its bucket first and looks at the word afterwards, so a waker, who changes the word first and looks at
// the bucket afterwards, always finds it or has been seen: no wake-up is lost although user memory, which may have to
// be paged in, is never touched under the bucket's spin lock. A waiter that finds another value than it expected, and
// was woken meanwhile, passes that wake on: it was meant for one that really waited. Addresses are of the caller's memory;
// a futex in a shared mapping is the same one in every process (AddressSpace::futex_key).
#pragma once

#include <cstdint>
#include <span>

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

// PI futexes: locks that are handed to the waiter with the highest priority, whose priority the owner has meanwhile
// (futex_pi.cpp). Errors: kDeadLk, kSrch, kPerm, kAgain, kTimedOut, kInval.
enum class PiWait { kTry, kBlock };
Result<void> futex_lock_pi(Thread& self, FutexAddress futex, PiWait wait, Nanoseconds deadline);
Result<void> futex_unlock_pi(Thread& self, FutexAddress futex);

// FUTEX_WAIT_REQUEUE_PI: sleeps on `futex` until futex_requeue_pi() has made it the owner of `lock`, or a waiter for it,
// and then until it has it. kWouldBlock: woken without it.
Result<void> futex_wait_requeue_pi(Thread& self, FutexAddress futex, uint32_t expected,
                                   uint32_t bits, Nanoseconds deadline, FutexAddress lock);
// FUTEX_CMP_REQUEUE_PI: the first waiter gets the lock or waits for it; so do `move_count` more. How many.
Result<long> futex_requeue_pi(Thread& self, FutexAddress from, FutexAddress lock,
                              uint32_t move_count, uint32_t expected);

// futex_waitv(2): sleeps on all at once. The index of one that was woken.
struct FutexExpectation {
  FutexAddress futex;
  uint32_t value = 0;
};
Result<long> futex_wait_any(Thread& self, std::span<const FutexExpectation> futexes,
                            Nanoseconds deadline);

// A thread ends, or executes another program: its robust futexes are marked, the PI futexes that others wait for are
// handed on, CLEARTID's word is cleared.
enum class Leaving { kThread, kProgram };
void leave_futexes(Thread& self, Leaving leaving);

}  // namespace occlum
