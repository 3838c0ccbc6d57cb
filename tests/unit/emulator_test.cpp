// emulator/ by itself, through its public interface, with a hand-written enclave
// (emulator_enclave.S). Every test runs on each path: --path=fast (patched sites, entry by a jump),
// --path=trap (every ENCLU traps: the reference), --path=strict (fast, with injections).
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <functional>
#include <string_view>
#include <thread>

#include "tests/unit/emulator_enclave.h"

namespace {

// Of this thread's processor time: the machine may be busy.
double nanoseconds_per(std::uint64_t rounds, const std::function<void()>& work) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
  };
  const double start = now();
  work();
  return (now() - start) / static_cast<double>(rounds);
}

TEST(Emulator, EntersAndExits) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c;
  for (int i = 0; i < 100; i++) {
    const auto run = e.call(kNop, c, i & 1);
    EXPECT_EQ(e.last_result(), 0);
    EXPECT_EXITED(run);
  }
}

TEST(Emulator, VdsoFunctionChecksItsArguments) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  sgx_enclave_run run{};
  run.tcs = e.tcs(0);
  EXPECT_EQ(e.enter(run, 1), -EINVAL);
  EXPECT_EQ(e.enter(run, 4), -EINVAL);
  for (const int at : {0, 1, 8, 107, 215}) {
    run.reserved[at] = 1;
    EXPECT_EQ(e.enter(run, kEenter), -EINVAL) << at;
    run.reserved[at] = 0;
  }
  EXPECT_EQ(e.enter(run, kEenter), 0);
}

TEST(Emulator, BadTcsIsReportedAsTheProcessorWould) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  sgx_enclave_run run{};
  run.tcs = e.tcs(0) + 8;
  EXPECT_EQ(e.enter(run, kEenter), 0);
  EXPECT_EQ(run.function, static_cast<unsigned>(kEenter));
  EXPECT_EQ(run.exception_vector, kVectorGp);
  run = {};
  run.tcs = e.image() + 0x8000;  // a regular page
  e.enter(run, kEenter);
  EXPECT_EQ(run.exception_vector, kVectorPf);
  run = {};
  run.tcs = e.tcs(0);  // nothing to resume
  e.enter(run, kEresume);
  EXPECT_EQ(run.function, static_cast<unsigned>(kEresume));
  EXPECT_EQ(run.exception_vector, kVectorGp);
}

TEST(Emulator, FsAndGsAreTheEnclaves) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c;
  EXPECT_EXITED(e.call(kBases, c));
  EXPECT_EQ(c.rax, 0x1122334455667788u);
  EXPECT_EQ(c.rbx, 0x99aabbccddeeff00u);
  errno = 77;  // the host's TLS is back
  EXPECT_EQ(errno, 77);
}

TEST(Emulator, AugmentOnFaultThenAccept) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  const std::uint64_t page = e.dynamic();
  Call c{.rcx = page, .rdx = 0xabcdef};
  auto run = e.call_faulting(kStore, c);
  EXPECT_EQ(run.function, static_cast<unsigned>(kEresume));
  EXPECT_EQ(run.exception_vector, kVectorPf);
  EXPECT_EQ(run.exception_error_code, 0x8007);
  EXPECT_EQ(run.exception_addr, page);
  EXPECT_EQ(e.accept(page, kPendingRw, 1), 0u);
  run = {};
  run.tcs = e.tcs(0);
  do {
    EXPECT_EQ(e.enter_outer(run, kEresume), 0);
  } while (strict && run.function == kEresume);
  EXPECT_EXITED(run);
  Call load{.rcx = page};
  EXPECT_EXITED(e.call(kLoad, load));
  EXPECT_EQ(load.rax, 0xabcdefu);
}

TEST(Emulator, AcceptFirst) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c{.rcx = e.dynamic(), .rdx = 256, .secinfo = kPendingRw};
  EXPECT_EXITED(e.call(kRange, c));
  EXPECT_EQ(c.rax, 0u);
  EXPECT_EQ(c.rdx, 0u);
  for (int i : {0, 5, 255}) {
    Call store{.rcx = e.dynamic() + static_cast<std::uint64_t>(i) * kPage, .rdx = 1};
    EXPECT_EXITED(e.call(kStore, store));
  }
  EXPECT_EQ(e.accept(e.dynamic(), kPendingRw), 19u) << "accepted twice";
  EXPECT_EQ(e.accept(e.dynamic(), flag::kReg | 3), 0u) << "nothing to accept, all attributes equal";
  EXPECT_EQ(e.accept(e.dynamic() + 300 * kPage, flag::kReg | 7 | flag::kPending), 19u);
  EXPECT_EQ(e.leaf(5, e.dynamic() + 301 * kPage, kPendingRw, 0, 0, kPlainLeaf), 0u);
}

