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
  return (flag_options_.load(std::memory_order_relaxed) & uint64_t{1} << name) != 0;
}

void UnixSocket::set_flag_option(int name, bool on) {
  const uint64_t bit = uint64_t{1} << name;
  if (on) {
    flag_options_.fetch_or(bit, std::memory_order_relaxed);
  } else {
    flag_options_.fetch_and(~bit, std::memory_order_relaxed);
  }
}

// Linux doubles what is asked for, within limits: net.core.wmem_max and rmem_max, unless it is forced. Unix sockets
// keep the size for receiving and do nothing with it.
Result<void> UnixSocket::set_buffer_size(int name, int number) {
  constexpr int kSmallestToSend = 4608, kSmallestToReceive = 2304;
  const bool is_forced = name == kSoSndBufForce || name == kSoRcvBufForce;
  const bool is_to_send = name == kSoSndBuf || name == kSoSndBufForce;
  if (is_forced && !current_thread().user().has(kCapNetAdmin)) return Errno::kPerm;
  if (number < 0) number = is_forced ? 0 : Mailbox::kLargestLimit;
  const int half = std::min(number, is_forced ? INT32_MAX / 2 : Mailbox::kLargestLimit);
  const int size = std::max(half * 2, is_to_send ? kSmallestToSend : kSmallestToReceive);
  if (is_to_send) {
    inbox_->set_send_limit(size);
  } else {
    receive_buffer_.store(size, std::memory_order_relaxed);
  }
  return {};
}

Result<size_t> UnixSocket::peer_groups(std::span<std::byte> value) const {
  const RefPtr<SharedCredentials> credentials =
      state_.with([](const State& state) { return state.peer_identity.credentials; });
  if (credentials == nullptr) return Errno::kNoData;
  const auto groups = std::as_bytes(credentials->value.files.groups.span());
  if (groups.size() <= value.size()) copy_bytes(value, groups);
  return groups.size();
}

// Numbers that are never given twice.
uint64_t UnixSocket::cookie() {
  static constinit std::atomic<uint64_t> last{0};
  if (const uint64_t known = cookie_.load()) return known;
  const uint64_t fresh = last.fetch_add(1) + 1;
  uint64_t before = 0;
  return cookie_.compare_exchange_strong(before, fresh) ? fresh : before;
}

Result<void> UnixSocket::set_option(int level, int name, std::span<const std::byte> value) {
  if (auto base = set_base_option(level, name, value)) return *base;
  if (level != kSolSocket) return Errno::kOpNotSupp;
  const int number = TRY(get_option_int(value));
  switch (name) {
    case kSoPassCred:
      inbox_->passes_credentials.store(number != 0, std::memory_order_relaxed);
      return {};
    case kSoSndBuf:
    case kSoSndBufForce:
    case kSoRcvBuf:
    case kSoRcvBufForce:
      return set_buffer_size(name, number);
    case kSoPeekOff:
      peek_offset_.store(number, std::memory_order_relaxed);
      return {};
    // The last one counts, and each ends all. A stream's bytes have no time.
    case kSoTimestamp:
    case kSoTimestampNs:
    case kSoTimestampNew:
    case kSoTimestampNsNew:
      time_option_.store(number != 0 ? name : 0, std::memory_order_relaxed);
      inbox_->wants_times.store(number != 0 && !is_stream(), std::memory_order_relaxed);
      return {};
    case kSoOobInline:
      inbox_->takes_urgent_inline.store(number != 0);
      return {};
    case kSoMark:
      if (!current_thread().user().has(kCapNetAdmin) && !current_thread().user().has(kCapNetRaw))
        return Errno::kPerm;
      mark_.store(number, std::memory_order_relaxed);
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
    case kSoNoCheck:
    case kSoPassSec:  // nobody labels here
    case kSoRxQueueOverflow:
    case kSoSelectErrorQueue:
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
  switch (name) {
    case kSoError: {
      const auto error = inbox_->take_error();
      return put_option_int(value, error ? static_cast<int>(*error) : 0);
    }
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
          state_.with([](const State& state) { return state.peer_identity.user; });
      const size_t size = std::min(value.size(), sizeof(identity));
      copy_bytes(value, object_bytes(identity).first(size));
      return size;
    }
    case kSoSndBuf:
      return put_option_int(value, inbox_->send_limit());
    case kSoRcvBuf:
      return put_option_int(value, receive_buffer_.load(std::memory_order_relaxed));
    case kSoPeerGroups:
      return peer_groups(value);
    case kSoCookie: {
      const uint64_t number = cookie();
      if (value.size() < sizeof(number)) return Errno::kInval;
      copy_bytes(value, object_bytes(number));
      return sizeof(number);
    }
    case kSoPeekOff:
      return put_option_int(value, peek_offset_.load(std::memory_order_relaxed));
    case kSoTimestamp:
    case kSoTimestampNs:
    case kSoTimestampNew:
    case kSoTimestampNsNew: {
      const int option = time_option_.load(std::memory_order_relaxed);
      const bool is_seen = name == kSoTimestampNew && option == kSoTimestampNsNew;  // as on Linux
      return put_option_int(value, option == name || is_seen ? 1 : 0);
    }
    case kSoOobInline:
      return put_option_int(value, inbox_->takes_urgent_inline.load() ? 1 : 0);
    case kSoMark:
      return put_option_int(value, mark_.load(std::memory_order_relaxed));
    case kSoReuseAddr:
    case kSoReusePort:
    case kSoKeepAlive:
    case kSoBroadcast:
    case kSoDebug:
    case kSoDontRoute:
    case kSoNoCheck:
    case kSoPassSec:
    case kSoRxQueueOverflow:
    case kSoSelectErrorQueue:
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
