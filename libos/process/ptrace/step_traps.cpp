#include "libos/process/ptrace/step_traps.h"

#include "libos/lib/lock.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space.h"
#include "libos/mm/user.h"

namespace occlum::ptrace {
namespace {

constexpr std::byte kInt3{0xcc};

struct Trap {
  uint64_t memory = 0, at = 0;  // AddressSpace::id()
  uint32_t threads = 0;
  std::byte saved{};  // what was there
};
// As many as threads step at this moment.
using Traps = Vec<Trap>;
constinit MutexLocked<Traps> all_traps(LockRank::kProgramText);

Trap* find(Traps& traps, const AddressSpace& memory, uint64_t at) {
  for (Trap& trap : traps.span()) {
    if (trap.memory == memory.id() && trap.at == at) return &trap;
  }
  return nullptr;
}

}  // namespace

bool place_trap(AddressSpace& memory, uint64_t at) {
  return all_traps.with([&](Traps& traps) {
    if (Trap* trap = find(traps, memory, at)) {
      ++trap->threads;
      return true;
    }
    Trap trap{.memory = memory.id(), .at = at, .threads = 1};
    if (copy_from_user(memory, bytes_of(trap.saved), UserAddress(at)).is_error()) return false;
    if (traps.push(trap).is_error()) return false;
    if (!memory.poke(at, bytes_of(kInt3)).is_error()) return true;
    (void)traps.pop();
    return false;
  });
}

void remove_trap(AddressSpace& memory, uint64_t at) {
  all_traps.with([&](Traps& traps) {
    Trap* trap = find(traps, memory, at);
    if (trap == nullptr || --trap->threads != 0) return;
    const std::byte saved = trap->saved;
    *trap = traps.last();
    (void)traps.pop();
    // A debugger may have written there.
    std::byte now{};
    const bool is_ours =
        !copy_from_user(memory, bytes_of(now), UserAddress(at)).is_error() && now == kInt3;
    if (is_ours) (void)memory.poke(at, bytes_of(saved));
  });
}

Result<void> read_text(AddressSpace& memory, std::span<std::byte> to, uint64_t from) {
  return all_traps.with([&](Traps& traps) -> Result<void> {
    TRY(copy_from_user(memory, to, UserAddress(from)));
    for (const Trap& trap : traps.span()) {
      if (trap.memory == memory.id() && trap.at - from < to.size()) to[trap.at - from] = trap.saved;
    }
    return {};
  });
}

std::optional<Instruction> read_instruction(AddressSpace& memory, uint64_t rip,
                                            std::span<std::byte, kLongestInstruction> text) {
  size_t size = text.size();
  if (read_text(memory, text, rip).is_error()) {
    size = kPageSize - rip % kPageSize;
    if (size >= text.size()) return std::nullopt;
    if (read_text(memory, text.first(size), rip).is_error()) return std::nullopt;
  }
  return decode_instruction(text.first(size));
}

bool is_step_trap(const AddressSpace& memory, uint64_t at) {
  return all_traps.with([&](Traps& traps) {
    const Trap* trap = find(traps, memory, at);
    return trap != nullptr && trap->saved != kInt3;
  });
}

}  // namespace occlum::ptrace
