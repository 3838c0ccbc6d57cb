// Timers of a process: alarm(2) and setitimer(2), timer_create(2).
//
// A timer that measures real time arms a scheduler timer for its expiry. One that measures CPU time does the same for
// the earliest moment at which that much can have been used, looks at the CPU clock then, and tries again if it is not
// there yet. Expiry sends a signal under the process table's lock and never allocates (a POSIX timer owns its queue
// node); an expiry whose signal is still pending counts as an overrun.
#pragma once

#include <array>

#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/tree.h"
#include "libos/process/pid.h"
#include "libos/process/signals/pending.h"
#include "libos/sched/timer.h"

namespace occlum {

class Process;

// What a timer or clock measures.
enum class TimeSource : uint8_t { kMonotonic, kRealtime, kProcessCpu, kProcessUser, kThreadCpu };

// Time left until the next expiry and the period; ns, 0: disarmed / once.
struct TimerSetting {
  uint64_t remaining = 0;
  uint64_t interval = 0;
};

// The common part: when it goes off next, and again and again.
class IntervalTimer : public Timer {
 public:
  // `whose`: the thread or process of a CPU clock.
  IntervalTimer(Process& process, TimeSource source, Pid whose)
      : process_(process), source_(source), whose_(whose) {}
  ~IntervalTimer() override { cancel(); }

  TimerSetting get() const;
  // `first` is absolute on the timer's clock, kNever disarms. Returns the old setting.
  TimerSetting set(Nanoseconds first, uint64_t interval);
  Nanoseconds clock_now() const;
  TimeSource source() const { return source_; }

 protected:
  // `times` periods have passed, at least one.
  virtual void fire(uint64_t times) = 0;
  Process& process_;

 private:
  void expired() override;
  // When the clock can first show `when`, in monotonic time.
  Nanoseconds alarm_time(Nanoseconds when) const;

  struct State {
    Nanoseconds next = kNever;  // on its clock
    uint64_t interval = 0;
  };
  const TimeSource source_;
  const Pid whose_;
  mutable SpinLocked<State> state_{LockRank::kSignal};
};

// setitimer(2)'s.
class ItimerTimer final : public IntervalTimer {
 public:
  ItimerTimer(Process& process, TimeSource source, Pid whose, int signal)
      : IntervalTimer(process, source, whose), signal_(signal) {}

 private:
  void fire(uint64_t times) override;
  const int signal_;
};

// RLIMIT_CPU: SIGXCPU at the soft limit and each second from then on, SIGKILL at the hard one.
class CpuLimitTimer final : public IntervalTimer {
 public:
  CpuLimitTimer(Process& process, Pid pid) : IntervalTimer(process, TimeSource::kProcessCpu, pid) {}
  void apply(uint64_t soft_seconds);

 private:
  void fire(uint64_t times) override;
};

// RLIMIT_RTTIME: how long a real-time thread may run without sleeping. SIGXCPU at the soft limit and each second from then
// on, SIGKILL at the hard one. Looks at the threads while one of them is awake; the first to wake starts it again.
class RealtimeLimitTimer final : public Timer {
 public:
  explicit RealtimeLimitTimer(Process& process) : process_(process) {}
  ~RealtimeLimitTimer() override { cancel(); }
  // There may be such a limit, and such threads.
  void apply();

 private:
  void expired() override;
  Process& process_;
};

// timer_create(2)'s.
class PosixTimer final : public RefCounted<PosixTimer>, public IntervalTimer {
 public:
  enum class Notify { kNone, kSignal, kThread };
  struct Event {
    Notify notify = Notify::kSignal;
    int signal = 0;
    uint64_t value = 0;
    Pid thread = 0;  // kThread
  };
  PosixTimer(Process& process, TimeSource source, int clock, Pid whose, int id, Event event,
             RefPtr<QueuedSignal> node)
      : IntervalTimer(process, source, whose),
        clock_(clock),
        id_(id),
        event_(event),
        node_(std::move(node)) {}

  int clock() const { return clock_; }
  int id() const { return id_; }
  // Of the signal that was delivered last.
  uint32_t overruns() const { return node_->told_overrun(); }
  // Takes back the signal of an expiry that is still pending: it is of a setting that holds no more.
  void discard_signal();

 private:
  void fire(uint64_t times) override;
  template <typename Use>
  void with_pending(Use use);
  const int clock_;
  const int id_;
  const Event event_;
  const RefPtr<QueuedSignal> node_;
};

class ProcessTimers {
 public:
  explicit ProcessTimers(Process& process);

  static constexpr uint32_t kItimers = 3;  // ITIMER_REAL, _VIRTUAL, _PROF
  IntervalTimer& itimer(uint32_t which);

  // Returns the new timer's number, which is also its value where the program gave no sigevent. kNoMem, kAgain.
  enum class Value { kGiven, kTimerId };
  Result<int> add(TimeSource source, int clock, Pid whose, Value value, PosixTimer::Event event);
  RefPtr<PosixTimer> find(int id) const;
  bool remove(int id);
  void remove_posix_timers();  // exec
  void stop_all();             // exit

 private:
  using PosixTree = Tree<int, RefPtr<PosixTimer>>;
  // A number is used again only when all others have been: a deleted timer's names nobody.
  struct Posix {
    PosixTree timers;
    int next_id = 0;
    void advance() { next_id = next_id == INT32_MAX ? 0 : next_id + 1; }
  };
  Process& process_;
  ItimerTimer real_, virtual_, profile_;
  mutable SpinLocked<Posix> posix_{LockRank::kProcess};
};

}  // namespace occlum
