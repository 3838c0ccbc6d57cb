#include "libos/process/memory_keeper.h"

#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/mm/cached_pages.h"
#include "libos/mm/page_map.h"
#include "libos/mm/reclaim.h"
#include "libos/mm/shortage.h"
#include "libos/mm/stats.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/send.h"

namespace occlum {
namespace {

constexpr int kMostAdjustment = 1000;
// What is looked for: a cluster of a page fault, and some for the tables and objects that go with it.
constexpr uint64_t kWantedPages = 512;

uint64_t total_pages() { return std::max<uint64_t>(memory_totals().total_bytes / kPageSize, 1); }

// The next process in order of numbers: walking allocates nothing.
RefPtr<Process> next_process(Pid after) {
  return process_tree().with([&](ProcessTree& tree) -> RefPtr<Process> {
    const auto it = tree.processes.upper_bound(after);
    return it ? it->value : nullptr;
  });
}

template <typename F>
void for_each_with_memory(F&& visit) {
  for (RefPtr<Process> process = next_process(0); process; process = next_process(process->pid())) {
    if (process->is_kernel()) continue;
    if (const RefPtr<AddressSpace> memory = process->memory()) visit(process, memory);
  }
}

struct Victim {
  RefPtr<Process> process;
  RefPtr<AddressSpace> memory;
  int64_t badness = kNeverKilled;
  uint64_t bytes = 0;
};

bool is_dying(Process& process) {
  return process_tree().with([&](ProcessTree& tree) { return process.links(tree).is_exiting; });
}

// One that ends anyway comes first: its memory is had for nothing. Whoever must never be killed comes last, when
// nobody else holds anything: Linux stops the machine then.
Victim choose_victim() {
  Victim worst;
  for_each_with_memory([&](const RefPtr<Process>& process, const RefPtr<AddressSpace>& memory) {
    const uint64_t bytes = memory->footprint();
    if (bytes == 0) return;
    const int64_t points = is_dying(*process) ? INT64_MAX : badness(*process, *memory);
    if (worst.process && points <= worst.badness) return;
    worst = {process, memory, points, bytes};
  });
  return worst;
}

bool kill_one() {
  const Victim victim = choose_victim();
  if (!victim.process) {
    log_error("out of memory: no process holds any");
    return false;
  }
  if (victim.badness != INT64_MAX) {
    log_error(
        "out of memory: process {} ({}) is killed: it holds {} KiB of {} KiB, oom_score_adj {}",
        victim.process->pid(), victim.process->name().view(), victim.bytes / 1024,
        total_pages() * (kPageSize / 1024), victim.process->oom_adjustment.load());
  }
  // All who share the memory go, or nothing would be had (CLONE_VM, vfork).
  for_each_with_memory([&](const RefPtr<Process>& process, const RefPtr<AddressSpace>& memory) {
    if (memory == victim.memory) (void)send_signal(*process, SignalInfo::from_kernel(kSigKill));
  });
  // Not waiting for its threads, which may wait for memory themselves: none of them executes its program again.
  victim.memory->abandon();
  return true;
}

// Without a limit it is the host who refuses, and only trying tells whether it does so still.
bool make_room(const shortage::Demand& demand) {
  reclaim_kept_pages(kWantedPages);
  if (!demand.insists && memory_limit() != 0 && page_map::has_room(kWantedPages)) return true;
  (void)drop_cached_pages();
  reclaim_kept_pages(kWantedPages);
  if (!demand.insists && page_map::has_room(kWantedPages)) return true;
  return demand.may_kill && kill_one();
}

}  // namespace

int64_t badness(const Process& process, const AddressSpace& memory) {
  const int adjustment = process.oom_adjustment.load();
  if (adjustment == -kMostAdjustment) return kNeverKilled;
  return static_cast<int64_t>(memory.footprint() / kPageSize) +
         adjustment * static_cast<int64_t>(total_pages()) / kMostAdjustment;
}

uint64_t oom_score(const Process& process, const AddressSpace* memory) {
  if (memory == nullptr) return 0;
  const int64_t points = badness(process, *memory);
  if (points == kNeverKilled) return 0;
  const int64_t share = points * kMostAdjustment / static_cast<int64_t>(total_pages());
  return static_cast<uint64_t>(std::max<int64_t>((kMostAdjustment + share) * 2 / 3, 0));
}

void keep_memory() {
  shortage::become_keeper();
  for (;;) {
    const shortage::Demand demand = shortage::await_demand();
    shortage::answer(make_room(demand));
  }
}

}  // namespace occlum
