// Ticks where the host likes them: at every instruction of given ranges, by the emulator's single steps, and at random
// moments.
#include <pthread.h>
#include <time.h>

#include <deque>
#include <mutex>
#include <thread>

#include "emulator/emulator.h"
#include "tests/enclave/hostile.h"

namespace hostile {
namespace {

// A vCPU's thread. It gets no tick before the last one has been handled: with more of them it would come to nothing
// else, as any host can make it.
struct Target {
  pthread_t thread;
  std::atomic<bool> under_way{false};
};

std::mutex threads_lock;
std::deque<Target> threads;
thread_local Target* self = nullptr;
int step_signal = 0;
size_t next_range = 0;

}  // namespace

void note_thread() {
  const std::lock_guard guard(threads_lock);
  self = &threads.emplace_back(pthread_self());
}

void tick_handled() {
  if (self != nullptr) self->under_way = false;
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
      if (threads.empty()) continue;
      Target& target = threads[random_number() % threads.size()];
      if (!target.under_way.exchange(true)) pthread_kill(target.thread, signal);
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
