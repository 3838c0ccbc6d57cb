// Processes: see process.h. What reads links takes the process table's lock itself, so call these without it.
#include "libos/process/process.h"

#include <algorithm>

#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/statistics.h"
#include "libos/process/timers.h"

namespace occlum {

void IoTotals::add(const Thread& thread) {
  bytes_read += thread.io.bytes_read.load(std::memory_order_relaxed);
  bytes_written += thread.io.bytes_written.load(std::memory_order_relaxed);
  reads += thread.io.reads.load(std::memory_order_relaxed);
  writes += thread.io.writes.load(std::memory_order_relaxed);
}

Process::Process(Pid pid, RefPtr<SignalActions> actions, Kind kind)
    : pid_(pid),
      start_time_(monotonic_now()),
      is_kernel_(kind == Kind::kReaper),
      actions_(std::move(actions)),
      cpu_limit_(*this, pid),
      realtime_limit_(*this) {
  object_counts.processes.fetch_add(1, std::memory_order_relaxed);
}

Process::~Process() { object_counts.processes.fetch_sub(1, std::memory_order_relaxed); }

Pid Process::parent_pid() const {
  return process_tree().with([&](ProcessTree& tree) {
    const RefPtr<Process>& parent = links(tree).parent;
    return parent ? parent->pid() : 0;
  });
}

Pid Process::group_id() const {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).group; });
}

Pid Process::session_id() const {
  return process_tree().with([&](ProcessTree& tree) {
    const RefPtr<Session>& session = links(tree).session;
    return session ? session->id() : 0;
  });
}

RefPtr<Session> Process::session() const {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).session; });
}

ProcessState Process::state() const {
  return process_tree().with([&](ProcessTree& tree) {
    const Links& links = this->links(tree);
    if (links.is_zombie) return ProcessState::kZombie;
    for (const Thread& thread : links.threads) {
      if (thread.is_leader() && ptrace::is_stopped(thread)) return ProcessState::kTraced;
    }
    if (links.is_stopped) return ProcessState::kStopped;
    for (const Thread& thread : links.threads) {
      if (thread.is_runnable()) return ProcessState::kRunning;
    }
    return ProcessState::kSleeping;
  });
}

RefPtr<Thread> Process::any_thread() const {
  return process_tree().with([&](ProcessTree& tree) {
    const Links& links = this->links(tree);
    for (Thread& thread : links.threads) {
      if (thread.is_leader()) return ref_to(thread);
    }
    return RefPtr<Thread>(links.threads.first());
  });
}

int Process::exit_signal() const {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).exit_signal; });
}

int Process::exit_status() const {
  return process_tree().with(
      [&](ProcessTree& tree) { return links(tree).is_zombie ? links(tree).exit_status : 0; });
}

bool Process::is_dumping_core() const {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).dumper != nullptr; });
}

bool Process::is_reaped() const {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).is_reaped; });
}

uint32_t Process::thread_count() const {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).live_threads; });
}

Result<Vec<RefPtr<Thread>>> Process::threads() const {
  Vec<RefPtr<Thread>> all;
  for (bool complete = false; !complete;) {
    TRY(all.reserve(thread_count() + 8));
    complete = process_tree().with([&](ProcessTree& tree) {
      const Links& links = this->links(tree);
      if (links.live_threads > all.capacity()) return false;
      for (Thread& thread : links.threads) all.push_reserved(ref_to(thread));
      return true;
    });
  }
  return all;
}

RefPtr<AddressSpace> Process::memory() const {
  const RefPtr<Thread> thread = any_thread();
  return thread ? thread->share_memory() : nullptr;
}

RefPtr<FileTable> Process::files() const {
  const RefPtr<Thread> thread = any_thread();
  return thread ? thread->share_files() : nullptr;
}

RefPtr<FsContext> Process::fs() const {
  const RefPtr<Thread> thread = any_thread();
  return thread ? thread->share_fs() : nullptr;
}

RefPtr<SharedCredentials> Process::credentials() const {
  const RefPtr<Thread> thread = any_thread();
  if (thread) return thread->share_credentials();
  return process_tree().with([&](ProcessTree& tree) { return links(tree).last_credentials; });
}

Thread::Name Process::name() const {
  const RefPtr<Thread> thread = any_thread();
  if (thread) return thread->name();
  return process_tree().with([&](ProcessTree& tree) { return links(tree).last_name; });
}

Result<Process::Program> Process::program() const {
  Program copy;
  // The path is copied under a spin lock: its room is made before.
  TRY(copy.path.reserve(4096));
  properties_.with([&](const Properties& properties) {
    copy.file = properties.program.file;
    (void)copy.path.append(properties.program.path.view());
  });
  return copy;
}

void Process::set_program(Program program) {
  properties_.with([&](Properties& properties) { std::swap(properties.program, program); });
}

