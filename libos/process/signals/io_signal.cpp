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

// fs/fcntl.c: sigio_perm.
bool may_signal(const IoOwner& owner, Process& target) {
  const RefPtr<SharedCredentials> credentials = target.credentials();
  if (credentials == nullptr) return false;
  const UserCredentials& theirs = credentials->value;
  return owner.euid == 0 || owner.euid == theirs.suid || owner.euid == theirs.uid ||
         owner.uid == theirs.suid || owner.uid == theirs.uid;
}

void send(const IoOwner& owner, Process& target, int signal, int fd) {
  constexpr int64_t kMessageBand = 0x1 | 0x40 | 0x400;  // POLLIN, POLLRDNORM, POLLMSG
  if (!may_signal(owner, target)) return;
  if (signal != 0) {
    SignalInfo info;
    info.signal = signal;
    info.code = kPollMsgCode;
    info.poll = {.band = kMessageBand, .fd = fd};
    if (!send_signal(target, info).is_error()) return;
  }
  (void)send_signal(target, SignalInfo::from_kernel(kSigIo));
}

void send_to_owner(const IoOwner& owner, int signal, int fd) {
  if (owner.who > 0) {
    if (const RefPtr<Process> process = find_process(owner.who)) send(owner, *process, signal, fd);
    return;
  }
  if (owner.who == 0) return;
  (void)for_each_process([&](Process& process) {
    if (process.group_id() == -owner.who) send(owner, process, signal, fd);
  });
}

}  // namespace

Result<void> set_signal_owner(Thread& self, File& file, int who) {
  if (who == INT32_MIN) return Errno::kInval;
  if (who > 0 && find_process(who) == nullptr && find_thread(who) == nullptr) return Errno::kSrch;
  if (who < 0 && session_of_group(-who) == 0) return Errno::kSrch;
  set_io_owner(file, {.who = who, .uid = self.user().uid, .euid = self.user().euid});
  return {};
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
  return set_lease(file, wanted, fd,
                   {.who = self.pid(), .uid = self.user().uid, .euid = self.user().euid});
}

void register_io_signals() { set_io_signaller(send_to_owner); }

}  // namespace occlum
