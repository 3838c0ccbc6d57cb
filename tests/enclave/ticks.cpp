// Ticks where the host likes them: at every instruction of given ranges, by the emulator's single steps, and at random
// moments.
#include <pthread.h>
#include <time.h>

#include <mutex>
#include <thread>

#include "emulator/emulator.h"
#include "tests/enclave/hostile.h"

namespace hostile {
namespace {

std::mutex threads_lock;
std::vector<pthread_t> threads;
int step_signal = 0;
size_t next_range = 0;

}  // namespace

void note_thread() {
  const std::lock_guard guard(threads_lock);
  threads.push_back(pthread_self());
}

void start_ticks(int signal) {
  std::thread([signal] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    while (true) {
      const timespec moment{
          .tv_sec = 0, .tv_nsec = static_cast<long>(random_number() % (settings.ticks * 1000))};
      nanosleep(&moment, nullptr);
      const std::lock_guard guard(threads_lock);
      if (!threads.empty()) pthread_kill(threads[random_number() % threads.size()], signal);
    }
  }).detach();
}

bool stepping() { return step_signal != 0; }

void begin_steps(int signal) {
  step_signal = signal;
  next_step_round();
}

// A new round: each address of the next range is ticked once again.
void next_step_round() {
  const auto [start, size] = settings.steps[next_range++ % settings.steps.size()];
  counts.steps += emulator::step_ticks(reinterpret_cast<const void*>(start), size, step_signal);
  counts.rounds++;
}

}  // namespace hostile
