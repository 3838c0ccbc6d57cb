// Signals: the processor's exceptions and interrupts, as the host process sees them.
//
// Every handler that can interrupt an enclave is emu_signal(), on the thread's alternate stack. It
// starts with the enclave's FS, so it first finds its thread by RSP and loads the host's FS. Then:
//
//   * a fault of the enclave is invisible (a page to open), or emulated (ENCLU), or an AEX, after
//     which the context is moved to where the kernel's vDSO fix-up would move it;
//   * any other signal: the context is settled (settle.cpp), the AEX is done if the thread is in an
//     enclave, and the runtime's handler is called on the host's stack, as on hardware. The
//     alternate stack is free again by then, so that the handler may enter the enclave anew;
//   * a fault of the host goes to whoever had the signal before.
//
// After the runtime's handler, if the context is still at our AEP with RAX=3, the ERESUME is done
// on the signal frame itself and sigreturn continues the enclave; the ENCLU at the AEP need not
// trap.
#include <errno.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "emulator/internal.h"
#include "emulator/raw_syscall.h"

namespace emulator {
namespace {

struct KernelAction {
  void* handler = nullptr;
  unsigned long flags = 0;
  const void* restorer = nullptr;
  std::uint64_t mask = 0;
};

void* const kIgnore = reinterpret_cast<void*>(1);  // SIG_IGN
constexpr int kSignals = 65;
constexpr int kOwn[] = {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP, SIGSYS};
constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << ((signal - 1) & 63); }
constexpr std::uint64_t kOwnMask =
    bit(SIGSEGV) | bit(SIGILL) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGTRAP) | bit(SIGSYS);
constexpr unsigned long kRestorerFlag = 0x04000000;  // SA_RESTORER

// Who gets the signal when it is not the enclave's: for the six, the host's handler from before.
KernelAction actions[kSignals];
bool installed = false;

long set_kernel_action(int signal, const KernelAction* action, KernelAction* old) {
  return raw::syscall(SYS_rt_sigaction, signal, action, old, sizeof(std::uint64_t));
}

KernelAction ours(unsigned long extra_flags) {
  return {.handler = reinterpret_cast<void*>(&emu_signal),
          .flags = SA_SIGINFO | SA_ONSTACK | kRestorerFlag | extra_flags,
          .restorer = emu_restorer,
          .mask = ~kOwnMask};
}

bool is_own(int signal) {
  return signal >= 1 && signal < kSignals && (kOwnMask & bit(signal)) != 0;
}

// ---- delivering to the host's handlers ----

struct RelocatedFrame {  // as the kernel's rt_sigframe
  const void* return_address;
  std::byte context[304];  // the kernel's ucontext
  siginfo_t info;
};
static_assert(offsetof(RelocatedFrame, info) == 312);

// The signal kills the process, or is ignored.
void default_action(Context& c, int signal) {
  const KernelAction fallback{};
  set_kernel_action(signal, &fallback, nullptr);
  const std::uint64_t mask = bit(signal);
  raw::syscall(SYS_tgkill, c.thread->pid, c.thread->tid, signal);
  raw::syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, nullptr, sizeof mask);
  // Still here: its default is not to kill.
  if (is_own(signal))
    die("a signal that should have killed did not, signal", static_cast<std::uint64_t>(signal));
  const KernelAction again = ours(0);
  set_kernel_action(signal, &again, nullptr);
}

