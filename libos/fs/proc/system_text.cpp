// The files of /proc that tell about the system (proc(5)), and /proc/sys (sysctl).
//
// Formats are Linux's, as ps, top, free, the JVM and glibc parse them; figures that have no meaning
// in an enclave are 0.
#include <array>

#include "libos/fs/proc/counters.h"
#include "libos/fs/proc/cpu_text.h"
#include "libos/fs/proc/mount_text.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/ipc/pipe.h"
#include "libos/lib/random.h"
#include "libos/mm/stats.h"
#include "libos/process/process_table.h"
#include "libos/process/uts.h"

namespace occlum {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kTick = 10'000'000;  // 100 a second
constexpr uint64_t kPage = 4096;

// --- time and load ---

uint64_t busy_time() {
  uint64_t busy = 0;
  (void)for_each_process([&](Process& process) { busy += process.cpu_time(); });
  return busy;
}

uint64_t idle_time() {
  const uint64_t all = monotonic_now() * vcpu_count(), busy = busy_time();
  return all > busy ? all - busy : 0;
}

size_t running_processes() {
  size_t running = 0;
  (void)for_each_process(
      [&](Process& process) { running += process.state() == ProcessState::kRunning ? 1 : 0; });
  return running;
}

void add_seconds(ProcText& out, uint64_t nanoseconds) {
  out.add("{}.", nanoseconds / kSecond).padded(nanoseconds % kSecond / kTick, 2);
}

Result<void> uptime_text(const Subject&, ProcText& out) {
  add_seconds(out, monotonic_now());
  out.text(" ");
  add_seconds(out, idle_time());
  out.text("\n");
  return {};
}

Result<void> loadavg_text(const Subject&, ProcText& out) {
  out.add("0.00 0.00 0.00 {}/{} {}\n", running_processes(), thread_count(), last_pid());
  return {};
}

Result<void> stat_text(const Subject&, ProcText& out) {
  const uint64_t cpus = vcpu_count(), busy = busy_time() / kTick, idle = idle_time() / kTick;
  out.add("cpu  {} 0 0 {} 0 0 0 0 0 0\n", busy, idle);
  for (uint64_t cpu = 0; cpu < cpus; ++cpu) {
    out.add("cpu{} {} 0 0 {} 0 0 0 0 0 0\n", cpu, busy / cpus, idle / cpus);
  }
  out.add("intr 0\nctxt 0\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\n",
          (realtime_now() - monotonic_now()) / kSecond, processes_created(), running_processes());
  out.text("softirq 0 0 0 0 0 0 0 0 0 0 0\n");
  return {};
}

// --- memory ---

Result<void> meminfo_text(const Subject&, ProcText& out) {
  const MemoryTotals totals = memory_totals();
  const MemoryCounters& counters = memory_counters;
  const uint64_t available = totals.free_bytes + totals.cached_bytes;
  const uint64_t anonymous = counters.user_present_pages.load() * kPage;
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
  line("Inactive(anon):", 0);
  line("Active(file):", 0);
  line("Inactive(file):", totals.cached_bytes);
  line("Unevictable:", 0);
  line("Mlocked:", 0);
  line("SwapTotal:", 0);
  line("SwapFree:", 0);
  line("Dirty:", 0);
  line("Writeback:", 0);
  line("AnonPages:", anonymous);
  line("Mapped:", 0);
  line("Shmem:", 0);
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

Result<void> cmdline_text(const Subject&, ProcText& out) {
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

// --- /proc/sys ---

template <uint64_t kValue>
Result<void> constant(const Subject&, ProcText& out) {
  out.add("{}\n", kValue);
  return {};
}

Result<void> ostype_text(const Subject&, ProcText& out) {
  out.add("{}\n", kSystemName);
  return {};
}

Result<void> osrelease_text(const Subject&, ProcText& out) {
  out.add("{}\n", kKernelRelease);
  return {};
}

Result<void> kernel_version_text(const Subject&, ProcText& out) {
  out.add("{}\n", kKernelVersion);
  return {};
}

Result<void> hostname_text(const Subject&, ProcText& out) {
  const String name = TRY(host_name());
  out.text(name.view()).text("\n");
  return {};
}

Result<void> domainname_text(const Subject&, ProcText& out) {
  const String name = TRY(domain_name());
  out.text(name.view()).text("\n");
  return {};
}

using Uuid = std::array<std::byte, 16>;

// Version 4, variant 1 (RFC 4122).
void add_uuid(ProcText& out, Uuid bytes) {
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.text("-");
    out.hex(std::to_integer<uint8_t>(bytes[i]), 2);
  }
  out.text("\n");
}

Result<void> uuid_text(const Subject&, ProcText& out) {
  Uuid bytes;
  random_bytes(bytes);
  add_uuid(out, bytes);
  return {};
}

struct BootId {
  Uuid bytes = {};
  bool is_made = false;
};
constinit SpinLocked<BootId> boot_id{LockRank::kPipe};

Result<void> boot_id_text(const Subject&, ProcText& out) {
  const Uuid bytes = boot_id.with([](BootId& id) {
    if (!id.is_made) random_bytes(id.bytes);
    id.is_made = true;
    return id.bytes;
  });
  add_uuid(out, bytes);
  return {};
}

Result<void> file_nr_text(const Subject&, ProcText& out) {
  out.text("0\t0\t1048576\n");
  return {};
}

Result<void> range_text(const Subject&, ProcText& out) {
  out.text("32768\t60999\n");
  return {};
}

Result<void> sem_text(const Subject&, ProcText& out) {
  out.text("32000\t1024000000\t500\t32000\n");
  return {};
}

constexpr std::array kRandomEntries = {
    proc_file("boot_id", boot_id_text), proc_file("entropy_avail", constant<256>),
    proc_file("poolsize", constant<256>), proc_file("uuid", uuid_text)};

constexpr std::array kKernelEntries = {
    proc_file("cap_last_cap", constant<40>),
    proc_file("core_uses_pid", constant<0>),
    proc_file("dmesg_restrict", constant<1>),
    proc_file("domainname", domainname_text),
    proc_file("hostname", hostname_text),
    proc_file("kptr_restrict", constant<2>),
    proc_file("msgmax", constant<8192>),
    proc_file("msgmnb", constant<16384>),
    proc_file("msgmni", constant<32000>),
    proc_file("sem", sem_text),
    proc_file("ngroups_max", constant<65536>),
    proc_file("osrelease", osrelease_text),
    proc_file("ostype", ostype_text),
    proc_file("overflowgid", constant<65534>),
    proc_file("overflowuid", constant<65534>),
    proc_file("perf_event_paranoid", constant<4>),
    proc_file("pid_max", constant<static_cast<uint64_t>(kPidLimit)>),
    proc_directory("random", kRandomEntries),
    proc_file("randomize_va_space", constant<2>),
    proc_file("sched_rr_timeslice_ms", constant<100>),
    proc_file("shmall", constant<18446744073692774399u>),
    proc_file("shmmax", constant<18446744073692774399u>),
    proc_file("shmmni", constant<4096>),
    proc_file("shm_rmid_forced", constant<0>),
    proc_file("threads-max", constant<126000>),
    proc_file("version", kernel_version_text)};

constexpr std::array kVmEntries = {
    proc_file("max_map_count", constant<65530>), proc_file("mmap_min_addr", constant<65536>),
    proc_file("nr_hugepages", constant<0>),      proc_file("overcommit_memory", constant<1>),
    proc_file("overcommit_ratio", constant<50>), proc_file("swappiness", constant<0>)};

constexpr std::array kFsEntries = {proc_file("aio-max-nr", constant<65536>),
                                   proc_file("file-max", constant<1048576>),
                                   proc_file("file-nr", file_nr_text),
                                   proc_directory("mqueue", make_mqueue_directory),
                                   proc_file("nr_open", constant<1048576>),
                                   proc_file("pipe-max-size", constant<Pipe::kMaxCapacity>)};

constexpr std::array kCoreEntries = {
    proc_file("rmem_default", constant<212992>), proc_file("rmem_max", constant<212992>),
    proc_file("somaxconn", constant<4096>), proc_file("wmem_default", constant<212992>),
    proc_file("wmem_max", constant<212992>)};

constexpr std::array kIpv4Entries = {proc_file("ip_local_port_range", range_text),
                                     proc_file("tcp_fastopen", constant<1>),
                                     proc_file("tcp_keepalive_time", constant<7200>),
                                     proc_file("tcp_max_syn_backlog", constant<4096>)};

constexpr std::array kUnixEntries = {proc_file("max_dgram_qlen", constant<512>)};

constexpr std::array kSysNetEntries = {proc_directory("core", kCoreEntries),
                                       proc_directory("ipv4", kIpv4Entries),
                                       proc_directory("unix", kUnixEntries)};

constexpr std::array kSysEntries = {
    proc_directory("fs", kFsEntries), proc_directory("kernel", kKernelEntries),
    proc_directory("net", kSysNetEntries), proc_directory("vm", kVmEntries)};

// --- /proc/net: the tables are the host's and are not shown; the headers keep readers content ---

Result<void> net_dev_text(const Subject&, ProcText& out) {
  out.text(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
      "drop fifo colls "
      "carrier compressed\n"
      "    lo:       0       0    0    0    0     0          0         0        0       0    0    "
      "0    0     0 "
      "      0          0\n");
  return {};
}

Result<void> net_socket_text(const Subject&, ProcText& out) {
  out.text(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n");
  return {};
}

Result<void> net_unix_text(const Subject&, ProcText& out) {
  out.text("Num       RefCount Protocol Flags    Type St Inode Path\n");
  return {};
}

Result<void> net_route_text(const Subject&, ProcText& out) {
  out.text("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n");
  return {};
}

Result<void> net_sockstat_text(const Subject&, ProcText& out) {
  out.text("sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\n");
  return {};
}

constexpr std::array kNetEntries = {
    proc_file("dev", net_dev_text),           proc_file("if_inet6", empty_text),
    proc_file("raw", net_socket_text),        proc_file("route", net_route_text),
    proc_file("sockstat", net_sockstat_text), proc_file("tcp", net_socket_text),
    proc_file("tcp6", net_socket_text),       proc_file("udp", net_socket_text),
    proc_file("udp6", net_socket_text),       proc_file("unix", net_unix_text)};

constexpr std::array kOcclumEntries = {proc_file("stats", stats_text)};

constexpr std::array kSystemEntries = {proc_file("cmdline", cmdline_text),
                                       proc_file("cpuinfo", cpuinfo_text),
                                       proc_file("devices", devices_text),
                                       proc_file("filesystems", filesystems_text),
                                       proc_file("loadavg", loadavg_text),
                                       proc_file("meminfo", meminfo_text),
                                       proc_file("modules", empty_text),
                                       proc_link("mounts", mounts_link),
                                       proc_directory("net", kNetEntries),
                                       proc_directory("occlum", kOcclumEntries),
                                       proc_file("partitions", empty_text),
                                       proc_link("self", self_text),
                                       proc_file("stat", stat_text),
                                       proc_file("swaps", empty_text),
                                       proc_directory("sys", kSysEntries),
                                       proc_directory("sysvipc", make_sysvipc_directory),
                                       proc_link("thread-self", thread_self_text),
                                       proc_file("uptime", uptime_text),
                                       proc_file("version", version_text),
                                       proc_file("vmstat", vmstat_text)};

}  // namespace

std::span<const ProcEntry> system_entries() { return kSystemEntries; }
std::span<const ProcEntry> network_entries() { return kNetEntries; }

}  // namespace occlum
