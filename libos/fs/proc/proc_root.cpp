// The root of /proc: the system's table, self and thread-self, and a directory for each process.
// Also task/.
#include <array>

#include "libos/arch/arch.h"
#include "libos/fs/proc/counters.h"
#include "libos/fs/proc/proc.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/ipc/pipe.h"
#include "libos/lib/text.h"
#include "libos/mm/area_set.h"
#include "libos/mm/conflict_group.h"
#include "libos/mm/stats.h"
#include "libos/net/socket.h"
#include "libos/process/process_table.h"
#include "libos/process/rewrite/rewrite.h"
#include "libos/sched/fault_injection.h"
#include "libos/sched/host_files.h"
#include "libos/sched/timer.h"

namespace occlum {

namespace {

constexpr uint64_t kRootIno = 1;
// Cookies of the root: the table's entries first, then a process of number n at kPids + n.
constexpr uint64_t kPids = 1 << 16;

Result<Pid> parse_pid(std::string_view name) {
  if (name.empty() || name.front() == '0') return Errno::kNoEnt;
  const auto number = parse_u64(name);
  if (number.is_error() || number.value() >= static_cast<uint64_t>(kPidLimit)) return Errno::kNoEnt;
  return static_cast<Pid>(number.value());
}

Result<RefPtr<Inode>> make_process_directory(RefPtr<FileSystem> file_system, Subject subject,
                                             Pid number) {
  const auto entries = subject.thread ? thread_entries() : process_entries();
  return RefPtr<Inode>(TRY(make_ref<ProcTable>(std::move(file_system), process_ino(number), 0555,
                                               std::move(subject), entries)));
}

class ProcRoot final : public ProcTable {
 public:
  explicit ProcRoot(RefPtr<FileSystem> file_system)
      : ProcTable(std::move(file_system), kRootIno, 0555, Subject(), system_entries()) {}

  Result<RefPtr<Inode>> lookup(std::string_view name) override {
    const auto pid = parse_pid(name);
    if (pid.is_error()) return ProcTable::lookup(name);
    RefPtr<Process> process = find_process(pid.value());
    if (process != nullptr)
      return make_process_directory(ref_to(file_system()), {std::move(process), {}}, pid.value());
    // A thread's number works, too, though it is not listed.
    RefPtr<Thread> thread = find_thread(pid.value());
    if (thread == nullptr) return Errno::kNoEnt;
    return make_process_directory(ref_to(file_system()), {ref_to(thread->process()), {}},
                                  thread->pid());
  }

  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override {
    if (cookie < kPids && !emit_table(cookie, emit)) return {};
    bool more = true;
    return for_each_process([&](Process& process) {
      const uint64_t place = kPids + static_cast<uint64_t>(process.pid());
      if (!more || place < cookie) return;
      std::array<char, 12> name;
      more = emit({format_to(name, "{}", process.pid()), process_ino(process.pid()),
                   FileType::kDirectory, place + 1});
    });
  }
};

// A process without threads shows one all the same: a zombie's leader, and the reaper's.
class TaskDirectory final : public ProcInode {
 public:
  TaskDirectory(RefPtr<FileSystem> file_system, uint64_t ino, Subject subject)
      : ProcInode(std::move(file_system), FileType::kDirectory, ino, 0555, std::move(subject)) {}

  Result<RefPtr<Inode>> lookup(std::string_view name) override {
    const Pid number = TRY(parse_pid(name));
    if (is_alone(number)) {
      return make_process_directory(ref_to(file_system()), {subject().process, {}}, number);
    }
    RefPtr<Thread> thread = find_thread(number);
    if (thread == nullptr || &thread->process() != subject().process.get()) return Errno::kNoEnt;
    const Pid tid = thread->tid();
    return make_process_directory(ref_to(file_system()), {subject().process, std::move(thread)},
                                  tid);
  }

  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override {
    const Pid pid = subject().process->pid();
    if (is_alone(pid)) {
      std::array<char, 12> name;
      if (cookie == 0)
        (void)emit({format_to(name, "{}", pid), process_ino(pid), FileType::kDirectory, 1});
      return {};
    }
    const auto threads = TRY(subject().process->threads());
    for (uint64_t after = cookie;;) {
      // The smallest number that is not emitted yet: the list has no order.
      Pid next = 0;
      for (const RefPtr<Thread>& thread : threads) {
        const Pid tid = thread->tid();
        if (static_cast<uint64_t>(tid) >= after && (next == 0 || tid < next)) next = tid;
      }
      if (next == 0) return {};
      std::array<char, 12> name;
      after = static_cast<uint64_t>(next) + 1;
      if (!emit({format_to(name, "{}", next), process_ino(next), FileType::kDirectory, after}))
        return {};
    }
  }

