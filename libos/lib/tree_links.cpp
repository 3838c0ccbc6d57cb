// See tree_links.h.
#include "libos/lib/tree_links.h"

#include <algorithm>

#include "libos/lib/panic.h"

namespace occlum::tree_detail {
namespace {

int height(const Links* node) { return node == nullptr ? 0 : node->height; }

int balance(const Links& node) { return height(node.left) - height(node.right); }

void update_height(Links& node) {
  node.height = static_cast<std::int8_t>(1 + std::max(height(node.left), height(node.right)));
}

// `replacement` (may be nullptr) takes the place of `node` under its parent.
void replace(Links*& root, Links& node, Links* replacement) {
  Links* parent = node.parent;
  if (parent == nullptr) {
    root = replacement;
  } else if (parent->left == &node) {
    parent->left = replacement;
  } else {
    parent->right = replacement;
  }
  if (replacement != nullptr) replacement->parent = parent;
}

// The left child comes up, `node` becomes its right child. Returns the new top.
Links& rotate_right(Links*& root, Links& node) {
  Links& top = *node.left;
  replace(root, node, &top);
  node.left = top.right;
  if (node.left != nullptr) node.left->parent = &node;
  top.right = &node;
  node.parent = &top;
  update_height(node);
  update_height(top);
  return top;
}

Links& rotate_left(Links*& root, Links& node) {
  Links& top = *node.right;
  replace(root, node, &top);
  node.right = top.left;
  if (node.right != nullptr) node.right->parent = &node;
  top.left = &node;
  node.parent = &top;
  update_height(node);
  update_height(top);
  return top;
}

// Restores balance at `node`, whose subtrees are balanced. Returns the top of the subtree.
Links& rebalance(Links*& root, Links& node) {
  const int lean = balance(node);
  if (lean > 1) {
    if (balance(*node.left) < 0) rotate_left(root, *node.left);
    return rotate_right(root, node);
  }
  if (lean < -1) {
    if (balance(*node.right) > 0) rotate_right(root, *node.right);
    return rotate_left(root, node);
  }
  update_height(node);
  return node;
}

// From `node` up, until a subtree's height has not changed.
void rebalance_upwards(Links*& root, Links* node) {
  while (node != nullptr) {
    const std::int8_t before = node->height;
    Links& top = rebalance(root, *node);
    if (top.height == before) return;
    node = top.parent;
  }
}

}  // namespace

void link(Links*& root, Links* parent, Side side, Links& node) {
  node = Links();
  node.parent = parent;
  Links*& place = parent == nullptr ? root : side == Side::kLeft ? parent->left : parent->right;
  ASSERT(place == nullptr);
  place = &node;
  rebalance_upwards(root, parent);
}

void unlink(Links*& root, Links& node) {
  Links* lowest_changed = node.parent;
  if (node.left == nullptr || node.right == nullptr) {
    replace(root, node, node.left != nullptr ? node.left : node.right);
  } else {
    // The next node in order has no left child: it takes the place of `node`.
    Links& heir = *first(node.right);
    lowest_changed = &heir;
    if (heir.parent != &node) {
      lowest_changed = heir.parent;
      replace(root, heir, heir.right);
      heir.right = node.right;
      heir.right->parent = &heir;
    }
    heir.left = node.left;
    heir.left->parent = &heir;
    heir.height = node.height;
    replace(root, node, &heir);
  }
  node = Links();
  rebalance_upwards(root, lowest_changed);
}

Links* first(Links* root) {
  if (root == nullptr) return nullptr;
  while (root->left != nullptr) root = root->left;
  return root;
}

Links* last(Links* root) {
  if (root == nullptr) return nullptr;
  while (root->right != nullptr) root = root->right;
  return root;
}

Links* next(Links& node) {
  if (node.right != nullptr) return first(node.right);
  const Links* child = &node;
  Links* parent = node.parent;
  while (parent != nullptr && parent->right == child) {
    child = parent;
    parent = parent->parent;
  }
  return parent;
}

Links* previous(Links& node) {
  if (node.left != nullptr) return last(node.left);
  const Links* child = &node;
  Links* parent = node.parent;
  while (parent != nullptr && parent->left == child) {
    child = parent;
    parent = parent->parent;
  }
  return parent;
}

bool is_sound(const Links* root) {
  if (root == nullptr) return true;
  for (const Links* child : {root->left, root->right}) {
    if (child != nullptr && (child->parent != root || !is_sound(child))) return false;
  }
  const int lean = balance(*root);
  return lean >= -1 && lean <= 1 &&
         root->height == 1 + std::max(height(root->left), height(root->right));
}

}  // namespace occlum::tree_detail