// The second of two that touch an absent page gets a #PF, and finds the page there when it tries again.
TEST(Emulator, SecondOfTwoAugmentsFaults) {
  if (!strict) GTEST_SKIP() << "strict mode only";
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  const std::uint64_t before = emulator::statistics().eaug_races;
  unsigned faults = 0;
  for (std::uint64_t page = e.dynamic(); page < e.dynamic() + 200 * kPage; page += kPage) {
    Call c{.rax = 5, .rcx = page, .secinfo = kPendingRw};
    sgx_enclave_run run{};
    run.tcs = e.tcs(0);
    ASSERT_EQ(e.enter_outer(run, kEenter, kLeaf, &c), 0);
    while (run.function == kEresume) {
      EXPECT_EQ(run.exception_vector, kVectorPf);
      if (run.exception_addr == page) {
        EXPECT_EQ(run.exception_error_code & (sgx::pf_error::kPresent | sgx::pf_error::kSgx), 0u);
        ++faults;
      }
      ASSERT_EQ(e.enter_outer(run, kEresume), 0);
    }
    EXPECT_EXITED(run);
    EXPECT_EQ(c.rax, 0u);
  }
  EXPECT_GT(faults, 0u);
  EXPECT_EQ(emulator::statistics().eaug_races - before, faults);
}

TEST(Emulator, AcceptFaults) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  const auto faults = [&](std::uint64_t rcx, std::uint64_t secinfo) {
    Call c{.rax = 5, .rcx = rcx, .secinfo = secinfo};
    const auto run = e.call_faulting(kLeaf, c);
    EXPECT_EQ(run.function, static_cast<unsigned>(kEresume));
    const int vector = run.exception_vector;
    EXPECT_EXITED(e.skip_and_resume(6));  // over the ENCLU and its NOP
    return vector;
  };
  EXPECT_EQ(faults(e.dynamic() + 8, kPendingRw), kVectorGp);
  EXPECT_EQ(faults(e.base() + (64u << 20), kPendingRw), kVectorGp);
  EXPECT_EQ(faults(e.dynamic(), kPendingRw | 1 << 30), kVectorGp);
  EXPECT_EQ(faults(e.dynamic(), flag::kTcs), kVectorGp) << "PT_TCS without MODIFIED";
  EXPECT_EQ(faults(e.base() + 0x3f8000, kPendingRw), kVectorPf) << "no mapping";
}

TEST(Emulator, AcceptcopyInstallsCode) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  const std::uint64_t source = e.dynamic(), target = e.dynamic() + 16 * kPage;
  EXPECT_EQ(e.accept(source, kPendingRw), 0u);
  // mov %rdx... : c3 = ret after storing a mark: 48 c7 46 30 2a 00 00 00 (movq $42, 48(%rsi)); c3
  Call code{.rcx = source, .rdx = 0x0000002a3046c748};
  EXPECT_EXITED(e.call(kStore, code));
  code = {.rcx = source + 8, .rdx = 0xc3};
  EXPECT_EXITED(e.call(kStore, code));
  EXPECT_EQ(e.leaf(7, target, flag::kReg | 5, source), 0u);
  EXPECT_EQ(e.leaf(7, target, flag::kReg | 5, source), 19u) << "not pending any more";
  Call c{.rcx = target};
  EXPECT_EXITED(e.call(kCall, c));
  EXPECT_EQ(c.result, 42u);
  // RX: a store faults by the EPCM.
  Call store{.rcx = target, .rdx = 1};
  const auto run = e.call_faulting(kStore, store);
  EXPECT_EQ(run.exception_vector, kVectorPf);
  EXPECT_EQ(run.exception_error_code, 0x8007);
  EXPECT_EXITED(e.skip_and_resume(3));
}

