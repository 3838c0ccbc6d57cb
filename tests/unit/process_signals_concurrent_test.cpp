// Pending signals under many senders and receivers, on the real scheduler: each queued signal is delivered exactly once
// and in its sender's order, a standard signal that was sent is never lost, the count of the user's nodes is right, and
// who waits for a signal wakes. Send and take here are what signals/send.cpp and deliver.cpp do around the queues.
#include "tests/unit/sched_machine.h"

// The C++ run time's own `abi`, which gtest includes, must not be ours.
#define abi cxx_run_time_abi
#include <gtest/gtest.h>
#undef abi

#include <map>
#include <random>

#include "libos/process/signals/pending.cpp"

namespace occlum {
namespace {

using testing::HostedTask;
using testing::make_task;
using testing::run_tasks;
using testing::user_code;

constexpr uint32_t kUser = 77;
constexpr int kSenders = 6, kReceivers = 4, kEach = 300;
constexpr int kFirstQueued = 34, kQueued = 5;  // signal numbers
constexpr uint64_t kLimit = 60;

// A process: what is sent to it may be taken by any of its threads.
struct Receivers {
  SpinLocked<PendingSignals> shared{LockRank::kSignal};
  std::array<SpinLocked<PendingSignals>, kReceivers> own = {
      SpinLocked<PendingSignals>(LockRank::kSignal), SpinLocked<PendingSignals>(LockRank::kSignal),
      SpinLocked<PendingSignals>(LockRank::kSignal), SpinLocked<PendingSignals>(LockRank::kSignal)};
  std::array<HostedTask*, kReceivers> tasks = {};
  std::atomic<int> senders_left{kSenders};
  std::atomic<int> receivers_left{kReceivers};
  std::atomic<int> queued_taken{0};
  std::atomic<uint64_t> standard_sent{0}, standard_seen{0};
  // By receiver: each writes its own.
  std::array<std::vector<SignalInfo>, kReceivers> log;

