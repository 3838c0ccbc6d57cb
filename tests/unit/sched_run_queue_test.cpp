// RunQueue by hand: who comes next, how shares follow weights, what sleepers and real-time tasks get.
#include "libos/sched/run_queue.cpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

namespace occlum {
namespace {

constexpr uint64_t kMs = 1'000'000;
using Arrival = RunQueue::Arrival;

Scheduling nice_of(int nice) { return Scheduling{.nice = static_cast<int8_t>(nice)}; }
Scheduling fifo(int priority) {
  return Scheduling{.policy = SchedulingPolicy::kFifo, .priority = static_cast<uint8_t>(priority)};
}
Scheduling round_robin(int priority) {
  return Scheduling{.policy = SchedulingPolicy::kRoundRobin,
                    .priority = static_cast<uint8_t>(priority)};
}

// A machine of some vCPUs with a tick of 1 ms, on which tasks compute without end.
class Machine {
 public:
  explicit Machine(uint32_t vcpus) : running_(vcpus, nullptr) {}

  RunEntity& add(const Scheduling& scheduling = {}, uint64_t affinity = kAllVcpus) {
    entities_.push_back(std::make_unique<RunEntity>(nullptr));
    RunEntity& entity = *entities_.back();
    queue.set_scheduling(entity, scheduling);
    queue.set_affinity(entity, affinity);
    queue.add(entity, Arrival::kAwake);
    return entity;
  }

