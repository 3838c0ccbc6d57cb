// The texts of /proc/<pid> and /proc/<pid>/task/<tid> (proc(5)).
#pragma once

#include "libos/fs/proc/proc_nodes.h"

namespace occlum {

// stat, statm, status: what ps and top read.
Result<void> process_stat_text(const Subject& subject, ProcText& out);
Result<void> statm_text(const Subject& subject, ProcText& out);
Result<void> status_text(const Subject& subject, ProcText& out);
// maps, smaps, smaps_rollup.
Result<void> maps_text(const Subject& subject, ProcText& out);
Result<void> smaps_text(const Subject& subject, ProcText& out);
Result<void> smaps_rollup_text(const Subject& subject, ProcText& out);

Result<RefPtr<File>> open_process_memory(const Subject& subject, const Path& path, uint32_t flags);

}  // namespace occlum