// Calls the host's handler on the host's stack and returns from the signal through a copy of the
// frame there. Returns only if there is no handler to call.
void deliver(Context& c, int signal, siginfo_t* info) {
  const KernelAction action = actions[signal];
  if (action.handler == kIgnore) return;
  if (action.handler == nullptr) return default_action(c, signal);

  const auto old_fp = reinterpret_cast<Address>(c.frame->uc_mcontext.fpregs);
  const std::uint32_t extended =
      *at<std::uint32_t>(old_fp + 464) == 0x46505853 ? *at<std::uint32_t>(old_fp + 468) : 512;
  Address top = static_cast<Address>(c.reg(REG_RSP)) - 128;
  const Address fp = (top - extended) & ~Address{63};
  std::memcpy(at<void>(fp), at<void>(old_fp), extended);
  auto* frame = at<RelocatedFrame>(((fp - sizeof(RelocatedFrame)) & ~Address{15}) - 8);
  frame->return_address = emu_restorer;
  std::memcpy(frame->context, c.frame, sizeof frame->context);
  frame->info = *info;
  auto* context = reinterpret_cast<ucontext_t*>(frame->context);
  context->uc_mcontext.fpregs = at<_libc_fpstate>(fp);
  c.thread->in_handler = 0;
  raw::set_gsbase(c.gs);
  emu_deliver(reinterpret_cast<Address>(frame) - 128, action.handler, signal, &frame->info, context,
              frame);
}

constexpr std::uint8_t kCpuid[] = {0x0f, 0xa2};

// Another thread may close the page at any moment, even where it was readable just now.
enum class Code { kSame, kOther, kGone };
Code compare_code(Address where, const std::uint8_t* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; i++) {
    const int byte = emu_peek(where + i);
    if (byte < 0) return Code::kGone;
    if (byte != bytes[i]) return Code::kOther;
  }
  return Code::kSame;
}

bool bytes_are(Address where, const std::uint8_t* bytes, std::size_t count) {
  return compare_code(where, bytes, count) == Code::kSame;
}

// CPUID of the host's own code, where CPUID faults: done for it. Threads that never entered an
// enclave inherit the setting.
bool host_cpuid(int signal, void* frame) {
  auto& g = static_cast<ucontext_t*>(frame)->uc_mcontext.gregs;
  const auto rip = static_cast<Address>(g[REG_RIP]);
  if (!cpuid_faulting_works || signal != SIGSEGV || g[REG_TRAPNO] != sgx::vector::kGp) return false;
  if (!bytes_are(rip, kCpuid, sizeof kCpuid)) return false;
  std::uint64_t a = static_cast<std::uint32_t>(g[REG_RAX]),
                c = static_cast<std::uint32_t>(g[REG_RCX]), b, d;
  allow_cpuid(true);
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  allow_cpuid(false);
  g[REG_RAX] = static_cast<greg_t>(a);
  g[REG_RBX] = static_cast<greg_t>(b);
  g[REG_RCX] = static_cast<greg_t>(c);
  g[REG_RDX] = static_cast<greg_t>(d);
  g[REG_RIP] += sizeof kCpuid;
  return true;
}

// A fault of the host's own code, or a signal on a thread that is not ours.
void pass_on(int signal, siginfo_t* info, void* frame, ThreadBlock* thread) {
  if (host_cpuid(signal, frame)) return;
  const KernelAction action = actions[signal];
  if (thread != nullptr) thread->in_handler = 0;
  if (action.handler == nullptr || action.handler == kIgnore) {
    if (action.handler == kIgnore && info->si_code <= 0) return;
    // Let it happen again, for real.
    const KernelAction fallback{};
    set_kernel_action(signal, &fallback, nullptr);
    if (info->si_code <= 0)
      raw::syscall(SYS_tgkill, raw::syscall(SYS_getpid), raw::syscall(SYS_gettid), signal);
    return;
  }
  if ((action.flags & SA_SIGINFO) != 0) {
    reinterpret_cast<void (*)(int, siginfo_t*, void*)>(action.handler)(signal, info, frame);
  } else {
    reinterpret_cast<void (*)(int)>(action.handler)(signal);
  }
}

// ---- the enclave's exceptions ----

// What the kernel does with a fault at an ENCLU: at our vDSO function, its fix-up; elsewhere, the
// signal.
void report(Context& c, const Event& event, int signal, siginfo_t* info) {
  if (c.rip() != reinterpret_cast<Address>(emu_aep)) return deliver(c, signal, info);
  c.set_rip(reinterpret_cast<Address>(emu_handle_exception));
  c.reg(REG_RDI) = event.vector;
  c.reg(REG_RSI) = event.error;
  c.reg(REG_RDX) =
      static_cast<greg_t>(event.vector == sgx::vector::kPf ? page_of(event.address) : 0);
}

