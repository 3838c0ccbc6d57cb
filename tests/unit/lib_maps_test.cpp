// HashMap and Tree: against std::map, at the edges, and with each allocation failing.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "libos/lib/hash_map.h"
#include "libos/lib/tree.h"
#include "tests/unit/harness/heap.h"

namespace occlum {
namespace {

using testing::with_each_allocation_failing;

// All in four buckets: long probe sequences that wrap.
struct Colliding {
  int id;
  std::uint64_t hash() const { return static_cast<std::uint64_t>(id % 4) + 6; }
  bool operator==(const Colliding&) const = default;
};

int id_of(int key) { return key; }
int id_of(const Colliding& key) { return key.id; }

template <typename K>
class HashMapTest : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(testing::live_allocations(), 0u); }
};
using Keys = ::testing::Types<int, Colliding>;
TYPED_TEST_SUITE(HashMapTest, Keys);

TYPED_TEST(HashMapTest, RandomOperationsMatchStdMap) {
  std::mt19937 random(2);
  HashMap<TypeParam, std::unique_ptr<int>> map;
  std::map<int, int> model;
  for (int step = 0; step < 20000; ++step) {
    const int id = static_cast<int>(random() % 200);
    const TypeParam key{id};
    if (random() % 2 == 0) {
      std::unique_ptr<int>* place = MUST(map.insert(key, std::make_unique<int>(step)));
      EXPECT_EQ(**place, step);
      model[id] = step;
    } else {
      EXPECT_EQ(map.remove(key), model.erase(id) == 1);
    }
    EXPECT_EQ(map.size(), model.size());
    const int probe = static_cast<int>(random() % 200);
    std::unique_ptr<int>* found = map.find(TypeParam{probe});
    ASSERT_EQ(found != nullptr, model.contains(probe));
    if (found != nullptr) EXPECT_EQ(**found, model[probe]);
    if (step % 1000 == 999) {
      map.remove_if([](const TypeParam& k, std::unique_ptr<int>&) { return id_of(k) % 3 == 0; });
      std::erase_if(model, [](const auto& entry) { return entry.first % 3 == 0; });
      std::size_t seen = 0;
      std::as_const(map).for_each([&](const TypeParam& k, const std::unique_ptr<int>& v) {
        ++seen;
        EXPECT_EQ(*v, model.at(id_of(k)));
      });
      EXPECT_EQ(seen, model.size());
    }
  }
  HashMap<TypeParam, std::unique_ptr<int>> moved = std::move(map);
  EXPECT_TRUE(map.is_empty());
  EXPECT_EQ(map.find(TypeParam{1}), nullptr);
  MUST(map.insert(TypeParam{1}, nullptr));
  map = std::move(moved);
  EXPECT_EQ(map.size(), model.size());
}

TEST(HashMap, TextKeysAreFoundByView) {
  HashMap<String, int> map;
  EXPECT_FALSE(map.contains(std::string_view("x")));
  MUST(map.insert(MUST(String::create("x")), 1));
  MUST(map.insert(MUST(String::create("y")), 2));
  MUST(map.insert(MUST(String::create("x")), 3));
  EXPECT_EQ(*map.find(std::string_view("x")), 3);
  EXPECT_EQ(map.take(std::string_view("y")), 2);
  EXPECT_EQ(map.take(std::string_view("y")), std::nullopt);
  EXPECT_EQ(map.size(), 1u);
}

TEST(HashMap, ReservedInsertsDoNotFail) {
  HashMap<int, int> map;
  MUST(map.reserve(100));
  testing::FailAllocation failure(1);
  for (int i = 0; i < 100; ++i) MUST(map.insert(i, i));
  EXPECT_FALSE(failure.happened());
}

TEST(HashMap, EveryAllocationFailure) {
  with_each_allocation_failing([] {
    HashMap<int, int> map;
    for (int i = 0; i < 100; ++i) {
      Result<int*> result = map.insert(i, i);
      if (result.is_error()) {
        EXPECT_EQ(result.error(), Errno::kNoMem);
        EXPECT_EQ(map.size(), static_cast<std::size_t>(i));
        for (int j = 0; j < i; ++j) EXPECT_EQ(*map.find(j), j);
        return;
      }
    }
  });
}

TEST(Hash, SipHashVectors) {
  // From Rust's core library tests of SipHasher13 (library/alloctests/tests/hash/sip.rs): key
  // 00..0f, input 00, 01, ...
  const HashKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  const std::array<std::uint64_t, 3> expected = {0xabac0158050fc4dc, 0xc9f49bf37d57ca93,
                                                 0x82cb9b024dc7d44d};
  std::array<std::byte, 16> input;
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i);
  for (std::size_t n = 0; n < expected.size(); ++n) {
    EXPECT_EQ(siphash13(key, std::span(input).first(n)), expected[n]) << n;
  }
  EXPECT_NE(siphash13(key, std::span(input).first(8)), siphash13(key, std::span(input).first(7)));
}

TEST(Hash, KeyedAndSpread) {
  const HashKey before = hash_key;
  const std::uint64_t unkeyed = hash_of(1);
  seed_hashes();
  EXPECT_NE(hash_of(1), unkeyed);
  std::array<int, 64> buckets = {};
  for (std::uint64_t page = 0; page < 64 * 64; ++page) ++buckets[hash_of(page * 4096) % 64];
  for (const int count : buckets) EXPECT_NEAR(count, 64, 48);
  hash_key = before;
}

