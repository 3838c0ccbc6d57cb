// Sending signals to programs that run, wait, block, unblock, fork, start threads and end meanwhile: each queued signal
// arrives once, by a handler, sigtimedwait(2) or a signalfd, and whoever sleeps where a signal can be taken wakes.
#include "tests/unit/process_machine.h"

namespace occlum {
namespace {

using namespace testing;

constexpr int kFirstQueued = 40, kQueued = 6, kPing = 64;
constexpr uint64_t kNrRead = 0, kNrSignalfd4 = 289, kNonBlocking = 04000;

SignalSet queued_signals() {
  SignalSet set;
  for (int i = 0; i < kQueued; ++i) set.add(kFirstQueued + i);
  return set;
}

// A sender's number becomes the value that the signal carries.
struct Ledger {
  explicit Ledger(size_t count) : seen(count) {}
  std::vector<std::atomic<int>> seen;
  std::atomic<size_t> taken{0};

  void note(uint64_t value) {
    ASSERT_LT(value, seen.size());
    seen[value].fetch_add(1);
    taken.fetch_add(1);
  }
  void check() const {
    EXPECT_EQ(taken.load(), seen.size());
    for (size_t value = 0; value < seen.size(); ++value) EXPECT_EQ(seen[value].load(), 1) << value;
  }
};

// A thread's page of the program's memory: arguments of its calls.
struct Scratch {
  uint64_t page = user_memory(4096);
  uint64_t set() const { return page; }
  uint64_t timeout() const { return page + 64; }
  uint64_t info() const { return page + 256; }
};

struct WantedTime {
  int64_t seconds, nanoseconds;
};

// sigqueue(3), to the process or (`tid` not 0) a thread of it; again while too many are queued.
void send_queued(const Scratch& scratch, long pid, long tid, int signal, uint64_t value) {
  SignalInfo info = SignalInfo::from_user(signal, static_cast<Pid>(get_pid()), 0, kSiQueue);
  info.sender.value = value;
  store(scratch.info(), UserSignalInfo{.info = info});
  while (true) {
    const long result = tid == 0 ? system_call(kNrSigqueueinfo, pid, signal, scratch.info())
                                 : system_call(kNrTgsigqueueinfo, pid, tid, signal, scratch.info());
    if (result == 0) return;
    ASSERT_EQ(result, error(Errno::kAgain));
    (void)system_call(kNrYield);
  }
}

// One way to take signals, chosen by dice. All but the last leave them blocked no longer than they need.
void take_some(Ledger& ledger, const Scratch& scratch, long signal_fd, uint32_t dice) {
  const SignalSet wanted = queued_signals();
  switch (dice % 5) {
    case 0:  // by handlers
      step();
      (void)system_call(kNrYield);
      return;
    case 1: {  // blocked for a while
      change_mask(kBlock, wanted, scratch.set());
      (void)system_call(kNrYield);
      step();
      change_mask(kUnblock, wanted, scratch.set());
      return;
    }
    case 2: {
      change_mask(kBlock, wanted, scratch.set());
      store(scratch.set(), wanted);
      store(scratch.timeout(), WantedTime{0, static_cast<int64_t>(dice % 1024) * 100});
      const long taken = system_call(kNrSigtimedwait, scratch.set(), scratch.info(),
                                     scratch.timeout(), sizeof(SignalSet));
      if (taken > 0) {
        const auto info = load<SignalInfo>(scratch.info());
        EXPECT_EQ(info.signal, taken);
        ledger.note(info.sender.value);
      } else {
        EXPECT_TRUE(taken == error(Errno::kAgain) || taken == error(Errno::kIntr)) << taken;
      }
      change_mask(kUnblock, wanted, scratch.set());
      return;
    }
    case 3: {
      change_mask(kBlock, wanted, scratch.set());
      const long bytes = system_call(kNrRead, signal_fd, scratch.info(), 128);
      if (bytes == 128) {
        ledger.note(load<uint64_t>(scratch.info() + 48));  // ssi_ptr
      } else {
        EXPECT_EQ(bytes, error(Errno::kAgain));
      }
      change_mask(kUnblock, wanted, scratch.set());
      return;
    }
    case 4: {  // asleep until a handler has run; the last ping wakes who sleeps then
      change_mask(kBlock, wanted | SignalSet::of(kPing), scratch.set());
      store(scratch.set(), SignalSet());
      EXPECT_EQ(system_call(kNrSigsuspend, scratch.set(), sizeof(SignalSet)), error(Errno::kIntr));
      change_mask(kUnblock, wanted | SignalSet::of(kPing), scratch.set());
      return;
    }
  }
}

// Whoever gets signals faster than it handles them does nothing else: each pause between two is twice as long as the
// one before, so however slow the machine is, one of them is long enough.
class Pauses {
 public:
  void let_work() {
    for (uint64_t i = 0; i < yields_; ++i) (void)system_call(kNrYield);
    yields_ *= 2;
  }

