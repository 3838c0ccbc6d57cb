// Processes: executing programs, who is who, groups and sessions (execve(2), getpid(2), setpgid(2), setsid(2)).
#include "libos/process/process.h"
#include "libos/fs/dev/tty/terminal.h"
#include "libos/fs/vfs/operations.h"
#include "libos/lib/log.h"
#include "libos/process/exec.h"
#include "libos/process/pid_file.h"
#include "libos/process/process_table.h"
#include "libos/process/program_loader.h"
#include "libos/syscall/dispatch.h"

namespace occlum {
namespace {

struct ExecStrings {
  ArgumentList argv, env;
};

Result<ExecStrings> read_strings(Thread& self, UserAddress argv, UserAddress env) {
  size_t room = argument_room(self.process().limit(Resource::kStack).soft);
  ExecStrings strings;
  strings.argv = TRY(ArgumentList::read_user(argv, room));
  strings.env = TRY(ArgumentList::read_user(env, room));
  return strings;
}

}  // namespace

// execve(2). Does not return to the caller's program when it succeeds.
Result<long> sys_execve(Thread& self, UserString path, UserAddress argv, UserAddress env) {
  const String name = TRY(path.read_path());
  Path program =
      TRY(lookup_path(self.fs().walk(self.credentials()), name.view(), FollowLast::kYes));
  TRY(check_noted_process_limit(self));
  TRY(check_executable(program, self.credentials()));
  ExecStrings strings = TRY(read_strings(self, argv, env));
  TRY(execute(self, std::move(program), name.view(), std::move(strings.argv),
              std::move(strings.env)));
  return 0;
}

// execveat(2). Scripts find themselves as /dev/fd/N, which close-on-exec makes ENOENT.
Result<long> sys_execveat(Thread& self, Fd directory, UserString path, UserAddress argv,
                          UserAddress env, Flags flags) {
  constexpr uint32_t kEmptyPath = 0x1000, kSymlinkNoFollow = 0x100;
  if ((bits(flags) & ~(kEmptyPath | kSymlinkNoFollow)) != 0) return Errno::kInval;
  const bool allows_empty = (bits(flags) & kEmptyPath) != 0;
  const String name = TRY(path.read_path());
  if (name.is_empty() && !allows_empty) return Errno::kNoEnt;

  WalkContext walk = self.fs().walk(self.credentials());
  String shown = TRY(name.clone());
  if (directory != kAtCwd && !name.view().starts_with('/')) {
    walk.start = TRY(path_of_file(TRY(self.files().get(number(directory)))));
    shown.clear();
    TRY(append_format(shown, "/dev/fd/{}", number(directory)));
    if (!name.is_empty()) TRY(append_format(shown, "/{}", name));
  }
  const FollowLast follow =
      (bits(flags) & kSymlinkNoFollow) != 0 ? FollowLast::kNo : FollowLast::kYes;
  Path program = TRY(lookup_path(walk, name.view(), follow, allows_empty ? kWalkEmptyPath : 0));
  if (program.inode().is_symlink()) return Errno::kLoop;
  TRY(check_noted_process_limit(self));
  TRY(check_executable(program, self.credentials()));
  ExecStrings strings = TRY(read_strings(self, argv, env));
  TRY(execute(self, std::move(program), shown.view(), std::move(strings.argv),
              std::move(strings.env)));
  return 0;
}

Result<long> sys_getpid(Thread& self) { return self.pid(); }
Result<long> sys_getppid(Thread& self) { return self.process().parent_pid(); }
Result<long> sys_getpgrp(Thread& self) { return self.process().group_id(); }

namespace {

// 0 is the caller itself.
Result<RefPtr<Process>> process_named(Thread& self, Pid pid) {
  RefPtr<Process> process = pid == 0 ? ref_to(self.process()) : find_process(pid);
  if (!process) return Errno::kSrch;
  return process;
}

}  // namespace

Result<long> sys_getpgid(Thread& self, Pid pid) {
  return TRY(process_named(self, pid))->group_id();
}
Result<long> sys_getsid(Thread& self, Pid pid) {
  return TRY(process_named(self, pid))->session_id();
}

// setpgid(2), "ERRORS", in Linux's order.
Result<long> sys_setpgid(Thread& self, Pid pid, Pid group) {
  if (pid == 0) pid = self.pid();
  if (group == 0) group = pid;
  if (group < 0) return Errno::kInval;
  return process_tree().with([&](ProcessTree& tree) -> Result<long> {
    RefPtr<Process>* found = tree.processes.find(pid);
    if (found == nullptr) return Errno::kSrch;
    Process& target = **found;
    Process::Links& links = target.links(tree);
    const Process::Links& own = self.process().links(tree);
    if (links.parent == &self.process()) {
      if (links.session != own.session) return Errno::kPerm;
      if (target.has_executed()) return Errno::kAcces;
    } else if (&target != &self.process()) {
      return Errno::kSrch;
    }
    if (links.session->id() == pid) return Errno::kPerm;
    if (group != pid) {
      bool exists = false;
      for (auto& [number, member] : tree.processes) {
        const Process::Links& theirs = member->links(tree);
        if (theirs.group == group && theirs.session == own.session) exists = true;
      }
      if (!exists) return Errno::kPerm;
    }
    links.group = group;
    return 0;
  });
}

// setsid(2).
Result<long> sys_setsid(Thread& self) {
  const Pid pid = self.pid();
  RefPtr<Session> session = TRY(make_ref<Session>(pid));
  return process_tree().with([&](ProcessTree& tree) -> Result<long> {
    for (auto& [number, process] : tree.processes) {
      if (process->links(tree).group == pid) return Errno::kPerm;
    }
    Process::Links& links = self.process().links(tree);
    std::swap(links.session, session);
    links.group = pid;
    return pid;
  });
}

// vhangup(2): without a controlling terminal nothing happens.
Result<long> sys_vhangup(Thread& self) {
  if (!self.user().has(kCapSysTtyConfig)) return Errno::kPerm;
  const RefPtr<Session> session = self.process().session();
  const RefPtr<File> file = session != nullptr ? session->terminal() : nullptr;
  if (file == nullptr || file->kind() != FileKind::kTerminal) return 0;
  static_cast<TtyFile&>(*file).terminal().hang_up(Terminal::HangUp::kForThoseWhoHaveIt);
  return 0;
}

// pidfd_open(2).
Result<long> sys_pidfd_open(Thread& self, Pid pid, Flags flags) {
  if ((bits(flags) & ~kOpenNonblock) != 0 || pid <= 0) return Errno::kInval;
  RefPtr<Process> process = find_process(pid);
  if (!process) return find_thread(pid) ? Errno::kInval : Errno::kSrch;
  return TRY(self.files().install(TRY(PidFile::create(std::move(process), bits(flags))),
                                  CloseOnExec::kYes));
}

// pidfd_getfd(2).
Result<long> sys_pidfd_getfd(Thread& self, Fd pidfd, Fd target, Flags flags) {
  if (bits(flags) != 0) return Errno::kInval;
  const RefPtr<Process> process = TRY(PidFile::process_of(TRY(self.files().get(number(pidfd)))));
  if (process->has_ended()) return Errno::kSrch;
  TRY(check_may_trace(self, *process, TracerIds::kReal));
  const RefPtr<FileTable> files = process->files();
  if (!files) return Errno::kSrch;
  return TRY(self.files().install_open(TRY(files->get(number(target))), CloseOnExec::kYes));
}

}  // namespace occlum
