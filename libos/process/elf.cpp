#include "libos/process/elf.h"

#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/bytes.h"

namespace occlum {
namespace {

// Offsets in Elf64_Ehdr and Elf64_Phdr.
namespace header_field {
constexpr size_t kClass = 4, kData = 5, kIdentVersion = 6, kType = 16, kMachine = 18, kEntry = 24,
                 kPhOff = 32, kPhEntSize = 54, kPhNum = 56;
}
namespace segment_field {
constexpr size_t kType = 0, kFlags = 4, kOffset = 8, kAddress = 16, kFileSize = 32,
                 kMemorySize = 40, kAlign = 48;
}

constexpr uint32_t kLoad = 1, kInterp = 3, kPhdr = 6, kGnuStack = 0x6474e551;
constexpr uint32_t kFlagExec = 1, kFlagWrite = 2, kFlagRead = 4;
constexpr uint16_t kMachineX86_64 = 62;
constexpr uint64_t kPathMax = 4096;
constexpr uint64_t kGreatestAlignment = uint64_t{1} << 30;

struct ProgramHeader {
  uint32_t type, flags;
  uint64_t offset, address, file_size, memory_size, alignment;
};

ProgramHeader decode(std::span<const std::byte> bytes) {
  using namespace segment_field;
  return {.type = load_le<uint32_t>(bytes.subspan(kType)),
          .flags = load_le<uint32_t>(bytes.subspan(kFlags)),
          .offset = load_le<uint64_t>(bytes.subspan(kOffset)),
          .address = load_le<uint64_t>(bytes.subspan(kAddress)),
          .file_size = load_le<uint64_t>(bytes.subspan(kFileSize)),
          .memory_size = load_le<uint64_t>(bytes.subspan(kMemorySize)),
          .alignment = load_le<uint64_t>(bytes.subspan(kAlign))};
}

// [offset, offset + size) lies in the file.
bool is_in_file(uint64_t offset, uint64_t size, uint64_t file_size) {
  const std::optional<uint64_t> end = checked_add(offset, size);
  return end && *end <= file_size;
}

Prot prot_of(uint32_t flags) {
  Prot prot = Prot::kNone;
  if ((flags & kFlagRead) != 0) prot = prot | Prot::kRead;
  if ((flags & kFlagWrite) != 0) prot = prot | Prot::kWrite;
  if ((flags & kFlagExec) != 0) prot = prot | Prot::kExec;
  return prot;
}

Result<void> add_segment(ElfImage& image, const ProgramHeader& header, uint64_t file_size,
                         uint64_t address_limit) {
  if (header.memory_size == 0) return {};
  if (header.file_size > header.memory_size) return Errno::kInval;
  if (!is_in_file(header.offset, header.file_size, file_size)) return Errno::kNoExec;
  const std::optional<uint64_t> end = checked_add(header.address, header.memory_size);
  if (!end || *end > address_limit) return Errno::kInval;
  if (header.file_size != 0 && header.address % kPageSize != header.offset % kPageSize)
    return Errno::kInval;
  if (std::has_single_bit(header.alignment) && header.alignment <= kGreatestAlignment) {
    image.alignment = std::max(image.alignment, header.alignment);
  }
  if (!image.segments.is_empty() && header.address < image.segments.last().end())
    return Errno::kNoExec;
  TRY(image.segments.push({.address = header.address,
                           .memory_size = header.memory_size,
                           .offset = header.offset,
                           .file_size = header.file_size,
                           .prot = prot_of(header.flags)}));
  return {};
}

Result<void> note_interpreter(ElfImage& image, const ProgramHeader& header, uint64_t file_size) {
  if (image.interpreter) return {};
  if (header.file_size < 2 || header.file_size > kPathMax) return Errno::kNoExec;
  if (!is_in_file(header.offset, header.file_size, file_size)) return Errno::kNoExec;
  image.interpreter = ElfImage::Interpreter{.offset = header.offset, .size = header.file_size};
  return {};
}

// AT_PHDR: where a segment maps the table, when no PT_PHDR says it.
uint64_t find_headers(const ElfImage& image, uint64_t table_offset) {
  for (const ElfSegment& segment : image.segments) {
    if (table_offset >= segment.offset && table_offset - segment.offset < segment.file_size) {
      return segment.address + (table_offset - segment.offset);
    }
  }
  return 0;
}

}  // namespace

Result<ElfHeader> parse_elf_header(std::span<const std::byte> head, uint64_t file_size) {
  using namespace header_field;
  if (head.size() < kElfHeaderSize || file_size < kElfHeaderSize) return Errno::kNoExec;
  constexpr uint32_t kMagic = 0x464c457f;
  if (load_le<uint32_t>(head) != kMagic) return Errno::kNoExec;
  const auto byte_at = [&](size_t offset) { return std::to_integer<uint8_t>(head[offset]); };
  if (byte_at(kClass) != 2 || byte_at(kData) != 1 || byte_at(kIdentVersion) != 1)
    return Errno::kNoExec;

  const auto type = load_le<uint16_t>(head.subspan(kType));
  if (type != static_cast<uint16_t>(ElfType::kExecutable) &&
      type != static_cast<uint16_t>(ElfType::kDynamic)) {
    return Errno::kNoExec;
  }
  if (load_le<uint16_t>(head.subspan(kMachine)) != kMachineX86_64) return Errno::kNoExec;
  if (load_le<uint16_t>(head.subspan(kPhEntSize)) != kElfProgramHeaderSize) return Errno::kNoExec;

  const ElfHeader header{.type = static_cast<ElfType>(type),
                         .entry = load_le<uint64_t>(head.subspan(kEntry)),
                         .table_offset = load_le<uint64_t>(head.subspan(kPhOff)),
                         .table_entries = load_le<uint16_t>(head.subspan(kPhNum))};
  if (header.table_entries == 0 || header.table_entries > kElfMaxProgramHeaders)
    return Errno::kNoExec;
  if (!is_in_file(header.table_offset, header.table_bytes(), file_size)) return Errno::kNoExec;
  return header;
}

Result<ElfImage> parse_elf_program(const ElfHeader& header, std::span<const std::byte> table,
                                   uint64_t file_size, uint64_t address_limit) {
  if (table.size() < header.table_bytes()) return Errno::kNoExec;
  ElfImage image;
  image.type = header.type;
  image.entry = header.entry;
  image.header_count = header.table_entries;
  for (size_t i = 0; i < header.table_entries; ++i) {
    const ProgramHeader entry =
        decode(table.subspan(i * kElfProgramHeaderSize, kElfProgramHeaderSize));
    switch (entry.type) {
      case kLoad:
        TRY(add_segment(image, entry, file_size, address_limit));
        break;
      case kInterp:
        TRY(note_interpreter(image, entry, file_size));
        break;
      case kPhdr:
        image.headers_address = entry.address;
        break;
      case kGnuStack:
        image.has_executable_stack = (entry.flags & kFlagExec) != 0;
        break;
      default:
        break;
    }
  }
  if (image.segments.is_empty()) return Errno::kNoExec;
  if (image.headers_address == 0) image.headers_address = find_headers(image, header.table_offset);
  image.start = align_down(image.segments.first().address, kPageSize);
  const std::optional<uint64_t> end = checked_align_up(image.segments.last().end(), kPageSize);
  if (!end || *end > address_limit) return Errno::kInval;
  image.end = *end;
  return image;
}

}  // namespace occlum
