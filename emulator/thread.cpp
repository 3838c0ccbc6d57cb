// Host threads: their slots, by which handlers and stubs find them; the LDT tag; Syscall User
// Dispatch.
//
// A slot is 64 KiB: the ThreadBlock, the stack of leaves, the alternate signal stack. Slots lie in
// one region, slot i's number is the index of an LDT descriptor, and ES holds its selector: reading
// ES costs less than a nanosecond, and no 64-bit program uses it. The descriptor itself (a flat
// data segment) has no meaning.
#include <asm/ldt.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <mutex>

#include "emulator/internal.h"
#include "emulator/raw_syscall.h"

thread_local constinit emulator::ThreadBlock* emu_thread = nullptr;
std::uint64_t emu_slots = 0;

namespace emulator {

bool syscall_dispatch_works = false;
bool cpuid_faulting_works = false;

namespace {

constexpr std::uint32_t kSlots = 1024;
constexpr int kDispatchPrctl = 59, kDispatchOff = 0, kDispatchExclusive = 1, kDispatchInclusive = 2;
constexpr int kSetCpuid = 0x1012;  // ARCH_SET_CPUID

std::mutex slots_lock;
bool slot_used[kSlots];
bool slot_tagged[kSlots];  // its LDT descriptor exists
pthread_key_t exit_key;
Tcs no_tcs;
Statistics departed;
bool dispatch_inclusive = false;

ThreadBlock* slot(std::uint32_t index) {
  return at<ThreadBlock>(emu_slots + index * std::uint64_t{TB_SLOT_SIZE});
}

bool tag_slot(std::uint32_t index) {
  if (slot_tagged[index]) return true;
  user_desc descriptor{};
  descriptor.entry_number = index;
  descriptor.limit = 0xfffff;
  descriptor.limit_in_pages = 1;
  descriptor.seg_32bit = 1;
  descriptor.useable = 1;
  slot_tagged[index] = raw::syscall(SYS_modify_ldt, 1, &descriptor, sizeof descriptor) == 0;
  return slot_tagged[index];
}

void load_es(std::uint16_t selector) { __asm__ volatile("mov %0, %%es" ::"r"(selector)); }

void add_statistics(Statistics& sum, const ThreadBlock& thread) {
  for (std::size_t i = 0; i < sgx::kEncluLeaves; i++) sum.leaf[i] += thread.leaf_count[i];
  sum.leaf[static_cast<int>(sgx::Enclu::kEenter)] += thread.count_eenter;
  sum.leaf[static_cast<int>(sgx::Enclu::kEexit)] += thread.count_eexit;
  sum.aex += thread.aex_count;
  sum.eaug += thread.eaug_count;
  sum.eaug_races += thread.race_count;
  sum.page_opens += thread.open_count;
  sum.traps += thread.trap_count;
  sum.injected += thread.injected_count;
  sum.deferred_ticks += thread.deferred_count;
}

}  // namespace

bool prepare_threads() {
  const std::lock_guard guard(slots_lock);
  if (emu_slots != 0) return true;
  const std::uint64_t size = (kSlots + 1) * std::uint64_t{TB_SLOT_SIZE};
  void* region = sys::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) return false;
  if (pthread_key_create(&exit_key, [](void*) { detach_thread(); }) != 0) return false;
  emu_slots =
      (reinterpret_cast<Address>(region) + TB_SLOT_SIZE - 1) & ~std::uint64_t{TB_SLOT_SIZE - 1};
  // Neither probe leaves anything on: a range of kernel addresses holds no instruction of ours.
  const auto probe = [](int mode) {
    const long result =
        raw::syscall(SYS_prctl, kDispatchPrctl, mode, std::uint64_t{1} << 62, kPageSize, 0);
    raw::syscall(SYS_prctl, kDispatchPrctl, kDispatchOff, 0, 0, 0);
    return result == 0;
  };
  dispatch_inclusive = probe(kDispatchInclusive);
  cpuid_faulting_works = raw::syscall(SYS_arch_prctl, kSetCpuid, 1) == 0;
  syscall_dispatch_works = dispatch_inclusive;
  return true;
}

