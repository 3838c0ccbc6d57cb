// The directory /proc/<pid>: its table, and the small files and links (proc(5)).
#include <array>

#include "libos/fs/proc/mount_text.h"
#include "libos/fs/proc/namespaces.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/fs/proc/process_text.h"
#include "libos/fs/vfs/operations.h"
#include "libos/lib/text.h"
#include "libos/process/process_table.h"
#include "libos/process/rlimit.h"
#include "libos/sched/parked_task.h"

namespace occlum {

namespace {

Result<void> cmdline_text(const Subject& subject, ProcText& out) {
  const String line = TRY(subject.process->command_line());
  out.text(line.view());
  return {};
}

Result<void> environ_text(const Subject& subject, ProcText& out) {
  const String environment = TRY(subject.process->environment());
  out.text(environment.view());
  return {};
}

Result<void> comm_text(const Subject& subject, ProcText& out) {
  out.text((subject.thread ? subject.thread->name() : subject.process->name()).view()).text("\n");
  return {};
}

Result<void> set_comm(const Subject& subject, std::string_view text) {
  const RefPtr<Thread> thread = subject.some_thread();
  if (thread == nullptr) return Errno::kSrch;
  if (&thread->process() != &current_thread().process()) return Errno::kInval;
  thread->set_name(text);
  return {};
}

Result<void> auxv_text(const Subject& subject, ProcText& out) {
  const RefPtr<AddressSpace> memory = subject.memory();
  if (memory == nullptr) return {};
  for (const uint64_t word : memory->auxv) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      const auto byte = static_cast<char>(word >> shift);
      out.text(std::string_view(&byte, 1));
    }
  }
  return {};
}

struct LimitName {
  std::string_view name, unit;
};
constexpr std::array<LimitName, kResourceCount> kLimitNames = {{{"Max cpu time", "seconds"},
                                                                {"Max file size", "bytes"},
                                                                {"Max data size", "bytes"},
                                                                {"Max stack size", "bytes"},
                                                                {"Max core file size", "bytes"},
                                                                {"Max resident set", "bytes"},
                                                                {"Max processes", "processes"},
                                                                {"Max open files", "files"},
                                                                {"Max locked memory", "bytes"},
                                                                {"Max address space", "bytes"},
                                                                {"Max file locks", "locks"},
                                                                {"Max pending signals", "signals"},
                                                                {"Max msgqueue size", "bytes"},
                                                                {"Max nice priority", ""},
                                                                {"Max realtime priority", ""},
                                                                {"Max realtime timeout", "us"}}};

void add_limit(ProcText& out, uint64_t value, size_t column) {
  if (value == kRlimInfinity) {
    out.text("unlimited");
  } else {
    out.add("{}", value);
  }
  out.pad_line_to(column);
}

Result<void> limits_text(const Subject& subject, ProcText& out) {
  constexpr size_t kSoft = 26, kHard = 47, kUnit = 68;
  out.text("Limit")
      .pad_line_to(kSoft)
      .text("Soft Limit")
      .pad_line_to(kHard)
      .text("Hard Limit")
      .pad_line_to(kUnit);
  out.text("Units     \n");
  const ResourceLimits limits = subject.process->limits();
  for (uint32_t i = 0; i < kResourceCount; ++i) {
    const ResourceLimit& limit = limits[static_cast<Resource>(i)];
    out.text(kLimitNames[i].name).pad_line_to(kSoft);
    add_limit(out, limit.soft, kHard);
    add_limit(out, limit.hard, kUnit);
    if (!kLimitNames[i].unit.empty()) out.text(kLimitNames[i].unit).pad_line_to(kUnit + 10);
    out.text("\n");
  }
  return {};
}

Result<void> cgroup_text(const Subject&, ProcText& out) {
  out.text("0::/\n");
  return {};
}

Result<void> wchan_text(const Subject&, ProcText& out) {
  out.text("0");
  return {};
}

Result<void> cpuset_text(const Subject&, ProcText& out) {
  out.text("/\n");
  return {};
}