  void tick(uint64_t ns = kMs) {
    now_ += ns;
    for (uint32_t vcpu = 0; vcpu < running_.size(); ++vcpu) {
      RunEntity*& current = running_[vcpu];
      if (current == nullptr) {
        current = queue.take(vcpu, now_);
        continue;
      }
      ran[current] += ns;
      queue.charge(*current, ns, vcpu, now_);
      if (RunEntity* next = queue.take_before(*current, vcpu, now_)) {
        queue.add(*current, Arrival::kPreempted);
        current = next;
      }
    }
  }
  void run(int ticks) {
    for (int i = 0; i < ticks; ++i) tick();
  }
  RunEntity* running(uint32_t vcpu = 0) { return running_[vcpu]; }
  void sleep(uint32_t vcpu = 0) { running_[vcpu] = nullptr; }
  uint64_t now() const { return now_; }
  ~Machine() {
    for (RunEntity*& current : running_) current = nullptr;
    for (uint32_t vcpu = 0; vcpu < kMostVcpus; ++vcpu) {
      while (queue.take(vcpu, now_ += 2'000 * kMs) != nullptr) {
      }
    }
  }

  WaitingTasks waiting;
  RunQueue queue{waiting};
  std::map<const RunEntity*, uint64_t> ran;

 private:
  std::vector<std::unique_ptr<RunEntity>> entities_;
  std::vector<RunEntity*> running_;
  uint64_t now_ = 1'000'000 * kMs;
};

TEST(RunQueue, TenOnTwoGetEqualShares) {
  Machine machine(2);
  std::vector<RunEntity*> all;
  for (int i = 0; i < 10; ++i) all.push_back(&machine.add());
  machine.run(2'000);
  for (RunEntity* entity : all) {
    EXPECT_NEAR(static_cast<double>(machine.ran[entity]), 400.0 * kMs, 20.0 * kMs);
  }
}

TEST(RunQueue, SharesFollowWeights) {
  Machine machine(1);
  RunEntity& plain = machine.add();
  RunEntity& nicer = machine.add(nice_of(5));
  RunEntity& idle = machine.add(Scheduling{.policy = SchedulingPolicy::kIdle});
  machine.run(20'000);
  const double ratio =
      static_cast<double>(machine.ran[&plain]) / static_cast<double>(machine.ran[&nicer]);
  EXPECT_NEAR(ratio, 1024.0 / 335, 0.2);
  EXPECT_LT(machine.ran[&idle], machine.ran[&plain] / 100);
  EXPECT_GT(machine.ran[&idle], 0u);
}

TEST(RunQueue, WhoComesLateOrRanAloneHasNoAdvantage) {
  Machine machine(2);
  // The light one runs ahead in virtual time while nobody competes; that is forgotten soon.
  RunEntity& light = machine.add(nice_of(19), 2);
  RunEntity& heavy = machine.add(nice_of(-20), 1);
  machine.run(10'000);
  RunEntity& late = machine.add({}, 3);
  const uint64_t before = machine.ran[&light];
  machine.run(4'000);
  EXPECT_GT(machine.ran[&late], 500 * kMs);
  EXPECT_GT(machine.ran[&heavy], 10'000 * kMs);
  EXPECT_GT(machine.ran[&light], before);
}

TEST(RunQueue, SleeperComesFirst) {
  Machine machine(1);
  for (int i = 0; i < 6; ++i) machine.add();
  RunEntity& interactive = machine.add();
  int late = 0;
  for (int round = 0; round < 200; ++round) {
    int ticks = 0;
    while (machine.running() != &interactive && ++ticks < 100) machine.tick();
    if (round > 2 && ticks > 2) ++late;
    machine.tick(kMs / 10);
    if (machine.running() != &interactive) continue;
    machine.sleep();
    machine.run(3);
    machine.queue.add(interactive, Arrival::kAwake);
  }
  EXPECT_EQ(late, 0);
}

TEST(RunQueue, RealtimeComesByPriorityAndKeepsItsTurn) {
  Machine machine(1);
  RunEntity& plain = machine.add();
  RunEntity& low = machine.add(fifo(1));
  RunEntity& high = machine.add(fifo(2));
  RunEntity& equal = machine.add(fifo(2));
  machine.tick();
  EXPECT_EQ(machine.running(), &high);
  machine.run(300);
  EXPECT_EQ(machine.running(), &high);
  machine.queue.set_inherited_priority(low, 5);
  machine.tick();
  EXPECT_EQ(machine.running(), &low);
  machine.queue.set_inherited_priority(low, 0);
  machine.tick();
  EXPECT_EQ(machine.running(), &high);  // preempted: it kept its turn
  machine.sleep();
  machine.tick();
  EXPECT_EQ(machine.running(), &equal);
  machine.sleep();
  machine.tick();
  EXPECT_EQ(machine.running(), &low);
  EXPECT_EQ(machine.ran[&plain], 0u);
}

TEST(RunQueue, RoundRobinTakesTurns) {
  Machine machine(1);
  RunEntity& a = machine.add(round_robin(3));
  RunEntity& b = machine.add(round_robin(3));
  machine.run(600);
  EXPECT_NEAR(static_cast<double>(machine.ran[&a]), static_cast<double>(machine.ran[&b]),
              101.0 * kMs);
  EXPECT_GT(machine.ran[&b], 200 * kMs);
}

TEST(RunQueue, OthersGetAFewPercentOfRealtime) {
  Machine machine(1);
  RunEntity& spinner = machine.add(fifo(50));
  RunEntity& plain = machine.add();
  machine.run(10'000);
  EXPECT_NEAR(static_cast<double>(machine.ran[&plain]), 500.0 * kMs, 60.0 * kMs);
  EXPECT_GT(machine.ran[&spinner], 9'000 * kMs);
}

TEST(RunQueue, YieldOfARealtimeTaskReachesItsEquals) {
  Machine machine(1);
  machine.add();
  RunEntity& a = machine.add(fifo(4));
  machine.tick();
  EXPECT_EQ(machine.queue.take_for_yield(a, 0, machine.now()), nullptr);
  RunEntity& b = machine.add(fifo(4));
  EXPECT_EQ(machine.queue.take_for_yield(a, 0, machine.now()), &b);
}

TEST(RunQueue, AffinityIsObeyedAndCounted) {
  Machine machine(2);
  RunEntity& bound = machine.add({}, 2);
  EXPECT_FALSE(machine.waiting.any_for(0));
  EXPECT_TRUE(machine.waiting.any_for(1));
  EXPECT_EQ(machine.queue.take(0, machine.now()), nullptr);
  machine.queue.set_affinity(bound, 1);
  EXPECT_TRUE(machine.waiting.any_for(0));
  EXPECT_FALSE(machine.waiting.any_for(1));
  EXPECT_EQ(machine.queue.take(0, machine.now()), &bound);
  EXPECT_FALSE(machine.waiting.any_for(0));
  // One that may not stay gives way to anybody, and stays only for want of others.
  RunEntity& other = machine.add(nice_of(19));
  machine.queue.set_affinity(bound, 2);
  EXPECT_EQ(machine.queue.take_before(bound, 0, machine.now()), &other);
}

TEST(RunQueue, LoweringItsPriorityIsNoLoss) {
  Machine machine(1);
  RunEntity& first = machine.add(fifo(10));
  RunEntity& second = machine.add(fifo(20));
  machine.queue.set_scheduling(second, fifo(10));  // lowered: in front
  EXPECT_EQ(machine.queue.take(0, machine.now()), &second);
  EXPECT_EQ(machine.queue.take(0, machine.now()), &first);
}

}  // namespace
}  // namespace occlum
