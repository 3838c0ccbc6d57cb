// poll(2), ppoll(2), select(2), pselect6(2).
//
// The first round joins the queues of every file and stops joining as soon as one is ready; then
// the task sleeps and looks again after each wake-up. An interrupted call says so by codes that let
// the kernel of signals restart it when no handler ran; the time that is left is stored first, as
// Linux does.
#include <algorithm>
#include <bit>

#include "libos/fs/file_table.h"
#include "libos/fs/vfs/file_limit.h"
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/task_poller.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"
#include "libos/syscall/deadline.h"
#include "libos/syscall/dispatch.h"

namespace occlum {

namespace {

struct Polled {
  RefPtr<File> file;  // null: not to be asked
  PollEvents wanted = 0;
  PollEvents found = 0;
};

// Asks all until something is found, the deadline passes or a signal comes. How many have
// something. Errors: kNoMem, kRestartNoHand.
Result<size_t> poll_until(std::span<Polled> entries, size_t found, Nanoseconds deadline) {
  TaskPoller poller;
  // What is known already (bad descriptors) makes the call return at once, but with the others'
  // states.
  bool joining = found == 0 && deadline != 0;
  for (;;) {
    size_t count = found;
    for (Polled& entry : entries) {
      if (!entry.file) continue;
      entry.found = entry.file->poll(joining && count == 0 ? &poller : nullptr) & entry.wanted;
      if (entry.found != 0) ++count;
    }
    if (count != 0) return count;
    // A signal that is there counts more than a time that is over.
    if (deadline == 0 && current_task().has_interrupt()) return Errno::kRestartNoHand;
    if (deadline == 0) return count;
    if (joining && poller.failed()) return Errno::kNoMem;
    joining = false;
    switch (park(deadline, Interruptible::kYes)) {
      case ParkResult::kUnparked:
        break;
      case ParkResult::kTimedOut:
        deadline = 0;
        break;  // one last look
      case ParkResult::kInterrupted:
        return Errno::kRestartNoHand;
    }
  }
}

Result<long> poll_descriptors(Thread& self, UserInOut<PollFd> fds, uint32_t count,
                              Nanoseconds deadline) {
  if (count > descriptor_limit()) return Errno::kInval;
  auto records = TRY(fds.read_array(count));
  auto entries = TRY(Vec<Polled>::create(count));
  size_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    records[i].revents = 0;
    if (records[i].fd < 0) continue;
    auto file = self.files().get(records[i].fd);
    if (file.is_error() || (file.value()->flags() & kOpenPath) != 0) {
      records[i].revents = static_cast<int16_t>(kPollNval);
      ++bad;
      continue;
    }
    entries[i].file = file.release_value();
    entries[i].wanted = static_cast<uint16_t>(records[i].events) | kPollErr | kPollHup;
  }
  const size_t found = TRY(poll_until(entries.span(), bad, deadline));
  for (size_t i = 0; i < count; ++i) {
    if (entries[i].file) records[i].revents = static_cast<int16_t>(entries[i].found);
  }
  TRY(fds.write_array(records.span()));
  return static_cast<long>(found);
}

// poll(2) goes on after a stop or an ignored signal with the deadline that it had.
Result<long> resume_poll(Thread& self) {
  const RestartBlock block = self.restart_block;
  const Result<long> result =
      poll_descriptors(self, UserInOut<PollFd>(UserAddress(block.arguments[0])),
                       static_cast<uint32_t>(block.arguments[1]), block.deadline);
  if (result.is_error() && result.error() == Errno::kRestartNoHand)
    return Errno::kRestartRestartBlock;
  return result;
}

// --- select ---

constexpr size_t kWordBits = 64;
constexpr PollEvents kInSet = kPollIn | kPollRdNorm | kPollRdBand | kPollHup | kPollErr;
constexpr PollEvents kOutSet = kPollOut | kPollWrNorm | kPollWrBand | kPollErr;
constexpr PollEvents kExceptSet = kPollPri;

using FdSetWord = uint64_t;

struct SelectSet {
  UserInOut<FdSetWord> user;
  PollEvents events;
  Vec<FdSetWord> words;