Result<void> syscall_text(const Subject& subject, ProcText& out) {
  const RefPtr<Thread> thread = subject.some_thread();
  if (!thread) {  // it has ended
    out.text("-1 0x0 0x0\n");
    return {};
  }
  UserRegisters registers = {};
  const auto look = [&] { registers = thread->context().user_registers(); };
  if (thread.get() == &current_thread()) {
    look();
  } else if (!with_parked_task(*thread, look)) {
    out.text("running\n");
    return {};
  }
  // Outside of a call: -1.
  const auto number = static_cast<int32_t>(registers.original_rax);
  out.add("{}", number);
  const uint64_t arguments[] = {registers.rdi, registers.rsi, registers.rdx,
                                registers.r10, registers.r8,  registers.r9};
  if (number >= 0) {
    for (const uint64_t argument : arguments) out.add(" 0x{:x}", argument);
  }
  out.add(" 0x{:x} 0x{:x}\n", registers.rsp, registers.rip);
  return {};
}

// Which thread made a child is not kept: all are shown as the leader's.
Result<void> children_text(const Subject& subject, ProcText& out) {
  if (subject.thread && !subject.thread->is_leader()) return {};
  const Pid parent = subject.process->pid();
  return for_each_process([&](Process& process) {
    if (process.parent_pid() == parent) out.add("{} ", process.pid());
  });
}

template <Namespace kWhich>
Result<String> namespace_link(const Subject&) {
  return namespace_name(kWhich);
}
template <Namespace kWhich>
Result<Path> namespace_target(const Subject& subject) {
  TRY(check_look(ProcEntry::Needs::kTrace, subject));
  return namespace_path(kWhich);
}
template <Namespace kWhich>
constexpr ProcEntry namespace_entry(std::string_view name) {
  return proc_link(name, namespace_link<kWhich>, namespace_target<kWhich>);
}

constexpr std::array kNamespaceEntries = {namespace_entry<Namespace::kCgroup>("cgroup"),
                                          namespace_entry<Namespace::kIpc>("ipc"),
                                          namespace_entry<Namespace::kMount>("mnt"),
                                          namespace_entry<Namespace::kNet>("net"),
                                          namespace_entry<Namespace::kPid>("pid"),
                                          namespace_entry<Namespace::kPid>("pid_for_children"),
                                          namespace_entry<Namespace::kTime>("time"),
                                          namespace_entry<Namespace::kTime>("time_for_children"),
                                          namespace_entry<Namespace::kUser>("user"),
                                          namespace_entry<Namespace::kUts>("uts")};

Result<void> loginuid_text(const Subject&, ProcText& out) {
  out.text("4294967295");
  return {};
}

Result<void> id_map_text(const Subject&, ProcText& out) {
  out.text("         0          0 4294967295\n");
  return {};
}

Result<void> setgroups_text(const Subject&, ProcText& out) {
  out.text("allow\n");
  return {};
}

Result<void> coredump_filter_text(const Subject& subject, ProcText& out) {
  out.hex(subject.process->core_dump_filter.load(), 8).text("\n");
  return {};
}

// Decimal, or hexadecimal with 0x.
Result<void> set_coredump_filter(const Subject& subject, std::string_view text) {
  text = trim(text);
  const uint64_t filter = TRY(text.starts_with("0x") ? parse_u64_hex(text) : parse_u64(text));
  if (filter > UINT32_MAX) return Errno::kRange;
  subject.process->core_dump_filter = static_cast<uint32_t>(filter) & kDumpFilterBits;
  return {};
}

// --- links ---

Result<String> exe_link(const Subject& subject) {
  auto program = TRY(subject.process->program());
  if (program.file == nullptr) return Errno::kNoEnt;
  return std::move(program.path);
}

Result<Path> exe_target(const Subject& subject) {
  const auto program = TRY(subject.process->program());
  if (program.file == nullptr) return Errno::kNoEnt;
  return path_of_file(program.file);
}

RefPtr<FsContext> fs_of(const Subject& subject) {
  return subject.thread ? subject.thread->share_fs() : subject.process->fs();
}

