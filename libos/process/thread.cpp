// Threads: see thread.h. What runs here runs for the thread itself unless it is called share_*.
#include "libos/process/thread.h"

#include <algorithm>

#include "libos/arch/arch.h"
#include "libos/lib/memory.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/restartable.h"
#include "libos/process/signals/send_locked.h"
#include "libos/process/statistics.h"

namespace occlum {

Thread::Thread(RefPtr<Process> process, Pid tid, Resources resources)
    : process_(std::move(process)),
      tid_(tid),
      memory_(resources.memory),
      files_(resources.files),
      fs_(resources.fs),
      credentials_(resources.credentials),
      shared_(LockRank::kThreadGroup, Shared{.memory = std::move(resources.memory),
                                             .files = std::move(resources.files),
                                             .fs = std::move(resources.fs),
                                             .credentials = std::move(resources.credentials),
                                             .semaphore_undo = std::move(resources.semaphore_undo),
                                             .io_context = std::move(resources.io_context),
                                             .name = {}}),
      start_time_(monotonic_now()) {
  object_counts.threads.fetch_add(1, std::memory_order_relaxed);
}

Thread::~Thread() { object_counts.threads.fetch_sub(1, std::memory_order_relaxed); }

Result<RefPtr<Thread>> Thread::create(RefPtr<Process> process, Pid tid, Resources resources) {
  RefPtr<Thread> thread = TRY(make_ref<Thread>(std::move(process), tid, std::move(resources)));
  TRY(thread->context().create());
  return thread;
}

void Thread::run() {
  if (set_child_tid != 0) {
    const Pid number = tid();
    (void)copy_to_user(memory(), UserAddress(set_child_tid), bytes_of(number));
  }
  enter_user();
}

bool Thread::has_interrupt() const {
  const uint32_t reasons = only_fatal_.load(std::memory_order_relaxed)
                               ? uint32_t{kDie}
                               : uint32_t{kSignal} | kDie | kStop | kTrap;
  return (work() & reasons) != 0;
}

Pid Thread::pid() const { return process_->pid(); }

Result<void> Thread::set_credentials(UserCredentials credentials) {
  set_credentials(TRY(SharedCredentials::create(std::move(credentials))));
  return {};
}

void Thread::set_credentials(RefPtr<SharedCredentials> next) {
  shared_.with([&](Shared& shared) { std::swap(shared.credentials, next); });
  credentials_ = share_credentials();
}

RefPtr<AddressSpace> Thread::share_memory() const {
  return shared_.with([](const Shared& shared) { return shared.memory; });
}
RefPtr<FileTable> Thread::share_files() const {
  return shared_.with([](const Shared& shared) { return shared.files; });
}
RefPtr<FsContext> Thread::share_fs() const {
  return shared_.with([](const Shared& shared) { return shared.fs; });
}
RefPtr<SharedCredentials> Thread::share_credentials() const {
  return shared_.with([](const Shared& shared) { return shared.credentials; });
}

// The old object goes after the lock is released: its destructor may sleep.
void Thread::replace_memory(RefPtr<AddressSpace> memory) {
  // The thread itself does this, so it is one that can run.
  if (memory) memory->note_runnable();
  if (ptrace::is_traced(*this) || tracing.watched) ptrace::note_memory(*this, memory);
  RefPtr<AddressSpace> old = std::exchange(memory_, memory);
  if (old) old->note_waiting();
  shared_.with([&](Shared& shared) { std::swap(shared.memory, memory); });
}
void Thread::replace_files(RefPtr<FileTable> files) {
  RefPtr<FileTable> old = std::exchange(files_, files);
  shared_.with([&](Shared& shared) { std::swap(shared.files, files); });
}
void Thread::replace_fs(RefPtr<FsContext> fs) {
  RefPtr<FsContext> old = std::exchange(fs_, fs);
  shared_.with([&](Shared& shared) { std::swap(shared.fs, fs); });
}

Result<RefPtr<SemaphoreUndo>> Thread::make_semaphore_undo() {
  RefPtr<SemaphoreUndo> known = shared_.with([](Shared& shared) { return shared.semaphore_undo; });
  if (known) return known;
  known = TRY(make_ref<SemaphoreUndo>());
  shared_.with([&](Shared& shared) { shared.semaphore_undo = known; });
  return known;
}
void Thread::drop_semaphore_undo() {
  RefPtr<SemaphoreUndo> dropped;
  shared_.with([&](Shared& shared) { std::swap(shared.semaphore_undo, dropped); });
}
const SemaphoreUndo* Thread::semaphore_undo_identity() const {
  return shared_.with([](const Shared& shared) { return shared.semaphore_undo.get(); });
}

RefPtr<IoContext> Thread::share_io_context() const {
  return shared_.with([](const Shared& shared) { return shared.io_context; });
}
uint16_t Thread::io_priority() const {
  const RefPtr<IoContext> context = share_io_context();
  return context ? context->priority.load(std::memory_order_relaxed) : uint16_t{0};
}
Result<void> Thread::set_io_priority(uint16_t priority) {
  RefPtr<IoContext> made;
  if (!share_io_context()) made = TRY(make_ref<IoContext>(priority));
  shared_.with([&](Shared& shared) {
    if (!shared.io_context) shared.io_context = std::move(made);
    shared.io_context->priority.store(priority, std::memory_order_relaxed);
  });
  return {};
}

std::string_view Thread::Name::view() const {
  return std::string_view(text.begin(), std::ranges::find(text, '\0'));
}

Thread::Name Thread::name() const {
  return shared_.with([](const Shared& shared) { return shared.name; });
}

void Thread::set_name(std::string_view name) {
  Name next;
  copy_text(next.text, name.substr(0, next.text.size() - 1));
  shared_.with([&](Shared& shared) { shared.name = next; });
}

// A signal of the process that this thread was woken for may be one that it now blocks: another thread takes it.
void Thread::set_signal_mask(SignalSet mask) {
  mask = mask & ~kUnblockable;
  const SignalSet newly_blocked = mask & ~SignalSet(mask_.exchange(mask.bits()));
  update_signal_work();
  if (newly_blocked.is_empty()) return;
  const SignalSet left =
      process_->shared_pending().with([](PendingSignals& pending) { return pending.set(); });
  if ((left & newly_blocked).is_empty()) return;
  process_tree().with(
      [&](ProcessTree& tree) { pass_on_signals(tree, *this, left & newly_blocked); });
}

void Thread::set_temporary_signal_mask(SignalSet mask) {
  if (!saved_mask_) saved_mask_ = signal_mask();
  set_signal_mask(mask);
  set_work(kRestoreMask);
}

std::optional<SignalSet> Thread::take_saved_mask() {
  clear_work(kRestoreMask);
  return std::exchange(saved_mask_, std::nullopt);
}

SignalSet Thread::pending_signals() const {
  const SignalSet own = pending_.with([](const PendingSignals& pending) { return pending.set(); });
  return own |
         process_->shared_pending().with([](PendingSignals& pending) { return pending.set(); });
}

std::optional<SignalInfo> Thread::take_signal(SignalSet wanted) {
  std::optional<SignalInfo> info =
      pending_.with([&](PendingSignals& pending) { return pending.take(wanted); });
  if (!info) {
    info = process_->shared_pending().with(
        [&](PendingSignals& pending) { return pending.take(wanted); });
  }
  update_signal_work();
  return info;
}

// Clears first and then looks: a sender that queues meanwhile sets the bit again.
void Thread::update_signal_work() {
  clear_work(kSignal);
  if (!(pending_signals() & ~signal_mask()).is_empty()) set_work(kSignal);
}

Thread& current_thread() { return static_cast<Thread&>(current_task()); }

AddressSpace& current_memory() { return current_thread().memory(); }

uint64_t program_of(const Task& task) { return static_cast<const Thread&>(task).own_memory().id(); }

bool has_return_work(const Task& task) {
  const Thread& thread = static_cast<const Thread&>(task);
  return (thread.work() & ~uint32_t{Thread::kTraced}) != 0 || needs_rseq_look(thread) ||
         !thread.own_memory().is_resident();
}

void Thread::on_wait() {
  if (memory_) memory_->note_waiting();
}
void Thread::on_runnable() {
  if (memory_) memory_->note_runnable();
  begin_time_awake();
  if (tells_waking.load(std::memory_order_relaxed)) set_work(kAwake);
}

}  // namespace occlum