namespace {

// At most a megabyte: what /proc shows.
Result<String> read_text(AddressSpace& memory, uint64_t start, uint64_t end) {
  String text;
  const size_t size = end > start ? std::min<uint64_t>(end - start, 1 << 20) : 0;
  TRY(text.reserve(size));
  for (size_t i = 0; i < size; ++i) TRY(text.append('\0'));
  TRY(copy_from_user(memory, std::as_writable_bytes(text.span()), UserAddress(start)));
  return text;
}

}  // namespace

// setproctitle(3) writes over the arguments and on into the environment, which shows in the last byte of the arguments:
// then the title is one string from their beginning on, which may be a page long at most.
Result<String> Process::command_line() const {
  const RefPtr<AddressSpace> memory = this->memory();
  if (!memory) return String();
  const uint64_t start = memory->layout.args_start, end = memory->layout.args_end;
  if (start >= end) return String();
  if (TRY(read_text(*memory, end - 1, end)).view() == std::string_view("\0", 1))
    return read_text(*memory, start, end);
  const uint64_t last = std::max(end, memory->layout.env_end);
  const String text = TRY(read_text(*memory, start, std::min(last, start + kPageSize)));
  const size_t length = text.view().find('\0');
  return String::create(
      text.view().substr(0, length == std::string_view::npos ? length : length + 1));
}

Result<String> Process::environment() const {
  const RefPtr<AddressSpace> memory = this->memory();
  if (!memory) return String();
  return read_text(*memory, memory->layout.env_start, memory->layout.env_end);
}

ResourceLimit Process::limit(Resource resource) const {
  return properties_.with(
      [&](const Properties& properties) { return properties.limits[resource]; });
}

ResourceLimits Process::limits() const {
  return properties_.with([](const Properties& properties) { return properties.limits; });
}

ResourceLimit Process::set_limit(Resource resource, ResourceLimit limit) {
  const ResourceLimit old = properties_.with(
      [&](Properties& properties) { return std::exchange(properties.limits[resource], limit); });
  if (resource == Resource::kCpu) cpu_limit_.apply(limit.soft);
  if (resource == Resource::kRtTime) realtime_limit_.apply();
  if (resource == Resource::kFiles) descriptor_limit_ = limit.soft;
  return old;
}

void Process::set_limits(const ResourceLimits& limits) {
  properties_.with([&](Properties& properties) { properties.limits = limits; });
  cpu_limit_.apply(limits[Resource::kCpu].soft);
  descriptor_limit_ = limits[Resource::kFiles].soft;
}

void Process::raise_limit(Resource resource, uint64_t more) {
  properties_.with([&](Properties& properties) {
    uint64_t& soft = properties.limits[resource].soft;
    if (soft != kRlimInfinity) soft += more;
  });
}

void Process::watch_realtime() { realtime_limit_.apply(); }

ResourceUsage Process::Links::usage() {
  ResourceUsage sum = ended_threads;
  for (const Thread& thread : threads) sum.add(thread_usage(thread));
  told_times.apply(sum);
  return sum;
}

ResourceUsage Process::usage() {
  ResourceUsage usage = process_tree().with([&](ProcessTree& tree) { return links(tree).usage(); });
  if (const RefPtr<AddressSpace> memory = this->memory()) {
    usage.max_resident = std::max(usage.max_resident, memory->peak_committed_bytes());
  }
  return usage;
}

void Process::note_resident(const AddressSpace& memory) {
  const uint64_t peak = memory.peak_committed_bytes();
  process_tree().with([&](ProcessTree& tree) {
    uint64_t& most = links(tree).ended_threads.max_resident;
    most = std::max(most, peak);
  });
}

ResourceUsage Process::children_usage() const {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).waited_children; });
}

IoTotals Process::io_totals() const {
  return process_tree().with([&](ProcessTree& tree) {
    const Links& links = this->links(tree);
    IoTotals sum = links.ended_io;
    for (const Thread& thread : links.threads) sum.add(thread);
    return sum;
  });
}

uint64_t Process::user_time() {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).usage().user_time; });
}

uint64_t Process::cpu_time() const {
  return process_tree().with([&](ProcessTree& tree) { return links(tree).cpu_time(); });
}

uint64_t Process::Links::cpu_time() const {
  uint64_t sum = ended_threads.user_time + ended_threads.system_time;
  for (const Thread& thread : threads) sum += thread.cpu_time();
  return sum;
}

Result<ProcessTimers*> Process::make_timers() {
  OwnPtr<ProcessTimers> fresh = TRY(make_own<ProcessTimers>(*this));
  timers_lock_.with([&](OwnPtr<ProcessTimers>& timers) {
    if (!timers) std::swap(timers, fresh);
  });
  return timers();
}

void Process::stop_timers() {
  cpu_limit_.cancel();
  realtime_limit_.cancel();
  if (ProcessTimers* all = timers()) all->stop_all();
}

ProcessTimers* Process::timers() const {
  return timers_lock_.with([](const OwnPtr<ProcessTimers>& timers) { return timers.get(); });
}

}  // namespace occlum