TEST(Emulator, RestrictAndExtend) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  const std::uint64_t page = e.dynamic();
  EXPECT_EQ(e.accept(page, kPendingRw), 0u);
  Call store{.rcx = page, .rdx = 7};
  EXPECT_EXITED(e.call(kStore, store));
  sgx_enclave_restrict_permissions r{};
  r.offset = page - e.base();
  r.length = kPage;
  r.permissions = 1;
  EXPECT_EQ(retry([&] {
              r.result = r.count = 0;
              return emulator::ioctl(e.fd(), SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &r);
            }),
            0);
  EXPECT_EQ(r.count, kPage);
  EXPECT_EQ(e.accept(page, flag::kReg | flag::kR | flag::kPr), 0u);
  auto run = e.call_faulting(kStore, store);
  EXPECT_EQ(run.exception_vector, kVectorPf);
  EXPECT_EQ(run.exception_error_code, 0x8007);
  EXPECT_EQ(e.leaf(6, page, flag::kReg | 3, 0, 1), 6u) << "EMODPE leaves RAX alone";
  run = {};
  run.tcs = e.tcs(0);
  do {
    e.enter_outer(run, kEresume);
  } while (strict && run.function == kEresume);
  EXPECT_EXITED(run);
}

TEST(Emulator, HostProtectionCounts) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  const std::uint64_t data = e.image() + 0x8000;
  Call store{.rcx = data + 0x300, .rdx = 7};
  EXPECT_EXITED(e.call(kStore, store));
  EXPECT_EQ(emulator::mprotect(reinterpret_cast<void*>(data), kPage, PROT_READ), 0);
  auto run = e.call_faulting(kStore, store, 1);
  EXPECT_EQ(run.exception_vector, kVectorPf);
  EXPECT_EQ(run.exception_error_code, 0x7) << "the page tables refuse, not the EPCM";
  EXPECT_EQ(emulator::mprotect(reinterpret_cast<void*>(data), kPage, PROT_READ | PROT_WRITE), 0);
  run = {};
  run.tcs = e.tcs(1);
  do {
    e.enter_outer(run, kEresume);
  } while (strict && run.function == kEresume);
  EXPECT_EXITED(run);
  EXPECT_EQ(emulator::mprotect(reinterpret_cast<void*>(data), kPage, PROT_EXEC), -1);
  EXPECT_EQ(errno, EACCES);
}

TEST(Emulator, SyscallIsUndefined) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  if (!emulator::syscall_faulting()) GTEST_SKIP() << "no Syscall User Dispatch here";
  Call c;
  auto run = e.call(kSyscall, c);
  EXPECT_EQ(run.function, static_cast<unsigned>(kEresume));
  EXPECT_EQ(run.exception_vector, kVectorUd);
  EXPECT_EXITED(e.skip_and_resume(2));
  EXPECT_EQ(c.rax, 0x1234u);
  EXPECT_EQ(c.rbx, 0x7777u);
}

TEST(Emulator, Exceptions) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c;
  EXPECT_EQ(e.call(kUd2, c).exception_vector, kVectorUd);
  EXPECT_EXITED(e.skip_and_resume(2));
  EXPECT_EQ(e.call(kDivide, c).exception_vector, 0);
  EXPECT_EXITED(e.skip_and_resume(2));
  Call load{.rcx = 0x10};
  const auto run = e.call_faulting(kLoad, load);
  EXPECT_EQ(run.exception_vector, kVectorPf);
  EXPECT_EQ(run.exception_addr, 0u);
  EXPECT_EXITED(e.skip_and_resume(3));
  load.rcx = 0x8000000000000000;
  EXPECT_EQ(e.call(kLoad, load).exception_vector, kVectorGp);
  EXPECT_EXITED(e.skip_and_resume(3));
}

// ---- signals ----

const TestEnclave* ticked = nullptr;
std::atomic<std::uint64_t> ticks_inside, ticks_outside, bad_ticks;
int tick_tcs = 0;

// The runtime's tick handler, as host/ has it.
void tick(int, siginfo_t*, void* frame) {
  auto& g = static_cast<ucontext_t*>(frame)->uc_mcontext.gregs;
  const auto* rip = reinterpret_cast<const std::uint8_t*>(g[REG_RIP]);
  const bool at_aep = rip[0] == 0x0f && rip[1] == 0x01 && rip[2] == 0xd7 && g[REG_RAX] == kEresume;
  if (!at_aep) {
    ticks_outside++;
    return;
  }
  ticks_inside++;
  if (static_cast<std::uint64_t>(g[REG_RBX]) != ticked->tcs(tick_tcs) || g[REG_RCX] != g[REG_RIP])
    bad_ticks++;
  sgx_enclave_run run{};
  run.tcs = static_cast<std::uint64_t>(g[REG_RBX]);
  const int result = ticked->enter(run, kEenter, 0, nullptr, 0);
  // The tick interrupted the CSSA=1 handler itself: no SSA frame is left, and EENTER is #GP.
  const bool no_frame = run.function == kEenter && run.exception_vector == 13;
  if (result != 0 || (run.function != kEexit && !no_frame)) bad_ticks++;
}

