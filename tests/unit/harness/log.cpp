// The log of the hosted tests goes to stderr.
#include "libos/lib/log.h"

#include <cstdio>

namespace occlum {

void log_write(LogLevel level, std::string_view line) {
  std::fprintf(stderr, "<%d> %.*s\n", static_cast<int>(level), static_cast<int>(line.size()),
               line.data());
}

}  // namespace occlum
