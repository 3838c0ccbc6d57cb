// epoll: triggering, one-shot, nesting, closing, over eventfds; and eventfds themselves.
#include "libos/ipc/epoll.h"

#include <gtest/gtest.h>

#include <thread>

#include "libos/ipc/event_file.h"
#include "libos/ipc/task_poller.h"
#include "tests/unit/harness/heap.h"
#include "tests/unit/ipc_tasks.h"

namespace occlum {
namespace {

constexpr uint32_t kNonBlock = 04000;
constexpr PollEvents kIn = kPollIn, kOut = kPollOut;

RefPtr<EventFile> make_event(uint64_t initial = 0) {
  auto event = MUST(make_ref<EventFile>(initial, EventFile::Mode::kCounter, 2u | kNonBlock));
  event->add_descriptor();
  return event;
}

void signal(EventFile& event, uint64_t value = 1) {
  DataSource source(std::as_bytes(std::span(&value, 1)));
  ASSERT_EQ(MUST(event.write(source)), 8u);
}

uint64_t drain(EventFile& event) {
  uint64_t value = 0;
  DataSink sink(std::as_writable_bytes(std::span(&value, 1)));
  MUST(event.read(sink));
  return value;
}

EpollEvent wanting(uint32_t events, uint64_t data) { return {.events = events, .data = data}; }

std::vector<std::pair<uint64_t, uint32_t>> wait(EpollFile& set, Nanoseconds deadline = 0) {
  std::array<EpollEvent, 8> events;
  const size_t count = MUST(set.wait(events, deadline));
  std::vector<std::pair<uint64_t, uint32_t>> found;
  for (size_t i = 0; i < count; ++i)
    found.emplace_back(uint64_t{events[i].data}, uint32_t{events[i].events});
  return found;
}

using Found = std::vector<std::pair<uint64_t, uint32_t>>;

TEST(Epoll, LevelTriggered) {
  auto set = MUST(make_ref<EpollFile>());
  auto event = make_event();
  MUST(set->add(5, event, wanting(kIn, 42)));
  EXPECT_EQ(wait(*set), Found{});
  signal(*event);
  EXPECT_EQ(wait(*set), (Found{{42, kIn}}));
  EXPECT_EQ(wait(*set), (Found{{42, kIn}}));
  EXPECT_EQ(drain(*event), 1u);
  EXPECT_EQ(wait(*set), Found{});
  EXPECT_EQ(set->add(5, event, wanting(kIn, 1)).error(), Errno::kExist);
  MUST(set->remove(5, *event));
  EXPECT_EQ(set->remove(5, *event).error(), Errno::kNoEnt);
  signal(*event);
  EXPECT_EQ(wait(*set), Found{});
}

TEST(Epoll, EdgeTriggered) {
  auto set = MUST(make_ref<EpollFile>());
  auto event = make_event(1);
  MUST(set->add(5, event, wanting(kIn | kEpollEdge, 1)));
  EXPECT_EQ(wait(*set), (Found{{1, kIn}}));
  EXPECT_EQ(wait(*set), Found{});
  signal(*event);
  EXPECT_EQ(wait(*set), (Found{{1, kIn}}));
  EXPECT_EQ(wait(*set), Found{});
  // Changing it looks again.
  MUST(set->modify(5, *event, wanting(kIn | kOut | kEpollEdge, 2)));
  EXPECT_EQ(wait(*set), (Found{{2, kIn | kOut}}));
}

TEST(Epoll, OneShot) {
  auto set = MUST(make_ref<EpollFile>());
  auto event = make_event(1);
  MUST(set->add(5, event, wanting(kIn | kEpollOneShot, 1)));
  EXPECT_EQ(wait(*set), (Found{{1, kIn}}));
  signal(*event);
  EXPECT_EQ(wait(*set), Found{});
  MUST(set->modify(5, *event, wanting(kIn | kEpollOneShot, 1)));
  EXPECT_EQ(wait(*set), (Found{{1, kIn}}));
}

TEST(Epoll, FairWhenMoreIsReadyThanAskedFor) {
  auto set = MUST(make_ref<EpollFile>());
  std::vector<RefPtr<EventFile>> events;
  for (int i = 0; i < 20; ++i) {
    events.push_back(make_event(1));
    MUST(set->add(i, events.back(), wanting(kIn, static_cast<uint64_t>(i))));
  }
  std::vector<bool> seen(20);
  for (int round = 0; round < 3; ++round) {
    for (const auto& [data, bits] : wait(*set)) seen[data] = true;
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(seen[static_cast<size_t>(i)]) << i;
}

TEST(Epoll, ExclusiveRules) {
  auto set = MUST(make_ref<EpollFile>());
  auto other = MUST(make_ref<EpollFile>());
  auto event = make_event();
  EXPECT_EQ(set->add(5, event, wanting(kIn | kEpollExclusive | kEpollOneShot, 1)).error(),
            Errno::kInval);
  EXPECT_EQ(set->add(6, other, wanting(kIn | kEpollExclusive, 1)).error(), Errno::kInval);
  MUST(set->add(5, event, wanting(kIn | kEpollExclusive, 1)));
  EXPECT_EQ(set->modify(5, *event, wanting(kIn, 1)).error(), Errno::kInval);
}

TEST(Epoll, TheLastCloseTakesTheFileOut) {
  const size_t before = testing::live_allocations();
  {
    auto set = MUST(make_ref<EpollFile>());
    auto event = make_event(1);
    event->add_descriptor();
    MUST(set->add(5, event, wanting(kIn, 1)));
    MUST(set->add(6, event, wanting(kIn, 2)));
    event->remove_descriptor();
    EXPECT_EQ(wait(*set).size(), 2u);
    event->remove_descriptor();
    EXPECT_EQ(wait(*set), Found{});
    EXPECT_EQ(event->reference_count(), 1u);
  }
  EXPECT_LE(testing::live_allocations(), before + 1);  // the registry's table may stay
}

TEST(Epoll, ASetThatGoesLeavesItsFiles) {
  auto event = make_event(1);
  {
    auto set = MUST(make_ref<EpollFile>());
    MUST(set->add(5, event, wanting(kIn, 1)));
  }
  EXPECT_EQ(event->reference_count(), 1u);
  signal(*event);
  event->remove_descriptor();
}

TEST(Epoll, Nesting) {
  auto inner = MUST(make_ref<EpollFile>());
  auto outer = MUST(make_ref<EpollFile>());
  auto event = make_event();
  MUST(inner->add(5, event, wanting(kIn, 1)));
  MUST(outer->add(6, inner, wanting(kIn, 2)));
  EXPECT_EQ(inner->add(7, outer, wanting(kIn, 3)).error(), Errno::kLoop);
  EXPECT_EQ(wait(*outer), Found{});
  signal(*event);
  // The outer set hears of it through a timer.
  Timer* due = testing::due_timer.exchange(nullptr);
  ASSERT_NE(due, nullptr);
  struct Access : Timer {
    using Timer::expired;
  };
  (due->*&Access::expired)();
  EXPECT_EQ(wait(*outer), (Found{{2, kIn}}));
  EXPECT_EQ(wait(*inner), (Found{{1, kIn}}));
  drain(*event);
  EXPECT_EQ(wait(*outer), Found{});
}

TEST(Epoll, DeepNestingIsRefused) {
  std::vector<RefPtr<EpollFile>> sets;
  for (int i = 0; i < 7; ++i) sets.push_back(MUST(make_ref<EpollFile>()));
  Result<void> last;
  int depth = 0;
  for (size_t i = 1; i < sets.size(); ++i) {
    last = sets[i]->add(static_cast<int>(i), sets[i - 1], wanting(kIn, 0));
    if (last.is_error()) break;
    ++depth;
  }
  EXPECT_TRUE(last.is_error());
  EXPECT_GE(depth, 4);
}

TEST(Epoll, WaitsAndWakes) {
  auto set = MUST(make_ref<EpollFile>());
  auto event = make_event();
  MUST(set->add(5, event, wanting(kIn, 1)));
  EXPECT_EQ(wait(*set, monotonic_now() + 1'000'000), Found{});
  std::thread waker([&] {
    for (int i = 0; i < 1000; ++i) {
      signal(*event);
      while (event->count() != 0) std::this_thread::yield();
    }
  });
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(wait(*set, kNever).size(), 1u);
    ASSERT_EQ(drain(*event), 1u);
  }
  waker.join();
}

TEST(Epoll, AllocationFailuresChangeNothing) {
  auto event = make_event();
  testing::with_each_allocation_failing([&] {
    auto set = make_ref<EpollFile>();
    if (set.is_error()) return;
    const auto added = set.value()->add(5, event, wanting(kIn, 1));
    if (added.is_error()) {
      EXPECT_EQ(added.error(), Errno::kNoMem);
      EXPECT_EQ(set.value()->remove(5, *event).error(), Errno::kNoEnt);
    }
  });
  EXPECT_EQ(event->reference_count(), 1u);
}

TEST(EventFile, CountsAndBlocks) {
  auto event = make_event();
  signal(*event, 3);
  EXPECT_EQ(drain(*event), 3u);
  uint64_t value = 0;
  DataSink sink(std::as_writable_bytes(std::span(&value, 1)));
  EXPECT_EQ(event->read(sink).error(), Errno::kAgain);
  signal(*event, UINT64_MAX - 1);
  EXPECT_EQ(event->poll(nullptr) & (kPollIn | kPollOut), kPollIn);
  DataSource more(std::as_bytes(std::span("12345678", 8)));
  EXPECT_EQ(event->write(more).error(), Errno::kAgain);
  std::array<std::byte, 7> small;
  DataSink too_small(small);
  EXPECT_EQ(event->read(too_small).error(), Errno::kInval);
}

TEST(EventFile, Semaphore) {
  auto event = MUST(make_ref<EventFile>(uint64_t{2}, EventFile::Mode::kSemaphore, 2u | kNonBlock));
  EXPECT_EQ(drain(*event), 1u);
  EXPECT_EQ(drain(*event), 1u);
  uint64_t value = 0;
  DataSink sink(std::as_writable_bytes(std::span(&value, 1)));
  EXPECT_EQ(event->read(sink).error(), Errno::kAgain);
}

}  // namespace
}  // namespace occlum
