// host::run() as the hostile runtime has it: see hostile.h.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "emulator/emulator.h"
#include "host/boot_block.h"
#include "host/device.h"
#include "host/enclave.h"
#include "host/runtime.h"
#include "host/vcpu.h"
#include "sgx/arch.h"
#include "tests/enclave/hostile.h"

namespace hostile {

Settings settings;
Counts counts;

namespace {

extern "C" {
int hostile_enter(unsigned long rdi, unsigned long rsi, unsigned long rdx, unsigned int function,
                  unsigned long r8, unsigned long r9, sgx_enclave_run* run);
extern const char hostile_aep[], hostile_after[], hostile_exception[];
}

constexpr uint64_t kEenter = 2, kEresume = 3, kEexit = 4;
constexpr int kMaxComplaints = 20;
constexpr const char* kVariable = "HOSTILE";

uint8_t* shared_memory = nullptr;
host::Device device;
int tick_signal = 0;
void (*real_tick)(int, siginfo_t*, void*) = nullptr;
std::atomic<uint64_t> thread_number{0};

thread_local uint64_t random_state = 0;
thread_local abi::VcpuShared* shared = nullptr;
thread_local int interrupted =
    0;  // asynchronous exits that have not been resumed: 1 means phase 1 is what is entered
// What the vector registers held at the last EENTER: an exception in the LibOS brings it back after other entries.
thread_local uint8_t own_xstate[kXsaveBytes];
thread_local bool call_pending = false;  // the runtime serves a call of the enclave

uint64_t label(const char* at) { return reinterpret_cast<uint64_t>(at); }

std::pair<uint64_t, uint64_t> range(const std::string& text) {
  char* end = nullptr;
  const uint64_t from = strtoull(text.c_str(), &end, 16);
  return {from, strtoull(end + 1, nullptr, 16)};
}

void read_settings(std::string_view text) {
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const size_t equals = item.find('=');
    if (equals == item.npos) continue;
    const std::string_view key = item.substr(0, equals);
    const std::string value(item.substr(equals + 1));
    const uint64_t number = strtoull(value.c_str(), nullptr, 0);
    if (key == "seed") settings.seed = number;
    if (key == "entry") settings.entry = number != 0;
    if (key == "inspect") settings.inspect = number != 0;
    if (key == "fast") settings.fast = number != 0;
    if (key == "strict") settings.strict = number != 0;
    if (key == "open") settings.open = number != 0;
    if (key == "flip") settings.flip = number != 0;
    if (key == "results") settings.results = number;
    if (key == "data") settings.data = number;
    if (key == "skip") settings.skip = number;
    if (key == "only") settings.only = static_cast<long>(number);
    if (key == "numbers") settings.numbers = number;
    if (key == "after") settings.after = number;
    if (key == "again") settings.again = number;
    if (key == "ticks") settings.ticks = number;
    if (key == "boot") settings.boot = value;
    if (key == "report") settings.report = value;
    if (key == "step") settings.steps.push_back(range(value));
    if (key == "close") settings.close = range(value);
  }
}

void write_report() {
  if (settings.report.empty()) return;
  if (stepping()) next_step_round();
  FILE* file = fopen(settings.report.c_str(), "w");
  if (file == nullptr) return;
  fprintf(file,
          "{\"entries\": %lu, \"exits\": %lu, \"exceptions\": %lu, \"ticks\": %lu, \"leaks\": %lu, "
          "\"replaced\": %lu, "
          "\"corrupted\": %lu, \"skipped\": %lu, \"left_open\": %lu, \"steps\": %lu, \"rounds\": "
          "%lu, \"pointers\": %lu, "
          "\"phase_one_faults\": %lu, \"closed_faults\": %lu, \"eaug_races\": %lu}\n",
          counts.entries.load(), counts.exits.load(), counts.exceptions.load(), counts.ticks.load(),
          counts.leaks.load(), counts.replaced.load(), counts.corrupted.load(),
          counts.skipped.load(), counts.left_open.load(), counts.steps.load(), counts.rounds.load(),
          counts.pointers.load(), counts.phase_one_faults.load(), counts.closed_faults.load(),
          emulator::statistics().eaug_races);
  fclose(file);
}

// The program under steps says where they begin and end, by what it prints.
void look_for_marks(const abi::HostCallFrame& frame) {
  if (settings.steps.empty() ||
      frame.number != static_cast<uint64_t>(abi::HostCallNumber::kSystemCall))
    return;
  std::string_view text;
  if (frame.args[0] == SYS_pwritev2 && frame.args[1] == 1 && frame.args[3] == 1) {
    const auto& vector = *reinterpret_cast<const iovec*>(frame.args[2]);
    text = {static_cast<const char*>(vector.iov_base), vector.iov_len};
  }
  if (text.find("STEP BEGIN") != text.npos) begin_steps(tick_signal);
  if (stepping() && text.find("STEP NEXT") != text.npos) next_step_round();
}

extern "C" void hostile_prepare(Crossing* crossing, uint64_t function) {
  counts.entries++;
  if (function == kEresume) --interrupted;
  const bool returns = function == kEenter && interrupted == 0;
  if (returns && call_pending) {
    after_host_call(*shared);
    call_pending = false;
  }
  fill_hostile(*crossing);
  if (returns) memcpy(own_xstate, crossing->in_xstate, sizeof(own_xstate));
}

extern "C" void hostile_left(Crossing* crossing) {
  crossing->run->function = kEexit;
  counts.exits++;
  if (settings.inspect) {
    inspect_exit(*crossing, label(hostile_after), label(hostile_aep));
    inspect_exit_vectors(*crossing, settings.entry
                                        ? (interrupted == 0 ? own_xstate : crossing->in_xstate)
                                        : nullptr);
  }
  if (interrupted != 0) return;
  if (settings.inspect) inspect_shared_memory(shared);
  call_pending = true;
  look_for_marks(shared->frame);
  before_host_call(*shared);
}

// Its page-table entries go; strict mode does not always fill them again at once.
void close_and_open() {
  if (settings.close.second == 0 || random_number() % 4 != 0) return;
  auto* from = reinterpret_cast<void*>(settings.close.first);
  device.mprotect(from, settings.close.second, PROT_NONE);
  device.mprotect(from, settings.close.second, PROT_READ | PROT_WRITE);
}

int enter(unsigned long rdi, unsigned long rsi, unsigned long rdx, unsigned int function,
          unsigned long r8, unsigned long r9, sgx_enclave_run* run) {
  if (shared == nullptr) {
    static std::atomic<uint32_t> vcpus{0};
    shared = reinterpret_cast<abi::VcpuShared*>(shared_memory + vcpus++ * abi::kVcpuSharedSize);
    note_thread();
  }
  const bool phase_one = interrupted != 0 && function == kEenter;
  if (phase_one) close_and_open();
  int result = hostile_enter(rdi, rsi, rdx, function, r8, r9, run);
  // Once more: the host may call phase 1 as often as it likes.
  while (phase_one && result == 0 && run->function == kEexit && one_in_thousand(settings.again)) {
    result = hostile_enter(random_number(), 0, 0, kEenter, 0, 0, run);
  }
  return result;
}

bool at_aep(const ucontext_t& context) {
  return static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RIP]) == label(hostile_aep);
}