  void wake(size_t index) {
    tasks[index]->interrupted.store(true);
    tasks[index]->interrupt();
  }
  void wake_all() {
    for (size_t i = 0; i < kReceivers; ++i) wake(i);
  }
};

SignalInfo numbered(int signal, int sender, int number) {
  SignalInfo info = SignalInfo::from_user(signal, 1, 2, kSiQueue);
  info.sender.value = static_cast<uint64_t>(sender) * 100'000 + static_cast<uint64_t>(number);
  return info;
}

// sigqueue(3) to the process or to one thread; at the limit it tries again. Only the first queue keeps a sender's order:
// so each signal number goes to one queue.
void send_queued(Receivers& to, int sender, int number) {
  const int signal = kFirstQueued + number % kQueued;
  const SignalInfo info = numbered(signal, sender, number);
  while (true) {
    Result<RefPtr<QueuedSignal>> node = QueuedSignal::create(info, kUser, kLimit);
    if (node.is_error()) {
      EXPECT_EQ(node.error(), Errno::kAgain);
      yield_task();
      continue;
    }
    EXPECT_LE(queued_signals_of(kUser), kLimit + kSenders);
    const size_t thread = static_cast<size_t>(signal - kFirstQueued);
    if (thread < kReceivers) {
      EXPECT_TRUE(to.own[thread].with(
          [&](PendingSignals& pending) { return pending.add(node.release_value()); }));
      to.wake(thread);
    } else {
      EXPECT_TRUE(to.shared.with(
          [&](PendingSignals& pending) { return pending.add(node.release_value()); }));
      to.wake_all();
    }
    return;
  }
}

// kill(2) with a standard signal: it merges with one that is pending. Without memory for a node it has none.
void send_standard(Receivers& to, uint32_t dice) {
  to.standard_sent.fetch_add(1);
  Result<RefPtr<QueuedSignal>> node =
      dice % 4 == 0 ? Result<RefPtr<QueuedSignal>>(Errno::kAgain)
                    : QueuedSignal::create(SignalInfo::from_kernel(kSigUsr1), kUser, UINT64_MAX);
  to.shared.with([&](PendingSignals& pending) {
    if (node.is_error()) {
      pending.add_bare(kSigUsr1);
    } else {
      (void)pending.add(node.release_value());
    }
  });
  to.wake_all();
}

std::optional<SignalInfo> take_one(Receivers& from, size_t index) {
  const auto take = [](PendingSignals& pending) { return pending.take(SignalSet::all()); };
  if (std::optional<SignalInfo> info = from.own[index].with(take)) return info;
  return from.shared.with(take);
}

void receive(Receivers& from, size_t index) {
  auto& self = static_cast<HostedTask&>(current_task());
  while (true) {
    self.interrupted.store(false);
    const bool is_last_look = from.senders_left.load() == 0;
    while (const std::optional<SignalInfo> info = take_one(from, index)) {
      if (info->signal == kSigUsr1) {
        from.standard_seen.fetch_add(1);
      } else {
        from.queued_taken.fetch_add(1);
        from.log[index].push_back(*info);
      }
    }
    if (is_last_look) break;
    user_code();
    (void)park(kNever, Interruptible::kYes);
  }
  // The others have a pointer to us.
  from.receivers_left.fetch_sub(1);
  while (from.receivers_left.load() != 0) yield_task();
}

void run_round(uint32_t seed) {
  Receivers process;
  std::vector<RefPtr<HostedTask>> tasks;
  for (size_t i = 0; i < kReceivers; ++i) {
    tasks.push_back(make_task([&process, i] { receive(process, i); }));
    process.tasks[i] = tasks.back().get();
  }
  for (int sender = 0; sender < kSenders; ++sender) {
    tasks.push_back(make_task([&process, sender, seed] {
      std::mt19937 random(seed * 100 + static_cast<uint32_t>(sender));
      for (int number = 0; number < kEach; ++number) {
        send_queued(process, sender, number);
        if (random() % 4 == 0) send_standard(process, random());
        if (random() % 8 == 0) user_code();
      }
      // The last one's word is heard by all.
      process.senders_left.fetch_sub(1);
      process.wake_all();
      while (process.receivers_left.load() != 0) yield_task();
    }));
  }
  run_tasks(std::move(tasks));

  EXPECT_EQ(process.queued_taken.load(), kSenders * kEach);
  EXPECT_EQ(queued_signals_of(kUser), 0u);
  EXPECT_LE(process.standard_seen.load(), process.standard_sent.load());
  if (process.standard_sent.load() != 0) EXPECT_GE(process.standard_seen.load(), 1u);
  std::map<uint64_t, int> seen;
  for (size_t i = 0; i < kReceivers; ++i) {
    // By signal and sender.
    std::map<std::pair<int, uint64_t>, uint64_t> last;
    for (const SignalInfo& info : process.log[i]) {
      const uint64_t value = info.sender.value;
      ++seen[value];
      uint64_t& before = last[{info.signal, value / 100'000}];
      if (info.signal - kFirstQueued < kReceivers)
        EXPECT_EQ(info.signal - kFirstQueued, static_cast<int>(i));
      EXPECT_LE(before, value % 100'000);
      before = value % 100'000;
    }
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kSenders * kEach));
  for (const auto& [value, times] : seen) EXPECT_EQ(times, 1) << value;
}

TEST(PendingSignals, ManySendersManyReceivers) {
  for (uint32_t seed = 1; seed <= 6; ++seed) run_round(seed);
}

// Nodes that a sender takes back (a timer that is deleted) against a receiver that takes them.
TEST(PendingSignals, TakenBackOrDelivered) {
  constexpr int kRounds = 3'000;
  SpinLocked<PendingSignals> pending(LockRank::kSignal);
  std::atomic<int> sent{0}, delivered{0}, taken_back{0};
  std::atomic<bool> done{false};
  std::vector<RefPtr<HostedTask>> tasks;
  tasks.push_back(make_task([&] {
    RefPtr<QueuedSignal> node =
        MUST(QueuedSignal::create(numbered(kFirstQueued, 0, 0), kUser, UINT64_MAX));
    for (int round = 0; round < kRounds; ++round) {
      const bool added = pending.with([&](PendingSignals& all) {
        if (node->is_queued()) return false;
        return all.add(node);
      });
      if (added) sent.fetch_add(1);
      if (round % 3 == 0) yield_task();
      if (pending.with([&](PendingSignals& all) { return all.remove(*node); }))
        taken_back.fetch_add(1);
      user_code();
    }
    done.store(true);
  }));
  tasks.push_back(make_task([&] {
    while (!done.load()) {
      if (pending.with([](PendingSignals& all) { return all.take(SignalSet::all()); }))
        delivered.fetch_add(1);
      yield_task();
      user_code();
    }
  }));
  run_tasks(std::move(tasks));
  EXPECT_EQ(sent.load(), delivered.load() + taken_back.load());
  EXPECT_EQ(queued_signals_of(kUser), 0u);
}

}  // namespace
}  // namespace occlum
