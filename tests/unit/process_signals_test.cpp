// Signal sets, pending signals, dispositions and where a signal frame goes.
#include <gtest/gtest.h>

#include "libos/process/signals/actions.cpp"
#include "libos/process/signals/frame.h"
#include "libos/process/signals/pending.cpp"

namespace occlum {
namespace {

RefPtr<QueuedSignal> node_of(int signal, uint64_t value) {
  SignalInfo info = SignalInfo::from_user(signal, 1, 2, kSiQueue);
  info.sender.value = value;
  return MUST(QueuedSignal::create(info, 0, UINT64_MAX));
}

TEST(SignalSet, Bits) {
  SignalSet set = SignalSet::of(kSigHup, kSigMax);
  EXPECT_EQ(set.bits(), 0x8000000000000001u);
  EXPECT_EQ(set.first(), kSigHup);
  set.remove(kSigHup);
  EXPECT_EQ(set.first(), kSigMax);
  EXPECT_FALSE(set.contains(0));
  EXPECT_FALSE(set.contains(65));
  set.add(0);
  EXPECT_EQ(set, SignalSet::of(kSigMax));
  EXPECT_EQ(SignalSet().first(), 0);
}

TEST(PendingSignals, StandardOnesAreOnce) {
  PendingSignals pending;
  EXPECT_TRUE(pending.add(node_of(kSigUsr1, 1)));
  EXPECT_FALSE(pending.add(node_of(kSigUsr1, 2)));
  const auto info = pending.take(SignalSet::all());
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->sender.value, 1u);
  EXPECT_FALSE(pending.take(SignalSet::all()).has_value());
  EXPECT_TRUE(pending.set().is_empty());
}

TEST(PendingSignals, RealTimeOnesQueueInOrder) {
  PendingSignals pending;
  for (uint64_t value = 0; value < 3; ++value) EXPECT_TRUE(pending.add(node_of(40, value)));
  EXPECT_TRUE(pending.add(node_of(35, 9)));
  EXPECT_EQ(pending.take(SignalSet::all())->signal, 35);
  for (uint64_t value = 0; value < 3; ++value) {
    EXPECT_TRUE(pending.set().contains(40));
    EXPECT_EQ(pending.take(SignalSet::of(40))->sender.value, value);
  }
  EXPECT_TRUE(pending.set().is_empty());
}

TEST(PendingSignals, FaultsComeFirstAndMasksHold) {
  PendingSignals pending;
  EXPECT_TRUE(pending.add(node_of(kSigHup, 0)));
  EXPECT_TRUE(pending.add(node_of(kSigSegv, 0)));
  EXPECT_FALSE(pending.take(SignalSet::of(kSigTerm)).has_value());
  EXPECT_EQ(pending.take(SignalSet::all())->signal, kSigSegv);
  pending.add_bare(kSigTerm);
  EXPECT_EQ(pending.take(~SignalSet::of(kSigHup))->signal, kSigTerm);
  pending.discard(SignalSet::of(kSigHup));
  EXPECT_TRUE(pending.set().is_empty());
  EXPECT_EQ(pending.size(), 0u);
}

TEST(SignalActions, ResetForExecKeepsIgnored) {
  SignalActions actions;
  actions.set(kSigInt, SignalAction{.handler = 0x1000, .flags = kSaRestart});
  actions.set(kSigHup, SignalAction{.handler = kSigIgn});
  actions.reset_for_exec();
  EXPECT_EQ(actions.get(kSigInt).handler, kSigDfl);
  EXPECT_EQ(actions.get(kSigInt).flags, 0u);
  EXPECT_EQ(actions.get(kSigHup).handler, kSigIgn);
}

TEST(SignalActions, IgnoredFromTheStart) {
  SignalActions actions;
  actions.ignore(SignalSet::all() & kInheritable);
  for (int signal = 1; signal <= kSigMax; ++signal) {
    const bool is_kept = signal == kSigKill || signal == kSigStop || signal == 32 || signal == 33;
    EXPECT_EQ(actions.get(signal).handler, is_kept ? kSigDfl : kSigIgn) << signal;
    EXPECT_EQ(actions.get(signal).flags, 0u);
  }
  SignalActions one;
  one.ignore(SignalSet::of(kSigHup));
  one.ignore(SignalSet{});
  EXPECT_EQ(one.get(kSigHup).handler, kSigIgn);
  EXPECT_EQ(one.get(kSigInt).handler, kSigDfl);
}

TEST(SignalActions, ResetHand) {
  SignalActions actions;
  actions.set(kSigInt, SignalAction{.handler = 0x1000, .flags = kSaResetHand});
  EXPECT_EQ(actions.take(kSigInt).handler, 0x1000u);
  EXPECT_EQ(actions.get(kSigInt).handler, kSigDfl);
  EXPECT_TRUE(ignores(SignalAction{}, kSigChld));
  EXPECT_TRUE(ignores(SignalAction{}, kSigCont));
  EXPECT_FALSE(ignores(SignalAction{}, kSigTerm));
}

// As the compiler of a handler expects: RSP is 8 below a multiple of 16, the vector state at a multiple of 64.
TEST(SignalFrame, Layout) {
  for (uint64_t top = 0x700000; top < 0x700100; ++top) {
    const FrameLayout layout = lay_out_frame(top, 2696);
    EXPECT_EQ(layout.frame % 16, 8u);
    EXPECT_EQ(layout.xstate % 64, 0u);
    EXPECT_LE(layout.frame + sizeof(SignalFrame), layout.xstate);
    EXPECT_LE(layout.xstate + 2696 + 4, top);
    EXPECT_LT(top - layout.frame, 440u + 2700 + 64 + 24);
  }
  static_assert(offsetof(SignalFrame, context) == 8);
  static_assert(offsetof(UserContext, registers) == 40);
  static_assert(offsetof(UserContext, mask) == 296);
  static_assert(offsetof(SignalContext, rip) == 128);
  static_assert(offsetof(SignalContext, xstate) == 184);
}

}  // namespace
}  // namespace occlum
