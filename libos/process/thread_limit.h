// How many threads there may be in all: /proc/sys/kernel/threads-max. clone(2) gives EAGAIN beyond, to root as well.
#pragma once

#include <cstdint>

#include "libos/lib/result.h"

namespace occlum {

uint64_t thread_limit();
// Errors: kInval (proc(5): from 20).
Result<void> set_thread_limit(uint64_t limit);
Result<void> check_thread_limit();  // kAgain

}  // namespace occlum
