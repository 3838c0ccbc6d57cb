// The texts of /proc/<pid> and /proc/<pid>/task/<tid> (proc(5)).
#pragma once

#include "libos/fs/proc/proc_nodes.h"

namespace occlum {

// How the memory of a process is used; bytes. What is resident is told apart by what it shows: memory of its own, pages
// of files, shared memory.
struct MemoryUse {
  uint64_t mapped = 0, resident = 0, anonymous = 0, file = 0, shared_memory = 0;
  uint64_t data = 0, stack = 0, code = 0, library = 0;
};
MemoryUse memory_use(AddressSpace& memory);
// Pages of files and of shared memory that are in some mapping (mapped_pages.cpp).
Result<uint64_t> mapped_object_bytes();

// stat, statm, status: what ps and top read.
Result<void> process_stat_text(const Subject& subject, ProcText& out);
// /proc/locks, and the locks of one descriptor in fdinfo (locks_text.cpp).
Result<void> locks_text(const Subject& subject, ProcText& out);
Result<void> add_descriptor_locks(ProcText& out, const FileTable& table, File& file);
Result<void> statm_text(const Subject& subject, ProcText& out);
Result<void> status_text(const Subject& subject, ProcText& out);
// sched, schedstat, io, oom_*, personality, timerslack_ns: accounts and settings.
Result<void> sched_text(const Subject& subject, ProcText& out);
Result<void> schedstat_text(const Subject& subject, ProcText& out);
Result<void> io_text(const Subject& subject, ProcText& out);
Result<void> oom_score_text(const Subject& subject, ProcText& out);
Result<void> oom_score_adj_text(const Subject& subject, ProcText& out);
Result<void> oom_adj_text(const Subject& subject, ProcText& out);
Result<void> set_oom_score_adj(const Subject& subject, std::string_view text);
Result<void> set_oom_adj(const Subject& subject, std::string_view text);
Result<void> personality_text(const Subject& subject, ProcText& out);
Result<void> timer_slack_text(const Subject& subject, ProcText& out);
Result<void> set_timer_slack(const Subject& subject, std::string_view text);
// fail-nth and make-it-fail (fault_text.cpp).
Result<void> fail_nth_text(const Subject& subject, ProcText& out);
Result<void> set_fail_nth(const Subject& subject, std::string_view text);
Result<void> make_it_fail_text(const Subject& subject, ProcText& out);
Result<void> set_make_it_fail(const Subject& subject, std::string_view text);
// maps, smaps, smaps_rollup.
Result<void> maps_text(const Subject& subject, ProcText& out);
Result<void> smaps_text(const Subject& subject, ProcText& out);
Result<void> smaps_rollup_text(const Subject& subject, ProcText& out);

}  // namespace occlum
