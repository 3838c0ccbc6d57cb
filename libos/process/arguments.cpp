#include "libos/process/arguments.h"

#include <algorithm>

namespace occlum {

Result<void> ArgumentList::add(std::string_view text) {
  if (text.size() >= kLongestArgument) return Errno::kTooBig;
  TRY(text_.append(std::span(text)));
  TRY(text_.push('\0'));
  ++count_;
  return {};
}

Result<void> ArgumentList::prepend(std::string_view text) {
  ArgumentList longer;
  TRY(longer.text_.reserve(text.size() + 1 + text_.size()));
  TRY(longer.add(text));
  TRY(longer.text_.append(text_.span()));
  longer.count_ += count_;
  *this = std::move(longer);
  return {};
}

void ArgumentList::remove_first() {
  if (count_ == 0) return;
  const size_t length = first().size() + 1;
  std::span<char> all = text_.span();
  std::ranges::copy(all.subspan(length), all.begin());
  text_.truncate(all.size() - length);
  --count_;
}

Result<ArgumentList> ArgumentList::read_user(UserAddress array, size_t& room) {
  ArgumentList list;
  if (array.is_null()) return list;
  for (size_t i = 0;; ++i) {
    const uint64_t pointer = TRY(UserIn<uint64_t>(array).read_at(i));
    if (pointer == 0) return list;
    Result<String> text = UserString(UserAddress(pointer)).read(kLongestArgument);
    if (text.is_error()) return text.error() == Errno::kNameTooLong ? Errno::kTooBig : text.error();
    const size_t needed = text.value().size() + 1 + sizeof(uint64_t);
    if (needed > room) return Errno::kTooBig;
    room -= needed;
    TRY(list.add(text.value().view()));
  }
}

std::string_view ArgumentList::text() const {
  const std::span<const char> all = text_.span();
  return std::string_view(all.begin(), all.end());
}

std::string_view ArgumentList::first() const {
  const std::string_view all = text();
  return all.substr(0, all.find('\0'));
}

size_t argument_room(uint64_t stack_limit) {
  return std::max(kLeastArgumentRoom, std::min<size_t>(kMostArgumentRoom, stack_limit / 4));
}

}  // namespace occlum
