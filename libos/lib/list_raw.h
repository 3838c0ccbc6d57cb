// Raw part of list.h: from a ListNode back to the object that it is a member of.
//
// Invariant: every ListNode that an IntrusiveList<T, Member> links was reached as `object.*Member`
// of a live T, so the address minus the member's offset is that T. The offset is taken from an
// address that is never dereferenced.
#pragma once

#include <cstddef>
#include <cstdint>

namespace occlum::list_detail {

template <typename T, typename Node>
T* object_of(Node* node, Node T::* member) {
  constexpr std::uintptr_t kAnyAddress = std::uintptr_t{1} << 20;
  const T* nowhere = reinterpret_cast<const T*>(kAnyAddress);
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(&(nowhere->*member)) - kAnyAddress;
  return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(node) - offset);
}

}  // namespace occlum::list_detail