 private:
  bool is_alone(Pid number) const {
    return subject().process->pid() == number && subject().process->thread_count() == 0;
  }
};

Result<RefPtr<FileSystem>> make_proc(const MountArguments&) {
  return RefPtr<FileSystem>(TRY(make_ref<ProcFileSystem>()));
}

// How many of each there are now: after everything that ran has ended, what there was before.
void report_object_counters(CounterReport report) {
  report("objects.address_spaces", live_objects<AddressSpace>());
  report("objects.areas", live_objects<AreaCount>());
  report("objects.conflict_groups", live_objects<ConflictGroup>());
  report("objects.memory_objects", live_objects<MemoryObject>());
  report("objects.files", live_objects<File>());
  report("objects.file_tables", live_objects<FileTable>());
  report("objects.fs_contexts", live_objects<FsContext>());
  report("objects.inodes", live_objects<Inode>());
  report("objects.names", live_objects<Dentry>());
  report("objects.pipes", live_objects<Pipe>());
  report("objects.sockets", live_objects<Socket>());
  report("objects.sessions", live_objects<Session>());
  report("objects.signals", live_objects<QueuedSignal>());
  report("objects.timers", live_objects<Timer>());
}

void report_base_counters(CounterReport report) {
  const SystemCallCounts calls = system_call_counts();
  report("syscalls.by_stub", calls.by_stub);
  report("syscalls.by_trap", calls.by_trap);
  report("syscalls.patched_sites", rewrite_counters.patched_sites.load());
  report("syscalls.stub_pages", rewrite_counters.stub_pages.load());
  report("processes.now", process_count());
  report("processes.created", processes_created());
  report("threads.now", thread_count());
  report("host.file_waits", host_file_waits());
  report_object_counters(report);
  const MemoryCounters& memory = memory_counters;
  report("memory.committed_pages", memory.committed_pages.load());
  report("memory.user_present_pages", memory.user_present_pages.load());
  report("memory.user_kept_pages", memory.user_kept_pages.load());
  report("memory.kernel_pages", memory.kernel_pages.load());
  report("memory.kept_stack_pages", memory.kept_stack_pages.load());
  report("memory.kernel_free_pages", memory.kernel_free_pages.load());
  report("memory.metadata_pages", memory.metadata_pages.load());
  report("memory.heap_bytes", memory.heap_bytes.load());
  report("memory.heap_requests", failslab.requests());
  report("memory.heap_failures", failslab.failures());
  report("memory.page_requests", fail_page_alloc.requests());
  report("memory.page_failures", fail_page_alloc.failures());
  report("memory.object_pages", memory.object_pages.load());
  report("memory.faults", memory.faults.load());
  report("memory.spurious_faults", memory.spurious_faults.load());
  report("memory.held_pages", memory.held_pages.load());
  report("memory.exchanges", memory.exchanges.load());
  report("memory.exchanged_pages", memory.exchanged_pages.load());
  report("memory.alias_moves", memory.alias_moves.load());
  report("memory.host_protect_calls", memory.host_protect_calls.load());
  report("memory.extend_calls", memory.extend_calls.load());
  report("memory.commit_calls", memory.commit_calls.load());
  report("memory.commit_copies", memory.commit_copies.load());
  report("memory.decommitted_pages", memory.decommitted_pages.load());
}

}  // namespace

Result<RefPtr<Inode>> ProcFileSystem::root() {
  return RefPtr<Inode>(TRY(make_ref<ProcRoot>(RefPtr<FileSystem>(this))));
}

Result<RefPtr<Inode>> make_task_directory(RefPtr<FileSystem> file_system, const Subject& subject,
                                          uint64_t ino) {
  return RefPtr<Inode>(TRY(make_ref<TaskDirectory>(std::move(file_system), ino, subject)));
}

void register_proc() {
  register_file_system("proc", make_proc);
  register_counters(report_base_counters);
}

}  // namespace occlum
