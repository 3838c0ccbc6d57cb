// ABI structures of the process, signal, time and scheduling calls (uapi headers of x86-64; the man 2 pages name them).
#pragma once

#include <array>
#include <cstdint>

#include "libos/process/pid.h"
#include "libos/process/rlimit.h"
#include "libos/process/signals/actions.h"
#include "libos/process/signals/frame.h"
#include "libos/process/signals/signal.h"

namespace occlum {

// Arguments of their own type, so that the trace names them.
enum class SignalNumber : int {};
enum class ClockId : int {};

struct UtsName {  // uname(2)
  using Field = std::array<char, 65>;
  Field sysname, nodename, release, version, machine, domainname;
};
static_assert(sizeof(UtsName) == 390);

struct SystemInfo {  // sysinfo(2)
  int64_t uptime;
  std::array<uint64_t, 3> loads;  // 1/65536
  uint64_t total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
  uint16_t processes, padding1;
  uint32_t padding2;
  uint64_t total_high, free_high;
  uint32_t unit;
  uint32_t padding3;
};
static_assert(sizeof(SystemInfo) == 112);

struct Rusage {  // getrusage(2)
  struct Time {
    int64_t seconds, microseconds;
  };
  Time user_time, system_time;
  int64_t max_rss, ix_rss, id_rss, is_rss;  // kB
  int64_t minor_faults, major_faults, swaps, in_blocks, out_blocks, messages_sent,
      messages_received, signals;
  int64_t voluntary_switches, involuntary_switches;
};
static_assert(sizeof(Rusage) == 144);

struct ProcessTimes {  // times(2)'s struct tms, in clock ticks
  int64_t user, system, children_user, children_system;
};
static_assert(sizeof(ProcessTimes) == 32);

struct CapabilityHeader {  // capget(2)
  uint32_t version;
  int32_t pid;
};
struct CapabilityData {
  uint32_t effective, permitted, inheritable;
};
static_assert(sizeof(CapabilityHeader) == 8 && sizeof(CapabilityData) == 12);

struct IntervalTimerValue {  // setitimer(2)
  Rusage::Time interval, value;
};
static_assert(sizeof(IntervalTimerValue) == 32);

struct SignalEvent {  // sigevent(7)
  uint64_t value;
  int32_t signal;
  int32_t notify;
  int32_t thread;
  std::array<int32_t, 11> padding;
};
static_assert(sizeof(SignalEvent) == 64);

struct CloneArguments {  // clone3(2)
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  uint64_t set_tid, set_tid_size;
  uint64_t cgroup;
};
static_assert(sizeof(CloneArguments) == 88);

struct SchedulingParameter {  // sched_setparam(2)
  int32_t priority;
};

struct SchedulingAttributes {  // sched_setattr(2)
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t utilization_min, utilization_max;
};
static_assert(sizeof(SchedulingAttributes) == 56);

struct ClockAdjustment {  // adjtimex(2)'s struct timex
  uint32_t modes, padding1;
  int64_t offset, frequency, max_error, estimated_error;
  int32_t status, padding2;
  int64_t constant, precision, tolerance;
  int64_t seconds, microseconds;
  int64_t tick, pps_frequency, jitter;
  int32_t shift, padding3;
  int64_t stability, jitter_count, calibrations, errors, stability_count;
  int32_t tai;
  std::array<int32_t, 11> padding4;
};
static_assert(sizeof(ClockAdjustment) == 208);

struct ClockSetting {  // struct itimerspec
  struct Time {
    int64_t seconds, nanoseconds;
  };
  Time interval, value;
};
static_assert(sizeof(ClockSetting) == 32);

}  // namespace occlum
