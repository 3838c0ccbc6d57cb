// fail-nth and make-it-fail of a task, and /proc/occlum/failslab: sched/heap_faults.h says what they do. Rights and
// errors are those of fs/proc/base.c.
#include <array>

#include "libos/fs/proc/process_text.h"
#include "libos/lib/text.h"
#include "libos/process/credentials.h"
#include "libos/sched/heap_faults.h"

namespace occlum {

// What is left to count; 0 when it has come to pass.
Result<void> fail_nth_text(const Subject& subject, ProcText& out) {
  const RefPtr<Thread> thread = subject.some_thread();
  out.add("{}\n", thread ? thread->fail_nth.load() : 0);
  return {};
}

Result<void> set_fail_nth(const Subject& subject, std::string_view text) {
  const uint64_t wanted = TRY(parse_u64(trim(text)));
  if (wanted > INT32_MAX) return Errno::kInval;
  const RefPtr<Thread> thread = subject.some_thread();
  if (!thread) return Errno::kSrch;
  TRY(check_may_trace(current_thread(), *subject.process, TracerIds::kFileSystem));
  allow_heap_failures();
  thread->fail_nth = static_cast<uint32_t>(wanted);
  return {};
}

Result<void> make_it_fail_text(const Subject& subject, ProcText& out) {
  const RefPtr<Thread> thread = subject.some_thread();
  out.add("{}\n", thread && thread->makes_it_fail.load() ? 1 : 0);
  return {};
}

Result<void> set_make_it_fail(const Subject& subject, std::string_view text) {
  if (!current_thread().user().has(kCapSysResource)) return Errno::kPerm;
  const uint64_t wanted = TRY(parse_u64(trim(text)));
  if (wanted > 1) return Errno::kInval;
  const RefPtr<Thread> thread = subject.some_thread();
  if (!thread) return Errno::kSrch;
  TRY(check_may_trace(current_thread(), *subject.process, TracerIds::kFileSystem));
  allow_heap_failures();
  thread->makes_it_fail = wanted == 1;
  return {};
}

namespace {

Result<void> interval_text(const Subject&, ProcText& out) {
  out.add("{}\n", heap_fault_knobs.interval.load());
  return {};
}
Result<void> set_interval(const Subject&, std::string_view text) {
  const uint64_t wanted = TRY(parse_u64(trim(text)));
  if (wanted > UINT32_MAX) return Errno::kInval;
  heap_fault_knobs.interval = static_cast<uint32_t>(wanted);
  heap_fault_knobs.counted = 0;
  return {};
}

Result<void> probability_text(const Subject&, ProcText& out) {
  out.add("{}\n", heap_fault_knobs.probability.load());
  return {};
}
Result<void> set_probability(const Subject&, std::string_view text) {
  const uint64_t wanted = TRY(parse_u64(trim(text)));
  if (wanted > 100) return Errno::kInval;
  heap_fault_knobs.probability = static_cast<uint32_t>(wanted);
  return {};
}

Result<void> times_text(const Subject&, ProcText& out) {
  out.add("{}\n", heap_fault_knobs.times.load());
  return {};
}
Result<void> set_times(const Subject&, std::string_view text) {
  heap_fault_knobs.times = TRY(parse_i64(trim(text)));
  return {};
}

constexpr std::array kFailslabEntries = {
    proc_file("interval", interval_text, 0600, set_interval),
    proc_file("probability", probability_text, 0600, set_probability),
    proc_file("times", times_text, 0600, set_times)};

}  // namespace

std::span<const ProcEntry> failslab_entries() { return kFailslabEntries; }

}  // namespace occlum
