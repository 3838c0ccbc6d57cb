// See vcpu.h. The entry function has the semantics of the kernel's __vdso_sgx_enter_enclave (asm/sgx.h).
#include "host/vcpu.h"

#include <errno.h>
#include <fmt/core.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/terminal.h"
#include "sgx/arch.h"

namespace host {
namespace {

constexpr long kTickPeriod = 1'000'000;  // ns
const int kTickSignal = SIGRTMIN + 2;
const int kEndSignal = SIGRTMIN + 3;
constexpr uint64_t kEresumeLeaf = static_cast<uint64_t>(sgx::Enclu::kEresume);
constexpr int kInternalStatus = 125;
constexpr uint64_t kAlignmentCheck = 1 << 18;  // RFLAGS.AC

// The vCPU whose thread this is, for the tick's handler; `nested` while phase 1 runs, when no tick may enter.
thread_local void* current_vcpu = nullptr;
thread_local volatile sig_atomic_t nested = 0;

void futex_wake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr,
          0);
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr,
          nullptr, 0);
}

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

// What people and service managers send to a running command; passed on to the program, whether it is ignored or not: the
// program inherited that, and may have changed it.
const std::initializer_list<int> kForwarded = {SIGINT,  SIGTERM,  SIGHUP,  SIGQUIT, SIGUSR1,
                                               SIGUSR2, SIGWINCH, SIGCONT, SIGALRM, SIGTSTP};

extern "C" int host_enter_enclave(unsigned long rdi, unsigned long rsi, unsigned long rdx,
                                  unsigned int function, unsigned long r8, unsigned long r9,
                                  sgx_enclave_run* run, vdso_sgx_enter_enclave_t entry);

std::atomic<uint64_t>& shared_word(uint64_t& word) {
  return reinterpret_cast<std::atomic<uint64_t>&>(word);
}

}  // namespace

