// The ENCLU leaves that an enclave executes for its own memory and frames: EACCEPT, EACCEPTCOPY,
// EMODPE, EDECCSSA. Order and kind of the checks are those of the SDM's pseudo-code (volume 3D,
// chapter 38).
//
// On the fast path this runs with the enclave's FS, GS and vector registers: no TLS, and the file
// is compiled without SSE.
//
// ETRACK: the driver's ioctls track and flush before they return, so that SGX_NOT_TRACKED cannot
// happen.
#include "emulator/internal.h"
#include "emulator/raw_syscall.h"

namespace emulator {

int self_memory = -1;  // /proc/self/mem: writes to pages that the page tables do not yet grant

namespace {

namespace flag = sgx::secinfo_flags;

constexpr std::uint64_t kArithmetic = 0x8d5;
constexpr std::uint64_t kZero = 1u << 6;

LeafResult fail(Event& fault, Event event) {
  fault = event;
  return LeafResult::kFault;
}
LeafResult general_protection(Event& fault) { return fail(fault, exception(sgx::vector::kGp)); }
LeafResult page_fault(Event& fault, Address address, std::uint32_t error) {
  return fail(fault, exception(sgx::vector::kPf, static_cast<std::uint16_t>(error), address));
}
constexpr std::uint32_t kEpcmError =
    sgx::pf_error::kPresent | sgx::pf_error::kUser | sgx::pf_error::kSgx;

LeafResult done(Registers& regs, sgx::Error error) {
  regs.rax = static_cast<std::uint64_t>(error);
  regs.rflags = (regs.rflags & ~kArithmetic) | (error == sgx::Error::kSuccess ? 0 : kZero);
  return LeafResult::kDone;
}

// The rights of the VMA at `address`; 0 without one. From the thread's copy if that is still good.
Rights vma_rights(ThreadBlock& thread, Enclave& enclave, Address address) {
  const auto generation = enclave.vma_generation.load(std::memory_order_acquire);
  if (thread.vma_enclave == &enclave && thread.vma_generation == generation &&
      address >= thread.vma.start && address < thread.vma.end) {
    return thread.vma.rights;
  }
  const Locked locked(enclave.lock);
  const Vma* vma = enclave.vmas.find(address);
  if (vma == nullptr) return 0;
  thread.vma = *vma;
  thread.vma_enclave = &enclave;
  thread.vma_generation = enclave.vma_generation.load(std::memory_order_relaxed);
  return vma->rights;
}

// Reads a SECINFO operand in the enclave.
bool read_secinfo(ThreadBlock& thread, Address address, std::uint64_t& flags, Event& fault) {
  Enclave& enclave = *thread.current->enclave;
  if (!aligned(address, sizeof(sgx::Secinfo)) || !enclave.contains(address)) {
    fault = exception(sgx::vector::kGp);
    return false;
  }
  Access denied;
  if (!ensure(enclave, address, sizeof(sgx::Secinfo), kRead, &thread, denied)) {
    fault = exception(sgx::vector::kPf, static_cast<std::uint16_t>(denied.error), address);
    return false;
  }
  const auto* words = at<const volatile std::uint64_t>(address);
  flags = words[0];
  std::uint64_t reserved = 0;
  for (std::size_t i = 1; i < sizeof(sgx::Secinfo) / 8; i++) reserved |= words[i];
  const bool write_only = (flags & flag::kR) == 0 && (flags & flag::kW) != 0;
  if (reserved != 0 || (flags & flag::kReservedMask) != 0 || write_only) {
    fault = exception(sgx::vector::kGp);
    return false;
  }
  return true;
}

// A page operand: aligned, in ELRANGE, mapped; present, or added now as the driver does on the
// fault.
bool reach_page(ThreadBlock& thread, Address address, Event& fault) {
  Enclave& enclave = *thread.current->enclave;
  if (!aligned(address, kPageSize) || !enclave.contains(address)) {
    fault = exception(sgx::vector::kGp);
    return false;
  }
  if (vma_rights(thread, enclave, address) == 0) {
    fault = exception(sgx::vector::kPf, sgx::pf_error::kUser, address);
    return false;
  }
  if (!enclave.page(address).valid() && augment(enclave, address, &thread) == Augmented::kLost)
    thread.lost_race = address;
  if (thread.lost_race != address) return true;
  fault = exception(sgx::vector::kPf, sgx::pf_error::kUser | sgx::pf_error::kWrite, address);
  return false;
}

sgx::PageType type_of(std::uint64_t flags) {
  return static_cast<sgx::PageType>((flags & flag::kTypeMask) >> flag::kTypeShift);
}

LeafResult eaccept(ThreadBlock& thread, Registers& regs, Event& fault) {
  std::uint64_t flags;
  if (!read_secinfo(thread, regs.rbx, flags, fault)) return LeafResult::kFault;
  const Address target = regs.rcx;
  if (!reach_page(thread, target, fault)) return LeafResult::kFault;

  const sgx::PageType type = type_of(flags);
  const bool pending = (flags & flag::kPending) != 0, modified = (flags & flag::kModified) != 0;
  const bool legal =
      type == sgx::PageType::kReg
          ? !modified
          : (type == sgx::PageType::kTcs || type == sgx::PageType::kTrim) && !pending && modified;
  if (!legal) return general_protection(fault);

  Enclave& enclave = *thread.current->enclave;
  const Epcm page = enclave.page(target);
  if (page.type() != sgx::PageType::kReg && page.type() != sgx::PageType::kTcs &&
      page.type() != sgx::PageType::kTrim) {
    return page_fault(fault, target, kEpcmError);
  }
  if (page.pending() != pending || page.modified() != modified || page.type() != type ||
      page.rights() != (flags & flag::kPermissions)) {
    return done(regs, sgx::Error::kPageAttributesMismatch);
  }
  const Epcm accepted = page.with_pending(false).with_modified(false).with_pr(false);
  if (!enclave.exchange(target, page, accepted)) return general_protection(fault);
  return done(regs, sgx::Error::kSuccess);
}

LeafResult eacceptcopy(ThreadBlock& thread, Registers& regs, Event& fault) {
  const Address target = regs.rcx, source = regs.rdx;
  Enclave& enclave = *thread.current->enclave;
  if (!aligned(source, kPageSize) || !enclave.contains(source)) return general_protection(fault);
  if (!reach_page(thread, target, fault)) return LeafResult::kFault;
  std::uint64_t flags;
  if (!read_secinfo(thread, regs.rbx, flags, fault)) return LeafResult::kFault;
  if (type_of(flags) != sgx::PageType::kReg) return general_protection(fault);
  Access denied;
  if (!ensure(enclave, source, kPageSize, kRead, &thread, denied)) {
    return page_fault(fault, source, denied.error);
  }

  const Locked locked(enclave.lock);  // against a second EACCEPTCOPY to the page
  const Epcm page = enclave.page(target);
  if (page.type() != sgx::PageType::kReg || !page.pending() || page.modified()) {
    return done(regs, sgx::Error::kPageAttributesMismatch);
  }
  if (page.rights() != (kRead | kWrite)) return page_fault(fault, target, kEpcmError);
  const long copied = raw::syscall(SYS_pwrite64, self_memory, source, kPageSize, target);
  if (copied != static_cast<long>(kPageSize)) {
    return page_fault(fault, source, sgx::pf_error::kUser | sgx::pf_error::kPresent);
  }
  const Epcm accepted =
      page.with_pending(false).with_pr(false).with_rights(flags & flag::kPermissions);
  if (!enclave.exchange(target, page, accepted)) return general_protection(fault);
  return done(regs, sgx::Error::kSuccess);
}

LeafResult emodpe(ThreadBlock& thread, Registers& regs, Event& fault) {
  std::uint64_t flags;
  if (!read_secinfo(thread, regs.rbx, flags, fault)) return LeafResult::kFault;
  const Address target = regs.rcx;
  if (!reach_page(thread, target, fault)) return LeafResult::kFault;
  Enclave& enclave = *thread.current->enclave;
  for (;;) {
    const Epcm page = enclave.page(target);
    if (!page.usable()) return page_fault(fault, target, kEpcmError);
    const Rights rights = page.rights() | (flags & flag::kPermissions);
    if ((rights & kRead) == 0 && (rights & kWrite) != 0) return general_protection(fault);
    if (enclave.exchange(target, page, page.with_rights(rights))) return LeafResult::kDone;
  }
}

LeafResult edeccssa(ThreadBlock& thread, Event& fault) {
  Tcs& tcs = *thread.current;
  Enclave& enclave = *tcs.enclave;
  if (tcs.cssa == 0) return general_protection(fault);
  Access denied;
  const Address frame = tcs.frame(tcs.cssa - 1);
  if (!ensure(enclave, frame, enclave.frame_size, kRead | kWrite, &thread, denied)) {
    return page_fault(fault, frame, denied.error);
  }
  // The host's stack is that of this entry, so the next AEX from the lower frame must restore it.
  const auto* old = at<sgx::Gprsgx>(tcs.gpr);
  const std::uint64_t ursp = old->ursp, urbp = old->urbp;
  tcs.set_cssa(tcs.cssa - 1);
  at<sgx::Gprsgx>(tcs.gpr)->ursp = ursp;
  at<sgx::Gprsgx>(tcs.gpr)->urbp = urbp;
  return LeafResult::kDone;
}

}  // namespace

LeafResult execute_leaf(ThreadBlock& thread, Registers& regs, Event& fault) {
  const auto leaf = static_cast<std::uint32_t>(regs.rax);
  if (leaf < sgx::kEncluLeaves) thread.leaf_count[leaf]++;
  spend(options().cost.leaf);
  switch (static_cast<sgx::Enclu>(leaf)) {
    case sgx::Enclu::kEaccept:
      return eaccept(thread, regs, fault);
    case sgx::Enclu::kEacceptcopy:
      return eacceptcopy(thread, regs, fault);
    case sgx::Enclu::kEmodpe:
      return emodpe(thread, regs, fault);
    case sgx::Enclu::kEdeccssa:
      return edeccssa(thread, fault);
    case sgx::Enclu::kEreport:
      return ereport(thread, regs, fault);
    case sgx::Enclu::kEgetkey:
      return egetkey(thread, regs, fault);
    default:
      return general_protection(fault);  // EENTER in an enclave, EVERIFYREPORT2, unknown
  }
}

}  // namespace emulator

// fast.S: a leaf from a patched site. Not EREPORT nor EGETKEY, whose stub traps: they use vector
// registers.
std::uint32_t emu_leaf(emulator::ThreadBlock* thread) {
  using namespace emulator;
  Event fault;
  thread->regs.rflags = 2;
  const std::uint64_t leaf = thread->regs.rax;
  const auto result = execute_leaf(*thread, thread->regs, fault);
  const bool faults = result == LeafResult::kFault;
  if (faults) thread->leaf_count[leaf]--;  // the trap path executes it again, and delivers
  const char* tail = faults ? emu_stub_tail_fault : emu_stub_tail;
  thread->site_tail = thread->site + static_cast<Address>(tail - emu_stub);
  return 0;
}
