// /proc/<pid>/stat and status: what ps, top and the JVM read.
#include "libos/fs/dev/tty/terminal.h"
#include "libos/fs/proc/process_text.h"
#include "libos/lib/bits.h"
#include "libos/process/credentials.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"

namespace occlum {

namespace {

constexpr uint64_t kTick = 10'000'000;  // 100 a second

struct Signals {
  SignalSet own, shared, blocked, ignored, caught;
};

Signals signals_of(const Subject& subject) {
  Signals signals;
  Process& process = *subject.process;
  signals.shared =
      process.shared_pending().with([](PendingSignals& pending) { return pending.set(); });
  if (const RefPtr<Thread> thread = subject.some_thread()) {
    signals.own = thread->own_pending().with([](PendingSignals& pending) { return pending.set(); });
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
  if (subject.thread && subject.thread.get() == &current_thread()) return 'R';
  if (subject.thread && ptrace::is_stopped(*subject.thread)) return 't';
  return static_cast<char>(subject.process->state());
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
  uint64_t stack = 0, library = 0, data = 0, shared = 0;
  const AddressSpace::Layout layout = memory->layout;
  if (const auto areas = memory->areas(); !areas.is_error()) {
    for (const Area& area : areas.value()) {
      const uint64_t size = area.end - area.start;
      if (area.start < layout.stack_top && layout.stack_top <= area.end) {
        stack += size;
      } else if (area.shared) {
        shared += size;
      } else if (has(area.prot, Prot::kExec) &&
                 (area.start >= layout.code_end || area.end <= layout.code_start)) {
        library += size;
      } else if (has(area.prot, Prot::kWrite)) {
        data += size;
      }
    }
  }
  const uint64_t size = memory->mapped_bytes(), resident = memory->committed_bytes();
  auto line = [&](std::string_view name, uint64_t bytes) {
    out.text(name).text("\t").decimal(bytes / 1024, 8).text(" kB\n");
  };
  line("VmPeak:", size);
  line("VmSize:", size);
  line("VmLck:", 0);
  line("VmPin:", 0);
  line("VmHWM:", resident);
  line("VmRSS:", resident);
  line("RssAnon:", resident);
  line("RssFile:", 0);
  line("RssShmem:", shared < resident ? shared : 0);
  line("VmData:", data);
  line("VmStk:", stack);
  line("VmExe:", layout.code_end - layout.code_start);
  line("VmLib:", library);
  line("VmPTE:", 0);
  line("VmSwap:", 0);
  line("HugetlbPages:", 0);
  out.text("CoreDumping:\t0\nTHP_enabled:\t0\n");
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

// Comma-separated 32-bit words, and ranges, of the first `count` bits.
void add_cpu_masks(ProcText& out, std::string_view name, uint64_t mask, uint64_t count) {
  if (count < 64) mask &= (uint64_t{1} << count) - 1;
  out.text(name).text(":\t");
  if (count > 32) out.hex(mask >> 32, 1).text(",");
  out.hex(mask & UINT32_MAX, count > 32 ? 8 : 1).text("\n").text(name).text("_list:\t");
  bool first = true;
  for (uint64_t cpu = 0; cpu < count; ++cpu) {
    if ((mask >> cpu & 1) == 0) continue;
    uint64_t last = cpu;
    while (last + 1 < count && (mask >> (last + 1) & 1) != 0) ++last;
    if (!first) out.text(",");
    first = false;
    out.add("{}", cpu);
    if (last != cpu) out.add("-{}", last);
    cpu = last;
  }
  out.text("\n");
}

}  // namespace

Result<void> process_stat_text(const Subject& subject, ProcText& out) {
  Process& process = *subject.process;
  const RefPtr<Thread> thread = subject.some_thread();
  const RefPtr<AddressSpace> memory = subject.memory();
  const RefPtr<Session> session = process.session();
  const ResourceUsage usage = process.usage(), children = process.children_usage();
  const uint64_t cpu =
      subject.thread ? subject.thread->cpu_time() : usage.user_time + usage.system_time;
  const uint64_t system = subject.thread ? 0 : usage.system_time;
  const AddressSpace::Layout layout = memory != nullptr ? memory->layout : AddressSpace::Layout();
  const Signals signals = signals_of(subject);
  const Nanoseconds start = subject.thread ? subject.thread->start_time() : process.start_time();
  const uint64_t terminal = session != nullptr ? session->terminal_device() : 0;
  const RefPtr<File> terminal_file = session != nullptr ? session->terminal() : nullptr;
  const bool has_terminal =
      terminal_file != nullptr && terminal_file->kind() == FileKind::kTerminal;
  const Pid foreground =
      has_terminal ? static_cast<TtyFile&>(*terminal_file).terminal().foreground_group() : -1;
  out.add("{} ({}) {} {} {} {} {} {} 4194304 ", number_of(subject), name_of(subject).view(),
          state_of(subject), process.parent_pid(), process.group_id(), process.session_id(),
          terminal, foreground);
  out.add("{} {} {} {} ", usage.minor_faults, children.minor_faults, usage.major_faults,
          children.major_faults);
  out.add("{} {} {} {} ", (cpu - system) / kTick, system / kTick, children.user_time / kTick,
          children.system_time / kTick);
  const int nice = thread != nullptr ? thread->nice : 0;
  out.add("{} {} {} 0 {} ", 20 + nice, nice, process.thread_count(), start / kTick);
  out.add("{} {} {} ", memory != nullptr ? memory->mapped_bytes() : 0,
          memory != nullptr ? memory->committed_bytes() / kPageSize : 0,
          process.limit(Resource::kRss).soft);
  out.add("{} {} {} 0 0 ", layout.code_start, layout.code_end, layout.stack_top);
  constexpr uint64_t kFirst31 = 0x7fffffff;
  out.add("{} {} {} {} ", signals.own.bits() & kFirst31, signals.blocked.bits() & kFirst31,
          signals.ignored.bits() & kFirst31, signals.caught.bits() & kFirst31);
  out.add("0 0 0 {} {} {} {} 0 0 0 ", static_cast<int>(kSigChld), 0,
          thread != nullptr ? thread->realtime_priority : 0,
          thread != nullptr ? thread->policy : 0);
  out.add("{} {} {} {} {} {} {} 0\n", layout.data_start, layout.data_end, layout.brk_start,
          layout.args_start, layout.args_end, layout.env_start, layout.env_end);
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
  out.add("FDSize:\t{}\nGroups:\t", files != nullptr ? 64 : 0);
  if (credentials != nullptr) {
    for (const uint32_t group : credentials->value.files.groups) out.add("{} ", group);
  }
  out.add("\nNStgid:\t{}\nNSpid:\t{}\nNSpgid:\t{}\nNSsid:\t{}\n", process.pid(), number_of(subject),
          process.group_id(), process.session_id());
  add_memory(out, subject);
  out.add("Threads:\t{}\nSigQ:\t0/{}\n", process.thread_count(),
          process.limit(Resource::kSigPending).soft);
  add_signal_set(out, "SigPnd:", signals.own);
  add_signal_set(out, "ShdPnd:", signals.shared);
  add_signal_set(out, "SigBlk:", signals.blocked);
  add_signal_set(out, "SigIgn:", signals.ignored);
  add_signal_set(out, "SigCgt:", signals.caught);
  if (credentials != nullptr) add_capabilities(out, credentials->value);
  out.add(
      "NoNewPrivs:\t{}\nSeccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tnot "
      "vulnerable\n",
      thread != nullptr && thread->no_new_privileges ? 1 : 0);
  add_cpu_masks(out, "Cpus_allowed", thread != nullptr ? thread->affinity() : UINT64_MAX,
                vcpu_count());
  out.text("Mems_allowed:\t1\nMems_allowed_list:\t0\n");
  const ResourceUsage usage = process.usage();
  out.add("voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
          usage.voluntary_switches, usage.involuntary_switches);
  return {};
}

}  // namespace occlum
