// Processes that dump core while their threads start others, fork and end, and others kill them: nobody waits for a thread
// that is not coming, and the status is that of one of those who wanted the end.
#include "tests/unit/process_machine.h"

#include <set>

namespace occlum {
namespace {

using namespace testing;

constexpr int kDumped = 0x80;

void allow_core() { current_thread().process().set_limit(Resource::kCore, ResourceLimit{}); }

// What a thread does until its process ends.
void do_something(uint32_t dice) {
  switch (dice % 4) {
    case 0:
      return step();
    case 1:
      (void)system_call(kNrYield);
      return;
    case 2:
      (void)start_thread([] { step(); });
      return;
    case 3: {
      const long child = clone_with(kCloneVm | kSigChld, [] { step(); });
      if (child > 0) (void)system_call(kNrWait4, child, 0, 0, 0);
      return;
    }
  }
}

struct Ends {
  int threads = 4;           // that do something
  std::vector<int> signals;  // a thread for each, that sends it to its process
  bool has_exit = false;     // and one that calls exit_group(2)
};

// The wait status of a process that ends so.
uint32_t end_so(const Ends& ends, int seed, uint64_t scratch) {
  const long child = start_process([&ends, seed] {
    allow_core();
    for (int index = 0; index < ends.threads; ++index) {
      (void)start_thread([index, seed] {
        Random random{static_cast<uint64_t>(seed * 16 + index)};
        while (true) do_something(random());
      });
    }
    for (const int signal : ends.signals) {
      (void)start_thread([signal, seed] {
        Random random{static_cast<uint64_t>(seed * 128 + signal)};
        for (uint32_t i = random() % 8; i != 0; --i) (void)system_call(kNrYield);
        (void)system_call(kNrKill, get_pid(), signal);
      });
    }
    if (ends.has_exit) {
      (void)start_thread([seed] {
        for (int i = seed % 8; i != 0; --i) (void)system_call(kNrYield);
        exit_program(3);
      });
    }
    while (true) (void)system_call(kNrPause);
  });
  EXPECT_GT(child, 0);
  EXPECT_EQ(system_call(kNrWait4, child, scratch, 0, 0), child);
  return load<uint32_t>(scratch);
}

TEST(CoreDump, OfThreadsThatDoAnything) {
  const int each = rounds(40);
  const Ends ends{.threads = 4, .signals = {kSigAbrt}};
  run_program([&] {
    const uint64_t scratch = user_memory(4096);
    for (int round = 0; round < each; ++round) {
      EXPECT_EQ(end_so(ends, round, scratch), static_cast<uint32_t>(kSigAbrt | kDumped));
    }
  });
}

TEST(CoreDump, AmongOtherEnds) {
  const int each = rounds(60);
  const Ends ends{
      .threads = 2, .signals = {kSigAbrt, kSigSegv, kSigTerm, kSigKill}, .has_exit = true};
  const std::set<uint32_t> wanted = {kSigAbrt | kDumped, kSigSegv | kDumped, kSigTerm, kSigKill,
                                     3 << 8};
  run_program([&] {
    const uint64_t scratch = user_memory(4096);
    for (int round = 0; round < each; ++round) {
      const uint32_t status = end_so(ends, round, scratch);
      EXPECT_TRUE(wanted.contains(status)) << status;
    }
  });
}

// They take the file from one another: who comes too late has none.
TEST(CoreDump, OfSeveralProcesses) {
  constexpr int kProcesses = 3;
  const int each = rounds(15);
  const Ends ends{.threads = 1, .signals = {kSigAbrt}};
  run_program([&] {
    std::atomic<int> left{kProcesses};
    for (int number = 0; number < kProcesses; ++number) {
      ASSERT_GT(start_thread([&, number] {
                  const uint64_t scratch = user_memory(4096);
                  for (int round = 0; round < each; ++round) {
                    const uint32_t status = end_so(ends, number * each + round, scratch);
                    EXPECT_EQ(status & ~uint32_t{kDumped}, static_cast<uint32_t>(kSigAbrt));
                  }
                  left.fetch_sub(1);
                }),
                0);
    }
    await_zero(left);
  });
}

}  // namespace
}  // namespace occlum
