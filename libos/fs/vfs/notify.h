// Telling watchers what is done with files: inotify(7) stands behind it (ipc/inotify_file.h).
//
// Each operation of the VFS has one place that says what happened. While nobody watches, that costs one relaxed load. A
// watch is of a file (its file system and number, since a file system may make more than one Inode for a file); what
// happens to a file is told to who watches it, and, with its name, to who watches its directory. Only what programs here
// do is seen: what the host does to the files of a hostfs is not.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "libos/fs/vfs/mount.h"
#include "libos/lib/list.h"

namespace occlum {

// inotify(7)'s bits.
constexpr uint32_t kNotifyAccess = 0x1, kNotifyModify = 0x2, kNotifyAttributes = 0x4,
                   kNotifyCloseWrite = 0x8, kNotifyCloseNoWrite = 0x10, kNotifyOpen = 0x20,
                   kNotifyMovedFrom = 0x40, kNotifyMovedTo = 0x80, kNotifyCreate = 0x100,
                   kNotifyDelete = 0x200, kNotifyDeleteSelf = 0x400, kNotifyMoveSelf = 0x800,
                   kNotifyUnmount = 0x2000, kNotifyOverflow = 0x4000, kNotifyIgnored = 0x8000,
                   kNotifyOnlyDirectory = 0x01000000, kNotifyDontFollow = 0x02000000,
                   kNotifyExcludeUnlinked = 0x04000000, kNotifyMaskCreate = 0x10000000,
                   kNotifyMaskAdd = 0x20000000, kNotifyIsDirectory = 0x40000000,
                   kNotifyOneShot = 0x80000000;
constexpr uint32_t kNotifyAllEvents = 0xfff;

// Who hears of it. Called with the lock of all watches (a spin lock of rank kPoll) held.
struct Watch;
class WatchListener : public RefCounted<WatchListener> {
 public:
  virtual ~WatchListener() = default;
  // `name` is empty for what happened to the watched file itself.
  virtual void on_event(const Watch& watch, uint32_t mask, uint32_t cookie,
                        std::string_view name) = 0;
  // Of the next watch; with the same lock held.
  int next_number() { return ++last_number_; }

 private:
  int last_number_ = 0;
};

// A snapshot for fdinfo.
struct WatchInfo {
  int number = 0;
  uint64_t inode = 0, device = 0;
  uint32_t mask = 0;
};

// Adds, or changes, the listener's watch of this file. kExist with kNotifyMaskCreate, kNoSpc when the user has too many,
// kNoMem. Returns its number, counted by the listener from 1 on.
Result<int> add_watch(WatchListener& listener, const Path& path, uint32_t mask, uint32_t user);
// kInval when there is none; the listener gets kNotifyIgnored.
Result<void> remove_watch(WatchListener& listener, int number);
// The listener goes: in silence.
void remove_all_watches(WatchListener& listener);
Result<Vec<WatchInfo>> watches_of(const WatchListener& listener);

namespace notify_detail {
extern constinit std::atomic<uint32_t> watches;
void tell_file(const Dentry& dentry, uint32_t mask);
void tell_inode(Inode& inode, uint32_t mask);
void tell_name(Inode& directory, std::string_view name, Inode& child, uint32_t mask,
               uint32_t cookie);
void tell_gone(Inode& inode);
}  // namespace notify_detail

inline bool is_anything_watched() {
  return notify_detail::watches.load(std::memory_order_relaxed) != 0;
}
// To who watches the file, and to who watches the directory that it is in.
inline void notify_file(const Dentry& dentry, uint32_t mask) {
  if (is_anything_watched()) [[unlikely]]
    notify_detail::tell_file(dentry, mask);
}
// To who watches the file.
inline void notify_inode(Inode& inode, uint32_t mask) {
  if (is_anything_watched()) [[unlikely]]
    notify_detail::tell_inode(inode, mask);
}
// To who watches the directory: of a name in it that means `child`.
inline void notify_name(Inode& directory, std::string_view name, Inode& child, uint32_t mask,
                        uint32_t cookie = 0) {
  if (is_anything_watched()) [[unlikely]]
    notify_detail::tell_name(directory, name, child, mask, cookie);
}
// A name that was removed is used by nobody any more: when it was the last one, the file is gone.
inline void notify_name_unused(Inode& inode) {
  if (is_anything_watched()) [[unlikely]]
    notify_detail::tell_gone(inode);
}
// It is mounted nowhere any more: its watches hear of that, and go.
void notify_unmounted(FileSystem& file_system);
// rename(2): both directories, what was replaced (or null), and what was moved.
void notify_renamed(Inode& from, std::string_view from_name, Inode& to, std::string_view to_name,
                    Inode& moved, Inode* replaced);

}  // namespace occlum
