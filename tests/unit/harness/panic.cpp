// A panic in a hosted test aborts: EXPECT_DEATH(..., "what it says") sees it.
#include "libos/lib/panic.h"

#include <cstdio>
#include <cstdlib>

namespace occlum {

void panic_write(std::string_view message) {
  std::fprintf(stderr, "panic: %.*s\n", static_cast<int>(message.size()), message.data());
  std::abort();
}

}  // namespace occlum
