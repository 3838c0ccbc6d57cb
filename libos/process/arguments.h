// The strings of a program's start: argv or its environment, NUL-terminated, one after the other.
#pragma once

#include <string_view>

#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/lib/vec.h"
#include "libos/mm/user.h"

namespace occlum {

// execve(2), "Limits on size of arguments and environment".
constexpr size_t kLongestArgument = 128 * 1024;  // with its NUL
constexpr size_t kLeastArgumentRoom = 128 * 1024;
constexpr size_t kMostArgumentRoom = 6 * 1024 * 1024;

class ArgumentList {
 public:
  // Errors: kTooBig for a string that is too long, kNoMem.
  Result<void> add(std::string_view text);
  // Puts it before the first one.
  Result<void> prepend(std::string_view text);
  void remove_first();

  // Reads a NULL-terminated array of strings of the current task; a null array is an empty one. `room` goes down by the
  // bytes of strings and pointers. Errors: kFault, kTooBig.
  static Result<ArgumentList> read_user(UserAddress array, size_t& room);

  size_t count() const { return count_; }
  std::string_view text() const;  // all of it, NULs included
  size_t bytes() const { return text_.size(); }
  std::string_view first() const;  // empty when there is none

 private:
  Vec<char> text_;
  size_t count_ = 0;
};

// How many bytes of strings and pointers there may be with this RLIMIT_STACK.
size_t argument_room(uint64_t stack_limit);

}  // namespace occlum
