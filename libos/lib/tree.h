// Tree<K, V>: an ordered map on the kernel heap, a balanced tree (tree_links.h).
//
// An entry stays at its address from insert to remove: pointers to values and iterators are stable
// under every change but the removal of their own entry. Keys need operator<; a lookup may use
// another type that compares with K.
//
//     for (auto& [start, area] : areas) ...
//     if (auto it = areas.last_at_most(address); it && address < it->value.end) ...
//
// An operation that must not fail half-way makes its nodes first (`prepare`) and then only links
// them.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>

#include "libos/lib/panic.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/tree_links.h"

namespace occlum {

template <typename K, typename V>
class Tree {
  using Links = tree_detail::Links;
  using Side = tree_detail::Side;

 public:
  struct Entry {
    const K key;
    V value;
  };

  // An entry that is in no tree.
  class Node final : private Links {
   public:
    Node(K key, V value) : entry_{std::move(key), std::move(value)} {}
    Entry& entry() { return entry_; }

   private:
    friend class Tree;
    Entry entry_;
  };

  template <typename E>
  class BasicIterator {
   public:
    using value_type = E;
    using difference_type = std::ptrdiff_t;

    BasicIterator() = default;
    operator BasicIterator<const E>() const
      requires(!std::is_const_v<E>)
    {
      return BasicIterator<const E>(links_);
    }

    // Whether there is an entry here; false at the end, and for a lookup that found none.
    explicit operator bool() const { return links_ != nullptr; }
    E& operator*() const { return node_of(checked()).entry_; }
    E* operator->() const { return &**this; }

    BasicIterator& operator++() {
      links_ = tree_detail::next(checked());
      return *this;
    }
    BasicIterator operator++(int) {
      BasicIterator before = *this;
      ++*this;
      return before;
    }
    // The neighbours; false beyond the ends.
    BasicIterator next() const { return BasicIterator(tree_detail::next(checked())); }
    BasicIterator previous() const { return BasicIterator(tree_detail::previous(checked())); }

    friend bool operator==(const BasicIterator& a, const BasicIterator& b) {
      return a.links_ == b.links_;
    }

   private:
    friend class Tree;
    template <typename>
    friend class BasicIterator;
    explicit BasicIterator(Links* links) : links_(links) {}

    Links& checked() const {
      ASSERT(links_ != nullptr);
      return *links_;
    }

    Links* links_ = nullptr;
  };
  using Iterator = BasicIterator<Entry>;
  using ConstIterator = BasicIterator<const Entry>;

