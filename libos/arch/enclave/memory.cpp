// EPC memory by ENCLU leaves; see arch/memory.h. (SDM 36: EACCEPT, EACCEPTCOPY, EMODPE)
//
// Leaves get page-aligned addresses inside the dynamic ranges, and a SECINFO on our own stack.
//
// EACCEPT of a page that does not exist yet faults; the driver EAUGs the page and the leaf is executed again: growing
// needs no exit of our own (EACCEPT-first). A leaf's failure means that the host has no page for us, or lies.
#include "libos/arch/memory.h"

#include "abi/enclave_image.h"
#include "abi/host_call.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/lib/address.h"
#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "sgx/arch.h"

namespace occlum {
namespace {

extern "C" uint64_t enclu_leaf(uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx);

uint64_t permissions(Prot prot) {
  return (has(prot, Prot::kRead) ? sgx::secinfo_flags::kR : 0) |
         (has(prot, Prot::kWrite) ? sgx::secinfo_flags::kW : 0) |
         (has(prot, Prot::kExec) ? sgx::secinfo_flags::kX : 0);
}

constexpr uint64_t kFaulted = UINT64_MAX;

// RAX after the leaf, or kFaulted. A fault may be stale, as any of the LibOS's: it is tried again, but not for ever.
uint64_t leaf(sgx::Enclu number, const sgx::Secinfo& secinfo, uint64_t rcx, uint64_t rdx = 0) {
  constexpr int kTries = 16;
  uint64_t result = kFaulted;
  for (int i = 0; i < kTries && result == kFaulted; ++i) {
    result = enclu_leaf(static_cast<uint64_t>(number), address_of(&secinfo), rcx, rdx);
  }
  return result;
}

Result<void> host_result(int64_t result) {
  if (result == 0) return {};
  return result == -static_cast<int64_t>(Errno::kNoMem) ? Errno::kNoMem : Errno::kIo;
}

}  // namespace

AddressRange user_range() { return {abi::kElrangeFirstMapped, abi::kKernelStart}; }
AddressRange kernel_dynamic_range() { return {abi::kKernelStart, abi::kConfigAddress}; }

Result<void> commit_pages(uint64_t address, uint64_t count) {
  const sgx::Secinfo fresh{.flags = sgx::secinfo_flags::kR | sgx::secinfo_flags::kW |
                                    sgx::secinfo_flags::kReg | sgx::secinfo_flags::kPending};
  for (uint64_t page = address; page < address + count * kPageSize; page += kPageSize) {
    if (leaf(sgx::Enclu::kEaccept, fresh, page) == 0) continue;
    // All or nothing: the pages before this one go back.
    if (page != address) (void)decommit_pages(address, (page - address) / kPageSize);
    return Errno::kNoMem;
  }
  return {};
}

Result<void> commit_page_copy(uint64_t address, uint64_t from, Prot prot) {
  const sgx::Secinfo copied{.flags = permissions(prot) | sgx::secinfo_flags::kReg};
  if (leaf(sgx::Enclu::kEacceptcopy, copied, address, from) != 0) return Errno::kNoMem;
  return {};
}

Result<void> extend_page_rights(uint64_t address, uint64_t count, Prot prot) {
  const sgx::Secinfo wider{.flags = permissions(prot) | sgx::secinfo_flags::kReg};
  for (uint64_t page = address; page < address + count * kPageSize; page += kPageSize) {
    // EMODPE has no error code: a bad operand faults.
    if (leaf(sgx::Enclu::kEmodpe, wider, page) == kFaulted) return Errno::kIo;
  }
  return {};
}

// What the host claims to have restricted is seen by EACCEPT, which compares the rights.
Result<void> restrict_page_rights(uint64_t address, uint64_t count, Prot prot) {
  TRY(host_result(make_host_call(abi::HostCallNumber::kRestrict, address, count * kPageSize,
                                 permissions(prot))));
  const sgx::Secinfo narrower{.flags = permissions(prot) | sgx::secinfo_flags::kReg |
                                       sgx::secinfo_flags::kPr};
  for (uint64_t page = address; page < address + count * kPageSize; page += kPageSize) {
    if (leaf(sgx::Enclu::kEaccept, narrower, page) != 0) return Errno::kIo;
  }
  return {};
}

Result<void> set_host_protection(uint64_t address, uint64_t length, Prot prot) {
  return host_result(
      make_host_call(abi::HostCallNumber::kProtect, address, length, static_cast<uint64_t>(prot)));
}

Result<void> decommit_pages(uint64_t address, uint64_t count) {
  const uint64_t length = count * kPageSize;
  // EACCEPT of a trimmed page needs the page tables to let it through. Not before it is trimmed: a page that was kept
  // would show its old content to other threads meanwhile.
  TRY(host_result(make_host_call(abi::HostCallNumber::kModifyTypes, address, length,
                                 static_cast<uint64_t>(sgx::PageType::kTrim))));
  TRY(set_host_protection(address, length, Prot::kRead | Prot::kWrite | Prot::kExec));
  const sgx::Secinfo trimmed{.flags = sgx::secinfo_flags::kTrim | sgx::secinfo_flags::kModified};
  for (uint64_t page = address; page < address + length; page += kPageSize) {
    if (leaf(sgx::Enclu::kEaccept, trimmed, page) != 0) return Errno::kIo;
  }
  return host_result(make_host_call(abi::HostCallNumber::kRemovePages, address, length));
}

// The driver lets a TCS be mapped RW at most, so the mapping loses X first.
Result<void> accept_tcs(uint64_t page) {
  TRY(set_host_protection(page, kPageSize, Prot::kRead | Prot::kWrite));
  TRY(host_result(make_host_call(abi::HostCallNumber::kModifyTypes, page, kPageSize,
                                 static_cast<uint64_t>(sgx::PageType::kTcs))));
  const sgx::Secinfo tcs{.flags = sgx::secinfo_flags::kTcs | sgx::secinfo_flags::kModified};
  if (leaf(sgx::Enclu::kEaccept, tcs, page) != 0) return Errno::kIo;
  return {};
}

}  // namespace occlum
