// Dispatch: from a number in RAX to a function, by a table that table.def makes. Each entry is a template instance that
// decodes the registers by the function's own parameter types; there is one more to show them in the trace.
#include "libos/syscall/dispatch.h"

#include <array>
#include <atomic>
#include <type_traits>

#include "libos/arch/arch.h"
#include "libos/process/process.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/io_signal.h"
#include "libos/process/statistics.h"
#include "libos/syscall/trace.h"

namespace occlum {
namespace {

using Arguments = std::array<uint64_t, 6>;

template <typename T>
T decode(uint64_t raw) {
  if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    return static_cast<T>(raw);
  } else if constexpr (std::is_same_v<T, UserAddress>) {
    return UserAddress(raw);
  } else {
    return T(UserAddress(raw));
  }
}

template <typename Function>
struct Signature;
template <typename... Parameters>
struct Signature<Result<long> (*)(Thread&, Parameters...)> {
  static_assert(sizeof...(Parameters) <= 6);

  template <auto kFunction>
  static Result<long> call(Thread& self, const Arguments& arguments) {
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return kFunction(self, decode<Parameters>(arguments[I])...);
    }(std::index_sequence_for<Parameters...>());
  }
  static void show(TraceLine& line, const Arguments& arguments) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      (line.show(decode<Parameters>(arguments[I])), ...);
    }(std::index_sequence_for<Parameters...>());
  }
};

struct Entry {
  Result<long> (*call)(Thread& self, const Arguments& arguments) = nullptr;  // null: ENOSYS
  void (*show)(TraceLine& line, const Arguments& arguments) = nullptr;
  std::string_view name;
};

template <auto kFunction>
constexpr Entry entry_of(std::string_view name) {
  using Its = Signature<decltype(kFunction)>;
  return Entry{.call = &Its::template call<kFunction>, .show = &Its::show, .name = name};
}

constexpr size_t kTableSize = 512;

constexpr std::array<Entry, kTableSize> make_table() {
  std::array<Entry, kTableSize> table;
#define SYSCALL(number, name, ...) table[number] = entry_of<&sys_##name>(#name);
#define UNIMPLEMENTED(number, text) table[number].name = #text;
#include "libos/syscall/table.def"
#undef SYSCALL
#undef UNIMPLEMENTED
  return table;
}

constinit const std::array<Entry, kTableSize> table = make_table();
constinit std::array<std::atomic<uint64_t>, kTableSize> calls = {};
constinit const Entry kUnknown{.call = nullptr, .show = nullptr, .name = "unknown"};

const Entry& entry_for(uint64_t number) { return number < kTableSize ? table[number] : kUnknown; }

Arguments arguments_of(const UserRegisters& r) { return {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9}; }

// Once for each call that programs want and we lack.
void note_missing(uint64_t number, const Entry& entry) {
  if (number < kTableSize && calls[number].load(std::memory_order_relaxed) != 1) return;
  log_debug("system call {} ({}) is not implemented", number,
            entry.name.empty() ? "unknown" : entry.name);
}

Result<long> run(Thread& self, uint64_t number, const Entry& entry, const Arguments& arguments) {
  if (entry.call != nullptr) [[likely]]
    return entry.call(self, arguments);
  note_missing(number, entry);
  return Errno::kNoSys;
}

// Apart, for its buffer on the small kernel stack. Calls that do not come back are shown before they go.
[[gnu::noinline]] Result<long> run_traced(Thread& self, uint64_t number, const Entry& entry,
                                          const Arguments& arguments) {
  constexpr uint64_t kExit = 60, kExitGroup = 231;
  std::array<char, kLogLineBytes> buffer;
  TraceLine line(buffer);
  line.begin(self.tid(), entry.name.empty() ? "unknown" : entry.name);
  if (entry.show != nullptr) entry.show(line, arguments);
  if (entry.call == nullptr) line.add("/* {} */", number);
  if (number == kExit || number == kExitGroup) {
    line.add(") = ?");
    log_trace("{}", line.text());
    return run(self, number, entry, arguments);
  }
  Result<long> result = run(self, number, entry, arguments);
  line.end_with(result);
  log_trace("{}", line.text());
  return result;
}

// Apart, so that others pay for one look.
[[gnu::noinline]] void dispatch_for_tracer(Thread& self, UserRegisters& registers) {
  const bool runs = ptrace::report_syscall_entry(self, registers);
  const uint64_t number = registers.rax;
  if (runs) dispatch_syscall(self, registers);
  ptrace::report_syscall_exit(self, registers, runs ? number : UINT64_MAX);
}

bool is_interruption(const Result<long>& result) {
  return result.is_error() &&
         (result.error() == Errno::kIntr || result.error() >= Errno::kRestartSys);
}

}  // namespace

void dispatch_syscall(Thread& self, UserRegisters& registers) {
  const uint64_t number = static_cast<uint32_t>(registers.rax);  // as Linux: the lower half
  const Entry& entry = entry_for(number);
  const Arguments arguments = arguments_of(registers);
  registers.original_rax = number;
  ++self.system_calls;
  if (number < kTableSize) calls[number].fetch_add(1, std::memory_order_relaxed);

  Result<long> result = log_enabled(LogLevel::kTrace) ? run_traced(self, number, entry, arguments)
                                                      : run(self, number, entry, arguments);
  if (has_posted_io()) [[unlikely]]
    send_posted_io();

  if (!result.is_error()) {
    registers.rax = static_cast<uint64_t>(result.value());
  } else {
    const Errno error = result.error() == Errno::kNoIoctlCmd ? Errno::kNotTty : result.error();
    registers.rax = static_cast<uint64_t>(errno_return_value(error));
    if (error >= Errno::kRestartSys) self.set_work(Thread::kRestart);
  }
  // ppoll(2) and friends: only a call that a signal ended keeps its mask until the handler has its frame.
  if ((self.work() & Thread::kRestoreMask) != 0 && !is_interruption(result)) {
    if (const std::optional<SignalSet> mask = self.take_saved_mask()) self.set_signal_mask(*mask);
  }
}

void on_syscall(UserRegisters& registers) {
  Thread& self = current_thread();
  if (ptrace::is_traced(self)) [[unlikely]]
    return dispatch_for_tracer(self, registers);
  dispatch_syscall(self, registers);
}

void report_syscall_counters(CounterReport report) {
  for (size_t number = 0; number < kTableSize; ++number) {
    const uint64_t count = calls[number].load(std::memory_order_relaxed);
    if (count == 0 || table[number].name.empty()) continue;
    std::array<char, 64> name;
    report(format_to(name, "syscall.{}", table[number].name), count);
  }
}

}  // namespace occlum
