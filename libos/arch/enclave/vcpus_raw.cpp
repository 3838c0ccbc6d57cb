// Starting further vCPUs: TCSs out of dynamic memory. (SDM 36: EMODT by the driver, EACCEPT)
//
// Only one TCS is measured. Another vCPU is a block of committed pages: one page that becomes the TCS, two SSA frames,
// the vCPU block, the stack of phase 1 and the idle stack. A page that is to become a TCS is written as an ordinary page
// first; its fields are checked by EENTER, not by EACCEPT.
//
// Invariant: a vCPU's memory is allocated once, laid out as below, and never freed.
#include "libos/arch/enclave/boot.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/arch/enclave/image_symbols_raw.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/memory.h"
#include "libos/arch/vcpus.h"
#include "libos/lib/lock.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "sgx/arch.h"

namespace occlum {

Result<void> accept_tcs(uint64_t page);

namespace {

extern "C" VcpuBlock vcpu0_block;

constexpr uint64_t kTcsPages = 1;
constexpr uint64_t kSsaPages = abi::kSsaFrames * abi::kSsaFrameSizePages;
constexpr uint64_t kBlockPages = 1;
constexpr uint64_t kExceptionStackPages = 4;
constexpr uint64_t kIdleStackPages = 8;
constexpr uint64_t kVcpuPages =
    kTcsPages + kSsaPages + kBlockPages + kExceptionStackPages + kIdleStackPages;
static_assert(sizeof(VcpuBlock) <= kBlockPages * kPageSize);

constinit std::array<std::atomic<VcpuBlock*>, abi::kMaxVcpus> blocks{&vcpu0_block};
constinit std::atomic<uint32_t> started{1};
constinit std::atomic<bool> starting{false};

void fill_tcs(uint64_t page, uint64_t ssa, uint64_t block) {
  auto& tcs = *reinterpret_cast<sgx::Tcs*>(page);
  tcs.ossa = ssa;
  tcs.nssa = abi::kSsaFrames;
  tcs.oentry = code_address(enclave_entry);
  tcs.ogsbase = block;
  tcs.fslimit = tcs.gslimit = UINT32_MAX;
}

}  // namespace

VcpuBlock* vcpu_block(uint32_t index) {
  return index < blocks.size() ? blocks[index].load(std::memory_order_acquire) : nullptr;
}

void tick_vcpu_now(uint32_t index) { (void)make_host_call(abi::HostCallNumber::kTick, index); }

uint32_t started_vcpus() { return started.load(std::memory_order_acquire); }
uint32_t vcpu_count() { return static_cast<uint32_t>(boot_parameters().vcpus); }

Result<void> start_vcpu(uint32_t index) {
  const uint64_t tcs = TRY(allocate_pages(kVcpuPages));
  // The pages may hold old data; a TCS with a reserved bit set cannot be entered.
#pragma clang unsafe_buffer_usage begin
  zero_bytes(std::span(reinterpret_cast<std::byte*>(tcs), kVcpuPages * kPageSize));
#pragma clang unsafe_buffer_usage end
  const uint64_t ssa = tcs + kTcsPages * kPageSize;
  const uint64_t block_address = ssa + kSsaPages * kPageSize;
  const uint64_t exception_stack = block_address + (kBlockPages + kExceptionStackPages) * kPageSize;
  const uint64_t idle_stack = exception_stack + kIdleStackPages * kPageSize;

  auto* block = new (reinterpret_cast<void*>(block_address)) VcpuBlock{};
  block->self = block;
  block->canary = vcpu0_block.canary;
  block->syscall_entry = code_address(syscall_fast_entry);
  block->exception_stack = exception_stack;
  block->ssa = ssa;
  block->index = index;
  block->shared = boot_parameters().shared + index * abi::kVcpuSharedSize;
  block->tcs = tcs;
  // The first EENTER pops six registers and returns to the trampoline, with the stack aligned for a call.
  constexpr size_t kWords = 7;
#pragma clang unsafe_buffer_usage begin
  const std::span<uint64_t> words(
      reinterpret_cast<uint64_t*>(idle_stack - kWords * sizeof(uint64_t)), kWords);
#pragma clang unsafe_buffer_usage end
  words[6] = code_address(vcpu_trampoline);
  block->saved_stack = idle_stack - kWords * sizeof(uint64_t);
  fill_tcs(tcs, ssa, block_address);
  TRY(accept_tcs(tcs));
  blocks[index].store(block, std::memory_order_release);
  if (make_host_call(abi::HostCallNumber::kStartVcpu, tcs, index) != 0) return Errno::kAgain;
  return {};
}

void start_one_more_vcpu() {
  if (started_vcpus() >= vcpu_count() || starting.exchange(true)) return;
  const uint32_t index = started_vcpus();
  if (start_vcpu(index).is_error()) {
    log_error("vCPU {} could not be started: going on with {}", index, index);
    return;  // `starting` stays set: no further attempt
  }
  started.store(index + 1, std::memory_order_release);
  starting.store(false);
}

extern "C" [[noreturn]] void vcpu_started() { vcpu_main(); }

}  // namespace occlum
