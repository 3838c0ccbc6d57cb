// libsgxemu-preload.so: software SGX under a program that knows only /dev/sgx_enclave, the vDSO and
// CPUID. Made for the Linux kernel's SGX selftests, which are the emulator's oracle
// (tests/unit/emulator_selftests.sh).
//
// It interposes the file, mapping and signal functions that such a program uses, answers
// getauxval(AT_SYSINFO_EHDR) with a small ELF image in memory whose one symbol is
// __vdso_sgx_enter_enclave, and replaces each CPUID instruction of the main program in memory by
// int3, since CPUID faulting is not everywhere: leaf 0x12 then tells of SGX2 and 32 MiB of EPC.
//
// SGXEMU_PATH=trap turns the fast path off; SGXEMU_STRICT=1 turns strict mode on.
#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "emulator/emulator.h"
#include "emulator/raw_syscall.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace std::string_view_literals;

constexpr auto kDevice = "/dev/sgx_enclave"sv;
constexpr unsigned kSgxLeaf = 0x12;
constexpr std::uint64_t kEpcBase = 0x80000000, kEpcSize = 32u << 20;

// ---- the vDSO image ----

struct VdsoImage {
  Elf64_Ehdr header;
  Elf64_Phdr program[1];
  Elf64_Dyn dynamic[4];
  Elf64_Sym symbols[2];
  Elf64_Word hash[5];  // one bucket, two chain entries
  char strings[64];
};
VdsoImage image;

void build_image() {
  constexpr auto kName = "__vdso_sgx_enter_enclave"sv;
  std::memcpy(image.header.e_ident, ELFMAG, SELFMAG);
  image.header.e_type = ET_DYN;
  image.header.e_machine = EM_X86_64;
  image.header.e_phoff = offsetof(VdsoImage, program);
  image.header.e_phentsize = sizeof(Elf64_Phdr);
  image.header.e_phnum = 1;
  image.program[0].p_type = PT_DYNAMIC;
  image.program[0].p_offset = image.program[0].p_vaddr = offsetof(VdsoImage, dynamic);
  const auto entry = [](Elf64_Sxword tag, std::size_t offset) {
    Elf64_Dyn d{};
    d.d_tag = tag;
    d.d_un.d_ptr = offset;
    return d;
  };
  image.dynamic[0] = entry(DT_SYMTAB, offsetof(VdsoImage, symbols));
  image.dynamic[1] = entry(DT_STRTAB, offsetof(VdsoImage, strings));
  image.dynamic[2] = entry(DT_HASH, offsetof(VdsoImage, hash));
  std::memcpy(image.strings + 1, kName.data(), kName.size());
  image.symbols[1].st_name = 1;
  image.symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
  image.symbols[1].st_shndx = 1;
  image.symbols[1].st_value = reinterpret_cast<Elf64_Addr>(emulator::enter_function()) -
                              reinterpret_cast<Elf64_Addr>(&image);
  const Elf64_Word hash[5] = {1, 2, 1, 0, 0};
  std::memcpy(image.hash, hash, sizeof hash);
}

// ---- CPUID of the main program ----

std::vector<std::uint64_t> cpuid_sites;
struct sigaction trap_before;

void answer_cpuid(greg_t* g) {
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
  const auto leaf = static_cast<std::uint32_t>(g[REG_RAX]),
             sub = static_cast<std::uint32_t>(g[REG_RCX]);
  if (leaf != kSgxLeaf) {
    __cpuid_count(leaf, sub, a, b, c, d);
    if (leaf == 7 && sub == 0) b |= 1u << 2;
  } else if (sub == 0) {
    a = 3;              // SGX1, SGX2
    b = 1;              // EXINFO
    d = 36u << 8 | 31;  // 2^MaxEnclaveSize, 64- and 32-bit
  } else if (sub == 1) {
    a = 0x6 | 1u << 7;  // DEBUG, MODE64BIT, KSS
    c = 0xe7;
  } else if (sub == 2) {
    a = static_cast<std::uint32_t>(kEpcBase) | 1;
    c = static_cast<std::uint32_t>(kEpcSize) | 1;
  }
  g[REG_RAX] = a;
  g[REG_RBX] = b;
  g[REG_RCX] = c;
  g[REG_RDX] = d;
  g[REG_RIP] += 1;  // the nop after the int3
}

