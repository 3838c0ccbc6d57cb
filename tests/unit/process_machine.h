// Whole programs for the hosted tests: processes and threads of the real LibOS on the machine of sched_machine.h, which make
// real system calls by number, are sent signals and run handlers. Only their instructions are played: RIP holds the
// address of a Code, which a thread that is let into its program calls.
//
//     run_program([] {
//       const long child = start_process([] { (void)system_call(kNrExit, 3); });
//       EXPECT_EQ(system_call(kNrWait4, child, 0, 0, 0), child);
//     });
//
// A thread may be killed at any system call, or at step(): its stack then goes as a real one does, without destructors. So
// a Code keeps nothing that has to be freed. What threads share lies in the test. They have memory of their LibOS's
// too (user_words()), which they touch through the LibOS as it may be elsewhere at that moment.
#pragma once

#include "tests/unit/sched_machine.h"

// The C++ run time's own `abi`, which gtest includes, must not be ours.
#define abi cxx_run_time_abi
#include <gtest/gtest.h>
#undef abi

#include <deque>
#include <type_traits>

#include "libos/arch/arch.h"
#include "libos/arch/vdso/vdso.h"
#include "libos/fs/tmpfs/tmpfs.h"
#include "libos/fs/vfs/mount.h"
#include "libos/mm/user.h"
#include "libos/process/clone.h"
#include "libos/process/first_process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/frame.h"
#include "libos/process/statistics.h"
#include "libos/sched/host_events.h"

namespace occlum {
namespace testing {

// System calls by their numbers on x86-64.
enum Number : uint64_t {
  kNrSigaction = 13,
  kNrSigprocmask = 14,
  kNrSigreturn = 15,
  kNrYield = 24,
  kNrPause = 34,
  kNrGetpid = 39,
  kNrClone = 56,
  kNrExit = 60,
  kNrWait4 = 61,
  kNrKill = 62,
  kNrPtrace = 101,
  kNrSetpgid = 109,
  kNrSigtimedwait = 128,
  kNrSigqueueinfo = 129,
  kNrSigsuspend = 130,
  kNrPrctl = 157,
  kNrGettid = 186,
  kNrFutex = 202,
  kNrExitGroup = 231,
  kNrTgkill = 234,
  kNrWaitid = 247,
  kNrSetRobustList = 273,
  kNrSignalfd = 289,
  kNrTgsigqueueinfo = 297,
};

using Code = std::function<void()>;

// Where the instructions are that a program is said to execute: a `syscall`, behind it, and any other; from kFirstCode on
// those of each Code.
inline const uint64_t kCallSite = user_range().start, kBehindCall = kCallSite + 2,
                      kElsewhere = kCallSite + 16, kFirstCode = kCallSite + 32;
constexpr uint64_t kUserStack = 64 * 1024;

inline UserRegisters& registers() { return current_task().context().user_registers(); }

// Code lives until run_program() is over: threads leave theirs without a word.
class Text {
 public:
  // Its address.
  static uint64_t add(Code code) {
    const std::lock_guard guard(mutex());
    all().push_back(std::move(code));
    return kFirstCode + all().size() - 1;
  }
  static const Code& at(uint64_t address) {
    const std::lock_guard guard(mutex());
    return all()[address - kFirstCode];
  }
  static void clear() { all().clear(); }

