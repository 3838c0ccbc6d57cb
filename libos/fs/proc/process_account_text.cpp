// /proc/<pid>/sched, schedstat, io, oom_*, personality, timerslack_ns: what a process used, and small settings.
#include <algorithm>

#include "libos/fs/proc/process_text.h"
#include "libos/lib/text.h"
#include "libos/process/memory_keeper.h"

namespace occlum {

namespace {

constexpr int kMostAdjustment = 1000;  // oom_score_adj's
constexpr int kMostOldAdjustment = 15, kNeverKill = -17;

uint64_t cpu_time_of(const Subject& subject) {
  return subject.thread ? subject.thread->cpu_time() : subject.process->cpu_time();
}

void add_figure(ProcText& out, std::string_view name, uint64_t value) {
  out.text(name).pad_line_to(45).text(":").decimal(value, 21).text("\n");
}

void add_milliseconds(ProcText& out, std::string_view name, uint64_t nanoseconds) {
  constexpr uint64_t kMillisecond = 1'000'000;
  out.text(name).pad_line_to(45).text(":").decimal(nanoseconds / kMillisecond, 14).text(".");
  out.padded(nanoseconds % kMillisecond, 6).text("\n");
}

// A lower score is for CAP_SYS_RESOURCE.
Result<void> adjust(const Subject& subject, int64_t wanted) {
  std::atomic<int>& adjustment = subject.process->oom_adjustment;
  if (wanted < adjustment.load() && !current_thread().user().has(kCapSysResource))
    return Errno::kAcces;
  adjustment.store(static_cast<int>(wanted));
  return {};
}

}  // namespace

Result<void> sched_text(const Subject& subject, ProcText& out) {
  Process& process = *subject.process;
  const RefPtr<Thread> thread = subject.some_thread();
  const Pid number = subject.thread ? subject.thread->tid() : process.pid();
  const Nanoseconds start = thread ? thread->start_time() : process.start_time();
  const Thread::Name name = subject.thread ? subject.thread->name() : process.name();
  out.add("{} ({}, #threads: {})\n", name.view(), number, std::max(process.thread_count(), 1u));
  out.text("-------------------------------------------------------------------\n");
  add_milliseconds(out, "se.exec_start", start);
  add_milliseconds(out, "se.vruntime", cpu_time_of(subject));
  add_milliseconds(out, "se.sum_exec_runtime", cpu_time_of(subject));
  const Scheduling scheduling = thread ? thread->scheduling() : Scheduling{};
  add_figure(out, "policy", static_cast<uint64_t>(scheduling.policy));
  add_figure(out, "prio", static_cast<uint64_t>(120 + scheduling.nice));
  return {};
}

Result<void> schedstat_text(const Subject& subject, ProcText& out) {
  out.add("{} 0 0\n", cpu_time_of(subject));
  return {};
}

// Nothing is known about storage below: the last three stay 0.
Result<void> io_text(const Subject& subject, ProcText& out) {
  IoTotals totals;
  if (subject.thread) {
    totals.add(*subject.thread);
  } else {
    totals = subject.process->io_totals();
  }
  out.add("rchar: {}\nwchar: {}\nsyscr: {}\nsyscw: {}\n", totals.bytes_read, totals.bytes_written,
          totals.reads, totals.writes);
  out.text("read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
  return {};
}

Result<void> oom_score_text(const Subject& subject, ProcText& out) {
  const RefPtr<AddressSpace> memory = subject.memory();
  out.add("{}\n", oom_score(*subject.process, memory.get()));
  return {};
}

Result<void> oom_score_adj_text(const Subject& subject, ProcText& out) {
  out.add("{}\n", subject.process->oom_adjustment.load());
  return {};
}

Result<void> oom_adj_text(const Subject& subject, ProcText& out) {
  const int adjustment = subject.process->oom_adjustment.load();
  const int old = adjustment == kMostAdjustment ? kMostOldAdjustment
                                                : adjustment * -kNeverKill / kMostAdjustment;
  out.add("{}\n", old);
  return {};
}

Result<void> set_oom_score_adj(const Subject& subject, std::string_view text) {
  const int64_t wanted = TRY(parse_i64(trim(text)));
  if (wanted < -kMostAdjustment || wanted > kMostAdjustment) return Errno::kInval;
  return adjust(subject, wanted);
}

Result<void> set_oom_adj(const Subject& subject, std::string_view text) {
  const int64_t wanted = TRY(parse_i64(trim(text)));
  if ((wanted < -16 || wanted > kMostOldAdjustment) && wanted != kNeverKill) return Errno::kInval;
  return adjust(subject, wanted == kMostOldAdjustment ? kMostAdjustment
                                                      : wanted * kMostAdjustment / -kNeverKill);
}

Result<void> personality_text(const Subject& subject, ProcText& out) {
  const RefPtr<Thread> thread = subject.some_thread();
  out.hex(thread ? thread->personality : 0, 8).text("\n");
  return {};
}

Result<void> timer_slack_text(const Subject& subject, ProcText& out) {
  const RefPtr<Thread> thread = subject.some_thread();
  out.add("{}\n", thread ? thread->timer_slack : 0);
  return {};
}

// Only its own: the figure is read without a lock.
Result<void> set_timer_slack(const Subject& subject, std::string_view text) {
  constexpr uint64_t kDefault = 50'000;
  const uint64_t wanted = TRY(parse_u64(trim(text)));
  Thread& self = current_thread();
  if (subject.some_thread().get() != &self) return Errno::kPerm;
  self.timer_slack = wanted == 0 ? kDefault : wanted;
  return {};
}

}  // namespace occlum
