// Counted<T>: how many objects of a class there are, for /proc/occlum/stats (`objects.*`) and the tests that look for
// what is left behind. A base or a member of what is counted; copies count as well.
#pragma once

#include <atomic>
#include <cstdint>

namespace occlum {

template <typename T>
class Counted {
 public:
  static uint64_t live() { return live_.load(std::memory_order_relaxed); }

 protected:
  Counted() { live_.fetch_add(1, std::memory_order_relaxed); }
  Counted(const Counted&) : Counted() {}
  Counted& operator=(const Counted&) = default;
  ~Counted() { live_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  static inline constinit std::atomic<uint64_t> live_ = 0;
};

// The number is asked for by the class's own name.
template <typename T>
uint64_t live_objects() {
  return Counted<T>::live();
}

}  // namespace occlum