class Ticks {
 public:
  Ticks(const TestEnclave& e, int tcs_number, long microseconds) {
    ticked = &e;
    tick_tcs = tcs_number;
    ticks_inside = ticks_outside = bad_ticks = 0;
    struct sigaction action{};
    action.sa_sigaction = tick;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    EXPECT_EQ(emulator::sigaction(SIGALRM, &action, nullptr), 0);
    const itimerval every{.it_interval = {0, microseconds}, .it_value = {0, microseconds}};
    setitimer(ITIMER_REAL, &every, nullptr);
  }
  ~Ticks() {
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    printf("ticks: %lu inside, %lu outside\n", ticks_inside.load(), ticks_outside.load());
    EXPECT_EQ(bad_ticks.load(), 0u);
  }
};

std::uint64_t vector_level() {
  const auto xfrm = supported_xfrm();
  return (xfrm & sgx::xfrm::kAvx512) == sgx::xfrm::kAvx512 ? 2 : 0;
}

TEST(EmulatorSignals, TickEntersTheInterruptedEnclave) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c{.rcx = 100'000, .rdx = vector_level()};
  {
    Ticks ticks(e, 0, 500);
    EXPECT_EXITED(e.call(kSpin, c));
    EXPECT_GT(ticks_inside.load(), 50u);
  }
  EXPECT_EQ(c.rax, 0u) << "vector registers changed";
  Call count{.rcx = e.image() + 0x8100};
  EXPECT_EXITED(e.call(kLoad, count));
  EXPECT_EQ(count.rax, ticks_inside.load());
}

TEST(EmulatorSignals, TicksDuringCrossings) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c;
  const int rounds = trap_path ? 50'000 : 3'000'000;
  Ticks ticks(e, 0, 100);
  sgx_enclave_run run{};
  run.tcs = e.tcs(0);
  for (int i = 0; i < rounds; i++) {
    ASSERT_EQ(e.enter(run, kEenter, kNop, &c), 0);
    ASSERT_EQ(run.function, static_cast<unsigned>(kEexit));
  }
}

TEST(EmulatorSignals, TicksDuringLeaves) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  EXPECT_EQ(e.accept(e.dynamic(), kPendingRw), 0u);
  Call c{.rcx = e.dynamic(), .rdx = trap_path ? 20'000u : 3'000'000u, .secinfo = flag::kReg | 3};
  Ticks ticks(e, 0, 100);
  EXPECT_EXITED(e.call(kRegs, c));
  EXPECT_EQ(c.result, 0u) << "registers changed over a leaf";
  EXPECT_GT(ticks_inside.load(), 20u);
}

TEST(EmulatorSignals, TicksDuringResumes) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Ticks ticks(e, 0, 100);
  const int rounds = trap_path ? 10'000 : 50'000;
  for (int i = 0; i < rounds; i++) {
    Call c;
    const auto run = e.call(kUd2, c);
    ASSERT_EQ(run.exception_vector, kVectorUd);
    const auto after = e.skip_and_resume(2);
    ASSERT_EQ(after.function, static_cast<unsigned>(kEexit));
  }
}

// A tick at each instruction of a call, by single steps, and each is survived.
TEST(EmulatorSignals, StepTicksComeAtEveryInstruction) {
  if (!trap_path) GTEST_SKIP() << "needs fast_path off";
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c{.rcx = e.dynamic(), .rdx = 2, .secinfo = flag::kReg | 3};
  EXPECT_EQ(e.accept(e.dynamic(), kPendingRw), 0u);
  {
    Ticks ticks(e, 0, 0);
    emulator::step_ticks(reinterpret_cast<void*>(e.image() + 0x6000), 2 * kPage, SIGALRM);
    EXPECT_EXITED(e.call(kRegs, c));
    EXPECT_EQ(c.result, 0u);
    Call spin{.rcx = 1, .rdx = vector_level()};
    EXPECT_EXITED(e.call(kSpin, spin));
    EXPECT_EQ(spin.rax, 0u);
    const std::size_t stepped = emulator::step_ticks(nullptr, 0, 0);
    EXPECT_GT(stepped, 150u);
    EXPECT_EQ(stepped, ticks_inside.load());
  }
  EXPECT_EXITED(e.call(kNop, c));
}

