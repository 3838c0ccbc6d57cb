// Thread: a program's thread: a Task with an identity, a process, and what clone(2) lets threads share or not.
//
// What belongs to the thread alone (its memory, files, credentials, masks) is read by the thread itself without a lock,
// because only it changes them; others take copies through share_*(). Signals: signals/send.h.
#pragma once

#include <array>
#include <atomic>
#include <optional>
#include <string_view>

#include "libos/arch/repeated_fault.h"
#include "libos/fs/file_table.h"
#include "libos/fs/fs_context.h"
#include "libos/ipc/semaphore_undo.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/mm/address_space.h"
#include "libos/process/credentials.h"
#include "libos/process/io_context.h"
#include "libos/process/out_of_line.h"
#include "libos/process/pid.h"
#include "libos/process/ptrace/tracing.h"
#include "libos/process/signals/pending.h"
#include "libos/process/signals/signal.h"
#include "libos/process/usage.h"
#include "libos/sched/task.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

class Process;
class Thread;
struct PiLock;
struct ProcessTree;

// sigaltstack(2)'s stack_t.
struct SignalStack {
  uint64_t address = 0;
  int32_t flags = 2;  // SS_DISABLE
  uint32_t padding = 0;
  uint64_t size = 0;
};
static_assert(sizeof(SignalStack) == 24);

// How a blocking call goes on when restart_syscall(2) is called after a stop or an ignored signal.
struct RestartBlock {
  using Resume = Result<long> (*)(Thread& self);
  Resume resume = nullptr;  // null: EINTR
  int clock = 0;
  Nanoseconds deadline = kNever;  // absolute, of the monotonic clock
  uint64_t user_address = 0;      // where the remaining time goes
  std::array<uint64_t, 4> arguments = {};
};

// rseq(2): what the thread has registered, and what it was told last. signals/restartable.cpp.
struct RestartableSequences {
  uint64_t address = 0;  // 0: none
  uint32_t size = 0;
  uint32_t signature = 0;
  uint32_t seen_turns = 0;
  uint32_t told_vcpu = UINT32_MAX;
};

class Thread final : public Task {
  friend class Process;
  ListNode sibling_node_;  // among the threads of its process, under the process table's lock
  ListNode tracee_node_;   // among what its tracer's process traces, likewise

 public:
  // What a new thread starts with; the caller links it into the process table (process_table.h).
  struct Resources {
    RefPtr<AddressSpace> memory;
    RefPtr<FileTable> files;
    RefPtr<FsContext> fs;
    RefPtr<SharedCredentials> credentials;
    RefPtr<SemaphoreUndo> semaphore_undo;  // CLONE_SYSVSEM
    RefPtr<IoContext> io_context;
  };
  static Result<RefPtr<Thread>> create(RefPtr<Process> process, Pid tid, Resources resources);
  Thread(RefPtr<Process> process, Pid tid, Resources resources);  // use create
  ~Thread() override;

  // --- Task ---
  [[noreturn]] void run() override;  // goes to user mode with context().user_registers()
  bool has_interrupt() const override;
  void on_wait() override;
  void on_runnable() override;

  // --- who it is ---
  Process& process() const { return *process_; }
  Pid tid() const { return tid_.load(std::memory_order_relaxed); }
  Pid pid() const;  // the process's number: tgid in the kernel's words
  bool is_leader() const { return tid() == pid(); }

  // --- for the thread itself ---
  AddressSpace& memory() { return *memory_; }
  const AddressSpace& own_memory() const { return *memory_; }
  FileTable& files() { return *files_; }
  FsContext& fs() { return *fs_; }
  // As whom it works on files, and the whole of it.
  const Credentials& credentials() const { return credentials_->value.files; }
  const UserCredentials& user() const { return credentials_->value; }
  uint64_t credentials_number() const { return credentials_->number; }
  // Replaces them, for set*id(2) and capset(2). Errors: kNoMem. Exec makes them before there is no way back.
  Result<void> set_credentials(UserCredentials credentials);
  void set_credentials(RefPtr<SharedCredentials> next);

  // --- for others: null when the thread has ended ---
  RefPtr<AddressSpace> share_memory() const;
  RefPtr<FileTable> share_files() const;
  RefPtr<FsContext> share_fs() const;
  RefPtr<SharedCredentials> share_credentials() const;

