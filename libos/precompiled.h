// The parts of libc++ that much of the library OS includes, compiled once: they are half of what most files take. It saves
// nobody an #include: clang-tidy compiles each file without it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
