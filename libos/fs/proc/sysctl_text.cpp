// /proc/sys (sysctl): what programs look up there. Most of it cannot be changed: there is nothing behind it that could.
#include <array>

#include "libos/fs/dev/tty/pty.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/file_limit.h"
#include "libos/fs/vfs/leases.h"
#include "libos/ipc/pipe.h"
#include "libos/ipc/unix_mailbox.h"
#include "libos/lib/random.h"
#include "libos/lib/text.h"
#include "libos/mm/area_set.h"
#include "libos/process/core_dump/core_pattern.h"
#include "libos/process/process_table.h"
#include "libos/process/thread_limit.h"
#include "libos/process/uts.h"

namespace occlum {

namespace {

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

// For CAP_SYS_ADMIN, like sethostname(2).
Result<String> new_name(std::string_view text) {
  if (!current_thread().user().has(kCapSysAdmin)) return Errno::kPerm;
  text = text.substr(0, text.find('\n'));
  if (text.size() > kLongestHostName) return Errno::kInval;
  return String::create(text);
}

Result<void> write_host_name(const Subject&, std::string_view text) {
  return set_host_name(TRY(new_name(text)).view());
}
Result<void> write_domain_name(const Subject&, std::string_view text) {
  return set_domain_name(TRY(new_name(text)).view());
}

Result<void> acct_text(const Subject&, ProcText& out) {
  out.text("4\t2\t30\n");
  return {};
}

Result<void> core_pattern_text(const Subject&, ProcText& out) {
  const String pattern = TRY(core_pattern());
  out.text(pattern.view()).text("\n");
  return {};
}

Result<void> write_core_pattern(const Subject&, std::string_view text) {
  if (current_thread().user().uid != 0) return Errno::kPerm;
  return set_core_pattern(text.substr(0, text.find('\n')));
}

Result<void> core_uses_pid_text(const Subject&, ProcText& out) {
  out.add("{}\n", core_uses_pid.load() ? 1 : 0);
  return {};
}

Result<void> write_core_uses_pid(const Subject&, std::string_view text) {
  if (current_thread().user().uid != 0) return Errno::kPerm;
  core_uses_pid = TRY(parse_u64(trim(text))) != 0;
  return {};
}

Result<void> last_pid_text(const Subject&, ProcText& out) {
  out.add("{}\n", last_pid());
  return {};
}

Result<void> printk_text(const Subject&, ProcText& out) {
  out.text("4\t4\t1\t7\n");
  return {};
}

// semmsl, semmns, semopm, semmni (semget(2)).
Result<void> sem_text(const Subject&, ProcText& out) {
  out.text("32000\t1024000000\t500\t32000\n");
  return {};
}

Result<void> pty_count_text(const Subject&, ProcText& out) {
  out.add("{}\n", TRY(pty_numbers()).size());
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
  out.add("{}\t0\t{}\n", live_objects<File>(), most_files());
  return {};
}

Result<void> file_max_text(const Subject&, ProcText& out) {
  out.add("{}\n", most_files());
  return {};
}

Result<void> write_file_max(const Subject&, std::string_view text) {
  if (current_thread().user().uid != 0) return Errno::kPerm;
  return set_most_files(TRY(parse_u64(trim(text))));
}

Result<void> pid_limit_text(const Subject&, ProcText& out) {
  out.add("{}\n", pid_limit());
  return {};
}

Result<void> write_pid_limit(const Subject&, std::string_view text) {
  if (current_thread().user().uid != 0) return Errno::kPerm;
  return set_pid_limit(TRY(parse_i64(trim(text))));
}

Result<void> thread_limit_text(const Subject&, ProcText& out) {
  out.add("{}\n", thread_limit());
  return {};
}

Result<void> write_thread_limit(const Subject&, std::string_view text) {
  if (current_thread().user().uid != 0) return Errno::kPerm;
  return set_thread_limit(TRY(parse_u64(trim(text))));
}

Result<void> lease_time_text(const Subject&, ProcText& out) {
  out.add("{}\n", lease_settings.break_seconds.load());
  return {};
}

Result<void> write_lease_time(const Subject&, std::string_view text) {
  if (current_thread().user().uid != 0) return Errno::kPerm;
  const uint64_t seconds = TRY(parse_u64(trim(text)));
  if (seconds > INT32_MAX) return Errno::kInval;
  lease_settings.break_seconds = static_cast<uint32_t>(seconds);
  return {};
}

Result<void> leases_enable_text(const Subject&, ProcText& out) {
  out.add("{}\n", lease_settings.is_enabled.load() ? 1 : 0);
  return {};
}

Result<void> write_leases_enable(const Subject&, std::string_view text) {
  if (current_thread().user().uid != 0) return Errno::kPerm;
  lease_settings.is_enabled = TRY(parse_u64(trim(text))) != 0;
  return {};
}

Result<void> legacy_tiocsti_text(const Subject&, ProcText& out) {
  out.add("{}\n", Terminal::anybody_may_type.load() ? 1 : 0);
  return {};
}

Result<void> write_legacy_tiocsti(const Subject&, std::string_view text) {
  if (current_thread().user().uid != 0) return Errno::kPerm;
  Terminal::anybody_may_type = TRY(parse_u64(trim(text))) != 0;
  return {};
}

Result<void> range_text(const Subject&, ProcText& out) {
  out.text("32768\t60999\n");
  return {};
}

constexpr std::array kRandomEntries = {
    proc_file("boot_id", boot_id_text), proc_file("entropy_avail", constant<256>),
    proc_file("poolsize", constant<256>), proc_file("uuid", uuid_text)};

constexpr std::array kPtyEntries = {proc_file("max", constant<PtyTerminal::kMaxPtys>),
                                    proc_file("nr", pty_count_text),
                                    proc_file("reserve", constant<0>)};

constexpr std::array kKernelEntries = {
    proc_file("acct", acct_text),
    proc_file("auto_msgmni", constant<0>),
    proc_file("cap_last_cap", constant<40>),
    proc_file("core_pattern", core_pattern_text, 0644, write_core_pattern),
    proc_file("core_pipe_limit", constant<0>),
    proc_file("core_uses_pid", core_uses_pid_text, 0644, write_core_uses_pid),
    proc_file("ctrl-alt-del", constant<0>),
    proc_file("dmesg_restrict", constant<1>),
    proc_file("domainname", domainname_text, 0644, write_domain_name),
    proc_file("hostname", hostname_text, 0644, write_host_name),
    proc_file("io_uring_disabled", constant<2>),
    proc_file("kptr_restrict", constant<2>),
    proc_file("msgmax", constant<8192>),
    proc_file("msgmnb", constant<16384>),
    proc_file("msgmni", constant<32000>),
    proc_file("ngroups_max", constant<65536>),
    proc_file("ns_last_pid", last_pid_text),
    proc_file("numa_balancing", constant<0>),
    proc_file("osrelease", osrelease_text),
    proc_file("ostype", ostype_text),
    proc_file("overflowgid", constant<65534>),
    proc_file("overflowuid", constant<65534>),
    proc_file("panic", constant<0>),
    proc_file("panic_on_oops", constant<1>),
    proc_file("perf_event_paranoid", constant<4>),
    proc_file("pid_max", pid_limit_text, 0644, write_pid_limit),
    proc_file("printk", printk_text),
    proc_directory("pty", kPtyEntries),
    proc_directory("random", kRandomEntries),
    proc_file("randomize_va_space", constant<2>),
    proc_file("sched_autogroup_enabled", constant<0>),
    proc_file("sched_rr_timeslice_ms", constant<100>),
    proc_file("sched_rt_period_us", constant<1000000>),
    proc_file("sched_rt_runtime_us", constant<950000>),
    proc_file("sem", sem_text),
    proc_file("shmall", constant<18446744073692774399u>),
    proc_file("shmmax", constant<18446744073692774399u>),
    proc_file("shmmni", constant<4096>),
    proc_file("shm_rmid_forced", constant<0>),
    proc_file("tainted", constant<0>),
    proc_file("threads-max", thread_limit_text, 0644, write_thread_limit),
    proc_file("unprivileged_bpf_disabled", constant<2>),
    proc_file("version", kernel_version_text)};

constexpr std::array kVmEntries = {proc_file("admin_reserve_kbytes", constant<8192>),
                                   proc_file("dirty_background_ratio", constant<10>),
                                   proc_file("dirty_expire_centisecs", constant<3000>),
                                   proc_file("dirty_ratio", constant<20>),
                                   proc_file("dirty_writeback_centisecs", constant<500>),
                                   proc_file("legacy_va_layout", constant<0>),
                                   proc_file("max_map_count", constant<AreaSet::kMostAreas>),
                                   proc_file("min_free_kbytes", constant<0>),
                                   proc_file("mmap_min_addr", constant<65536>),
                                   proc_file("nr_hugepages", constant<0>),
                                   proc_file("nr_overcommit_hugepages", constant<0>),
                                   proc_file("overcommit_kbytes", constant<0>),
                                   proc_file("overcommit_memory", constant<1>),
                                   proc_file("overcommit_ratio", constant<50>),
                                   proc_file("page-cluster", constant<3>),
                                   proc_file("swappiness", constant<0>),
                                   proc_file("unprivileged_userfaultfd", constant<0>),
                                   proc_file("user_reserve_kbytes", constant<131072>),
                                   proc_file("vfs_cache_pressure", constant<100>),
                                   proc_file("zone_reclaim_mode", constant<0>)};

constexpr std::array kEpollEntries = {proc_file("max_user_watches", constant<3500000>)};
constexpr std::array kInotifyEntries = {proc_file("max_queued_events", constant<16384>),
                                        proc_file("max_user_instances", constant<128>),
                                        proc_file("max_user_watches", constant<65536>)};
constexpr std::array kFsEntries = {
    proc_file("aio-max-nr", constant<65536>),
    proc_file("aio-nr", constant<0>),
    proc_directory("epoll", kEpollEntries),
    proc_file("file-max", file_max_text, 0644, write_file_max),
    proc_file("file-nr", file_nr_text),
    proc_directory("inotify", kInotifyEntries),
    proc_file("lease-break-time", lease_time_text, 0644, write_lease_time),
    proc_file("leases-enable", leases_enable_text, 0644, write_leases_enable),
    proc_file("mount-max", constant<100000>),
    proc_directory("mqueue", make_proc_table<message_queue_entries>),
    proc_file("nr_open", constant<1048576>),
    proc_file("overflowgid", constant<65534>),
    proc_file("overflowuid", constant<65534>),
    proc_file("pipe-max-size", constant<Pipe::kMaxCapacity>),
    proc_file("pipe-user-pages-hard", constant<0>),
    proc_file("pipe-user-pages-soft", constant<0>),
    proc_file("protected_fifos", constant<0>),
    proc_file("protected_hardlinks", constant<1>),
    proc_file("protected_regular", constant<0>),
    proc_file("protected_symlinks", constant<0>),
    proc_file("suid_dumpable", constant<0>)};

constexpr std::array kCoreEntries = {proc_file("rmem_default", constant<212992>),
                                     proc_file("rmem_max", constant<Mailbox::kLargestLimit>),
                                     proc_file("somaxconn", constant<4096>),
                                     proc_file("wmem_default", constant<212992>),
                                     proc_file("wmem_max", constant<Mailbox::kLargestLimit>)};

constexpr std::array kIpv4Entries = {proc_file("ip_local_port_range", range_text),
                                     proc_file("tcp_fastopen", constant<1>),
                                     proc_file("tcp_keepalive_time", constant<7200>),
                                     proc_file("tcp_max_syn_backlog", constant<4096>)};

constexpr std::array kUnixEntries = {proc_file("max_dgram_qlen", constant<Mailbox::kMaxPackets>)};

constexpr std::array kSysNetEntries = {proc_directory("core", kCoreEntries),
                                       proc_directory("ipv4", kIpv4Entries),
                                       proc_directory("unix", kUnixEntries)};

constexpr std::array kTtySysEntries = {
    proc_file("legacy_tiocsti", legacy_tiocsti_text, 0644, write_legacy_tiocsti)};
constexpr std::array kSysDevEntries = {proc_directory("tty", kTtySysEntries)};

constexpr std::array kSysEntries = {
    proc_directory("dev", kSysDevEntries), proc_directory("fs", kFsEntries),
    proc_directory("kernel", kKernelEntries), proc_directory("net", kSysNetEntries),
    proc_directory("vm", kVmEntries)};

}  // namespace

std::span<const ProcEntry> sysctl_entries() { return kSysEntries; }

}  // namespace occlum
