#include "libos/fs/proc/cpu_text.h"

#include <algorithm>
#include <array>

#include "libos/arch/arch.h"
#include "libos/arch/task_context.h"
#include "libos/lib/memory.h"
#include "libos/sched/task.h"

namespace occlum {

namespace {

enum class Register : uint8_t { kEax, kEbx, kEcx, kEdx };

// Linux's name of a feature bit (arch/x86/include/asm/cpufeatures.h), and the XCR0 bits that its
// registers need.
struct Feature {
  std::string_view name;
  uint32_t leaf, subleaf;
  Register where;
  uint8_t bit;
  uint64_t state = 0;
};

constexpr uint64_t kAvx = 1 << 2, kAvx512 = 7 << 5, kAmx = 3 << 17, kPku = 1 << 9;
constexpr uint32_t kExt = 0x80000001;
using enum Register;

constexpr Feature kFeatures[] = {
    {"fpu", 1, 0, kEdx, 0},
    {"de", 1, 0, kEdx, 2},
    {"pse", 1, 0, kEdx, 3},
    {"tsc", 1, 0, kEdx, 4},
    {"msr", 1, 0, kEdx, 5},
    {"pae", 1, 0, kEdx, 6},
    {"mce", 1, 0, kEdx, 7},
    {"cx8", 1, 0, kEdx, 8},
    {"apic", 1, 0, kEdx, 9},
    {"sep", 1, 0, kEdx, 11},
    {"mtrr", 1, 0, kEdx, 12},
    {"pge", 1, 0, kEdx, 13},
    {"mca", 1, 0, kEdx, 14},
    {"cmov", 1, 0, kEdx, 15},
    {"pat", 1, 0, kEdx, 16},
    {"pse36", 1, 0, kEdx, 17},
    {"clflush", 1, 0, kEdx, 19},
    {"mmx", 1, 0, kEdx, 23},
    {"fxsr", 1, 0, kEdx, 24},
    {"sse", 1, 0, kEdx, 25},
    {"sse2", 1, 0, kEdx, 26},
    {"ss", 1, 0, kEdx, 27},
    {"ht", 1, 0, kEdx, 28},
    {"syscall", kExt, 0, kEdx, 11},
    {"nx", kExt, 0, kEdx, 20},
    {"pdpe1gb", kExt, 0, kEdx, 26},
    {"rdtscp", kExt, 0, kEdx, 27},
    {"lm", kExt, 0, kEdx, 29},
    {"pni", 1, 0, kEcx, 0},
    {"pclmulqdq", 1, 0, kEcx, 1},
    {"ssse3", 1, 0, kEcx, 9},
    {"fma", 1, 0, kEcx, 12, kAvx},
    {"cx16", 1, 0, kEcx, 13},
    {"pcid", 1, 0, kEcx, 17},
    {"sse4_1", 1, 0, kEcx, 19},
    {"sse4_2", 1, 0, kEcx, 20},
    {"x2apic", 1, 0, kEcx, 21},
    {"movbe", 1, 0, kEcx, 22},
    {"popcnt", 1, 0, kEcx, 23},
    {"aes", 1, 0, kEcx, 25},
    {"xsave", 1, 0, kEcx, 26},
    {"avx", 1, 0, kEcx, 28, kAvx},
    {"f16c", 1, 0, kEcx, 29, kAvx},
    {"rdrand", 1, 0, kEcx, 30},
    {"hypervisor", 1, 0, kEcx, 31},
    {"lahf_lm", kExt, 0, kEcx, 0},
    {"abm", kExt, 0, kEcx, 5},
    {"sse4a", kExt, 0, kEcx, 6},
    {"3dnowprefetch", kExt, 0, kEcx, 8},
    {"fsgsbase", 7, 0, kEbx, 0},
    {"bmi1", 7, 0, kEbx, 3},
    {"avx2", 7, 0, kEbx, 5, kAvx},
    {"smep", 7, 0, kEbx, 7},
    {"bmi2", 7, 0, kEbx, 8},
    {"erms", 7, 0, kEbx, 9},
    {"invpcid", 7, 0, kEbx, 10},
    {"avx512f", 7, 0, kEbx, 16, kAvx512},
    {"avx512dq", 7, 0, kEbx, 17, kAvx512},
    {"rdseed", 7, 0, kEbx, 18},
    {"adx", 7, 0, kEbx, 19},
    {"smap", 7, 0, kEbx, 20},
    {"avx512ifma", 7, 0, kEbx, 21, kAvx512},
    {"clflushopt", 7, 0, kEbx, 23},
    {"clwb", 7, 0, kEbx, 24},
    {"avx512cd", 7, 0, kEbx, 28, kAvx512},
    {"sha_ni", 7, 0, kEbx, 29},
    {"avx512bw", 7, 0, kEbx, 30, kAvx512},
    {"avx512vl", 7, 0, kEbx, 31, kAvx512},
    {"xsaveopt", 0xd, 1, kEax, 0},
    {"xsavec", 0xd, 1, kEax, 1},
    {"xgetbv1", 0xd, 1, kEax, 2},
    {"avx_vnni", 7, 1, kEax, 4, kAvx},
    {"avx512_bf16", 7, 1, kEax, 5, kAvx512},
    {"avx512vbmi", 7, 0, kEcx, 1, kAvx512},
    {"umip", 7, 0, kEcx, 2},
    {"pku", 7, 0, kEcx, 3, kPku},
    {"avx512_vbmi2", 7, 0, kEcx, 6, kAvx512},
    {"gfni", 7, 0, kEcx, 8},
    {"vaes", 7, 0, kEcx, 9, kAvx},
    {"vpclmulqdq", 7, 0, kEcx, 10, kAvx},
    {"avx512_vnni", 7, 0, kEcx, 11, kAvx512},
    {"avx512_bitalg", 7, 0, kEcx, 12, kAvx512},
    {"avx512_vpopcntdq", 7, 0, kEcx, 14, kAvx512},
    {"rdpid", 7, 0, kEcx, 22},
    {"cldemote", 7, 0, kEcx, 25},
    {"movdiri", 7, 0, kEcx, 27},
    {"movdir64b", 7, 0, kEcx, 28},
    {"fsrm", 7, 0, kEdx, 4},
    {"serialize", 7, 0, kEdx, 14},
    {"amx_bf16", 7, 0, kEdx, 22, kAmx},
    {"avx512_fp16", 7, 0, kEdx, 23, kAvx512},
    {"amx_tile", 7, 0, kEdx, 24, kAmx},
    {"amx_int8", 7, 0, kEdx, 25, kAmx},
};

uint32_t register_of(const CpuidResult& result, Register which) {
  switch (which) {
    case kEax:
      return result.eax;
    case kEbx:
      return result.ebx;
    case kEcx:
      return result.ecx;
    case kEdx:
      return result.edx;
  }
  return 0;
}

void add_bytes(ProcText& out, uint32_t word) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    const auto character = static_cast<char>(word >> shift);
    if (character >= ' ' && character <= '~') out.text(std::string_view(&character, 1));
  }
}

