// /proc/cpuinfo (proc(5)), from what CPUID says to programs.
#pragma once

#include "libos/fs/proc/proc_nodes.h"

namespace occlum {

Result<void> cpuinfo_text(const Subject& subject, ProcText& out);

}  // namespace occlum