  // --- for exec, exit and unshare: replace, and drop, what it had ---
  void replace_memory(RefPtr<AddressSpace> memory);
  void replace_files(RefPtr<FileTable> files);
  void replace_fs(RefPtr<FsContext> fs);
  // By CLONE_FILES and CLONE_FS; who looks at it just now (share_files) counts for a moment. Two references are its own.
  bool shares_files() const { return files_->reference_count() > 2; }
  bool shares_fs() const { return fs_->reference_count() > 2; }

  // What its semaphore operations are to take back (ipc/semaphore_undo.h): made on first use; dropped at its end. Others
  // may only compare.
  Result<RefPtr<SemaphoreUndo>> make_semaphore_undo();
  void drop_semaphore_undo();
  const SemaphoreUndo* semaphore_undo_identity() const;

  // ioprio_set(2): 0 until it was set. Errors: kNoMem.
  uint16_t io_priority() const;
  Result<void> set_io_priority(uint16_t priority);
  // Null before that. Shared by CLONE_IO, else a child has one with the same priority. Others may only compare.
  RefPtr<IoContext> share_io_context() const;

  // The name that prctl(PR_SET_NAME) sets: at most 15 bytes; `comm` in /proc.
  struct Name {
    std::array<char, 16> text = {};
    std::string_view view() const;
  };
  Name name() const;
  void set_name(std::string_view name);

  // --- signals of this thread (signals/) ---
  SignalSet signal_mask() const { return SignalSet(mask_.load(std::memory_order_acquire)); }
  // Only the thread itself. SIGKILL and SIGSTOP are never blocked.
  void set_signal_mask(SignalSet mask);
  // sigsuspend, ppoll, pselect6, epoll_pwait: `mask` holds until the call's end. When the call then returns EINTR a
  // handler runs first, and its frame restores the old mask; else the old mask is back at once. Nothing to undo.
  void set_temporary_signal_mask(SignalSet mask);
  // Sent and not delivered, to this thread or to its process, blocked or not.
  SignalSet pending_signals() const;
  // Takes one of `wanted` (sigtimedwait, signalfd): the thread's own first, then the process's.
  std::optional<SignalInfo> take_signal(SignalSet wanted);
  // A fatal signal or an exit of the whole process is under way: give up whatever is waited for.
  bool must_die() const { return (work_.load(std::memory_order_acquire) & kDie) != 0; }

  // --- machinery: has_return_work() is work() without kTraced ---
  enum Work : uint32_t {
    kSignal = 1,       // an unblocked signal may be pending
    kDie = 2,          // exit_group, exec by another thread, SIGKILL
    kStop = 4,         // the process is stopped
    kRestoreMask = 8,  // a temporary mask is in force
    kRestart = 16,     // RAX holds a restart code
    kTrap = 32,        // the tracer wants a stop
    kStep = 64,        // a single step is to be prepared, or to be looked at
    kTraced = 128,     // no work by itself: system calls and signals tell the tracer (ptrace/)
                       // 256: kRseqWork (signals/restartable.h)
    kAwake = 512,      // it has woken, and its process limits the time of real-time threads
  };
  uint32_t work() const { return work_.load(std::memory_order_acquire); }
  void set_work(uint32_t bits) { work_.fetch_or(bits, std::memory_order_acq_rel); }
  void clear_work(uint32_t bits) { work_.fetch_and(~bits, std::memory_order_acq_rel); }
  // Sets kSignal when something unblocked is pending. Only the thread itself.
  void update_signal_work();
  // While it lives, interruptible waits of this thread end only for a fatal signal.
  class OnlyFatalInterrupts {
   public:
    explicit OnlyFatalInterrupts(Thread& self) : self_(self) { self_.only_fatal_ = true; }
    ~OnlyFatalInterrupts() { self_.only_fatal_ = false; }

   private:
    Thread& self_;
  };