sigjmp_buf escape;
std::atomic<int> traps_seen;
TEST(EmulatorSignals, BreakpointIsASignalAtTheAep) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  struct sigaction action{}, old{};
  action.sa_sigaction = [](int, siginfo_t*, void* frame) {
    traps_seen++;
    auto& g = static_cast<ucontext_t*>(frame)->uc_mcontext.gregs;
    EXPECT_EQ(g[REG_RAX], kEresume);
    sgx_enclave_run run{};
    run.tcs = static_cast<std::uint64_t>(g[REG_RBX]);
    const Entry entry{
        emulator::enter_function(), 0, 0, 1, kEenter, &run, nullptr};  // over the int3
    EXPECT_EQ(enter_saving(&entry), 0);
  };
  action.sa_flags = SA_SIGINFO;
  ASSERT_EQ(emulator::sigaction(SIGTRAP, &action, &old), 0);
  traps_seen = 0;
  Call c;
  EXPECT_EXITED(e.call(kInt3, c));
  EXPECT_EQ(traps_seen.load(), 1);
  emulator::sigaction(SIGTRAP, &old, nullptr);
}

TEST(EmulatorSignals, HostFaultsReachTheHost) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c;
  e.call(kNop, c);
  struct sigaction action{}, old{};
  action.sa_handler = [](int) { siglongjmp(escape, 1); };
  ASSERT_EQ(emulator::sigaction(SIGSEGV, &action, &old), 0);
  bool came_back = false;
  if (sigsetjmp(escape, 1) == 0) {
    *reinterpret_cast<volatile int*>(0x10) = 1;
  } else {
    came_back = true;
  }
  EXPECT_TRUE(came_back);
  emulator::sigaction(SIGSEGV, &old, nullptr);
  EXPECT_EXITED(e.call(kNop, c));
}

TEST(EmulatorSignals, UserHandlerOfTheVdsoFunction) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  struct Seen {
    int calls = 0;
    unsigned functions[4] = {};
  } seen;
  sgx_enclave_run run{};
  run.tcs = e.tcs(0);
  run.user_data = reinterpret_cast<std::uint64_t>(&seen);
  sgx_enclave_user_handler_t handler = [](long, long, long, long, long, long, sgx_enclave_run* r) {
    auto* s = reinterpret_cast<Seen*>(r->user_data);
    s->functions[s->calls++ & 3] = r->function;
    if (r->function == kEexit) return -7;
    // The exception: skip it by a nested entry, then resume.
    sgx_enclave_run nested{};
    nested.tcs = r->tcs;
    const Entry entry{emulator::enter_function(), 0, 0, 2, kEenter, &nested, nullptr};
    EXPECT_EQ(enter_saving(&entry), 0);
    return kEresume;
  };
  run.user_handler = reinterpret_cast<std::uint64_t>(handler);
  Call c;
  EXPECT_EQ(e.enter(run, kEenter, kUd2, &c), -7);
  EXPECT_EQ(seen.functions[0], static_cast<unsigned>(kEresume));
  EXPECT_EQ(seen.functions[1], static_cast<unsigned>(kEexit));
}

TEST(Emulator, DirectionFlagPasses) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  sgx_enclave_run run{};
  run.tcs = e.tcs(0);
  Call c;
  std::uint64_t flags;
  auto function = emulator::enter_function();
  unsigned long rdi = kFlags, rsi = reinterpret_cast<unsigned long>(&c), rdx = 0;
  sgx_enclave_run* pointer = &run;
  __asm__ volatile(
      "push %[run]\n push %[run]\n xor %%r8d, %%r8d\n xor %%r9d, %%r9d\n mov $2, %%ecx\n"
      "call *%[function]\n pushfq\n pop %[flags]\n cld\n add $16, %%rsp"
      : [flags] "=&b"(flags), "+D"(rdi), "+S"(rsi), "+d"(rdx)
      : [run] "r"(pointer), [function] "r"(function)
      : "rax", "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
  EXPECT_NE(flags & 0x400, 0u) << "EEXIT leaves DF as it is";
  EXPECT_EQ(run.function, static_cast<unsigned>(kEexit));
}

TEST(Emulator, EdeccssaGoesBackAFrame) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  for (int i = 0; i < 3; i++) {
    Call c;
    EXPECT_EQ(e.call(kUd2, c).exception_vector, kVectorUd);
    sgx_enclave_run run{};
    run.tcs = e.tcs(0);
    EXPECT_EQ(e.enter(run, kEenter, 1), 0);
    EXPECT_EXITED(run);
    EXPECT_EXITED(e.call(kNop, c)) << "CSSA is 0 again";
  }
  sgx_enclave_run run{};
  run.tcs = e.tcs(0);
  e.enter(run, kEresume);
  EXPECT_EQ(run.exception_vector, kVectorGp) << "nothing is left to resume";
}