// An exception of the enclave, or of ENCLU itself, as the kernel's vDSO would report it.
void on_exception(int signal, siginfo_t*, void* raw) {
  auto& context = *static_cast<ucontext_t*>(raw);
  auto& registers = context.uc_mcontext.gregs;
  if (!at_aep(context)) {
    const char message[] = "hostile: the runtime itself has crashed\n";
    [[maybe_unused]] const auto written = write(2, message, sizeof(message) - 1);
    ::signal(signal, SIG_DFL);
    raise(signal);
    return;
  }
  const uint64_t leaf = static_cast<uint64_t>(registers[REG_RAX]);
  auto* crossing = reinterpret_cast<Crossing*>(registers[REG_RSP]);
  if (leaf == kEresume && settings.inspect) inspect_asynchronous_exit(raw, *crossing);
  counts.exceptions++;
  if (leaf == kEresume && ++interrupted == 2) counts.phase_one_faults++;
  constexpr greg_t kPageFault = 14;
  const auto address = static_cast<uint64_t>(registers[REG_CR2]);
  if (leaf == kEresume && registers[REG_TRAPNO] == kPageFault &&
      address - settings.close.first < settings.close.second) {
    counts.closed_faults++;
  }
  crossing->run->function = static_cast<uint32_t>(leaf);
  crossing->run->exception_vector = static_cast<uint16_t>(registers[REG_TRAPNO]);
  crossing->run->exception_error_code = static_cast<uint16_t>(registers[REG_ERR]);
  crossing->run->exception_addr = address;
  registers[REG_RIP] = static_cast<greg_t>(label(hostile_exception));
  registers[REG_EFL] &= ~greg_t{0x40400};
}

