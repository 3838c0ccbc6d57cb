// See dentry_cache.h.
#include "libos/fs/vfs/dentry_cache.h"

#include "libos/fs/vfs/notify.h"

#include <array>

namespace occlum {

namespace {
[[clang::no_destroy]] constinit DentryCache cache;
}  // namespace

DentryCache& dentry_cache() { return cache; }

Dentry::Dentry(RefPtr<Dentry> parent, String name, RefPtr<Inode> inode)
    : inode_(std::move(inode)), parent_(std::move(parent)), name_(std::move(name)) {}

// A deep chain of directories whose last user goes must not unwind on the kernel stack.
Dentry::~Dentry() {
  if (is_deleted() && inode_ != nullptr) notify_name_unused(*inode_);
  drop_chain(std::move(parent_), [](Dentry& dentry) { return std::move(dentry.parent_); });
}

Result<RefPtr<Dentry>> Dentry::create_root(RefPtr<Inode> inode, std::string_view name) {
  return make_ref<Dentry>(RefPtr<Dentry>(), TRY(String::create(name)), std::move(inode));
}

RefPtr<Dentry> Dentry::parent() const {
  return cache.state_.with([&](DentryCache::State&) { return parent_; });
}

Result<String> Dentry::name() const {
  return cache.state_.with([&](DentryCache::State&) { return name_.clone(); });
}

uint64_t DentryCache::hash_of_name(const Dentry* parent, std::string_view name) {
  return hash_combine(hash_of(parent), hash_of(name));
}

DentryCache::Query DentryCache::query(const Dentry* parent, std::string_view name) {
  return {parent, name, hash_of_name(parent, name)};
}

RefPtr<Dentry> DentryCache::unhash(State& state, Dentry& dentry) {
  if (!dentry.hashed_) return nullptr;
  RefPtr<Dentry> reference(&dentry);
  state.lru.remove(dentry);
  state.table.remove(Query{dentry.parent_.get(), dentry.name_.view(), dentry.hash_});
  dentry.hashed_ = false;
  return reference;
}

Result<void> DentryCache::hash(State& state, Dentry& dentry) {
  dentry.hash_ = hash_of_name(dentry.parent_.get(), dentry.name_.view());
  TRY(state.table.insert(Slot{&dentry}, ref_to(dentry)));
  dentry.hashed_ = true;
  state.lru.push_back(dentry);
  return {};
}

RefPtr<Dentry> DentryCache::find(const Dentry& parent, std::string_view name) {
  const Query wanted = query(&parent, name);
  return state_.with([&](State& state) -> RefPtr<Dentry> {
    const RefPtr<Dentry>* found = state.table.find(wanted);
    if (found == nullptr) return nullptr;
    (*found)->recently_used_ = true;
    return *found;
  });
}

Result<RefPtr<Dentry>> DentryCache::insert(const RefPtr<Dentry>& parent, std::string_view name,
                                           RefPtr<Inode> inode, Keep keep) {
  RefPtr<Dentry> fresh = TRY(make_ref<Dentry>(parent, TRY(String::create(name)), std::move(inode)));
  if (keep == Keep::kNo) return fresh;
  prune();
  const Query wanted = query(parent.get(), name);
  RefPtr<Dentry> replaced;
  TRY(state_.with([&](State& state) -> Result<void> {
    if (const RefPtr<Dentry>* found = state.table.find(wanted)) {
      replaced = *found;
      RefPtr<Dentry> other = unhash(state, *replaced);
    }
    return hash(state, *fresh);
  }));
  return fresh;
}

void DentryCache::remove(Dentry& dentry) {
  dentry.deleted_.store(true, std::memory_order_relaxed);
  forget(dentry);
}

void DentryCache::forget(Dentry& dentry) {
  RefPtr<Dentry> dropped = state_.with([&](State& state) { return unhash(state, dentry); });
}

Result<DentryCache::Move> DentryCache::prepare_move(std::string_view name) {
  Move prepared;
  prepared.name_ = TRY(String::create(name));
  TRY(state_.with([](State& state) { return state.table.reserve(state.table.size() + 2); }));
  return prepared;
}

void DentryCache::move(Dentry& dentry, const RefPtr<Dentry>& parent, Move prepared) {
  const Query wanted = query(parent.get(), prepared.name_.view());
  RefPtr<Dentry> replaced, unhashed, old_parent;
  String old_name;
  state_.with([&](State& state) {
    if (const RefPtr<Dentry>* found = state.table.find(wanted)) {
      replaced = *found;
      RefPtr<Dentry> other = unhash(state, *replaced);
      if (!replaced->is_negative()) replaced->deleted_.store(true, std::memory_order_relaxed);
    }
    unhashed = unhash(state, dentry);
    old_parent = std::move(dentry.parent_);
    old_name = std::move(dentry.name_);
    dentry.parent_ = parent;
    dentry.name_ = std::move(prepared.name_);
    // Somebody else may have used up the room that was made: then the dentry is just not cached.
    if (unhashed != nullptr) {
      if (hash(state, dentry).is_error()) dentry.hashed_ = false;
    }
  });
}

void DentryCache::exchange(Dentry& a, Dentry& b) {
  RefPtr<Dentry> had_a, had_b;
  state_.with([&](State& state) {
    had_a = unhash(state, a);
    had_b = unhash(state, b);
    std::swap(a.parent_, b.parent_);
    std::swap(a.name_, b.name_);
    if (had_a != nullptr && hash(state, a).is_error()) a.hashed_ = false;
    if (had_b != nullptr && hash(state, b).is_error()) b.hashed_ = false;
  });
}

bool DentryCache::is_ancestor(const Dentry& ancestor, const Dentry& of) const {
  return state_.with([&](const State&) {
    for (const Dentry* dentry = &of; dentry != nullptr; dentry = dentry->parent_.get()) {
      if (dentry == &ancestor) return true;
    }
    return false;
  });
}

size_t DentryCache::size() const {
  return state_.with([](const State& state) { return state.table.size(); });
}

void DentryCache::prune() {
  if (size() >= kMaxDentries) shrink(kMaxDentries - kMaxDentries / 64);
}

void DentryCache::shrink(size_t keep) {
  // In bunches, so that the lock is never held for long and inodes are destroyed without it.
  for (size_t tries = 2 * size() + 1; tries != 0;) {
    std::array<RefPtr<Dentry>, 32> victims;
    size_t count = 0;
    bool done = false;
    state_.with([&](State& state) {
      for (size_t looked = 0; looked < 128; ++looked) {
        Dentry* dentry = state.lru.first();
        if (dentry == nullptr || state.table.size() <= keep || tries == 0) {
          done = true;
          return;
        }
        --tries;
        if (dentry->recently_used_ || dentry->reference_count() > 1) {
          dentry->recently_used_ = false;
          state.lru.remove(*dentry);
          state.lru.push_back(*dentry);
          continue;
        }
        victims[count] = unhash(state, *dentry);
        if (++count == victims.size()) return;
      }
    });
    if (done) return;
  }
}

}  // namespace occlum
