// Copies from and to programs. See user.h and AddressSpace::access.
//
// The rule: a copy is one read of the address space's lock, from the owner check to the last byte. Unmapping and
// restricting need that lock alone, so while bytes move the addresses belong to this program with the right that was
// checked. A page that is not present is brought by handle_fault with the lock released, and the check is made again.
// Parts are at most 64 KiB, so that nobody waits long for a copy.
#include "libos/mm/user.h"

#include <algorithm>
#include <array>

#include "libos/arch/guarded_copy.h"
#include "libos/lib/bits.h"
#include "libos/lib/memory.h"
#include "libos/mm/address_space.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/store_text_raw.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

constexpr uint64_t kLargestPart = 64 * 1024;
// A page that faults this often although it was said to be resolved is not going to work (a hostile host).
constexpr int kMostFaults = 64;

struct Step {
  enum class Outcome { kDone, kNotOurs, kFaulted } outcome;
  uint64_t value;  // kDone: bytes; kFaulted: where
};

}  // namespace

Result<void> AddressSpace::access(
    uint64_t address, uint64_t length, Access access,
    FunctionRef<bool(uint64_t at, size_t bytes, uint64_t& fault_address)> use) {
  const auto end = checked_add(address, length);
  if (!end) return Errno::kFault;
  int faults = 0;
  for (uint64_t at = address; at < *end;) {
    const Step step = state_->areas.read([&](const Areas& areas) -> Step {
      const AreaSet::Map::Entry* area = areas.set.lookup(at);
      if (area == nullptr) {
        const bool grows = area_ops::may_grow_to(areas, align_down(at, kPageSize));
        return {grows ? Step::Outcome::kFaulted : Step::Outcome::kNotOurs, at};
      }
      if (!allows(area->value.prot, access)) return {Step::Outcome::kNotOurs, 0};
      const size_t limit = std::min({*end - at, area->value.end - at, kLargestPart});
      const size_t ready = page_map::accessible_prefix(at, limit, right_for(access));
      uint64_t fault = at;
      if (ready == 0 || !use(at, ready, fault)) return {Step::Outcome::kFaulted, fault};
      return {Step::Outcome::kDone, ready};
    });
    if (step.outcome == Step::Outcome::kDone) {
      at += step.value;
      faults = 0;
      if (at < *end) preemption_point();
      continue;
    }
    if (step.outcome == Step::Outcome::kNotOurs || ++faults > kMostFaults) return Errno::kFault;
    const bool in_part = step.value >= align_down(at, kPageSize) && step.value < *end;
    if (!in_part) return Errno::kAgain;
    if (handle_fault(step.value, access) != FaultResult::kResolved) return Errno::kFault;
  }
  return {};
}

Result<void> AddressSpace::poke(uint64_t address, std::span<const std::byte> data) {
  if (!checked_add(address, uint64_t{data.size()})) return Errno::kFault;
  while (!data.empty()) {
    const uint64_t page = align_down(address, kPageSize);
    const size_t size = std::min<size_t>(data.size(), page + kPageSize - address);
    const bool shared = TRY(state_->areas.change([&](Areas& areas) -> Result<bool> {
      const AreaSet::Iterator area = areas.set.find(page);
      if (!area || area->value.prot == Prot::kNone) return Errno::kFault;
      if (area->value.shared) return true;
      if (!page_map::state_of(page).present()) {
        const FaultResult filled = area_ops::fill_private(areas, area, page);
        if (filled == FaultResult::kOutOfMemory) return Errno::kNoMem;
        if (filled != FaultResult::kResolved) return Errno::kFault;
      }
      const AddressRange range = page_range(page);
      TRY(area_ops::part_present(areas, range));
      TRY(page_map::open_for_kernel(range, area->value.prot));
      page_map::update(page, PageState::kDirty | PageState::kModified, 0);
      store_text(address, data.first(size));
      TRY(page_map::seal(range, area->value.prot));
      return false;
    }));
    if (shared) TRY(copy_to_user(*this, UserAddress(address), data.first(size)));
    address += size;
    data = data.subspan(size);
  }
  return {};
}

Result<void> copy_from_user(AddressSpace& memory, std::span<std::byte> to, UserAddress from) {
  const uint64_t target = address_of(to.data());
  return memory.access(from.value(), to.size(), Access::kRead,
                       [&](uint64_t at, size_t bytes, uint64_t& fault) {
                         return guarded_copy(target + (at - from.value()), at, bytes, fault);
                       });
}

Result<void> copy_to_user(AddressSpace& memory, UserAddress to, std::span<const std::byte> from) {
  const uint64_t source = address_of(from.data());
  return memory.access(to.value(), from.size(), Access::kWrite,
                       [&](uint64_t at, size_t bytes, uint64_t& fault) {
                         return guarded_copy(at, source + (at - to.value()), bytes, fault);
                       });
}

Result<void> zero_user(AddressSpace& memory, UserAddress to, size_t bytes) {
  return memory.access(
      to.value(), bytes, Access::kWrite,
      [](uint64_t at, size_t part, uint64_t& fault) { return guarded_zero(at, part, fault); });
}

Result<String> copy_string_from_user(AddressSpace& memory, UserAddress from, size_t limit) {
  String result;
  std::array<std::byte, 256> buffer;
  uint64_t at = from.value();
  for (size_t left = limit; left != 0;) {
    // Never across a page: what follows the NUL may not be mapped.
    const size_t in_page = kPageSize - at % kPageSize;
    const std::span<std::byte> part =
        std::span(buffer).first(std::min({buffer.size(), left, in_page}));
    TRY(copy_from_user(memory, part, UserAddress(at)));
    const std::string_view text = bytes_text(part);
    const size_t end = text.find('\0');
    if (end != std::string_view::npos) {
      TRY(result.append(text.substr(0, end)));
      return result;
    }
    TRY(result.append(text));
    at += part.size();
    left -= part.size();
  }
  return Errno::kNameTooLong;
}

Result<uint32_t> load_user_u32(AddressSpace& memory, UserAddress from) {
  if (!is_aligned(from.value(), sizeof(uint32_t))) return Errno::kInval;
  uint32_t value = 0;
  TRY(memory.access(
      from.value(), sizeof(value), Access::kRead,
      [&](uint64_t at, size_t, uint64_t& fault) { return guarded_load_u32(at, value, fault); }));
  return value;
}

Result<uint32_t> compare_exchange_user_u32(AddressSpace& memory, UserAddress at, uint32_t expected,
                                           uint32_t desired) {
  if (!is_aligned(at.value(), sizeof(uint32_t))) return Errno::kInval;
  uint32_t found = 0;
  TRY(memory.access(at.value(), sizeof(found), Access::kWrite,
                    [&](uint64_t address, size_t, uint64_t& fault) {
                      return guarded_cmpxchg_u32(address, expected, desired, found, fault);
                    }));
  return found;
}

}  // namespace occlum