 private:
  static std::mutex& mutex() {
    static auto* the = new std::mutex;
    return *the;
  }
  static std::deque<Code>& all() {
    static auto* the = new std::deque<Code>;
    return *the;
  }
};

inline void leave_program() { this_vcpu().program.store(0, std::memory_order_relaxed); }

// return_to_user(), up to the jump.
inline void return_to_program() {
  while (true) {
    VcpuBlock& vcpu = this_vcpu();
    const Task& task = *vcpu.current;
    vcpu.program.store(program_of(task), std::memory_order_relaxed);
    const uint32_t work = vcpu.work.exchange(0, std::memory_order_seq_cst);
    if (work == 0 && !has_return_work(task)) return;
    leave_program();
    if ((work & kWorkReschedule) != 0) reschedule();
    if (has_return_work(task)) on_return_to_user(registers());
  }
}

// Into the program, with all handlers that are due; comes back where the program itself goes on.
inline void run_handlers() {
  UserRegisters& own = registers();
  while (true) {
    return_to_program();
    if (own.rip < kFirstCode) return;
    Text::at(own.rip)();
    own.rsp += sizeof(uint64_t);  // RET, to the restorer
    own.rax = kNrSigreturn;
    own.rip = kBehindCall;
    leave_program();
    on_syscall(own);
  }
}

// What other instructions of the program are to it: a tick may come, and signals.
inline void step() {
  registers().rip = kElsewhere;
  registers().original_rax = UINT64_MAX;
  leave_program();
  run_handlers();
}

template <typename T>
uint64_t to_word(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return std::bit_cast<uint64_t>(value);
  } else {
    return static_cast<uint64_t>(value);
  }
}

// As the instruction does: -errno for errors. It is made again when the LibOS says so.
template <typename... Arguments>
long system_call(uint64_t number, Arguments... arguments) {
  static_assert(sizeof...(Arguments) <= 6);
  const std::array<uint64_t, 6> words = {to_word(arguments)...};
  UserRegisters& own = registers();
  own.rax = number;
  own.rdi = words[0];
  own.rsi = words[1];
  own.rdx = words[2];
  own.r10 = words[3];
  own.r8 = words[4];
  own.r9 = words[5];
  do {
    own.rip = kBehindCall;
    leave_program();
    on_syscall(own);
    run_handlers();
  } while (own.rip == kCallSite);
  return static_cast<long>(own.rax);
}

inline long error(Errno code) { return errno_return_value(code); }

// --- memory of the program ---

// Fresh memory of the current program: zeroes.
inline uint64_t user_memory(uint64_t bytes) {
  MapRequest request;
  request.length = bytes;
  request.prot = Prot::kRead | Prot::kWrite;
  leave_program();
  const uint64_t address = MUST(current_thread().memory().map(std::move(request)));
  step();
  return address;
}

template <typename T>
T load(uint64_t address) {
  T value;
  leave_program();
  MUST(copy_from_user(current_thread().memory(), bytes_of(value), UserAddress(address)));
  return value;
}
template <typename T>
void store(uint64_t address, const T& value) {
  leave_program();
  MUST(copy_to_user(current_thread().memory(), UserAddress(address), bytes_of(value)));
}
inline uint32_t load_word(uint64_t address) {
  leave_program();
  return MUST(load_user_u32(current_thread().memory(), UserAddress(address)));
}
// LOCK CMPXCHG: what was there.
inline uint32_t compare_exchange(uint64_t address, uint32_t expected, uint32_t desired) {
  leave_program();
  return MUST(compare_exchange_user_u32(current_thread().memory(), UserAddress(address), expected,
                                        desired));
}

// --- threads and processes ---

constexpr uint64_t kThreadFlags =
    kCloneVm | kCloneFs | kCloneFiles | kCloneSigHand | kCloneThread | kCloneSysVSem;

// clone(2): the child begins with `code` on a stack of its own and exits when that returns.
inline long clone_with(uint64_t flags, Code code) {
  UserRegisters& own = registers();
  const uint64_t stack = user_memory(kUserStack) + kUserStack;
  own.rbx = Text::add(std::move(code));
  return system_call(kNrClone, flags, stack);
}
inline long start_thread(Code code) { return clone_with(kThreadFlags, std::move(code)); }
inline long start_process(Code code) { return clone_with(kSigChld, std::move(code)); }

inline long get_pid() { return current_thread().pid(); }
inline long get_tid() { return current_thread().tid(); }
[[noreturn]] inline void exit_program(int status) {
  (void)system_call(kNrExitGroup, status);
  abort();
}

// --- signals ---

using Handler = std::function<void(int signal, const SignalInfo& info)>;

inline void set_action(int signal, SignalAction action) {
  const uint64_t at = user_memory(4096);
  store(at, action);
  ASSERT_EQ(system_call(kNrSigaction, signal, at, 0, sizeof(SignalSet)), 0);
}
inline void set_handler(int signal, Handler handler, uint64_t flags = kSaRestart) {
  set_action(signal, SignalAction{.handler = Text::add([handler = std::move(handler)] {
                                    const int number = static_cast<int>(registers().rdi);
                                    handler(number, load<SignalInfo>(registers().rsi));
                                  }),
                                  .flags = flags | kSaSigInfo | kSaRestorer,
                                  .restorer = kElsewhere,
                                  .mask = {}});
}
enum How : uint64_t { kBlock = 0, kUnblock = 1, kSetMask = 2 };
// `scratch`: 8 bytes of the program's memory that nobody else uses.
inline void change_mask(How how, SignalSet set, uint64_t scratch) {
  store(scratch, set);
  ASSERT_EQ(system_call(kNrSigprocmask, how, scratch, 0, sizeof(SignalSet)), 0);
}

// --- for tests ---

// How often, times OCCLUM_TEST_ROUNDS.
inline int rounds(int count) {
  const char* factor = getenv("OCCLUM_TEST_ROUNDS");
  return factor == nullptr ? count : count * atoi(factor);
}

struct Random {
  uint64_t state;
  uint32_t operator()() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state >> 33);
  }
};

