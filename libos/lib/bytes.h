// Integers in byte buffers, of either order. The span says where the number starts and must hold
// all of it (panics otherwise: a parser checks its lengths first).
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <span>

#include "libos/lib/memory.h"

namespace occlum {

static_assert(std::endian::native == std::endian::little);

template <std::integral T>
T load_le(std::span<const std::byte> bytes) {
  T value;
  copy_bytes(writable_object_bytes(value), bytes.first(sizeof(T)));
  return value;
}

template <std::integral T>
T load_be(std::span<const std::byte> bytes) {
  return std::byteswap(load_le<T>(bytes));
}

template <std::integral T>
void store_le(std::span<std::byte> bytes, std::type_identity_t<T> value) {
  copy_bytes(bytes.first(sizeof(T)), object_bytes(value));
}

template <std::integral T>
void store_be(std::span<std::byte> bytes, std::type_identity_t<T> value) {
  store_le<T>(bytes, std::byteswap(value));
}

}  // namespace occlum
