// What goes into the enclave and what comes out of it, register by register. (SDM vol. 3D: EENTER, EEXIT, AEX)
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include <array>

#include "tests/enclave/hostile.h"

extern "C" const char hostile_aep[];

namespace hostile {
namespace {

constexpr uint64_t kAlignmentCheck = 1 << 18, kDirection = 1 << 10, kNestedTask = 1 << 14,
                   kIdentification = 1 << 21;
constexpr uint64_t kStatusFlags = 0x8d5;
constexpr uint64_t kComparedEqual = 0x44;  // ZF and PF
constexpr size_t kHeader = 512, kMxcsr = 24;
constexpr uint32_t kMxcsrInit = 0x1f80;
constexpr uint16_t kControlWordInit = 0x37f;

template <typename T>
T field(const uint8_t* area, size_t offset) {
  T value;
  memcpy(&value, area + offset, sizeof(value));
  return value;
}

void put(uint8_t* area, size_t offset, auto value) { memcpy(area + offset, &value, sizeof(value)); }

bool holds_pattern(const uint8_t* bytes, size_t size) {
  return memmem(bytes, size, &kPattern, sizeof(kPattern)) != nullptr;
}

bool all_zero(const uint8_t* bytes, size_t from, size_t to) {
  for (size_t i = from; i < to; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

struct Component {
  const char* name;
  size_t from, to;
};
// Where they lie in an XSAVE area is the processor's to say: CPUID leaf 0xD.
const std::array<Component, 8>& components() {
  static const std::array<Component, 8> found = [] {
    std::array<Component, 8> list{{{"x87 state", 0, 160},
                                   {"XMM registers", 160, 416},
                                   {"YMM registers", 0, 0},
                                   {},
                                   {},
                                   {"opmask registers", 0, 0},
                                   {"upper halves of ZMM0-15", 0, 0},
                                   {"ZMM16-31", 0, 0}}};
    for (const unsigned i : {2u, 5u, 6u, 7u}) {
      unsigned size = 0, offset = 0, flags = 0, unused = 0;
      __cpuid_count(0xd, i, size, offset, flags, unused);
      list[i].from = offset;
      list[i].to = offset + size;
    }
    return list;
  }();
  return found;
}

// x87: the control word, then nothing up to MXCSR; ST0-7 behind it.
bool is_initial(const uint8_t* area, unsigned component) {
  const auto [name, from, to] = components()[component];
  if (component != 0) return all_zero(area, from, to);
  return field<uint16_t>(area, 0) == kControlWordInit && all_zero(area, 2, kMxcsr) &&
         all_zero(area, 32, to);
}

bool is_same(const uint8_t* area, const uint8_t* own, unsigned component) {
  const auto [name, from, to] = components()[component];
  if (component != 0) return memcmp(area + from, own + from, to - from) == 0;
  // The processor normalises what it is given of tags and pointers: of those, nothing comes from the enclave if the rest
  // is the host's own.
  constexpr uint16_t kAlwaysOne = 0x40;
  if (field<uint16_t>(area, 0) != (field<uint16_t>(own, 0) | kAlwaysOne)) return false;
  for (size_t st = 32; st < to; st += 16) {
    if (memcmp(area + st, own + st, 10) != 0) return false;
  }
  return true;
}

// An XSAVE area in standard format. Each component must be in its initial state, or still be what the host itself left
// in the registers (`own`): the LibOS clears what was the program's, and touches nothing else.
void inspect_vectors(const char* where, const uint8_t* area, uint64_t present, const uint8_t* own) {
  if (holds_pattern(area, kXsaveBytes))
    complain(where, "vector registers hold the program's pattern", present);
  const auto mxcsr = field<uint32_t>(area, kMxcsr);
  if (mxcsr != kMxcsrInit && (own == nullptr || mxcsr != field<uint32_t>(own, kMxcsr)))
    complain(where, "MXCSR", mxcsr);
  for (unsigned i = 0; i < 8; ++i) {
    if ((present >> i & 1) == 0 || is_initial(area, i) || (own != nullptr && is_same(area, own, i)))
      continue;
    complain(where, components()[i].name, field<uint64_t>(area, components()[i].from));
  }
}

uint64_t host_features() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32 | low) & 0xe7;
}

}  // namespace

void prepare_inspection() { (void)components(); }

void fill_hostile(Crossing& crossing) {
  static const uint64_t features = host_features();
  crossing.features = features;
  memset(crossing.out_xstate, 0, sizeof(crossing.out_xstate));
  memset(crossing.host_xstate + kHeader, 0, 64);
  uint8_t* area = crossing.in_xstate;
  memset(area, 0, sizeof(crossing.in_xstate));
  put(area, 0, kControlWordInit);
  put(area, kMxcsr, kMxcsrInit);
  crossing.in = {};
  crossing.in.flags = 0x202;
  if (!settings.entry) return;
  for (size_t i = 0; i < 2688; i += 8) put(area, i, random_number() | 1);
  memset(area + kHeader, 0, 64);
  put(area, kHeader, features);
  // All exceptions unmasked or all masked, all roundings, FZ and DAZ; x87 with pending exceptions, unmasked too.
  put(area, 0, static_cast<uint16_t>(random_number() & 0xf7f));
  put(area, 2, static_cast<uint16_t>(random_number()));
  put(area, kMxcsr, static_cast<uint32_t>(random_number() & 0xffff));
  for (uint64_t* r = &crossing.in.rax; r <= &crossing.in.r15; ++r) *r = random_number();
  crossing.in.flags =
      0x202 | ((random_number() | kAlignmentCheck | kDirection) &
               (kAlignmentCheck | kDirection | kNestedTask | kIdentification | kStatusFlags));
}

void inspect_exit(const Crossing& crossing, uint64_t target, uint64_t aep) {
  constexpr const char* kWhere = "EEXIT";
  const Registers& out = crossing.out;
  if (holds_pattern(reinterpret_cast<const uint8_t*>(&out), sizeof(out)))
    complain(kWhere, "general registers hold the pattern");
  const struct {
    const char* name;
    uint64_t is, must;
  } rules[] = {{"RAX", out.rax, 4},
               {"RBX", out.rbx, target},
               {"RCX", out.rcx, aep},
               {"RDX", out.rdx, 0},
               {"RSI", out.rsi, 0},
               {"RDI", out.rdi, 0},
               {"RBP", out.rbp, crossing.in.rbp},
               {"RSP", out.rsp, crossing.in.rsp},
               {"R8", out.r8, 0},
               {"R9", out.r9, 0},
               {"R10", out.r10, 0},
               {"R11", out.r11, 0},
               {"R12", out.r12, 0},
               {"R13", out.r13, 0},
               {"R14", out.r14, 0},
               {"R15", out.r15, 0}};
  for (const auto& rule : rules) {
    if (rule.is != rule.must) complain(kWhere, rule.name, rule.is);
  }
  if ((out.flags & (kAlignmentCheck | kDirection)) != 0)
    complain(kWhere, "AC or DF are set, flags", out.flags);
  if ((out.flags & (kNestedTask | kIdentification)) != 0)
    complain(kWhere, "NT or ID are set, flags", out.flags);
  // A patched ENCLU of software SGX compares.
  if (!settings.fast && (out.flags & kStatusFlags) != kComparedEqual)
    complain(kWhere, "status flags", out.flags);
}

void inspect_exit_vectors(const Crossing& crossing, const uint8_t* own) {
  // XSAVE has written every component, in use or not.
  inspect_vectors("EEXIT", crossing.out_xstate, crossing.features, own);
}

// The LibOS copies out what a host call needs, and no more.
void inspect_shared_memory(const void* shared) {
  if (holds_pattern(static_cast<const uint8_t*>(shared), abi::kVcpuSharedSize)) {
    complain("host call", "shared memory holds the program's pattern");
  }
}

// What a signal handler sees: the synthetic state of an AEX. DF and AC may be set: only the processor's own rules hold.
void inspect_asynchronous_exit(const void* context, const Crossing& crossing) {
  constexpr const char* kWhere = "AEX";
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  const auto reg = [&](int index) { return static_cast<uint64_t>(machine.gregs[index]); };
  // An ERESUME that has not happened yet, with the host's own registers.
  if (settings.entry && reg(REG_RDX) == crossing.in.rdx && reg(REG_R15) == crossing.in.r15) return;
  for (const int index : {REG_RDX, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12,
                          REG_R13, REG_R14, REG_R15}) {
    if (reg(index) != 0)
      complain(kWhere, "a general register is not zero",
               static_cast<uint64_t>(index) << 56 | reg(index));
  }
  if (reg(REG_RAX) != 3) complain(kWhere, "RAX", reg(REG_RAX));
  if (reg(REG_RBX) != crossing.run->tcs) complain(kWhere, "RBX", reg(REG_RBX));
  if (reg(REG_RCX) != reinterpret_cast<uint64_t>(hostile_aep))
    complain(kWhere, "RCX", reg(REG_RCX));
  if ((reg(REG_EFL) & kStatusFlags) != 0) complain(kWhere, "status flags", reg(REG_EFL));
  const auto* area = reinterpret_cast<const uint8_t*>(machine.fpregs);
  constexpr uint32_t kExtendedMagic = 0x46505853;
  const bool extended = field<uint32_t>(area, 464) == kExtendedMagic;
  // Bytes of components that the header does not name are loaded by nobody: only what is present counts.
  const uint64_t present = extended ? field<uint64_t>(area, kHeader) : 3;
  uint8_t copy[kXsaveBytes] = {};
  for (unsigned i = 0; i < 8; ++i) {
    const auto [name, from, to] = components()[i];
    if ((present >> i & 1) != 0) memcpy(copy + from, area + from, to - from);
  }
  memcpy(copy + kMxcsr, area + kMxcsr, sizeof(uint32_t));
  inspect_vectors(kWhere, copy, present, nullptr);
}

}  // namespace hostile
