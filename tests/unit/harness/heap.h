// Making allocations fail in the hosted tests.
//
//     with_each_allocation_failing([] {
//       Vec<int> vec;
//       Result<void> result = vec.push(1);      // fails in the first round, succeeds in the second
//       if (result.is_error()) EXPECT_EQ(result.error(), Errno::kNoMem);
//     });
#pragma once

#include <cstddef>
#include <limits>

namespace occlum::testing {

// Of this thread. While one is alive, allocation number `nth` from now (1 is the next) fails; the
// others do not.
class FailAllocation {
 public:
  explicit FailAllocation(std::size_t nth);
  FailAllocation(const FailAllocation&) = delete;
  FailAllocation& operator=(const FailAllocation&) = delete;
  ~FailAllocation();

  bool happened() const;
};

// How many blocks of the kernel heap are in use, by all threads.
std::size_t live_allocations();

// Calls `body()` with its first allocation failing, then its second, until it needs no more.
// Returns how many it made.
template <typename Body>
std::size_t with_each_allocation_failing(Body&& body) {
  for (std::size_t nth = 1; nth < std::numeric_limits<std::size_t>::max(); ++nth) {
    FailAllocation failure(nth);
    body();
    if (!failure.happened()) return nth - 1;
  }
  return 0;
}

}  // namespace occlum::testing
