// ELF64 programs, parsed from hostile bytes (elf(5); System V ABI, AMD64 supplement).
//
// Parsing is pure: headers in, a checked description out; nothing is mapped here. What Linux refuses is refused with its
// errno; beyond that, a segment that lies outside of its file is ENOEXEC (Linux would start it and raise SIGBUS).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "libos/arch/prot.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"

namespace occlum {

constexpr size_t kElfHeaderSize = 64, kElfProgramHeaderSize = 56;
// Linux's limit for the table of program headers.
constexpr size_t kElfMaxProgramHeaders = 65536 / kElfProgramHeaderSize;

enum class ElfType : uint16_t { kExecutable = 2, kDynamic = 3 };

struct ElfHeader {
  ElfType type = ElfType::kExecutable;
  uint64_t entry = 0;
  uint64_t table_offset = 0;  // of the program headers, inside of the file
  uint16_t table_entries = 0;
  size_t table_bytes() const { return size_t{table_entries} * kElfProgramHeaderSize; }
};

// `head` is the start of the file, at least kElfHeaderSize bytes of it. Errors: kNoExec.
Result<ElfHeader> parse_elf_header(std::span<const std::byte> head, uint64_t file_size);

struct ElfSegment {  // PT_LOAD
  uint64_t address, memory_size;
  uint64_t offset, file_size;
  Prot prot;
  uint64_t end() const { return address + memory_size; }
  uint64_t file_end() const { return address + file_size; }
};

struct ElfImage {
  ElfType type = ElfType::kExecutable;
  uint64_t entry = 0;
  Vec<ElfSegment> segments;      // at least one, by ascending address
  uint64_t start = 0, end = 0;   // whole pages around all segments
  uint64_t alignment = 4096;     // the greatest p_align
  uint64_t headers_address = 0;  // where the program headers are in memory (AT_PHDR), 0: nowhere
  uint16_t header_count = 0;
  struct Interpreter {
    uint64_t offset, size;  // of its path in the file, with the NUL
  };
  std::optional<Interpreter> interpreter;
  bool has_executable_stack =
      false;  // PT_GNU_STACK says so, or is missing: x86-64's default is not to have one
};

// `table` is the table of program headers, header.table_bytes() long. `address_limit` is the end of what programs may
// use. Errors: kNoExec, kInval.
Result<ElfImage> parse_elf_program(const ElfHeader& header, std::span<const std::byte> table,
                                   uint64_t file_size, uint64_t address_limit);

}  // namespace occlum
