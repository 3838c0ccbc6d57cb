#include "libos/process/signals/restartable.h"

#include "libos/arch/memory.h"
#include "libos/mm/user.h"
#include "libos/process/signals/send.h"
#include "libos/sched/fault_injection.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

// struct rseq, as far as the kernel writes it.
constexpr uint64_t kCriticalSectionOffset = 8;   // rseq_cs
constexpr uint64_t kNodeOffset = 20;             // node_id, mm_cid
constexpr uint32_t kUninitialised = UINT32_MAX;  // RSEQ_CPU_ID_UNINITIALIZED

struct CpuNumbers {
  uint32_t cpu_id_start;
  uint32_t cpu_id;
};
struct ExtraNumbers {
  uint32_t node_id;
  uint32_t
      mm_cid;  // small, and no two threads that run at once have the same: the vCPU's number does
};

struct CriticalSection {  // struct rseq_cs
  uint32_t version, flags;
  uint64_t start, size, abort;
};
static_assert(sizeof(CriticalSection) == 32);

Result<void> tell(Thread& self, CpuNumbers numbers, uint32_t concurrency) {
  AddressSpace& memory = self.memory();
  const ExtraNumbers extra{.node_id = 0, .mm_cid = concurrency};
  TRY(copy_to_user(memory, UserAddress(self.rseq.address), bytes_of(numbers)));
  return copy_to_user(memory, UserAddress(self.rseq.address + kNodeOffset), bytes_of(extra));
}

// Goes to the abort address if the program is in the section that the structure names. The section is over in any case.
Result<void> abort_section(Thread& self, UserRegisters& registers) {
  AddressSpace& memory = self.memory();
  const UserAddress named(self.rseq.address + kCriticalSectionOffset);
  uint64_t address = 0;
  TRY(copy_from_user(memory, bytes_of(address), named));
  if (address == 0) return {};
  CriticalSection section{};
  TRY(copy_from_user(memory, bytes_of(section), UserAddress(address)));
  const AddressRange programs = user_range();
  if (section.version > 0 || !programs.contains(section.start) ||
      section.size > programs.end - section.start || !programs.contains(section.abort) ||
      section.abort - section.start < section.size) {
    return Errno::kInval;
  }
  uint32_t signature = 0;
  TRY(copy_from_user(memory, bytes_of(signature), UserAddress(section.abort - sizeof(signature))));
  if (signature != self.rseq.signature) return Errno::kInval;
  const uint64_t none = 0;
  TRY(copy_to_user(memory, named, bytes_of(none)));
  if (registers.rip - section.start < section.size) registers.rip = section.abort;
  return {};
}

void give_up(Thread& self) { force_signal(self, SignalInfo::from_kernel(kSigSegv)); }

}  // namespace

// Both are as page faults of the program: nobody is there to be told that memory failed on purpose.

void settle_rseq(Thread& self, UserRegisters& registers) {
  const NoFailures as_in_a_fault;
  RestartableSequences& rseq = self.rseq;
  rseq.seen_turns = self.turns();
  const bool was_interrupted = registers.original_rax == UINT64_MAX;
  if (was_interrupted && abort_section(self, registers).is_error()) return give_up(self);
  const uint32_t vcpu = current_vcpu();
  if (rseq.told_vcpu == vcpu) return;
  rseq.told_vcpu = vcpu;
  const CpuNumbers numbers{.cpu_id_start = vcpu, .cpu_id = vcpu};
  if (tell(self, numbers, vcpu).is_error()) give_up(self);
}

void leave_critical_section(Thread& self, UserRegisters& registers) {
  if (self.rseq.address == 0) return;
  const NoFailures as_in_a_fault;
  if (abort_section(self, registers).is_error()) give_up(self);
}

// The order of the checks is that of kernel/rseq.c.
Result<void> register_rseq(Thread& self, uint64_t address, uint32_t size, uint32_t signature) {
  RestartableSequences& rseq = self.rseq;
  if (rseq.address != 0) {
    if (rseq.address != address || rseq.size != size) return Errno::kInval;
    return rseq.signature != signature ? Errno::kPerm : Errno::kBusy;
  }
  if (size < kRseqSize || address % kRseqAlign != 0) return Errno::kInval;
  if (!user_range().contains(address) || !user_range().contains(address + size - 1))
    return Errno::kFault;
  rseq = RestartableSequences{.address = address, .size = size, .signature = signature};
  rseq.seen_turns = self.turns() - 1;  // told on the way back
  const uint64_t none = 0;
  const Result<void> cleared =
      copy_to_user(self.memory(), UserAddress(address + kCriticalSectionOffset), bytes_of(none));
  if (cleared.is_error()) rseq = {};
  return cleared;
}

Result<void> unregister_rseq(Thread& self, uint64_t address, uint32_t size, uint32_t signature) {
  RestartableSequences& rseq = self.rseq;
  if (rseq.address != address || rseq.address == 0) return Errno::kInval;
  if (rseq.size != size) return Errno::kInval;
  if (rseq.signature != signature) return Errno::kPerm;
  TRY(tell(self, CpuNumbers{.cpu_id_start = 0, .cpu_id = kUninitialised}, 0));
  rseq = {};
  return {};
}

}  // namespace occlum
