// Host watches, and the collection of host events: theirs, and the answers to host_files.cpp.
//
// A watch is known to the host by a token: an ever-growing number, looked up in a table here, so whatever the host sends
// back is either a live watch or nothing. What the events say is never believed: waiters look again for themselves.
#include "libos/sched/host_events.h"

#include "abi/host_call.h"
#include "libos/arch/arch.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/lib/lock.h"
#include "libos/lib/memory.h"
#include "libos/lib/tree.h"
#include "libos/sched/event_collector.h"
#include "libos/sched/host_files.h"
#include "libos/sched/scheduler.h"

namespace occlum {
namespace {

constexpr uint64_t kEpollEdge = uint64_t{1} << 31;
constexpr uint64_t kEpollAll = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x2000;  // IN PRI OUT ERR HUP RDHUP
constexpr int kMaxSignal = 64;

struct Watches {
  Tree<uint64_t, HostWatch*> by_token;
  uint64_t next_token = 1;
};
constinit SpinLocked<Watches> watches{LockRank::kPoll};

// How many signals of each kind have been passed on, and the generation when they were.
struct SeenSignals {
  std::array<uint64_t, kMaxSignal + 1> counts = {};
};
constinit SpinLocked<SeenSignals> seen_signals{LockRank::kSignal};
constinit std::atomic<uint64_t> seen_generation{0};

// vCPU 0's page holds the signal words of the whole enclave.
uint64_t signal_words() { return boot_shared_memory(); }

void dispatch(const abi::HostEvent& event) {
  if ((event.token & abi::kFileIoToken) != 0) {
    complete_host_file(event.token, static_cast<int64_t>(event.events));
    return;
  }
  watches.with([&](Watches& table) {
    HostWatch** watch = table.by_token.find(event.token);
    if (watch != nullptr)
      (*watch)->queue().wake_all(static_cast<uint32_t>(event.events & kEpollAll));
  });
}

}  // namespace

Result<OwnPtr<HostWatch>> HostWatch::create(int fd) {
  OwnPtr<HostWatch> watch = TRY(make_own<HostWatch>());
  watch->fd_ = fd;
  TRY(watches.with([&](Watches& table) -> Result<void> {
    watch->token_ = table.next_token++;
    TRY(table.by_token.insert(watch->token_, watch.get()));
    return {};
  }));
  const int64_t result = make_host_call(abi::HostCallNumber::kWatch, static_cast<uint64_t>(fd),
                                        watch->token_, kEpollAll | kEpollEdge);
  if (result < 0) {
    watches.with([&](Watches& table) { table.by_token.remove(watch->token_); });
    watch->token_ = 0;
    return result == -static_cast<int64_t>(Errno::kPerm) ? Errno::kPerm : Errno::kIo;
  }
  note_host_watch(1);
  return watch;
}

HostWatch::~HostWatch() {
  if (token_ == 0) return;
  watches.with([&](Watches& table) { table.by_token.remove(token_); });
  (void)make_host_call(abi::HostCallNumber::kUnwatch, static_cast<uint64_t>(fd_));
  note_host_watch(-1);
}

uint32_t HostWatch::current_events() const {
  struct PollFd {
    int32_t fd;
    int16_t events, revents;
  };
  host::SharedBuffer buffer;
  PollFd request{fd_, 0x1 | 0x2 | 0x4 | 0x2000, 0};
  const auto address = buffer.put(object_bytes(request));
  if (address.is_error()) return 0;
  constexpr long kPoll = 7;
  const auto ready = host::check(host::system_call(kPoll, address.value(), 1, 0), 1);
  if (ready.is_error() || ready.value() == 0) return 0;
  if (buffer.get(address.value(), writable_object_bytes(request)).is_error()) return 0;
  // The host has closed it, or let something else be closed under its number: nothing will ever be told of it, but the
  // next call says so.
  constexpr uint32_t kInvalid = 0x20, kError = 0x8;
  const uint32_t events = static_cast<uint16_t>(request.revents);
  return (events & kInvalid) != 0 ? events | kError : events;
}

void wait_for_host(Nanoseconds timeout, bool polls) {
  const int64_t claimed = make_host_call(abi::HostCallNumber::kWait, timeout, polls ? 1 : 0);
  if (!polls || claimed <= 0) return;
  const uint64_t count = std::min<uint64_t>(static_cast<uint64_t>(claimed), abi::kMaxHostEvents);
  for (uint64_t i = 0; i < count; ++i) {
    abi::HostEvent event{};
    const uint64_t at = vcpu_shared() + offsetof(abi::HostCallFrame, events) + i * sizeof(event);
    if (copy_from_untrusted(writable_object_bytes(event), at).is_error()) return;
    dispatch(event);
  }
}

void collect_host_events(Nanoseconds timeout) { wait_for_host(timeout, true); }

void deliver_host_signals() {
  const auto generation =
      load_untrusted(signal_words() + offsetof(abi::VcpuShared, host_signal_generation));
  if (generation.is_error() ||
      generation.value() == seen_generation.load(std::memory_order_relaxed))
    return;
  seen_generation.store(generation.value(), std::memory_order_relaxed);
  for (int signal = 1; signal <= kMaxSignal; ++signal) {
    const uint64_t at = signal_words() + offsetof(abi::VcpuShared, host_signal_counts) +
                        static_cast<uint64_t>(signal) * sizeof(uint64_t);
    const auto count = load_untrusted(at);
    if (count.is_error()) return;
    const bool is_new = seen_signals.with([&](SeenSignals& seen) {
      return std::exchange(seen.counts[static_cast<size_t>(signal)], count.value()) !=
             count.value();
    });
    if (is_new) on_host_signal(signal);
  }
}

}  // namespace occlum
