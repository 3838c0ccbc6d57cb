// Clock, random numbers, log and the end: the small services of the machine.
//
// Time: RDTSC is legal in SGX2 enclaves. The host supplies the rate and the time at start, and can lie about both (and
// change the TSC by virtualisation); what the LibOS promises is that its monotonic clock never goes back.
#include "abi/boot.h"
#include "abi/enclave_image.h"
#include "libos/arch/arch.h"
#include "libos/arch/enclave/boot.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/arch/enclave/instructions_raw.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/lib/panic.h"
#include "libos/lib/random.h"

namespace occlum {
namespace {

constexpr long kHostWrite = 1;
constexpr uint64_t kHostStderr = 2;
constexpr int kPanicStatus = 125;
constexpr int kRdrandTries = 1000;  // Intel's guidance is 10; a busy machine may need more

// tsc * multiplier >> shift without overflow.
uint64_t scale(uint64_t ticks) {
  const abi::BootParameters& boot = boot_parameters();
  return static_cast<uint64_t>((static_cast<unsigned __int128>(ticks) * boot.tsc_multiplier) >>
                               boot.tsc_shift);
}

uint64_t random_word() {
  for (int i = 0; i < kRdrandTries; ++i) {
    uint64_t value = 0;
    if (read_random(value)) return value;
  }
  panic("the processor's random number generator does not answer");
}

// To the host's stderr, through the log's own buffer: the bounce buffer may hold half a call.
void write_to_host(std::string_view text) {
  const uint64_t buffer = vcpu_shared() + abi::kLogOffset;
  const size_t size = std::min<size_t>(text.size(), abi::kLogSize - sizeof(uint64_t));
  if (copy_to_untrusted(buffer, std::as_bytes(std::span(text)).first(size)).is_error()) return;
  (void)make_host_call(abi::HostCallNumber::kSystemCall, kHostWrite, kHostStderr, buffer, size);
}

constexpr std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kOff:
      return "";
    case LogLevel::kError:
      return "error: ";
    case LogLevel::kWarn:
      return "warning: ";
    case LogLevel::kInfo:
    case LogLevel::kDebug:
    case LogLevel::kTrace:
      return "";
  }
  return "";
}

}  // namespace

void initialize_clock() {}

uint64_t machine_monotonic_ns() {
  const abi::BootParameters& boot = boot_parameters();
  const uint64_t tsc = read_tsc();
  const uint64_t elapsed = tsc > boot.tsc_now ? scale(tsc - boot.tsc_now) : 0;
  const uint64_t now = boot.monotonic_now + elapsed;
  VcpuBlock& vcpu = this_vcpu();
  vcpu.last_ns = std::max(vcpu.last_ns, now);
  return vcpu.last_ns;
}

void note_long_work() {
  TaskContext* context = this_vcpu().context;
  if (context != nullptr && !context->system_time.is_exact())
    context->system_time.begin_exact(machine_monotonic_ns());
}

uint64_t machine_boot_realtime_ns() {
  return boot_parameters().realtime_now - boot_parameters().monotonic_now;
}

void random_bytes(std::span<std::byte> out) {
  while (!out.empty()) {
    const uint64_t word = random_word();
    const size_t count = std::min(out.size(), sizeof(word));
    copy_bytes(out.first(count), object_bytes(word).first(count));
    out = out.subspan(count);
  }
}

void log_write(LogLevel level, std::string_view line) {
  std::array<char, kLogLineBytes + 32> text;
  const std::string_view whole = format_to(text, "occlum: {}{}\n", level_name(level), line);
  write_to_host(whole);
}

void panic_write(std::string_view message) {
  std::array<char, 512> text;
  write_to_host(format_to(text, "occlum: the LibOS stopped because of a bug: {}\n", message));
  shut_down(kPanicStatus);
}

// A host that comes back from it does not serve us, or the shared memory is not where it said.
void shut_down(int status) {
  (void)make_host_call(abi::HostCallNumber::kExit, static_cast<uint64_t>(status));
  stop_silently();
}

void stop_silently() {
  this_vcpu().dead = true;
  while (true) undefined_instruction();
}

LockRankStack& current_lock_ranks() {
  VcpuBlock& vcpu = this_vcpu();
  return vcpu.task_lock_ranks == nullptr ? vcpu.lock_ranks : *vcpu.task_lock_ranks;
}

}  // namespace occlum
