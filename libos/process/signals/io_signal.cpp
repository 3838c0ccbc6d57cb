#include "libos/process/signals/io_signal.h"

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/leases.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/send.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

constexpr int kReadLock = 0, kWriteLock = 1, kUnlock = 2;  // F_RDLCK, F_WRLCK, F_UNLCK
constexpr Capability kCapLease{28};

// --- whom ---

// Whether anything has this number: a thread, a process, a group or a session.
bool is_known(int32_t number) {
  return find_process(number) != nullptr || find_thread(number) != nullptr ||
         session_of_group(number) != 0 || find_session(number) != nullptr;
}

// Not another one with the same number that came later.
bool is_meant(const IoOwner& owner, const Process& process) {
  return process.start_time() <= owner.since;
}

// The number of a thread names its process as well.
RefPtr<Process> owning_process(const IoOwner& owner) {
  RefPtr<Process> process = find_process(owner.number);
  if (process == nullptr) {
    const RefPtr<Thread> thread = find_thread(owner.number);
    if (thread != nullptr) process = ref_to(thread->process());
  }
  return process != nullptr && is_meant(owner, *process) ? process : nullptr;
}

bool is_alive(const IoOwner& owner) {
  switch (owner.kind) {
    case IoOwner::Kind::kThread: {
      const RefPtr<Thread> thread = find_thread(owner.number);
      return thread != nullptr ? is_meant(owner, thread->process())
                               : owning_process(owner) != nullptr;
    }
    case IoOwner::Kind::kProcess: {
      const RefPtr<Process> process = find_process(owner.number);
      return process != nullptr && is_meant(owner, *process);
    }
    case IoOwner::Kind::kGroup:
      return session_of_group(owner.number) != 0;
  }
  return false;
}

// --- sending ---

// fs/fcntl.c: sigio_perm.
bool may_signal(const IoOwner& owner, Process& target) {
  const RefPtr<SharedCredentials> credentials = target.credentials();
  if (credentials == nullptr) return false;
  const UserCredentials& theirs = credentials->value;
  return owner.euid == 0 || owner.euid == theirs.suid || owner.euid == theirs.uid ||
         owner.uid == theirs.suid || owner.uid == theirs.uid;
}

// poll(2)'s bits, and POLLMSG.
int64_t band_of(IoReason reason) {
  constexpr int64_t kPollMessage = 0x400;
  switch (reason) {
    case IoReason::kIn:
      return kPollIn | kPollRdNorm;
    case IoReason::kOut:
      return kPollOut | kPollWrNorm | kPollWrBand;
    case IoReason::kMessage:
      return kPollIn | kPollRdNorm | kPollMessage;
    case IoReason::kError:
      return kPollErr;
    case IoReason::kPriority:
      return kPollPri | kPollRdBand;
    case IoReason::kHangup:
      return kPollHup | kPollErr;
  }
  return 0;
}

// Signals whose si_code has a meaning of its own.
constexpr SignalSet kWithCodes =
    SignalSet::of(kSigIll, kSigFpe, kSigSegv, kSigBus, kSigTrap, kSigChld, kSigSys);

SignalInfo info_for(const PostedIo& posted, IoReason reason) {
  SignalInfo info;
  info.signal = posted.signal;
  info.code = kWithCodes.contains(posted.signal) ? kSiSigIo : static_cast<int32_t>(reason);
  info.poll = {.band = band_of(reason), .fd = posted.fd};
  return info;
}

// A file that is not in a list has no descriptor to tell.
bool asks_for_more(const PostedIo& posted) { return posted.signal != 0 && posted.fd != -1; }

void send(const PostedIo& posted, Process& process, Thread* thread, IoReason reason) {
  if (!may_signal(posted.owner, process)) return;
  const auto send_one = [&](const SignalInfo& info) {
    return thread != nullptr ? send_signal_to_thread(*thread, info) : send_signal(process, info);
  };
  if (posted.is_urgent) {
    (void)send_one(SignalInfo::from_kernel(kSigUrg));
    if (!asks_for_more(posted)) return;
  }
  // What cannot be queued is told without information.
  if (posted.signal != 0 && !send_one(info_for(posted, reason)).is_error()) return;
  (void)send_one(SignalInfo::from_kernel(kSigIo));
}

void send_to_owner(const PostedIo& posted, IoReason reason) {
  const IoOwner& owner = posted.owner;
  if (owner.number == 0) return;
  if (owner.kind == IoOwner::Kind::kGroup) {
    (void)for_each_process([&](Process& process) {
      if (process.group_id() == owner.number) send(posted, process, nullptr, reason);
    });
    return;
  }
  const RefPtr<Process> process = owning_process(owner);
  if (process == nullptr) return;
  if (owner.kind == IoOwner::Kind::kProcess) return send(posted, *process, nullptr, reason);
  if (const RefPtr<Thread> thread = find_thread(owner.number))
    send(posted, *process, thread.get(), reason);
}

// Senders other than system calls that return: while somebody blocks, and for what comes from the host.
class Sender : public Task {
 public:
  [[noreturn]] void run() override {
    while (true) {
      send_posted_io();
      (void)park(kNever, Interruptible::kNo);
    }
  }
};

