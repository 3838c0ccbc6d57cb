#include "libos/process/core_dump/core_memory.h"

#include <algorithm>

#include "libos/mm/data_transfer.h"
#include "libos/mm/page_map.h"
#include "libos/mm/user.h"

namespace occlum {
namespace {

bool begins_with_elf_header(AddressSpace& memory, const Area& area) {
  constexpr uint32_t kMagic = 0x464c457f;
  uint32_t head = 0;
  return !copy_from_user(memory, bytes_of(head), UserAddress(area.start)).is_error() &&
         head == kMagic;
}

uint64_t dumped_size(AddressSpace& memory, const Area& area, uint32_t filter) {
  const uint64_t whole = area.end - area.start;
  const auto wants = [&](uint32_t bit) { return (filter & bit) != 0; };
  if (area.name == "[vdso]") return whole;
  // Of what the program itself may not read nobody makes a copy.
  if (area.is_not_dumped || !has(effective_prot(area.prot), Prot::kRead)) return 0;
  if (area.shared) {
    // What has no name in the tree is as good as anonymous.
    const bool is_anonymous = area.object == nullptr || area.name.view().ends_with(" (deleted)");
    return wants(is_anonymous ? kDumpSharedAnonymous : kDumpSharedFile) ? whole : 0;
  }
  if (area.object == nullptr) return wants(kDumpPrivateAnonymous) ? whole : 0;
  // Text differs from its file where the LibOS has patched it (process/rewrite): that is not the program's.
  const bool is_text = has(area.prot, Prot::kExec) && !has(area.prot, Prot::kWrite);
  if (wants(kDumpPrivateAnonymous) && !is_text && memory.has_modified_page(area.start, area.end))
    return whole;
  if (wants(kDumpPrivateFile)) return whole;
  const bool is_head = wants(kDumpElfHeaders) && area.offset == 0;
  return is_head && begins_with_elf_header(memory, area) ? kPageSize : 0;
}

// As the object has it, without making pages of the program's for it.
Result<void> write_object_pages(CoreWriter& writer, const Area& area, AddressRange part,
                                std::span<std::byte> buffer) {
  MemoryObject& object = *area.object;
  for (uint64_t at = part.start; at < part.end; at += kPageSize) {
    const uint64_t offset = area.offset + (at - area.start);
    if (!object.has_source() && object.is_hole(offset / kPageSize)) {
      TRY(writer.skip(kPageSize));
      continue;
    }
    DataSink sink(buffer);
    const Result<size_t> count = object.read(offset, sink);
    const size_t filled = count.is_error() ? 0 : count.value();
    zero_bytes(buffer.subspan(filled));
    TRY(filled == 0 ? writer.skip(kPageSize) : writer.write(buffer));
  }
  return {};
}

Result<void> write_present_page(CoreWriter& writer, AddressSpace& memory, uint64_t at,
                                std::span<std::byte> buffer) {
  // Who shares the memory may have unmapped it meanwhile.
  if (copy_from_user(memory, buffer, UserAddress(at)).is_error()) return writer.skip(kPageSize);
  return writer.write(buffer);
}

}  // namespace

Result<Vec<DumpedArea>> dumped_areas(AddressSpace& memory, uint32_t filter) {
  Vec<Area> areas = TRY(memory.areas());
  Vec<DumpedArea> dumped;
  TRY(dumped.reserve(areas.size()));
  for (Area& area : areas) {
    const uint64_t size = dumped_size(memory, area, filter);
    dumped.push_reserved({.area = std::move(area), .size = size});
  }
  return dumped;
}

Result<void> write_area(CoreWriter& writer, AddressSpace& memory, const DumpedArea& dumped) {
  const Area& area = dumped.area;
  const uint64_t end = area.start + dumped.size;
  auto buffer = TRY(Vec<std::byte>::create(kPageSize));
  for (uint64_t at = area.start; at < end;) {
    const uint64_t present = memory.next_present_page(at, end);
    TRY(area.object == nullptr ? writer.skip(present - at)
                               : write_object_pages(writer, area, {at, present}, buffer.span()));
    if (present < end) TRY(write_present_page(writer, memory, present, buffer.span()));
    at = std::min(present + kPageSize, end);
  }
  return {};
}

}  // namespace occlum