  bool has(size_t fd) const {
    return !words.is_empty() && (words[fd / kWordBits] >> (fd % kWordBits) & 1) != 0;
  }
  void set(size_t fd, bool on) {
    if (words.is_empty()) return;
    const FdSetWord bit = FdSetWord{1} << (fd % kWordBits);
    words[fd / kWordBits] = on ? words[fd / kWordBits] | bit : words[fd / kWordBits] & ~bit;
  }
};

Result<long> select_descriptors(Thread& self, int count, std::span<SelectSet, 3> sets,
                                Nanoseconds deadline) {
  if (count < 0) return Errno::kInval;
  // Descriptors beyond the table are not looked at.
  const size_t limit =
      std::min<size_t>(static_cast<size_t>(count), std::max<uint64_t>(descriptor_limit(), 1024));
  const size_t words = (limit + kWordBits - 1) / kWordBits;
  for (SelectSet& set : sets) {
    if (!set.user.is_null()) set.words = TRY(set.user.read_array(words));
  }
  auto entries = TRY(Vec<Polled>::create(limit));
  size_t ready_already = 0;
  for (size_t fd = 0; fd < limit; ++fd) {
    PollEvents wanted = 0;
    for (const SelectSet& set : sets) {
      if (set.has(fd)) wanted |= set.events;
    }
    if (wanted == 0) continue;
    RefPtr<File> file = TRY(self.files().get(static_cast<int>(fd)));
    if ((file->flags() & kOpenPath) != 0) {
      // It cannot be waited for, and so is ready in every set.
      entries[fd].found = kPollNval;
      ++ready_already;
      continue;
    }
    entries[fd].file = std::move(file);
    entries[fd].wanted = wanted;
  }
  TRY(poll_until(entries.span(), ready_already, deadline));
  long found = 0;
  for (SelectSet& set : sets) {
    for (size_t fd = 0; fd < limit; ++fd) {
      if (!set.has(fd)) continue;
      const bool ready = (entries[fd].found & (set.events | kPollNval)) != 0;
      found += ready ? 1 : 0;
      set.set(fd, ready);
    }
    // What was set beyond the last descriptor asked for is not told back.
    for (size_t fd = limit; fd < words * kWordBits; ++fd) set.set(fd, false);
    if (!set.user.is_null()) TRY(set.user.write_array(set.words.span()));
  }
  return found;
}

Result<long> select_sets(Thread& self, int count, UserInOut<FdSetWord> in, UserInOut<FdSetWord> out,
                         UserInOut<FdSetWord> except, Nanoseconds deadline) {
  std::array<SelectSet, 3> sets = {SelectSet{in, kInSet, {}}, SelectSet{out, kOutSet, {}},
                                   SelectSet{except, kExceptSet, {}}};
  return select_descriptors(self, count, sets, deadline);
}

Result<Nanoseconds> read_deadline(UserIn<Timespec> timeout) {
  if (timeout.is_null()) return kNever;
  return deadline_after(TRY(to_nanoseconds(TRY(timeout.read()))));
}

// The time left, which Linux stores whatever the result; a fault here changes nothing.
void store_remaining(UserAddress timeout, Nanoseconds deadline) {
  if (timeout.is_null()) return;
  (void)UserOut<Timespec>(timeout).write(
      to_timespec(deadline == 0 ? 0 : remaining_until(deadline)));
}

}  // namespace

Result<long> sys_poll(Thread& self, UserInOut<PollFd> fds, uint32_t count, int timeout) {
  const Nanoseconds deadline = deadline_of_milliseconds(timeout);
  const Result<long> result = poll_descriptors(self, fds, count, deadline);
  if (!result.is_error() || result.error() != Errno::kRestartNoHand) return result;
  self.restart_block = {};
  self.restart_block.resume = resume_poll;
  self.restart_block.deadline = deadline;
  self.restart_block.arguments[0] = fds.address().value();
  self.restart_block.arguments[1] = count;
  return Errno::kRestartRestartBlock;
}

Result<long> sys_ppoll(Thread& self, UserInOut<PollFd> fds, uint32_t count,
                       UserInOut<Timespec> timeout, UserIn<SignalSet> mask, size_t mask_size) {
  const Nanoseconds deadline = TRY(read_deadline(timeout));
  TRY(apply_signal_mask(self, mask, mask_size));
  const Result<long> result = poll_descriptors(self, fds, count, deadline);
  store_remaining(timeout.address(), deadline);
  return result;
}

Result<long> sys_select(Thread& self, int count, UserInOut<uint64_t> in, UserInOut<uint64_t> out,
                        UserInOut<uint64_t> except, UserInOut<Timeval> timeout) {
  Nanoseconds deadline = kNever;
  if (!timeout.is_null()) {
    const Timeval time = TRY(timeout.read());
    if (time.seconds < 0 || time.microseconds < 0) return Errno::kInval;
    const Timespec normal = {time.seconds + time.microseconds / 1'000'000,
                             time.microseconds % 1'000'000 * 1000};
    deadline = deadline_after(TRY(to_nanoseconds(normal)));
  }
  const Result<long> result = select_sets(self, count, in, out, except, deadline);
  if (!timeout.is_null()) {
    const Timespec left = to_timespec(deadline == 0        ? 0
                                      : deadline == kNever ? kMaxDuration
                                                           : remaining_until(deadline));
    (void)timeout.write({left.seconds, left.nanoseconds / 1000});
  }
  return result;
}

Result<long> sys_pselect6(Thread& self, int count, UserInOut<uint64_t> in, UserInOut<uint64_t> out,
                          UserInOut<uint64_t> except, UserInOut<Timespec> timeout,
                          UserIn<SignalSetArgument> mask) {
  const Nanoseconds deadline = TRY(read_deadline(timeout));
  if (!mask.is_null()) {
    const SignalSetArgument argument = TRY(mask.read());
    TRY(apply_signal_mask(self, UserIn<SignalSet>(UserAddress(argument.address)), argument.size));
  }
  const Result<long> result = select_sets(self, count, in, out, except, deadline);
  store_remaining(timeout.address(), deadline);
  return result;
}

}  // namespace occlum
