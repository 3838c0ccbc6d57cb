// /proc/<pid>/mounts and mountinfo (proc(5)).
#pragma once

#include "libos/fs/proc/proc_nodes.h"

namespace occlum {

Result<void> mounts_text(const Subject& subject, ProcText& out);
Result<void> mountinfo_text(const Subject& subject, ProcText& out);
Result<void> mountstats_text(const Subject& subject, ProcText& out);

}  // namespace occlum
