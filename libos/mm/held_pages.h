// Pages held aside: the content that members of a conflict group have for linear pages while another member is
// resident. See conflict_group.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libos/arch/memory.h"
#include "libos/lib/bits.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/tree.h"

namespace occlum {

// One page's content in LibOS memory. Never changed once made, so members share it.
class Frame : public RefCounted<Frame> {
 public:
  // A copy of the readable page at `address`. Errors: kNoMem.
  static Result<RefPtr<Frame>> copy_of(uint64_t address);
  ~Frame();

  std::span<const std::byte, kPageSize> bytes() const;

  explicit Frame(uint64_t address) : address_(address) {}  // use copy_of

 private:
  const uint64_t address_;
};

// What is known of one page: nothing, that there is no content (it is filled on the next use), or the content.
class Held {
 public:
  static Held absent() { return Held(Kind::kAbsent, {}); }
  static Held content(RefPtr<Frame> frame) { return Held(Kind::kContent, std::move(frame)); }
  Held() = default;

  bool is_known() const { return kind_ != Kind::kUnknown; }
  bool is_absent() const { return kind_ == Kind::kAbsent; }
  const Frame* frame() const { return frame_.get(); }

 private:
  enum class Kind : uint8_t { kUnknown, kAbsent, kContent };
  Held(Kind kind, RefPtr<Frame> frame) : kind_(kind), frame_(std::move(frame)) {}

  Kind kind_ = Kind::kUnknown;
  RefPtr<Frame> frame_;
};

// Held pages by linear address, in tables for 2 MiB each. No lock of its own.
class HeldPages {
 public:
  // Null: nothing is known.
  const Held* find(uint64_t page) const;
  bool contains(uint64_t page) const { return find(page) != nullptr; }
  // Errors: kNoMem, only where nothing was known before.
  Result<void> set(uint64_t page, Held held);
  void remove(AddressRange range);
  void clear() { tables_.clear(), size_ = 0; }
  size_t size() const { return size_; }
  bool is_empty() const { return size_ == 0; }

  // In order of address. `visit` may not change which pages are known.
  void for_each(FunctionRef<void(uint64_t page, const Held& held)> visit) const;
  // Moves everything over; where both know a page, the other's goes. Errors: kNoMem: some may have moved.
  Result<void> take_from(HeldPages& other);

 private:
  static constexpr uint64_t kSpan = 2 * 1024 * 1024;
  struct Table {
    std::array<Held, kSpan / kPageSize> pages;
    size_t known = 0;
  };
  Tree<uint64_t, OwnPtr<Table>> tables_;
  size_t size_ = 0;
};

}  // namespace occlum