void add_flags(ProcText& out) {
  const uint64_t enabled = xstate_features();
  const uint32_t highest = cpuid(0, 0).eax, highest_extended = cpuid(0x80000000, 0).eax;
  for (const Feature& feature : kFeatures) {
    if (feature.leaf > (feature.leaf >= 0x80000000 ? highest_extended : highest)) continue;
    const uint32_t bits = register_of(cpuid(feature.leaf, feature.subleaf), feature.where);
    if ((bits >> feature.bit & 1) == 0 || (enabled & feature.state) != feature.state) continue;
    out.add(" {}", feature.name);
  }
}

void add_brand(ProcText& out) {
  if (cpuid(0x80000000, 0).eax < 0x80000004) {
    out.text("unknown");
    return;
  }
  for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    const CpuidResult part = cpuid(leaf, 0);
    for (const uint32_t word : {part.eax, part.ebx, part.ecx, part.edx}) add_bytes(out, word);
  }
}

}  // namespace

Result<void> cpuinfo_text(const Subject&, ProcText& out) {
  const CpuidResult vendor = cpuid(0, 0), version = cpuid(1, 0);
  uint32_t family = version.eax >> 8 & 15, model = version.eax >> 4 & 15;
  if (family == 6 || family == 15) model |= version.eax >> 12 & 0xf0;
  if (family == 15) family += version.eax >> 20 & 255;
  const uint32_t frequency = vendor.eax >= 0x16 ? cpuid(0x16, 0).eax & 0xffff : 0;  // MHz
  const uint32_t megahertz = frequency != 0 ? frequency : 2000;
  const uint32_t cpus = vcpu_count();
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    out.add("processor\t: {}\nvendor_id\t: ", cpu);
    for (const uint32_t word : {vendor.ebx, vendor.edx, vendor.ecx}) add_bytes(out, word);
    out.add("\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: ", family, model);
    add_brand(out);
    out.add("\nstepping\t: {}\nmicrocode\t: 0x1\ncpu MHz\t\t: {}.000\ncache size\t: 32768 KB\n",
            version.eax & 15, megahertz);
    out.add("physical id\t: 0\nsiblings\t: {}\ncore id\t\t: {}\ncpu cores\t: {}\napicid\t\t: {}\n",
            cpus, cpu, cpus, cpu);
    out.add(
        "initial apicid\t: {}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: "
        "yes\nflags\t\t:",
        cpu, vendor.eax);
    add_flags(out);
    out.add("\nbugs\t\t:\nbogomips\t: {}.00\nclflush size\t: 64\ncache_alignment\t: 64\n",
            megahertz * 2);
    out.text("address sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n");
  }
  return {};
}

void add_cpu_mask(ProcText& out, uint64_t cpus) {
  constexpr uint32_t kGroup = 32;
  const uint32_t count = vcpu_count();
  for (uint32_t group = (count - 1) / kGroup + 1; group-- != 0;) {
    const uint32_t bits = std::min(kGroup, count - group * kGroup);
    const uint64_t mask = cpus >> group * kGroup & ((uint64_t{1} << bits) - 1);
    out.hex(mask, (bits + 3) / 4).text(group != 0 ? "," : "\n");
  }
}

void add_cpu_list(ProcText& out, uint64_t cpus) {
  const auto has = [&](uint32_t cpu) { return cpu < vcpu_count() && (cpus >> cpu & 1) != 0; };
  bool first = true;
  for (uint32_t cpu = 0; cpu < vcpu_count(); ++cpu) {
    if (!has(cpu)) continue;
    uint32_t last = cpu;
    while (has(last + 1)) ++last;
    if (!first) out.text(",");
    first = false;
    out.add("{}", cpu);
    if (last != cpu) out.add("-{}", last);
    cpu = last;
  }
  out.text("\n");
}

}  // namespace occlum