TEST(Tree, RandomOperationsMatchStdMap) {
  std::mt19937 random(3);
  Tree<int, int> tree;
  std::map<int, int> model;
  const auto expect_at = [&](Tree<int, int>::Iterator it, auto model_it) {
    ASSERT_EQ(static_cast<bool>(it), model_it != model.end());
    if (it) EXPECT_EQ(it->key, model_it->first);
    if (it) EXPECT_EQ(it->value, model_it->second);
  };
  for (int step = 0; step < 30000; ++step) {
    const int range = step < 15000 ? 500 : 60;
    const int key = static_cast<int>(random() % static_cast<unsigned>(range));
    switch (random() % 4) {
      case 0:
      case 1:
        EXPECT_EQ(*MUST(tree.insert(key, step)), step);
        model[key] = step;
        break;
      case 2:
        EXPECT_EQ(tree.remove(key), model.erase(key) == 1);
        break;
      case 3:
        if (auto it = tree.lower_bound(key)) {
          expect_at(tree.remove(it), model.erase(model.lower_bound(key)));
        }
        break;
    }
    ASSERT_EQ(tree.size(), model.size());
    const int probe = static_cast<int>(random() % 520);
    expect_at(tree.lower_bound(probe), model.lower_bound(probe));
    expect_at(tree.upper_bound(probe), model.upper_bound(probe));
    expect_at(tree.find_entry(probe), model.find(probe));
    auto above = model.upper_bound(probe);
    expect_at(tree.last_at_most(probe), above == model.begin() ? model.end() : std::prev(above));
    if (step % 64 == 0) {
      ASSERT_TRUE(tree.is_sound());
      auto expected = model.begin();
      for (auto& [k, v] : tree) {
        EXPECT_EQ(k, expected->first);
        EXPECT_EQ(v, expected->second);
        ++expected;
      }
      EXPECT_EQ(expected, model.end());
    }
  }
}

TEST(Tree, EntriesStayWhereTheyAre) {
  Tree<int, int> tree;
  const Tree<int, int>::Iterator it = tree.insert(MUST(tree.prepare(1000, 1)));
  const int* address = tree.find(1000);
  for (int i = 0; i < 2000; ++i) {
    if (i != 1000) MUST(tree.insert(i, i));
  }
  EXPECT_EQ(&it->value, address);
  EXPECT_EQ(it.next()->key, 1001);
  EXPECT_EQ(it.previous()->key, 999);
  for (int i = 0; i < 2000; ++i) {
    if (i != 1000) tree.remove(i);
    if (i % 100 == 0) ASSERT_TRUE(tree.is_sound());
  }
  EXPECT_EQ(tree.find(1000), address);
  EXPECT_EQ(tree.first(), tree.last());
  EXPECT_FALSE(it.next());
  EXPECT_FALSE(it.previous());
}

TEST(Tree, PreparedInsertsDoNotFail) {
  Tree<int, std::unique_ptr<int>> tree;
  auto node = MUST(tree.prepare(1, std::make_unique<int>(5)));
  testing::FailAllocation failure(1);
  tree.insert(std::move(node));
  auto taken = tree.extract(tree.first());
  EXPECT_TRUE(tree.is_empty());
  EXPECT_EQ(*taken->entry().value, 5);
  tree.insert(std::move(taken));
  EXPECT_EQ(**tree.find(1), 5);
  EXPECT_FALSE(failure.happened());
  EXPECT_EQ(*tree.take(1).value(), 5);
}

TEST(Tree, MovesAndClears) {
  Tree<int, int> tree;
  for (int i = 0; i < 1000; ++i) MUST(tree.insert(i * 7919 % 1000, i));
  Tree<int, int> other = std::move(tree);
  EXPECT_TRUE(tree.is_empty());
  EXPECT_EQ(tree.begin(), tree.end());
  EXPECT_EQ(other.size(), 1000u);
  MUST(tree.insert(1, 1));
  tree = std::move(other);
  EXPECT_EQ(tree.size(), 1000u);
  const Tree<int, int>& constant = tree;
  int sum = 0;
  for (const auto& [k, v] : constant) sum += k;
  EXPECT_EQ(sum, 499500);
  EXPECT_EQ(constant.last_at_most(5000)->key, 999);
  EXPECT_EQ(constant.last()->key, 999);
  tree.clear();
  EXPECT_EQ(testing::live_allocations(), 0u);
}

TEST(Tree, EveryAllocationFailure) {
  with_each_allocation_failing([] {
    Tree<int, String> tree;
    for (int i = 0; i < 10; ++i) {
      const auto insert = [&]() -> Result<void> {
        TRY(tree.insert(i, TRY(String::create("text"))));
        return {};
      };
      if (insert().is_error()) {
        EXPECT_EQ(tree.size(), static_cast<std::size_t>(i));
        return;
      }
    }
  });
  EXPECT_EQ(testing::live_allocations(), 0u);
}

TEST(TreeDeathTest, Misuse) {
  Tree<int, int> tree;
  MUST(tree.insert(1, 1));
  EXPECT_DEATH(tree.insert(MUST(tree.prepare(1, 2))), "panic");
  EXPECT_DEATH((void)*tree.end(), "panic");
  EXPECT_DEATH((void)tree.find_entry(2)->value, "panic");
}

}  // namespace
}  // namespace occlum