Runtime::Runtime(const Device& device, const Enclave& enclave, BootBlock boot, unsigned vcpus,
                 FileIoOptions file_io)
    : device_(device),
      enclave_(enclave),
      boot_(boot),
      vcpus_(vcpus),
      epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      file_io_(file_io, boot.file_buffers, epoll_fd_) {
  for (uint32_t i = 0; i < vcpus; ++i) {
    vcpus_[i].runtime = this;
    vcpus_[i].index = i;
    vcpus_[i].shared = reinterpret_cast<abi::VcpuShared*>(boot.shared + i * abi::kVcpuSharedSize);
    vcpus_[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
}

void Runtime::end(int status, std::string error) {
  if (ended_.exchange(true)) return;
  status_ = status;
  error_ = std::move(error);
  kill(getpid(), kEndSignal);
}

// Gives an exception inside the enclave to phase 1. False when the enclave cannot go on. A page fault of phase 1 itself,
// which has no SSA frame left for another entry, may be stale: it is resumed, but not for ever.
bool Runtime::pass_exception(Vcpu& vcpu) {
  constexpr int kMaxEntries = 16;
  sgx_enclave_run run{};
  run.tcs = vcpu.tcs;
  auto leaf = sgx::Enclu::kEenter;
  bool left = false;
  nested = 1;
  for (int i = 0; i < kMaxEntries && !left; ++i) {
    const int result =
        host_enter_enclave(0, 0, 0, static_cast<unsigned>(leaf), 0, 0, &run, device_.enter);
    left = result == 0 && run.function == static_cast<uint32_t>(sgx::Enclu::kEexit);
    if (result != 0 || run.function != kEresumeLeaf) break;
    leaf = sgx::Enclu::kEresume;
  }
  nested = 0;
  return left;
}

// A tick that came while the vCPU was outside, before an ERESUME. (Before an EENTER the LibOS looks for itself.)
void Runtime::pass_missed_tick(Vcpu& vcpu) {
  std::atomic<uint64_t>& pending = shared_word(vcpu.shared->tick_pending);
  if (pending.load(std::memory_order_relaxed) == 0) return;
  pending.store(0, std::memory_order_relaxed);
  (void)pass_exception(vcpu);
}

void Runtime::vcpu_loop(Vcpu& vcpu) {
  current_vcpu = &vcpu;
  device_.attach_thread();
  sgx_enclave_run run{};
  run.tcs = vcpu.tcs;
  auto leaf = sgx::Enclu::kEenter;
  unsigned long argument = vcpu.index == 0 ? reinterpret_cast<unsigned long>(boot_.parameters) : 0;
  while (true) {
    vcpu.in_enclave.store(true, std::memory_order_relaxed);
    const int result =
        host_enter_enclave(argument, 0, 0, static_cast<unsigned>(leaf), 0, 0, &run, device_.enter);
    vcpu.in_enclave.store(false, std::memory_order_relaxed);
    argument = 0;
    if (result != 0) {
      end(kInternalStatus, "the enclave cannot be entered");
      return;
    }
    if (run.function == static_cast<uint32_t>(sgx::Enclu::kEexit)) {
      vcpu.shared->frame.result = serve(vcpu, vcpu.shared->frame);
      leaf = sgx::Enclu::kEenter;
    } else if (run.function == kEresumeLeaf && pass_exception(vcpu)) {
      leaf = sgx::Enclu::kEresume;
      pass_missed_tick(vcpu);
    } else {
      end(kInternalStatus,
          fmt::format("the enclave has died (leaf {}, exception {} at {:#x}, vCPU {})",
                      run.function, run.exception_vector, static_cast<uint64_t>(run.exception_addr),
                      vcpu.index));
      return;
    }
  }
}

int64_t Runtime::serve(Vcpu& vcpu, const abi::HostCallFrame& frame) {
  const auto& args = frame.args;
  switch (static_cast<abi::HostCallNumber>(frame.number)) {
    case abi::HostCallNumber::kSystemCall: {
      if (args[0] == SYS_close) file_io_.forget(static_cast<int>(args[1]));
      const long result =
          syscall(static_cast<long>(args[0]), args[1], args[2], args[3], args[4], args[5], args[6]);
      return result == -1 ? -errno : result;
    }
    case abi::HostCallNumber::kExit:
      end(static_cast<int>(args[0]), {});
      while (true) pause();
    case abi::HostCallNumber::kWait:
      return wait(vcpu, args[0], args[1] != 0);
    case abi::HostCallNumber::kKick: {
      if (args[0] >= vcpus_.size()) return -EINVAL;
      const uint64_t one = 1;
      return ::write(vcpus_[args[0]].kick_fd, &one, sizeof(one)) < 0 ? -errno : 0;
    }
    case abi::HostCallNumber::kTick:
      if (args[0] >= vcpus_.size() || !vcpus_[args[0]].exists.load()) return -EINVAL;
      return -pthread_kill(vcpus_[args[0]].thread, kTickSignal);
    case abi::HostCallNumber::kProtect:
      return enclave_.protect(args[0], args[1], static_cast<int>(args[2]));
    case abi::HostCallNumber::kModifyTypes:
      return enclave_.modify_types(args[0], args[1], args[2]);
    case abi::HostCallNumber::kRemovePages:
      return enclave_.remove_pages(args[0], args[1]);
    case abi::HostCallNumber::kRestrict:
      return enclave_.restrict_rights(args[0], args[1], args[2]);
    case abi::HostCallNumber::kStartVcpu:
      return start_vcpu(args[0], args[1]);
    case abi::HostCallNumber::kWatch:
      return watch(static_cast<int>(args[0]), args[1], args[2]);
    case abi::HostCallNumber::kUnwatch:
      return epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, static_cast<int>(args[0]), nullptr) == 0 ? 0
                                                                                          : -errno;
    case abi::HostCallNumber::kFileIo:
      return file_io_.request({.operation = static_cast<abi::FileOperation>(args[0]),
                               .fd = static_cast<int>(args[1]),
                               .slot = args[2],
                               .length = args[3],
                               .offset = args[4],
                               .mode = static_cast<int>(args[5]),
                               .token = args[6]});
  }
  return -ENOSYS;
}

int64_t Runtime::wait(Vcpu& vcpu, uint64_t timeout, bool poll_events) {
  if (awake_.fetch_sub(1) == 1) futex_wake(awake_);
  pollfd fds[2] = {{.fd = vcpu.kick_fd, .events = POLLIN, .revents = 0},
                   {.fd = epoll_fd_, .events = POLLIN, .revents = 0}};
  timespec limit{.tv_sec = static_cast<time_t>(timeout / 1'000'000'000),
                 .tv_nsec = static_cast<long>(timeout % 1'000'000'000)};
  const int ready =
      ppoll(fds, poll_events ? 2 : 1, timeout == UINT64_MAX ? nullptr : &limit, nullptr);
  if (awake_.fetch_add(1) == 0) futex_wake(awake_);
  if (ready <= 0) return 0;
  if (fds[0].revents != 0) {
    uint64_t count = 0;
    [[maybe_unused]] const auto drained = ::read(vcpu.kick_fd, &count, sizeof(count));
  }
  return poll_events && fds[1].revents != 0 ? collect_events(vcpu.shared->frame) : 0;
}

int64_t Runtime::collect_events(abi::HostCallFrame& frame) {
  size_t filled = file_io_.collect(frame.events);
  epoll_event ready[abi::kMaxHostEvents];
  const int count =
      filled == abi::kMaxHostEvents
          ? 0
          : epoll_wait(epoll_fd_, ready, static_cast<int>(abi::kMaxHostEvents - filled), 0);
  for (int i = 0; i < count; ++i) {
    if (ready[i].data.u64 == FileIo::kEpollToken) continue;  // collected above, or the next time
    frame.events[filled++] = {.token = ready[i].data.u64, .events = ready[i].events};
  }
  return static_cast<int64_t>(filled);
}

int64_t Runtime::watch(int fd, uint64_t token, uint64_t events) {
  epoll_event event{};
  event.events = static_cast<uint32_t>(events);
  event.data.u64 = token;
  return epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int64_t Runtime::start_vcpu(uint64_t tcs, uint64_t index) {
  if (index >= vcpus_.size() || vcpus_[index].exists.exchange(true)) return -EINVAL;
  Vcpu& vcpu = vcpus_[index];
  vcpu.tcs = tcs;
  awake_.fetch_add(1);
  const auto body = [](void* argument) -> void* {
    auto& self = *static_cast<Vcpu*>(argument);
    self.runtime->vcpu_loop(self);
    return nullptr;
  };
  const int error = pthread_create(&vcpu.thread, nullptr, body, &vcpu);
  if (error != 0) {
    awake_.fetch_sub(1);
    vcpu.exists = false;
  }
  return -error;
}

// Runs on the interrupted vCPU thread, after the asynchronous exit: at the AEP, if it was in the enclave.
void Runtime::on_tick(int, siginfo_t*, void* context) {
  // An asynchronous exit leaves AC as the program had it, and the kernel does too: code of ours expects it clear.
  __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~kAlignmentCheck);
  auto* vcpu = static_cast<Vcpu*>(current_vcpu);
  if (vcpu == nullptr) return;
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  if (nested != 0 || registers[REG_RAX] != static_cast<greg_t>(kEresumeLeaf) ||
      memcmp(code, sgx::kEncluBytes.data(), 3) != 0) {
    // Outside, or in phase 1: to be told at the next way in.
    shared_word(vcpu->shared->tick_pending).store(1, std::memory_order_relaxed);
    return;
  }
  const int saved_errno = errno;
  (void)vcpu->runtime->pass_exception(*vcpu);  // a refused tick is a lost tick
  errno = saved_errno;
}

void Runtime::tick_loop() {
  while (!ended_.load(std::memory_order_relaxed)) {
    if (const uint32_t awake = awake_.load(); awake == 0) {
      futex_wait(awake_, awake);
      continue;
    }
    const timespec period{.tv_sec = 0, .tv_nsec = kTickPeriod};
    nanosleep(&period, nullptr);
    for (Vcpu& vcpu : vcpus_) {
      if (vcpu.exists.load(std::memory_order_relaxed) &&
          vcpu.in_enclave.load(std::memory_order_relaxed) &&
          shared_word(vcpu.shared->tick_wanted).load(std::memory_order_relaxed) != 0) {
        pthread_kill(vcpu.thread, kTickSignal);
      }
    }
  }
}

// The main thread's job while the enclave runs: every signal that concerns the program is counted in shared memory, and
// vCPU 0 is made to look.
void Runtime::forward_signals() {
  sigset_t wanted = set_of(kForwarded);
  sigaddset(&wanted, kEndSignal);
  abi::VcpuShared& words = *vcpus_[0].shared;
  while (!ended_.load()) {
    siginfo_t info{};
    const int signal = sigwaitinfo(&wanted, &info);
    if (signal < 0 || signal == kEndSignal) continue;
    shared_word(words.host_signal_counts[signal]).fetch_add(1);
    shared_word(words.host_signal_generation).fetch_add(1);
    const uint64_t one = 1;
    [[maybe_unused]] const auto kicked = ::write(vcpus_[0].kick_fd, &one, sizeof(one));
    pthread_kill(vcpus_[0].thread, kTickSignal);
  }
}

std::expected<int, std::string> Runtime::run() {
  struct sigaction tick{};
  tick.sa_sigaction = on_tick;
  tick.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&tick.sa_mask);
  sigaddset(&tick.sa_mask, kTickSignal);
  device_.sigaction(kTickSignal, &tick, nullptr);
  // The vDSO does not report #BP and #DB: they come as SIGTRAP, at the AEP, and phase 1 finds them in EXITINFO.
  device_.sigaction(SIGTRAP, &tick, nullptr);
  signal(SIGPIPE, SIG_IGN);
  sigset_t blocked = set_of(kForwarded);
  sigaddset(&blocked, kEndSignal);
  // For all threads that are started from here. What else was blocked at the start stays so: it would end the process.
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  const sigset_t ticked = set_of({kTickSignal});
  pthread_sigmask(SIG_UNBLOCK, &ticked, nullptr);

  if (const int64_t error = start_vcpu(enclave_.tcs(), 0); error != 0)
    return std::unexpected("no thread for the vCPU");
  std::thread ticks([this] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    tick_loop();
  });
  ticks.detach();
  forward_signals();
  if (!error_.empty()) return std::unexpected(error_);
  return status_;
}

}  // namespace host
