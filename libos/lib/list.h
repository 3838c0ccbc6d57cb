// IntrusiveList<T, &T::node_>: a doubly linked list through a ListNode member of its elements. It
// never allocates, so adding cannot fail; an element can be on as many lists as it has nodes.
//
// A node knows its list, so linking twice, or removing from another list, panics; so does
// destroying a linked node or a list that is not empty. Lists and nodes do not move. The list owns
// nothing and locks nothing.
//
//     struct Waiter { ListNode node_; };
//     IntrusiveList<Waiter, &Waiter::node_> waiters;
//     for (Waiter& waiter : waiters) ...   // the current element must stay linked: else remove_if
#pragma once

#include <cstddef>
#include <iterator>

#include "libos/lib/list_raw.h"
#include "libos/lib/panic.h"

namespace occlum {

class ListNode {
 public:
  constexpr ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  constexpr ~ListNode() { ASSERT(list_ == nullptr); }

  bool is_linked() const { return list_ != nullptr; }

 private:
  template <typename T, ListNode T::* Member>
  friend class IntrusiveList;

  ListNode* previous_ = nullptr;
  ListNode* next_ = nullptr;
  const void* list_ = nullptr;
};

template <typename T, ListNode T::* Member>
class IntrusiveList {
 public:
  constexpr IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  constexpr ~IntrusiveList() { ASSERT(first_ == nullptr); }

  bool is_empty() const { return first_ == nullptr; }
  std::size_t size() const { return size_; }

  // nullptr when there is none.
  T* first() const { return object(first_); }
  T* last() const { return object(last_); }
  T* next(const T& element) const { return object(linked(element).next_); }
  T* previous(const T& element) const { return object(linked(element).previous_); }

  bool contains(const T& element) const { return (element.*Member).list_ == this; }

  void push_front(T& element) { link(element.*Member, nullptr, first_); }
  void push_back(T& element) { link(element.*Member, last_, nullptr); }
  void insert_before(T& position, T& element) {
    ListNode& next = linked(position);
    link(element.*Member, next.previous_, &next);
  }

  // Panics unless the element is on this list.
  void remove(T& element) { unlink(linked(element)); }

  T* pop_front() {
    T* element = first();
    if (element != nullptr) remove(*element);
    return element;
  }
  T* pop_back() {
    T* element = last();
    if (element != nullptr) remove(*element);
    return element;
  }

  // Unlinks the elements that `predicate(T&)` is true of, first to last. How many.
  template <typename Predicate>
  std::size_t remove_if(Predicate&& predicate) {
    std::size_t removed = 0;
    for (T* element = first(); element != nullptr;) {
      T* following = next(*element);
      if (predicate(*element)) {
        remove(*element);
        ++removed;
      }
      element = following;
    }
    return removed;
  }

  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;
    T& operator*() const { return *object(checked()); }
    T* operator->() const { return object(checked()); }
    Iterator& operator++() {
      node_ = checked()->next_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.node_ == b.node_; }

   private:
    friend class IntrusiveList;
    Iterator(ListNode* node, const IntrusiveList* list) : node_(node), list_(list) {}

    ListNode* checked() const {
      ASSERT(node_ != nullptr && node_->list_ == list_);
      return node_;
    }

    ListNode* node_ = nullptr;
    const IntrusiveList* list_ = nullptr;
  };

  Iterator begin() const { return Iterator(first_, this); }
  Iterator end() const { return Iterator(nullptr, this); }

 private:
  static T* object(ListNode* node) {
    return node == nullptr ? nullptr : list_detail::object_of<T, ListNode>(node, Member);
  }

  ListNode& linked(const T& element) const {
    ListNode& node = const_cast<T&>(element).*Member;
    ASSERT(node.list_ == this);
    return node;
  }

  void link(ListNode& node, ListNode* previous, ListNode* next) {
    ASSERT(node.list_ == nullptr);
    node.list_ = this;
    node.previous_ = previous;
    node.next_ = next;
    (previous != nullptr ? previous->next_ : first_) = &node;
    (next != nullptr ? next->previous_ : last_) = &node;
    ++size_;
  }

  void unlink(ListNode& node) {
    (node.previous_ != nullptr ? node.previous_->next_ : first_) = node.next_;
    (node.next_ != nullptr ? node.next_->previous_ : last_) = node.previous_;
    node.previous_ = nullptr;
    node.next_ = nullptr;
    node.list_ = nullptr;
    --size_;
  }

  ListNode* first_ = nullptr;
  ListNode* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace occlum
