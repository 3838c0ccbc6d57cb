// CPUID as programs see it. (SDM vol. 2, CPUID; vol. 1, chapter 13)
//
// CPUID is illegal in an enclave, so the host says what the processor has: a hint that can at worst make a program use
// an instruction that faults. What concerns the layout of saved state is not the host's to say: leaf 0xD is computed
// from the features of this enclave (XFRM), with the architecture's offsets. Features that an enclave or this LibOS does
// not give are masked: SGX itself, protection keys, AMX.
#include "abi/boot.h"
#include "libos/arch/arch.h"
#include "libos/arch/enclave/boot.h"
#include "libos/arch/task_context.h"

namespace occlum {
namespace {

constexpr uint32_t kFeatureLeaf = 7, kXsaveLeaf = 0xd, kSgxLeaf = 0x12;
constexpr uint32_t kSgx = 1u << 2;                                       // 7.EBX
constexpr uint32_t kPku = 1u << 3, kOspke = 1u << 4, kSgxLc = 1u << 30;  // 7.ECX
constexpr uint32_t kAmx = 1u << 22 | 1u << 24 | 1u << 25;                // 7.EDX: BF16, TILE, INT8
constexpr uint32_t kXsaveopt = 1;                                        // 0xD.1.EAX

struct Component {
  uint32_t bit, size, offset;  // in the standard format
};
constexpr Component kComponents[] = {{2, 256, 576}, {5, 64, 1088}, {6, 512, 1152}, {7, 1024, 1664}};

CpuidResult host_leaf(uint32_t leaf, uint32_t subleaf) {
  const abi::BootParameters& boot = boot_parameters();
  for (const abi::CpuidLeaf& entry : std::span(boot.cpuid).first(boot.cpuid_count)) {
    if (entry.leaf == leaf && entry.subleaf == subleaf)
      return {entry.eax, entry.ebx, entry.ecx, entry.edx};
  }
  return {0, 0, 0, 0};
}

CpuidResult xsave_leaf(uint32_t subleaf) {
  const uint64_t features = xstate_features();
  const auto size = static_cast<uint32_t>(xstate_size());
  if (subleaf == 0)
    return {static_cast<uint32_t>(features), size, size, static_cast<uint32_t>(features >> 32)};
  if (subleaf == 1) return {host_leaf(kXsaveLeaf, 1).eax & kXsaveopt, 0, 0, 0};
  for (const Component& component : kComponents) {
    if (component.bit == subleaf && (features >> component.bit & 1) != 0) {
      return {component.size, component.offset, 0, 0};
    }
  }
  return {0, 0, 0, 0};
}

}  // namespace

CpuidResult cpuid(uint32_t leaf, uint32_t subleaf) {
  if (leaf == kXsaveLeaf) return xsave_leaf(subleaf);
  if (leaf == kSgxLeaf) return {0, 0, 0, 0};
  CpuidResult result = host_leaf(leaf, subleaf);
  if (leaf == kFeatureLeaf && subleaf == 0) {
    result.ebx &= ~kSgx;
    result.ecx &= ~(kPku | kOspke | kSgxLc);
    result.edx &= ~kAmx;
  }
  return result;
}

}  // namespace occlum
