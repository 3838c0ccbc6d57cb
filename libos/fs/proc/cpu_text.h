// Texts about CPUs: /proc/cpuinfo (proc(5)), from what CPUID says to programs; and sets of vCPUs, of which those that
// exist are written, each text a line.
#pragma once

#include "libos/fs/proc/proc_nodes.h"

namespace occlum {

Result<void> cpuinfo_text(const Subject& subject, ProcText& out);
// Hexadecimal, in comma-separated groups of 32 bits: "f", "ff,ffffffff".
void add_cpu_mask(ProcText& out, uint64_t cpus);
// Numbers and ranges: "0-3,5".
void add_cpu_list(ProcText& out, uint64_t cpus);

}  // namespace occlum