TEST(Emulator, ThreadsHaveTheirOwnTcs) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  std::atomic<bool> wrong{false};
  const auto work = [&](int n) {
    for (int i = 0; i < (trap_path ? 5'000 : 100'000); i++) {
      Call c;
      const auto run = e.call(kNop, c, n);
      if (run.function != kEexit) wrong = true;
    }
    emulator::detach_thread();
  };
  std::thread a(work, 0), b(work, 1);
  a.join();
  b.join();
  EXPECT_FALSE(wrong);
}

TEST(Emulator, BusyTcsIsRefused) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  std::atomic<int> refused{0};
  Call c{.rcx = 200'000, .rdx = vector_level()};
  std::thread other([&] { e.call(kSpin, c); });
  usleep(20'000);
  sgx_enclave_run run{};
  run.tcs = e.tcs(0);
  e.enter(run, kEenter, kNop, &c);
  if (run.function == kEenter && run.exception_vector == kVectorGp) refused++;
  other.join();
  EXPECT_EQ(refused.load(), 1);
  EXPECT_EQ(c.rax, 0u);
}

TEST(Emulator, DynamicTcsThenTrimAndRemove) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  const std::uint64_t page = e.dynamic();
  EXPECT_EQ(e.accept(page, kPendingRw), 0u);
  const auto put = [&](std::uint64_t at, std::uint64_t value) {
    Call c{.rcx = page + at, .rdx = value};
    EXPECT_EXITED(e.call(kStore, c));
  };
  put(16, 0x4000);      // OSSA of TCS 1
  put(24, 2ull << 32);  // CSSA 0, NSSA 2
  put(32, 0x6000);      // OENTRY
  put(48, 0x8000), put(56, 0x9000), put(64, ~0ull);
  sgx_enclave_modify_types m{};
  m.offset = page - e.base();
  m.length = kPage;
  m.page_type = 1;
  const auto modify = [&] {
    return retry([&] {
      m.result = m.count = 0;
      return emulator::ioctl(e.fd(), SGX_IOC_ENCLAVE_MODIFY_TYPES, &m);
    });
  };
  EXPECT_EQ(modify(), 0);
  // The driver lets a TCS be mapped RW only.
  EXPECT_EQ(emulator::mprotect(reinterpret_cast<void*>(page), kPage, PROT_READ | PROT_WRITE), 0);
  sgx_enclave_run run{};
  run.tcs = page;
  e.enter(run, kEenter);
  EXPECT_EQ(run.exception_vector, kVectorPf) << "not accepted yet";
  EXPECT_EQ(e.accept(page, flag::kTcs | flag::kModified), 0u);
  run = {};
  run.tcs = page;
  // The image computes its stack from the TCS, and this one's is not there: the first push faults.
  e.enter(run, kEenter, 99);
  EXPECT_EQ(run.function, static_cast<unsigned>(kEresume));
  EXPECT_EQ(run.exception_vector, kVectorPf);

  m.page_type = 4;
  EXPECT_EQ(modify(), 0);
  sgx_enclave_remove_pages r{};
  r.offset = m.offset;
  r.length = kPage;
  const auto remove = [&] {
    return retry([&] {
      r.count = 0;
      return emulator::ioctl(e.fd(), SGX_IOC_ENCLAVE_REMOVE_PAGES, &r);
    });
  };
  EXPECT_EQ(remove(), -1);
  EXPECT_EQ(errno, EPERM) << "not accepted";
  EXPECT_EQ(e.accept(page, flag::kTrim | flag::kModified), 0u);
  EXPECT_EQ(remove(), 0);
  EXPECT_EQ(e.accept(page, kPendingRw), 0u);
  Call load{.rcx = page + 16};
  EXPECT_EXITED(e.call(kLoad, load));
  EXPECT_EQ(load.rax, 0u) << "an augmented page is zero";
}

