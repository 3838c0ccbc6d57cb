#include "libos/ipc/signal_file.h"

#include <algorithm>

#include "libos/lib/memory.h"
#include "libos/lib/string.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"
#include "libos/syscall/linux_ipc.h"

namespace occlum {

namespace {

// POLL_HUP. Codes up to it are a file's, whatever the signal (siginfo_layout of kernel/signal.c).
constexpr int32_t kLastPollCode = 6;

SignalFdInfo to_record(const SignalInfo& info) {
  SignalFdInfo record = {};
  record.signal = static_cast<uint32_t>(info.signal);
  record.error = info.error;
  record.code = info.code;
  if (info.code == kSiTimer) {
    record.tid = static_cast<uint32_t>(info.timer.id);
    record.overrun = static_cast<uint32_t>(info.timer.overrun);
    record.pointer = info.timer.value;
    record.integer = static_cast<int32_t>(info.timer.value);
  } else if (info.signal == kSigChld && info.code > 0) {
    record.pid = static_cast<uint32_t>(info.child.pid);
    record.uid = info.child.uid;
    record.status = info.child.status;
    record.user_time = static_cast<uint64_t>(info.child.user_time);
    record.system_time = static_cast<uint64_t>(info.child.system_time);
  } else if (kSynchronousSignals.contains(info.signal) && info.code > 0 && info.code < kSiKernel) {
    record.address = info.fault.address;
  } else if (info.code == kSiSigIo || (info.code > 0 && info.code <= kLastPollCode)) {
    record.band = static_cast<uint32_t>(info.poll.band);
    record.fd = info.poll.fd;
  } else {
    record.pid = static_cast<uint32_t>(info.sender.pid);
    record.uid = info.sender.uid;
    record.pointer = info.sender.value;
    record.integer = static_cast<int32_t>(info.sender.value);
  }
  return record;
}

}  // namespace

Result<size_t> SignalFile::read(DataSink& sink) {
  if (sink.remaining() < sizeof(SignalFdInfo)) return Errno::kInval;
  Thread& self = current_thread();
  size_t total = 0;
  while (sink.remaining() >= sizeof(SignalFdInfo)) {
    std::optional<SignalInfo> info;
    auto attempt = [&] {
      info = self.take_signal(wanted());
      return info.has_value();
    };
    if (!attempt()) {
      if (total != 0) break;
      if (is_nonblocking()) return Errno::kAgain;
      TRY(wait_until(self.process().signal_queue(), kNever, Interruptible::kYes, attempt));
    }
    const SignalFdInfo record = to_record(*info);
    if (const auto done = sink.write(object_bytes(record)); done.is_error()) {
      return total != 0 ? Result<size_t>(total) : done.error();
    }
    total += sizeof(record);
  }
  return total;
}

Result<void> SignalFile::remember(Process& process) {
  return watched_.with([&](Vec<RefPtr<Process>>& watched) -> Result<void> {
    for (const RefPtr<Process>& one : watched) {
      if (one == &process) return {};
    }
    return watched.push(ref_to(process));
  });
}

PollEvents SignalFile::poll(Poller* poller) {
  Thread& self = current_thread();
  if (poller != nullptr && !remember(self.process()).is_error())
    (void)poller->watch(self.process().signal_queue());
  return (self.pending_signals() & wanted()).is_empty() ? 0 : kPollIn | kPollRdNorm;
}

Result<String> SignalFile::describe() { return String::create("anon_inode:[signalfd]"); }

}  // namespace occlum
