// host::run(): see runtime.h.
#include "host/runtime.h"

#include <sched.h>

#include <algorithm>

#include "host/boot_block.h"
#include "host/device.h"
#include "host/enclave.h"
#include "host/signals.h"
#include "host/terminal.h"
#include "host/vcpu.h"

namespace host {
namespace {

unsigned usable_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::clamp<unsigned>(static_cast<unsigned>(CPU_COUNT(&set)), 1, abi::kMaxVcpus);
}

}  // namespace

std::expected<int, std::string> run(const RunOptions& options) {
  const unsigned vcpus =
      options.vcpus == 0 ? usable_cpus() : std::min(options.vcpus, abi::kMaxVcpus);
  // CPUID is read before software SGX takes it over, signals before anything here changes them.
  auto boot = make_boot_block(options, vcpus);
  if (!boot) return std::unexpected(boot.error());
  terminal_restore_on_fatal_signals();
  unblock_exceptions();
  auto chosen = choose_device(options);
  if (!chosen) return std::unexpected(chosen.error());
  // The runtime's threads live until the process ends, so what they use does too.
  const auto* device = new Device(*chosen);
  auto enclave = Enclave::load(*device, options.enclave_image);
  if (!enclave) return std::unexpected(enclave.error());
  terminal_raw();
  auto* runtime = new Runtime(*device, *enclave, *boot, vcpus, options.file_io);
  auto status = runtime->run();
  terminal_restore();
  return status;
}

}  // namespace host
