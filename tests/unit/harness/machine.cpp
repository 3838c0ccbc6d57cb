// For tests that have no machine (sched_machine.h) but are linked with the scheduler, since a directory of libos/ is one
// object: nothing here is ever called.
#include <cstdio>
#include <cstdlib>

#include "libos/arch/arch.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/enclave/xstate.h"
#include "libos/arch/vcpus.h"
#include "libos/sched/event_collector.h"
#include "libos/sched/task.h"

namespace occlum {

namespace {
[[noreturn]] void no_machine(const char* what) {
  std::fprintf(stderr, "%s: there is no machine in this test\n", what);
  std::abort();
}
}  // namespace

uint32_t vcpu_count() { no_machine("vcpu_count"); }
uint32_t started_vcpus() { no_machine("started_vcpus"); }
void start_one_more_vcpu() { no_machine("start_one_more_vcpu"); }
void tick_vcpu_now(uint32_t) { no_machine("tick_vcpu_now"); }
VcpuBlock* vcpu_block(uint32_t) { no_machine("vcpu_block"); }
uint64_t vcpu_shared() { no_machine("vcpu_shared"); }
uint64_t machine_monotonic_ns() { no_machine("machine_monotonic_ns"); }
uint64_t machine_boot_realtime_ns() { no_machine("machine_boot_realtime_ns"); }
uint64_t bounce_buffer() { no_machine("bounce_buffer"); }
void note_long_work() { no_machine("note_long_work"); }
void collect_host_events(Nanoseconds) { no_machine("collect_host_events"); }
void deliver_host_signals() { no_machine("deliver_host_signals"); }
void stash_xstate(TaskContext&) { no_machine("stash_xstate"); }
Result<void> store_untrusted(uint64_t, uint64_t) { no_machine("store_untrusted"); }
extern "C" void switch_stack(uint64_t*, uint64_t) { no_machine("switch_stack"); }

}  // namespace occlum