TEST(Emulator, ReportsAndKeys) {
  TestEnclave e, other;
  ASSERT_TRUE(e.ok() && other.ok());
  const auto work = [&](TestEnclave& one) {
    Call range{.rcx = one.dynamic(), .rdx = 4, .secinfo = kPendingRw};
    EXPECT_EXITED(one.call(kRange, range));
  };
  work(e);
  work(other);
  const auto put = [](TestEnclave& one, std::uint64_t at, const void* bytes, std::size_t size) {
    const auto* words = static_cast<const std::uint64_t*>(bytes);
    for (std::size_t i = 0; i < size / 8; i++) {
      Call c{.rcx = at + 8 * i, .rdx = words[i]};
      EXPECT_EXITED(one.call(kStore, c));
    }
  };
  const auto get = [](TestEnclave& one, std::uint64_t at, void* bytes, std::size_t size) {
    auto* words = static_cast<std::uint64_t*>(bytes);
    for (std::size_t i = 0; i < size / 8; i++) {
      Call c{.rcx = at + 8 * i};
      EXPECT_EXITED(one.call(kLoad, c));
      words[i] = c.rax;
    }
  };
  // e reports to other.
  sgx::Targetinfo target{};
  target.measurement = other.mrenclave();
  target.attributes = {.flags = sgx::attribute::kMode64Bit | sgx::attribute::kInit,
                       .xfrm = supported_xfrm()};
  target.miscselect = sgx::miscselect::kExinfo;
  put(e, e.dynamic(), &target, sizeof target);
  sgx::Reportdata data{};
  data[0] = 99;
  put(e, e.dynamic() + 0x400, &data, sizeof data);
  Call report{.rax = 0, .rbx = e.dynamic(), .rcx = e.dynamic() + 0x400, .rdx = e.dynamic() + kPage};
  EXPECT_EXITED(e.call(kOperandLeaf, report));
  sgx::Report r{};
  get(e, e.dynamic() + kPage, &r, sgx::kReportSize);
  EXPECT_EQ(r.body.mrenclave, e.mrenclave());
  EXPECT_EQ(r.body.mrsigner, sgx::mrsigner(key()));
  EXPECT_EQ(r.body.reportdata[0], 99);
  EXPECT_EQ(r.body.isvprodid, 5);

  const auto key_of = [&](TestEnclave& one, const sgx::Keyrequest& request) {
    put(one, one.dynamic(), &request, sizeof request);
    Call c{.rax = 1, .rbx = one.dynamic(), .rcx = one.dynamic() + kPage};
    EXPECT_EXITED(one.call(kOperandLeaf, c));
    EXPECT_EQ(c.rax, 0u);
    sgx::Bytes<16> k{};
    get(one, one.dynamic() + kPage, &k, sizeof k);
    return k;
  };
  sgx::Keyrequest request{};
  request.keyname = 3;
  request.keyid = r.keyid;
  EXPECT_NE(key_of(other, request), sgx::Bytes<16>{});
  request.keyname = 4;
  request.keypolicy = sgx::key_policy::kMrsigner;
  const auto seal = key_of(e, request);
  EXPECT_EQ(seal, key_of(other, request)) << "same signer, product and version";
  request.keyid[0]++;
  EXPECT_NE(seal, key_of(e, request));
  request.isvsvn = 3;  // above ours
  put(e, e.dynamic(), &request, sizeof request);
  Call c{.rax = 1, .rbx = e.dynamic(), .rcx = e.dynamic() + kPage};
  EXPECT_EXITED(e.call(kOperandLeaf, c));
  EXPECT_EQ(c.rax, 64u);
}

TEST(Emulator, ElrangeFromZero) {
  TestEnclave e({.base = 0, .size = 1ull << 40, .image_at = 0xffc0000000});
  ASSERT_TRUE(e.ok());
  Call c;
  EXPECT_EXITED(e.call(kNop, c));
  for (const std::uint64_t page : {0x10000ull, 0x400000ull, 0x8000000000ull}) {
    Call range{.rcx = page, .rdx = 3, .secinfo = kPendingRw};
    EXPECT_EXITED(e.call(kRange, range));
    EXPECT_EQ(range.rax, 0u);
    Call store{.rcx = page, .rdx = page};
    EXPECT_EXITED(e.call(kStore, store));
    EXPECT_EQ(store.result, 1u);
  }
  EXPECT_TRUE(emulator::in_elrange(reinterpret_cast<void*>(0x400000), 1));
  EXPECT_FALSE(emulator::in_elrange(&c, sizeof c));
  EXPECT_TRUE(emulator::in_elrange(reinterpret_cast<void*>((1ull << 40) - 1), 8));
}