Result<Path> cwd_target(const Subject& subject) {
  const RefPtr<FsContext> fs = fs_of(subject);
  if (fs == nullptr) return Errno::kNoEnt;
  return fs->cwd();
}

Result<Path> root_target(const Subject& subject) {
  const RefPtr<FsContext> fs = fs_of(subject);
  if (fs == nullptr) return Errno::kNoEnt;
  return fs->root();
}

Result<String> shown(const Path& path) {
  return path_to_string(path, current_thread().fs().root(), DeletedNames::kMarkDeleted);
}

Result<String> cwd_link(const Subject& subject) { return shown(TRY(cwd_target(subject))); }
Result<String> root_link(const Subject& subject) { return shown(TRY(root_target(subject))); }

#define OCCLUM_PROC_COMMON                                                                        \
  proc_traced_file("auxv", auxv_text, 0400), proc_file("cgroup", cgroup_text),                    \
      proc_file("cmdline", cmdline_text), proc_file("comm", comm_text, 0644, set_comm),           \
      proc_file("cpuset", cpuset_text), proc_link("cwd", cwd_link, cwd_target),                   \
      proc_traced_file("environ", environ_text, 0400), proc_link("exe", exe_link, exe_target),    \
      proc_directory("fd", make_fd_directory, 0500),                                              \
      proc_directory("fdinfo", make_fdinfo_directory), proc_file("gid_map", id_map_text, 0644),   \
      proc_traced_file("io", io_text, 0400), proc_file("limits", limits_text),                    \
      proc_file("loginuid", loginuid_text, 0644), proc_traced_file("maps", maps_text),            \
      ProcEntry{.name = "mem", .permissions = 0600, .make = make_memory_inode},                   \
      proc_mounts_file("mountinfo", mountinfo_text), proc_mounts_file("mounts", mounts_text),     \
      proc_directory("net", make_proc_table<network_entries>),                                    \
      proc_directory("ns", kNamespaceEntries),                                                    \
      proc_file("oom_adj", oom_adj_text, 0644, set_oom_adj),                                      \
      proc_file("oom_score", oom_score_text),                                                     \
      proc_file("oom_score_adj", oom_score_adj_text, 0644, set_oom_score_adj),                    \
      proc_traced_file("personality", personality_text, 0400),                                    \
      proc_file("projid_map", id_map_text, 0644), proc_link("root", root_link, root_target),      \
      proc_file("sched", sched_text, 0644), proc_file("schedstat", schedstat_text),               \
      proc_file("sessionid", loginuid_text), proc_file("setgroups", setgroups_text, 0644),        \
      proc_traced_file("smaps", smaps_text), proc_traced_file("smaps_rollup", smaps_rollup_text), \
      proc_file("stat", process_stat_text), proc_file("statm", statm_text),                       \
      proc_file("status", status_text), proc_traced_file("syscall", syscall_text, 0400),          \
      proc_file("uid_map", id_map_text, 0644), proc_file("wchan", wchan_text)

constexpr std::array kThreadEntries = {
    OCCLUM_PROC_COMMON, proc_file("children", children_text),
    proc_file("fail-nth", fail_nth_text, 0644, set_fail_nth),
    proc_file("make-it-fail", make_it_fail_text, 0644, set_make_it_fail)};
constexpr std::array kProcessEntries = {
    OCCLUM_PROC_COMMON,
    proc_file("coredump_filter", coredump_filter_text, 0644, set_coredump_filter),
    proc_file("fail-nth", fail_nth_text, 0644, set_fail_nth),
    proc_file("make-it-fail", make_it_fail_text, 0644, set_make_it_fail),
    proc_traced_file("mountstats", mountstats_text, 0400),
    proc_directory("task", make_task_directory),
    proc_file("timerslack_ns", timer_slack_text, 0666, set_timer_slack)};

#undef OCCLUM_PROC_COMMON

}  // namespace

std::span<const ProcEntry> process_entries() { return kProcessEntries; }
std::span<const ProcEntry> thread_entries() { return kThreadEntries; }

}  // namespace occlum
