// eventfd(2), timerfd_create(2), signalfd(2), epoll(7).
#include <algorithm>

#include "libos/fs/file_table.h"
#include "libos/fs/proc/proc.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/stat.h"
#include "libos/ipc/epoll.h"
#include "libos/ipc/event_file.h"
#include "libos/ipc/message_queue.h"
#include "libos/ipc/signal_file.h"
#include "libos/ipc/timer_file.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"
#include "libos/syscall/deadline.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/files_common.h"

namespace occlum {

namespace {

CloseOnExec close_on_exec(Flags flags) {
  return (bits(flags) & kOpenCloseOnExec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo;
}

// The file behind `fd` as a T, or `error` when it is of another kind.
template <typename T>
Result<RefPtr<T>> get_kind(Thread& self, Fd fd, FileKind kind, Errno error) {
  RefPtr<File> file = TRY(io_file(self, fd));
  if (file->kind() != kind) return error;
  return static_ptr_cast<T>(std::move(file));
}

}  // namespace

// --- eventfd ---

Result<long> sys_eventfd2(Thread& self, uint32_t initial, Flags flags) {
  constexpr uint32_t kSemaphore = 1;
  if ((bits(flags) & ~(kSemaphore | kOpenCloseOnExec | kOpenNonblock)) != 0) return Errno::kInval;
  const auto mode =
      (bits(flags) & kSemaphore) != 0 ? EventFile::Mode::kSemaphore : EventFile::Mode::kCounter;
  auto file = TRY(
      make_ref<EventFile>(uint64_t{initial}, mode, kOpenReadWrite | (bits(flags) & kOpenNonblock)));
  return static_cast<long>(TRY(self.files().install(std::move(file), close_on_exec(flags))));
}

Result<long> sys_eventfd(Thread& self, uint32_t initial) {
  return sys_eventfd2(self, initial, Flags{});
}

// --- timerfd ---

Result<long> sys_timerfd_create(Thread& self, int clock, Flags flags) {
  if ((bits(flags) & ~(kOpenCloseOnExec | kOpenNonblock)) != 0) return Errno::kInval;
  switch (static_cast<TimerFile::Clock>(clock)) {
    case TimerFile::Clock::kRealtime:
    case TimerFile::Clock::kMonotonic:
    case TimerFile::Clock::kBoottime:
    case TimerFile::Clock::kRealtimeAlarm:
    case TimerFile::Clock::kBoottimeAlarm:
      break;
    default:
      return Errno::kInval;
  }
  auto file = TRY(make_ref<TimerFile>(static_cast<TimerFile::Clock>(clock),
                                      kOpenReadWrite | (bits(flags) & kOpenNonblock)));
  return static_cast<long>(TRY(self.files().install(std::move(file), close_on_exec(flags))));
}

static TimerFdSetting to_user(const TimerFile::Setting& setting) {
  const Timespec interval = to_timespec(setting.interval), value = to_timespec(setting.remaining);
  return {interval.seconds, interval.nanoseconds, value.seconds, value.nanoseconds};
}

Result<long> sys_timerfd_settime(Thread& self, Fd fd, Flags flags, UserIn<TimerFdSetting> setting,
                                 UserOut<TimerFdSetting> old) {
  constexpr uint32_t kAbsolute = 1, kCancelOnSet = 2;
  if ((bits(flags) & ~(kAbsolute | kCancelOnSet)) != 0) return Errno::kInval;
  const TimerFdSetting wanted = TRY(setting.read());
  const Nanoseconds value = TRY(to_nanoseconds({wanted.value_seconds, wanted.value_nanoseconds}));
  const Nanoseconds interval =
      TRY(to_nanoseconds({wanted.interval_seconds, wanted.interval_nanoseconds}));
  auto timer = TRY(get_kind<TimerFile>(self, fd, FileKind::kTimer, Errno::kInval));
  const auto start =
      (bits(flags) & kAbsolute) != 0 ? TimerFile::Start::kAbsolute : TimerFile::Start::kRelative;
  const TimerFile::Setting before = timer->set(value, interval, start);
  if (!old.is_null()) TRY(old.write(to_user(before)));
  return 0L;
}

Result<long> sys_timerfd_gettime(Thread& self, Fd fd, UserOut<TimerFdSetting> current) {
  auto timer = TRY(get_kind<TimerFile>(self, fd, FileKind::kTimer, Errno::kInval));
  TRY(current.write(to_user(timer->get())));
  return 0L;
}

// --- signalfd ---

Result<long> sys_signalfd4(Thread& self, Fd fd, UserIn<SignalSet> mask, size_t size, Flags flags) {
  if (size != sizeof(SignalSet)) return Errno::kInval;
  const SignalSet wanted = TRY(mask.read()) & ~kUnblockable;
  if ((bits(flags) & ~(kOpenCloseOnExec | kOpenNonblock)) != 0) return Errno::kInval;
  if (number(fd) != -1) {
    auto file = TRY(get_kind<SignalFile>(self, fd, FileKind::kSignal, Errno::kInval));
    file->set_wanted(wanted);
    return static_cast<long>(number(fd));
  }
  auto file = TRY(make_ref<SignalFile>(wanted, kOpenReadWrite | (bits(flags) & kOpenNonblock)));
  return static_cast<long>(TRY(self.files().install(std::move(file), close_on_exec(flags))));
}

Result<long> sys_signalfd(Thread& self, Fd fd, UserIn<SignalSet> mask, size_t size) {
  return sys_signalfd4(self, fd, mask, size, Flags{});
}

// --- epoll ---

Result<long> sys_epoll_create1(Thread& self, Flags flags) {
  if ((bits(flags) & ~kOpenCloseOnExec) != 0) return Errno::kInval;
  auto file = TRY(make_ref<EpollFile>());
  return static_cast<long>(TRY(self.files().install(std::move(file), close_on_exec(flags))));
}

Result<long> sys_epoll_create(Thread& self, int size) {
  if (size <= 0) return Errno::kInval;
  return sys_epoll_create1(self, Flags{});
}

Result<long> sys_epoll_ctl(Thread& self, Fd epoll_fd, int operation, Fd fd,
                           UserIn<EpollEvent> event) {
  constexpr int kAdd = 1, kDelete = 2, kModify = 3;
  EpollEvent wanted = {};
  if (operation != kDelete) wanted = TRY(event.read());
  RefPtr<File> epoll = TRY(io_file(self, epoll_fd));
  RefPtr<File> file = TRY(io_file(self, fd));
  // Most regular files, and directories, are always ready: there is nothing to watch.
  if (Inode* inode = file->inode();
      inode != nullptr && (inode->is_regular() || inode->is_directory()) &&
      MessageQueueFile::from(*file) == nullptr && !is_pollable_proc_file(*file)) {
    return Errno::kPerm;
  }
  if (epoll->kind() != FileKind::kEpoll || epoll.get() == file.get()) return Errno::kInval;
  auto& set = static_cast<EpollFile&>(*epoll);
  switch (operation) {
    case kAdd:
      TRY(set.add(number(fd), file, wanted));
      return 0L;
    case kDelete:
      TRY(set.remove(number(fd), *file));
      return 0L;
    case kModify:
      TRY(set.modify(number(fd), *file, wanted));
      return 0L;
    default:
      return Errno::kInval;
  }
}

static Result<long> epoll_wait_until(Thread& self, Fd epoll_fd, UserOut<EpollEvent> events,
                                     int maximum, Nanoseconds deadline) {
  constexpr int kMaxEvents = INT32_MAX / static_cast<int>(sizeof(EpollEvent));
  constexpr size_t kAtOnce = 1024;
  TRY(io_file(self, epoll_fd));
  if (maximum <= 0 || maximum > kMaxEvents) return Errno::kInval;
  const uint64_t bytes = static_cast<uint64_t>(maximum) * sizeof(EpollEvent);
  if (events.address().value() > kTaskSizeMax - bytes) return Errno::kFault;
  auto set = TRY(get_kind<EpollFile>(self, epoll_fd, FileKind::kEpoll, Errno::kInval));
  std::array<EpollEvent, 32> few;
  Vec<EpollEvent> many;
  std::span<EpollEvent> buffer = few;
  const size_t room = std::min(static_cast<size_t>(maximum), kAtOnce);
  if (room > few.size()) {
    TRY(many.resize(room));
    buffer = many.span();
  }
  buffer = buffer.first(std::min(room, buffer.size()));
  const size_t count = TRY(set->wait(buffer, deadline));
  TRY(events.write_array(buffer.first(count)));
  return static_cast<long>(count);
}

Result<long> sys_epoll_wait(Thread& self, Fd epoll_fd, UserOut<EpollEvent> events, int maximum,
                            int timeout) {
  return epoll_wait_until(self, epoll_fd, events, maximum, deadline_of_milliseconds(timeout));
}

Result<long> sys_epoll_pwait(Thread& self, Fd epoll_fd, UserOut<EpollEvent> events, int maximum,
                             int timeout, UserIn<SignalSet> mask, size_t mask_size) {
  TRY(apply_signal_mask(self, mask, mask_size));
  return epoll_wait_until(self, epoll_fd, events, maximum, deadline_of_milliseconds(timeout));
}

Result<long> sys_epoll_pwait2(Thread& self, Fd epoll_fd, UserOut<EpollEvent> events, int maximum,
                              UserIn<Timespec> timeout, UserIn<SignalSet> mask, size_t mask_size) {
  Nanoseconds deadline = kNever;
  if (!timeout.is_null()) deadline = deadline_after(TRY(to_nanoseconds(TRY(timeout.read()))));
  TRY(apply_signal_mask(self, mask, mask_size));
  return epoll_wait_until(self, epoll_fd, events, maximum, deadline);
}

}  // namespace occlum
