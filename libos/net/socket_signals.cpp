#include "libos/net/socket_signals.h"

#include "libos/fs/vfs/file.h"

namespace occlum {

AsyncList& SocketSignals::listen_at(WaitQueue& queue) {
  if (!listens_.exchange(true)) queue.add(*this);
  return list_;
}

bool SocketSignals::on_wake(uint32_t events) {
  if ((events & kPollPri) != 0) {
    if (IoSignals* signals = socket_.io_signals()) signals->post_urgent();
  }
  // A socket that was never connected hangs up from the start; that is no event.
  if ((events & kPollErr) != 0) {
    list_.post(IoReason::kError);
  } else if ((events & kPollHup) != 0 && (events & (kPollIn | kPollRdHup)) != 0) {
    list_.post(IoReason::kHangup);
  } else if ((events & kPollIn) != 0) {
    list_.post(IoReason::kIn);
  }
  if ((events & kPollOut) != 0 && misses_room_.exchange(false, std::memory_order_relaxed))
    list_.post(IoReason::kOut);
  return false;
}

}  // namespace occlum
