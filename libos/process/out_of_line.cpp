#include "libos/process/out_of_line.h"

#include <algorithm>
#include <utility>

#include "libos/lib/bytes.h"
#include "libos/mm/user.h"
#include "libos/process/process.h"
#include "libos/process/ptrace/access.h"
#include "libos/process/ptrace/opcode_set.h"
#include "libos/process/ptrace/step_traps.h"
#include "libos/process/signals/send.h"
#include "libos/process/string_instruction.h"

namespace occlum::out_of_line {
namespace {

constexpr std::byte kInt3{0xcc};
constexpr uint64_t kOperandAt = 64;  // behind the copy; the operand keeps its place in a cache line

using Text = std::array<std::byte, kLongestInstruction>;

// Its only operand, if that lies across two pages.
std::optional<MemoryAccess> operand_across_pages(const Instruction& instruction,
                                                 UserRegisters& registers) {
  if (!instruction.has_memory) return std::nullopt;
  const MemoryAccesses accesses = accesses_of(instruction, registers);
  if (!accesses.is_exact || accesses.is_repeated || accesses.count != 1) return std::nullopt;
  const MemoryAccess access = accesses.all[0];
  const bool is_within = access.address % kPageSize + access.size <= kPageSize;
  if (is_within || access.size > OutOfLine::kLargestOperand) return std::nullopt;
  return access;
}

// The instruction as it has to be at `at` for its operand to be at `operand`, and an int3. Segments and 32-bit addresses
// are part of the address that is known already.
struct Copy {
  std::array<std::byte, kLongestInstruction + 1> bytes = {};
  size_t size = 0;  // without the int3
};
// Nullopt: it cannot be reached from there.
std::optional<Copy> relocate(const Text& text, const Instruction& instruction, uint64_t at,
                             uint64_t operand) {
  constexpr OpcodeSet kPrefixes = set_of({{0x26, 0x26},
                                          {0x2e, 0x2e},
                                          {0x36, 0x36},
                                          {0x3e, 0x3e},
                                          {0x64, 0x67},
                                          {0xf0, 0xf0},
                                          {0xf2, 0xf3}});
  constexpr OpcodeSet kKept = set_of({{0x66, 0x66}, {0xf0, 0xf0}, {0xf2, 0xf3}});
  constexpr std::byte kRegField{0x38}, kRipRelative{5};
  const std::span<const std::byte> head = std::span(text).first(instruction.modrm_at);
  const std::span<const std::byte> immediate =
      std::span(text)
          .first(instruction.size)
          .subspan(instruction.modrm_at + instruction.modrm_size);
  const auto opcode = std::ranges::find_if_not(
      head, [&](std::byte byte) { return contains(kPrefixes, std::to_integer<uint8_t>(byte)); });
  Copy copy;
  const auto add = [&](std::byte byte) { copy.bytes[copy.size++] = byte; };
  for (auto it = head.begin(); it != head.end(); ++it) {
    if (it >= opcode || contains(kKept, std::to_integer<uint8_t>(*it))) add(*it);
  }
  const size_t whole = copy.size + 1 + sizeof(uint32_t) + immediate.size();
  if (whole > kLongestInstruction) return std::nullopt;
  add((text[instruction.modrm_at] & kRegField) | kRipRelative);
  const auto distance = static_cast<int64_t>(operand - (at + whole));
  const auto displacement = static_cast<int32_t>(distance);
  if (displacement != distance) return std::nullopt;
  for (const std::byte byte : object_bytes(displacement)) add(byte);
  for (const std::byte byte : immediate) add(byte);
  copy.bytes[copy.size] = kInt3;
  return copy;
}

// One anonymous page. The program may write to it, which only harms itself.
Result<AddressRange> map_page(AddressSpace& memory) {
  MapRequest request;
  request.length = kPageSize;
  request.prot = Prot::kRead | Prot::kWrite | Prot::kExec;
  request.source.name = TRY(String::create("[out of line]"));
  const uint64_t start = TRY(memory.map(std::move(request)));
  return AddressRange{start, start + kPageSize};
}

// The copy for an operand beside it; or, where only text and operand are in each other's way, for the operand where it is.
std::optional<Copy> copy_of(const OutOfLine& work, const Text& text, const Instruction& instruction,
                            UserRegisters& registers) {
  if (work.size != 0) return relocate(text, instruction, work.page.start, work.operand_copy);
  if (instruction.has_memory && instruction.memory.is_rip_relative) {
    const uint64_t operand = address_of_operand(instruction.memory, registers, work.next);
    return relocate(text, instruction, work.page.start, operand);
  }
  Copy copy{.bytes = {}, .size = instruction.size};
  std::ranges::copy(std::span(text).first(copy.size), copy.bytes.begin());
  copy.bytes[copy.size] = kInt3;
  return copy;
}

Result<void> prepare(AddressSpace& memory, OutOfLine& work, const Text& text,
                     const Instruction& instruction, UserRegisters& registers) {
  const std::span<std::byte> before = std::span(work.before).first(work.size);
  TRY(copy_from_user(memory, before, UserAddress(work.operand)));
  work.operand_copy = work.page.start + kOperandAt + work.operand % kOperandAt;
  const std::optional<Copy> copy = copy_of(work, text, instruction, registers);
  if (!copy) return Errno::kInval;
  work.end = work.page.start + copy->size;
  TRY(copy_to_user(memory, UserAddress(work.page.start), copy->bytes));
  return copy_to_user(memory, UserAddress(work.operand_copy), before);
}

// The bytes that the instruction changed; others may have changed the rest.
Result<void> store_changes(AddressSpace& memory, const OutOfLine& work) {
  std::array<std::byte, OutOfLine::kLargestOperand> all = {};
  const std::span<std::byte> after = std::span(all).first(work.size);
  TRY(copy_from_user(memory, after, UserAddress(work.operand_copy)));
  for (size_t i = 0; i < work.size;) {
    size_t end = i;
    while (end < work.size && after[end] != work.before[end]) ++end;
    if (end != i)
      TRY(copy_to_user(memory, UserAddress(work.operand + i), after.subspan(i, end - i)));
    i = end + 1;
  }
  return {};
}

}  // namespace

bool execute(Thread& self, UserRegisters& registers) {
  if (self.out_of_line || self.tracing.step.is_armed) return false;
  AddressSpace& memory = self.memory();
  Text text = {};
  const std::optional<Instruction> instruction =
      ptrace::read_instruction(memory, registers.rip, text);
  if (!instruction) return false;
  if (do_string_instruction(memory, *instruction, registers)) return true;
  if (instruction->flow != Instruction::Flow::kNext) return false;
  Result<OwnPtr<OutOfLine>> made = make_own<OutOfLine>();
  if (made.is_error()) return false;
  OwnPtr<OutOfLine> work = made.release_value();
  work->from = registers.rip;
  work->next = registers.rip + instruction->size;
  if (const auto access = operand_across_pages(*instruction, registers)) {
    work->operand = access->address;
    work->size = access->size;
    work->writes = access->writes;
  }
  const Result<AddressRange> page = map_page(memory);
  if (page.is_error()) return false;
  work->page = page.value();
  if (prepare(memory, *work, text, *instruction, registers).is_error()) {
    (void)memory.unmap(work->page.start, kPageSize);
    return false;
  }
  registers.rip = work->page.start;
  self.out_of_line = std::move(work);
  return true;
}

void settle(Thread& self, UserRegisters& registers) {
  const OwnPtr<OutOfLine> work = std::move(self.out_of_line);
  AddressSpace& memory = self.memory();
  Result<void> stored;
  if (registers.rip == work->end) {
    if (work->writes) stored = store_changes(memory, *work);
    registers.rip = stored.is_error() ? work->from : work->next;
  } else if (registers.rip == work->page.start) {
    registers.rip = work->from;
  }
  (void)memory.unmap(work->page.start, kPageSize);
  // Another thread has taken the operand, or the page, away meanwhile.
  if (stored.is_error())
    force_signal(self, SignalInfo::of_fault(kSigSegv, kSegvMapErr, work->operand));
}

}  // namespace occlum::out_of_line
