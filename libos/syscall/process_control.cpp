// prctl(2) and arch_prctl(2).
#include "libos/arch/memory.h"
#include "libos/arch/task_context.h"
#include "libos/lib/memory.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/syscall/dispatch.h"

namespace occlum {
namespace {

enum Option : int {
  kSetPdeathsig = 1,
  kGetPdeathsig = 2,
  kGetDumpable = 3,
  kSetDumpable = 4,
  kGetKeepcaps = 7,
  kSetKeepcaps = 8,
  kGetTiming = 13,
  kSetTiming = 14,
  kSetName = 15,
  kGetName = 16,
  kGetSeccomp = 21,
  kCapbsetRead = 23,
  kCapbsetDrop = 24,
  kGetTsc = 25,
  kGetSecurebits = 27,
  kSetSecurebits = 28,
  kSetTimerslack = 29,
  kGetTimerslack = 30,
  kSetPerfEventsOff = 31,
  kSetPerfEventsOn = 32,
  kMceKillGet = 34,
  kSetChildSubreaper = 36,
  kGetChildSubreaper = 37,
  kSetNoNewPrivs = 38,
  kGetNoNewPrivs = 39,
  kGetTidAddress = 40,
  kSetThpDisable = 41,
  kGetThpDisable = 42,
  kCapAmbient = 47,
  kSetIoFlusher = 57,
  kGetIoFlusher = 58,
  kGetMdwe = 66,
  kSetPtracer = 0x59616d61,
};

constexpr uint64_t kDefaultTimerSlack = 50'000;

Result<long> set_name(Thread& self, uint64_t address) {
  // At most 15 bytes are used; the string may end right before an unmapped page.
  String text;
  for (size_t i = 0; i < 15; ++i) {
    const char character = TRY(UserIn<char>(UserAddress(address + i)).read());
    if (character == '\0') break;
    TRY(text.append(character));
  }
  self.set_name(text.view());
  return 0;
}

// kInval for a number that is none.
Result<uint64_t> bit_of(uint64_t capability) {
  if (capability > 63 || ((kAllCapabilities >> capability) & 1) == 0) return Errno::kInval;
  return uint64_t{1} << capability;
}

Result<long> drop_from_bounding_set(Thread& self, uint64_t capability) {
  if (!self.user().has(kCapSetPcap)) return Errno::kPerm;
  const uint64_t bit = TRY(bit_of(capability));
  UserCredentials next = TRY(self.user().clone());
  next.bounding &= ~bit;
  TRY(self.set_credentials(std::move(next)));
  return 0;
}

Result<long> change_ambient(Thread& self, uint64_t operation, uint64_t capability,
                            uint64_t unused) {
  constexpr uint64_t kIsSet = 1, kRaise = 2, kLower = 3, kClearAll = 4;
  if (unused != 0) return Errno::kInval;
  UserCredentials next = TRY(self.user().clone());
  if (operation == kClearAll) {
    if (capability != 0) return Errno::kInval;
    next.ambient = 0;
    TRY(self.set_credentials(std::move(next)));
    return 0;
  }
  const uint64_t bit = TRY(bit_of(capability));
  switch (operation) {
    case kIsSet:
      return (next.ambient & bit) != 0 ? 1 : 0;
    case kRaise:
      if ((next.permitted & next.inheritable & bit) == 0 ||
          (next.secure_bits & kSecureNoCapAmbientRaise) != 0) {
        return Errno::kPerm;
      }
      next.ambient |= bit;
      break;
    case kLower:
      next.ambient &= ~bit;
      break;
    default:
      return Errno::kInval;
  }
  TRY(self.set_credentials(std::move(next)));
  return 0;
}

// A locked bit does not change, and locks stay (capabilities(7), "The securebits flags").
Result<long> set_secure_bits(Thread& self, uint64_t wanted) {
  const uint32_t old = self.user().secure_bits, locks = old & kSecureAllLocks;
  if ((wanted & ~uint64_t{kSecureAllBits | kSecureAllLocks}) != 0 || (locks & ~wanted) != 0 ||
      ((locks >> 1) & (old ^ wanted)) != 0 || !self.user().has(kCapSetPcap)) {
    return Errno::kPerm;
  }
  UserCredentials next = TRY(self.user().clone());
  next.secure_bits = static_cast<uint32_t>(wanted);
  TRY(self.set_credentials(std::move(next)));
  return 0;
}

Result<long> set_keep_capabilities(Thread& self, uint64_t on) {
  if (on > 1) return Errno::kInval;
  if ((self.user().secure_bits & (kSecureKeepCaps << 1)) != 0) return Errno::kPerm;
  UserCredentials next = TRY(self.user().clone());
  next.secure_bits = (next.secure_bits & ~kSecureKeepCaps) | (on != 0 ? kSecureKeepCaps : 0);
  TRY(self.set_credentials(std::move(next)));
  return 0;
}

Result<long> set_subreaper(Thread& self, bool on) {
  process_tree().with([&](ProcessTree& tree) { self.process().links(tree).is_subreaper = on; });
  return 0;
}

// A mark that nothing here looks at: memory is never written out by a program.
Result<long> set_or_get_io_flusher(Thread& self, bool sets, uint64_t on, uint64_t unused) {
  if (unused != 0 || on > (sets ? 1 : 0)) return Errno::kInval;
  if (!sets) return self.is_io_flusher ? 1 : 0;
  self.is_io_flusher = on != 0;
  return 0;
}

bool is_subreaper(Thread& self) {
  return process_tree().with(
      [&](ProcessTree& tree) { return self.process().links(tree).is_subreaper; });
}

}  // namespace

// prctl(2). Options that are missing are EINVAL, as on a kernel built without them.
Result<long> sys_prctl(Thread& self, int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  switch (option) {
    case kSetPdeathsig:
      if (a != 0 && (a > INT32_MAX || !is_valid_signal(static_cast<int>(a)))) return Errno::kInval;
      self.parent_death_signal = static_cast<int>(a);
      return 0;
    case kGetPdeathsig:
      TRY(UserOut<int>(UserAddress(a)).write(self.parent_death_signal));
      return 0;
    case kGetDumpable:
      return self.process().dumpable() ? 1 : 0;
    case kSetDumpable:
      if (a > 1) return Errno::kInval;
      self.process().set_dumpable(a != 0);
      return 0;
    case kGetKeepcaps:
      return (self.user().secure_bits & kSecureKeepCaps) != 0 ? 1 : 0;
    case kSetKeepcaps:
      return set_keep_capabilities(self, a);
    case kGetTiming:
      return 0;
    case kSetTiming:
      return a == 0 ? Result<long>(0) : Errno::kInval;
    case kSetName:
      return set_name(self, a);
    case kGetName:
      TRY(copy_to_user(self.memory(), UserAddress(a), object_bytes(self.name().text)));
      return 0;
    case kGetSeccomp:
      return 0;
    case kCapbsetRead:
      return (self.user().bounding & TRY(bit_of(a))) != 0 ? 1 : 0;
    case kCapbsetDrop:
      return drop_from_bounding_set(self, a);
    case kGetTsc:
      TRY(UserOut<int>(UserAddress(a)).write(1));
      return 0;
    case kGetSecurebits:
      return self.user().secure_bits;
    case kSetSecurebits:
      return set_secure_bits(self, a);
    case kSetTimerslack:
      self.timer_slack = a == 0 ? kDefaultTimerSlack : a;
      return 0;
    case kGetTimerslack:
      return static_cast<long>(self.timer_slack);
    case kSetChildSubreaper:
      return set_subreaper(self, a != 0);
    case kGetChildSubreaper:
      TRY(UserOut<int>(UserAddress(a)).write(is_subreaper(self) ? 1 : 0));
      return 0;
    case kSetNoNewPrivs:
      if (a != 1 || b != 0 || c != 0 || d != 0) return Errno::kInval;
      self.no_new_privileges = true;
      return 0;
    case kGetNoNewPrivs:
      if ((a | b | c | d) != 0) return Errno::kInval;
      return self.no_new_privileges ? 1 : 0;
    case kGetTidAddress:
      TRY(UserOut<uint64_t>(UserAddress(a)).write(self.clear_child_tid));
      return 0;
    case kSetThpDisable:
      if ((b | c | d) != 0) return Errno::kInval;
      self.process().huge_pages_disabled.store(a != 0, std::memory_order_relaxed);
      return 0;
    case kGetThpDisable:
      if ((a | b | c | d) != 0) return Errno::kInval;
      return self.process().huge_pages_disabled.load(std::memory_order_relaxed) ? 1 : 0;
    case kSetPerfEventsOff:
    case kSetPerfEventsOn:
      return 0;  // there are none
    case kMceKillGet:
      if ((a | b | c | d) != 0) return Errno::kInval;
      return 2;  // PR_MCE_KILL_DEFAULT
    case kSetIoFlusher:
    case kGetIoFlusher:
      if (!self.user().has(kCapSysResource)) return Errno::kPerm;
      return set_or_get_io_flusher(self, option == kSetIoFlusher, a, b | c | d);
    case kGetMdwe:
      if ((a | b | c | d) != 0) return Errno::kInval;
      return 0;
    case kSetPtracer:
      return 0;
    case kCapAmbient:
      return change_ambient(self, a, b, c | d);
    default:
      return Errno::kInval;
  }
}

// arch_prctl(2). GS is the LibOS's own, so programs cannot have it (docs/architecture.md).
Result<long> sys_arch_prctl(Thread& self, int code, UserAddress address) {
  constexpr int kSetGs = 0x1001, kSetFs = 0x1002, kGetFs = 0x1003, kGetGs = 0x1004,
                kGetCpuid = 0x1011, kSetCpuid = 0x1012, kGetXcompSupported = 0x1021,
                kGetXcompPermitted = 0x1022;
  UserRegisters& registers = self.context().user_registers();
  switch (code) {
    case kSetFs:
      if (address.value() >= kTaskSizeMax) return Errno::kPerm;
      registers.fs_base = address.value();
      return 0;
    case kGetFs:
      TRY(UserOut<uint64_t>(address).write(registers.fs_base));
      return 0;
    case kGetGs:
      TRY(UserOut<uint64_t>(address).write(0));
      return 0;
    case kGetCpuid:
      return 1;
    case kSetCpuid:
      return Errno::kNoDev;
    case kGetXcompSupported:
    case kGetXcompPermitted:
      TRY(UserOut<uint64_t>(address).write(xstate_features()));
      return 0;
    case kSetGs:
    default:
      return Errno::kInval;
  }
}

}  // namespace occlum
