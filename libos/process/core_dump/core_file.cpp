#include "libos/process/core_dump/core_file.h"

#include <array>

#include "libos/lib/bits.h"
#include "libos/process/elf.h"
#include "libos/process/process.h"

namespace occlum {
namespace {

struct FileHeader {  // Elf64_Ehdr
  std::array<uint8_t, 16> identification;
  uint16_t type, machine;
  uint32_t version;
  uint64_t entry, program_headers, section_headers;
  uint32_t flags;
  uint16_t header_size, program_header_size, program_header_count;
  uint16_t section_header_size, section_header_count, section_names;
};
static_assert(sizeof(FileHeader) == kElfHeaderSize);

struct ProgramHeader {  // Elf64_Phdr
  uint32_t type, flags;
  uint64_t offset, address, physical_address, file_size, memory_size, alignment;
};
static_assert(sizeof(ProgramHeader) == kElfProgramHeaderSize);

constexpr uint32_t kLoad = 1, kNote = 4;
constexpr uint32_t kMayExecute = 1, kMayWrite = 2, kMayRead = 4;
// Of this many on their number stands elsewhere (PN_XNUM). vm.max_map_count is below it.
constexpr size_t kTooManyHeaders = 0xffff;

FileHeader file_header(size_t program_headers) {
  constexpr uint16_t kCore = 4, kX8664 = 62;
  FileHeader header = {};
  header.identification = {0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little-endian */, 1};
  header.type = kCore;
  header.machine = kX8664;
  header.version = 1;
  header.program_headers = sizeof(FileHeader);
  header.header_size = sizeof(FileHeader);
  header.program_header_size = sizeof(ProgramHeader);
  header.program_header_count = static_cast<uint16_t>(program_headers);
  return header;
}

uint32_t flags_of(Prot prot) {
  return (has(prot, Prot::kRead) ? kMayRead : 0) | (has(prot, Prot::kWrite) ? kMayWrite : 0) |
         (has(prot, Prot::kExec) ? kMayExecute : 0);
}

}  // namespace

Result<CoreFile> CoreFile::create(Thread& self, const SignalInfo& info) {
  const uint32_t filter = self.process().core_dump_filter.load();
  Vec<DumpedArea> areas = TRY(dumped_areas(self.memory(), filter));
  if (areas.size() + 1 >= kTooManyHeaders) return Errno::kNoMem;
  CoreNotes notes = TRY(CoreNotes::create(self, info, areas.span()));
  return CoreFile(self, std::move(notes), std::move(areas));
}

Result<void> CoreFile::write(File& file) const {
  CoreWriter writer = TRY(CoreWriter::create(*self_, file));
  const size_t headers = areas_.size() + 1;
  TRY(writer.write_object(file_header(headers)));
  uint64_t offset = sizeof(FileHeader) + headers * sizeof(ProgramHeader);
  TRY(writer.write_object(ProgramHeader{.type = kNote,
                                        .flags = 0,
                                        .offset = offset,
                                        .address = 0,
                                        .physical_address = 0,
                                        .file_size = notes_.size(),
                                        .memory_size = 0,
                                        .alignment = 4}));
  offset = align_up(offset + notes_.size(), kPageSize);
  for (const auto& [area, size] : areas_.span()) {
    TRY(writer.write_object(ProgramHeader{.type = kLoad,
                                          .flags = flags_of(area.prot),
                                          .offset = offset,
                                          .address = area.start,
                                          .physical_address = 0,
                                          .file_size = size,
                                          .memory_size = area.end - area.start,
                                          .alignment = kPageSize}));
    offset += size;
  }
  TRY(notes_.write(writer));
  TRY(writer.align(kPageSize));
  for (const DumpedArea& dumped : areas_.span()) TRY(write_area(writer, self_->memory(), dumped));
  return writer.finish();
}

}  // namespace occlum