 private:
  uint64_t yields_ = 100;
};

TEST(Signals, EachQueuedOneArrivesOnce) {
  constexpr int kTakers = 4, kSenders = 3, kStarters = 2;
  const int each = rounds(200);
  Ledger ledger(static_cast<size_t>(kSenders * each));
  std::array<std::atomic<long>, kTakers> takers = {};
  std::atomic<int> senders_left{kSenders}, takers_left{kTakers}, starters_left{kStarters};
  const auto is_over = [&] { return ledger.taken.load() == ledger.seen.size(); };
  run_program([&] {
    for (int i = 0; i < kQueued; ++i) {
      set_handler(kFirstQueued + i,
                  [&](int, const SignalInfo& info) { ledger.note(info.sender.value); });
    }
    set_handler(kPing, [](int, const SignalInfo&) {});
    const long receiver = get_pid();
    const uint64_t scratch_set = user_memory(4096);
    store(scratch_set, queued_signals());
    const long signal_fd =
        system_call(kNrSignalfd4, -1, scratch_set, sizeof(SignalSet), kNonBlocking);
    ASSERT_GE(signal_fd, 0);
    for (size_t index = 0; index < kTakers; ++index) {
      ASSERT_GT(start_thread([&, index, signal_fd] {
                  const Scratch scratch;
                  Random random{index};
                  takers[index] = get_tid();
                  while (senders_left.load() != 0) take_some(ledger, scratch, signal_fd, random());
                  while (!is_over()) take_some(ledger, scratch, signal_fd, 0);
                  takers_left.fetch_sub(1);
                }),
                0);
    }
    for (std::atomic<long>& taker : takers) {
      while (taker.load() == 0) (void)system_call(kNrYield);
    }
    // Threads that take one now and then, and are gone.
    for (int index = 0; index < kStarters; ++index) {
      ASSERT_GT(start_thread([&] {
                  // Their stacks stay mapped: so many, and no more.
                  for (int i = 0; i < each && senders_left.load() != 0; ++i) {
                    EXPECT_GT(start_thread([] { step(); }), 0);
                    (void)system_call(kNrYield);
                  }
                  starters_left.fetch_sub(1);
                }),
                0);
    }
    for (int sender = 0; sender < kSenders; ++sender) {
      ASSERT_GT(start_process([&, sender, receiver] {
                  const Scratch scratch;
                  Random random{static_cast<uint64_t>(sender) + 100};
                  for (int number = 0; number < each; ++number) {
                    const long tid = random() % 2 == 0 ? 0 : takers[random() % kTakers].load();
                    send_queued(scratch, receiver, tid,
                                kFirstQueued + static_cast<int>(random() % kQueued),
                                static_cast<uint64_t>(sender * each + number));
                    if (random() % 4 == 0) (void)system_call(kNrYield);
                  }
                  senders_left.fetch_sub(1);
                }),
                0);
    }
    while (senders_left.load() != 0) (void)system_call(kNrYield);
    for (Pauses pauses; takers_left.load() != 0; pauses.let_work()) {
      for (std::atomic<long>& taker : takers)
        (void)system_call(kNrTgkill, receiver, taker.load(), kPing);
    }
    while (starters_left.load() != 0) (void)system_call(kNrYield);
    for (int sender = 0; sender < kSenders; ++sender)
      EXPECT_GT(system_call(kNrWait4, -1, 0, 0, 0), 0);
  });
  ledger.check();
  EXPECT_EQ(queued_signals_of(0), 0u);
}

// Two threads that wake each other with nothing but signals: without a time limit, so none may be lost.
TEST(Signals, PingPong) {
  constexpr size_t kPairs = 3;
  const int each = rounds(200);
  std::array<std::array<std::atomic<long>, 2>, kPairs> players = {};
  std::atomic<int> left{kPairs * 2};
  std::atomic<long> handled{0}, waited{0};
  run_program([&] {
    set_handler(kPing, [&](int, const SignalInfo&) { handled.fetch_add(1); });
    const uint64_t blocked = user_memory(4096);
    change_mask(kBlock, SignalSet::of(kPing), blocked);
    for (size_t pair = 0; pair < kPairs; ++pair) {
      for (size_t side = 0; side < 2; ++side) {
        ASSERT_GT(start_thread([&, pair, side] {
                    const Scratch scratch;
                    std::atomic<long>& other = players[pair][1 - side];
                    players[pair][side] = get_tid();
                    while (other.load() == 0) (void)system_call(kNrYield);
                    for (int round = 0; round < each; ++round) {
                      if (side == 0)
                        EXPECT_EQ(system_call(kNrTgkill, get_pid(), other.load(), kPing), 0);
                      if ((round + static_cast<int>(side)) % 2 == 0) {
                        store(scratch.set(), SignalSet());
                        EXPECT_EQ(system_call(kNrSigsuspend, scratch.set(), sizeof(SignalSet)),
                                  error(Errno::kIntr));
                      } else {
                        store(scratch.set(), SignalSet::of(kPing));
                        EXPECT_EQ(
                            system_call(kNrSigtimedwait, scratch.set(), 0, 0, sizeof(SignalSet)),
                            kPing);
                        waited.fetch_add(1);
                      }
                      if (side == 1)
                        EXPECT_EQ(system_call(kNrTgkill, get_pid(), other.load(), kPing), 0);
                    }
                    left.fetch_sub(1);
                  }),
                  0);
      }
    }
    while (left.load() != 0) (void)system_call(kNrYield);
  });
  EXPECT_EQ(handled.load() + waited.load(), static_cast<long>(kPairs) * 2 * each);
}

// A signal of the process, chosen for a thread that then blocks it or ends: another takes it, though it sleeps.
TEST(Signals, TheProcessHasATaker) {
  constexpr int kSleepers = 4;
  const int each = rounds(300);
  std::atomic<bool> is_over{false};
  std::atomic<int> left{kSleepers};
  std::atomic<long> handled{0};
  run_program([&] {
    const uint64_t blocked = user_memory(4096);
    change_mask(kBlock, SignalSet::of(kPing), blocked);
    set_handler(kPing, [&](int, const SignalInfo&) { handled.fetch_add(1); });
    // It blocks and unblocks, sleeps where it can be woken, and goes on as another thread now and then.
    static const auto sleep = [](auto& self, std::atomic<bool>& over, std::atomic<int>& rest,
                                 uint64_t seed) -> void {
      const Scratch scratch;
      Random random{seed};
      while (!over.load()) {
        change_mask(kUnblock, SignalSet::of(kPing), scratch.set());
        if (random() % 2 == 0) (void)system_call(kNrPause);
        change_mask(kBlock, SignalSet::of(kPing), scratch.set());
        if (random() % 4 == 0) (void)system_call(kNrYield);
        if (random() % 8 != 0) continue;
        const uint64_t next = random();
        EXPECT_GT(start_thread([&self, &over, &rest, next] { self(self, over, rest, next); }), 0);
        change_mask(kUnblock, SignalSet::of(kPing), scratch.set());
        return;
      }
      rest.fetch_sub(1);
    };
    for (uint64_t index = 0; index < kSleepers; ++index) {
      ASSERT_GT(start_thread([&, index] { sleep(sleep, is_over, left, index); }), 0);
    }
    for (int round = 0; round < each; ++round) {
      const long before = handled.load();
      ASSERT_EQ(system_call(kNrKill, get_pid(), kPing), 0);
      while (handled.load() == before) (void)system_call(kNrYield);
    }
    is_over.store(true);
    for (Pauses pauses; left.load() != 0; pauses.let_work())
      (void)system_call(kNrKill, get_pid(), kPing);
  });
}

// kill(2) to a group whose members come and go: those that are there all the time get each signal once.
TEST(Signals, GroupsGetEach) {
  constexpr int kMembers = 3;
  const int each = rounds(40);
  std::atomic<int> ready{0};
  std::array<std::atomic<int>, kMembers> got = {};
  run_program([&] {
    std::atomic<bool> is_over{false};
    const long group = get_pid();
    set_action(kPing, SignalAction{.handler = kSigIgn, .flags = 0, .restorer = 0, .mask = {}});
    for (size_t member = 0; member < kMembers; ++member) {
      ASSERT_GT(start_process([&, member] {
                  // Its own children have the handler too.
                  set_handler(kPing, [&, member, own = get_pid()](int, const SignalInfo&) {
                    if (get_pid() == own) ++got[member];
                  });
                  for (int index = 0; index < 2; ++index) {
                    (void)start_thread([&] {
                      while (!is_over.load()) (void)system_call(kNrPause);
                    });
                  }
                  ++ready;
                  while (!is_over.load()) {
                    const long passing = start_process([] { step(); });
                    EXPECT_GT(passing, 0);
                    while (system_call(kNrWait4, passing, 0, 0, 0) == error(Errno::kIntr)) {
                    }
                  }
                  exit_program(0);
                }),
                0);
    }
    while (ready.load() != kMembers) (void)system_call(kNrYield);
    for (int round = 1; round <= each; ++round) {
      ASSERT_EQ(system_call(kNrKill, -group, kPing), 0);
      for (std::atomic<int>& count : got) {
        while (count.load() < round) (void)system_call(kNrYield);
        EXPECT_EQ(count.load(), round);
      }
    }
    is_over.store(true);
    for (int member = 0; member < kMembers; ++member)
      EXPECT_GT(system_call(kNrWait4, -1, 0, 0, 0), 0);
  });
}

}  // namespace
}  // namespace occlum