void leave_and_report(Context& c, const Event& event, int signal, siginfo_t* info) {
  aex(c, event);
  report(c, event, signal, info);
}

bool readable_code(Enclave& enclave, Address rip, std::uint64_t bytes, ThreadBlock& thread) {
  Access denied;
  return enclave.contains(rip, bytes) && ensure(enclave, rip, bytes, kRead, &thread, denied);
}

bool is_enclu(Address rip) {
  return bytes_are(rip, sgx::kEncluBytes.data(), sgx::kEncluBytes.size());
}

// An ENCLU in the enclave. `size` is how far RIP moves on: 3, or 6 at a patched site.
void emulate_enclu(Context& c, std::uint64_t size, int signal, siginfo_t* info) {
  ThreadBlock& thread = *c.thread;
  thread.trap_count++;
  Registers regs;
  c.get(regs);
  if (static_cast<std::uint32_t>(regs.rax) == static_cast<std::uint32_t>(sgx::Enclu::kEexit)) {
    if (!canonical(regs.rbx)) return leave_and_report(c, exception(sgx::vector::kGp), signal, info);
    return eexit(c);
  }
  Event fault;
  if (execute_leaf(thread, regs, fault) == LeafResult::kFault) {
    thread.lost_race = 0;
    return leave_and_report(c, fault, signal, info);
  }
  regs.rip += size;
  c.set(regs);
}

Rights access_of(std::uint64_t error) {
  if (error & sgx::pf_error::kFetch) return kExecute;
  return error & sgx::pf_error::kWrite ? kWrite : kRead;
}

void enclave_page_fault(Context& c, Address address, std::uint64_t error, int signal,
                        siginfo_t* info) {
  ThreadBlock& thread = *c.thread;
  Enclave& enclave = *thread.current->enclave;
  if (!enclave.contains(address)) {
    return leave_and_report(
        c, exception(sgx::vector::kPf, static_cast<std::uint16_t>(error & 0x3f), address), signal,
        info);
  }
  const Access access = resolve(enclave, address, access_of(error), &thread);
  if (!access.allowed) {
    return leave_and_report(
        c, exception(sgx::vector::kPf, static_cast<std::uint16_t>(access.error), address), signal,
        info);
  }
  if (!options().strict) return;
  // Even a fault that only the kernel sees leaves the enclave and comes back: SSA[CSSA] has been
  // written.
  const Event event =
      exception(sgx::vector::kPf, static_cast<std::uint16_t>(error & 0x16), address);
  aex(c, event);
  // And now and then it is reported for no reason any more, as when another processor was quicker.
  Event refusal;
  if (inject(thread, 16) || !eresume(c, refusal)) report(c, event, signal, info);
}

// step_ticks(): the range, the signal, and which of its bytes have been ticked.
struct Stepping {
  std::atomic<int> signal{0};
  Address start = 0, end = 0;
  std::uint8_t* ticked = nullptr;
  std::atomic<std::size_t> count{0};
} steps;

// A single step has ended at RIP: perhaps a tick comes there.
void step(Context& c) {
  const Address rip = c.rip();
  const int signal = steps.signal.load();
  if (signal == 0 || rip < steps.start || rip >= steps.end || steps.ticked[rip - steps.start] != 0)
    return;
  steps.ticked[rip - steps.start] = 1;
  steps.count++;
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = SI_TIMER;
  aex(c, Event{});
  deliver(c, signal, &info);
}

void enclave_trap(Context& c, std::uint64_t trap, int signal, siginfo_t* info) {
  Enclave& enclave = *c.thread->current->enclave;
  if (trap == sgx::vector::kDb) {
    // Single step or a watchpoint. An opt-out entry suppresses both: go on without TF.
    if ((c.thread->current->flags & sgx::tcs_flags::kDbgOptIn) == 0) {
      c.reg(REG_EFL) &= ~greg_t{0x100};
      return;
    }
    aex(c, exception(sgx::vector::kDb));
    return deliver(c, signal, info);
  }
  constexpr std::uint8_t kInt3 = 0xcc;
  constexpr std::uint8_t kLongInt3[] = {0xcd, 3};
  const Address rip = c.rip();
  // Another thread may have taken the int3 away already: then it was a short one, as debuggers write.
  const bool one_byte =
      readable_code(enclave, rip - 1, 1, *c.thread) && bytes_are(rip - 1, &kInt3, 1);
  const bool two_bytes = !one_byte && readable_code(enclave, rip - 2, 2, *c.thread) &&
                         bytes_are(rip - 2, kLongInt3, sizeof kLongInt3);
  c.set_rip(rip - (two_bytes ? 2 : 1));
  aex(c, exception(sgx::vector::kBp));
  deliver(c, signal, info);
}

