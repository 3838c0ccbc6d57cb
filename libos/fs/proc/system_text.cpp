// The files of /proc that tell about the system (proc(5)).
//
// Formats are Linux's, as ps, top, free, the JVM and glibc parse them; figures that have no meaning
// in an enclave are 0.
#include <algorithm>
#include <array>

#include "libos/fs/proc/counters.h"
#include "libos/fs/proc/cpu_text.h"
#include "libos/fs/proc/load.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/fs/proc/process_text.h"
#include "libos/mm/stats.h"
#include "libos/process/process_table.h"
#include "libos/process/uts.h"
#include "libos/process/vcpu_times.h"
#include "libos/sched/vcpu_account.h"

namespace occlum {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kPage = 4096;

// --- time and load ---

Result<VcpuTimes> sum_of_vcpus() {
  VcpuTimes sum;
  for (const VcpuTimes& times : TRY(told_vcpu_times())) sum.add(times);
  return sum;
}

void add_seconds(ProcText& out, uint64_t nanoseconds) {
  out.add("{}.", nanoseconds / kSecond).padded(nanoseconds % kSecond / kNanosecondsPerTick, 2);
}

Result<void> uptime_text(const Subject&, ProcText& out) {
  add_seconds(out, monotonic_now());
  out.text(" ");
  add_seconds(out, TRY(sum_of_vcpus()).idle);
  out.text("\n");
  return {};
}

Result<void> loadavg_text(const Subject&, ProcText& out) {
  const LoadAverages load = load_averages();
  for (const uint64_t average : load.averages) {
    constexpr uint64_t kRound = kLoadOne / 200;
    const uint64_t rounded = average + kRound;
    out.add("{}.", rounded / kLoadOne).padded(rounded % kLoadOne * 100 / kLoadOne, 2).text(" ");
  }
  out.add("{}/{} {}\n", runnable_threads(), thread_count(), last_pid());
  return {};
}

// The host's interrupts are not seen, nor what waits for its disks.
void add_times(ProcText& out, const VcpuTimes& times) {
  out.add(" {} {} {} {} 0 0 0 0 0 0\n", times.user / kNanosecondsPerTick,
          times.nice / kNanosecondsPerTick, times.system / kNanosecondsPerTick,
          times.idle / kNanosecondsPerTick);
}

Result<void> stat_text(const Subject&, ProcText& out) {
  const Vec<VcpuTimes> all = TRY(told_vcpu_times());
  VcpuTimes sum;
  for (const VcpuTimes& times : all) sum.add(times);
  out.text("cpu ");
  add_times(out, sum);
  for (size_t vcpu = 0; vcpu < all.size(); ++vcpu) add_times(out.add("cpu{}", vcpu), all[vcpu]);
  out.add("intr 0\nctxt {}\nbtime {}\nprocesses {}\n", context_switch_count(),
          (realtime_now() - monotonic_now()) / kSecond, processes_created());
  out.add("procs_running {}\nprocs_blocked 0\n", runnable_threads());
  out.text("softirq 0 0 0 0 0 0 0 0 0 0 0\n");
  return {};
}

Result<void> interrupts_text(const Subject&, ProcText& out) {
  out.text("          ");
  for (uint32_t cpu = 0; cpu < vcpu_count(); ++cpu) out.add(" CPU{}      ", cpu);
  out.text("\n");
  return {};
}

// --- memory ---

Result<void> meminfo_text(const Subject&, ProcText& out) {
  const MemoryTotals totals = memory_totals();
  const MemoryCounters& counters = memory_counters;
  const uint64_t dropped = totals.cached_bytes - std::min(totals.shared_bytes, totals.cached_bytes);
  const uint64_t available = totals.free_bytes + dropped;
  // What programs have present is theirs, or an object's that they map.
  const uint64_t mapped = TRY(mapped_object_bytes());
  const uint64_t present = counters.user_present_pages.load() * kPage;
  const uint64_t anonymous = present - std::min(mapped, present);
  const uint64_t slab = counters.heap_bytes.load();
  auto line = [&](std::string_view name, uint64_t bytes) { out.kilobytes(name, bytes, 15, 9); };
  line("MemTotal:", totals.total_bytes);
  line("MemFree:", totals.free_bytes);
  line("MemAvailable:", available < totals.total_bytes ? available : totals.total_bytes);
  line("Buffers:", 0);
  line("Cached:", totals.cached_bytes);
  line("SwapCached:", 0);
  line("Active:", anonymous);
  line("Inactive:", totals.cached_bytes);
  line("Active(anon):", anonymous);
  line("Inactive(anon):", totals.shared_bytes);
  line("Active(file):", 0);
  line("Inactive(file):", dropped);
  line("Unevictable:", 0);
  line("Mlocked:", 0);
  line("SwapTotal:", 0);
  line("SwapFree:", 0);
  line("Dirty:", 0);
  line("Writeback:", 0);
  line("AnonPages:", anonymous);
  line("Mapped:", mapped);
  line("Shmem:", totals.shared_bytes);
  line("KReclaimable:", 0);
  line("Slab:", slab);
  line("SReclaimable:", 0);
  line("SUnreclaim:", slab);
  line("KernelStack:", thread_count() * TaskContext::kKernelStackSize);
  line("PageTables:", counters.metadata_pages.load() * kPage);
  line("CommitLimit:", totals.total_bytes);
  line("Committed_AS:", totals.used_bytes);
  line("VmallocTotal:", 0);
  line("VmallocUsed:", 0);
  line("VmallocChunk:", 0);
  out.text(
      "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        "
      "0\nHugePages_Surp:        0\n"
      "Hugepagesize:       2048 kB\nHugetlb:               0 kB\n");
  return {};
}

Result<void> vmstat_text(const Subject&, ProcText& out) {
  out.add("nr_free_pages {}\npgfault {}\npgmajfault 0\npswpin 0\npswpout 0\n",
          memory_totals().free_bytes / kPage, memory_counters.faults.load());
  return {};
}

// --- identity ---

Result<void> version_text(const Subject&, ProcText& out) {
  out.add("Linux version {} (occlum@enclave) (clang version 19) {}\n", kKernelRelease,
          kKernelVersion);
  return {};
}

Result<void> boot_cmdline_text(const Subject&, ProcText& out) {
  out.text("\n");
  return {};
}

Result<void> filesystems_text(const Subject&, ProcText& out) {
  for_each_file_system_type([&](std::string_view name) { out.add("nodev\t{}\n", name); });
  return {};
}

Result<void> devices_text(const Subject&, ProcText& out) {
  out.text(
      "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 "
      "pts\n\nBlock devices:\n");
  return {};
}

// ps names terminals by it.
Result<void> tty_drivers_text(const Subject&, ProcText& out) {
  out.text(
      "/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
      "/dev/console         /dev/console    5       1 system:console\n"
      "/dev/ptmx            /dev/ptmx       5       2 system\n"
      "pty_slave            /dev/pts      136 0-1048575 pty:slave\n");
  return {};
}

Result<void> swaps_text(const Subject&, ProcText& out) {
  out.text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
  return {};
}

Result<void> partitions_text(const Subject&, ProcText& out) {
  out.text("major minor  #blocks  name\n\n");
  return {};
}

Result<void> empty_text(const Subject&, ProcText&) { return {}; }

Result<void> stats_text(const Subject&, ProcText& out) {
  report_counters([&](std::string_view name, uint64_t value) { out.add("{} {}\n", name, value); });
  return {};
}

Result<String> self_text(const Subject&) {
  String text;
  TRY(append_format(text, "{}", current_thread().pid()));
  return text;
}

Result<String> thread_self_text(const Subject&) {
  String text;
  TRY(append_format(text, "{}/task/{}", current_thread().pid(), current_thread().tid()));
  return text;
}

Result<String> mounts_link(const Subject&) { return String::create("self/mounts"); }
Result<String> net_link(const Subject&) { return String::create("self/net"); }

constexpr std::array kOcclumEntries = {
    proc_directory("fail_page_alloc", make_proc_table<fail_page_alloc_entries>),
    proc_directory("failslab", make_proc_table<failslab_entries>), proc_file("stats", stats_text)};

constexpr std::array kTtyEntries = {proc_file("drivers", tty_drivers_text)};

constexpr std::array kSystemEntries = {proc_file("cmdline", boot_cmdline_text),
                                       proc_file("consoles", empty_text),
                                       proc_file("cpuinfo", cpuinfo_text),
                                       proc_file("devices", devices_text),
                                       proc_file("diskstats", empty_text),
                                       proc_file("filesystems", filesystems_text),
                                       proc_file("interrupts", interrupts_text),
                                       proc_file("iomem", empty_text),
                                       proc_file("ioports", empty_text),
                                       proc_file("loadavg", loadavg_text),
                                       proc_file("locks", locks_text),
                                       proc_file("meminfo", meminfo_text),
                                       proc_file("misc", empty_text),
                                       proc_file("modules", empty_text),
                                       proc_link("mounts", mounts_link),
                                       proc_link("net", net_link),
                                       proc_directory("occlum", kOcclumEntries),
                                       proc_file("partitions", partitions_text),
                                       proc_link("self", self_text),
                                       proc_file("softirqs", interrupts_text),
                                       proc_file("stat", stat_text),
                                       proc_file("swaps", swaps_text),
                                       proc_directory("sys", make_proc_table<sysctl_entries>),
                                       proc_directory("sysvipc", make_proc_table<sysv_ipc_entries>),
                                       proc_link("thread-self", thread_self_text),
                                       proc_directory("tty", kTtyEntries),
                                       proc_file("uptime", uptime_text),
                                       proc_file("version", version_text),
                                       proc_file("vmstat", vmstat_text)};

}  // namespace

std::span<const ProcEntry> system_entries() { return kSystemEntries; }

}  // namespace occlum
