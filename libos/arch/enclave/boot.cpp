// The start of the enclave on vCPU 0: the host's parameters are copied in and checked, then the LibOS comes up.
//
// The host's structure is fetched once into this file's own copy; every address in it is checked to lie
// outside ELRANGE before it is used, every size before anything is allocated for it.
#include "abi/boot.h"
#include "abi/enclave_image.h"
#include "libos/arch/arch.h"
#include "libos/arch/enclave/boot.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/arch/enclave/image_symbols_raw.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/enclave/xstate.h"
#include "libos/arch/memory.h"
#include "libos/lib/hash.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/lib/random.h"
#include "libos/lib/runtime.h"

namespace occlum {
namespace {

extern "C" VcpuBlock vcpu0_block;

constinit BootArguments arguments;
constinit abi::BootParameters parameters{};

void reject(std::string_view what) {
  log_error("start parameters: {}", what);
  shut_down(125);
}

void check_parameters() {
  if (parameters.magic != abi::kBootMagic || parameters.size != sizeof(abi::BootParameters)) {
    reject("the runtime and the enclave are of different versions");
  }
  if (parameters.vcpus == 0 || parameters.vcpus > abi::kMaxVcpus) reject("bad number of vCPUs");
  if (!is_untrusted_range(parameters.shared, parameters.vcpus * abi::kVcpuSharedSize) ||
      parameters.shared % kPageSize != 0) {
    reject("bad shared memory");
  }
  if (parameters.file_io != 0 &&
      (!is_untrusted_range(parameters.file_io, abi::kFileIoSlots * abi::kFileIoSlotSize) ||
       parameters.file_io % kPageSize != 0)) {
    reject("bad file buffers");
  }
  if (parameters.root_image != 0 &&
      !is_untrusted_range(parameters.root_image, parameters.root_image_size)) {
    reject("bad root image");
  }
  if (parameters.strings_size > abi::kMaxBootStrings ||
      !is_untrusted_range(parameters.strings, parameters.strings_size)) {
    reject("too long a command line or environment");
  }
  if (parameters.tsc_multiplier == 0 || parameters.tsc_shift >= 64) reject("bad clock");
  if (parameters.cpuid_count > abi::kMaxCpuidLeaves) reject("bad CPUID table");
  if (parameters.log_level > static_cast<uint64_t>(LogLevel::kTrace)) reject("bad log level");
}

// Splits the string block as it is consumed.
class StringBlock {
 public:
  explicit StringBlock(Vec<char> text) : text_(std::move(text)) {}

  Result<String> next() {
    const std::span<char> rest = text_.span().subspan(position_);
    const auto end = std::ranges::find(rest, '\0');
    if (end == rest.end()) return Errno::kInval;
    const size_t length = static_cast<size_t>(end - rest.begin());
    position_ += length + 1;
    return String::create(std::string_view(rest.first(length)));
  }

 private:
  Vec<char> text_;
  size_t position_ = 0;
};

Result<void> read_strings() {
  Vec<char> text;
  TRY(text.resize(parameters.strings_size));
  TRY(copy_from_untrusted(std::as_writable_bytes(text.span()), parameters.strings));
  StringBlock block(std::move(text));
  if (parameters.argc == 0) return Errno::kInval;
  const auto read_list = [&](Vec<String>& list, uint64_t count) -> Result<void> {
    for (uint64_t i = 0; i < count; ++i) TRY(list.push(TRY(block.next())));
    return {};
  };
  TRY(read_list(arguments.argv, parameters.argc));
  TRY(read_list(arguments.env, parameters.envc));
  arguments.cwd = TRY(block.next());
  TRY(read_list(arguments.writable_dirs, parameters.writable_count));
  arguments.host_name = TRY(block.next());
  for (size_t fd = 0; fd < arguments.terminal.size(); ++fd)
    arguments.terminal[fd] = (parameters.terminal_mask >> fd & 1) != 0;
  arguments.ignored_signals = parameters.ignored_signals;
  arguments.blocked_signals = parameters.blocked_signals;
  return {};
}

}  // namespace

const BootArguments& boot_arguments() { return arguments; }
const abi::BootParameters& boot_parameters() { return parameters; }
uint64_t boot_shared_memory() { return parameters.shared; }
uint64_t file_io_buffers() { return parameters.file_io; }

uint64_t root_image_size() { return parameters.root_image == 0 ? 0 : parameters.root_image_size; }

Result<void> read_root_image(uint64_t offset, std::span<std::byte> to) {
  if (offset > root_image_size() || to.size() > root_image_size() - offset) return Errno::kIo;
  if (copy_from_untrusted(to, parameters.root_image + offset).is_error()) return Errno::kIo;
  return {};
}

extern "C" [[noreturn]] void enclave_boot(uint64_t parameters_address) {
  // Stored only when random_bytes() has returned: it checks its own canary on the way out.
  uint64_t canary = 0;
  random_bytes(writable_object_bytes(canary));
  vcpu0_block.canary = canary;
  // Until the shared memory is known, nothing can be said to the host: a bad address here just stops.
  if (copy_from_untrusted(writable_object_bytes(parameters), parameters_address).is_error() ||
      !is_untrusted_range(parameters.shared, abi::kVcpuSharedSize)) {
    stop_silently();
  }
  vcpu0_block.shared = parameters.shared;
  check_parameters();
  initialize_xstate();
  initialize_clock();
  run_constructors();
  seed_hashes();
  initialize_memory(parameters.memory_limit);
  if (read_strings().is_error()) reject("a malformed command line or environment");
  // Not before: what is wrong with the parameters is said at any level.
  log_level.store(static_cast<LogLevel>(parameters.log_level));
  start_scheduler();
}

}  // namespace occlum