void enclave_fault(Context& c, int signal, siginfo_t* info) {
  ThreadBlock& thread = *c.thread;
  Enclave& enclave = *thread.current->enclave;
  const auto trap = static_cast<std::uint64_t>(c.reg(REG_TRAPNO));
  const auto error = static_cast<std::uint64_t>(c.reg(REG_ERR));
  const auto address = static_cast<Address>(c.reg(REG_CR2));
  const Address rip = c.rip();

  if (!enclave.contains(rip)) {
    // The enclave jumped out. Fetching outside ELRANGE is #GP on hardware; here it is found before anything was
    // executed only if the page tables refuse the fetch.
    const bool refused = trap == sgx::vector::kPf && (error & sgx::pf_error::kFetch) != 0;
    if (options().strict && !refused)
      die("enclave mode executes code outside ELRANGE at", rip, thread.current->address);
    return leave_and_report(c, exception(sgx::vector::kGp), signal, info);
  }
  if (signal == SIGSYS) {
    // The hardware's `syscall` has happened: RIP is after it, RCX = that RIP, R11 = RFLAGS. Their
    // former values are lost; all else, RAX included, is as before. (For int 0x80 and sysenter RCX
    // and R11 are intact.)
    c.set_rip(rip - 2);
    return leave_and_report(c, exception(sgx::vector::kUd), signal, info);
  }
  if (signal == SIGTRAP) return enclave_trap(c, trap, signal, info);
  const bool fetch = trap == sgx::vector::kPf && (error & sgx::pf_error::kFetch) != 0;
  if (!fetch && readable_code(enclave, rip, 3, thread)) {
    const Code code = compare_code(rip, sgx::kEncluBytes.data(), sgx::kEncluBytes.size());
    if (code == Code::kSame) return emulate_enclu(c, sgx::kEncluBytes.size(), signal, info);
    // Nobody knows what it was: again. A page fault has its own way to say so.
    if (code == Code::kGone && trap != sgx::vector::kPf) return;
  }
  if (trap == sgx::vector::kPf) return enclave_page_fault(c, address, error, signal, info);
  if (trap == sgx::vector::kGp && cpuid_faulting_works && readable_code(enclave, rip, 2, thread)) {
    const Code code = compare_code(rip, kCpuid, sizeof kCpuid);
    if (code == Code::kSame) return leave_and_report(c, exception(sgx::vector::kUd), signal, info);
    if (code == Code::kGone) return;
  }
  const auto code = trap == sgx::vector::kGp ? static_cast<std::uint16_t>(error) : std::uint16_t{0};
  leave_and_report(c, exception(static_cast<std::uint8_t>(trap), code), signal, info);
}

// ENCLU executed by the host: EENTER and ERESUME; all else is #GP.
void host_enclu(Context& c, int signal, siginfo_t* info) {
  ThreadBlock& thread = *c.thread;
  thread.trap_count++;
  Event fault = exception(sgx::vector::kGp);
  const auto leaf = static_cast<sgx::Enclu>(static_cast<std::uint32_t>(c.reg(REG_RAX)));
  if (leaf == sgx::Enclu::kEenter && eenter(c, fault)) return;
  if (leaf == sgx::Enclu::kEresume && eresume(c, fault)) return;
  report(c, fault, signal, info);
}

