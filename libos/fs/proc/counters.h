// /proc/occlum/stats: named counters that any part of the LibOS offers.
//
// A part registers one function at start, which reports its counters whenever the file is opened;
// nothing is copied or counted for it meanwhile.
#pragma once

#include <cstdint>
#include <string_view>

#include "libos/lib/function_ref.h"

namespace occlum {

// report(name, value): names are lower case with dots ("memory.faults").
using CounterReport = FunctionRef<void(std::string_view, uint64_t)>;
using CounterSource = void (*)(CounterReport report);

// The source must stay valid. Panics when there are more than kMaxCounterSources.
constexpr unsigned kMaxCounterSources = 32;
void register_counters(CounterSource source);

// Calls all sources.
void report_counters(CounterReport report);

}  // namespace occlum
