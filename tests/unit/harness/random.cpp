// Random bytes of the hosted tests.
#include "libos/lib/random.h"

#include <sys/random.h>

#include <cstdlib>

namespace occlum {

void random_bytes(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    if (got < 0) std::abort();
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace occlum
