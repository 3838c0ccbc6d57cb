#include "libos/sched/run_queue.h"

#include <algorithm>
#include <bit>

namespace occlum {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMillisecond;
constexpr uint64_t kRealtimeShare = 950 * kMillisecond;  // of a second
// All in virtual time, which for nice 0 is real time.
constexpr uint64_t kGranularity =
    1500 * kMillisecond / 1000;  // equals run so long before they change
constexpr uint64_t kSleeperCredit = 6 * kMillisecond;
constexpr uint64_t kMostBehind = 50 * kMillisecond;
constexpr uint64_t kMostAhead = kSecond;  // what the lightest task runs in a few ticks must fit

constexpr uint64_t kUnitWeight = 1024;  // of nice 0
constexpr uint64_t kIdleWeight = 3;     // of SCHED_IDLE

// One step of nice is a factor of 1.25 (sched(7), "The nice value"); the values are Linux's, which programs measure.
constexpr std::array<uint32_t, 40> kWeights = {
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,  //
    9548,  7620,  6100,  4904,  3906,  3121,  2501,  1991,  1586,  1277,   //
    1024,  820,   655,   526,   423,   335,   272,   215,   172,   137,    //
    110,   87,    70,    56,    45,    36,    29,    23,    18,    15};

uint64_t weight_of(const Scheduling& scheduling) {
  if (scheduling.policy == SchedulingPolicy::kIdle) return kIdleWeight;
  const int index = std::clamp<int>(scheduling.nice, -20, 19) + 20;
  return kWeights[static_cast<size_t>(index)];
}

}  // namespace

void WaitingTasks::change(uint64_t affinity, uint32_t by) {
  if (affinity == kAllVcpus) {
    anywhere_.fetch_add(by, std::memory_order_seq_cst);
    return;
  }
  for (uint64_t left = affinity; left != 0; left &= left - 1) {
    bound_[static_cast<size_t>(std::countr_zero(left))].fetch_add(by, std::memory_order_seq_cst);
  }
}

uint8_t RunEntity::priority() const {
  return std::max(scheduling_.is_realtime() ? scheduling_.priority : uint8_t{0},
                  inherited_priority_);
}

void RunQueue::add(RunEntity& entity, Arrival arrival) {
  // A new task starts level with the others: it has not slept, and a flood of them must not lock the old ones out.
  const uint64_t credit =
      arrival == Arrival::kAwake ? (entity.has_run_ ? kSleeperCredit : 0) : kMostBehind;
  const uint64_t least = floor_ - std::min(floor_, credit);
  entity.virtual_time_ = std::clamp(entity.virtual_time_, least, floor_ + kMostAhead);
  entity.has_run_ = true;
  waiting_.add(entity.affinity_);
  // A real-time task that was preempted keeps its turn, unless it has used up its slice.
  const bool has_slice_left = entity.scheduling_.policy != SchedulingPolicy::kRoundRobin ||
                              entity.slice_used_ < kRoundRobinSlice;
  const bool keeps_turn = arrival == Arrival::kPreempted && has_slice_left;
  if (!has_slice_left) entity.slice_used_ = 0;
  link(entity, keeps_turn ? End::kFront : End::kBack);
}

void RunQueue::link(RunEntity& entity, End end) {
  entity.is_queued_ = true;
  if (const uint8_t priority = entity.priority(); priority != 0) {
    Turn& turn = realtime_[priority];
    if (end == End::kFront) {
      turn.push_front(entity);
    } else {
      turn.push_back(entity);
    }
    occupied_[priority / 64] |= uint64_t{1} << (priority % 64);
    return;
  }
  // Behind those with the same virtual time.
  tree_detail::Links* parent = nullptr;
  auto side = tree_detail::Side::kLeft;
  for (tree_detail::Links* at = fair_; at != nullptr;) {
    parent = at;
    const bool is_before = entity.virtual_time_ < static_cast<const RunEntity&>(*at).virtual_time_;
    side = is_before ? tree_detail::Side::kLeft : tree_detail::Side::kRight;
    at = is_before ? at->left : at->right;
  }
  tree_detail::link(fair_, parent, side, entity);
}

void RunQueue::unlink(RunEntity& entity) {
  entity.is_queued_ = false;
  const uint8_t priority = entity.priority();
  if (priority == 0) {
    tree_detail::unlink(fair_, entity);
    return;
  }
  Turn& turn = realtime_[priority];
  turn.remove(entity);
  if (turn.is_empty()) occupied_[priority / 64] &= ~(uint64_t{1} << (priority % 64));
}

RunEntity* RunQueue::remove(RunEntity* entity) {
  if (entity == nullptr) return nullptr;
  unlink(*entity);
  waiting_.remove(entity->affinity_);
  if (entity->priority() == 0) floor_ = std::max(floor_, entity->virtual_time_);
  return entity;
}

