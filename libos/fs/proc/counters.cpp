#include "libos/fs/proc/counters.h"

#include <array>
#include <atomic>
#include <span>

#include "libos/lib/panic.h"

namespace occlum {

namespace {
constinit std::array<std::atomic<CounterSource>, kMaxCounterSources> sources = {};
constinit std::atomic<unsigned> count{0};
}  // namespace

void register_counters(CounterSource source) {
  const unsigned index = count.fetch_add(1, std::memory_order_acq_rel);
  ASSERT(index < kMaxCounterSources);
  sources[index].store(source, std::memory_order_release);
}

void report_counters(CounterReport report) {
  for (const std::atomic<CounterSource>& slot : sources) {
    const CounterSource source = slot.load(std::memory_order_acquire);
    if (source != nullptr) source(report);
  }
}

}  // namespace occlum
