// Sleeping on a word, for hosted tests: futex(2) itself.
#include "libos/lib/wait_word.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "libos/lib/lock_rank.h"

namespace occlum {

void wait_on_word(std::atomic<std::uint32_t>& word, std::uint32_t expected) {
  assert_may_sleep();
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void wake_word(std::atomic<std::uint32_t>& word, Wake which) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, which == Wake::kOne ? 1 : INT_MAX, nullptr, nullptr,
          0);
}

}  // namespace occlum
