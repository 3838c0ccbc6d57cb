// The extended state (x87, SSE, AVX, AVX-512, AMX) on its way between a signal frame and an SSA
// frame.
//
// Both hold it in XSAVE's standard format: 512 legacy bytes, a 64-byte header, then components at
// the offsets that CPUID leaf 0xD gives (SDM volume 1, 13.4). A signal frame differs in bytes
// 464-511, where the kernel keeps its own record. An AEX saves the components of XFRM and loads the
// initial state; XSTATE_BV=0 in the frame makes sigreturn do that.
#include <cpuid.h>

#include "emulator/internal.h"

namespace emulator {
namespace {

constexpr std::uint64_t kLegacySize = 512, kHeaderSize = 64, kSwReserved = 464;
constexpr std::uint64_t kMxcsrOffset = 24, kMxcsrInit = 0x1f80, kBvOffset = 512;
constexpr std::uint32_t kMagic = 0x46505853;  // FP_XSTATE_MAGIC1

struct SwReserved {
  std::uint32_t magic, extended_size;
  std::uint64_t xfeatures;
  std::uint32_t xstate_size, padding[7];
};
static_assert(sizeof(SwReserved) == kLegacySize - kSwReserved);

Xstate probe() {
  Xstate result{};
  std::uint32_t a, b, c, d;
  std::uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  result.supported = low | std::uint64_t{high} << 32;
  for (unsigned i = 2; i < 63; i++) {
    if ((result.supported >> i & 1) == 0) continue;
    __cpuid_count(0xd, i, a, b, c, d);
    result.component[i] = {b, a};
  }
  return result;
}

// No libc: its memcpy uses vector registers and IFUNCs, which is harmless in a handler but not
// everywhere this runs.
void copy(void* to, const void* from, std::uint64_t size) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size)::"memory");
}
void zero(void* to, std::uint64_t size) {
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(0) : "memory");
}

template <typename T>
T& field(Address area, std::uint64_t offset) {
  return *at<T>(area + offset);
}

}  // namespace

const Xstate& xstate() {
  static const Xstate probed = probe();
  return probed;
}

std::uint64_t xsave_area_size(std::uint64_t xfrm) {
  std::uint64_t size = kLegacySize + kHeaderSize;
  for (unsigned i = 2; i < 63; i++) {
    if ((xfrm >> i & 1) == 0) continue;
    const auto& c = xstate().component[i];
    size = std::max<std::uint64_t>(size, c.offset + c.size);
  }
  return size;
}

void save_xstate(Context& context, Address area, std::uint64_t xfrm) {
  const auto frame = reinterpret_cast<Address>(context.frame->uc_mcontext.fpregs);
  const auto& sw = field<SwReserved>(frame, kSwReserved);
  const bool extended = sw.magic == kMagic;
  const std::uint64_t bv = extended ? field<std::uint64_t>(frame, kBvOffset) : sgx::xfrm::kLegacy;
  copy(at<void>(area), at<void>(frame), kSwReserved);
  zero(at<void>(area + kLegacySize), kHeaderSize);
  field<std::uint64_t>(area, kBvOffset) = bv & xfrm;
  for (unsigned i = 2; i < 63; i++) {
    if ((bv & xfrm) >> i == 0) break;
    if ((bv & xfrm) >> i & 1) {
      const auto& c = xstate().component[i];
      copy(at<void>(area + c.offset), at<void>(frame + c.offset), c.size);
    }
  }
  field<std::uint32_t>(frame, kMxcsrOffset) = kMxcsrInit;
  if (extended) {
    field<std::uint64_t>(frame, kBvOffset) = bv & ~xfrm;
  } else {
    zero(at<void>(frame), kSwReserved);
    field<std::uint16_t>(frame, 0) = 0x37f;
    field<std::uint32_t>(frame, kMxcsrOffset) = kMxcsrInit;
  }
}

bool valid_xstate(Address area, std::uint64_t xfrm) {
  if ((field<std::uint64_t>(area, kBvOffset) & ~xfrm) != 0) return false;
  if (field<std::uint64_t>(area, kBvOffset + 8) != 0) return false;  // XCOMP_BV
  if (field<std::uint64_t>(area, kBvOffset + 16) != 0) return false;
  return (field<std::uint32_t>(area, kMxcsrOffset) & 0xffff0000) == 0;
}

bool load_xstate(Context& context, Address area, std::uint64_t xfrm) {
  if (!valid_xstate(area, xfrm)) return false;
  const auto frame = reinterpret_cast<Address>(context.frame->uc_mcontext.fpregs);
  const auto& sw = field<SwReserved>(frame, kSwReserved);
  copy(at<void>(frame), at<void>(area), kSwReserved);
  if (sw.magic != kMagic) return true;
  const std::uint64_t bv = field<std::uint64_t>(area, kBvOffset);
  const std::uint64_t take = bv & sw.xfeatures;
  for (unsigned i = 2; i < 63; i++) {
    if (take >> i == 0) break;
    if (take >> i & 1) {
      const auto& c = xstate().component[i];
      copy(at<void>(frame + c.offset), at<void>(area + c.offset), c.size);
    }
  }
  auto& frame_bv = field<std::uint64_t>(frame, kBvOffset);
  frame_bv = (frame_bv & ~xfrm) | take;
  return true;
}

}  // namespace emulator
