#include "libos/net/socket.h"

#include <algorithm>

#include "libos/fs/vfs/stat.h"
#include "libos/ipc/anonymous_inode.h"
#include "libos/lib/string.h"
#include "libos/syscall/linux_types.h"

namespace occlum {

namespace {
constexpr uint64_t kMicrosecond = 1000, kSecond = 1'000'000'000;
}  // namespace

size_t put_option_int(std::span<std::byte> value, int number) {
  const size_t size = std::min(value.size(), sizeof(number));
  copy_bytes(value, object_bytes(number).first(size));
  return size;
}

Result<int> get_option_int(std::span<const std::byte> value) { return read_object<int>(value); }

// recv(2) of nothing waits for something; read(2) of nothing does not.
Result<size_t> Socket::read(DataSink& sink) {
  if (sink.remaining() == 0) return size_t{0};
  IncomingMessage message = {.data = sink};
  return receive(message);
}

Result<size_t> Socket::write(DataSource& source) {
  OutgoingMessage message = {.data = source};
  return send(message);
}

Result<Stat> Socket::stat() { return inode_.stat(); }

Result<void> Socket::set_attributes(const AttributeChange& change) {
  inode_.change(change);
  return {};
}

Result<String> Socket::describe() { return inode_.describe("socket"); }

std::string_view Socket::protocol_name() const {
  switch (domain_) {
    case kAfUnix:
      return type_ == kStream ? "UNIX-STREAM" : "UNIX";
    case kAfInet:
      return type_ == kStream ? "TCP" : type_ == kDatagram ? "UDP" : "RAW";
    case kAfInet6:
      return type_ == kStream ? "TCPv6" : type_ == kDatagram ? "UDPv6" : "RAWv6";
    default:
      return "NETLINK";
  }
}

Nanoseconds Socket::deadline_of(const Timeout& timeout) {
  const uint64_t duration = timeout.load(std::memory_order_relaxed);
  return duration == 0 ? kNever : monotonic_now() + duration;
}

Errno Socket::wait_error(Errno error, Nanoseconds deadline, Errno at_timeout) const {
  if (error == Errno::kTimedOut) return at_timeout;
  if (error == Errno::kRestartSys && deadline != kNever) return Errno::kIntr;
  return error;
}

std::optional<Result<void>> Socket::set_base_option(int level, int name,
                                                    std::span<const std::byte> value) {
  if (level != kSolSocket) return std::nullopt;
  if (value.size() < sizeof(int)) return Result<void>(Errno::kInval);
  switch (name) {
    case kSoRcvTimeout:
    case kSoSndTimeout:
    case kSoRcvTimeoutNew:
    case kSoSndTimeoutNew: {
      const auto time = read_object<Timeval>(value);
      if (time.is_error()) return Result<void>(Errno::kInval);
      const auto [seconds, microseconds] = time.value();
      if (microseconds < 0 || microseconds >= 1'000'000) return Result<void>(Errno::kDom);
      constexpr int64_t kLongest = INT64_MAX / static_cast<int64_t>(kSecond) / 2;
      uint64_t duration = 0;
      if (seconds >= 0 && seconds < kLongest) {
        duration = static_cast<uint64_t>(seconds) * kSecond +
                   static_cast<uint64_t>(microseconds) * kMicrosecond;
      }
      (name == kSoRcvTimeout || name == kSoRcvTimeoutNew ? receive_timeout_ : send_timeout_)
          .store(duration, std::memory_order_relaxed);
      return Result<void>();
    }
    case kSoType:
    case kSoDomain:
    case kSoProtocol:
    case kSoError:
    case kSoAcceptConn:
      return Result<void>(Errno::kNoProtoOpt);
    default:
      return std::nullopt;
  }
}

std::optional<Result<size_t>> Socket::get_base_option(int level, int name,
                                                      std::span<std::byte> value) {
  if (level != kSolSocket) return std::nullopt;
  switch (name) {
    case kSoRcvTimeout:
    case kSoSndTimeout:
    case kSoRcvTimeoutNew:
    case kSoSndTimeoutNew: {
      const uint64_t duration =
          (name == kSoRcvTimeout || name == kSoRcvTimeoutNew ? receive_timeout_ : send_timeout_)
              .load(std::memory_order_relaxed);
      const Timeval time = {static_cast<int64_t>(duration / kSecond),
                            static_cast<int64_t>(duration % kSecond / kMicrosecond)};
      const size_t size = std::min(value.size(), sizeof(time));
      copy_bytes(value, object_bytes(time).first(size));
      return Result<size_t>(size);
    }
    case kSoType:
      return Result<size_t>(put_option_int(value, type_));
    case kSoDomain:
      return Result<size_t>(put_option_int(value, domain_));
    case kSoProtocol:
      return Result<size_t>(put_option_int(value, protocol_));
    default:
      return std::nullopt;
  }
}

}  // namespace occlum
