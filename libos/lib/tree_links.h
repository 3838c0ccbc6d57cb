// The shape of a Tree, without its keys and values: an AVL tree (Adelson-Velsky and Landis, 1962;
// Knuth, volume 3, 6.2.3) of nodes with parent pointers. Heights of siblings differ by at most one,
// so a tree of n nodes is at most 1.45 log2(n) high. Nodes are relinked, never moved or swapped.
// For tree.h only.
#pragma once

#include <cstdint>

namespace occlum::tree_detail {

struct Links {
  Links* parent = nullptr;
  Links* left = nullptr;
  Links* right = nullptr;
  std::int8_t height = 1;  // of the subtree; a leaf's is 1
};

enum class Side : std::uint8_t { kLeft, kRight };

// Makes `node`, unlinked, the child of `parent` on a side that is free (or the root, when parent is
// nullptr).
void link(Links*& root, Links* parent, Side side, Links& node);
// Takes `node` out of the tree.
void unlink(Links*& root, Links& node);

// nullptr when there is none.
Links* first(Links* root);
Links* last(Links* root);
Links* next(Links& node);
Links* previous(Links& node);

// Whether heights, balance and parent pointers are as they must be; for tests.
bool is_sound(const Links* root);

}  // namespace occlum::tree_detail
