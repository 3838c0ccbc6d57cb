// See memory.h. Tasks are host threads here; the functions of sched/ that mm/ calls are weak, so that a hosted scheduler
// can take their place.
#include "tests/unit/harness/memory.h"

#include <sched.h>

#include <cstdio>
#include <cstdlib>

#include "libos/arch/guarded_copy.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {
thread_local AddressSpace* the_memory = nullptr;
}

void preemption_point() {}
void yield_task() { sched_yield(); }

__attribute__((weak)) AddressSpace& current_memory() {
  if (the_memory == nullptr) {
    std::fprintf(stderr, "current_memory: the test has set none\n");
    std::abort();
  }
  return *the_memory;
}

namespace testing {

void set_current_memory(AddressSpace* memory) { the_memory = memory; }

bool machine_can_load(uint64_t address) {
  uint8_t value;
  uint64_t fault;
  return guarded_copy(reinterpret_cast<uint64_t>(&value), address, 1, fault);
}

bool machine_can_store(uint64_t address) {
  // A store of what is there; tests that use it do so from one thread.
  uint8_t value;
  uint64_t fault;
  return guarded_copy(reinterpret_cast<uint64_t>(&value), address, 1, fault) &&
         guarded_copy(address, reinterpret_cast<uint64_t>(&value), 1, fault);
}

FaultResult program_load(AddressSpace& memory, uint64_t address, uint8_t& value) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    uint64_t fault;
    if (guarded_copy(reinterpret_cast<uint64_t>(&value), address, 1, fault))
      return FaultResult::kResolved;
    const FaultResult result = memory.handle_fault(address, Access::kRead);
    if (result != FaultResult::kResolved) return result;
  }
  return FaultResult::kOutOfMemory;
}

FaultResult program_store(AddressSpace& memory, uint64_t address, uint8_t value) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    uint64_t fault;
    if (guarded_copy(address, reinterpret_cast<uint64_t>(&value), 1, fault))
      return FaultResult::kResolved;
    const FaultResult result = memory.handle_fault(address, Access::kWrite);
    if (result != FaultResult::kResolved) return result;
  }
  return FaultResult::kOutOfMemory;
}

}  // namespace testing
}  // namespace occlum
