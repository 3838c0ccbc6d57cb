// Crossing the boundary: EENTER, EEXIT, AEX and ERESUME (SDM volume 3D, chapters 36 to 39), on the
// context of a trapped thread, and the checks that let fast.S do EENTER and ERESUME by plain jumps.
//
// A logical processor is in enclave mode when its thread block's `current` is set. TCS.BUSY keeps
// others off the TCS. The synthetic register state after an AEX is the SDM's: RAX=3, RBX=TCS,
// RCX=AEP, RSP and RBP from the SSA's URSP and URBP, the other general registers 0, the arithmetic
// flags and RF clear (DF, AC and the rest stay: software clears them).
#include "emulator/internal.h"
#include "emulator/raw_syscall.h"

namespace emulator {
namespace {

constexpr std::uint64_t kTrapFlag = 1u << 8;
constexpr std::uint64_t kArithmeticFlags = 0x8d5;  // CF PF AF ZF SF OF
constexpr std::uint64_t kResumeFlag = 1u << 16;
constexpr std::uint64_t kUserFlags = 0x240dd5;  // what ERESUME may load: status, DF, TF, AC, ID

sgx::Gprsgx& gprsgx(Address frame, const Enclave& enclave) {
  return *at<sgx::Gprsgx>(frame + sgx::gprsgx_offset(enclave.frame_size));
}

Event general_protection() { return exception(sgx::vector::kGp); }
Event page_fault(Address address, std::uint32_t error) {
  return exception(sgx::vector::kPf, static_cast<std::uint16_t>(error), address);
}

// All the SSA frames of the TCS can be used; opens them.
bool ssa_usable(Tcs& tcs, ThreadBlock& thread, std::uint64_t first, std::uint64_t count,
                Event& fault) {
  Enclave& enclave = *tcs.enclave;
  for (std::uint64_t n = first; n < first + count; n++) {
    Access denied;
    if (!ensure(enclave, tcs.frame(n), enclave.frame_size, kRead | kWrite, &thread, denied)) {
      fault = page_fault(tcs.frame(n), denied.error);
      return false;
    }
  }
  return true;
}

// EENTER's and ERESUME's common checks of the TCS. Claims it.
Tcs* claim(ThreadBlock& thread, Address address, Event& fault) {
  fault = general_protection();
  if (!aligned(address, kPageSize)) return nullptr;
  Enclave* enclave = enclave_at(address);
  if (enclave == nullptr || !enclave->initialized.load()) {
    fault = page_fault(address, sgx::pf_error::kUser | sgx::pf_error::kWrite);
    return nullptr;
  }
  {
    // The kernel's view first: the TCS page must be mapped RW.
    const Locked locked(enclave->lock);
    const Vma* vma = enclave->vmas.find(address);
    const Epcm page = enclave->page(address);
    const Rights needed = kRead | kWrite;
    if (vma == nullptr || (vma->rights & needed) != needed || (vma->rights & ~page.max()) != 0) {
      fault = page_fault(address, sgx::pf_error::kUser | sgx::pf_error::kWrite |
                                      (page.valid() ? sgx::pf_error::kPresent : 0));
      return nullptr;
    }
    if (page.type() != sgx::PageType::kTcs || page.pending() || page.modified()) {
      fault = page_fault(address, sgx::pf_error::kUser | sgx::pf_error::kWrite |
                                      sgx::pf_error::kPresent | sgx::pf_error::kSgx);
      return nullptr;
    }
  }
  Tcs* tcs = find_tcs(address);
  if (tcs == nullptr) return nullptr;
  if ((tcs->flags & ~sgx::tcs_flags::kDbgOptIn) != 0) return nullptr;
  if (tcs->busy.exchange(1) != 0) return nullptr;
  follow_enclave(thread, *enclave);
  return tcs;
}

// If every frame of the TCS is usable, later entries need not look: until an ioctl clears
// `validated`.
void remember(Tcs& tcs, ThreadBlock& thread) {
  Event ignored;
  if (options().strict && next_random(thread.random) % 64 == 0) return;
  if (!ssa_usable(tcs, thread, 0, tcs.nssa, ignored)) return;
  const Locked locked(tcs.enclave->lock);
  const Epcm page = tcs.enclave->page(tcs.address);
  if (page.type() != sgx::PageType::kTcs || page.pending() || page.modified()) return;
  tcs.validated.store(1);
  thread.cached = &tcs;
}

// An opt-out entry runs without TF; step_ticks() runs all with it.
void set_trap_flag(const Tcs& tcs, std::uint64_t& rflags) {
  if ((tcs.flags & sgx::tcs_flags::kDbgOptIn) == 0) rflags &= ~kTrapFlag;
  if (stepping()) rflags |= kTrapFlag;
}

void synthesize(Registers& regs, const Tcs& tcs, std::uint64_t rsp, std::uint64_t rbp) {
  std::uint64_t rflags = regs.rflags & ~(kArithmeticFlags | kResumeFlag);
  if (stepping()) rflags &= ~kTrapFlag;
  regs = {};
  regs.rax = static_cast<std::uint64_t>(sgx::Enclu::kEresume);
  regs.rbx = tcs.address;
  regs.rcx = tcs.aep;
  regs.rsp = rsp;
  regs.rbp = rbp;
  regs.rflags = rflags;
  regs.rip = tcs.aep;
}

std::uint64_t segment_cs() {
  std::uint16_t value;
  __asm__ volatile("mov %%cs, %0" : "=r"(value));
  return value;
}
std::uint64_t segment_ss() {
  std::uint16_t value;
  __asm__ volatile("mov %%ss, %0" : "=r"(value));
  return value;
}

}  // namespace

Address Tcs::frame(std::uint64_t n) const { return ossa + n * enclave->frame_size; }

void Tcs::set_cssa(std::uint64_t n) {
  cssa = n;
  gpr = frame(n) + sgx::gprsgx_offset(enclave->frame_size);
  ssa_free = n < nssa;
}

Event exception(std::uint8_t vector, std::uint16_t error, Address address) {
  const std::uint32_t type =
      vector == sgx::vector::kBp ? sgx::exitinfo::kTypeSoftware : sgx::exitinfo::kTypeHardware;
  return {.exitinfo = sgx::exitinfo::kValid | type | vector,
          .vector = vector,
          .error = error,
          .address = address};
}

void Context::get(Registers& out) {
  const auto& g = frame->uc_mcontext.gregs;
  const auto u = [&](int i) { return static_cast<std::uint64_t>(g[i]); };
  out = {u(REG_RAX), u(REG_RCX), u(REG_RDX), u(REG_RBX), u(REG_RSP), u(REG_RBP),
         u(REG_RSI), u(REG_RDI), u(REG_R8),  u(REG_R9),  u(REG_R10), u(REG_R11),
         u(REG_R12), u(REG_R13), u(REG_R14), u(REG_R15), u(REG_EFL), u(REG_RIP)};
}

void Context::set(const Registers& in) {
  auto& g = frame->uc_mcontext.gregs;
  const auto put = [&](int i, std::uint64_t value) { g[i] = static_cast<greg_t>(value); };
  put(REG_RAX, in.rax), put(REG_RCX, in.rcx), put(REG_RDX, in.rdx), put(REG_RBX, in.rbx);
  put(REG_RSP, in.rsp), put(REG_RBP, in.rbp), put(REG_RSI, in.rsi), put(REG_RDI, in.rdi);
  put(REG_R8, in.r8), put(REG_R9, in.r9), put(REG_R10, in.r10), put(REG_R11, in.r11);
  put(REG_R12, in.r12), put(REG_R13, in.r13), put(REG_R14, in.r14), put(REG_R15, in.r15);
  put(REG_EFL, in.rflags), put(REG_RIP, in.rip);
}

Tcs* find_tcs(Address address) {
  Enclave* enclave = enclave_at(address);
  if (enclave == nullptr) return nullptr;
  const Locked locked(enclave->lock);
  for (const auto& tcs : enclave->tcss) {
    if (tcs->address == address) return tcs.get();
  }
  return nullptr;
}

bool eenter(Context& context, Event& fault) {
  ThreadBlock& thread = *context.thread;
  Registers regs;
  context.get(regs);
  Tcs* tcs = claim(thread, regs.rbx, fault);
  if (tcs == nullptr) return false;
  const auto refuse = [&](Event event) {
    fault = event;
    tcs->busy.store(0);
    return false;
  };
  if (tcs->cssa >= tcs->nssa || !canonical(tcs->entry) || !canonical(regs.rcx)) {
    return refuse(general_protection());
  }
  if (!ssa_usable(*tcs, thread, tcs->cssa, 1, fault)) return refuse(fault);
  remember(*tcs, thread);

  auto& gpr = gprsgx(tcs->frame(tcs->cssa), *tcs->enclave);
  gpr.ursp = regs.rsp;
  gpr.urbp = regs.rbp;
  tcs->aep = regs.rcx;
  thread.host_gs = context.gs;
  thread.host_fs = context.fs;
  thread.current = tcs;
  thread.leaf_count[static_cast<int>(sgx::Enclu::kEenter)]++;

  regs.rax = tcs->cssa;
  regs.rcx = regs.rip + sgx::kEncluBytes.size();
  regs.rip = tcs->entry;
  set_trap_flag(*tcs, regs.rflags);
  context.set(regs);
  context.fs = tcs->fsbase;
  context.gs = tcs->gsbase;
  return true;
}

void eexit(Context& context) {
  ThreadBlock& thread = *context.thread;
  Tcs* tcs = thread.current;
  context.set_rip(static_cast<Address>(context.reg(REG_RBX)));
  context.reg(REG_RAX) = static_cast<greg_t>(sgx::Enclu::kEexit);
  context.reg(REG_RCX) = static_cast<greg_t>(tcs->aep);
  if (stepping()) context.reg(REG_EFL) &= ~static_cast<greg_t>(kTrapFlag);
  context.fs = thread.host_fs;
  context.gs = thread.host_gs;
  thread.leaf_count[static_cast<int>(sgx::Enclu::kEexit)]++;
  thread.current = nullptr;
  tcs->busy.store(0);
}

void aex(Context& context, const Event& event) {
  ThreadBlock& thread = *context.thread;
  Tcs& tcs = *thread.current;
  Enclave& enclave = *tcs.enclave;
  const Address frame = tcs.frame(tcs.cssa);
  Access denied;
  if (!ensure(enclave, frame, enclave.frame_size, kRead | kWrite, &thread, denied)) {
    die("the SSA frame became inaccessible while its thread was in the enclave, at", frame);
  }
  Registers regs;
  context.get(regs);
  auto& gpr = gprsgx(frame, enclave);
  const std::uint64_t ursp = gpr.ursp, urbp = gpr.urbp;
  *at<Registers>(frame + sgx::gprsgx_offset(enclave.frame_size)) = regs;
  gpr.rflags = regs.rflags & ~kTrapFlag;
  gpr.exitinfo = event.exitinfo;
  gpr.fsbase = context.fs;
  gpr.gsbase = context.gs;
  const bool with_address = event.vector == sgx::vector::kPf || event.vector == sgx::vector::kGp;
  if (with_address && event.exitinfo != 0) {
    if ((enclave.secs.miscselect & sgx::miscselect::kExinfo) != 0) {
      const Address exinfo = frame + sgx::exinfo_offset(enclave.frame_size);
      *at<sgx::Exinfo>(exinfo) = {.maddr = event.address, .errcd = event.error, .reserved = 0};
    } else {
      gpr.exitinfo = 0;  // #PF and #GP are reported only with EXINFO
    }
  }
  save_xstate(context, frame, enclave.secs.attributes.xfrm);

  synthesize(regs, tcs, ursp, urbp);
  context.set(regs);
  context.fs = thread.host_fs;
  context.gs = thread.host_gs;
  tcs.set_cssa(tcs.cssa + 1);
  thread.aex_count++;
  thread.current = nullptr;
  tcs.busy.store(0);
  spend(options().cost.aex);
}

bool eresume(Context& context, Event& fault) {
  ThreadBlock& thread = *context.thread;
  Registers host;
  context.get(host);
  Tcs* tcs = claim(thread, host.rbx, fault);
  if (tcs == nullptr) return false;
  const auto refuse = [&](Event event) {
    fault = event;
    tcs->busy.store(0);
    return false;
  };
  if (tcs->cssa == 0 || !canonical(host.rcx)) return refuse(general_protection());
  if (!ssa_usable(*tcs, thread, tcs->cssa - 1, 1, fault)) return refuse(fault);
  remember(*tcs, thread);
  Enclave& enclave = *tcs->enclave;
  const Address frame = tcs->frame(tcs->cssa - 1);
  auto& gpr = gprsgx(frame, enclave);
  if (!canonical(gpr.rip) || !canonical(gpr.fsbase) || !canonical(gpr.gsbase) ||
      !load_xstate(context, frame, enclave.secs.attributes.xfrm)) {
    return refuse(general_protection());
  }
  Registers regs = *at<Registers>(frame + sgx::gprsgx_offset(enclave.frame_size));
  gpr.ursp = host.rsp;
  gpr.urbp = host.rbp;
  regs.rflags = (regs.rflags & kUserFlags) | (host.rflags & ~kUserFlags);
  set_trap_flag(*tcs, regs.rflags);
  thread.host_fs = context.fs;
  thread.host_gs = context.gs;
  tcs->aep = host.rcx;
  tcs->set_cssa(tcs->cssa - 1);
  thread.current = tcs;
  thread.leaf_count[static_cast<int>(sgx::Enclu::kEresume)]++;
  context.set(regs);
  context.fs = gpr.fsbase;
  context.gs = gpr.gsbase;
  return true;
}

void undo_resume(Context& context) {
  ThreadBlock& thread = *context.thread;
  Tcs& tcs = *thread.current;
  Registers regs;
  context.get(regs);
  regs.rflags &= ~kTrapFlag;
  synthesize(regs, tcs, thread.resume_rsp, thread.resume_rbp);
  context.set(regs);
  // The frame may hold half of the enclave's vector state; the whole is in the SSA. Drop it.
  const auto fp = reinterpret_cast<Address>(context.frame->uc_mcontext.fpregs);
  *at<std::uint32_t>(fp + 24) = 0x1f80;
  *at<std::uint64_t>(fp + 512) &= ~tcs.enclave->secs.attributes.xfrm;
  context.fs = thread.host_fs;
  context.gs = thread.host_gs;
  thread.leaf_count[static_cast<int>(sgx::Enclu::kEresume)]--;
  tcs.set_cssa(tcs.cssa + 1);
  thread.current = nullptr;
  tcs.busy.store(0);
}

}  // namespace emulator

