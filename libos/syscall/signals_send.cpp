// Sending signals (kill(2), tgkill(2), rt_sigqueueinfo(2), pidfd_send_signal(2)).
#include "libos/fs/proc/proc.h"
#include "libos/process/pid_file.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/frame.h"
#include "libos/process/signals/send.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/files_common.h"

namespace occlum {
namespace {

SignalInfo info_from(Thread& self, int signal, int code) {
  return SignalInfo::from_user(signal, self.pid(), self.user().uid, code);
}

// Signal 0 only asks whether it could be sent. A process may be named by any of its threads.
Result<RefPtr<Process>> find_target(Pid pid) {
  if (RefPtr<Process> process = find_process(pid)) return process;
  if (const RefPtr<Thread> thread = find_thread(pid)) return ref_to(thread->process());
  return Errno::kSrch;
}

Result<void> check_number(int signal) {
  if (signal != 0 && !is_valid_signal(signal)) return Errno::kInval;
  return {};
}

Result<void> send_checked(Thread& self, Process& process, const SignalInfo& info) {
  TRY(check_number(info.signal));
  TRY(check_kill_permission(self, process, info.signal));
  if (info.signal == 0) return {};
  return send_signal(process, info);
}

// kill(2) with a pid of 0 or below: everybody whom `is_meant` names. One success is success.
Result<long> send_to_many(Thread& self, const SignalInfo& info,
                          FunctionRef<bool(Process&)> is_meant) {
  bool found = false, sent = false;
  Errno failure = Errno::kSrch;
  TRY(for_each_process([&](Process& process) {
    if (process.is_kernel() || !is_meant(process)) return;
    found = true;
    const Result<void> result = send_checked(self, process, info);
    if (result.is_error()) {
      failure = result.error();
    } else {
      sent = true;
    }
  }));
  if (!found) return Errno::kSrch;
  if (!sent) return failure;
  return 0;
}

}  // namespace

// kill(2).
Result<long> sys_kill(Thread& self, Pid pid, SignalNumber number) {
  const int signal = static_cast<int>(number);
  const SignalInfo info = info_from(self, signal, kSiUser);
  if (pid > 0) {
    const RefPtr<Process> process = TRY(find_target(pid));
    TRY(send_checked(self, *process, info));
    return 0;
  }
  if (pid == -1) {
    // Everybody but the caller; those who may not be sent to are passed over in silence.
    const Result<long> sent =
        send_to_many(self, info, [&](Process& process) { return &process != &self.process(); });
    return sent.is_error() && sent.error() == Errno::kPerm ? Result<long>(0) : sent;
  }
  if (pid == INT32_MIN) return Errno::kSrch;
  const Pid group = pid == 0 ? self.process().group_id() : -pid;
  return send_to_many(self, info, [&](Process& process) { return process.group_id() == group; });
}

namespace {

Result<long> send_to_thread(Thread& self, Pid tgid, Pid tid, const SignalInfo& info) {
  const RefPtr<Thread> thread = find_thread(tid);
  if (!thread || (tgid != 0 && thread->pid() != tgid)) return Errno::kSrch;
  TRY(check_number(info.signal));
  TRY(check_kill_permission(self, thread->process(), info.signal));
  if (info.signal != 0) TRY(send_signal_to_thread(*thread, info));
  return 0;
}

}  // namespace

Result<long> sys_tkill(Thread& self, Pid tid, SignalNumber number) {
  if (tid <= 0) return Errno::kInval;
  return send_to_thread(self, 0, tid, info_from(self, static_cast<int>(number), kSiTkill));
}

Result<long> sys_tgkill(Thread& self, Pid tgid, Pid tid, SignalNumber number) {
  if (tgid <= 0 || tid <= 0) return Errno::kInval;
  return send_to_thread(self, tgid, tid, info_from(self, static_cast<int>(number), kSiTkill));
}

namespace {

// Nobody but the LibOS may claim to be it, or tgkill(2), towards others.
Result<SignalInfo> read_info(Thread& self, Pid target, int signal, UserAddress address) {
  UserSignalInfo user = TRY(UserIn<UserSignalInfo>(address).read());
  SignalInfo info = user.info;
  info.signal = signal;
  if ((info.code >= 0 || info.code == kSiTkill) && target != self.pid()) return Errno::kPerm;
  return info;
}

}  // namespace

// rt_sigqueueinfo(2).
Result<long> sys_rt_sigqueueinfo(Thread& self, Pid pid, SignalNumber number, UserAddress address) {
  const SignalInfo info = TRY(read_info(self, pid, static_cast<int>(number), address));
  TRY(check_number(info.signal));
  const RefPtr<Process> process = TRY(find_target(pid));
  TRY(send_checked(self, *process, info));
  return 0;
}

Result<long> sys_rt_tgsigqueueinfo(Thread& self, Pid tgid, Pid tid, SignalNumber number,
                                   UserAddress address) {
  TRY(UserIn<UserSignalInfo>(address).read());  // that it can be read comes first
  if (tgid <= 0 || tid <= 0) return Errno::kInval;
  const SignalInfo info = TRY(read_info(self, tgid, static_cast<int>(number), address));
  return send_to_thread(self, tgid, tid, info);
}

namespace {

// A process by its descriptor or, as pidfd_send_signal(2) takes it too, by its directory in /proc.
Result<RefPtr<Process>> process_meant(const RefPtr<File>& file) {
  if (RefPtr<Process> process = process_of_directory(*file)) return process;
  return PidFile::process_of(file);
}

}  // namespace

// pidfd_send_signal(2).
Result<long> sys_pidfd_send_signal(Thread& self, Fd pidfd, SignalNumber number, UserAddress address,
                                   Flags flags) {
  if (bits(flags) != 0) return Errno::kInval;
  const RefPtr<Process> process = TRY(process_meant(TRY(io_file(self, pidfd))));
  const int signal = static_cast<int>(number);
  SignalInfo info = info_from(self, signal, kSiUser);
  if (!address.is_null()) {
    const UserSignalInfo user = TRY(UserIn<UserSignalInfo>(address).read());
    if (user.info.signal != signal) return Errno::kInval;
    info = TRY(read_info(self, process->pid(), signal, address));
  }
  // A zombie is there until it is waited for.
  if (find_process(process->pid()) != process) return Errno::kSrch;
  TRY(send_checked(self, *process, info));
  return 0;
}

}  // namespace occlum