TEST(Emulator, WrongSignatureIsRefused) {
  // By way of a SIGSTRUCT for another measurement: EINIT gives EPERM.
  const int fd = emulator::open_device();
  ASSERT_GE(fd, 0);
  auto* area =
      static_cast<std::byte*>(emulator::mmap(nullptr, 8 << 20, PROT_NONE, MAP_SHARED, fd, 0));
  const auto base = (reinterpret_cast<std::uint64_t>(area) + (4u << 20) - 1) & ~((4ull << 20) - 1);
  alignas(kPage) sgx::Secs secs{};
  secs.size = 4 << 20;
  secs.baseaddr = base;
  secs.ssaframesize = 1;
  secs.attributes = {.flags = sgx::attribute::kMode64Bit, .xfrm = 3};
  sgx_enclave_create create{.src = reinterpret_cast<std::uint64_t>(&secs)};
  ASSERT_EQ(retry([&] { return emulator::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &create); }), 0);
  EXPECT_EQ(retry([&] { return emulator::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &create); }), -1);
  EXPECT_EQ(errno, EINVAL);
  sgx::SigningInput input;
  input.miscselect = 0;
  auto sigstruct = sgx::sign(input, key());
  sgx_enclave_init init{.sigstruct = reinterpret_cast<std::uint64_t>(&*sigstruct)};
  EXPECT_EQ(retry([&] { return emulator::ioctl(fd, SGX_IOC_ENCLAVE_INIT, &init); }), -1);
  EXPECT_EQ(errno, EPERM);
  emulator::munmap(area, 8 << 20);
  emulator::close(fd);
}

TEST(EmulatorCost, ModelMakesCrossingsLast) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c;
  e.call(kNop, c);
  emulator::Options costly{.fast_path = !trap_path, .strict = strict, .seed = 42};
  costly.cost = emulator::CostModel::sgx2();
  emulator::set_options(costly);
  const double crossing = nanoseconds_per(1000, [&] {
    for (int i = 0; i < 1000; i++) e.call(kNop, c);
  });
  Call range{.rcx = e.dynamic(), .rdx = 100, .secinfo = kPendingRw};
  const double page = nanoseconds_per(100, [&] { e.call(kRange, range); });
  emulator::set_options({.fast_path = !trap_path, .strict = strict, .seed = 42});
  printf("with the cost model: EENTER+EEXIT %.0f ns, EAUG+EACCEPT %.0f ns\n", crossing, page);
  EXPECT_GT(crossing, 3000);
  EXPECT_GT(page, 7000);
}

TEST(EmulatorCost, Figures) {
  TestEnclave e;
  ASSERT_TRUE(e.ok());
  Call c;
  sgx_enclave_run run{};
  run.tcs = e.tcs(0);
  const std::uint64_t rounds = trap_path ? 20'000 : 5'000'000;
  const double crossing = nanoseconds_per(rounds, [&] {
    for (std::uint64_t i = 0; i < rounds; i++) e.enter(run, kEenter, kNop, &c);
  });
  printf("EENTER+EEXIT: %.1f ns\n", crossing);
  EXPECT_EXITED(run);
  Call range{.rcx = e.dynamic(), .rdx = 448, .secinfo = kPendingRw};
  printf("EAUG+EACCEPT: %.1f ns a page\n", nanoseconds_per(448, [&] { e.call(kRange, range); }));
  EXPECT_EQ(range.rax, 0u);
  const std::uint64_t faults = trap_path ? 5'000 : 50'000;
  printf("#UD + CSSA=1 entry + ERESUME + call: %.2f us\n", nanoseconds_per(faults, [&] {
                                                             for (std::uint64_t i = 0; i < faults;
                                                                  i++) {
                                                               e.call(kUd2, c);
                                                               e.skip_and_resume(2);
                                                             }
                                                           }) / 1000);
  const auto s = emulator::statistics();
  printf(
      "EENTER %lu, EEXIT %lu, ERESUME %lu, AEX %lu, EAUG %lu, traps %lu, opens %lu, injected %lu, "
      "deferred %lu\n",
      s.leaf[2], s.leaf[4], s.leaf[3], s.aex, s.eaug, s.traps, s.page_opens, s.injected,
      s.deferred_ticks);
  EXPECT_GT(s.leaf[2], rounds);
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; i++) {
    const std::string_view argument = argv[i];
    trap_path = trap_path || argument == "--path=trap";
    strict = strict || argument == "--path=strict";
  }
  emulator::set_options({.fast_path = !trap_path, .strict = strict, .seed = 42});
  return RUN_ALL_TESTS();
}
