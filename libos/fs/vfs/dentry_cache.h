// The name cache: which dentries of directories are known, found by (parent, name).
//
// One table for all file systems under one spin lock, which is held for a hash lookup only. The table owns what it
// lists; dentries that nobody else holds are dropped, least recently used first, when there are more than the limit.
// Names are inserted, removed and moved with the mutex of the directory's inode held, so the cache and the file system
// agree; finding needs no mutex.
#pragma once

#include "libos/fs/vfs/mount.h"
#include "libos/lib/hash_map.h"

namespace occlum {

class DentryCache {
 public:
  constexpr DentryCache() = default;

  // Null when the name is not cached.
  RefPtr<Dentry> find(const Dentry& parent, std::string_view name);
  // Makes a dentry (negative when `inode` is null); it replaces one of the same name that is cached. Uncached ones are
  // for file systems whose names come and go by themselves.
  enum class Keep : bool { kNo, kYes };
  Result<RefPtr<Dentry>> insert(const RefPtr<Dentry>& parent, std::string_view name,
                                RefPtr<Inode> inode, Keep keep);

  // The name is gone.
  void remove(Dentry& dentry);
  // The cached knowledge is of no use any more; the name itself may live on.
  void forget(Dentry& dentry);
  // Rename: `dentry` becomes `name` in `parent`; what was cached there is removed. Room for that is made first, so that
  // nothing fails after the file system has done it: prepare_move, the file system's rename, then move.
  class Move {
   public:
    Move() = default;

   private:
    friend class DentryCache;
    String name_;
  };
  Result<Move> prepare_move(std::string_view name);
  void move(Dentry& dentry, const RefPtr<Dentry>& parent, Move prepared);
  // RENAME_EXCHANGE.
  void exchange(Dentry& a, Dentry& b);

  bool is_ancestor(const Dentry& ancestor, const Dentry& of) const;
  // Drops dentries that nobody uses until at most `keep` are left.
  void shrink(size_t keep);
  size_t size() const;

 private:
  friend class Dentry;
  friend class PathBuilder;
  struct Slot {
    Dentry* dentry;  // the entry's value owns it
    uint64_t hash() const { return dentry->hash_; }
    bool operator==(const Slot& other) const = default;
  };
  struct Query {
    const Dentry* parent;
    std::string_view name;
    uint64_t value;
    uint64_t hash() const { return value; }
    friend bool operator==(const Slot& slot, const Query& query) {
      return slot.dentry->hash_ == query.value && slot.dentry->parent_.get() == query.parent &&
             slot.dentry->name_.view() == query.name;
    }
  };
  struct State {
    HashMap<Slot, RefPtr<Dentry>> table;
    IntrusiveList<Dentry, &Dentry::lru_node_> lru;  // least recent first
  };
  static constexpr size_t kMaxDentries = 32768;

  static uint64_t hash_of_name(const Dentry* parent, std::string_view name);
  static Query query(const Dentry* parent, std::string_view name);
  // Takes it off the table; the table's reference goes to the caller, to be dropped without the lock.
  static RefPtr<Dentry> unhash(State& state, Dentry& dentry);
  static Result<void> hash(State& state, Dentry& dentry);
  void prune();

  mutable SpinLocked<State> state_{LockRank::kDentryCache};
};

DentryCache& dentry_cache();

}  // namespace occlum