// Waits until `count` is 0; from a program.
inline void await_zero(const std::atomic<int>& count) {
  while (count.load() != 0) (void)system_call(kNrYield);
}
// So that all begin together.
inline void meet(std::atomic<int>& waiting) {
  waiting.fetch_sub(1);
  await_zero(waiting);
}

// --- the machine ---

inline RefPtr<FsContext> root_of_files() {
  static const Path root = [] {
    MUST(mount_table().mount_root(MUST(TmpFs::create({.root_mode = 0755})), "test", 0));
    return mount_table().root();
  }();
  return MUST(FsContext::create(root, root));
}

// Of threads that may yet run: what is said may be wrong.
__attribute__((no_sanitize("thread"))) inline void say_who_is_left() {
  (void)for_each_process([](Process& process) {
    process_tree().with([&](ProcessTree& tree) {
      const Process::Links& links = process.links(tree);
      std::fprintf(stderr, "process %d of %d: %s%s, stopping %u\n", process.pid(),
                   links.parent ? links.parent->pid() : 0, links.is_zombie ? "zombie" : "alive",
                   links.is_stopped ? ", stopped" : "", links.stopping_threads);
      for (const Thread& thread : links.threads) {
        std::fprintf(
            stderr, "  thread %d: work %x, %s, in call %ld, pending %lx, blocked %lx\n",
            thread.tid(), thread.work(), thread.is_runnable() ? "runs" : "waits",
            static_cast<long>(const_cast<Thread&>(thread).context().user_registers().original_rax),
            thread.pending_signals().bits(), thread.signal_mask().bits());
      }
    });
  });
}

// Runs the program and all that it starts, and waits until every thread and process is gone. Who loses a wake-up waits for
// ever: two minutes, and the test says who.
inline void run_program(Code code) {
  static const bool has_reaper = !make_reaper().is_error();
  ASSERT_TRUE(has_reaper);
  std::atomic<bool> has_finished{false};
  {
    Thread::Resources resources;
    resources.memory = MUST(AddressSpace::create());
    resources.files = MUST(FileTable::create());
    resources.fs = root_of_files();
    resources.credentials = MUST(SharedCredentials::create(UserCredentials{}));
    RefPtr<Thread> thread = MUST(
        make_first_process(std::move(resources), default_resource_limits(uint64_t{8} << 20), {}));
    MapRequest stack;
    stack.length = kUserStack;
    stack.prot = Prot::kRead | Prot::kWrite;
    UserRegisters& registers = thread->context().user_registers();
    registers = {};
    registers.rsp = MUST(thread->memory().map(std::move(stack))) + kUserStack;
    registers.rbx = Text::add([code = std::move(code), &has_finished] {
      code();
      has_finished.store(true);
    });
    Machine::the().submit(std::move(thread));
  }
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (object_counts.threads.load() != 0 || object_counts.processes.load() != 1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (std::chrono::steady_clock::now() < limit) continue;
    say_who_is_left();
    abort();
  }
  // What they did was before this: they have all left the table.
  (void)thread_count();
  EXPECT_TRUE(has_finished.load()) << "the program was killed";
  Text::clear();
}

}  // namespace testing

// --- what arch/ gives processes ---

void enter_user() {
  UserRegisters& own = testing::registers();
  const testing::Code& code = testing::Text::at(own.rbx);
  testing::step();
  code();
  (void)testing::system_call(testing::kNrExit, 0);
  abort();
}
void shut_down(int) { abort(); }
bool while_programs_pause(FunctionRef<void()>) { return false; }

// No program here has descriptors of the host.
Result<OwnPtr<HostWatch>> HostWatch::create(int) { return Errno::kPerm; }
HostWatch::~HostWatch() = default;
uint32_t HostWatch::current_events() const { return fd_ == -1 && token_ == 0 ? 0 : 1; }
uint64_t bounce_buffer() { abort(); }

// Nor is one mapped with its vDSO.
std::span<const std::byte, kVdsoImageSize> vdso_image() { abort(); }
VdsoData vdso_data() { abort(); }

}  // namespace occlum
