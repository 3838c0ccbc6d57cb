// Tracers and tracees under signals, stops, detaching and ends from all sides: each signal that is sent is reported once
// and, passed on, handled once; a stopped thread goes on when it is told to, is let go, or when its tracer is gone.
#include "tests/unit/process_machine.h"

#include "libos/process/ptrace/constants.h"

namespace occlum {
namespace {

using namespace testing;
using ptrace::Request;

constexpr uint64_t kWaitAll = 0x40000000;  // __WALL
constexpr int kFirstQueued = 40, kQueued = 4;

long trace(Request request, long tid, uint64_t data = 0) {
  return system_call(kNrPtrace, static_cast<long>(request), tid, 0, data);
}

// PTRACE_CONT with the signal of the stop that wait(2) told of.
void pass_on(long tid, uint32_t status) {
  const bool is_event = status >> 16 != 0;
  const uint32_t signal = status >> 8 & 0xff;
  const bool is_stop = kStopSignals.contains(static_cast<int>(signal));
  const long result = trace(Request::kContinue, tid, is_event || is_stop ? 0 : signal);
  EXPECT_TRUE(result == 0 || result == error(Errno::kSrch)) << result;
}

// Two threads of a process each trace two threads of another, which are sent queued signals all the time.
TEST(Ptrace, EachSignalIsReportedOnce) {
  constexpr size_t kTracees = 4, kTracers = 2;
  const int each = rounds(80);
  std::array<std::atomic<long>, kTracees> tids = {};
  std::atomic<int> traced{0}, tracers_left{kTracers}, tracees_left{kTracees};
  std::atomic<long> handled{0}, reported{0};
  std::atomic<bool> all_sent{false};
  constexpr long kAll = static_cast<long>(kTracees);
  run_program([&] {
    const long child = start_process([&] {
      for (int i = 0; i < kQueued; ++i)
        set_handler(kFirstQueued + i, [&](int, const SignalInfo&) { handled.fetch_add(1); });
      for (size_t index = 0; index < kTracees; ++index) {
        EXPECT_GT(start_thread([&, index] {
                    Random random{index};
                    tids[index] = get_tid();
                    while (!all_sent.load() || handled.load() < kAll * each) {
                      if (random() % 2 == 0) {
                        (void)system_call(kNrYield);
                      } else {
                        step();
                      }
                    }
                    tracees_left.fetch_sub(1);
                  }),
                  0);
      }
      await_zero(tracees_left);
      exit_program(0);
    });
    ASSERT_GT(child, 0);
    for (std::atomic<long>& tid : tids) {
      while (tid.load() == 0) (void)system_call(kNrYield);
    }
    for (size_t tracer = 0; tracer < kTracers; ++tracer) {
      ASSERT_GT(start_thread([&, tracer] {
                  for (size_t index = tracer; index < kTracees; index += kTracers) {
                    EXPECT_EQ(trace(Request::kSeize, tids[index].load()), 0);
                    traced.fetch_add(1);
                  }
                  const uint64_t status = user_memory(4096);
                  size_t next = tracer;
                  int ended = 0;
                  std::array<bool, kTracees> gone = {};
                  while (ended < static_cast<int>(kTracees / kTracers)) {
                    const long tid = tids[next].load();
                    const size_t index = next;
                    next = next + kTracers < kTracees ? next + kTracers : tracer;
                    if (gone[index]) continue;
                    constexpr uint64_t kNoHang = 1;
                    const long found = system_call(kNrWait4, tid, status, kWaitAll | kNoHang, 0);
                    if (found == 0) {
                      (void)system_call(kNrYield);
                      continue;
                    }
                    EXPECT_EQ(found, tid);
                    const auto value = load<uint32_t>(status);
                    if ((value & 0xff) != 0x7f) {
                      gone[index] = true;
                      ++ended;
                      continue;
                    }
                    if (value >> 16 == 0) reported.fetch_add(1);
                    pass_on(tid, value);
                  }
                  tracers_left.fetch_sub(1);
                }),
                0);
    }
    while (traced.load() != static_cast<int>(kTracees)) (void)system_call(kNrYield);
    const uint64_t at = user_memory(4096);
    Random random{7};
    for (int number = 0; number < each * static_cast<int>(kTracees); ++number) {
      const int signal = kFirstQueued + static_cast<int>(random() % kQueued);
      const SignalInfo info =
          SignalInfo::from_user(signal, static_cast<Pid>(get_pid()), 0, kSiQueue);
      store(at, UserSignalInfo{.info = info});
      const long tid = tids[random() % kTracees].load();
      const long result = random() % 2 == 0
                              ? system_call(kNrSigqueueinfo, child, signal, at)
                              : system_call(kNrTgsigqueueinfo, child, tid, signal, at);
      EXPECT_EQ(result, 0);
      if (random() % 4 == 0) {
        EXPECT_EQ(trace(Request::kInterrupt, tid), error(Errno::kSrch));  // not ours
      }
    }
    all_sent.store(true);
    await_zero(tracers_left);
    EXPECT_EQ(system_call(kNrWait4, child, 0, 0, 0), child);
  });
  EXPECT_EQ(handled.load(), kAll * each);
  // Those to the process may have been taken by its leader, whom nobody traces.
  EXPECT_LE(reported.load(), kAll * each);
  EXPECT_GT(reported.load(), 0);
}

// A tracer that attaches, interrupts, lets go and dies, with its tracee stopped or not, while another sends stops: in the
// end the tracee has done all its work.
TEST(Ptrace, NobodyStaysStopped) {
  const int each = rounds(30);
  run_program([&] {
    for (int round = 0; round < each; ++round) {
      std::atomic<bool> is_over{false};
      std::atomic<int> left{1};
      std::atomic<int> tracers{2};
      const long child = start_process([&] {
        std::atomic<int> threads{2};
        for (int index = 0; index < 2; ++index) {
          EXPECT_GT(start_thread([&] {
                      for (int i = 0; tracers.load() != 0 || i < 20; ++i) {
                        (void)system_call(kNrYield);
                        step();
                      }
                      threads.fetch_sub(1);
                    }),
                    0);
        }
        await_zero(threads);
        exit_program(5);
      });
      ASSERT_GT(child, 0);
      for (int tracer = 0; tracer < 2; ++tracer) {
        ASSERT_GT(start_process([&, tracer, child, round] {
                    Random random{static_cast<uint64_t>(round * 2 + tracer)};
                    const uint64_t status = user_memory(4096);
                    for (int i = 0; i < 4; ++i) {
                      const bool seizes = random() % 2 == 0;
                      const Request how = seizes ? Request::kSeize : Request::kAttach;
                      if (trace(how, child) != 0) {
                        (void)system_call(kNrYield);
                        continue;
                      }
                      if (seizes) EXPECT_EQ(trace(Request::kInterrupt, child), 0);
                      if (random() % 8 == 0) break;  // and dies: the tracee is let go
                      EXPECT_EQ(system_call(kNrWait4, child, status, kWaitAll, 0), child);
                      const uint32_t dice = random() % 4;
                      if (dice == 0) break;
                      if (dice == 1) {
                        pass_on(child, load<uint32_t>(status));
                        break;
                      }
                      EXPECT_EQ(trace(Request::kDetach, child), 0);
                    }
                    tracers.fetch_sub(1);
                  }),
                  0);
      }
      ASSERT_GT(start_thread([&, child] {
                  while (!is_over.load()) {
                    (void)system_call(kNrKill, child, kSigStop);
                    (void)system_call(kNrYield);
                    (void)system_call(kNrKill, child, kSigCont);
                    for (int i = 0; i < 20; ++i) (void)system_call(kNrYield);
                  }
                  left.fetch_sub(1);
                }),
                0);
      const uint64_t status = user_memory(4096);
      EXPECT_EQ(system_call(kNrWait4, child, status, 0, 0), child);
      EXPECT_EQ(load<uint32_t>(status), 5u << 8);
      is_over.store(true);
      await_zero(left);
      for (int tracer = 0; tracer < 2; ++tracer)
        EXPECT_GT(system_call(kNrWait4, -1, status, 0, 0), 0);
    }
  });
}

// SIGKILL and exit_group(2) against tracees in their stops.
TEST(Ptrace, DeathEndsStops) {
  constexpr int kThreads = 3;
  const int each = rounds(30);
  run_program([&] {
    const uint64_t status = user_memory(4096);
    for (int round = 0; round < each; ++round) {
      std::array<std::atomic<long>, kThreads> tids = {};
      std::atomic<bool> ends{false};
      const long child = start_process([&] {
        for (size_t index = 0; index < kThreads; ++index) {
          EXPECT_GT(start_thread([&, index] {
                      tids[index] = get_tid();
                      while (true) {
                        (void)system_call(kNrYield);
                        if (index == 0 && ends.load()) exit_program(9);
                      }
                    }),
                    0);
        }
        while (true) (void)system_call(kNrPause);
      });
      ASSERT_GT(child, 0);
      for (std::atomic<long>& tid : tids) {
        while (tid.load() == 0) (void)system_call(kNrYield);
      }
      // The first is left alone, to end them all.
      for (size_t index = 1; index < kThreads; ++index) {
        EXPECT_EQ(trace(Request::kSeize, tids[index].load()), 0);
        EXPECT_EQ(trace(Request::kInterrupt, tids[index].load()), 0);
        if (round % 2 == 0)
          EXPECT_EQ(system_call(kNrWait4, tids[index].load(), status, kWaitAll, 0),
                    tids[index].load());
      }
      for (int i = 0; i < round; ++i) (void)system_call(kNrYield);
      if (round % 3 == 0) {
        ends.store(true);
      } else {
        EXPECT_EQ(system_call(kNrKill, child, kSigKill), 0);
      }
      int deaths = 0;
      while (true) {
        const long found = system_call(kNrWait4, -1, status, kWaitAll, 0);
        if (found == error(Errno::kChild)) break;
        EXPECT_GT(found, 0);
        const auto value = load<uint32_t>(status);
        if ((value & 0xff) == 0x7f) continue;  // a stop that was not waited for yet
        EXPECT_EQ(value, round % 3 == 0 ? 9u << 8 : static_cast<uint32_t>(kSigKill));
        ++deaths;
      }
      EXPECT_EQ(deaths, kThreads);  // two tracees and the process
    }
  });
}

}  // namespace
}  // namespace occlum
