#include "libos/fs/tmpfs/seals.h"

#include "libos/lib/bits.h"

namespace occlum {

namespace {
constexpr uint32_t kExecuteBits = 0111;
}  // namespace

Seals::Seals(uint32_t first, RefPtr<WriteCount> mappings)
    : value_(first), mappings_(std::move(mappings)) {}

Result<OwnPtr<Seals>> Seals::create(uint32_t first) {
  return make_own<Seals>(first, TRY(make_ref<WriteCount>()));
}

Result<void> Seals::add(uint32_t seals, uint32_t permissions) {
  if ((seals & ~kAllSeals) != 0) return Errno::kInval;
  if (is_sealed(kSealSeal)) return Errno::kPerm;
  if ((seals & kSealExec) != 0 && (permissions & kExecuteBits) != 0)
    seals |= kSealShrink | kSealGrow | kSealWrite | kSealFutureWrite;
  if ((seals & kSealWrite) != 0 && !is_sealed(kSealWrite)) {
    Result<ExecutionHold> hold = ExecutionHold::take(mappings_);
    if (hold.is_error()) return Errno::kBusy;
    none_mapped_ = hold.release_value();
  }
  value_.fetch_or(seals, std::memory_order_acq_rel);
  return {};
}

Result<void> Seals::check_resize(uint64_t before, uint64_t after) const {
  if (after < before && is_sealed(kSealShrink)) return Errno::kPerm;
  if (after > before && is_sealed(kSealGrow)) return Errno::kPerm;
  return {};
}

Result<void> Seals::check_permissions(uint32_t before, uint32_t after) const {
  return is_sealed(kSealExec) && ((before ^ after) & kExecuteBits) != 0 ? Errno::kPerm
                                                                        : Result<void>();
}

Result<void> Seals::check_hole() const {
  return is_sealed(kSealWrite | kSealFutureWrite) ? Errno::kPerm : Result<void>();
}

// Linux writes page by page, each whole or not at all.
Result<void> Seals::limit_write(uint64_t offset, uint64_t size, DataSource& source) const {
  if (is_sealed(kSealWrite | kSealFutureWrite)) return Errno::kPerm;
  if (!is_sealed(kSealGrow) || source.remaining() == 0) return {};
  const uint64_t end = offset + source.remaining();
  if (end <= size) return {};
  const uint64_t last = align_down(size, kPageSize);
  if (offset >= last) return Errno::kPerm;
  source.truncate(last - offset);
  return {};
}

Result<void> Seals::limit_mapping(MapSource& source, Prot prot) const {
  if (!source.shared || !source.may_write) return {};
  if (!is_sealed(kSealWrite | kSealFutureWrite)) {
    Result<WriteHold> hold = WriteHold::take(mappings_);
    if (!hold.is_error()) {
      source.shared_writes = hold.release_value();
      return {};
    }
  }
  if (has(prot, Prot::kWrite)) return Errno::kPerm;
  source.may_write = false;
  return {};
}

}  // namespace occlum
