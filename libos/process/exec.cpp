// execve(2), in this order: the file is opened and checked; the new address space is made; the other threads end, which is
// the point of no return; what is shared with other processes is copied; the old memory goes and the new program takes
// over. What fails behind that point ends the process with SIGSEGV, as in the kernel's bprm_execve().
//
// A program at fixed addresses (ET_EXEC) may want those that its caller has now. It is then mapped after the old memory
// is gone: else both would have to share the addresses for a moment, as they do when another process uses that memory
// as well (a vfork parent; mm/conflict_group.h).
#include "libos/process/exec.h"

#include "libos/ipc/futex.h"
#include "libos/lib/log.h"
#include "libos/process/exit.h"
#include "libos/process/personality.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/send_locked.h"

namespace occlum {
namespace {

constexpr uint64_t kInitialFlags = 0x202;  // IF and the bit that is always one

bool is_secure(const UserCredentials& user) {
  return user.uid != user.euid || user.gid != user.egid;
}

// A tracer without CAP_SYS_PTRACE must not get at what the program may do and he may not.
bool has_lesser_tracer(Thread& self) {
  const Pid tracer = ptrace::tracer_of(self);
  const RefPtr<Thread> thread = tracer != 0 ? find_thread(tracer) : nullptr;
  const RefPtr<SharedCredentials> theirs = thread ? thread->share_credentials() : nullptr;
  return tracer != 0 && (!theirs || !theirs->value.has(kCapSysPtrace));
}

struct Transition {
  UserCredentials credentials;
  bool is_secure = false;  // AT_SECURE
};

// capabilities(7), "Transformation of capabilities during execve()": set-id files, file capabilities, and root's
// privileges, in the order of the kernel's cap_bprm_creds_from_file(). kPerm: the file cannot work without what the
// bounding set withholds.
Result<Transition> credentials_after(Thread& self, const Executable& executable) {
  const UserCredentials& old = self.user();
  UserCredentials next = TRY(old.clone());
  if (!self.no_new_privileges) {
    if (executable.set_uid) next.euid = *executable.set_uid;
    if (executable.set_gid) next.egid = *executable.set_gid;
  }
  bool effective = false;
  next.permitted = 0;
  if (const auto& file = executable.capabilities) {
    effective = file->effective;
    next.permitted = (next.bounding & file->permitted) | (next.inheritable & file->inheritable);
    if (effective && (file->permitted & ~next.permitted) != 0) return Errno::kPerm;
  }
  // A set-user-id-root file with capabilities of its own gets those, unless root runs it.
  const bool is_own_business = executable.capabilities && next.uid != 0 && next.euid == 0;
  if ((next.secure_bits & kSecureNoRoot) == 0 && !is_own_business) {
    if (next.uid == 0 || next.euid == 0) next.permitted = next.bounding | next.inheritable;
    if (next.euid == 0) effective = true;
  }
  // A group that the caller was in already gives it nothing.
  const bool is_set_id = next.euid != old.euid || !old.files.in_group(next.egid);
  const bool gains = is_set_id || (next.permitted & ~old.permitted) != 0;
  if (gains && (self.no_new_privileges || has_lesser_tracer(self))) {
    if (self.no_new_privileges || !old.has(kCapSetUid)) {
      next.euid = next.uid;
      next.egid = next.gid;
    }
    next.permitted &= old.permitted;
  }
  next.suid = next.files.fsuid = next.euid;
  next.sgid = next.files.fsgid = next.egid;
  if (is_set_id || executable.capabilities) next.ambient = 0;
  next.permitted |= next.ambient;
  next.effective = effective ? next.permitted : next.ambient;
  next.secure_bits &= ~kSecureKeepCaps;
  const bool has_more = (next.permitted & ~next.ambient) != 0;
  const bool secure = is_set_id || is_secure(next) || (next.uid != 0 && (effective || has_more));
  return Transition{.credentials = std::move(next), .is_secure = secure};
}

bool has_area_in(AddressSpace& memory, const ElfImage& image) {
  const Result<Vec<Area>> areas = memory.areas();
  if (areas.is_error()) return false;
  for (const Area& area : areas.value()) {
    if (area.start < image.end && image.start < area.end) return true;
  }
  return false;
}

bool shares_memory_with_others(Thread& self) {
  return process_tree().with([&](ProcessTree& tree) {
    const RefPtr<AddressSpace> mine = self.share_memory();
    for (auto& [tid, thread] : tree.threads) {
      if (&thread->process() != &self.process() && thread->share_memory() == mine) return true;
    }
    return false;
  });
}

// The new memory, with the program in it or, when that has to wait for the old memory to go, without.
struct NewMemory {
  RefPtr<AddressSpace> memory;
  std::optional<LoadedProgram> loaded;
};

Result<NewMemory> make_memory(Thread& self, const Executable& executable,
                              const UserCredentials& next, bool secure) {
  NewMemory made{.memory = TRY(AddressSpace::create()), .loaded = std::nullopt};
  const ElfImage& image = executable.program.image;
  const bool replaces_itself = image.type == ElfType::kExecutable &&
                               has_area_in(self.memory(), image) &&
                               !shares_memory_with_others(self);
  if (!replaces_itself) made.loaded = TRY(load_program(*made.memory, executable, next, secure));
  return made;
}

// The other threads end, and this one becomes the leader. Errors, after which they live on: kNoMem. kAgain: another
// thread was faster with exec or exit, and this one ends.
Result<void> become_only_thread(Thread& self) {
  Process& process = self.process();
  auto entry = TRY(decltype(ProcessTree::threads)::prepare(process.pid(), ref_to(self)));
  const bool alone = TRY(process_tree().with([&](ProcessTree& tree) -> Result<bool> {
    Process::Links& links = process.links(tree);
    if (links.is_exiting || links.sole_survivor != nullptr || self.must_die()) return Errno::kAgain;
    if (links.live_threads == 1) return true;
    links.sole_survivor = &self;
    for (Thread& thread : links.threads) {
      if (&thread == &self) continue;
      thread.set_work(Thread::kDie);
      thread.interrupt();
    }
    return false;
  }));
  if (!alone) {
    const Thread::OnlyFatalInterrupts only_fatal(self);
    const Result<void> waited = wait_until(process.exit_queue(), kNever, Interruptible::kYes,
                                           [&] { return process.thread_count() == 1; });
    process_tree().with([&](ProcessTree& tree) { process.links(tree).sole_survivor = nullptr; });
    if (waited.is_error()) return Errno::kAgain;
  }
  if (self.is_leader()) return {};
  const std::optional<RefPtr<Thread>> old = process_tree().with([&](ProcessTree& tree) {
    std::optional<RefPtr<Thread>> taken = tree.threads.take(self.tid());
    self.set_tid(process.pid());
    for (Process& child : process.links(tree).children) child.links(tree).creator = process.pid();
    ptrace::forget_leader(tree, process);
    tree.threads.insert(std::move(entry));
    return taken;
  });
  return {};
}

void set_start_registers(Thread& thread, const LoadedProgram& loaded) {
  UserRegisters& registers = thread.context().user_registers();
  registers = UserRegisters{};
  registers.rip = loaded.entry;
  registers.rsp = loaded.stack_pointer;
  registers.rflags = kInitialFlags;
  registers.original_rax = UINT64_MAX;
  thread.context().reset_xstate();
}

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// What a new program starts without (execve(2), "Effect on process attributes").
void reset_thread(Thread& self) {
  self.signal_stack.address = self.signal_stack.size = 0;  // its flags stay, as on Linux
  self.restart_block = RestartBlock{};
  self.rseq = {};
  self.process().membarrier_kinds.store(0);
  self.last_trap = {};
  self.set_child_tid = 0;
  self.files().close_on_exec();
  Process& process = self.process();
  process.actions().reset_for_exec();
  if (ProcessTimers* timers = process.timers()) timers->remove_posix_timers();
  process_tree().with([&](ProcessTree& tree) { process.links(tree).exit_signal = kSigChld; });
  process.set_has_executed();
}

// Descriptors and handlers that other processes use too become the process's own.
Result<void> unshare(Thread& self) {
  Process& process = self.process();
  RefPtr<FileTable> files = self.share_files();
  if (files->reference_count() > 3) {  // ours here, the thread's two
    files = TRY(files->clone());
    self.replace_files(std::move(files));
  }
  if (process.share_actions()->reference_count() > 1) {
    RefPtr<SignalActions> own = TRY(process.share_actions()->clone());
    // Senders look at the actions under this lock.
    process_tree().with([&](ProcessTree&) { process.swap_actions(own); });
  }
  return {};
}

// Nothing is left to return to.
Errno die(Thread& self, std::string_view path, Errno reason) {
  log_error("{} cannot be executed ({}): the process that tried is killed", path, reason);
  exit_process(self, kSigSegv);
  self.process().release_vfork_parent();
  return reason;
}

}  // namespace

Result<void> execute(Thread& self, Path path, std::string_view file_name, ArgumentList argv,
                     ArgumentList env) {
  Process& process = self.process();
  Executable executable = TRY(open_executable(self.fs(), self.credentials(), std::move(path),
                                              file_name, std::move(argv), std::move(env)));
  executable.stack_limit = process.limit(Resource::kStack).soft;
  Transition transition = TRY(credentials_after(self, executable));
  RefPtr<SharedCredentials> credentials =
      TRY(SharedCredentials::create(std::move(transition.credentials)));
  const UserCredentials& next = credentials->value;
  const bool secure = transition.is_secure;
  NewMemory made = TRY(make_memory(self, executable, next, secure));
  RefPtr<File> program_file = executable.program.file;
  const Pid former_tid = self.tid();
  TRY(become_only_thread(self));

  // The point of no return.
  if (const Result<void> unshared = unshare(self); unshared.is_error())
    return die(self, executable.path.view(), unshared.error());
  leave_futexes(self, Leaving::kProgram);
  process.note_resident(self.memory());
  self.replace_memory(made.memory);
  if (!made.loaded) {
    const Result<LoadedProgram> loaded = load_program(*made.memory, executable, next, secure);
    if (loaded.is_error()) return die(self, executable.path.view(), loaded.error());
    made.loaded = loaded.value();
  }
  reset_thread(self);
  process.set_dumpable(!is_secure(next) && !makes_undumpable(self.user(), next));
  if (secure) self.parent_death_signal = 0;
  // A 64-bit program starts without the one in any case.
  self.personality &= ~(secure ? kClearedOnSetId : kReadImpliesExec);
  self.set_name(base_name(executable.file_name.view()));
  process.set_program(
      Process::Program{.path = std::move(executable.path), .file = std::move(program_file)});
  self.set_credentials(std::move(credentials));
  made.memory->program = std::move(executable.program.hold);
  executable.interpreter.reset();  // may be written to again
  set_start_registers(self, *made.loaded);
  process.release_vfork_parent();
  ptrace::report_exec(self, former_tid);
  return {};
}

Result<void> start_program(Thread& thread, Executable executable) {
  const LoadedProgram loaded =
      TRY(load_program(thread.memory(), executable, thread.user(), is_secure(thread.user())));
  thread.memory().program = std::move(executable.program.hold);
  thread.set_name(base_name(executable.file_name.view()));
  thread.process().set_program(Process::Program{.path = std::move(executable.path),
                                                .file = std::move(executable.program.file)});
  thread.process().set_has_executed();
  set_start_registers(thread, loaded);
  return {};
}

}  // namespace occlum