ThreadBlock* block_of(Address stack) {
  if (emu_slots == 0 || stack - emu_slots >= kSlots * std::uint64_t{TB_SLOT_SIZE}) return nullptr;
  return at<ThreadBlock>(stack & ~std::uint64_t{TB_SLOT_SIZE - 1});
}

void allow_cpuid(bool allow) { raw::syscall(SYS_arch_prctl, kSetCpuid, allow ? 1 : 0); }

void follow_enclave(ThreadBlock& thread, Enclave& enclave) {
  if (thread.dispatch == &enclave) return;
  thread.dispatch = &enclave;
  if (dispatch_inclusive) {
    raw::syscall(SYS_prctl, kDispatchPrctl, kDispatchInclusive, enclave.base, enclave.size, 0);
  } else if (enclave.base == 0) {
    // Before INCLUSIVE_ON: everything above the enclave is let through.
    const std::uint64_t end = enclave.end();
    if (raw::syscall(SYS_prctl, kDispatchPrctl, kDispatchExclusive, end, (1ull << 47) - end, 0) ==
        0) {
      syscall_dispatch_works = true;
    }
  }
}

int attach_thread() {
  if (emu_thread != nullptr) return 0;
  if (!prepare_threads()) {
    errno = ENOMEM;
    return -1;
  }
  const std::lock_guard guard(slots_lock);
  std::uint32_t index = 1;
  while (index < kSlots && (slot_used[index] || !tag_slot(index))) index++;
  if (index == kSlots) {
    errno = EAGAIN;
    return -1;
  }
  slot_used[index] = true;
  ThreadBlock* thread = slot(index);
  *thread = ThreadBlock{};
  thread->self = thread;
  thread->cached = &no_tcs;
  thread->host_fs = raw::fsbase();
  thread->host_gs = raw::gsbase();
  thread->slot = index;
  thread->pid = static_cast<int>(raw::syscall(SYS_getpid));
  thread->tid = static_cast<int>(raw::syscall(SYS_gettid));
  thread->random = options().seed * 0x9e3779b97f4a7c15 + index;
  stack_t stack{};
  stack.ss_sp = at<void>(reinterpret_cast<Address>(thread) + TB_ALTSTACK);
  stack.ss_size = TB_SLOT_SIZE - TB_ALTSTACK;
  raw::syscall(SYS_sigaltstack, &stack, &thread->old_stack);
  load_es(static_cast<std::uint16_t>(index << 3 | 7));
  emu_thread = thread;
  pthread_setspecific(exit_key, thread);
  if (cpuid_faulting_works) allow_cpuid(false);
  return 0;
}

void detach_thread() {
  ThreadBlock* thread = emu_thread;
  if (thread == nullptr) return;
  raw::syscall(SYS_prctl, kDispatchPrctl, kDispatchOff, 0, 0, 0);
  emu_thread = nullptr;
  load_es(0);
  raw::syscall(SYS_sigaltstack, &thread->old_stack, nullptr);
  pthread_setspecific(exit_key, nullptr);
  const std::lock_guard guard(slots_lock);
  add_statistics(departed, *thread);
  thread->self = nullptr;
  slot_used[thread->slot] = false;
}

Statistics statistics() {
  const std::lock_guard guard(slots_lock);
  Statistics sum = departed;
  for (std::uint32_t i = 1; i < kSlots; i++) {
    if (slot_used[i]) add_statistics(sum, *slot(i));
  }
  return sum;
}

bool cpuid_faulting() { return cpuid_faulting_works; }
bool syscall_faulting() { return syscall_dispatch_works; }

vdso_sgx_enter_enclave_t enter_function() {
  return reinterpret_cast<vdso_sgx_enter_enclave_t>(&emu_enter_enclave);
}

}  // namespace emulator

std::uint32_t emu_attach() { return emulator::attach_thread() == 0 ? 0 : 1; }