  constexpr Tree() = default;
  Tree(Tree&& other) noexcept
      : root_(std::exchange(other.root_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Tree& operator=(Tree&& other) noexcept {
    if (this != &other) {
      clear();
      root_ = std::exchange(other.root_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  ~Tree() { clear(); }

  std::size_t size() const { return size_; }
  bool is_empty() const { return size_ == 0; }

  Iterator begin() { return Iterator(tree_detail::first(root_)); }
  Iterator end() { return Iterator(); }
  ConstIterator begin() const { return ConstIterator(tree_detail::first(root_)); }
  ConstIterator end() const { return ConstIterator(); }
  Iterator first() { return begin(); }
  ConstIterator first() const { return begin(); }
  Iterator last() { return Iterator(tree_detail::last(root_)); }
  ConstIterator last() const { return ConstIterator(tree_detail::last(root_)); }

  template <typename Q>
  V* find(const Q& key) {
    const Iterator it = find_entry(key);
    return it ? &it->value : nullptr;
  }
  template <typename Q>
  const V* find(const Q& key) const {
    return const_cast<Tree*>(this)->find(key);
  }
  template <typename Q>
  bool contains(const Q& key) const {
    return find(key) != nullptr;
  }

  template <typename Q>
  Iterator find_entry(const Q& key) {
    const Iterator it = lower_bound(key);
    return it && !(key < it->key) ? it : Iterator();
  }
  template <typename Q>
  ConstIterator find_entry(const Q& key) const {
    return const_cast<Tree*>(this)->find_entry(key);
  }

  // The first entry whose key is not less than `key`.
  template <typename Q>
  Iterator lower_bound(const Q& key) {
    return first_where([&](const K& other) { return !(other < key); });
  }
  template <typename Q>
  ConstIterator lower_bound(const Q& key) const {
    return const_cast<Tree*>(this)->lower_bound(key);
  }

  // The first entry whose key is greater than `key`.
  template <typename Q>
  Iterator upper_bound(const Q& key) {
    return first_where([&](const K& other) { return key < other; });
  }
  template <typename Q>
  ConstIterator upper_bound(const Q& key) const {
    return const_cast<Tree*>(this)->upper_bound(key);
  }

  // The last entry whose key is at most `key`: the area that may hold an address.
  template <typename Q>
  Iterator last_at_most(const Q& key) {
    Links* best = nullptr;
    for (Links* at = root_; at != nullptr;) {
      const bool too_great = key < node_of(*at).entry_.key;
      if (!too_great) best = at;
      at = too_great ? at->left : at->right;
    }
    return Iterator(best);
  }
  template <typename Q>
  ConstIterator last_at_most(const Q& key) const {
    return const_cast<Tree*>(this)->last_at_most(key);
  }

  // Replaces the value of a key that is there already.
  Result<V*> insert(K key, V value) {
    if (V* existing = find(key)) {
      *existing = std::move(value);
      return existing;
    }
    return &insert(TRY(prepare(std::move(key), std::move(value))))->value;
  }

  static Result<OwnPtr<Node>> prepare(K key, V value) {
    return make_own<Node>(std::move(key), std::move(value));
  }

  // Cannot fail. The key must not be in the tree (panics otherwise).
  Iterator insert(OwnPtr<Node> node) {
    const K& key = node->entry_.key;
    Links* parent = nullptr;
    Side side = Side::kLeft;
    for (Links* at = root_; at != nullptr; at = side == Side::kLeft ? at->left : at->right) {
      const K& other = node_of(*at).entry_.key;
      parent = at;
      side = key < other ? Side::kLeft : Side::kRight;
      ASSERT(side == Side::kLeft || other < key);
    }
    Links* links = node.leak();
    tree_detail::link(root_, parent, side, *links);
    ++size_;
    return Iterator(links);
  }

  template <typename Q>
  bool remove(const Q& key) {
    return take(key).has_value();
  }

  // Returns the entry after it. The iterator must be this tree's, and not the end.
  Iterator remove(Iterator it) {
    const Iterator following = it.next();
    extract(it);
    return following;
  }

  // Removes the entry and returns its value.
  template <typename Q>
  std::optional<V> take(const Q& key) {
    const Iterator it = find_entry(key);
    if (!it) return std::nullopt;
    OwnPtr<Node> node = extract(it);
    return std::optional<V>(std::move(node->entry_.value));
  }

  OwnPtr<Node> extract(Iterator it) {
    Links& links = it.checked();
    tree_detail::unlink(root_, links);
    --size_;
    return OwnPtr<Node>::adopt(node_of(links));
  }

  void clear() {
    // Children first, without a stack: cut off a leaf, go on at its parent.
    Links* at = std::exchange(root_, nullptr);
    size_ = 0;
    while (at != nullptr) {
      Links*& child = at->left != nullptr ? at->left : at->right;
      if (child != nullptr) {
        at = std::exchange(child, nullptr);
        continue;
      }
      Links* parent = at->parent;
      OwnPtr<Node>::adopt(node_of(*at)).clear();
      at = parent;
    }
  }

  // For tests.
  bool is_sound() const { return tree_detail::is_sound(root_); }

 private:
  static Node& node_of(Links& links) { return static_cast<Node&>(links); }

  // The keys for which `after` is true are all behind those for which it is not.
  template <typename Predicate>
  Iterator first_where(Predicate&& after) {
    Links* best = nullptr;
    for (Links* at = root_; at != nullptr;) {
      const bool is_after = after(std::as_const(node_of(*at).entry_.key));
      if (is_after) best = at;
      at = is_after ? at->left : at->right;
    }
    return Iterator(best);
  }

  Links* root_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace occlum
