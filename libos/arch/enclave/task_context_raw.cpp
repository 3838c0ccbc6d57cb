// TaskContext on SGX: kernel stacks, and XSAVE areas in standard format. (SDM vol. 1, chapter 13)
//
// Invariant: xstate_ is 0 or a 64-byte aligned block of kXstateSize bytes that this context owns, and stack_top_ is 0 or
// the top of a kernel stack that it owns; XRSTOR only reads areas that XSAVE wrote or sanitize_xstate() has passed.
#include "libos/arch/enclave/image_symbols_raw.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/enclave/xstate.h"
#include "libos/arch/memory.h"
#include "libos/lib/bytes.h"
#include "libos/lib/heap.h"
#include "libos/lib/memory.h"

namespace occlum {
namespace {

constexpr size_t kLegacyBytes = 512;
constexpr size_t kHeaderBytes = 64;
constexpr size_t kMxcsrOffset = 24;
constexpr uint32_t kInitialMxcsr = 0x1f80;
constexpr uint32_t kMxcsrMask = 0xffff;  // every bit that CPUs with AVX define
constexpr uint16_t kInitialFcw = 0x37f;
// x87, SSE, AVX, opmask, ZMM_Hi256, Hi16_ZMM: what an area of kXstateSize bytes holds. Tiles are not offered yet.
constexpr uint64_t kSupportedFeatures = 0xe7;

// XSTATE_BV = 0: XRSTOR of this area puts every component into its initial state; MXCSR is read from it all the same.
struct alignas(64) InitialArea {
  std::array<uint8_t, kLegacyBytes + kHeaderBytes> bytes = {};
  constexpr InitialArea() {
    bytes[0] = kInitialFcw & 0xff;
    bytes[1] = kInitialFcw >> 8;
    bytes[kMxcsrOffset] = kInitialMxcsr & 0xff;
    bytes[kMxcsrOffset + 1] = kInitialMxcsr >> 8;
  }
};
constinit const InitialArea initial_area;

constinit uint64_t features = 0;
constinit size_t area_size = 0;

uint64_t read_xcr0() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

void xsave(uint64_t area) {
  asm volatile("xsave64 (%0)"
               :
               : "r"(area), "a"(static_cast<uint32_t>(features)), "d"(0)
               : "memory");
}

void xrstor(uint64_t area) {
  asm volatile("xrstor64 (%0)"
               :
               : "r"(area), "a"(static_cast<uint32_t>(features)), "d"(0)
               : "memory");
}

std::span<std::byte> area_bytes(uint64_t area) {
#pragma clang unsafe_buffer_usage begin
  return {reinterpret_cast<std::byte*>(area), TaskContext::kXstateSize};
#pragma clang unsafe_buffer_usage end
}

}  // namespace

void initialize_xstate() {
  features = read_xcr0() & kSupportedFeatures;
  // Standard format: the components lie at architectural offsets (SDM vol. 1, 13.5; the same for all processors).
  area_size = (features & 0xe0) != 0 ? 2688 : (features & 4) != 0 ? 832 : 576;
}

size_t xstate_size() { return area_size; }
uint64_t xstate_features() { return features; }

void clear_xstate() { xrstor(reinterpret_cast<uint64_t>(&initial_area)); }

void load_xstate(TaskContext& context) {
  if (context.xstate_live) return;
  xrstor(context.xstate_address());
  context.xstate_live = true;
}

void stash_xstate(TaskContext& context) {
  if (!context.xstate_live) return;
  xsave(context.xstate_address());
  context.xstate_live = false;
  clear_xstate();
}

Result<void> TaskContext::create() {
  stack_top_ = TRY(allocate_kernel_stack());
  void* area = heap_allocate(kXstateSize, 64);
  if (area == nullptr) return Errno::kNoMem;
  xstate_ = reinterpret_cast<uint64_t>(area);
  reset_xstate();
  // The first switch to this task pops six registers and returns to the trampoline, with the stack aligned for a call.
  constexpr size_t kWords = 7;
  const uint64_t frame = stack_top_ - sizeof(UserRegisters) - kWords * sizeof(uint64_t);
#pragma clang unsafe_buffer_usage begin
  const std::span<uint64_t> words(reinterpret_cast<uint64_t*>(frame), kWords);
#pragma clang unsafe_buffer_usage end
  std::ranges::fill(words, 0);
  words[6] = code_address(task_trampoline);
  saved_stack_pointer = frame;
  return {};
}

TaskContext::~TaskContext() {
  if (stack_top_ != 0) free_kernel_stack(stack_top_);
  if (xstate_ != 0) heap_free(reinterpret_cast<void*>(xstate_), kXstateSize);
}

UserRegisters& TaskContext::user_registers() {
  return *reinterpret_cast<UserRegisters*>(stack_top_ - sizeof(UserRegisters));
}

std::span<std::byte> TaskContext::xstate() {
  stash_xstate(*this);
  return area_bytes(xstate_).first(area_size);
}

void TaskContext::reset_xstate() {
  xstate_live = false;
  zero_bytes(area_bytes(xstate_));
  copy_bytes(area_bytes(xstate_).first(sizeof(initial_area.bytes)),
             std::as_bytes(std::span(initial_area.bytes)));
}

void TaskContext::copy_xstate_from(TaskContext& other) {
  xstate_live = false;
  copy_bytes(area_bytes(xstate_).first(area_size), other.xstate());
}

Result<void> sanitize_xstate(std::span<std::byte> area) {
  if (area.size() < kLegacyBytes + kHeaderBytes || area.size() > area_size) return Errno::kInval;
  const uint64_t present = TRY(read_object<uint64_t>(area.subspan(kLegacyBytes)));
  uint64_t usable = present & features;
  // A short area holds no more than the legacy components.
  if (area.size() < area_size) usable &= 3;
  TRY(write_object(area.subspan(kLegacyBytes), usable));
  // XCOMP_BV and the reserved rest of the header must be zero.
  zero_bytes(area.subspan(kLegacyBytes + sizeof(uint64_t), kHeaderBytes - sizeof(uint64_t)));
  const uint32_t mxcsr = TRY(read_object<uint32_t>(area.subspan(kMxcsrOffset)));
  return write_object(area.subspan(kMxcsrOffset), mxcsr & kMxcsrMask);
}

XstateScope::XstateScope() {
  if (this_vcpu().context != nullptr) stash_xstate(*this_vcpu().context);
  clear_xstate();
}

XstateScope::~XstateScope() { clear_xstate(); }

}  // namespace occlum