// A fault in the emulator's own code on enclave memory: the page was closed since it was checked.
// True if it is open now.
bool reopen(Context& c) {
  if (c.reg(REG_TRAPNO) != sgx::vector::kPf) return false;
  const auto address = static_cast<Address>(c.reg(REG_CR2));
  Enclave* enclave = enclave_at(address);
  const Rights access = access_of(static_cast<std::uint64_t>(c.reg(REG_ERR)));
  return enclave != nullptr && resolve(*enclave, address, access, c.thread).allowed;
}

// A fault while one is handled. True: that goes on.
bool nested_fault(Context& c) {
  if (c.rip() != reinterpret_cast<Address>(emu_peek)) return false;
  c.set_rip(reinterpret_cast<Address>(emu_peek_failed));
  return true;
}

void fault(Context& c, int signal, siginfo_t* info) {
  ThreadBlock& thread = *c.thread;
  const Address rip = c.rip();
  if (signal == SIGTRAP && c.reg(REG_TRAPNO) == sgx::vector::kDb && stepping()) {
    // Steps through stubs count for nothing; in the host they end.
    if (thread.current == nullptr) c.reg(REG_EFL) &= ~greg_t{0x100};
    if (thread.current != nullptr && thread.current->enclave->contains(rip)) step(c);
    return;
  }
  if (thread.in_leaf != 0) {
    if (reopen(c)) return;
    die("a leaf faulted at", rip, static_cast<Address>(c.reg(REG_CR2)));
  }
  if (within(rip, emu_eenter_begin, emu_eenter_end)) {
    if (reopen(c)) return;
    settle(c);  // to the ENCLU, which traps and finds out
    return;
  }
  if (within(rip, emu_resume_begin, emu_resume_end)) {
    if (reopen(c)) return;
    undo_resume(c);
    return report(c, exception(sgx::vector::kGp), signal, info);
  }
  if (rip == reinterpret_cast<Address>(emu_eexit_enclu) && thread.current != nullptr)
    return eexit(c);
  if (thread.current != nullptr) {
    if (const Address stub = stub_of(*thread.current->enclave, rip); stub != 0) {
      const bool trap = rip - stub == static_cast<Address>(emu_stub_trap - emu_stub);
      settle(c);
      if (trap) emulate_enclu(c, kSiteSize, signal, info);
      return;
    }
    return enclave_fault(c, signal, info);
  }
  const bool fetch = c.reg(REG_TRAPNO) == sgx::vector::kPf &&
                     (static_cast<std::uint64_t>(c.reg(REG_ERR)) & sgx::pf_error::kFetch) != 0;
  if ((signal == SIGILL || signal == SIGSEGV) && !fetch && canonical(rip) && is_enclu(rip)) {
    return host_enclu(c, signal, info);
  }
  pass_on(signal, info, c.frame, &thread);
}

// ---- interrupts ----

void defer(Context& c, int signal, const siginfo_t* info) {
  ThreadBlock& thread = *c.thread;
  thread.deferred_count++;
  if (thread.deferred != 0) {
    thread.deferred_more |= bit(signal);
    return;
  }
  thread.deferred_info = *info;
  thread.deferred_info.si_signo = signal;
  thread.deferred = 1;
}

void interrupt(Context& c, int signal, siginfo_t* info) {
  ThreadBlock& thread = *c.thread;
  if (thread.in_leaf != 0) return defer(c, signal, info);
  settle(c);
  for (int other = 1; thread.deferred_more != 0 && other < kSignals; other++) {
    if ((thread.deferred_more & bit(other)) == 0) continue;
    thread.deferred_more &= ~bit(other);
    raw::syscall(SYS_tgkill, thread.pid, thread.tid, other);
  }
  if (thread.current != nullptr) {
    if (!thread.current->enclave->contains(c.rip()) && options().strict) {
      die("enclave mode executes code outside ELRANGE at", c.rip(), thread.current->address);
    }
    aex(c, Event{});
  }
  deliver(c, signal, info);
}

}  // namespace

bool stepping() { return steps.signal.load(std::memory_order_relaxed) != 0; }