void RunQueue::charge(RunEntity& entity, uint64_t ns, uint32_t vcpu, uint64_t now) {
  entity.virtual_time_ += ns * kUnitWeight / weight_of(entity.scheduling_);
  if (entity.priority() == 0) return;
  entity.slice_used_ += ns;
  RealtimeBudget& budget = budgets_[vcpu % kMostVcpus];
  if (budget.second != now / kSecond) budget = {.second = now / kSecond, .used = 0};
  budget.used += ns;
}

bool RunQueue::is_throttled(uint32_t vcpu, uint64_t now) const {
  const RealtimeBudget& budget = budgets_[vcpu % kMostVcpus];
  return budget.second == now / kSecond && budget.used > kRealtimeShare;
}

RunEntity* RunQueue::first_realtime(uint32_t vcpu, uint32_t least_priority) {
  for (size_t word = occupied_.size(); word-- > 0;) {
    for (uint64_t left = occupied_[word]; left != 0;) {
      const auto bit = static_cast<uint32_t>(63 - std::countl_zero(left));
      const uint32_t priority = static_cast<uint32_t>(word) * 64 + bit;
      if (priority < least_priority) return nullptr;
      for (RunEntity& entity : realtime_[priority]) {
        if (entity.may_run_on(vcpu)) return &entity;
      }
      left &= ~(uint64_t{1} << bit);
    }
  }
  return nullptr;
}

RunEntity* RunQueue::first_fair(uint32_t vcpu) {
  for (tree_detail::Links* at = tree_detail::first(fair_); at != nullptr;
       at = tree_detail::next(*at)) {
    auto& entity = static_cast<RunEntity&>(*at);
    if (entity.may_run_on(vcpu)) return &entity;
  }
  return nullptr;
}

RunEntity* RunQueue::take(uint32_t vcpu, uint64_t now) {
  RunEntity* fair = nullptr;
  if (is_throttled(vcpu, now)) fair = first_fair(vcpu);
  if (fair == nullptr) {
    if (RunEntity* entity = first_realtime(vcpu, 1)) return remove(entity);
    fair = first_fair(vcpu);
  }
  return remove(fair);
}

RunEntity* RunQueue::take_before(const RunEntity& current, uint32_t vcpu, uint64_t now) {
  if (!current.may_run_on(vcpu)) return take(vcpu, now);
  const uint32_t priority = current.priority();
  const bool throttled = is_throttled(vcpu, now);
  if (throttled && priority != 0) {
    if (RunEntity* fair = first_fair(vcpu)) return remove(fair);
  }
  if (!throttled || priority != 0) {
    const bool may_pass_turn = current.scheduling_.policy == SchedulingPolicy::kRoundRobin &&
                               current.slice_used_ >= kRoundRobinSlice;
    if (RunEntity* entity = first_realtime(vcpu, priority + (may_pass_turn ? 0 : 1)))
      return remove(entity);
  }
  if (priority != 0) return nullptr;
  RunEntity* fair = first_fair(vcpu);
  if (fair == nullptr || current.virtual_time_ < fair->virtual_time_ + kGranularity) return nullptr;
  return remove(fair);
}

// A real-time task gives way to its equals only; another to whoever waits, since it asked for that.
RunEntity* RunQueue::take_for_yield(const RunEntity& current, uint32_t vcpu, uint64_t now) {
  const uint32_t priority = current.priority();
  if (priority == 0 || !current.may_run_on(vcpu) || is_throttled(vcpu, now)) return take(vcpu, now);
  return remove(first_realtime(vcpu, priority));
}

template <typename Change>
void RunQueue::change(RunEntity& entity, End end, Change apply) {
  const bool was_queued = entity.is_queued_;
  if (was_queued) {
    unlink(entity);
    waiting_.remove(entity.affinity_);
  }
  apply();
  if (!was_queued) return;
  waiting_.add(entity.affinity_);
  link(entity, end);
}

// Who lowers its priority comes before those that have it already (sched(7), SCHED_FIFO).
void RunQueue::set_scheduling(RunEntity& entity, const Scheduling& scheduling) {
  const bool is_lower = scheduling.priority < entity.scheduling_.priority;
  change(entity, is_lower ? End::kFront : End::kBack, [&] {
    entity.scheduling_ = scheduling;
    entity.slice_used_ = 0;
  });
}

void RunQueue::set_inherited_priority(RunEntity& entity, uint8_t priority) {
  if (entity.inherited_priority_ == priority) return;
  const bool is_lower = priority < entity.inherited_priority_;
  change(entity, is_lower ? End::kFront : End::kBack,
         [&] { entity.inherited_priority_ = priority; });
}

void RunQueue::set_affinity(RunEntity& entity, uint64_t affinity) {
  change(entity, End::kBack, [&] { entity.affinity_ = affinity; });
}

}  // namespace occlum
