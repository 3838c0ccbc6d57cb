// See boot_block.h. The clock's rate comes from the kernel's own conversion (perf_event_open(2), cap_user_time), which
// costs microseconds; where that is not permitted it is measured against CLOCK_MONOTONIC for a moment.
#include "host/boot_block.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <optional>
#include <vector>

#include "host/signals.h"

namespace host {
namespace {

struct ClockRate {
  uint64_t multiplier, shift;
};

uint64_t nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::optional<ClockRate> kernel_clock_rate() {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_DUMMY;
  attributes.exclude_kernel = 1;
  const int fd =
      static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
  if (fd < 0) return {};
  const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* mapping = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  if (mapping == MAP_FAILED) return {};
  const auto* page = static_cast<const perf_event_mmap_page*>(mapping);
  std::optional<ClockRate> rate;
  if (page->cap_user_time && page->time_mult != 0)
    rate = ClockRate{page->time_mult, page->time_shift};
  ::munmap(mapping, size);
  return rate;
}

ClockRate measured_clock_rate() {
  constexpr uint64_t kMeasureFor = 2'000'000;  // ns: an error of 50 ns in reading is 25 ppm
  constexpr uint64_t kShift = 24;
  const uint64_t start = nanoseconds(CLOCK_MONOTONIC), start_tsc = __rdtsc();
  uint64_t now;
  do {
    now = nanoseconds(CLOCK_MONOTONIC);
  } while (now - start < kMeasureFor);
  const uint64_t ticks = __rdtsc() - start_tsc;
  return {((now - start) << kShift) / ticks, kShift};
}

void add_cpuid(abi::BootParameters& boot, uint32_t leaf, uint32_t subleaf) {
  if (boot.cpuid_count == abi::kMaxCpuidLeaves) return;
  abi::CpuidLeaf entry{.leaf = leaf, .subleaf = subleaf, .eax = 0, .ebx = 0, .ecx = 0, .edx = 0};
  __cpuid_count(leaf, subleaf, entry.eax, entry.ebx, entry.ecx, entry.edx);
  boot.cpuid[boot.cpuid_count++] = entry;
}

// The leaves that programs read. Each costs an exit to the hypervisor in a virtual machine (about 7 us).
void gather_cpuid(abi::BootParameters& boot) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  __cpuid(0, eax, ebx, ecx, edx);
  const uint32_t last = std::min(eax, 0x1fu);
  for (const uint32_t leaf : {0u, 1u, 2u, 6u, 9u, 0x14u, 0x15u, 0x16u, 0x19u}) {
    if (leaf <= last) add_cpuid(boot, leaf, 0);
  }
  for (uint32_t subleaf = 0; subleaf < 5 && last >= 4; ++subleaf) add_cpuid(boot, 4, subleaf);
  for (uint32_t subleaf = 0; subleaf < 2 && last >= 7; ++subleaf) add_cpuid(boot, 7, subleaf);
  for (uint32_t subleaf = 0; subleaf < 2 && last >= 0xb; ++subleaf) add_cpuid(boot, 0xb, subleaf);
  for (const uint32_t subleaf : {0u, 1u, 2u, 5u, 6u, 7u, 9u}) {
    if (last >= 0xd) add_cpuid(boot, 0xd, subleaf);
  }
  for (uint32_t leaf = 0x80000000; leaf <= 0x80000008; ++leaf) add_cpuid(boot, leaf, 0);
  __cpuid(0x80000000, eax, ebx, ecx, edx);
  if (eax >= 0x8000001e) {
    for (uint32_t subleaf = 0; subleaf < 5; ++subleaf) add_cpuid(boot, 0x8000001d, subleaf);
    add_cpuid(boot, 0x8000001e, 0);
  }
}

// Strings one after another, each with its NUL.
std::string string_block(const RunOptions& options) {
  std::string block;
  const auto add = [&](const std::string& text) {
    block += text;
    block += '\0';
  };
  for (const auto& argument : options.argv) add(argument);
  for (const auto& variable : options.env) add(variable);
  add(options.cwd);
  for (const auto& directory : options.writable_dirs) add(directory);
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  add(name);
  return block;
}

uint64_t level_number(const std::string& name) {
  constexpr const char* kNames[] = {"off", "error", "warn", "info", "debug", "trace"};
  for (uint64_t level = 0; level < std::size(kNames); ++level) {
    if (name == kNames[level]) return level;
  }
  return 0;
}

std::expected<void*, std::string> map_shared(size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return std::unexpected(fmt::format("no memory for {} bytes", size));
  return memory;
}

std::string map_root_image(abi::BootParameters& boot, const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fmt::format("cannot open the root image {}: {}", path, strerror(errno));
  struct stat status{};
  fstat(fd, &status);
  boot.root_image_size = static_cast<uint64_t>(status.st_size);
  void* image = status.st_size == 0
                    ? MAP_FAILED
                    : ::mmap(nullptr, boot.root_image_size, PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  if (image == MAP_FAILED) return fmt::format("cannot read the root image {}", path);
  boot.root_image = reinterpret_cast<uint64_t>(image);
  return {};
}

}  // namespace

std::expected<BootBlock, std::string> make_boot_block(const RunOptions& options, unsigned vcpus) {
  const std::string strings = string_block(options);
  if (strings.size() > abi::kMaxBootStrings)
    return std::unexpected("the command line and environment are too long");
  auto memory = map_shared(vcpus * abi::kVcpuSharedSize);
  auto block = map_shared(sizeof(abi::BootParameters) + strings.size() + sizeof(uint64_t));
  if (!memory || !block) return std::unexpected("no memory for the start parameters");
  void* file_buffers = nullptr;
  if (options.file_io.when != FileIoOptions::When::kNever) {
    file_buffers = map_shared(abi::kFileIoSlots * abi::kFileIoSlotSize).value_or(nullptr);
  }
  auto* boot = static_cast<abi::BootParameters*>(*block);
  char* text = static_cast<char*>(*block) + sizeof(abi::BootParameters);
  memcpy(text, strings.data(), strings.size());
  boot->magic = abi::kBootMagic;
  boot->size = sizeof(abi::BootParameters);
  boot->shared = reinterpret_cast<uint64_t>(*memory);
  boot->vcpus = vcpus;
  boot->memory_limit = options.memory_limit;
  boot->file_io = reinterpret_cast<uint64_t>(file_buffers);
  boot->log_level = level_number(options.log_level);
  for (int fd = 0; fd < 3; ++fd) boot->terminal_mask |= isatty(fd) != 0 ? 1u << fd : 0u;
  const StartSignals signals = start_signals();
  boot->ignored_signals = signals.ignored;
  boot->blocked_signals = signals.blocked;
  boot->strings = reinterpret_cast<uint64_t>(text);
  boot->strings_size = strings.size();
  boot->argc = options.argv.size();
  boot->envc = options.env.size();
  boot->writable_count = options.writable_dirs.size();
  gather_cpuid(*boot);
  if (options.root_image) {
    if (auto error = map_root_image(*boot, *options.root_image); !error.empty())
      return std::unexpected(error);
  }
  const ClockRate rate = kernel_clock_rate().value_or(ClockRate{0, 0});
  const ClockRate used = rate.multiplier != 0 ? rate : measured_clock_rate();
  boot->tsc_multiplier = used.multiplier;
  boot->tsc_shift = used.shift;
  boot->tsc_now = __rdtsc();
  boot->monotonic_now = nanoseconds(CLOCK_MONOTONIC);
  boot->realtime_now = nanoseconds(CLOCK_REALTIME);
  return BootBlock{boot, static_cast<uint8_t*>(*memory), static_cast<uint8_t*>(file_buffers)};
}

}  // namespace host
