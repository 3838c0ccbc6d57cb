// The load averages (proc(5), /proc/loadavg): exponentially weighted over 1, 5 and 15 minutes.
//
// Linux looks every five seconds at how many threads are runnable. Here nobody looks unless somebody asks, because an
// idle enclave uses no CPU: the CPU time used since the last question, over the time, is taken for each five seconds
// between. Threads that only wait for a vCPU are not in it.
#pragma once

#include <array>
#include <cstdint>

namespace occlum {

constexpr uint64_t kLoadOne = 2048;  // a load of 1

struct LoadAverages {
  std::array<uint64_t, 3> averages;  // over 1, 5 and 15 minutes, in units of 1/kLoadOne
};
LoadAverages load_averages();

}  // namespace occlum
