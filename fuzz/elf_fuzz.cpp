// ELF headers of programs: whatever is accepted describes segments that lie in the file and below the limit.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "libos/process/elf.h"

namespace {
constexpr uint64_t kLimit = 0xFFB0000000;

void demand(bool condition) {
  if (!condition) abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  if (size < occlum::kElfHeaderSize) return 0;
  const auto header = occlum::parse_elf_header(file.first(occlum::kElfHeaderSize), size);
  if (header.is_error()) return 0;
  const occlum::ElfHeader& found = header.value();
  demand(found.table_offset <= size && found.table_bytes() <= size - found.table_offset);
  const auto image = occlum::parse_elf_program(
      found, file.subspan(found.table_offset, found.table_bytes()), size, kLimit);
  if (image.is_error()) return 0;
  uint64_t last = 0;
  for (const occlum::ElfSegment& segment : image.value().segments) {
    demand(segment.address >= last && segment.end() >= segment.address && segment.end() <= kLimit);
    demand(segment.file_size <= segment.memory_size);
    demand(segment.offset <= size && segment.file_size <= size - segment.offset);
    last = segment.end();
  }
  demand(image.value().start <= image.value().end);
  return 0;
}