void on_tick(int signal, siginfo_t* info, void* raw) {
  const auto& context = *static_cast<ucontext_t*>(raw);
  const bool in_enclave =
      at_aep(context) && context.uc_mcontext.gregs[REG_RAX] == static_cast<greg_t>(kEresume);
  if (in_enclave) {
    ++interrupted;
    counts.ticks++;
    if (settings.inspect) {
      const auto* crossing = reinterpret_cast<const Crossing*>(context.uc_mcontext.gregs[REG_RSP]);
      inspect_asynchronous_exit(raw, *crossing);
    }
  }
  real_tick(signal, info, raw);
  if (in_enclave) --interrupted;
  tick_handled();
}

// The runtime's tick signal is the first that it asks for.
int set_action(int signal, const struct ::sigaction* action, struct ::sigaction* old) {
  real_tick = action->sa_sigaction;
  if (tick_signal == 0) tick_signal = signal;
  struct ::sigaction ours = *action;
  ours.sa_sigaction = on_tick;
  return emulator::sigaction(signal, &ours, old);
}

}  // namespace

uint64_t random_number() {
  if (random_state == 0)
    random_state = settings.seed * 0x9e3779b97f4a7c15 + thread_number++ * 0xd1b54a32d192ed03 + 1;
  uint64_t z = (random_state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

bool one_in_thousand(uint64_t permille) {
  return permille != 0 && random_number() % 1000 < permille;
}

void complain(const char* where, const char* what, uint64_t value) {
  if (counts.leaks++ < kMaxComplaints)
    fprintf(stderr, "hostile: %s: %s (%#lx)\n", where, what, value);
}

}  // namespace hostile

namespace host {

std::expected<int, std::string> run(const RunOptions& given) {
  using namespace hostile;
  RunOptions options = given;
  const std::string prefix = std::string(kVariable) + "=";
  std::erase_if(options.env,
                [&](const std::string& variable) { return variable.starts_with(prefix); });
  if (const char* text = getenv(kVariable)) read_settings(text);
  const unsigned vcpus = options.vcpus == 0 ? 2 : options.vcpus;
  prepare_inspection();
  auto boot = make_boot_block(options, vcpus);
  if (!boot) return std::unexpected(boot.error());
  shared_memory = boot->shared;
  options.mode = SgxMode::kSimulation;
  options.strict = settings.strict;
  options.strict_seed = settings.seed;
  auto chosen = choose_device(options);
  if (!chosen) return std::unexpected(chosen.error());
  emulator::Options software;
  software.fast_path = settings.fast && settings.steps.empty();
  software.strict = settings.strict && settings.steps.empty();
  software.seed = settings.seed;
  emulator::set_options(software);
  device = *chosen;
  device.enter = enter;
  device.sigaction = set_action;
  auto enclave = Enclave::load(device, options.enclave_image);
  if (!enclave) return std::unexpected(enclave.error());
  for (const int signal : {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGSYS}) {
    struct ::sigaction action{};
    action.sa_sigaction = on_exception;
    action.sa_flags = SA_SIGINFO;
    emulator::sigaction(signal, &action, nullptr);
  }
  if (!settings.boot.empty()) replace_boot_parameter(*boot->parameters, settings.boot);
  if (settings.flip) start_flipping(boot->shared, vcpus);
  auto* runtime = new Runtime(device, *enclave, *boot, vcpus, options.file_io);
  if (settings.ticks != 0) start_ticks(SIGRTMIN + 2);
  auto status = runtime->run();
  write_report();
  return status;
}

}  // namespace host
