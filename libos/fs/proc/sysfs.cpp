// The file system of type "sysfs" (sysfs(5)), as far as programs ask it how many CPUs and nodes there are, and how they lie:
// each vCPU is a core of its own, all in one package and one node. lscpu(1), hwloc(7), numactl(8), allocators and run times
// read it. Read-only.
#include <array>

#include "libos/fs/proc/cpu_text.h"
#include "libos/fs/proc/proc.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/lib/text.h"
#include "libos/sched/task.h"

namespace occlum {

namespace {

constexpr uint64_t kSysRootIno = 1;

template <void add(ProcText&, uint64_t)>
Result<void> all_cpus(const Subject&, ProcText& out) {
  add(out, UINT64_MAX);
  return {};
}
template <void add(ProcText&, uint64_t)>
Result<void> own_cpu(const Subject& subject, ProcText& out) {
  add(out, uint64_t{1} << subject.cpu);
  return {};
}
Result<void> none(const Subject&, ProcText& out) {
  out.text("\n");
  return {};
}
Result<void> kernel_max(const Subject&, ProcText& out) {
  out.add("{}\n", vcpu_count() - 1);
  return {};
}
Result<void> huge_pages(const Subject&, ProcText& out) {
  out.text("always madvise [never]\n");
  return {};
}
Result<void> byte_order(const Subject&, ProcText& out) {
  out.text("little\n");
  return {};
}

constexpr ProcEntry kTopology[] = {
    proc_file("physical_package_id", constant<0>),
    proc_file("die_id", constant<0>),
    proc_file("core_id", own_cpu<add_cpu_list>),
    proc_file("thread_siblings", own_cpu<add_cpu_mask>),
    proc_file("thread_siblings_list", own_cpu<add_cpu_list>),
    proc_file("core_cpus", own_cpu<add_cpu_mask>),
    proc_file("core_cpus_list", own_cpu<add_cpu_list>),
    proc_file("core_siblings", all_cpus<add_cpu_mask>),
    proc_file("core_siblings_list", all_cpus<add_cpu_list>),
    proc_file("die_cpus", all_cpus<add_cpu_mask>),
    proc_file("die_cpus_list", all_cpus<add_cpu_list>),
    proc_file("package_cpus", all_cpus<add_cpu_mask>),
    proc_file("package_cpus_list", all_cpus<add_cpu_list>),
};
constexpr ProcEntry kCpu[] = {proc_directory("topology", kTopology)};
constexpr ProcEntry kCpus[] = {
    proc_file("online", all_cpus<add_cpu_list>),
    proc_file("offline", none),
    proc_file("present", all_cpus<add_cpu_list>),
    proc_file("possible", all_cpus<add_cpu_list>),
    proc_file("isolated", none),
    proc_file("kernel_max", kernel_max),
};

// The table, and a directory for each CPU.
class CpusDirectory final : public ProcTable {
 public:
  CpusDirectory(RefPtr<FileSystem> file_system, uint64_t ino)
      : ProcTable(std::move(file_system), ino, 0555, Subject(), kCpus) {}

  Result<RefPtr<Inode>> lookup(std::string_view name) override {
    if (!name.starts_with(kPrefix)) return ProcTable::lookup(name);
    const std::string_view digits = name.substr(kPrefix.size());
    const auto number = parse_u64(digits);
    const bool is_canonical = digits == "0" || !digits.starts_with('0');
    if (number.is_error() || !is_canonical || number.value() >= vcpu_count()) return Errno::kNoEnt;
    const auto cpu = static_cast<uint32_t>(number.value());
    return RefPtr<Inode>(TRY(
        make_ref<ProcTable>(ref_to(file_system()), ino_of(cpu), 0555, Subject{{}, {}, cpu}, kCpu)));
  }

  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override {
    const size_t first = entries().size();
    if (cookie < first && !emit_table(cookie, emit)) return {};
    for (uint64_t place = std::max<uint64_t>(cookie, first); place < first + vcpu_count();
         ++place) {
      const auto cpu = static_cast<uint32_t>(place - first);
      std::array<char, 16> name;
      if (!emit({format_to(name, "cpu{}", cpu), ino_of(cpu), FileType::kDirectory, place + 1}))
        return {};
    }
    return {};
  }

 private:
  static constexpr std::string_view kPrefix = "cpu";
  // Far from those of the tables, which are nested.
  uint64_t ino_of(uint32_t cpu) const { return (uint64_t{cpu} + 1) << 32; }
};

Result<RefPtr<Inode>> make_cpus(RefPtr<FileSystem> file_system, const Subject&, uint64_t ino) {
  return RefPtr<Inode>(TRY(make_ref<CpusDirectory>(std::move(file_system), ino)));
}

constexpr ProcEntry kNode0[] = {
    proc_file("cpulist", all_cpus<add_cpu_list>),
    proc_file("cpumap", all_cpus<add_cpu_mask>),
    proc_file("distance", constant<10>),
};
constexpr ProcEntry kNodes[] = {
    proc_file("online", constant<0>),
    proc_file("possible", constant<0>),
    proc_file("has_cpu", constant<0>),
    proc_file("has_memory", constant<0>),
    proc_file("has_normal_memory", constant<0>),
    proc_directory("node0", kNode0),
};
constexpr ProcEntry kSystem[] = {proc_directory("cpu", make_cpus), proc_directory("node", kNodes)};
constexpr ProcEntry kDevices[] = {proc_directory("system", kSystem)};
constexpr ProcEntry kHugePages[] = {proc_file("enabled", huge_pages)};
constexpr ProcEntry kMm[] = {proc_directory("transparent_hugepage", kHugePages)};
constexpr ProcEntry kKernel[] = {proc_directory("mm", kMm), proc_file("cpu_byteorder", byte_order)};
constexpr ProcEntry kRoot[] = {proc_directory("devices", kDevices),
                               proc_directory("kernel", kKernel)};

class SysFileSystem final : public FileSystem {
 public:
  std::string_view type_name() const override { return "sysfs"; }
  Result<RefPtr<Inode>> root() override {
    return RefPtr<Inode>(
        TRY(make_ref<ProcTable>(RefPtr<FileSystem>(this), kSysRootIno, 0555, Subject(), kRoot)));
  }
  Result<StatFs> statfs() override {
    StatFs stat;
    stat.type = 0x62656572;  // SYSFS_MAGIC
    return stat;
  }
};

Result<RefPtr<FileSystem>> make_sysfs(const MountArguments&) {
  return RefPtr<FileSystem>(TRY(make_ref<SysFileSystem>()));
}

}  // namespace

void register_sysfs() { register_file_system("sysfs", make_sysfs); }

}  // namespace occlum
