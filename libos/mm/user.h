// User memory: the only way that the LibOS reads or writes what a program points to.
//
// LibOS and programs share one address space, so a wild pointer does not fault by itself: every access first checks
// that the address space of the caller owns the range with the right permission, then copies under the fixup table
// (an access fault inside the copy is resolved by the address space, or becomes EFAULT). Nothing here is a C++
// pointer; an address becomes data only by a copy. Partial copies are never reported as success.
//
// UserAddress  an address as the program gave it, unchecked
// UserIn<T>    read-only argument object; read() gives a checked copy
// UserOut<T>   result object; write() stores it
// UserInOut<T> both
// UserIn/UserOut work on trivially copyable T. The plain functions take an AddressSpace for access to others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/lib/vec.h"

namespace occlum {

class AddressSpace;

// TASK_SIZE_MAX of x86-64 Linux: no program has memory from here on, whatever it asks for.
inline constexpr uint64_t kTaskSizeMax = 0x7ffffffff000;

class UserAddress {
 public:
  constexpr UserAddress() = default;
  constexpr explicit UserAddress(uint64_t value) : value_(value) {}
  constexpr uint64_t value() const { return value_; }
  constexpr bool is_null() const { return value_ == 0; }
  // Wraps at 2^64 as the program's own arithmetic would; the copy checks the range.
  constexpr UserAddress operator+(uint64_t bytes) const { return UserAddress(value_ + bytes); }
  constexpr auto operator<=>(const UserAddress&) const = default;

 private:
  uint64_t value_ = 0;
};

// The address space of the current task. Only valid in a task that has one (any syscall handler).
AddressSpace& current_memory();

// Errors: kFault. May sleep (a page may have to be read from a file): no spin lock may be held.
Result<void> copy_from_user(AddressSpace& memory, std::span<std::byte> to, UserAddress from);
Result<void> copy_to_user(AddressSpace& memory, UserAddress to, std::span<const std::byte> from);
Result<void> zero_user(AddressSpace& memory, UserAddress to, size_t bytes);

// A NUL-terminated string of at most `limit` bytes with its NUL. Errors: kFault; kNameTooLong when no NUL is in reach.
Result<String> copy_string_from_user(AddressSpace& memory, UserAddress from, size_t limit);

// Atomic access to an aligned 32-bit word (futex). Errors: kFault; kInval when misaligned.
Result<uint32_t> load_user_u32(AddressSpace& memory, UserAddress from);
// Compare-exchange: returns the value found; it was stored if that equals `expected`.
Result<uint32_t> compare_exchange_user_u32(AddressSpace& memory, UserAddress at, uint32_t expected,
                                           uint32_t desired);

template <typename T>
concept UserData = std::is_trivially_copyable_v<T>;

template <UserData T>
std::span<std::byte, sizeof(T)> bytes_of(T& value) {
  return std::as_writable_bytes(std::span<T, 1>(&value, 1));
}
template <UserData T>
std::span<const std::byte, sizeof(T)> bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

template <UserData T>
class UserIn {
 public:
  constexpr UserIn() = default;
  constexpr explicit UserIn(UserAddress at) : at_(at) {}
  constexpr bool is_null() const { return at_.is_null(); }
  constexpr UserAddress address() const { return at_; }
  Result<T> read() const {
    T value;
    TRY(copy_from_user(current_memory(), bytes_of(value), at_));
    return value;
  }
  // Element `index` of an array that starts here.
  Result<T> read_at(size_t index) const { return UserIn<T>(at_ + index * sizeof(T)).read(); }
  Result<Vec<T>> read_array(size_t count) const {
    Vec<T> values;
    TRY(values.resize(count));
    TRY(copy_from_user(current_memory(), std::as_writable_bytes(values.span()), at_));
    return values;
  }

 private:
  UserAddress at_;
};

template <UserData T>
class UserOut {
 public:
  constexpr UserOut() = default;
  constexpr explicit UserOut(UserAddress at) : at_(at) {}
  constexpr bool is_null() const { return at_.is_null(); }
  constexpr UserAddress address() const { return at_; }
  Result<void> write(const T& value) const {
    return copy_to_user(current_memory(), at_, bytes_of(value));
  }
  Result<void> write_at(size_t index, const T& value) const {
    return UserOut<T>(at_ + index * sizeof(T)).write(value);
  }
  Result<void> write_array(std::span<const T> values) const {
    return copy_to_user(current_memory(), at_, std::as_bytes(values));
  }

 private:
  UserAddress at_;
};

template <UserData T>
class UserInOut : public UserIn<T>, public UserOut<T> {
 public:
  constexpr UserInOut() = default;
  constexpr explicit UserInOut(UserAddress at) : UserIn<T>(at), UserOut<T>(at) {}
  constexpr bool is_null() const { return UserIn<T>::is_null(); }
  constexpr UserAddress address() const { return UserIn<T>::address(); }
};

// A path or other NUL-terminated argument.
class UserString {
 public:
  constexpr UserString() = default;
  constexpr explicit UserString(UserAddress at) : at_(at) {}
  constexpr UserAddress address() const { return at_; }
  constexpr bool is_null() const { return at_.is_null(); }
  // kPathMax with its NUL: kNameTooLong beyond. Errors: kFault.
  Result<String> read_path() const { return copy_string_from_user(current_memory(), at_, 4096); }
  Result<String> read(size_t limit) const {
    return copy_string_from_user(current_memory(), at_, limit);
  }

 private:
  UserAddress at_;
};

}  // namespace occlum
