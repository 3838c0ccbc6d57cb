// IntrusiveList: order, several lists per element, and what it refuses.
#include "libos/lib/list.h"

#include <gtest/gtest.h>

#include <vector>

namespace occlum {
namespace {

struct Item {
  explicit Item(int i) : id(i) {}
  virtual ~Item() = default;
  int id;
  ListNode first_node;
  ListNode second_node;
};
using First = IntrusiveList<Item, &Item::first_node>;
using Second = IntrusiveList<Item, &Item::second_node>;

template <typename List>
std::vector<int> ids(const List& list) {
  std::vector<int> result;
  for (Item& item : list) result.push_back(item.id);
  return result;
}

template <typename List>
void empty(List& list) {
  while (list.pop_front() != nullptr) {
  }
}

TEST(List, OrderAndNeighbours) {
  Item a(1), b(2), c(3), d(4);
  First list;
  EXPECT_TRUE(list.is_empty());
  EXPECT_EQ(list.first(), nullptr);
  EXPECT_EQ(list.pop_front(), nullptr);
  EXPECT_EQ(list.pop_back(), nullptr);
  list.push_back(b);
  list.push_front(a);
  list.push_back(d);
  list.insert_before(d, c);
  EXPECT_EQ(ids(list), (std::vector{1, 2, 3, 4}));
  EXPECT_EQ(list.size(), 4u);
  EXPECT_EQ(list.next(a), &b);
  EXPECT_EQ(list.previous(a), nullptr);
  EXPECT_EQ(list.next(d), nullptr);
  EXPECT_TRUE(list.contains(c));
  list.remove(c);
  EXPECT_FALSE(list.contains(c));
  EXPECT_FALSE(c.first_node.is_linked());
  EXPECT_EQ(ids(list), (std::vector{1, 2, 4}));
  EXPECT_EQ(list.pop_back(), &d);
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_EQ(list.first(), list.last());
  list.insert_before(b, a);
  EXPECT_EQ(ids(list), (std::vector{1, 2}));
  empty(list);
  EXPECT_EQ(list.size(), 0u);
}

TEST(List, TwoListsAndRemoveIf) {
  std::vector<std::unique_ptr<Item>> items;
  First first;
  Second second;
  for (int i = 0; i < 10; ++i) {
    items.push_back(std::make_unique<Item>(i));
    first.push_back(*items.back());
    second.push_front(*items.back());
  }
  EXPECT_EQ(first.remove_if([](Item& item) { return item.id % 2 == 0; }), 5u);
  EXPECT_EQ(ids(first), (std::vector{1, 3, 5, 7, 9}));
  EXPECT_EQ(second.size(), 10u);
  EXPECT_EQ(second.first()->id, 9);
  empty(first);
  empty(second);
}

TEST(ListDeathTest, Misuse) {
  EXPECT_DEATH(
      {
        First list;
        First other;
        Item item(1);
        list.push_back(item);
        other.remove(item);
      },
      "panic");
  EXPECT_DEATH(
      {
        First list;
        Item item(1);
        list.push_back(item);
        list.push_back(item);
      },
      "panic");
  EXPECT_DEATH(
      {
        First list;
        Item item(1);
        list.push_back(item);
      },
      "panic");
  EXPECT_DEATH(
      {
        First list;
        Item a(1);
        Item b(2);
        list.push_back(a);
        list.push_back(b);
        for (Item& item : list) list.remove(item);
      },
      "panic");
}

}  // namespace
}  // namespace occlum
