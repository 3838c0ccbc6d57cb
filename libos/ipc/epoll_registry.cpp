// Which epoll sets watch a file: a table by file, so that a File itself needs one flag only.
#include "libos/ipc/epoll.h"
#include "libos/lib/address.h"
#include "libos/lib/hash_map.h"

namespace occlum {

namespace {

struct WatchedFiles {
  HashMap<uint64_t, Vec<EpollFile*>>
      sets;  // by the file's address; a set stands there once per item
};
// Before kPoll: a set's items are changed without it, and it is never held around them.
constinit SpinLocked<WatchedFiles> watched_files{LockRank::kPoll};

int sets_above_in(WatchedFiles& it, uint64_t key, int limit) {
  const Vec<EpollFile*>* const sets = it.sets.find(key);
  if (sets == nullptr) return 0;
  if (limit == 0) return 1;
  int longest = 0;
  for (const EpollFile* set : *sets)
    longest = std::max(longest, 1 + sets_above_in(it, address_of<File>(set), limit - 1));
  return longest;
}

}  // namespace

int EpollRegistry::sets_above(const File& file, int limit) {
  return watched_files.with(
      [&](WatchedFiles& it) { return sets_above_in(it, address_of(&file), limit); });
}

Result<void> EpollRegistry::add(File& file, EpollFile& set) {
  return watched_files.with([&](WatchedFiles& it) -> Result<void> {
    Vec<EpollFile*>* sets = it.sets.find(address_of(&file));
    if (sets == nullptr) sets = TRY(it.sets.insert(address_of(&file), Vec<EpollFile*>()));
    TRY(sets->push(&set));
    file.watched_by_epoll_.store(true, std::memory_order_release);
    return {};
  });
}

void EpollRegistry::remove(const File& file, EpollFile& set) {
  watched_files.with([&](WatchedFiles& it) {
    Vec<EpollFile*>* sets = it.sets.find(address_of(&file));
    if (sets == nullptr) return;
    const auto found = std::ranges::find(*sets, &set);
    if (found == sets->end()) return;
    sets->swap_remove(static_cast<size_t>(found - sets->begin()));
    if (sets->is_empty()) it.sets.remove(address_of(&file));
  });
}

void EpollRegistry::forget(File& file) {
  for (;;) {
    // A set that is being destroyed takes itself off the table; it is skipped here.
    RefPtr<EpollFile> set = watched_files.with([&](WatchedFiles& it) {
      Vec<EpollFile*>* sets = it.sets.find(address_of(&file));
      while (sets != nullptr && !sets->is_empty()) {
        EpollFile* candidate = sets->pop();
        if (candidate->try_ref()) return RefPtr<EpollFile>::adopt(*candidate);
      }
      if (sets != nullptr) it.sets.remove(address_of(&file));
      return RefPtr<EpollFile>();
    });
    if (set == nullptr) return;
    set->forget(file);
  }
}

void File::leave_epolls() { EpollRegistry::forget(*this); }

}  // namespace occlum