void on_trap(int signal, siginfo_t* info, void* frame) {
  auto* g = static_cast<ucontext_t*>(frame)->uc_mcontext.gregs;
  for (const std::uint64_t site : cpuid_sites) {
    if (static_cast<std::uint64_t>(g[REG_RIP]) == site + 1) return answer_cpuid(g);
  }
  if ((trap_before.sa_flags & SA_SIGINFO) != 0) {
    trap_before.sa_sigaction(signal, info, frame);
  } else if (trap_before.sa_handler != SIG_DFL && trap_before.sa_handler != SIG_IGN) {
    trap_before.sa_handler(signal);
  } else {
    std::abort();
  }
}

int patch_object(dl_phdr_info* info, std::size_t, void*) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    const std::uint64_t start = info->dlpi_addr + segment.p_vaddr;
    const std::uint64_t low = start & ~4095ull,
                        size = (start + segment.p_memsz - low + 4095) & ~4095ull;
    emulator::raw::mprotect(low, size, PROT_READ | PROT_WRITE | PROT_EXEC);
    auto* bytes = reinterpret_cast<std::uint8_t*>(start);
    for (std::size_t at = 0; at + 1 < segment.p_filesz; at++) {
      if (bytes[at] != 0x0f || bytes[at + 1] != 0xa2) continue;
      bytes[at] = 0xcc;
      bytes[at + 1] = 0x90;
      cpuid_sites.push_back(start + at);
    }
    emulator::raw::mprotect(low, size, PROT_READ | PROT_EXEC);
  }
  return 1;  // the first object is the main program
}

__attribute__((constructor)) void start() {
  const char* path = std::getenv("SGXEMU_PATH");
  const char* strict = std::getenv("SGXEMU_STRICT");
  emulator::set_options(
      {.fast_path = path == nullptr || path != "trap"sv, .strict = strict != nullptr});
  build_image();
  dl_iterate_phdr(patch_object, nullptr);
  struct sigaction action{};
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO;
  emulator::sigaction(SIGTRAP, &action, nullptr);
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

EXPORT int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  if (path == kDevice) return emulator::open_device();
  return static_cast<int>(
      emulator::sys::with_errno(emulator::raw::syscall(SYS_openat, AT_FDCWD, path, flags, mode)));
}
EXPORT int open64(const char* path, int flags, ...) __attribute__((alias("open")));

EXPORT int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  if (path == kDevice) return emulator::open_device();
  return static_cast<int>(
      emulator::sys::with_errno(emulator::raw::syscall(SYS_openat, directory, path, flags, mode)));
}

EXPORT int stat(const char* path, struct stat* out) {
  if (path == kDevice) {
    *out = {};
    out->st_mode = S_IFCHR | 0666;
    return 0;
  }
  return next<int(const char*, struct stat*)>("stat")(path, out);
}

EXPORT int access(const char* path, int mode) {
  if (path == kDevice) return 0;
  return next<int(const char*, int)>("access")(path, mode);
}

EXPORT void* mmap(void* address, std::size_t size, int prot, int flags, int fd, off_t offset) {
  return emulator::mmap(address, size, prot, flags, fd, offset);
}
EXPORT void* mmap64(void* address, std::size_t size, int prot, int flags, int fd, off_t offset) {
  return emulator::mmap(address, size, prot, flags, fd, offset);
}
EXPORT int munmap(void* address, std::size_t size) { return emulator::munmap(address, size); }
EXPORT int mprotect(void* address, std::size_t size, int prot) {
  return emulator::mprotect(address, size, prot);
}
EXPORT int close(int fd) { return emulator::close(fd); }
EXPORT int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return emulator::ioctl(fd, request, argument);
}

EXPORT unsigned long getauxval(unsigned long type) {
  if (type == AT_SYSINFO_EHDR) return reinterpret_cast<unsigned long>(&image);
  return next<unsigned long(unsigned long)>("getauxval")(type);
}

EXPORT int sigaction(int signal, const struct sigaction* action, struct sigaction* old) {
  if (signal != SIGTRAP) return emulator::sigaction(signal, action, old);
  if (old != nullptr) *old = trap_before;
  if (action != nullptr) trap_before = *action;
  return 0;
}
EXPORT sighandler_t signal(int number, sighandler_t handler) {
  struct sigaction action{}, old{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}
