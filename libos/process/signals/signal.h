// Signals as values: their numbers, sets of them, and what comes with one (signal(7), sigaction(2)).
//
// The layouts are the kernel's of x86-64 (uapi asm-generic/signal.h and siginfo.h), so that what a program sees is a
// plain copy. A siginfo_t is 128 bytes, of which Linux uses the first 48; the rest is zero.
#pragma once

#include <bit>
#include <cstdint>

#include "libos/process/pid.h"

namespace occlum {

enum Signal : int {
  kSigHup = 1,
  kSigInt = 2,
  kSigQuit = 3,
  kSigIll = 4,
  kSigTrap = 5,
  kSigAbrt = 6,
  kSigBus = 7,
  kSigFpe = 8,
  kSigKill = 9,
  kSigUsr1 = 10,
  kSigSegv = 11,
  kSigUsr2 = 12,
  kSigPipe = 13,
  kSigAlrm = 14,
  kSigTerm = 15,
  kSigStkFlt = 16,
  kSigChld = 17,
  kSigCont = 18,
  kSigStop = 19,
  kSigTstp = 20,
  kSigTtin = 21,
  kSigTtou = 22,
  kSigUrg = 23,
  kSigXCpu = 24,
  kSigXFsz = 25,
  kSigVtAlrm = 26,
  kSigProf = 27,
  kSigWinch = 28,
  kSigIo = 29,
  kSigPwr = 30,
  kSigSys = 31,
  kSigRtMin = 32,  // the kernel's: 32 and 33 are what the C library keeps for itself
  kSigMax = 64,
};

constexpr bool is_valid_signal(int signal) { return signal >= 1 && signal <= kSigMax; }
constexpr bool is_realtime_signal(int signal) { return signal >= kSigRtMin; }

// sigset_t as the kernel knows it: bit n-1 is signal n.
class SignalSet {
 public:
  constexpr SignalSet() = default;
  constexpr explicit SignalSet(uint64_t bits) : bits_(bits) {}
  template <typename... Signals>
  static constexpr SignalSet of(Signals... signals) {
    return SignalSet((bit(signals) | ... | 0));
  }
  static constexpr SignalSet all() { return SignalSet(UINT64_MAX); }

  constexpr uint64_t bits() const { return bits_; }
  constexpr bool is_empty() const { return bits_ == 0; }
  constexpr bool contains(int signal) const { return (bits_ & bit(signal)) != 0; }
  constexpr void add(int signal) { bits_ |= bit(signal); }
  constexpr void remove(int signal) { bits_ &= ~bit(signal); }
  // 0 when empty.
  constexpr int first() const { return bits_ == 0 ? 0 : std::countr_zero(bits_) + 1; }

  friend constexpr SignalSet operator|(SignalSet a, SignalSet b) {
    return SignalSet(a.bits_ | b.bits_);
  }
  friend constexpr SignalSet operator&(SignalSet a, SignalSet b) {
    return SignalSet(a.bits_ & b.bits_);
  }
  friend constexpr SignalSet operator~(SignalSet a) { return SignalSet(~a.bits_); }
  constexpr bool operator==(const SignalSet&) const = default;

 private:
  static constexpr uint64_t bit(int signal) {
    return is_valid_signal(signal) ? uint64_t{1} << (signal - 1) : 0;
  }
  uint64_t bits_ = 0;
};
static_assert(sizeof(SignalSet) == 8);

constexpr SignalSet kUnblockable = SignalSet::of(kSigKill, kSigStop);
// What a program may find ignored or blocked by whoever started it from outside. A C library neither ignores nor blocks
// the two that it keeps for itself, and needs them.
constexpr SignalSet kInheritable = ~(kUnblockable | SignalSet::of(kSigRtMin, kSigRtMin + 1));
constexpr SignalSet kStopSignals = SignalSet::of(kSigStop, kSigTstp, kSigTtin, kSigTtou);
// What a fault of the thread itself raises: delivered before any other.
constexpr SignalSet kSynchronousSignals =
    SignalSet::of(kSigSegv, kSigBus, kSigIll, kSigTrap, kSigFpe, kSigSys);

// si_code.
constexpr int kSiUser = 0, kSiKernel = 0x80, kSiQueue = -1, kSiTimer = -2, kSiMesgQ = -3,
              kSiAsyncIo = -4, kSiSigIo = -5, kSiTkill = -6;
constexpr int kIllOpn = 2, kIllPrvOpc = 5;
constexpr int kFpeIntDiv = 1, kFpeIntOvf = 2, kFpeFltDiv = 3, kFpeFltOvf = 4, kFpeFltUnd = 5,
              kFpeFltRes = 6, kFpeFltInv = 7;
constexpr int kSegvMapErr = 1, kSegvAccErr = 2, kSegvBndErr = 3;
constexpr int kBusAdrAln = 1, kBusAdrErr = 2;
constexpr int kTrapBrkpt = 1, kTrapTrace = 2, kTrapHardware = 4;
constexpr int kCldExited = 1, kCldKilled = 2, kCldDumped = 3, kCldTrapped = 4, kCldStopped = 5,
              kCldContinued = 6;
constexpr int kPollInCode = 1, kPollOutCode = 2, kPollMsgCode = 3, kPollErrCode = 4,
              kPollPriCode = 5, kPollHupCode = 6;

// siginfo_t's used part.
struct SignalInfo {
  int32_t signal = 0;
  int32_t error = 0;
  int32_t code = 0;
  int32_t padding = 0;
  struct Sender {
    int32_t pid;
    uint32_t uid;
    uint64_t value;  // sigqueue(3)
  };
  struct Child {
    int32_t pid;
    uint32_t uid;
    int32_t status;
    int32_t padding;
    int64_t user_time, system_time;  // clock ticks (1/100 s)
  };
  struct Timer {
    int32_t id;
    int32_t overrun;
    uint64_t value;
  };
  struct Fault {
    uint64_t address;
    int16_t address_lsb;
  };
  struct Poll {
    int64_t band;
    int32_t fd;
  };
  union {
    uint64_t words[4] = {};
    Sender sender;
    Child child;
    Timer timer;
    Fault fault;
    Poll poll;
  };

  // kill(2) and friends: `code` kSiUser, kSiTkill or kSiQueue.
  static SignalInfo from_user(int signal, Pid pid, uint32_t uid, int code = kSiUser);
  // From the LibOS itself, SI_KERNEL.
  static SignalInfo from_kernel(int signal);
  static SignalInfo of_fault(int signal, int code, uint64_t address);
};
static_assert(sizeof(SignalInfo) == 48);

inline SignalInfo SignalInfo::from_user(int signal, Pid pid, uint32_t uid, int code) {
  SignalInfo info;
  info.signal = signal;
  info.code = code;
  info.sender = {.pid = pid, .uid = uid, .value = 0};
  return info;
}

inline SignalInfo SignalInfo::from_kernel(int signal) {
  SignalInfo info;
  info.signal = signal;
  info.code = kSiKernel;
  return info;
}

inline SignalInfo SignalInfo::of_fault(int signal, int code, uint64_t address) {
  SignalInfo info;
  info.signal = signal;
  info.code = code;
  info.fault = {.address = address, .address_lsb = 0};
  return info;
}

}  // namespace occlum
