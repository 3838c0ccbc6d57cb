// Raw part of memory.h: the byte views of objects and of text.
//
// Invariant: a view covers exactly the object (or characters) that it was made from, and is
// std::byte, which may alias anything. Only trivially copyable objects are viewed, so writing bytes
// never breaks a class's own invariant.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

#pragma clang unsafe_buffer_usage begin

namespace occlum {

template <typename T>
  requires std::is_trivially_copyable_v<T>
std::span<const std::byte> object_bytes(const T& object) {
  return std::span<const std::byte>(reinterpret_cast<const std::byte*>(&object), sizeof(T));
}

template <typename T>
  requires(std::is_trivially_copyable_v<T> && !std::is_const_v<T>)
std::span<std::byte> writable_object_bytes(T& object) {
  return std::span<std::byte>(reinterpret_cast<std::byte*>(&object), sizeof(T));
}

inline std::span<const std::byte> text_bytes(std::string_view text) {
  return std::span<const std::byte>(reinterpret_cast<const std::byte*>(text.data()), text.size());
}

// The bytes as text, whatever they are: NULs included.
inline std::string_view bytes_text(std::span<const std::byte> bytes) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace occlum

#pragma clang unsafe_buffer_usage end
