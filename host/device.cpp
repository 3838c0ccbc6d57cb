// Choosing between /dev/sgx_enclave and software SGX. (Linux Documentation/arch/x86/sgx.rst; SDM 33.7 for CPUID)
#include "host/device.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emulator/emulator.h"

namespace host {
namespace {

constexpr const char* kDevicePath = "/dev/sgx_enclave";
constexpr const char* kEnterSymbol = "__vdso_sgx_enter_enclave";
constexpr unsigned kSgxLeaf = 0x12;
constexpr unsigned kFeatureLeaf = 7;

int open_real() { return ::open(kDevicePath, O_RDWR | O_CLOEXEC); }
int real_ioctl(int fd, unsigned long request, void* argument) {
  return ::ioctl(fd, request, argument);
}
int no_attach() { return 0; }

// The vDSO is a small ELF image in our own memory, mapped by the kernel: trusted here.
vdso_sgx_enter_enclave_t find_vdso_entry() {
  const auto base = getauxval(AT_SYSINFO_EHDR);
  if (base == 0) return nullptr;
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(base);
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(base + header->e_phoff);
  const ElfW(Dyn)* dynamic = nullptr;
  uintptr_t bias = base;
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type == PT_LOAD) bias = base + segments[i].p_offset - segments[i].p_vaddr;
    if (segments[i].p_type == PT_DYNAMIC)
      dynamic = reinterpret_cast<const ElfW(Dyn)*>(base + segments[i].p_offset);
  }
  if (dynamic == nullptr) return nullptr;
  const ElfW(Sym)* symbols = nullptr;
  const char* strings = nullptr;
  const uint32_t* hash = nullptr;
  for (; dynamic->d_tag != DT_NULL; ++dynamic) {
    const uintptr_t value = dynamic->d_un.d_ptr + bias;
    if (dynamic->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(value);
    if (dynamic->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(value);
    if (dynamic->d_tag == DT_HASH) hash = reinterpret_cast<const uint32_t*>(value);
  }
  if (symbols == nullptr || strings == nullptr || hash == nullptr) return nullptr;
  for (uint32_t i = 0; i < hash[1]; ++i) {
    if (strcmp(strings + symbols[i].st_name, kEnterSymbol) == 0) {
      return reinterpret_cast<vdso_sgx_enter_enclave_t>(bias + symbols[i].st_value);
    }
  }
  return nullptr;
}

// Why this machine cannot run us on real SGX, or nothing.
std::string hardware_problem() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(kFeatureLeaf, 0, &eax, &ebx, &ecx, &edx) == 0 || (ebx & (1u << 2)) == 0) {
    return "this processor has no SGX, or the firmware has it turned off";
  }
  if ((ecx & (1u << 30)) == 0) return "this processor's SGX has no flexible launch control (FLC)";
  if (__get_cpuid_count(kSgxLeaf, 0, &eax, &ebx, &ecx, &edx) == 0 || (eax & 2) == 0) {
    return "this processor has SGX1 only: SGX2 (EDMM) is needed";
  }
  if ((ebx & 1) == 0) return "this processor's SGX does not report EXINFO";
  if ((edx >> 8 & 0xff) < 45) return "this processor's enclaves are smaller than 32 TiB";
  if (access(kDevicePath, F_OK) != 0)
    return fmt::format("{} does not exist: Linux 6.0 or newer with SGX is needed", kDevicePath);
  if (access(kDevicePath, R_OK | W_OK) != 0)
    return fmt::format("no permission for {}: add yourself to its group", kDevicePath);
  if (find_vdso_entry() == nullptr) return "this kernel's vDSO has no SGX entry";
  return {};
}

Device real_device() {
  return {.open = open_real,
          .mmap = ::mmap,
          .mprotect = ::mprotect,
          .ioctl = real_ioctl,
          .attach_thread = no_attach,
          .sigaction = ::sigaction,
          .enter = find_vdso_entry(),
          .is_emulated = false};
}

Device emulated_device(const RunOptions& options) {
  emulator::Options settings;
  settings.strict = options.strict;
  settings.seed = options.strict_seed;
  if (options.cost_model == "sgx2") settings.cost = emulator::CostModel::sgx2();
  emulator::set_options(settings);
  return {.open = emulator::open_device,
          .mmap = emulator::mmap,
          .mprotect = emulator::mprotect,
          .ioctl = emulator::ioctl,
          .attach_thread = emulator::attach_thread,
          .sigaction = emulator::sigaction,
          .enter = emulator::enter_function(),
          .is_emulated = true};
}

}  // namespace

std::expected<Device, std::string> choose_device(const RunOptions& options) {
  if (options.mode == SgxMode::kSimulation) return emulated_device(options);
  const std::string problem = hardware_problem();
  if (problem.empty()) return real_device();
  if (options.mode == SgxMode::kHardware) return std::unexpected("SGX_MODE=HW, but " + problem);
  return emulated_device(options);
}

}  // namespace host