std::size_t step_ticks(const void* start, std::size_t size, int signal) {
  steps.signal.store(0);
  delete[] steps.ticked;
  steps.ticked = signal != 0 ? new std::uint8_t[size]{} : nullptr;
  steps.start = reinterpret_cast<Address>(start);
  steps.end = steps.start + size;
  const std::size_t before = steps.count.exchange(0);
  steps.signal.store(signal);
  return before;
}

bool install_handlers() {
  if (installed) return true;
  for (const int signal : kOwn) {
    const KernelAction action = ours(SA_NODEFER);
    if (set_kernel_action(signal, &action, &actions[signal]) != 0) return false;
  }
  installed = true;
  return true;
}

int sigaction(int signal, const struct ::sigaction* action, struct ::sigaction* old) {
  if (signal < 1 || signal >= kSignals || signal == SIGKILL || signal == SIGSTOP) {
    errno = EINVAL;
    return -1;
  }
  if (is_own(signal) && !install_handlers()) return -1;
  const KernelAction before = actions[signal];
  KernelAction wanted{};
  if (action != nullptr) {
    wanted.handler = reinterpret_cast<void*>(action->sa_sigaction);
    wanted.flags = static_cast<unsigned long>(action->sa_flags);
    std::memcpy(&wanted.mask, &action->sa_mask, sizeof wanted.mask);
    actions[signal] = wanted;
  }
  if (!is_own(signal)) {
    const bool handled = wanted.handler != nullptr && wanted.handler != kIgnore;
    const KernelAction real =
        handled ? ours(wanted.flags & (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT)) : wanted;
    if (set_kernel_action(signal, action != nullptr ? &real : nullptr, nullptr) != 0) {
      actions[signal] = before;
      errno = EINVAL;
      return -1;
    }
  }
  if (old != nullptr) {
    *old = {};
    old->sa_sigaction = reinterpret_cast<void (*)(int, siginfo_t*, void*)>(before.handler);
    old->sa_flags = static_cast<int>(before.flags & ~kRestorerFlag);
    std::memcpy(&old->sa_mask, &before.mask, sizeof before.mask);
  }
  return 0;
}

}  // namespace emulator

void emu_signal(int signal, siginfo_t* info, void* frame) {
  using namespace emulator;
  // The kernel clears DF for a handler, but leaves AC as the interrupted code had it.
  constexpr std::uint64_t kAlignmentCheck = 1u << 18;
  const std::uint64_t flags = __builtin_ia32_readeflags_u64();
  if ((flags & kAlignmentCheck) != 0) __builtin_ia32_writeeflags_u64(flags & ~kAlignmentCheck);
  ThreadBlock* thread = block_of(reinterpret_cast<Address>(__builtin_frame_address(0)));
  if (thread == nullptr) return pass_on(signal, info, frame, nullptr);

  Context context{thread, static_cast<ucontext_t*>(frame), raw::fsbase(), raw::gsbase()};
  raw::set_fsbase(thread->host_fs);
  if (thread->current != nullptr) raw::set_gsbase(thread->host_gs);

  if (is_own(signal) && info->si_code > 0) {
    if (thread->in_handler == 0) {
      thread->in_handler = 1;
      fault(context, signal, info);
      thread->in_handler = 0;
    } else if (!nested_fault(context)) {
      die("a fault while handling a fault, at", context.rip(),
          static_cast<Address>(context.reg(REG_CR2)));
    }
  } else {
    interrupt(context, signal, info);
  }
  raw::set_gsbase(context.gs);
  raw::set_fsbase(context.fs);
}

void emu_delivered(void* frame_start, std::uint64_t bases[2]) {
  using namespace emulator;
  auto* frame = static_cast<RelocatedFrame*>(frame_start);
  ThreadBlock* thread = emu_thread;
  Context context{thread, reinterpret_cast<ucontext_t*>(frame->context), raw::fsbase(),
                  raw::gsbase()};
  if (options().fast_path && context.rip() == reinterpret_cast<Address>(emu_aep) &&
      context.reg(REG_RAX) == static_cast<greg_t>(sgx::Enclu::kEresume)) {
    Event ignored;
    eresume(context, ignored);  // if it fails, the ENCLU at the AEP does too, and says why
  }
  bases[0] = context.fs;
  bases[1] = context.gs;
}
