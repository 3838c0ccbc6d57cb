// Pid: the number of a process, thread, process group or session: one number space, as on Linux.
#pragma once

#include <cstdint>

namespace occlum {

using Pid = int32_t;

// Numbers are 1 up to and without this; /proc/sys/kernel/pid_max may be lower (process_table.h).
constexpr Pid kPidLimit = 4194304;

// Number 1 is the LibOS's own reaper (process_table.h); the first program is number 2.
constexpr Pid kReaperPid = 1;

}  // namespace occlum