// fast.S: readies an ERESUME of thread->cached so that only loading registers remains. 0: take the
// trap, which finds out what is wrong. Runs on the host's stack with the host's FS; signals wait.
std::uint32_t emu_resume_prepare(emulator::ThreadBlock* thread) {
  using namespace emulator;
  Tcs& tcs = *thread->cached;
  if (tcs.validated.load() == 0 || tcs.cssa == 0) return 0;
  if (tcs.busy.exchange(1) != 0) return 0;
  Enclave& enclave = *tcs.enclave;
  const Address frame = tcs.frame(tcs.cssa - 1);
  auto& gpr = gprsgx(frame, enclave);
  if (tcs.cssa == 0 || !canonical(gpr.rip) || !canonical(gpr.fsbase) || !canonical(gpr.gsbase) ||
      !valid_xstate(frame, enclave.secs.attributes.xfrm)) {
    tcs.busy.store(0);
    return 0;
  }
  thread->regs = *at<Registers>(frame + sgx::gprsgx_offset(enclave.frame_size));
  gpr.ursp = thread->resume_rsp;
  gpr.urbp = thread->resume_rbp;
  std::uint64_t rflags = (thread->regs.rflags & kUserFlags) | 0x202;
  if ((tcs.flags & sgx::tcs_flags::kDbgOptIn) == 0) rflags &= ~kTrapFlag;
  thread->iret = {thread->regs.rip, segment_cs(), rflags, thread->regs.rsp, segment_ss()};
  thread->xsave = frame;
  thread->xfrm = enclave.secs.attributes.xfrm;
  thread->new_fs = gpr.fsbase;
  thread->new_gs = gpr.gsbase;
  thread->host_gs = raw::gsbase();
  tcs.aep = reinterpret_cast<Address>(emu_aep);
  tcs.set_cssa(tcs.cssa - 1);
  thread->leaf_count[static_cast<int>(sgx::Enclu::kEresume)]++;
  thread->current = &tcs;
  return 1;
}
