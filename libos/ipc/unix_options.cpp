// The options of unix sockets (socket(7), unix(7)). Those that have no meaning here are kept and told again.
#include <algorithm>

#include "libos/ipc/unix_socket.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

struct Linger {  // struct linger
  int32_t on, seconds;
};

}  // namespace

bool UnixSocket::flag_option(int name) const {
  return (flag_options_.load(std::memory_order_relaxed) & 1u << name) != 0;
}

void UnixSocket::set_flag_option(int name, bool on) {
  if (on) {
    flag_options_.fetch_or(1u << name, std::memory_order_relaxed);
  } else {
    flag_options_.fetch_and(~(1u << name), std::memory_order_relaxed);
  }
}

Result<void> UnixSocket::set_option(int level, int name, std::span<const std::byte> value) {
  if (auto base = set_base_option(level, name, value)) return *base;
  if (level != kSolSocket) return Errno::kOpNotSupp;
  const int number = TRY(get_option_int(value));
  constexpr int kSmallestBuffer = 4608, kLargestBuffer = 4 << 20;
  switch (name) {
    case kSoPassCred:
      inbox_->passes_credentials.store(number != 0, std::memory_order_relaxed);
      return {};
    // Linux counts what a sender has in flight; here the receiver's mailbox is what has the limit.
    case kSoSndBuf:
    case kSoSndBufForce:
      if (const RefPtr<Mailbox> other = peer(); other != nullptr && !is_datagram()) {
        other->set_limit(
            static_cast<size_t>(std::clamp(number, kSmallestBuffer / 2, kLargestBuffer)) * 2);
      }
      return {};
    case kSoRcvBuf:
    case kSoRcvBufForce:
      return {};
    case kSoReusePort:
      return number != 0 ? Result<void>(Errno::kOpNotSupp) : Result<void>();
    case kSoDebug:
      if (number != 0 && !current_thread().credentials().has(kCapNetAdmin)) return Errno::kAcces;
      [[fallthrough]];
    case kSoReuseAddr:
    case kSoKeepAlive:
    case kSoBroadcast:
    case kSoDontRoute:
    case kSoOobInline:
      set_flag_option(name, number != 0);
      return {};
    case kSoPriority:
      if ((number < 0 || number > 6) && !current_thread().credentials().has(kCapNetAdmin))
        return Errno::kPerm;
      priority_.store(number, std::memory_order_relaxed);
      return {};
    case kSoRcvLowat:
      receive_least_.store(number < 0 ? INT32_MAX : std::max(number, 1), std::memory_order_relaxed);
      return {};
    case kSoLinger: {
      const Linger linger = TRY(read_object<Linger>(value));
      set_flag_option(name, linger.on != 0);
      if (linger.on != 0) linger_seconds_.store(linger.seconds, std::memory_order_relaxed);
      return {};
    }
    default:
      return Errno::kNoProtoOpt;
  }
}

Result<size_t> UnixSocket::get_option(int level, int name, std::span<std::byte> value) {
  if (auto base = get_base_option(level, name, value)) return *base;
  if (level != kSolSocket) return Errno::kOpNotSupp;
  const RefPtr<Mailbox> other = peer();
  switch (name) {
    case kSoError:
      return put_option_int(value, inbox_->take_error() ? static_cast<int>(Errno::kConnReset) : 0);
    case kSoAcceptConn: {
      const bool listening =
          state_.with([](const State& state) { return state.phase == Phase::kListening; });
      return put_option_int(value, listening ? 1 : 0);
    }
    case kSoPassCred:
      return put_option_int(value,
                            inbox_->passes_credentials.load(std::memory_order_relaxed) ? 1 : 0);
    case kSoPeerCred: {
      const UserIdentity identity =
          state_.with([](const State& state) { return state.peer_identity; });
      const size_t size = std::min(value.size(), sizeof(identity));
      copy_bytes(value, object_bytes(identity).first(size));
      return size;
    }
    case kSoSndBuf:
      return put_option_int(value,
                            static_cast<int>(other ? other->limit() : Mailbox::kDefaultLimit));
    case kSoRcvBuf:
      return put_option_int(value, static_cast<int>(Mailbox::kDefaultLimit));
    case kSoReuseAddr:
    case kSoReusePort:
    case kSoKeepAlive:
    case kSoBroadcast:
    case kSoOobInline:
    case kSoDebug:
    case kSoDontRoute:
      return put_option_int(value, flag_option(name) ? 1 : 0);
    case kSoPriority:
      return put_option_int(value, priority_.load(std::memory_order_relaxed));
    case kSoRcvLowat:
      return put_option_int(value, receive_least_.load(std::memory_order_relaxed));
    case kSoSndLowat:
      return put_option_int(value, 1);
    case kSoLinger: {
      const Linger linger = {flag_option(name) ? 1 : 0,
                             linger_seconds_.load(std::memory_order_relaxed)};
      const size_t size = std::min(value.size(), sizeof(linger));
      copy_bytes(value, object_bytes(linger).first(size));
      return size;
    }
    default:
      return Errno::kNoProtoOpt;
  }
}

}  // namespace occlum
