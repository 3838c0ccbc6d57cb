// A socket address as programs pass it (sockaddr_storage): bytes that start with the family.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libos/lib/memory.h"
#include "libos/lib/result.h"
#include "libos/mm/user.h"

namespace occlum {

enum SocketFamily : int { kAfUnspec = 0, kAfUnix = 1, kAfInet = 2, kAfInet6 = 10, kAfNetlink = 16 };

class SocketAddress {
 public:
  static constexpr size_t kMaxSize = 128;

  SocketAddress() = default;
  // kInval when it is too long.
  static Result<SocketAddress> create(std::span<const std::byte> bytes) {
    if (bytes.size() > kMaxSize) return Errno::kInval;
    SocketAddress address;
    copy_bytes(address.bytes_, bytes);
    address.size_ = bytes.size();
    return address;
  }
  static Result<SocketAddress> from_user(UserAddress from, uint32_t size) {
    if (size > kMaxSize) return Errno::kInval;
    SocketAddress address;
    TRY(copy_from_user(current_memory(), std::span(address.bytes_).first(size), from));
    address.size_ = size;
    return address;
  }

  size_t size() const { return size_; }
  bool is_empty() const { return size_ == 0; }
  std::span<const std::byte> bytes() const {
    return std::span<const std::byte>(bytes_).first(size_);
  }
  // kAfUnspec when it is too short to say.
  int family() const {
    uint16_t family = kAfUnspec;
    if (size_ >= sizeof(family))
      copy_bytes(writable_object_bytes(family), bytes().first(sizeof(family)));
    return family;
  }

 private:
  std::array<std::byte, kMaxSize> bytes_ = {};
  size_t size_ = 0;
};

}  // namespace occlum
