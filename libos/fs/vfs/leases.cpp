// See leases.h.
#include "libos/fs/vfs/leases.h"

#include <algorithm>
#include <array>

#include "libos/fs/vfs/inode.h"
#include "libos/lib/address.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

constinit LeaseSettings lease_settings;

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr size_t kLeaseBuckets = 64;

using Openers = IntrusiveList<Opener, &Opener::node>;
struct LeaseBucket {
  SpinLocked<Openers> openers{LockRank::kPoll};
};
[[clang::no_destroy]] constinit std::array<LeaseBucket, kLeaseBuckets> lease_buckets;
constinit std::atomic<uint32_t> leases{0};
[[clang::no_destroy]] constinit WaitQueue changes;

// One that waits, on his own stack.
struct Breaker {
  ListNode node;
  const Inode& inode;
  LeaseBreak how;
  int pid;
};
using Breakers = IntrusiveList<Breaker, &Breaker::node>;
[[clang::no_destroy]] constinit SpinLocked<Breakers> breakers{LockRank::kPoll};

constinit std::atomic<int (*)()> current_pid{nullptr};
int pid_of_current() {
  int (*const ask)() = current_pid.load(std::memory_order_acquire);
  return ask != nullptr ? ask() : 0;
}

class BreakerEntry {
 public:
  BreakerEntry(const Inode& inode, LeaseBreak how)
      : breaker_{.node = {}, .inode = inode, .how = how, .pid = pid_of_current()} {
    breakers.with([&](Breakers& all) { all.push_back(breaker_); });
  }
  ~BreakerEntry() {
    breakers.with([&](Breakers& all) { all.remove(breaker_); });
  }
  BreakerEntry(const BreakerEntry&) = delete;
  BreakerEntry& operator=(const BreakerEntry&) = delete;

 private:
  Breaker breaker_;
};

SpinLocked<Openers>& lease_bucket_of(const Inode& inode) {
  const uint64_t address = address_of(&inode);
  return lease_buckets[((address >> 6) ^ (address >> 12)) % kLeaseBuckets].openers;
}

// The file's own entry; null for what is no regular file.
Opener* find(Openers& openers, const File& file) {
  for (Opener& opener : openers) {
    if (&opener.file == &file) return &opener;
  }
  return nullptr;
}

template <typename Use>
auto with_opener(File& file, Use use) {
  const Inode* inode = file.inode();
  if (inode == nullptr) return use(nullptr);
  return lease_bucket_of(*inode).with([&](Openers& openers) { return use(find(openers, file)); });
}

void change(Opener& opener, LeaseType type) {
  if (opener.lease == LeaseType::kNone) leases.fetch_add(1);
  opener.lease = type;
  if (type == LeaseType::kWrite) return;
  opener.must_downgrade = false;
  if (type == LeaseType::kRead) return;
  opener.must_unlock = false;
  opener.file.io_signals()->reset();
  leases.fetch_sub(1);
}

// What was not given up in time is taken.
void expire(Opener& opener, Nanoseconds now) {
  if (opener.must_downgrade && now >= opener.downgrade_by) change(opener, LeaseType::kRead);
  if (opener.must_unlock && now >= opener.unlock_by) change(opener, LeaseType::kNone);
}

bool conflicts(const Opener& opener, LeaseBreak how) {
  if (opener.lease == LeaseType::kNone) return false;
  return how == LeaseBreak::kForWriting || opener.lease == LeaseType::kWrite;
}

// No lease to write beside other openers, mappings to write and programs, none to read beside what may write.
bool is_open_otherwise(Openers& openers, const Opener& self, LeaseType wanted) {
  const int64_t writers = self.inode.writers();
  if (wanted == LeaseType::kRead) return writers > 0;
  if (writers != (self.file.can_write() ? 1 : 0)) return true;
  return std::ranges::any_of(openers, [&](const Opener& other) {
    return &other.inode == &self.inode && &other != &self && other.reads;
  });
}

bool is_leased_otherwise(Openers& openers, const Opener& self, LeaseType wanted) {
  return std::ranges::any_of(openers, [&](const Opener& other) {
    if (&other == &self || &other.inode != &self.inode || other.lease == LeaseType::kNone)
      return false;
    return wanted == LeaseType::kWrite || other.must_unlock;
  });
}

LeaseType target_of(const Opener& opener) {
  if (opener.must_unlock) return LeaseType::kNone;
  return opener.must_downgrade ? LeaseType::kRead : opener.lease;
}

LeaseRow row_of(const Opener& opener) {
  return {.inode = &opener.inode,
          .device = opener.device,
          .inode_number = opener.inode_number,
          .pid = opener.pid,
          .type = target_of(opener),
          .is_breaking = opener.must_unlock || opener.must_downgrade};
}

Result<void> take_lease(Openers& openers, Opener& self, LeaseType type, int fd, const Stat& stat,
                        const IoOwner& owner) {
  if (is_open_otherwise(openers, self, type) || is_leased_otherwise(openers, self, type))
    return Errno::kAgain;
  if (self.lease == LeaseType::kNone) {
    if (!lease_settings.is_enabled.load()) return Errno::kInval;
    IoSignals& signals = *self.file.io_signals();
    signals.join(self.told, fd);
    signals.set_owner(owner, IoSignals::Replace::kNo);
    self.pid = owner.number;
    self.device = stat.dev;
    self.inode_number = stat.ino;
  }
  change(self, type);
  return {};
}

