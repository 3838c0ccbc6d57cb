// Host calls and access to untrusted memory; see host_exit.h.
// Every address that is handed to a guarded copy here has passed is_untrusted_range(), or is that of a local object.
#include "libos/arch/enclave/host_exit.h"

#include "abi/enclave_image.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/guarded_copy.h"
#include "libos/lib/address.h"
#include "libos/lib/bits.h"
#include "libos/lib/memory.h"

namespace occlum {
namespace {

extern "C" void exit_to_host();

constexpr uint64_t kWord = sizeof(uint64_t);
constexpr uint64_t kUserCanonicalEnd = uint64_t{1} << 47;
constexpr size_t kFrameWords = 8;  // number and arguments

// The runtime says that a tick came while the vCPU was outside. A lie costs a look at the timers.
void notice_missed_tick(VcpuBlock& vcpu) {
  const uint64_t at = vcpu.shared + offsetof(abi::VcpuShared, tick_pending);
  const auto pending = load_untrusted(at);
  if (pending.is_error() || pending.value() == 0) return;
  (void)store_untrusted(at, 0);
  vcpu.work.fetch_or(kWorkReschedule, std::memory_order_relaxed);
}

}  // namespace

bool is_untrusted_range(uint64_t address, uint64_t size) {
  if (address < abi::kElrangeSize || address >= kUserCanonicalEnd) return false;
  return size <= kUserCanonicalEnd - address;
}

Result<uint64_t> load_untrusted(uint64_t from) {
  uint64_t value = 0, fault = 0;
  if (!is_aligned(from, kWord) || !is_untrusted_range(from, kWord)) return Errno::kFault;
  if (!guarded_copy_words(address_of(&value), from, 1, fault)) return Errno::kFault;
  return value;
}

Result<void> store_untrusted(uint64_t to, uint64_t value) {
  uint64_t fault = 0;
  if (!is_aligned(to, kWord) || !is_untrusted_range(to, kWord)) return Errno::kFault;
  if (!guarded_copy_words(to, address_of(&value), 1, fault)) return Errno::kFault;
  return {};
}

Result<void> copy_from_untrusted(std::span<std::byte> to, uint64_t from) {
  if (to.empty()) return {};
  if (!is_untrusted_range(from, to.size())) return Errno::kFault;
  // An unaligned start: the word around it holds the first bytes.
  if (const uint64_t skip = from % kWord; skip != 0) {
    const uint64_t word = TRY(load_untrusted(from - skip));
    const size_t count = std::min<size_t>(kWord - skip, to.size());
    copy_bytes(to.first(count), object_bytes(word).subspan(skip, count));
    to = to.subspan(count);
    from += count;
  }
  uint64_t fault = 0;
  const size_t words = to.size() / kWord;
  if (words != 0 && !guarded_copy_words(address_of(to.data()), from, words, fault))
    return Errno::kFault;
  const auto tail = to.subspan(words * kWord);
  if (!tail.empty()) {
    const uint64_t word = TRY(load_untrusted(from + words * kWord));
    copy_bytes(tail, object_bytes(word).first(tail.size()));
  }
  return {};
}

Result<void> copy_to_untrusted(uint64_t to, std::span<const std::byte> from) {
  if (from.empty()) return {};
  if (!is_aligned(to, kWord) || !is_untrusted_range(to, align_up(from.size(), kWord)))
    return Errno::kFault;
  uint64_t fault = 0;
  const size_t words = from.size() / kWord;
  if (words != 0 && !guarded_copy_words(to, address_of(from.data()), words, fault))
    return Errno::kFault;
  const auto tail = from.subspan(words * kWord);
  if (!tail.empty()) {
    uint64_t word = 0;
    copy_bytes(writable_object_bytes(word).first(tail.size()), tail);
    TRY(store_untrusted(to + words * kWord, word));
  }
  return {};
}

uint64_t vcpu_shared() { return this_vcpu().shared; }
uint64_t bounce_buffer() { return this_vcpu().shared + abi::kBounceOffset; }

int64_t make_host_call(abi::HostCallNumber number, uint64_t a0, uint64_t a1, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6) {
  VcpuBlock& vcpu = this_vcpu();
  // Nothing of the program may be left in the vector registers.
  if (vcpu.context != nullptr) {
    (void)vcpu.context->xstate();
    note_long_work();
  }
  const std::array<uint64_t, kFrameWords> frame = {
      static_cast<uint64_t>(number), a0, a1, a2, a3, a4, a5, a6};
  uint64_t fault = 0;
  if (!guarded_copy_words(vcpu.shared, address_of(frame.data()), frame.size(), fault)) {
    return -static_cast<int64_t>(Errno::kIo);
  }
  exit_to_host();
  notice_missed_tick(vcpu);
  const auto result = load_untrusted(vcpu.shared + offsetof(abi::HostCallFrame, result));
  if (result.is_error()) return -static_cast<int64_t>(Errno::kIo);
  return static_cast<int64_t>(result.value());
}

}  // namespace occlum
