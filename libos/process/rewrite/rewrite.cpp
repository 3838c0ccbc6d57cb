#include "libos/process/rewrite/rewrite.h"

#include "libos/arch/arch.h"
#include "libos/process/rewrite/syscall_stubs.h"
#include "libos/process/thread.h"

namespace occlum {

constinit std::atomic<bool> rewriting_enabled{true};

namespace {

SyscallStubs* stubs_of(AddressSpace& memory) {
  return static_cast<SyscallStubs*>(memory.companion.get());  // the only kind there is
}

}  // namespace

Result<void> prepare_rewriting(AddressSpace& memory) {
  if (!rewriting_enabled.load(std::memory_order_relaxed)) return {};
  memory.companion = TRY(make_own<SyscallStubs>());
  return {};
}

void prepare_text(AddressSpace& memory, uint64_t text) {
  if (SyscallStubs* stubs = stubs_of(memory)) stubs->make_room(memory, text);
}

Result<RefPtr<AddressSpace>> fork_memory(AddressSpace& memory) {
  SyscallStubs* stubs = stubs_of(memory);
  return stubs != nullptr ? stubs->fork(memory) : memory.fork();
}

void watch_text(AddressSpace& memory) {
  if (SyscallStubs* stubs = stubs_of(memory)) stubs->watch(memory);
}

void unwatch_text(AddressSpace& memory) {
  if (SyscallStubs* stubs = stubs_of(memory)) stubs->unwatch();
}

void note_trapped_syscall(const UserRegisters& registers) {
  AddressSpace& memory = current_thread().memory();
  if (SyscallStubs* stubs = stubs_of(memory)) stubs->note_trap(memory, registers);
}

bool leave_stub(UserRegisters& registers) {
  const SyscallStubs* stubs = stubs_of(current_thread().memory());
  if (stubs == nullptr) return false;
  const std::optional<SyscallSite> site = stubs->site_of(registers.rip);
  if (!site) return false;
  registers.rax = site->number;
  registers.rip = site->syscall_at();
  return true;
}

bool complete_stub(UserRegisters& registers) {
  const SyscallStubs* stubs = stubs_of(current_thread().memory());
  if (stubs == nullptr) return false;
  const std::optional<SyscallSite> site = stubs->site_of(registers.rip);
  if (!site) return false;
  constexpr uint64_t kResumeFlag = 1 << 16;
  registers.rflags &= ~kResumeFlag;
  registers.rax = registers.original_rax = site->number;
  registers.rcx = registers.rip = site->return_address();
  registers.r11 = registers.rflags;
  return true;
}

}  // namespace occlum