// Started by the first who wants signals.
Result<void> start_sender() {
  static constinit std::atomic<bool> is_started{false};
  if (is_started.load() || is_started.exchange(true)) return {};
  const auto started = []() -> Result<void> {
    RefPtr<Sender> sender = TRY(make_ref<Sender>());
    TRY(sender->context().create());
    set_io_sender(*sender);
    start_task(RefPtr<Task>(std::move(sender)));
    return {};
  }();
  if (started.is_error()) is_started.store(false);
  return started;
}

// How much was taken to be sent, and sent.
constinit std::atomic<uint64_t> taken{0}, sent{0};
[[clang::no_destroy]] constinit WaitQueue all_sent;

}  // namespace

void send_posted_io() {
  PostedIo posted;
  while (take_posted_io(posted)) {
    taken.fetch_add(1);
    for (size_t i = 0; i < kIoReasons; ++i) {
      for (uint32_t times = posted.times[i]; times != 0; --times)
        send_to_owner(posted, static_cast<IoReason>(i + 1));
    }
    note_posted_io_sent();
    sent.fetch_add(1);
    all_sent.wake_all();
  }
  const uint64_t wanted = taken.load();
  if (sent.load() >= wanted) return;
  (void)wait_until(all_sent, kNever, Interruptible::kNo, [&] { return sent.load() >= wanted; });
}

Result<void> set_signal_owner(Thread& self, File& file, IoOwner::Kind kind, int32_t number) {
  if (number != 0 && !is_known(number)) return Errno::kSrch;
  IoSignals* signals = TRY(file.make_io_signals());
  if (file.kind() == FileKind::kSocket) {
    TRY(start_sender());
    (void)file.async_lists();  // urgent data is told without O_ASYNC
  }
  signals->set_owner({.kind = kind,
                      .number = number,
                      .uid = self.user().uid,
                      .euid = self.user().euid,
                      .since = monotonic_now()});
  return {};
}

Result<void> set_signal_owner(Thread& self, File& file, int32_t who) {
  if (who == INT32_MIN) return Errno::kInval;
  if (who < 0) return set_signal_owner(self, file, IoOwner::Kind::kGroup, -who);
  return set_signal_owner(self, file, IoOwner::Kind::kProcess, who);
}

IoOwner signal_owner(File& file) {
  const IoSignals* signals = file.io_signals();
  if (signals == nullptr) return {};
  IoOwner owner = signals->owner();
  if (owner.number != 0 && !is_alive(owner)) owner.number = 0;
  return owner;
}

int32_t signal_owner_number(File& file) {
  const IoOwner owner = signal_owner(file);
  return owner.kind == IoOwner::Kind::kGroup ? -owner.number : owner.number;
}

Result<void> set_io_signal(File& file, uint64_t signal) {
  constexpr uint64_t kHighest = 64;
  if (signal > kHighest) return Errno::kInval;
  TRY(file.make_io_signals())->set_signal(static_cast<int>(signal));
  return {};
}

int io_signal(File& file) {
  const IoSignals* signals = file.io_signals();
  return signals != nullptr ? signals->signal() : 0;
}

Result<bool> set_async(Thread& self, File& file, int fd, bool on) {
  const File::AsyncLists lists = file.async_lists();
  if (lists.first == nullptr) return false;
  if (!on) {
    if (IoSignals* signals = file.io_signals()) signals->leave();
    return true;
  }
  IoSignals* signals = TRY(file.make_io_signals());
  TRY(start_sender());
  signals->join(*lists.first, fd);
  if (lists.second != nullptr) signals->join(*lists.second, fd);
  if (file.kind() == FileKind::kTerminal) {
    const int32_t group = file.default_signal_group();
    signals->set_owner({.kind = group != 0 ? IoOwner::Kind::kGroup : IoOwner::Kind::kProcess,
                        .number = group != 0 ? group : self.pid(),
                        .uid = self.user().uid,
                        .euid = self.user().euid,
                        .since = monotonic_now()},
                       IoSignals::Replace::kNo);
  }
  return true;
}

Result<void> set_lease_of(Thread& self, File& file, int fd, int type) {
  if (type != kReadLock && type != kWriteLock && type != kUnlock) return Errno::kInval;
  Inode* inode = file.inode();
  if (inode == nullptr) return Errno::kInval;
  if (TRY(inode->ownership()).uid != self.credentials().fsuid && !self.user().has(kCapLease))
    return Errno::kAcces;
  if (!inode->is_regular()) return Errno::kInval;
  const LeaseType wanted = type == kReadLock    ? LeaseType::kRead
                           : type == kWriteLock ? LeaseType::kWrite
                                                : LeaseType::kNone;
  TRY(start_sender());
  return set_lease(file, wanted, fd,
                   {.kind = IoOwner::Kind::kProcess,
                    .number = self.pid(),
                    .uid = self.user().uid,
                    .euid = self.user().euid,
                    .since = monotonic_now()});
}

}  // namespace occlum
