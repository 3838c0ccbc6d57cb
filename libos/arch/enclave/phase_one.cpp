// Phase 1 of exception and tick handling: the entry at CSSA = 1. (SDM 34.9, 37.4; design: "Exceptions are two-phase")
//
// After an asynchronous exit the program's, or the LibOS's, registers lie in SSA frame 0. Phase 1 looks at them, decides
// where the interrupted vCPU shall continue and edits the frame; after its EEXIT the host's ERESUME continues there at
// CSSA = 0. So the real work is done by ordinary LibOS code that may block, and phase 1 stays small: it takes no lock,
// allocates nothing and touches only memory that is committed for as long as the vCPU lives.
//
// The host chooses when phase 1 runs and may call it more than once for one exit: EXITINFO is consumed by the first.
#include "abi/enclave_image.h"
#include "libos/arch/arch.h"
#include "libos/arch/enclave/image_symbols_raw.h"
#include "libos/arch/enclave/instructions_raw.h"
#include "libos/arch/enclave/ssa_raw.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/host_denial.h"
#include "libos/arch/memory.h"
#include "libos/arch/registers.h"
#include "libos/lib/address.h"
#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/lib/panic.h"
#include "sgx/arch.h"

namespace occlum {
namespace {

constexpr uint64_t kCleanFlags = 2;  // the bit that is always one
constexpr int kPanicStatus = 125;

// The fixup for a LibOS instruction that may fault, or 0.
uint64_t fixup_for(uint64_t rip) {
  for (const Fixup& fixup : fixups()) {
    if (rip >= fixup.from && rip < fixup.to) return fixup.target;
  }
  return 0;
}

void save_user_registers(const sgx::Gprsgx& from, UserRegisters& to) {
  to = {.rax = from.rax,
        .rbx = from.rbx,
        .rcx = from.rcx,
        .rdx = from.rdx,
        .rsi = from.rsi,
        .rdi = from.rdi,
        .rbp = from.rbp,
        .rsp = from.rsp,
        .r8 = from.r8,
        .r9 = from.r9,
        .r10 = from.r10,
        .r11 = from.r11,
        .r12 = from.r12,
        .r13 = from.r13,
        .r14 = from.r14,
        .r15 = from.r15,
        .rip = from.rip,
        .rflags = from.rflags,
        .fs_base = from.fsbase,
        .gs_base = from.gsbase,
        .original_rax = UINT64_MAX,
        .reserved = 0};
}

// Continue at `entry` on the kernel stack, below the registers that were saved at its top.
void redirect(VcpuBlock& vcpu, sgx::Gprsgx& gpr, uint64_t entry, uint64_t registers) {
  gpr.rip = entry;
  gpr.rdi = registers;
  gpr.rsp = registers;
  gpr.rflags = kCleanFlags;
  gpr.gsbase = address_of(&vcpu);
}

void handle_tick(VcpuBlock& vcpu, sgx::Gprsgx& gpr) {
  vcpu.work.fetch_or(kWorkReschedule, std::memory_order_relaxed);
  const uint64_t registers = vcpu.kernel_stack_top - sizeof(UserRegisters);
  if (!in_libos_text(gpr.rip)) {
    save_user_registers(gpr, vcpu.context->user_registers());
    redirect(vcpu, gpr, code_address(user_tick_entry), registers);
  } else if (gpr.rip >= code_address(restore_begin) && gpr.rip < code_address(restore_end)) {
    redirect(vcpu, gpr, code_address(restart_user_return), registers);
  }
}

// A page fault of the LibOS on memory of the enclave may be stale, or the host made a page inaccessible for a moment: try
// again. If it comes again and again without progress, it is a bug (a guard page, read-only data) or a host that denies
// service: a guarded access fails then, and elsewhere the LibOS stops with a message instead of spinning.
bool is_stale(VcpuBlock& vcpu, const sgx::Gprsgx& gpr, uint64_t address) {
  constexpr uint32_t kMaxInARow = 64;
  if (address >= abi::kElrangeSize) return false;
  UserRegisters registers;
  save_user_registers(gpr, registers);
  // Each return to a program counts as a barrier.
  const uint32_t returns = vcpu.barriers.load(std::memory_order_relaxed);
  return vcpu.stale_fault.note(registers, returns) <= kMaxInARow;
}

Prot access_of(const FaultInfo& fault) {
  return (fault.error_code & sgx::pf_error::kWrite) != 0 ? Prot::kWrite : Prot::kRead;
}

// Whether a guarded access met a page that its caller has nothing to do for: one side of a copy is the LibOS's own. What
// lies in a program's range is the caller's to judge, and so are pages of the LibOS that are not accessible now.
bool is_own_page(const FaultInfo& fault) {
  if (fault.vector != sgx::vector::kPf || user_range().contains(fault.address)) return false;
  return fault.address >= abi::kConfigAddress ||  // the image: what is copied there may be
         must_be_accessible(fault.address, access_of(fault));
}

void handle_exception(VcpuBlock& vcpu, sgx::Gprsgx& gpr, const FaultInfo& fault) {
  if (in_libos_text(gpr.rip)) {
    const uint64_t target = fixup_for(gpr.rip);
    const bool may_be_stale = target != 0 ? is_own_page(fault) : fault.vector == sgx::vector::kPf;
    if (may_be_stale && is_stale(vcpu, gpr, fault.address)) return;
    if (target != 0) {
      gpr.rip = target;
      gpr.rax = fault.address;
      return;
    }
    vcpu.fault = fault;
    gpr.rdi = gpr.rip;
    gpr.rsi = gpr.rsp;
    gpr.rip = code_address(libos_fault_entry);
    gpr.rsp = vcpu.exception_stack - kPanicStackOffset;
    return;
  }
  if (vcpu.context == nullptr) return;
  vcpu.fault = fault;
  save_user_registers(gpr, vcpu.context->user_registers());
  redirect(vcpu, gpr, code_address(user_exception_entry),
           vcpu.kernel_stack_top - sizeof(UserRegisters));
}

}  // namespace

extern "C" void phase_one(VcpuBlock& vcpu) {
  if (vcpu.dead)
    undefined_instruction();  // an exception of phase 1: the host cannot enter any more
  sgx::Gprsgx& gpr = interrupted_registers(vcpu.ssa);
  const sgx::Exinfo& exinfo = exception_information(vcpu.ssa);
  const uint32_t exit_info = gpr.exitinfo;
  gpr.exitinfo = 0;
  if ((exit_info & sgx::exitinfo::kValid) == 0) {
    handle_tick(vcpu, gpr);
    return;
  }
  FaultInfo fault{.vector = static_cast<uint8_t>(exit_info & sgx::exitinfo::kVectorMask),
                  .error_code = 0,
                  .address = 0};
  if (fault.vector == sgx::vector::kPf || fault.vector == sgx::vector::kGp) {
    fault.error_code = exinfo.errcd;
    fault.address = exinfo.maddr;
  }
  handle_exception(vcpu, gpr, fault);
}

// A fault of the LibOS itself that nothing foresaw: a bug, or a host that denies what it said it granted. Runs on the
// spare half of the exception stack.
extern "C" [[noreturn]] void libos_fault(uint64_t rip, uint64_t stack_pointer) {
  const FaultInfo& fault = this_vcpu().fault;
  std::array<char, 200> text;
  // In its page table, or in the EPCM: it can begin to change a page's type whenever it likes.
  if (fault.vector == sgx::vector::kPf && must_be_accessible(fault.address, access_of(fault))) {
    log_write(
        LogLevel::kOff,  // whatever the log level
        format_to(text, "the host denies access to memory that it gave to the enclave, at {:x}",
                  fault.address));
    shut_down(kPanicStatus);
  }
  panic_write(format_to(
      text, "fault {} (error {:x}, address {:x}) in the LibOS at {:x}, stack {:x}",
      static_cast<unsigned>(fault.vector), fault.error_code, fault.address, rip, stack_pointer));
}

}  // namespace occlum
