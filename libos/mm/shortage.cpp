#include "libos/mm/shortage.h"

#include "libos/lib/lock.h"
#include "libos/sched/wait_queue.h"

namespace occlum {
namespace {

constexpr unsigned kPatientTimes = 4;  // so often "there is room" is believed
constexpr unsigned kMostTimes = 64;
constexpr Nanoseconds kPatience = 10'000'000'000;  // only a host that never answers takes so long

struct Requests {
  Task* keeper = nullptr;  // lives as long as the enclave
  bool wanted = false;
  bool insists = false;
  bool may_kill = false;
  uint64_t answers = 0;
  bool has_made_room = false;
};
constinit SpinLocked<Requests> requests(LockRank::kTurns);
[[clang::no_destroy]] constinit WaitQueue answered;

}  // namespace

bool RoomRequest::ask(How how) {
  if (const uint32_t now = own_failures(); now != own_failures_) {
    own_failures_ = now;
    if (how == How::kFirmly) no_failures_.emplace();
    return how == How::kFirmly;
  }
  if (++times_ > kMostTimes) return false;
  uint64_t before = 0;
  Task* const keeper = requests.with([&](Requests& state) {
    if (state.keeper == nullptr || state.keeper == &current_task())
      return static_cast<Task*>(nullptr);
    state.wanted = true;
    state.may_kill |= how == How::kFirmly;
    state.insists |= how == How::kFirmly && times_ > kPatientTimes;
    before = state.answers;
    return state.keeper;
  });
  if (keeper == nullptr) return false;
  keeper->unpark();
  const Result<void> waited =
      wait_until(answered, monotonic_now() + kPatience, Interruptible::kNo, [&] {
        return requests.with([&](const Requests& state) { return state.answers != before; });
      });
  if (waited.is_error()) return false;
  return requests.with([](const Requests& state) { return state.has_made_room; });
}

namespace shortage {

void become_keeper() {
  requests.with([](Requests& state) { state.keeper = &current_task(); });
}

Demand await_demand() {
  for (;;) {
    Demand demand{};
    const bool is_wanted = requests.with([&](const Requests& state) {
      demand = {state.insists, state.may_kill};
      return state.wanted;
    });
    if (is_wanted) return demand;
    (void)park(kNever, Interruptible::kNo);
  }
}

void answer(bool has_made_room) {
  requests.with([&](Requests& state) {
    state.wanted = state.insists = state.may_kill = false;
    ++state.answers;
    state.has_made_room = has_made_room;
  });
  answered.wake_all();
}

}  // namespace shortage
}  // namespace occlum
