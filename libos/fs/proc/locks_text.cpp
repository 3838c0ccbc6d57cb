// /proc/locks, and the lock lines of /proc/<pid>/fdinfo (proc(5)).
#include <algorithm>

#include "libos/fs/file_table.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/fs/proc/process_text.h"
#include "libos/fs/vfs/file_locks.h"
#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/leases.h"
#include "libos/fs/vfs/stat.h"

namespace occlum {
namespace {

std::string_view name_of(LockType type) { return type == LockType::kWrite ? "WRITE" : "READ"; }

void add_place(ProcText& out, LockType type, int pid, const LockSnapshot& file) {
  out.text(name_of(type)).add(" {} ", pid);
  out.hex(device_major(file.device), 2).text(":").hex(device_minor(file.device), 2);
  out.add(":{} ", file.inode);
}

void add_lock(ProcText& out, const LockSnapshot& file, const RecordLock& lock) {
  out.text(lock.pid == -1 ? "OFDLCK" : "POSIX ").text(" ADVISORY  ");
  add_place(out, lock.type, lock.pid, file);
  out.add("{} ", lock.start);
  constexpr uint64_t kEndOfFile = INT64_MAX;
  if (lock.end >= kEndOfFile) {
    out.text("EOF\n");
  } else {
    out.add("{}\n", lock.end);
  }
}

void add_lock(ProcText& out, const LockSnapshot& file, const FlockHolder& holder) {
  out.text("FLOCK  ADVISORY  ");
  add_place(out, holder.type, holder.pid, file);
  out.text("0 EOF\n");
}

// Those who wait for `blocker`, and below each who would wait for him. `next` of each: by whom it is blocked, as an index
// into `waiting`, or kHeld for the lock that is held.
constexpr size_t kHeld = SIZE_MAX;

template <typename Lock>
void add_waiters(ProcText& out, const LockSnapshot& file, const Vec<Lock>& waiting,
                 const Vec<size_t>& blockers, size_t blocker, uint64_t id, size_t first) {
  // Without recursion: the depth is what programs make it.
  size_t level = 1, at = first;
  size_t parent = blocker;
  while (true) {
    while (at < waiting.size() && blockers[at] != parent) ++at;
    if (at < waiting.size()) {
      out.add("{}: ", id);
      for (size_t i = 1; i < level; ++i) out.text(" ");
      out.text("-> ");
      add_lock(out, file, waiting[at]);
      parent = at++;
      ++level;
      continue;
    }
    if (parent == blocker) return;
    at = parent + 1;
    parent = blockers[parent];
    --level;
  }
}

constexpr size_t kNone = SIZE_MAX - 1;

// Each waiter hangs below the lock that blocks it, or below an earlier waiter there that it would have to wait for.
template <typename Lock>
Result<void> add_locks(ProcText& out, const LockSnapshot& file, const Vec<Lock>& held,
                       const Vec<Lock>& waiting, uint64_t& id) {
  Vec<size_t> blockers;
  for (size_t i = 0; i < waiting.size(); ++i) TRY(blockers.push(kNone));
  for (const Lock& lock : held) {
    add_lock(out.add("{}: ", ++id), file, lock);
    Vec<size_t> mine;
    for (size_t i = 0; i < waiting.size(); ++i) {
      TRY(mine.push(kNone));
      if (blockers[i] != kNone || !excludes(lock, waiting[i])) continue;
      size_t parent = kHeld;
      for (size_t j = 0; j < i; ++j) {
        if (mine[j] == parent && excludes(waiting[j], waiting[i])) parent = j;
      }
      mine[i] = blockers[i] = parent;
    }
    add_waiters(out, file, waiting, mine, kHeld, id, 0);
  }
  return {};
}

std::string_view name_of(LeaseType type) {
  return type == LeaseType::kWrite ? "WRITE" : type == LeaseType::kRead ? "READ" : "UNLCK";
}

void add_lease(ProcText& out, const LeaseRow& lease) {
  out.text("LEASE  ").text(lease.is_breaking ? "BREAKING  " : "ACTIVE    ");
  out.text(name_of(lease.type)).add(" {} ", lease.pid);
  out.hex(device_major(lease.device), 2).text(":").hex(device_minor(lease.device), 2);
  out.add(":{} 0 EOF\n", lease.inode_number);
}

// Who waits for leases to be given up hangs below the first of the file.
Result<void> add_leases(ProcText& out, uint64_t& id) {
  // In this order: what somebody waits for is shown as being broken.
  const Vec<LeaseRow> breakers = TRY(all_lease_breakers());
  const Vec<LeaseRow> leases = TRY(all_leases());
  for (size_t i = 0; i < leases.size(); ++i) {
    add_lease(out.add("{}: ", ++id), leases[i]);
    const auto is_same = [&](const LeaseRow& other) { return other.inode == leases[i].inode; };
    if (std::ranges::any_of(leases.span().first(i), is_same)) continue;
    for (const LeaseRow& breaker : breakers) {
      if (!is_same(breaker)) continue;
      out.add("{}: -> LEASE  BREAKER   ", id).text(name_of(breaker.type));
      out.add(" {} <none>:0 0 EOF\n", breaker.pid);
    }
  }
  return {};
}

}  // namespace

Result<void> locks_text(const Subject&, ProcText& out) {
  uint64_t id = 0;
  for (const LockSnapshot& file : TRY(all_file_locks())) {
    TRY(add_locks(out, file, file.holders, file.waiting_holders, id));
    TRY(add_locks(out, file, file.records, file.waiting_records, id));
  }
  return add_leases(out, id);
}

namespace {

// The locks of the description, and of the process that the table belongs to.
Result<void> add_locks_of(ProcText& out, const FileTable& table, File& file, uint64_t& id) {
  const FileLocks* locks = file.lock_anchor().existing();
  if (locks == nullptr) return {};
  const LockSnapshot all = TRY(locks->snapshot());
  for (const FlockHolder& holder : all.holders) {
    if (holder.file == &file) add_lock(out.add("lock:\t{}: ", ++id), all, holder);
  }
  for (const RecordLock& lock : all.records) {
    if (lock.owner == &file || lock.owner == &table)
      add_lock(out.add("lock:\t{}: ", ++id), all, lock);
  }
  return {};
}

}  // namespace

Result<void> add_descriptor_locks(ProcText& out, const FileTable& table, File& file) {
  uint64_t id = 0;
  TRY(add_locks_of(out, table, file, id));
  if (const std::optional<LeaseRow> lease = lease_row_of(file))
    add_lease(out.add("lock:\t{}: ", ++id), *lease);
  return {};
}

}  // namespace occlum
