// Where a thread runs, as its program follows it: rseq(2), membarrier(2).
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/restartable.h"
#include "libos/sched/vcpu_barrier.h"
#include "libos/syscall/dispatch.h"

namespace occlum {

Result<long> sys_rseq(Thread& self, UserAddress rseq, uint32_t size, Flags flags,
                      uint32_t signature) {
  constexpr uint32_t kUnregister = 1;
  if ((bits(flags) & kUnregister) != 0) {
    if (bits(flags) != kUnregister) return Errno::kInval;
    TRY(unregister_rseq(self, rseq.value(), size, signature));
    return 0;
  }
  if (bits(flags) != 0) return Errno::kInval;
  TRY(register_rseq(self, rseq.value(), size, signature));
  return 0;
}

namespace {

enum Membarrier : uint32_t {
  kGlobal = 1 << 0,
  kGlobalExpedited = 1 << 1,
  kRegisterGlobalExpedited = 1 << 2,
  kPrivateExpedited = 1 << 3,
  kRegisterPrivateExpedited = 1 << 4,
  kPrivateExpeditedRseq = 1 << 7,
  kRegisterPrivateExpeditedRseq = 1 << 8,
  kGetRegistrations = 1 << 9,
};
// The SYNC_CORE commands are not among them: code in an enclave has no instruction that serialises the processor.
constexpr uint32_t kOffered = kGlobal | kGlobalExpedited | kRegisterGlobalExpedited |
                              kPrivateExpedited | kRegisterPrivateExpedited |
                              kPrivateExpeditedRseq | kRegisterPrivateExpeditedRseq |
                              kGetRegistrations;

// Critical sections of the process are left, wherever they are being executed.
void restart_critical_sections(Process& process) {
  process_tree().with([&](ProcessTree& tree) {
    for (Thread& thread : process.links(tree).threads) thread.set_work(kRseqWork);
  });
}

}  // namespace

// membarrier(2). One barrier serves all scopes: every vCPU passes one.
Result<long> sys_membarrier(Thread& self, int command, Flags flags, int cpu) {
  constexpr uint32_t kFlagCpu = 1;
  const bool is_for_rseq = command == kPrivateExpeditedRseq;
  if (bits(flags) != 0 && (!is_for_rseq || bits(flags) != kFlagCpu)) return Errno::kInval;
  Process& process = self.process();
  std::atomic<uint32_t>& kinds = process.membarrier_kinds;
  switch (command) {
    case 0:
      return kOffered;
    case kGetRegistrations:
      return kinds.load();
    case kRegisterGlobalExpedited:
    case kRegisterPrivateExpedited:
    case kRegisterPrivateExpeditedRseq:
      kinds.fetch_or(static_cast<uint32_t>(command));
      return 0;
    case kGlobal:
    case kGlobalExpedited:
      break;
    case kPrivateExpedited:
      if ((kinds.load() & kRegisterPrivateExpedited) == 0) return Errno::kPerm;
      break;
    case kPrivateExpeditedRseq:
      if ((kinds.load() & kRegisterPrivateExpeditedRseq) == 0) return Errno::kPerm;
      if (bits(flags) == kFlagCpu && (cpu < 0 || static_cast<uint32_t>(cpu) >= vcpu_count()))
        return 0;
      restart_critical_sections(process);
      break;
    default:
      return Errno::kInval;
  }
  pass_barrier_on_vcpus();
  return 0;
}

}  // namespace occlum
