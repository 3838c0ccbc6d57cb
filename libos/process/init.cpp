// The start of everything above mm and sched: the tree of files, the reaper, the first process; the enclave ends with
// that process (exit.cpp).
#include <algorithm>
#include <array>

#include "libos/arch/arch.h"
#include "libos/fs/dev/devices.h"
#include "libos/fs/dev/standard_streams.h"
#include "libos/fs/mount_plan.h"
#include "libos/fs/proc/proc.h"
#include "libos/fs/vfs/file_limit.h"
#include "libos/fs/vfs/leases.h"
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/fifo.h"
#include "libos/lib/log.h"
#include "libos/lib/text.h"
#include "libos/mm/stack_growth.h"
#include "libos/process/boot_config.h"
#include "libos/process/exec.h"
#include "libos/process/exit.h"
#include "libos/process/first_process.h"
#include "libos/process/memory_keeper.h"
#include "libos/process/memory_limits.h"
#include "libos/process/process_table.h"
#include "libos/process/statistics.h"
#include "libos/process/uts.h"

namespace occlum {
namespace {

// As a shell exits (POSIX, 2.8.2).
constexpr int kNotFound = 127, kNotExecutable = 126, kStartFailed = 125;
constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// A start that fails says why in one line, whatever the log level.
template <typename... Args>
void say(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  std::array<char, kLogLineBytes> buffer;
  log_write(LogLevel::kOff, format_to<Args...>(buffer, format, args...));
}

[[noreturn]] void give_up(std::string_view what, Errno error) {
  say("{}: {}", what, error);
  shut_down(kStartFailed);
}

template <typename T>
T must(Result<T> result, std::string_view what) {
  if (result.is_error()) give_up(what, result.error());
  return result.release_value();
}

struct Found {
  Path path;
  String name;  // absolute, or relative to the working directory
};

// execvp(3)'s search.
Result<Found> find_program(const FsContext& fs, const Credentials& credentials,
                           std::string_view name, std::string_view search_path) {
  if (name.find('/') != std::string_view::npos) {
    return Found{.path = TRY(lookup_path(fs.walk(credentials), name, FollowLast::kYes)),
                 .name = TRY(String::create(name))};
  }
  Errno worst = Errno::kNoEnt;
  std::string_view rest = search_path;
  while (const std::optional<std::string_view> directory = next_part(rest, ':')) {
    String candidate = TRY(String::concat(directory->empty() ? "." : *directory, "/", name));
    Result<Path> path = lookup_path(fs.walk(credentials), candidate.view(), FollowLast::kYes);
    if (path.is_error()) continue;
    if (path.value().inode().is_regular() &&
        !check_access(path.value(), credentials, kMayExecute).is_error()) {
      return Found{.path = path.release_value(), .name = std::move(candidate)};
    }
    worst = Errno::kAcces;
  }
  return worst;
}

std::string_view sentence(Errno error) {
  switch (error) {
    case Errno::kNoEnt:
      return "no such file";
    case Errno::kNotDir:
      return "no such file: a part of the path is not a directory";
    case Errno::kAcces:
      return "permission denied: not an executable file";
    case Errno::kNoExec:
      return "not an x86-64 Linux program (a foreign architecture, damaged, or no ELF file at all)";
    case Errno::kLibBad:
      return "its dynamic linker is not an x86-64 Linux program";
    case Errno::kLoop:
      return "too many symbolic links or interpreters";
    case Errno::kIo:
      return "cannot be read, or its content is not what was measured";
    case Errno::kNoMem:
      return "not enough memory";
    case Errno::kExist:
      return "its fixed addresses are not available";
    case Errno::kTooBig:
      return "arguments and environment are too long";
    default:
      return {};
  }
}

[[noreturn]] void cannot_start(std::string_view program, Errno error) {
  if (const std::string_view text = sentence(error); !text.empty()) {
    say("{}: {}", program, text);
  } else {
    say("{}: cannot be executed ({})", program, error);
  }
  shut_down(error == Errno::kNoEnt || error == Errno::kNotDir ? kNotFound : kNotExecutable);
}

// The missing file may be an interpreter that the program names.
[[noreturn]] void cannot_open(std::string_view program, Errno error) {
  if (error != Errno::kNoEnt) cannot_start(program, error);
  say("{}: the interpreter or dynamic linker that it names does not exist", program);
  shut_down(kNotFound);
}

Result<RefPtr<FileTable>> open_standard_files() {
  RefPtr<FileTable> files = TRY(FileTable::create());
  for (int fd = 0; fd < 3; ++fd) {
    Result<RefPtr<File>> file = open_standard_stream(fd);
    // What the host has closed stays closed.
    if (file.is_error() && file.error() == Errno::kBadFd) continue;
    if (file.is_error()) return file.error();
    RefPtr<File> stream = file.release_value();
    TRY(files->install_at_least(fd, std::move(stream), CloseOnExec::kNo));
  }
  return files;
}

// What the first thread starts with: it is root's.
Result<Thread::Resources> make_resources(RefPtr<FsContext> fs) {
  Thread::Resources resources;
  resources.memory = TRY(AddressSpace::create());
  resources.files = TRY(open_standard_files());
  resources.fs = std::move(fs);
  resources.credentials = TRY(SharedCredentials::create(UserCredentials{}));
  return resources;
}

bool has_parent_component(std::string_view path) {
  while (const std::optional<std::string_view> part = next_part(path, '/')) {
    if (*part == "..") return true;
  }
  return false;
}

void check_entry_point(const BootConfig& config, const Found& program, const FsContext& fs) {
  const Result<String> resolved = path_to_string(program.path, fs.root(), DeletedNames::kRefuse);
  if (resolved.is_error()) cannot_start(program.name.view(), resolved.error());
  // By what the name leads to, or by the name that was given: /bin may be a link to /usr/bin. A name with `..` says
  // nothing about where it leads.
  if (config.allows_entry(resolved.value().view())) return;
  if (!has_parent_component(program.name.view()) && config.allows_entry(program.name.view()))
    return;
  say("{}: not below any of the instance's entry points", program.name);
  shut_down(kNotExecutable);
}

void start_first_process(const BootConfig& config, RefPtr<FsContext> fs) {
  const BootArguments& boot = boot_arguments();
  if (boot.argv.is_empty()) {
    say("no program to run was given");
    shut_down(kStartFailed);
  }
  ArgumentList argv;
  for (const String& argument : boot.argv) {
    if (argv.add(argument.view()).is_error())
      cannot_start(boot.argv.first().view(), Errno::kTooBig);
  }
  ArgumentList env = must(config.environment(boot.env), "the environment");
  const std::string_view path = environment_value(env, "PATH");

  const ResourceLimits limits = default_resource_limits(config.stack_size());
  const InheritedSignals signals = {.ignored = SignalSet(boot.ignored_signals),
                                    .blocked = SignalSet(boot.blocked_signals)};
  RefPtr<Thread> thread =
      must(make_first_process(must(make_resources(fs), "the first process"), limits, signals),
           "the first process");
  Result<Found> found = find_program(*fs, thread->credentials(), boot.argv.first().view(),
                                     path.empty() ? kDefaultPath : path);
  if (found.is_error()) cannot_start(boot.argv.first().view(), found.error());
  Found program = found.release_value();
  check_entry_point(config, program, *fs);

  Result<Executable> executable =
      open_executable(*fs, thread->credentials(), program.path, program.name.view(),
                      std::move(argv), std::move(env));
  if (executable.is_error()) cannot_open(program.name.view(), executable.error());
  Executable ready = executable.release_value();
  ready.stack_limit = limits[Resource::kStack].soft;
  if (const Result<void> started = start_program(*thread, std::move(ready)); started.is_error()) {
    cannot_start(program.name.view(), started.error());
  }
  if (attach_standard_terminal(thread->process()).is_error())
    log_warn("the terminal has no job control");
  set_main_process(thread->pid());
  thread->signal_stack.flags = 0;  // as Linux's first process has it, and whoever it starts
  // From here on whoever opens files or touches a stack is a program's thread.
  set_file_limit_caller(
      {.descriptor_limit = [] { return current_thread().process().descriptor_limit(); },
       .is_privileged = [] { return current_thread().user().has(kCapSysAdmin); }});
  set_growth_rule(may_grow_stack);
  start_task(std::move(thread));
}

}  // namespace

void kernel_main() {
  const BootArguments& boot = boot_arguments();
  const BootConfig config(measured_config());
  // An instance that was built to be silent stays so, whatever level the host asked for.
  if (config.log_is_disabled()) log_level.store(std::min(log_level.load(), LogLevel::kError));
  if (!boot.host_name.is_empty()) (void)set_host_name(boot.host_name.view());
  register_storage_file_systems();
  register_devices();
  register_fifos();
  register_proc();
  register_sysfs();
  set_lease_breaker_pid([]() -> int { return current_thread().pid(); });
  register_counters(report_process_counters);
  register_counters(report_syscall_counters);
  Result<RefPtr<FsContext>> root =
      mount_root(measured_config(), boot.writable_dirs, boot.cwd.view());
  if (root.is_error() && root.error() == Errno::kIo) {
    say("the root image is damaged, cut short, or not the one of this enclave: build the instance "
        "again");
    shut_down(kStartFailed);
  }
  RefPtr<FsContext> fs = must(std::move(root), "mounting the root");
  if (const Result<void> made = make_reaper(); made.is_error())
    give_up("the process table", made.error());
  start_first_process(config, std::move(fs));
  keep_memory();
}

}  // namespace occlum
