// See name_snapshot.h.
#include "libos/fs/vfs/name_snapshot.h"

namespace occlum {

Result<void> NameSnapshot::add(std::string_view name, uint64_t ino, FileType type) {
  if (const uint64_t* cookie = by_name_.find(name)) {
    Item& item = *by_cookie_.find(*cookie);
    if (item.round == round_) return {};
    item.ino = ino;
    item.type = type;
    item.round = round_;
    return {};
  }
  const uint64_t cookie = next_cookie_++;
  TRY(by_cookie_.insert(cookie, Item{TRY(String::create(name)), ino, type, round_}));
  Result<String> key = String::create(name);
  if (key.is_error() || by_name_.insert(key.release_value(), cookie).is_error()) {
    by_cookie_.remove(cookie);
    return Errno::kNoMem;
  }
  return {};
}

bool NameSnapshot::has_this_round(std::string_view name) const {
  const uint64_t* cookie = by_name_.find(name);
  return cookie != nullptr && by_cookie_.find(*cookie)->round == round_;
}

void NameSnapshot::renumber(std::string_view name, uint64_t ino) {
  if (const uint64_t* cookie = by_name_.find(name)) by_cookie_.find(*cookie)->ino = ino;
}

void NameSnapshot::finish_update() {
  for (auto it = by_cookie_.begin(); it;) {
    if (it->value.round == round_) {
      ++it;
      continue;
    }
    by_name_.remove(it->value.name);
    it = by_cookie_.remove(it);
  }
}

void NameSnapshot::emit(uint64_t cookie, DirectoryEmitter emit) const {
  for (auto it = by_cookie_.lower_bound(cookie); it; ++it) {
    const Item& item = it->value;
    if (!emit({item.name.view(), item.ino, item.type, it->key + 1})) return;
  }
}

}  // namespace occlum
