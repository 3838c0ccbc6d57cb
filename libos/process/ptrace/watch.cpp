#include "libos/process/ptrace/watch.h"

#include "libos/mm/user.h"
#include "libos/process/ptrace/registers.h"

namespace occlum::ptrace {
namespace {

using Slot = DebugState::Slot;

enum Type : uint8_t { kExecute = 0, kWrite = 1, kIo = 2, kReadOrWrite = 3 };
constexpr size_t kStatus = 6, kControl = 7;
// DR6 reads as ones where it has no bits, and where a 0 means that something happened.
constexpr uint64_t kStatusOnes = 0xffff0ff0;

uint64_t length_of(const Slot& slot) {
  constexpr std::array<uint8_t, 4> kLengths = {1, 2, 8, 4};
  return kLengths[slot.length];
}

// arch/x86/kernel/hw_breakpoint.c, for breakpoints that are off as well.
Result<void> check(const Slot& slot) {
  if (slot.type == kIo || (slot.type == kExecute && slot.length != 0)) return Errno::kInval;
  const uint64_t length = length_of(slot);
  if (slot.address >= kTaskSizeMax || slot.address + length > kTaskSizeMax) return Errno::kInval;
  if (slot.address % length != 0) return Errno::kInval;
  return {};
}

Result<void> set_address(Slot& slot, uint64_t address) {
  Slot next = slot;
  if (!slot.is_used) next = {.is_used = true, .type = kWrite};
  next.address = address;
  TRY(check(next));
  slot = next;
  return {};
}

// All slots or none.
Result<void> set_control(DebugState& state, uint64_t value) {
  constexpr unsigned kTypeShift = 16, kBitsOfSlot = 4;
  std::array<Slot, kWatchSlots> slots = state.slots;
  for (size_t i = 0; i < kWatchSlots; ++i) {
    const bool is_enabled = (value >> (2 * i) & 3) != 0;  // locally or globally
    if (!slots[i].is_used && !is_enabled) continue;
    const uint64_t kind = value >> (kTypeShift + kBitsOfSlot * i);
    slots[i].is_used = true;
    slots[i].is_enabled = is_enabled;
    slots[i].type = kind & 3;
    slots[i].length = kind >> 2 & 3;
    TRY(check(slots[i]));
  }
  state.slots = slots;
  state.control = value;
  return {};
}

bool is_watchpoint(const Slot& slot) { return slot.is_enabled && slot.type != kExecute; }

// 0 where nothing can be read: then nothing can have been written.
uint64_t value_at(AddressSpace& memory, const Slot& slot) {
  uint64_t value = 0;
  const std::span<std::byte> bytes = std::span(bytes_of(value)).first(length_of(slot));
  if (copy_from_user(memory, bytes, UserAddress(slot.address)).is_error()) return 0;
  return value;
}

// A string instruction has done `elements` of them.
bool touches(const Slot& slot, const MemoryAccess& access, uint64_t elements, bool goes_down) {
  if (elements == 0 || !(access.writes || (access.reads && slot.type == kReadOrWrite)))
    return false;
  const uint64_t bytes = access.size * elements;
  const uint64_t start = goes_down ? access.address + access.size - bytes : access.address;
  return start < slot.address + length_of(slot) && slot.address < start + bytes;
}

}  // namespace

uint64_t debug_register(const DebugState& state, size_t number) {
  if (number < kWatchSlots) return state.slots[number].address;
  if (number == kStatus) return state.status ^ kStatusOnes;
  return number == kControl ? state.control : 0;
}

Result<void> set_debug_register(DebugState& state, size_t number, uint64_t value) {
  if (number < kWatchSlots) return set_address(state.slots[number], value);
  if (number == kControl) return set_control(state, value);
  if (number != kStatus) return Errno::kIo;
  state.status = value ^ kStatusOnes;
  return {};
}

bool is_watching(const DebugState& state) {
  for (const Slot& slot : state.slots) {
    if (slot.is_enabled) return true;
  }
  return false;
}

uint64_t breakpoints_at(const DebugState& state, uint64_t address) {
  uint64_t hits = 0;
  for (size_t i = 0; i < kWatchSlots; ++i) {
    const Slot& slot = state.slots[i];
    if (slot.is_enabled && slot.type == kExecute && slot.address == address)
      hits |= uint64_t{1} << i;
  }
  return hits;
}

void note_accesses(DebugState& state, AddressSpace& memory, const Instruction& instruction,
                   UserRegisters& registers) {
  state.accesses = accesses_of(instruction, registers);
  if (state.accesses.is_exact) return;
  for (size_t i = 0; i < kWatchSlots; ++i) {
    if (is_watchpoint(state.slots[i])) state.before[i] = value_at(memory, state.slots[i]);
  }
}

uint64_t watchpoints_hit(const DebugState& state, AddressSpace& memory,
                         const UserRegisters& registers) {
  const MemoryAccesses& accesses = state.accesses;
  const uint64_t elements =
      accesses.is_repeated ? accesses.repetitions - registers.rcx : accesses.repetitions;
  uint64_t hits = 0;
  for (size_t i = 0; i < kWatchSlots; ++i) {
    const Slot& slot = state.slots[i];
    if (!is_watchpoint(slot)) continue;
    bool is_hit = !accesses.is_exact && value_at(memory, slot) != state.before[i];
    for (const MemoryAccess& access : std::span(accesses.all).first(accesses.count))
      is_hit = is_hit || touches(slot, access, elements, accesses.goes_down);
    if (is_hit) hits |= uint64_t{1} << i;
  }
  return hits;
}

}  // namespace occlum::ptrace
