// How core files are called: /proc/sys/kernel/core_pattern and core_uses_pid (core(5), "Naming of core dump files").
#pragma once

#include <atomic>
#include <string_view>

#include "libos/lib/result.h"
#include "libos/lib/string.h"

namespace occlum {

class Thread;

Result<String> core_pattern();
// At most 127 bytes. Errors: kInval: longer, or a pipe ("|program"): nobody outside of the process is there to read it.
Result<void> set_core_pattern(std::string_view pattern);
inline constinit std::atomic<bool> core_uses_pid = false;

// The path for the process of the calling thread, which a signal ends: relative to its working directory, unless the
// pattern begins with a slash. Errors: kNoMem; kNoEnt: the pattern is empty.
Result<String> core_path(Thread& self, int signal);

}  // namespace occlum
