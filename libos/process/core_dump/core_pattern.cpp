#include "libos/process/core_dump/core_pattern.h"

#include <algorithm>
#include <array>

#include "libos/lib/lock.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/process/process.h"
#include "libos/process/uts.h"

namespace occlum {
namespace {

using Pattern = std::array<char, 128>;
constinit SpinLocked<Pattern> current{LockRank::kProcess, Pattern{'c', 'o', 'r', 'e'}};

template <typename T>
Result<void> add_number(String& out, T number) {
  std::array<char, 24> buffer = {};
  return out.append(format_to(buffer, "{}", number));
}

// What comes from a name must not lead into other directories.
Result<void> add_name(String& out, std::string_view name) {
  if (name.empty()) return out.append('!');
  if (name == "." || name == "..") {
    TRY(out.append('!'));
    name.remove_prefix(1);
  }
  for (const char character : name) TRY(out.append(character == '/' ? '!' : character));
  return {};
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// What the character behind a '%' means; nothing when it means nothing.
Result<void> add_specifier(String& out, Thread& self, int signal, char specifier) {
  const Process& process = self.process();
  switch (specifier) {
    case '%':
      return out.append('%');
    case 'p':
    case 'P':
      return add_number(out, process.pid());
    case 'i':
    case 'I':
      return add_number(out, self.tid());
    case 'u':
      return add_number(out, self.user().uid);
    case 'g':
      return add_number(out, self.user().gid);
    case 'd':
      return add_number(out, process.dumpable() ? 1 : 0);
    case 's':
      return add_number(out, signal);
    case 't':
      return add_number(out, realtime_now() / 1'000'000'000);
    case 'c':
      return add_number(out, process.limit(Resource::kCore).soft);
    case 'C':
      return add_number(out, self.last_vcpu());
    case 'h':
      return add_name(out, TRY(host_name()).view());
    case 'e':
      return add_name(out, self.name().view());
    case 'f':
      return add_name(out, last_part(TRY(process.program()).path.view()));
    case 'E':
      return add_name(out, TRY(process.program()).path.view());
    default:
      return {};
  }
}

}  // namespace

Result<String> core_pattern() {
  const Pattern pattern = current.with([](const Pattern& now) { return now; });
  return String::create(std::string_view(pattern.begin(), std::ranges::find(pattern, '\0')));
}

Result<void> set_core_pattern(std::string_view pattern) {
  Pattern next = {};
  if (pattern.size() >= next.size() || pattern.starts_with('|')) return Errno::kInval;
  copy_text(next, pattern);
  current.with([&](Pattern& now) { now = next; });
  return {};
}

Result<String> core_path(Thread& self, int signal) {
  const String pattern = TRY(core_pattern());
  String path;
  bool has_pid = false;
  for (std::string_view rest = pattern.view(); !rest.empty(); rest.remove_prefix(1)) {
    if (rest.front() != '%') {
      TRY(path.append(rest.front()));
      continue;
    }
    rest.remove_prefix(1);
    if (rest.empty()) break;
    has_pid = has_pid || rest.front() == 'p';
    TRY(add_specifier(path, self, signal, rest.front()));
  }
  if (!has_pid && core_uses_pid.load()) {
    TRY(path.append('.'));
    TRY(add_number(path, self.pid()));
  }
  return path;
}

}  // namespace occlum
