// fail-nth and make-it-fail of a task, /proc/occlum/failslab and fail_page_alloc: sched/fault_injection.h says what they
// do. Rights and errors are those of fs/proc/base.c.
#include <array>

#include "libos/fs/proc/process_text.h"
#include "libos/lib/text.h"
#include "libos/process/credentials.h"
#include "libos/sched/fault_injection.h"

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
  allow_failures();
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
  allow_failures();
  thread->makes_it_fail = wanted == 1;
  return {};
}

namespace {

template <FailingKind& kind>
Result<void> interval_text(const Subject&, ProcText& out) {
  out.add("{}\n", kind.interval.load());
  return {};
}
template <FailingKind& kind>
Result<void> set_interval(const Subject&, std::string_view text) {
  const uint64_t wanted = TRY(parse_u64(trim(text)));
  if (wanted > UINT32_MAX) return Errno::kInval;
  kind.interval = static_cast<uint32_t>(wanted);
  kind.counted = 0;
  return {};
}

template <FailingKind& kind>
Result<void> probability_text(const Subject&, ProcText& out) {
  out.add("{}\n", kind.probability.load());
  return {};
}
template <FailingKind& kind>
Result<void> set_probability(const Subject&, std::string_view text) {
  const uint64_t wanted = TRY(parse_u64(trim(text)));
  if (wanted > 100) return Errno::kInval;
  kind.probability = static_cast<uint32_t>(wanted);
  return {};
}

template <FailingKind& kind>
Result<void> times_text(const Subject&, ProcText& out) {
  out.add("{}\n", kind.times.load());
  return {};
}
template <FailingKind& kind>
Result<void> set_times(const Subject&, std::string_view text) {
  kind.times = TRY(parse_i64(trim(text)));
  return {};
}

template <FailingKind& kind>
constexpr std::array kKnobs = {
    proc_file("interval", interval_text<kind>, 0600, set_interval<kind>),
    proc_file("probability", probability_text<kind>, 0600, set_probability<kind>),
    proc_file("times", times_text<kind>, 0600, set_times<kind>)};

}  // namespace

std::span<const ProcEntry> failslab_entries() { return kKnobs<failslab>; }
std::span<const ProcEntry> fail_page_alloc_entries() { return kKnobs<fail_page_alloc>; }

}  // namespace occlum