// Marks the leases that stand in the way and were not asked for yet, and tells their holders.
void ask(Openers& openers, const Inode& inode, LeaseBreak how, Nanoseconds by) {
  for (Opener& opener : openers) {
    if (&opener.inode != &inode || !conflicts(opener, how) || opener.must_unlock) continue;
    if (how == LeaseBreak::kForWriting) {
      opener.must_unlock = true;
      opener.unlock_by = by;
    } else {
      if (opener.must_downgrade) continue;
      opener.must_downgrade = true;
      opener.downgrade_by = by;
    }
    opener.told.post(IoReason::kMessage);
  }
}

// When the next of them ends by itself; 0: none stands in the way any more.
Nanoseconds next_end(Openers& openers, const Inode& inode, LeaseBreak how) {
  Nanoseconds end = 0;
  const Nanoseconds now = monotonic_now();
  for (Opener& opener : openers) {
    if (&opener.inode != &inode) continue;
    expire(opener, now);
    if (!conflicts(opener, how)) continue;
    const Nanoseconds by = opener.must_unlock ? opener.unlock_by : opener.downgrade_by;
    end = end == 0 ? by : std::min(end, by);
  }
  return end;
}

}  // namespace

void set_lease_breaker_pid(int (*ask)()) { current_pid.store(ask, std::memory_order_release); }

Opener::Opener(File& file, const Inode& inode, bool reads)
    : file(file), inode(inode), reads(reads) {
  lease_bucket_of(inode).with([&](Openers& openers) { openers.push_back(*this); });
}

Opener::~Opener() {
  const bool had_lease = lease_bucket_of(inode).with([&](Openers& openers) {
    openers.remove(*this);
    if (lease == LeaseType::kNone) return false;
    leases.fetch_sub(1);
    return true;
  });
  if (had_lease) changes.wake_all();
}

Result<void> set_lease(File& file, LeaseType type, int fd, const IoOwner& owner) {
  Inode* inode = file.inode();
  ASSERT(inode != nullptr);
  const Stat stat = TRY(inode->stat());
  TRY(file.make_io_signals());
  // Whoever opens the file from now on looks for leases; who has opened it is in the list.
  TRY(lease_bucket_of(*inode).with([&](Openers& openers) -> Result<void> {
    Opener* self = find(openers, file);
    if (self == nullptr) return Errno::kInval;
    const Nanoseconds now = monotonic_now();
    for (Opener& opener : openers) expire(opener, now);
    if (type != LeaseType::kNone) return take_lease(openers, *self, type, fd, stat, owner);
    if (self->lease == LeaseType::kNone) return Errno::kAgain;
    change(*self, type);
    return {};
  }));
  changes.wake_all();
  return {};
}

LeaseType lease_of(File& file) {
  return with_opener(file, [](Opener* opener) {
    if (opener == nullptr) return LeaseType::kNone;
    expire(*opener, monotonic_now());
    return target_of(*opener);
  });
}

std::optional<LeaseRow> lease_row_of(File& file) {
  return with_opener(file, [](Opener* opener) -> std::optional<LeaseRow> {
    if (opener == nullptr || opener->lease == LeaseType::kNone) return std::nullopt;
    return row_of(*opener);
  });
}

Result<Vec<LeaseRow>> all_leases() {
  Vec<LeaseRow> rows;
  for (bool complete = false; !complete;) {
    TRY(rows.reserve(leases.load()));
    rows.truncate(0);
    complete = true;
    for (LeaseBucket& bucket : lease_buckets) {
      bucket.openers.with([&](Openers& openers) {
        for (const Opener& opener : openers) {
          if (opener.lease == LeaseType::kNone) continue;
          complete = complete && rows.size() < rows.capacity();
          if (complete) rows.push_reserved(row_of(opener));
        }
      });
    }
  }
  return rows;
}

Result<Vec<LeaseRow>> all_lease_breakers() {
  Vec<LeaseRow> rows;
  for (bool complete = false; !complete;) {
    size_t count = 0;
    breakers.with([&](Breakers& all) { count = all.size(); });
    TRY(rows.reserve(count));
    rows.truncate(0);
    complete = breakers.with([&](Breakers& all) {
      for (const Breaker& breaker : all) {
        if (rows.size() == rows.capacity()) return false;
        const bool writes = breaker.how == LeaseBreak::kForWriting;
        rows.push_reserved({.inode = &breaker.inode,
                            .pid = breaker.pid,
                            .type = writes ? LeaseType::kWrite : LeaseType::kRead});
      }
      return true;
    });
  }
  return rows;
}

Result<void> break_leases(const Inode& inode, LeaseBreak how, BreakWait wait) {
  if (leases.load() == 0) [[likely]]
    return {};
  SpinLocked<Openers>& bucket = lease_bucket_of(inode);
  const uint32_t seconds = lease_settings.break_seconds.load();
  const Nanoseconds by = seconds == 0 ? kNever : monotonic_now() + seconds * kSecond;
  bucket.with([&](Openers& openers) { ask(openers, inode, how, by); });
  for (;;) {
    Nanoseconds end = 0;
    const auto is_free = [&] {
      end = bucket.with([&](Openers& openers) { return next_end(openers, inode, how); });
      return end == 0;
    };
    if (is_free()) return {};
    if (wait == BreakWait::kNo) return Errno::kAgain;
    const BreakerEntry shown(inode, how);
    const Result<void> waited = wait_until(changes, end, Interruptible::kYes, is_free);
    if (waited.is_error() && waited.error() != Errno::kTimedOut) return waited.error();
  }
}

}  // namespace occlum
