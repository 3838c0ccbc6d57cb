#include "libos/ipc/futex.h"

#include <algorithm>

#include "libos/ipc/futex_queue.h"
#include "libos/lib/vec.h"
#include "libos/mm/user.h"
#include "libos/process/thread.h"

namespace occlum {
namespace {

// FUTEX_WAIT with a timeout goes on after a stop with the same deadline.
Result<long> resume_wait(Thread& self) {
  const RestartBlock block = self.restart_block;
  const FutexAddress futex{
      .address = block.user_address,
      .scope = block.arguments[0] != 0 ? FutexScope::kPrivate : FutexScope::kShared};
  TRY(futex_wait(self, futex, static_cast<uint32_t>(block.arguments[1]),
                 static_cast<uint32_t>(block.arguments[2]), block.deadline));
  return 0;
}

Errno interrupted_wait(Thread& self, FutexAddress futex, uint32_t expected, uint32_t bits,
                       Nanoseconds deadline) {
  if (deadline == kNever) return Errno::kRestartSys;
  self.restart_block =
      RestartBlock{.resume = &resume_wait,
                   .clock = 0,
                   .deadline = deadline,
                   .user_address = futex.address,
                   .arguments = {futex.scope == FutexScope::kPrivate, expected, bits, 0}};
  return Errno::kRestartRestartBlock;
}

}  // namespace

Result<void> futex_wait(Thread& self, FutexAddress futex, uint32_t expected, uint32_t bits,
                        Nanoseconds deadline) {
  if (bits == 0) return Errno::kInval;
  AddressSpace& memory = self.memory();
  const FutexKey key = TRY(futex_key_of(memory, futex));
  FutexWaiter waiter(self, key, bits);
  join_queue(waiter);
  const Result<uint32_t> value = load_user_u32(memory, UserAddress(futex.address));
  if (value.is_error() || value.value() != expected) {
    if (leave_queue(waiter)) (void)wake_waiters(waiter.key, 1, bits);
    return value.is_error() ? value.error() : Errno::kAgain;
  }
  const Result<void> slept = sleep_in_queue(waiter, deadline);
  if (slept.is_error() && slept.error() == Errno::kRestartSys) {
    return interrupted_wait(self, futex, expected, bits, deadline);
  }
  return slept;
}

// Joins all queues first and looks at the words afterwards, as one waiter does.
Result<long> futex_wait_any(Thread& self, std::span<const FutexExpectation> futexes,
                            Nanoseconds deadline) {
  AddressSpace& memory = self.memory();
  Vec<OwnPtr<FutexWaiter>> waiters;
  TRY(waiters.reserve(futexes.size()));
  for (const FutexExpectation& wanted : futexes) {
    const FutexKey key = TRY(futex_key_of(memory, wanted.futex));
    TRY(waiters.push(TRY(make_own<FutexWaiter>(self, key, kFutexAnyBits))));
  }
  for (OwnPtr<FutexWaiter>& waiter : waiters) join_queue(*waiter);
  Result<void> outcome{};
  for (const FutexExpectation& wanted : futexes) {
    const Result<uint32_t> value = load_user_u32(memory, UserAddress(wanted.futex.address));
    if (!value.is_error() && value.value() == wanted.value) continue;
    outcome = value.is_error() ? value.error() : Errno::kAgain;
    break;
  }
  const auto is_woken = [&] {
    return std::ranges::any_of(waiters, [](const auto& waiter) { return waiter->is_woken.load(); });
  };
  while (!outcome.is_error() && !is_woken()) {
    const ParkResult result = park(deadline, Interruptible::kYes);
    if (result == ParkResult::kTimedOut) outcome = Errno::kTimedOut;
    if (result == ParkResult::kInterrupted) outcome = Errno::kRestartSys;
  }
  long woken = -1;
  for (size_t i = 0; i < waiters.size(); ++i) {
    if (leave_queue(*waiters[i])) woken = static_cast<long>(i);
  }
  if (woken >= 0) return woken;
  return outcome.error();
}

Result<long> futex_wake(AddressSpace& memory, FutexAddress futex, uint32_t count, uint32_t bits) {
  if (bits == 0) return Errno::kInval;
  const FutexKey key = TRY(futex_key_of(memory, futex));
  return static_cast<long>(TRY(wake_waiters(key, count, bits)));
}

namespace {

void move_waiters(FutexQueue& from, FutexQueue& to, FutexBucket& target, const FutexKey& from_key,
                  const FutexKey& to_key, uint32_t count, uint32_t& moved) {
  for (FutexWaiter* waiter = from.waiters.first(); waiter != nullptr && moved < count;) {
    FutexWaiter* following = from.waiters.next(*waiter);
    if (waiter->key == from_key && waiter->pi_target == nullptr) {
      from.waiters.remove(*waiter);
      waiter->key = to_key;
      waiter->bucket.store(&target);
      to.waiters.push_back(*waiter);
      ++moved;
    }
    waiter = following;
  }
}

}  // namespace

Result<long> futex_requeue(AddressSpace& memory, FutexAddress from, FutexAddress to,
                           uint32_t wake_count, uint32_t move_count) {
  const FutexKey from_key = TRY(futex_key_of(memory, from));
  const FutexKey to_key = TRY(futex_key_of(memory, to));
  const uint32_t woken = TRY(wake_waiters(from_key, wake_count, kFutexAnyBits));
  uint32_t moved = 0;
  FutexBucket& source = futex_bucket(from_key);
  FutexBucket& target = futex_bucket(to_key);
  if (from_key == to_key) return static_cast<long>(woken);
  if (&source == &target) {
    // The key changes; the place in the list need not.
    source.queue.with([&](FutexQueue& queue) {
      for (FutexWaiter& waiter : queue.waiters) {
        if (moved == move_count) break;
        if (waiter.pi_target != nullptr || !(waiter.key == from_key)) continue;
        waiter.key = to_key;
        ++moved;
      }
    });
  } else {
    with_both(source.queue, target.queue, [&](FutexQueue& a, FutexQueue& b) {
      move_waiters(a, b, target, from_key, to_key, move_count, moved);
    });
  }
  return static_cast<long>(woken) + moved;
}

namespace {

// The encoding of FUTEX_OP(): 4 bits of operation, 4 of comparison, two signed 12-bit arguments.
struct WakeOperation {
  uint32_t operation, comparison;
  int32_t operand, comparand;
};

WakeOperation decode_wake_operation(uint32_t encoded) {
  const auto sign_extend = [](uint32_t bits12) { return static_cast<int32_t>(bits12 << 20) >> 20; };
  WakeOperation result{.operation = (encoded >> 28) & 7,
                       .comparison = (encoded >> 24) & 15,
                       .operand = sign_extend((encoded >> 12) & 0xfff),
                       .comparand = sign_extend(encoded & 0xfff)};
  constexpr uint32_t kShiftOperand = 8;
  if (((encoded >> 28) & kShiftOperand) != 0) {
    result.operand =
        static_cast<int32_t>(uint32_t{1} << (static_cast<uint32_t>(result.operand) & 31));
  }
  return result;
}

Result<uint32_t> apply(uint32_t operation, uint32_t old, uint32_t operand) {
  switch (operation) {
    case 0:
      return operand;
    case 1:
      return old + operand;
    case 2:
      return old | operand;
    case 3:
      return old & ~operand;
    case 4:
      return old ^ operand;
    default:
      return Errno::kNoSys;
  }
}

Result<bool> compare(uint32_t comparison, int32_t old, int32_t with) {
  switch (comparison) {
    case 0:
      return old == with;
    case 1:
      return old != with;
    case 2:
      return old < with;
    case 3:
      return old <= with;
    case 4:
      return old > with;
    case 5:
      return old >= with;
    default:
      return Errno::kNoSys;
  }
}

}  // namespace

Result<long> futex_wake_op(AddressSpace& memory, FutexAddress first, FutexAddress second,
                           uint32_t first_count, uint32_t second_count, uint32_t operation) {
  const WakeOperation decoded = decode_wake_operation(operation);
  const FutexKey first_key = TRY(futex_key_of(memory, first));
  const FutexKey second_key = TRY(futex_key_of(memory, second));
  const UserAddress word(second.address);
  uint32_t old = TRY(load_user_u32(memory, word));
  while (true) {
    const uint32_t next =
        TRY(apply(decoded.operation, old, static_cast<uint32_t>(decoded.operand)));
    const uint32_t found = TRY(compare_exchange_user_u32(memory, word, old, next));
    if (found == old) break;
    old = found;
  }
  const bool also = TRY(compare(decoded.comparison, static_cast<int32_t>(old), decoded.comparand));
  long woken = TRY(wake_waiters(first_key, first_count, kFutexAnyBits));
  if (also) woken += TRY(wake_waiters(second_key, second_count, kFutexAnyBits));
  return woken;
}

}  // namespace occlum
