#include "libos/process/string_instruction.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "libos/lib/bytes.h"
#include "libos/mm/user.h"
#include "libos/process/ptrace/access.h"

namespace occlum {
namespace {

constexpr uint64_t kCarry = 0x1, kParity = 0x4, kAdjust = 0x10, kZero = 0x40, kSign = 0x80,
                   kOverflow = 0x800;
constexpr uint64_t kArithmetic = kCarry | kParity | kAdjust | kZero | kSign | kOverflow;
constexpr uint64_t kMostElements = 4096;
constexpr uint64_t kMostBytes = 256;

// By the opcode of its bytes.
enum class Kind : uint8_t {
  kMove = 0xa4,
  kCompare = 0xa6,
  kStore = 0xaa,
  kLoad = 0xac,
  kScan = 0xae
};

struct Work {
  Kind kind;
  uint64_t size;  // of an element, bytes
  int64_t step;
  uint64_t segment;  // of the source
};

std::optional<Work> work_of(const Instruction& instruction, UserRegisters& registers) {
  if (!is_string_instruction(instruction)) return std::nullopt;
  const MemoryAccesses accesses = accesses_of(instruction, registers);
  if (!accesses.is_exact) return std::nullopt;
  const auto size = int64_t{accesses.all[0].size};
  return Work{.kind = static_cast<Kind>(instruction.opcode & 0xfe),
              .size = accesses.all[0].size,
              .step = accesses.goes_down ? -size : size,
              .segment = instruction.prefixes.fs ? registers.fs_base : 0};
}

uint64_t mask_of(uint64_t size) { return size == 8 ? UINT64_MAX : (uint64_t{1} << 8 * size) - 1; }

// Of a - b.
uint64_t flags_of_difference(uint64_t a, uint64_t b, uint64_t size) {
  const uint64_t difference = (a - b) & mask_of(size);
  const uint64_t top = uint64_t{1} << (8 * size - 1);
  uint64_t flags = 0;
  if (a < b) flags |= kCarry;
  if (std::popcount(difference & 0xff) % 2 == 0) flags |= kParity;
  if (((a ^ b ^ difference) & 0x10) != 0) flags |= kAdjust;
  if (difference == 0) flags |= kZero;
  if ((difference & top) != 0) flags |= kSign;
  if (((a ^ b) & (a ^ difference) & top) != 0) flags |= kOverflow;
  return flags;
}

Result<uint64_t> load(AddressSpace& memory, uint64_t at, uint64_t size) {
  uint64_t value = 0;
  TRY(copy_from_user(memory, bytes_of(value).first(size), UserAddress(at)));
  return value;
}

Result<void> store(AddressSpace& memory, uint64_t at, uint64_t value, uint64_t size) {
  return copy_to_user(memory, UserAddress(at), bytes_of(value).first(size));
}

void compare(UserRegisters& registers, uint64_t a, uint64_t b, uint64_t size) {
  registers.rflags = (registers.rflags & ~kArithmetic) | flags_of_difference(a, b, size);
}

Result<void> do_element(AddressSpace& memory, const Work& work, UserRegisters& registers) {
  const uint64_t source = registers.rsi + work.segment,
                 accumulator = registers.rax & mask_of(work.size);
  bool uses_source = true, uses_destination = true;
  switch (work.kind) {
    case Kind::kMove:
      TRY(store(memory, registers.rdi, TRY(load(memory, source, work.size)), work.size));
      break;
    case Kind::kCompare: {
      const uint64_t first = TRY(load(memory, source, work.size));
      compare(registers, first, TRY(load(memory, registers.rdi, work.size)), work.size);
      break;
    }
    case Kind::kStore:
      uses_source = false;
      TRY(store(memory, registers.rdi, accumulator, work.size));
      break;
    case Kind::kLoad: {
      uses_destination = false;
      const uint64_t value = TRY(load(memory, source, work.size));
      // 32 bits clear the rest of RAX, 8 and 16 leave it.
      const uint64_t kept = work.size < 4 ? ~mask_of(work.size) : 0;
      registers.rax = (registers.rax & kept) | value;
      break;
    }
    case Kind::kScan:
      uses_source = false;
      compare(registers, accumulator, TRY(load(memory, registers.rdi, work.size)), work.size);
      break;
  }
  if (uses_source) registers.rsi += static_cast<uint64_t>(work.step);
  if (uses_destination) registers.rdi += static_cast<uint64_t>(work.step);
  return {};
}

// Elements of a move upwards that can be moved at once: however the two views lie, they share no byte where they share
// none within a page.
uint64_t elements_at_once(const Work& work, const UserRegisters& registers) {
  if (work.kind != Kind::kMove || work.step < 0) return 1;
  const uint64_t apart = (registers.rdi - registers.rsi - work.segment) % kPageSize;
  const uint64_t bytes = std::min({apart, kPageSize - apart, kMostBytes});
  return std::clamp<uint64_t>(bytes / work.size, 1, registers.rcx);
}

Result<void> move_elements(AddressSpace& memory, const Work& work, uint64_t count,
                           UserRegisters& registers) {
  std::array<std::byte, kMostBytes> buffer = {};
  const uint64_t bytes = count * work.size;
  const std::span<std::byte> moved = std::span(buffer).first(bytes);
  TRY(copy_from_user(memory, moved, UserAddress(registers.rsi + work.segment)));
  TRY(copy_to_user(memory, UserAddress(registers.rdi), moved));
  registers.rsi += bytes;
  registers.rdi += bytes;
  return {};
}

// REPE and REPNE end early.
bool goes_on(const Work& work, const Prefixes& prefixes, const UserRegisters& registers) {
  if (registers.rcx == 0) return false;
  if (work.kind != Kind::kCompare && work.kind != Kind::kScan) return true;
  return ((registers.rflags & kZero) != 0) == prefixes.f3;
}

}  // namespace

bool do_string_instruction(AddressSpace& memory, const Instruction& instruction,
                           UserRegisters& registers) {
  const std::optional<Work> work = work_of(instruction, registers);
  if (!work) return false;
  const Prefixes& prefixes = instruction.prefixes;
  const bool is_repeated = prefixes.f2 || prefixes.f3;
  if (!is_repeated) {
    if (do_element(memory, *work, registers).is_error()) return false;
    registers.rip += instruction.size;
    return true;
  }
  for (uint64_t done = 0; registers.rcx != 0 && done < kMostElements;) {
    uint64_t count = elements_at_once(*work, registers);
    Result<void> moved;
    if (count > 1) moved = move_elements(memory, *work, count, registers);
    if (count == 1 || moved.is_error()) {
      count = 1;
      if (do_element(memory, *work, registers).is_error()) return done != 0;
    }
    registers.rcx -= count;
    done += count;
    if (!goes_on(*work, prefixes, registers)) {
      registers.rip += instruction.size;
      return true;
    }
  }
  return true;
}

}  // namespace occlum