  SpinLocked<PendingSignals>& own_pending() { return pending_; }
  const SpinLocked<PendingSignals>& own_pending() const { return pending_; }
  std::optional<SignalSet> take_saved_mask();
  SignalStack signal_stack;
  // The last fault, as a handler finds it in its context.
  struct Trap {
    uint64_t number = 0, error_code = 0, address = 0;
  };
  Trap last_trap;
  RepeatedFault stale_fault = {};  // for which nothing was missing
  OwnPtr<OutOfLine> out_of_line;   // while an instruction is executed elsewhere
  RestartBlock restart_block;
  // What sigtimedwait() waits for although it is blocked: a sender wakes the thread for it.
  std::atomic<uint64_t> waited_signals{0};
  RestartableSequences rseq;

  // --- clone and exit ---
  uint64_t set_child_tid = 0;    // CLONE_CHILD_SETTID: written when the thread starts
  uint64_t clear_child_tid = 0;  // CLONE_CHILD_CLEARTID, set_tid_address(2)
  uint64_t robust_list = 0;      // get_robust_list(2)
  // PI futexes, under the lock of ipc/futex_pi.cpp: what it waits for; the first of those that others wait for.
  PiLock* pi_waits_for = nullptr;
  PiLock* pi_held = nullptr;
  int parent_death_signal = 0;  // PR_SET_PDEATHSIG
  bool no_new_privileges = false;
  bool has_too_many_processes =
      false;                     // its last change of ids went beyond RLIMIT_NPROC: execve(2)
  bool is_io_flusher = false;    // PR_SET_IO_FLUSHER
  uint64_t timer_slack = 50000;  // ns
  uint32_t personality = 0;
  // Under the process table's lock: kStop is set and this thread has not stopped yet.
  bool must_count_stop = false;
  // Likewise: it ends, and no core dump can show it any more.
  bool is_past_dump = false;
  bool has_ended() const { return ended_.load(std::memory_order_acquire); }
  void set_ended() { ended_.store(true, std::memory_order_release); }
  void set_tid(Pid tid) { tid_.store(tid, std::memory_order_relaxed); }  // exec: becomes the leader
  Nanoseconds start_time() const { return start_time_; }
  uint64_t system_calls = 0;  // how many it made

  // RLIMIT_RTTIME (RealtimeLimitTimer): ns that it ran since it slept, or became a real-time thread; and whether its next
  // wake-up is to be told by kAwake.
  uint64_t time_awake() const {
    const uint64_t since = awake_since_.load(std::memory_order_relaxed), now = cpu_time();
    return now > since ? now - since : 0;
  }
  void begin_time_awake() { awake_since_.store(cpu_time(), std::memory_order_relaxed); }
  std::atomic<bool> tells_waking{false};

  ToldTimes told_times;  // under the process table's lock
  Tracing tracing;       // ptrace(2)

  // /proc/<pid>/io: bytes and calls of read(2), write(2) and their relatives. Only the thread itself counts.
  struct IoCounts {
    std::atomic<uint64_t> bytes_read{0}, bytes_written{0}, reads{0}, writes{0};
  };
  IoCounts io;
  static void count(std::atomic<uint64_t>& counter, uint64_t more) {
    counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }

 private:
  struct Shared {
    RefPtr<AddressSpace> memory;
    RefPtr<FileTable> files;
    RefPtr<FsContext> fs;
    RefPtr<SharedCredentials> credentials;
    RefPtr<SemaphoreUndo> semaphore_undo;
    RefPtr<IoContext> io_context;
    Name name;
  };

  const RefPtr<Process> process_;
  std::atomic<Pid> tid_;
  // The thread's own copies of what shared_ holds: written by it alone, together with shared_.
  RefPtr<AddressSpace> memory_;
  RefPtr<FileTable> files_;
  RefPtr<FsContext> fs_;
  RefPtr<SharedCredentials> credentials_;
  mutable SpinLocked<Shared> shared_{LockRank::kThreadGroup};

  std::atomic<uint64_t> mask_{0};
  std::optional<SignalSet> saved_mask_;
  std::atomic<uint32_t> work_{0};
  std::atomic<bool> only_fatal_{false};
  std::atomic<uint64_t> awake_since_{0};  // its CPU time then
  mutable SpinLocked<PendingSignals> pending_{LockRank::kSignal};

  std::atomic<bool> ended_{false};
  const Nanoseconds start_time_;
};

// The thread whose system call or fault is being handled. Not for kernel services.
Thread& current_thread();

}  // namespace occlum
