// Futexes (futex(2), futex_waitv(2), and the calls of Linux 6.7 that take one apart); what they do is in ipc/futex.h.
#include <algorithm>

#include "libos/ipc/futex.h"
#include "libos/ipc/futex_queue.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/time_values.h"

namespace occlum {
namespace {

enum FutexCommand : int {
  kWait = 0,
  kWake = 1,
  kRequeue = 3,
  kCmpRequeue = 4,
  kWakeOp = 5,
  kLockPi = 6,
  kUnlockPi = 7,
  kTrylockPi = 8,
  kWaitBitset = 9,
  kWakeBitset = 10,
  kWaitRequeuePi = 11,
  kCmpRequeuePi = 12,
  kLockPi2 = 13,
};
constexpr int kFutexPrivate = 128, kFutexClockRealtime = 256;

bool has_timeout(int command) {
  return command == kWait || command == kLockPi || command == kLockPi2 || command == kWaitBitset ||
         command == kWaitRequeuePi;
}

// The fourth argument as a timeout: relative for FUTEX_WAIT, absolute for the others; FUTEX_LOCK_PI's is always of
// CLOCK_REALTIME.
Result<Nanoseconds> read_futex_timeout(int command, bool is_realtime, UserIn<Timespec> timeout) {
  if (!has_timeout(command) || timeout.is_null()) return kNever;
  const uint64_t time = TRY(to_nanoseconds(TRY(timeout.read())));
  if (command == kWait) return later(monotonic_now(), time);
  return monotonic_deadline(is_realtime || command == kLockPi ? kClockRealtime : kClockMonotonic,
                            time);
}

uint32_t count_of(uint32_t argument) { return static_cast<int32_t>(argument) < 0 ? 0 : argument; }

}  // namespace

// futex(2). `timeout` is a second count for the operations that move or wake on two words.
Result<long> sys_futex(Thread& self, UserAddress word, int operation, uint32_t value,
                       UserAddress timeout, UserAddress second_word, uint32_t third_value) {
  const int command = operation & ~(kFutexPrivate | kFutexClockRealtime);
  const bool is_realtime = (operation & kFutexClockRealtime) != 0;
  const Nanoseconds deadline =
      TRY(read_futex_timeout(command, is_realtime, UserIn<Timespec>(timeout)));
  if (is_realtime && command != kWaitBitset && command != kWaitRequeuePi && command != kLockPi2)
    return Errno::kNoSys;
  const FutexScope scope =
      (operation & kFutexPrivate) != 0 ? FutexScope::kPrivate : FutexScope::kShared;
  const FutexAddress first{.address = word.value(), .scope = scope};
  const FutexAddress second{.address = second_word.value(), .scope = scope};
  const auto second_count = static_cast<uint32_t>(timeout.value());
  const bool are_counts =
      static_cast<int32_t>(value) >= 0 && static_cast<int32_t>(second_count) >= 0;
  AddressSpace& memory = self.memory();

  switch (command) {
    case kWait:
      return done(futex_wait(self, first, value, kFutexAnyBits, deadline));
    case kWaitBitset:
      return done(futex_wait(self, first, value, third_value, deadline));
    case kWake:
      return futex_wake(memory, first, std::max<uint32_t>(count_of(value), 1), kFutexAnyBits);
    case kWakeBitset:
      return futex_wake(memory, first, std::max<uint32_t>(count_of(value), 1), third_value);
    case kRequeue:
    case kCmpRequeue:
      if (!are_counts) return Errno::kInval;
      if (command == kCmpRequeue) {
        TRY(futex_key_of(memory, first));
        TRY(futex_key_of(memory, second));
        if (TRY(load_user_u32(memory, word)) != third_value) return Errno::kAgain;
      }
      return futex_requeue(memory, first, second, value, second_count);
    case kWakeOp:
      return futex_wake_op(memory, first, second, count_of(value), count_of(second_count),
                           third_value);
    case kLockPi:
    case kLockPi2:
      return done(futex_lock_pi(self, first, PiWait::kBlock, deadline));
    case kTrylockPi:
      return done(futex_lock_pi(self, first, PiWait::kTry, kNever));
    case kUnlockPi:
      return done(futex_unlock_pi(self, first));
    case kWaitRequeuePi:
      return done(futex_wait_requeue_pi(self, first, value, kFutexAnyBits, deadline, second));
    case kCmpRequeuePi:
      if (!are_counts || value != 1) return Errno::kInval;
      return futex_requeue_pi(self, first, second, second_count, third_value);
    default:
      return Errno::kNoSys;
  }
}

namespace {

// struct futex_waitv.
struct FutexVectorEntry {
  uint64_t value, address;
  uint32_t flags, reserved;
};
static_assert(sizeof(FutexVectorEntry) == 24);

// FUTEX2_*: of the sizes only 32 bits are there, as on Linux; nodes are not.
Result<FutexScope> scope_of(uint32_t flags) {
  constexpr uint32_t kSize = 3, kSize32 = 2, kPrivate = 128;
  if ((flags & ~(kSize | kPrivate)) != 0 || (flags & kSize) != kSize32) return Errno::kInval;
  return (flags & kPrivate) != 0 ? FutexScope::kPrivate : FutexScope::kShared;
}

Result<void> check_fits(uint64_t value) {
  if (value > UINT32_MAX) return Errno::kInval;
  return {};
}

Result<FutexExpectation> read_entry(UserAddress from, size_t index) {
  const FutexVectorEntry entry = TRY(UserIn<FutexVectorEntry>(from).read_at(index));
  if (entry.reserved != 0) return Errno::kInval;
  const FutexScope scope = TRY(scope_of(entry.flags));
  TRY(check_fits(entry.value));
  return FutexExpectation{.futex = {.address = entry.address, .scope = scope},
                          .value = static_cast<uint32_t>(entry.value)};
}

Result<Nanoseconds> read_absolute(UserIn<Timespec> timeout, ClockId clock) {
  if (timeout.is_null()) return kNever;
  if (clock != kClockRealtime && clock != kClockMonotonic) return Errno::kInval;
  return monotonic_deadline(clock, TRY(to_nanoseconds(TRY(timeout.read()))));
}

}  // namespace

// futex_waitv(2).
Result<long> sys_futex_waitv(Thread& self, UserAddress waiters, uint32_t count, Flags flags,
                             UserIn<Timespec> timeout, ClockId clock) {
  constexpr uint32_t kMost = 128;  // FUTEX_WAITV_MAX
  if (bits(flags) != 0 || count == 0 || count > kMost || waiters.is_null()) return Errno::kInval;
  const Nanoseconds deadline = TRY(read_absolute(timeout, clock));
  Vec<FutexExpectation> futexes;
  TRY(futexes.reserve(count));
  for (uint32_t i = 0; i < count; ++i) TRY(futexes.push(TRY(read_entry(waiters, i))));
  return futex_wait_any(self, futexes.span(), deadline);
}

Result<long> sys_futex_wake(Thread& self, UserAddress word, uint64_t mask, int count, Flags flags) {
  const FutexScope scope = TRY(scope_of(bits(flags)));
  TRY(check_fits(mask));
  if (mask == 0) return Errno::kInval;
  const uint32_t wanted = count_of(static_cast<uint32_t>(count));
  return futex_wake(self.memory(), FutexAddress{.address = word.value(), .scope = scope}, wanted,
                    static_cast<uint32_t>(mask));
}

Result<long> sys_futex_wait(Thread& self, UserAddress word, uint64_t value, uint64_t mask,
                            Flags flags, UserIn<Timespec> timeout, ClockId clock) {
  const FutexScope scope = TRY(scope_of(bits(flags)));
  TRY(check_fits(value));
  TRY(check_fits(mask));
  const Nanoseconds deadline = TRY(read_absolute(timeout, clock));
  const Result<void> waited =
      futex_wait(self, FutexAddress{.address = word.value(), .scope = scope},
                 static_cast<uint32_t>(value), static_cast<uint32_t>(mask), deadline);
  // Its time is absolute: it simply runs again.
  if (waited.is_error() && waited.error() == Errno::kRestartRestartBlock) return Errno::kRestartSys;
  return done(waited);
}

Result<long> sys_futex_requeue(Thread& self, UserAddress waiters, Flags flags, int wake_count,
                               int move_count) {
  if (bits(flags) != 0 || waiters.is_null()) return Errno::kInval;
  const FutexExpectation from = TRY(read_entry(waiters, 0));
  const FutexExpectation to = TRY(read_entry(waiters, 1));
  if (wake_count < 0 || move_count < 0) return Errno::kInval;
  AddressSpace& memory = self.memory();
  if (TRY(load_user_u32(memory, UserAddress(from.futex.address))) != from.value)
    return Errno::kAgain;
  return futex_requeue(memory, from.futex, to.futex, static_cast<uint32_t>(wake_count),
                       static_cast<uint32_t>(move_count));
}

}  // namespace occlum
