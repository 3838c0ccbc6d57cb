// /proc/<pid>/maps, smaps, smaps_rollup, statm.
#include <algorithm>

#include "libos/fs/proc/process_text.h"
#include "libos/lib/bits.h"

namespace occlum {

namespace {

constexpr size_t kNameColumn = 73;

void add_area_line(ProcText& out, const Area& area) {
  out.hex(area.start, 8).text("-").hex(area.end, 8).text(" ");
  out.text(has(area.prot, Prot::kRead) ? "r" : "-").text(has(area.prot, Prot::kWrite) ? "w" : "-");
  out.text(has(area.prot, Prot::kExec) ? "x" : "-").text(area.shared ? "s" : "p");
  out.text(" ").hex(area.offset, 8).text(" ").hex(device_major(area.device), 2).text(":");
  out.hex(device_minor(area.device), 2).add(" {}", area.inode);
  if (!area.name.is_empty()) {
    out.text(" ").pad_line_to(kNameColumn);
    for (const char character : area.name.view()) {
      if (character == '\n') {
        out.text("\\012");
      } else {
        out.text(std::string_view(&character, 1));
      }
    }
  }
  out.text("\n");
}

// Resident bytes of [start, end).
uint64_t resident(AddressSpace& memory, const Area& area) {
  uint64_t pages = 0;
  (void)memory.residency(area.start, area.end - area.start,
                         [&](bool present) { pages += present ? 1 : 0; });
  return pages * kPageSize;
}

struct Sums {
  uint64_t size = 0, resident = 0, anonymous = 0, shared = 0;
};

void add_sums(ProcText& out, const Sums& sums) {
  auto line = [&](std::string_view name, uint64_t bytes) { out.kilobytes(name, bytes, 16, 8); };
  line("Rss:", sums.resident);
  line("Pss:", sums.resident);
  line("Pss_Dirty:", sums.anonymous);
  line("Shared_Clean:", 0);
  line("Shared_Dirty:", sums.shared);
  line("Private_Clean:", sums.resident - sums.anonymous - sums.shared);
  line("Private_Dirty:", sums.anonymous);
  line("Referenced:", sums.resident);
  line("Anonymous:", sums.anonymous);
  line("LazyFree:", 0);
  line("AnonHugePages:", 0);
  line("ShmemPmdMapped:", 0);
  line("FilePmdMapped:", 0);
  line("Shared_Hugetlb:", 0);
  line("Private_Hugetlb:", 0);
  line("Swap:", 0);
  line("SwapPss:", 0);
  line("Locked:", 0);
}

Sums sums_of(AddressSpace& memory, const Area& area) {
  Sums sums;
  sums.size = area.end - area.start;
  sums.resident = resident(memory, area);
  if (area.shared) {
    sums.shared = sums.resident;
  } else if (area.object == nullptr || has(area.prot, Prot::kWrite)) {
    sums.anonymous = sums.resident;
  }
  return sums;
}

}  // namespace

Result<void> maps_text(const Subject& subject, ProcText& out) {
  const RefPtr<AddressSpace> memory = subject.memory();
  if (memory == nullptr) return {};
  for (const Area& area : TRY(memory->areas())) add_area_line(out, area);
  return {};
}

Result<void> smaps_text(const Subject& subject, ProcText& out) {
  const RefPtr<AddressSpace> memory = subject.memory();
  if (memory == nullptr) return {};
  for (const Area& area : TRY(memory->areas())) {
    add_area_line(out, area);
    const Sums sums = sums_of(*memory, area);
    out.kilobytes("Size:", sums.size, 16, 8)
        .text("KernelPageSize:        4 kB\nMMUPageSize:           4 kB\n");
    add_sums(out, sums);
    out.text("THPeligible:    0\nVmFlags:");
    out.text(has(area.prot, Prot::kRead) ? " rd" : "")
        .text(has(area.prot, Prot::kWrite) ? " wr" : "");
    out.text(has(area.prot, Prot::kExec) ? " ex" : "")
        .text(area.shared ? " sh" : "")
        .text(" mr mw me ac\n");
  }
  return {};
}

Result<void> smaps_rollup_text(const Subject& subject, ProcText& out) {
  const RefPtr<AddressSpace> memory = subject.memory();
  if (memory == nullptr) return {};
  Sums all;
  uint64_t start = UINT64_MAX, end = 0;
  for (const Area& area : TRY(memory->areas())) {
    const Sums sums = sums_of(*memory, area);
    all.resident += sums.resident;
    all.anonymous += sums.anonymous;
    all.shared += sums.shared;
    start = std::min(start, area.start);
    end = std::max(end, area.end);
  }
  if (end == 0) return {};
  out.hex(start, 8)
      .text("-")
      .hex(end, 8)
      .text(" ---p 00000000 00:00 0")
      .pad_line_to(kNameColumn)
      .text("[rollup]\n");
  add_sums(out, all);
  return {};
}

Result<void> statm_text(const Subject& subject, ProcText& out) {
  const RefPtr<AddressSpace> memory = subject.memory();
  if (memory == nullptr) {
    out.text("0 0 0 0 0 0 0\n");
    return {};
  }
  const uint64_t size = memory->mapped_bytes() / kPageSize,
                 resident = memory->committed_bytes() / kPageSize;
  const uint64_t text = (memory->layout.code_end - memory->layout.code_start) / kPageSize;
  out.add("{} {} 0 {} 0 {} 0\n", size, resident, text, size > text ? size - text : 0);
  return {};
}

}  // namespace occlum
