#include "libos/process/core_dump/core_dump.h"

#include "libos/fs/vfs/operations.h"
#include "libos/lib/log.h"
#include "libos/process/core_dump/core_file.h"
#include "libos/process/core_dump/core_pattern.h"
#include "libos/process/exit.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/send_locked.h"

namespace occlum {
namespace {

bool may_dump(const Process& process) {
  return process.dumpable() && process.limit(Resource::kCore).soft >= kPageSize;
}

// The other threads begin to end. False: the process ends otherwise.
bool begin(Thread& self, int signal) {
  Process& process = self.process();
  return process_tree().with([&](ProcessTree& tree) {
    Process::Links& links = process.links(tree);
    if (links.is_exiting || links.sole_survivor != nullptr || self.must_die()) return false;
    links.dumper = &self;
    links.missing_in_dump = 0;
    for (const Thread& thread : links.threads) {
      if (&thread != &self && !thread.is_past_dump) ++links.missing_in_dump;
    }
    begin_group_exit(tree, process, signal);
    // It goes on for now. What sets this again is SIGKILL, which ends the dump.
    self.clear_work(Thread::kDie);
    return true;
  });
}

Result<void> wait_for_others(Process& process) {
  return wait_until(process.exit_queue(), kNever, Interruptible::kYes, [&] {
    return process_tree().with(
        [&](ProcessTree& tree) { return process.links(tree).missing_in_dump == 0; });
  });
}

void finish(Thread& self, bool has_dumped) {
  Process& process = self.process();
  process_tree().with([&](ProcessTree& tree) {
    Process::Links& links = process.links(tree);
    links.dumper = nullptr;
    if (has_dumped && !self.must_die()) links.group_status |= kCoreDumped;
    self.set_work(Thread::kDie);
  });
  process.exit_queue().wake_all();
}

// A new file: who holds the old one keeps it.
Result<RefPtr<File>> create_file(Thread& self, std::string_view path) {
  const WalkContext context = self.fs().walk(self.credentials());
  const ParentPath place = TRY(lookup_parent(context, path));
  if (place.parent.mount->file_system().is_read_by_host()) {
    log_warn("no core file for process {}: the host could read it there", self.pid());
    return Errno::kAcces;
  }
  (void)remove_file(context, path);
  constexpr uint32_t kFlags =
      kOpenCreate | kOpenExclusive | kOpenReadWrite | kOpenNoFollow | kOpenLargeFile;
  constexpr uint32_t kMode = 0600;
  const uint32_t umask = self.fs().umask();
  if ((kMode & umask) != 0) return Errno::kAcces;
  return open_file(context, path, kFlags, kMode, umask);
}

// An error: there is nothing to be written. What is cut short is none.
Result<void> write_file(Thread& self, const SignalInfo& info, File& file) {
  const CoreFile core = TRY(CoreFile::create(self, info));
  if (const Result<void> written = core.write(file); written.is_error())
    log_warn("the core file of process {} is cut short: {}", self.pid(), written.error());
  return {};
}

Result<void> dump(Thread& self, const SignalInfo& info) {
  TRY(wait_for_others(self.process()));
  const String path = TRY(core_path(self, info.signal));
  const RefPtr<File> file = TRY(create_file(self, path.view()));
  file->add_descriptor();  // whose closing is told to who watches the directory
  const Result<void> written = write_file(self, info, *file);
  file->remove_descriptor();
  return written;
}

}  // namespace

void dump_core(Thread& self, const SignalInfo& info) {
  if (!may_dump(self.process()) || !begin(self, info.signal))
    return exit_process(self, info.signal);
  const Thread::OnlyFatalInterrupts only_fatal(self);
  finish(self, !dump(self, info).is_error());
}

void wait_for_core_dump(Thread& self) {
  Process& process = self.process();
  const bool is_awaited = process_tree().with([&](ProcessTree& tree) {
    const Thread* dumper = process.links(tree).dumper;
    self.is_past_dump = dumper == nullptr || dumper == &self;
    return !self.is_past_dump;
  });
  if (!is_awaited) return;
  (void)self.context().xstate();  // from now on it is in memory, where the dumper looks
  const bool was_last = process_tree().with([&](ProcessTree& tree) {
    Process::Links& links = process.links(tree);
    return links.dumper != nullptr && --links.missing_in_dump == 0;
  });
  if (was_last) process.exit_queue().wake_all();
  (void)wait_until(process.exit_queue(), kNever, Interruptible::kNo, [&] {
    return process_tree().with(
        [&](ProcessTree& tree) { return process.links(tree).dumper == nullptr; });
  });
}

}  // namespace occlum
