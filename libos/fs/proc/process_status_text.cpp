// /proc/<pid>/stat and status: what ps, top and the JVM read.
#include <algorithm>
#include <bit>

#include "libos/fs/dev/tty/terminal.h"
#include "libos/fs/proc/cpu_text.h"
#include "libos/fs/proc/process_text.h"
#include "libos/lib/bits.h"
#include "libos/process/credentials.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"

namespace occlum {

namespace {

struct Signals {
  SignalSet own, shared, blocked, ignored, caught;
  size_t queued = 0;
};

Signals signals_of(const Subject& subject) {
  Signals signals;
  Process& process = *subject.process;
  const auto look = [&](PendingSignals& pending) {
    signals.queued += pending.size();
    return pending.set();
  };
  signals.shared = process.shared_pending().with(look);
  if (const RefPtr<Thread> thread = subject.some_thread()) {
    signals.own = thread->own_pending().with(look);
    signals.blocked = thread->signal_mask();
  }
  for (int signal = 1; signal <= kSigMax; ++signal) {
    const SignalAction action = process.actions().get(signal);
    if (action.handler == kSigIgn) {
      signals.ignored.add(signal);
    } else if (action.handler != kSigDfl) {
      signals.caught.add(signal);
    }
  }
  return signals;
}

char state_of(const Subject& subject) {
  const ProcessState state = subject.process->state();
  if (subject.thread && ptrace::is_stopped(*subject.thread))
    return static_cast<char>(ProcessState::kTraced);
  if (!subject.thread || (state != ProcessState::kRunning && state != ProcessState::kSleeping))
    return static_cast<char>(state);
  return subject.thread->is_runnable() ? 'R' : 'S';
}

// PF_* of Linux, as far as it is known here. A thread is a fork of its leader, too.
uint64_t flags_of(const Subject& subject) {
  constexpr uint64_t kExiting = 0x4, kForkedNotExecuted = 0x40, kRandomized = 0x400000;
  const bool is_leader = !subject.thread || subject.thread->is_leader();
  const bool has_executed = is_leader && subject.process->has_executed();
  const bool has_ended = subject.process->state() == ProcessState::kZombie;
  return kRandomized | (has_executed ? 0 : kForkedNotExecuted) | (has_ended ? kExiting : 0);
}

std::string_view state_name(char state) {
  switch (state) {
    case 'R':
      return "running";
    case 'T':
      return "stopped";
    case 't':
      return "tracing stop";
    case 'Z':
      return "zombie";
    default:
      return "sleeping";
  }
}

Pid number_of(const Subject& subject) {
  return subject.thread ? subject.thread->tid() : subject.process->pid();
}

Thread::Name name_of(const Subject& subject) {
  return subject.thread ? subject.thread->name() : subject.process->name();
}

void add_signal_set(ProcText& out, std::string_view name, SignalSet set) {
  out.text(name).text("\t").hex(set.bits(), 16).text("\n");
}

void add_memory(ProcText& out, const Subject& subject) {
  const RefPtr<AddressSpace> memory = subject.memory();
  if (memory == nullptr) return;
  const MemoryUse use = memory_use(*memory);
  auto line = [&](std::string_view name, uint64_t bytes) {
    out.text(name).text("\t").decimal(bytes / 1024, 8).text(" kB\n");
  };
  line("VmPeak:", std::max(use.mapped, memory->peak_mapped_bytes()));
  line("VmSize:", use.mapped);
  line("VmLck:", memory->locked_bytes());
  line("VmPin:", 0);
  line("VmHWM:", std::max(use.resident, memory->peak_committed_bytes()));
  line("VmRSS:", use.resident);
  line("RssAnon:", use.anonymous);
  line("RssFile:", use.file);
  line("RssShmem:", use.shared_memory);
  line("VmData:", use.data);
  line("VmStk:", use.stack);
  line("VmExe:", use.code);
  line("VmLib:", use.library);
  line("VmPTE:", 0);
  line("VmSwap:", 0);
  line("HugetlbPages:", 0);
  out.add("CoreDumping:\t{}\nTHP_enabled:\t{}\nuntag_mask:\t0xffffffffffffffff\n",
          subject.process->is_dumping_core() ? 1 : 0,
          subject.process->huge_pages_disabled.load() ? 0 : 1);
}

void add_credentials(ProcText& out, const UserCredentials& user) {
  out.add("Uid:\t{}\t{}\t{}\t{}\n", user.uid, user.euid, user.suid, user.files.fsuid);
  out.add("Gid:\t{}\t{}\t{}\t{}\n", user.gid, user.egid, user.sgid, user.files.fsgid);
}

void add_capabilities(ProcText& out, const UserCredentials& user) {
  out.text("CapInh:\t").hex(user.inheritable, 16).text("\nCapPrm:\t").hex(user.permitted, 16);
  out.text("\nCapEff:\t").hex(user.effective, 16).text("\nCapBnd:\t").hex(user.bounding, 16);
  out.text("\nCapAmb:\t").hex(user.ambient, 16).text("\n");
}

// As Linux has it: a power of two, 64 at least.
size_t descriptor_slots(FileTable& files) {
  const auto numbers = files.numbers();
  const bool none = numbers.is_error() || numbers.value().is_empty();
  return std::bit_ceil(
      std::max<size_t>(none ? 0 : static_cast<size_t>(numbers.value().last()) + 1, 64));
}

// tpgid: whose turn it is at the terminal.
Pid foreground_of(const RefPtr<Session>& session) {
  const RefPtr<File> file = session != nullptr ? session->terminal() : nullptr;
  if (file == nullptr || file->kind() != FileKind::kTerminal) return -1;
  return static_cast<TtyFile&>(*file).terminal().foreground_group();
}

struct Priority {
  int priority = 20, nice = 0, realtime = 0, policy = 0;
  uint32_t vcpu = 0;
};

Priority priority_of(const Subject& subject) {
  const RefPtr<Thread> thread = subject.some_thread();
  if (thread == nullptr) return {};
  const Scheduling scheduling = thread->scheduling();
  return {.priority = scheduling.is_realtime() ? -1 - scheduling.priority : 20 + scheduling.nice,
          .nice = scheduling.nice,
          .realtime = scheduling.priority,
          .policy = static_cast<int>(scheduling.policy),
          .vcpu = thread->last_vcpu()};
}

}  // namespace

// Addresses, and how it ended, are for those who may look into the process.
Result<void> process_stat_text(const Subject& subject, ProcText& out) {
  Process& process = *subject.process;
  const bool may_look = !check_look(ProcEntry::Needs::kTrace, subject).is_error();
  const RefPtr<AddressSpace> memory = subject.memory();
  const RefPtr<Session> session = process.session();
  const ResourceUsage usage = process.usage(), children = process.children_usage();
  const ResourceUsage times = subject.thread ? told_usage(*subject.thread) : usage;
  const AddressSpace::Layout layout =
      memory != nullptr && may_look ? memory->layout : AddressSpace::Layout();
  const uint64_t hidden = memory != nullptr && !may_look ? 1 : 0;
  const Signals signals = signals_of(subject);
  const Nanoseconds start = subject.thread ? subject.thread->start_time() : process.start_time();
  const Priority priority = priority_of(subject);
  out.add("{} ({}) {} {} {} {} {} {} {} ", number_of(subject), name_of(subject).view(),
          state_of(subject), process.parent_pid(), process.group_id(), process.session_id(),
          session != nullptr ? session->terminal_device() : 0, foreground_of(session),
          flags_of(subject));
  out.add("{} {} {} {} ", times.minor_faults, children.minor_faults, times.major_faults,
          children.major_faults);
  out.add("{} {} {} {} ", times.user_time / kNanosecondsPerTick,
          times.system_time / kNanosecondsPerTick, children.user_time / kNanosecondsPerTick,
          children.system_time / kNanosecondsPerTick);
  out.add("{} {} {} 0 {} ", priority.priority, priority.nice, std::max(process.thread_count(), 1u),
          start / kNanosecondsPerTick);
  out.add("{} {} {} ", memory != nullptr ? memory->mapped_bytes() : 0,
          memory != nullptr ? memory->committed_bytes() / kPageSize : 0,
          process.limit(Resource::kRss).soft);
  out.add("{} {} {} 0 0 ", layout.code_start + hidden, layout.code_end + hidden, layout.stack_top);
  constexpr uint64_t kFirst31 = 0x7fffffff;
  out.add("{} {} {} {} ", signals.own.bits() & kFirst31, signals.blocked.bits() & kFirst31,
          signals.ignored.bits() & kFirst31, signals.caught.bits() & kFirst31);
  out.add("0 0 0 {} {} {} {} 0 0 0 ", process.exit_signal(), priority.vcpu, priority.realtime,
          priority.policy);
  out.add("{} {} {} {} {} {} {} {}\n", layout.data_start, layout.data_end, layout.brk_start,
          layout.args_start, layout.args_end, layout.env_start, layout.env_end,
          may_look ? process.exit_status() : 0);
  return {};
}

Result<void> status_text(const Subject& subject, ProcText& out) {
  Process& process = *subject.process;
  const RefPtr<Thread> thread = subject.some_thread();
  const RefPtr<FsContext> fs = process.fs();
  const RefPtr<FileTable> files = process.files();
  const RefPtr<SharedCredentials> credentials =
      subject.thread ? subject.thread->share_credentials() : process.credentials();
  const char state = state_of(subject);
  const Signals signals = signals_of(subject);
  out.text("Name:\t").text(name_of(subject).view()).text("\n");
  if (fs != nullptr) out.text("Umask:\t").octal(fs->umask(), 4).text("\n");
  out.text("State:\t").text(std::string_view(&state, 1)).add(" ({})\n", state_name(state));
  out.add("Tgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\nTracerPid:\t{}\n", process.pid(),
          number_of(subject), process.parent_pid(),
          thread != nullptr ? ptrace::tracer_of(*thread) : 0);
  if (credentials != nullptr) add_credentials(out, credentials->value);
  out.add("FDSize:\t{}\nGroups:\t", files != nullptr ? descriptor_slots(*files) : 0);
  if (credentials != nullptr) {
    for (const uint32_t group : credentials->value.files.groups) out.add("{} ", group);
    if (credentials->value.files.groups.is_empty()) out.text(" ");
  }
  out.add("\nNStgid:\t{}\nNSpid:\t{}\nNSpgid:\t{}\nNSsid:\t{}\nKthread:\t0\n", process.pid(),
          number_of(subject), process.group_id(), process.session_id());
  add_memory(out, subject);
  out.add("Threads:\t{}\nSigQ:\t{}/{}\n", std::max(process.thread_count(), 1u),
          credentials != nullptr ? queued_signals_of(credentials->value.uid) : 0,
          process.limit(Resource::kSigPending).soft);
  add_signal_set(out, "SigPnd:", signals.own);
  add_signal_set(out, "ShdPnd:", signals.shared);
  add_signal_set(out, "SigBlk:", signals.blocked);
  add_signal_set(out, "SigIgn:", signals.ignored);
  add_signal_set(out, "SigCgt:", signals.caught);
  if (credentials != nullptr) add_capabilities(out, credentials->value);
  out.add(
      "NoNewPrivs:\t{}\nSeccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tunknown\n"
      "SpeculationIndirectBranch:\tunknown\n",
      thread != nullptr && thread->no_new_privileges ? 1 : 0);
  const uint64_t allowed = thread != nullptr ? thread->affinity() : UINT64_MAX;
  out.text("Cpus_allowed:\t");
  add_cpu_mask(out, allowed);
  out.text("Cpus_allowed_list:\t");
  add_cpu_list(out, allowed);
  out.text("Mems_allowed:\t1\nMems_allowed_list:\t0\n");
  const ResourceUsage usage = process.usage();
  out.add("voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
          usage.voluntary_switches, usage.involuntary_switches);
  return {};
}

}  // namespace occlum
