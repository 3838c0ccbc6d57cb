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

// bytes
struct Sums {
  uint64_t size = 0, resident = 0, proportional = 0, dirty_proportional = 0;
  uint64_t shared_clean = 0, shared_dirty = 0, private_clean = 0, private_dirty = 0;
  uint64_t anonymous = 0, locked = 0;
  uint64_t file_proportional = 0, memory_proportional = 0;  // of shared mappings, by what is mapped

  void add(const Sums& other) {
    size += other.size;
    resident += other.resident;
    proportional += other.proportional;
    dirty_proportional += other.dirty_proportional;
    shared_clean += other.shared_clean;
    shared_dirty += other.shared_dirty;
    private_clean += other.private_clean;
    private_dirty += other.private_dirty;
    anonymous += other.anonymous;
    locked += other.locked;
    file_proportional += other.file_proportional;
    memory_proportional += other.memory_proportional;
  }
};

enum class Listing : uint8_t { kArea, kAll };

void add_sums(ProcText& out, const Sums& sums, Listing listing) {
  auto line = [&](std::string_view name, uint64_t bytes) { out.kilobytes(name, bytes, 16, 8); };
  line("Rss:", sums.resident);
  line("Pss:", sums.proportional);
  line("Pss_Dirty:", sums.dirty_proportional);
  if (listing == Listing::kAll) {
    line("Pss_Anon:", sums.proportional - sums.file_proportional - sums.memory_proportional);
    line("Pss_File:", sums.file_proportional);
    line("Pss_Shmem:", sums.memory_proportional);
  }
  line("Shared_Clean:", sums.shared_clean);
  line("Shared_Dirty:", sums.shared_dirty);
  line("Private_Clean:", sums.private_clean);
  line("Private_Dirty:", sums.private_dirty);
  line("Referenced:", sums.resident);
  line("Anonymous:", sums.anonymous);
  line("KSM:", 0);
  line("LazyFree:", 0);
  line("AnonHugePages:", 0);
  line("ShmemPmdMapped:", 0);
  line("FilePmdMapped:", 0);
  line("Shared_Hugetlb:", 0);
  line("Private_Hugetlb:", 0);
  line("Swap:", 0);
  line("SwapPss:", 0);
  line("Locked:", sums.locked);
}

// A page that several mappings show is divided among them, whether each has touched it or not. That it is written to is
// not known: it may have been where it can be.
Sums shared_sums_of(const Area& area) {
  // A part of a page is not lost: Linux adds them up in the same fractions of a byte.
  constexpr unsigned kFraction = 12;
  Sums sums;
  uint64_t proportional = 0, shared = 0;
  area.object->count_mappings(
      area.offset / kPageSize, (area.end - area.start) / kPageSize, [&](size_t mappings) {
        sums.resident += kPageSize;
        proportional += (kPageSize << kFraction) / std::max<size_t>(mappings, 1);
        if (mappings > 1) shared += kPageSize;
      });
  sums.proportional = proportional >> kFraction;
  const bool is_written = has(area.prot, Prot::kWrite);
  (is_written ? sums.shared_dirty : sums.shared_clean) = shared;
  (is_written ? sums.private_dirty : sums.private_clean) = sums.resident - shared;
  if (is_written) sums.dirty_proportional = sums.proportional;
  (area.object->has_source() ? sums.file_proportional : sums.memory_proportional) =
      sums.proportional;
  return sums;
}

Sums private_sums_of(AddressSpace& memory, const Area& area) {
  Sums sums;
  sums.resident = sums.proportional = resident(memory, area);
  if (area.object == nullptr || has(area.prot, Prot::kWrite)) {
    sums.anonymous = sums.private_dirty = sums.dirty_proportional = sums.resident;
  } else {
    sums.private_clean = sums.file_proportional = sums.resident;
  }
  return sums;
}

Sums sums_of(AddressSpace& memory, const Area& area) {
  Sums sums = area.shared ? shared_sums_of(area) : private_sums_of(memory, area);
  sums.size = area.end - area.start;
  if (area.lock != PageLock::kNone) sums.locked = sums.proportional;
  return sums;
}

void add_flags(ProcText& out, const Area& area) {
  const bool may_write = !area.shared || area.may_write;
  out.text("VmFlags:").text(has(area.prot, Prot::kRead) ? " rd" : "");
  out.text(has(area.prot, Prot::kWrite) ? " wr" : "")
      .text(has(area.prot, Prot::kExec) ? " ex" : "");
  out.text(area.shared ? " sh" : "").text(" mr").text(may_write ? " mw" : "").text(" me");
  out.text(area.shared ? " ms" : "").text(area.grows_down ? " gd" : "");
  out.text(area.lock != PageLock::kNone ? " lo" : "").text(area.is_not_dumped ? " dd" : "");
  out.text(!area.shared && has(area.prot, Prot::kWrite) ? " ac" : "").text(" \n");
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
    add_sums(out, sums, Listing::kArea);
    out.text("THPeligible:           0\n");
    add_flags(out, area);
  }
  return {};
}

Result<void> smaps_rollup_text(const Subject& subject, ProcText& out) {
  const RefPtr<AddressSpace> memory = subject.memory();
  if (memory == nullptr) return {};
  Sums all;
  uint64_t start = UINT64_MAX, end = 0;
  for (const Area& area : TRY(memory->areas())) {
    all.add(sums_of(*memory, area));
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
  add_sums(out, all, Listing::kAll);
  return {};
}

Result<void> statm_text(const Subject& subject, ProcText& out) {
  const RefPtr<AddressSpace> memory = subject.memory();
  if (memory == nullptr) {
    out.text("0 0 0 0 0 0 0\n");
    return {};
  }
  const MemoryUse use = memory_use(*memory);
  out.add("{} {} {} {} 0 {} 0\n", use.mapped / kPageSize, use.resident / kPageSize,
          (use.file + use.shared_memory) / kPageSize, use.code / kPageSize,
          (use.data + use.stack) / kPageSize);
  return {};
}

// Reserved memory can be huge, and its pages are not looked at one by one: only those of files and shared objects are.
MemoryUse memory_use(AddressSpace& memory) {
  MemoryUse use;
  const AddressSpace::Layout layout = memory.layout;
  use.mapped = memory.mapped_bytes();
  use.resident = memory.committed_bytes();
  use.code = align_up(layout.code_end, kPageSize) - align_down(layout.code_start, kPageSize);
  const auto areas = memory.areas();
  if (areas.is_error()) return use;
  for (const Area& area : areas.value()) {
    const uint64_t size = area.end - area.start;
    if (area.grows_down || (area.start < layout.stack_top && layout.stack_top <= area.end)) {
      use.stack += size;
    } else if (!area.shared && has(area.prot, Prot::kWrite)) {
      use.data += size;
    } else if (has(area.prot, Prot::kExec) &&
               (area.start >= layout.code_end || area.end <= layout.code_start)) {
      use.library += size;
    }
    if (area.object == nullptr) continue;
    if (area.shared && !area.object->has_source()) {
      use.shared_memory += resident(memory, area);
    } else if (area.shared || !has(area.prot, Prot::kWrite)) {
      use.file += resident(memory, area);
    }
  }
  // The figures were taken one after another: they still add up.
  use.resident = std::max(use.resident, use.file + use.shared_memory);
  use.anonymous = use.resident - use.file - use.shared_memory;
  return use;
}

}  // namespace occlum
