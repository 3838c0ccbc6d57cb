// Bringing an interrupted context to an instruction boundary of the architecture.
//
// In the middle of fast.S's code or of a stub, a leaf has half happened. Whether it is taken back
// or completed follows from RIP alone: the labels of fast.S bound ranges in which it is known what
// is in which register. EENTER and ERESUME are taken back until they commit; EEXIT is completed;
// other leaves are taken back until they begin and completed once they are done (while they run,
// signals wait).
#include "emulator/internal.h"

namespace emulator {
namespace {

constexpr std::uint64_t kArithmeticFlags = 0x8d5, kCarry = 1;

// Just before the ENCLU of the vDSO function.
void before_enclu(Context& c, sgx::Enclu leaf, Address tcs) {
  c.set_rip(reinterpret_cast<Address>(emu_aep));
  c.reg(REG_RAX) = static_cast<greg_t>(leaf);
  c.reg(REG_RBX) = static_cast<greg_t>(tcs);
  c.reg(REG_RCX) = static_cast<greg_t>(reinterpret_cast<Address>(emu_aep));
}

void undo_claim(Context& c, Tcs& tcs) {
  before_enclu(c, sgx::Enclu::kEenter, tcs.address);
  tcs.busy.store(0);
}

Tcs& tcs_in(Context& c, int reg) { return *at<Tcs>(static_cast<Address>(c.reg(reg))); }

bool settle_enter(Context& c) {
  const Address rip = c.rip();
  if (!within(rip, emu_eenter_begin, emu_eenter_end)) return false;
  if (within(rip, emu_eenter_begin, emu_eenter_tried)) {
    before_enclu(c, sgx::Enclu::kEenter, static_cast<Address>(c.reg(REG_RBX)));
  } else if (within(rip, emu_eenter_tried, emu_eenter_claimed)) {
    if ((c.reg(REG_EFL) & static_cast<greg_t>(kCarry)) == 0) {
      undo_claim(c, tcs_in(c, REG_RAX));
    } else {
      before_enclu(c, sgx::Enclu::kEenter, static_cast<Address>(c.reg(REG_RBX)));
    }
  } else if (within(rip, emu_eenter_claimed, emu_eenter_committed)) {
    undo_claim(c, tcs_in(c, REG_RAX));
  } else {
    const Tcs& tcs = *c.thread->current;
    c.set_rip(tcs.entry);
    c.reg(REG_RAX) = static_cast<greg_t>(tcs.cssa);
    c.reg(REG_RBX) = static_cast<greg_t>(tcs.address);
    c.reg(REG_RCX) = static_cast<greg_t>(reinterpret_cast<Address>(emu_after_enclu));
    c.fs = tcs.fsbase;
    c.gs = tcs.gsbase;
  }
  return true;
}

bool settle_exit(Context& c) {
  const Address rip = c.rip();
  if (!within(rip, emu_eexit_begin, emu_eexit_end)) return false;
  ThreadBlock& thread = *c.thread;
  const auto finish = [&](Tcs& tcs) {
    c.reg(REG_RCX) = static_cast<greg_t>(tcs.aep);
    thread.current = nullptr;
    tcs.busy.store(0);
  };
  if (within(rip, emu_eexit_begin, emu_eexit_cleared)) {
    finish(*thread.current);
  } else if (within(rip, emu_eexit_cleared, emu_eexit_committed)) {
    finish(tcs_in(c, REG_RCX));
  } else if (within(rip, emu_eexit_committed, emu_eexit_released)) {
    finish(tcs_in(c, REG_RAX));
  }
  c.reg(REG_RAX) = static_cast<greg_t>(sgx::Enclu::kEexit);
  c.set_rip(static_cast<Address>(c.reg(REG_RBX)));
  c.fs = thread.host_fs;
  c.gs = thread.host_gs;
  return true;
}

// The registers that a leaf from a patched site saved, and the result: the leaf has happened (or,
// if it faults, has not).
void complete_leaf(Context& c) {
  const Registers& saved = c.thread->regs;
  const auto put = [&](int index, std::uint64_t value) {
    c.reg(index) = static_cast<greg_t>(value);
  };
  put(REG_RAX, saved.rax), put(REG_RCX, saved.rcx), put(REG_RDX, saved.rdx),
      put(REG_RBX, saved.rbx);
  put(REG_RSP, saved.rsp), put(REG_RSI, saved.rsi), put(REG_RDI, saved.rdi), put(REG_R8, saved.r8);
  put(REG_R9, saved.r9), put(REG_R10, saved.r10), put(REG_R11, saved.r11);
  c.reg(REG_EFL) =
      static_cast<greg_t>((static_cast<std::uint64_t>(c.reg(REG_EFL)) & ~kArithmeticFlags) |
                          (saved.rflags & kArithmeticFlags));
  const bool faults =
      c.thread->site_tail == c.thread->site + static_cast<Address>(emu_stub_tail_fault - emu_stub);
  c.set_rip(site_of_stub(c.thread->site) + (faults ? 0 : kSiteSize));
}

bool settle_leaf(Context& c) {
  const Address rip = c.rip();
  const Registers& saved = c.thread->regs;
  if (within(rip, emu_leaf_begin, emu_leaf_saved)) {
    const Address stub = static_cast<Address>(c.reg(REG_RDX));
    c.reg(REG_RAX) = c.reg(REG_RCX);
    c.reg(REG_RCX) = static_cast<greg_t>(saved.rcx);
    c.reg(REG_RDX) = static_cast<greg_t>(saved.rdx);
    c.set_rip(site_of_stub(stub));
    return true;
  }
  if (within(rip, emu_leaf_done, emu_leaf_end)) {
    if (within(rip, emu_leaf_r15, emu_leaf_r15_end))
      c.reg(REG_R15) = static_cast<greg_t>(saved.r15);
    complete_leaf(c);
    return true;
  }
  return false;
}

bool settle_stub(Context& c) {
  ThreadBlock& thread = *c.thread;
  if (thread.current == nullptr) return false;
  const Address stub = stub_of(*thread.current->enclave, c.rip());
  if (stub == 0) return false;
  const Address offset = c.rip() - stub;
  const auto offset_of = [](const char* label) { return static_cast<Address>(label - emu_stub); };
  const Address tail = offset_of(emu_stub_tail);
  if (offset >= offset_of(emu_stub_tail_fault)) {
    c.reg(REG_RAX) = static_cast<greg_t>(thread.regs.rax);
    c.set_rip(site_of_stub(stub) + (offset >= tail ? kSiteSize : 0));
    return true;
  }
  for (const EmuStubBlock& block : emu_stub_blocks) {
    if (offset < block.begin || offset >= block.end) continue;
    c.reg(REG_RAX) = static_cast<greg_t>(block.leaf);
    // Past `end` minus the two recovery instructions nothing was saved; they come after a check
    // that failed before.
    const bool reached = offset >= block.rcx_saved && offset < block.recovery;
    if (reached) c.reg(REG_RCX) = static_cast<greg_t>(thread.regs.rcx);
    if (reached && offset >= block.rdx_saved) c.reg(REG_RDX) = static_cast<greg_t>(thread.regs.rdx);
  }
  c.set_rip(site_of_stub(stub));
  return true;
}

}  // namespace

void settle(Context& c) {
  if (settle_enter(c) || settle_exit(c) || settle_leaf(c) || settle_stub(c)) return;
  if (within(c.rip(), emu_resume_begin, emu_resume_end)) undo_resume(c);
}

}  // namespace emulator
