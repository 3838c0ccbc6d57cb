// See notify.h.
#include "libos/fs/vfs/notify.h"

#include <algorithm>
#include <array>

#include "libos/fs/vfs/watch.h"

namespace occlum {

namespace notify_detail {
constinit std::atomic<uint32_t> watches{0};
}

namespace {

using notify_detail::watches;

constexpr size_t kBuckets = 64;
constexpr uint32_t kMostWatchesOfUser = 65536;  // max_user_watches
// By the low bits of the user's number, as for queued signals.
constexpr size_t kUserCounts = 256;

using Bucket = IntrusiveList<Watch, &Watch::node>;
struct Registry {
  std::array<Bucket, kBuckets> buckets;
  std::array<uint32_t, kUserCounts> counts = {};
};
[[clang::no_destroy]] constinit SpinLocked<Registry> registry{LockRank::kPoll};
constinit std::atomic<uint32_t> last_cookie{0};

Bucket& bucket_of(Registry& all, uint64_t number) {
  return all.buckets[(number ^ (number >> 6)) % kBuckets];
}

void unlink(Registry& all, Watch& watch) {
  bucket_of(all, watch.number_of_file).remove(watch);
  --all.counts[watch.user % kUserCounts];
  watches.fetch_sub(1, std::memory_order_relaxed);
}

using Removed = IntrusiveList<Watch, &Watch::node>;

// Watches are freed without the lock: they hold the last reference of things that sleep.
void free_watches(Removed& removed) {
  while (Watch* watch = removed.pop_front()) {
    (void)OwnPtr<Watch>::adopt(*watch);
  }
}

// Takes the watches of one bucket for which `matches` says so out of the registry.
template <typename Matches>
void take(Registry& all, Bucket& bucket, Removed& removed, Matches matches) {
  for (Watch *at = bucket.first(), *next = nullptr; at != nullptr; at = next) {
    next = bucket.next(*at);
    if (!matches(*at)) continue;
    unlink(all, *at);
    removed.push_back(*at);
  }
}

// `event` happened to the file with this number, or to `name` in it.
struct Event {
  const FileSystem& file_system;
  uint64_t file;
  uint32_t mask;
  uint32_t cookie = 0;
  std::string_view name = {};
  bool is_unlinked = false;
};

void deliver(const Event& event) {
  Removed removed;
  registry.with([&](Registry& all) {
    Bucket& bucket = bucket_of(all, event.file);
    for (Watch *at = bucket.first(), *next = nullptr; at != nullptr; at = next) {
      Watch& watch = *at;
      next = bucket.next(watch);
      if (watch.number_of_file != event.file || &watch.inode->file_system() != &event.file_system)
        continue;
      const uint32_t bits = event.mask & ~kNotifyIsDirectory;
      if ((watch.mask & bits) == 0) continue;
      if (event.is_unlinked && (watch.mask & kNotifyExcludeUnlinked) != 0) continue;
      watch.listener->on_event(watch, event.mask, event.cookie, event.name);
      if ((watch.mask & kNotifyOneShot) == 0) continue;
      watch.listener->on_event(watch, kNotifyIgnored, 0, {});
      unlink(all, watch);
      removed.push_back(watch);
    }
  });
  free_watches(removed);
}

// Whether a file of this file system is watched: its files' numbers may cost something to ask for.
bool is_watched(const FileSystem& file_system) {
  return registry.with([&](Registry& all) {
    for (Bucket& bucket : all.buckets) {
      for (const Watch& watch : bucket) {
        if (&watch.inode->file_system() == &file_system) return true;
      }
    }
    return false;
  });
}

uint32_t directory_bit(const Inode& inode) { return inode.is_directory() ? kNotifyIsDirectory : 0; }

void tell(Inode& inode, uint32_t mask, uint32_t cookie, std::string_view name, bool is_unlinked) {
  const Result<Stat> stat = inode.stat();
  if (stat.is_error()) return;
  deliver({.file_system = inode.file_system(),
           .file = stat.value().ino,
           .mask = mask,
           .cookie = cookie,
           .name = name,
           .is_unlinked = is_unlinked});
}

}  // namespace

namespace notify_detail {

void tell_file(const Dentry& dentry, uint32_t mask) {
  Inode& inode = *dentry.inode();
  if (!is_watched(inode.file_system())) return;
  mask |= directory_bit(inode);
  if (const RefPtr<Dentry> parent = dentry.parent()) {
    const Result<String> name = dentry.name();
    if (!name.is_error() && parent->inode() != nullptr)
      tell(*parent->inode(), mask, 0, name.value().view(), dentry.is_deleted());
  }
  tell(inode, mask, 0, {}, false);
}

void tell_inode(Inode& inode, uint32_t mask) {
  if (is_watched(inode.file_system())) tell(inode, mask | directory_bit(inode), 0, {}, false);
}

void tell_name(Inode& directory, std::string_view name, Inode& child, uint32_t mask,
               uint32_t cookie) {
  if (is_watched(directory.file_system()))
    tell(directory, mask | directory_bit(child), cookie, name, false);
}

void tell_gone(Inode& inode) {
  if (!is_watched(inode.file_system())) return;
  const Result<Stat> stat = inode.stat();
  if (stat.is_error() || (stat.value().nlink != 0 && !inode.is_directory())) return;
  deliver(
      {.file_system = inode.file_system(), .file = stat.value().ino, .mask = kNotifyDeleteSelf});
  // Nothing more can happen to it.
  Removed removed;
  registry.with([&](Registry& all) {
    take(all, bucket_of(all, stat.value().ino), removed, [&](const Watch& watch) {
      const bool is_meant = watch.number_of_file == stat.value().ino &&
                            &watch.inode->file_system() == &inode.file_system();
      if (is_meant) watch.listener->on_event(watch, kNotifyIgnored, 0, {});
      return is_meant;
    });
  });
  free_watches(removed);
}

}  // namespace notify_detail

void notify_renamed(Inode& from, std::string_view from_name, Inode& to, std::string_view to_name,
                    Inode& moved, Inode* replaced) {
  if (!is_anything_watched()) return;
  const uint32_t cookie = last_cookie.fetch_add(1, std::memory_order_relaxed) + 1;
  notify_name(from, from_name, moved, kNotifyMovedFrom, cookie);
  notify_name(to, to_name, moved, kNotifyMovedTo, cookie);
  if (replaced != nullptr) notify_inode(*replaced, kNotifyAttributes);
  // As Linux has it, without IN_ISDIR.
  if (is_watched(moved.file_system())) tell(moved, kNotifyMoveSelf, 0, {}, false);
}

void notify_unmounted(FileSystem& file_system) {
  if (!is_anything_watched()) return;
  Removed removed;
  registry.with([&](Registry& all) {
    for (Bucket& bucket : all.buckets) {
      take(all, bucket, removed, [&](const Watch& watch) {
        if (&watch.inode->file_system() != &file_system) return false;
        watch.listener->on_event(watch, kNotifyUnmount | directory_bit(*watch.inode), 0, {});
        watch.listener->on_event(watch, kNotifyIgnored, 0, {});
        return true;
      });
    }
  });
  free_watches(removed);
}

Result<int> add_watch(WatchListener& listener, const Path& path, uint32_t mask, uint32_t user) {
  constexpr uint32_t kKept =
      kNotifyAllEvents | kNotifyExcludeUnlinked | kNotifyOneShot | kNotifyUnmount;
  Inode& inode = path.inode();
  const Stat stat = TRY(inode.stat());
  OwnPtr<Watch> fresh = TRY(make_own<Watch>());
  fresh->inode = ref_to(inode);
  fresh->listener = ref_to(listener);
  fresh->number_of_file = stat.ino;
  fresh->device = stat.dev;
  fresh->user = user;
  fresh->mask = (mask | kNotifyUnmount) & kKept;
  return registry.with([&](Registry& all) -> Result<int> {
    Bucket& bucket = bucket_of(all, stat.ino);
    for (Watch& watch : bucket) {
      if (watch.listener.get() != &listener || watch.number_of_file != stat.ino ||
          &watch.inode->file_system() != &inode.file_system())
        continue;
      if ((mask & kNotifyMaskCreate) != 0) return Errno::kExist;
      const uint32_t old = (mask & kNotifyMaskAdd) != 0 ? watch.mask : 0;
      watch.mask = old | fresh->mask;
      return watch.number;
    }
    uint32_t& count = all.counts[user % kUserCounts];
    if (count >= kMostWatchesOfUser) return Errno::kNoSpc;
    ++count;
    fresh->number = listener.next_number();
    const int number = fresh->number;
    bucket.push_back(*fresh.leak());
    watches.fetch_add(1, std::memory_order_relaxed);
    return number;
  });
}

Result<void> remove_watch(WatchListener& listener, int number) {
  Removed removed;
  registry.with([&](Registry& all) {
    for (Bucket& bucket : all.buckets) {
      take(all, bucket, removed, [&](const Watch& watch) {
        const bool is_meant = watch.listener.get() == &listener && watch.number == number;
        if (is_meant) listener.on_event(watch, kNotifyIgnored, 0, {});
        return is_meant;
      });
    }
  });
  const bool found = !removed.is_empty();
  free_watches(removed);
  return found ? Result<void>() : Errno::kInval;
}

void remove_all_watches(WatchListener& listener) {
  Removed removed;
  registry.with([&](Registry& all) {
    for (Bucket& bucket : all.buckets) {
      take(all, bucket, removed,
           [&](const Watch& watch) { return watch.listener.get() == &listener; });
    }
  });
  free_watches(removed);
}

Result<Vec<WatchInfo>> watches_of(const WatchListener& listener) {
  Vec<WatchInfo> result;
  for (bool complete = false; !complete;) {
    TRY(result.reserve(watches.load(std::memory_order_relaxed)));
    result.truncate(0);
    complete = registry.with([&](Registry& all) {
      for (const Bucket& bucket : all.buckets) {
        for (const Watch& watch : bucket) {
          if (watch.listener.get() != &listener) continue;
          if (result.size() == result.capacity()) return false;
          result.push_reserved({.number = watch.number,
                                .inode = watch.number_of_file,
                                .device = watch.device,
                                .mask = watch.mask & ~kNotifyUnmount});
        }
      }
      return true;
    });
  }
  std::ranges::sort(result, std::greater<>(), &WatchInfo::number);
  return result;
}

}  // namespace occlum
