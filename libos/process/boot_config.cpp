#include "libos/process/boot_config.h"

#include "libos/lib/text.h"

namespace occlum {

void BootConfig::each(std::string_view key, FunctionRef<bool(std::string_view)> visit) const {
  std::string_view rest = text_;
  while (const std::optional<std::string_view> line = next_part(rest, '\n')) {
    if (line->size() <= key.size() || !line->starts_with(key) || (*line)[key.size()] != '=')
      continue;
    if (!visit(line->substr(key.size() + 1))) return;
  }
}

std::string_view BootConfig::value(std::string_view key) const {
  std::string_view found;
  each(key, [&](std::string_view text) {
    found = text;
    return false;
  });
  return found;
}

uint64_t BootConfig::stack_size() const {
  const Result<uint64_t> size = parse_u64(value("stack_size"));
  return size.is_error() || size.value() == 0 ? kDefaultStackSize : size.value();
}

bool BootConfig::allows_entry(std::string_view absolute_path) const {
  if (!is_instance()) return true;
  bool has_any = false;
  bool is_allowed = false;
  each("entry_point", [&](std::string_view prefix) {
    has_any = true;
    while (prefix.ends_with('/')) prefix.remove_suffix(1);
    const bool matches =
        absolute_path.starts_with(prefix) &&
        (absolute_path.size() == prefix.size() || absolute_path[prefix.size()] == '/');
    is_allowed = matches;
    return !matches;
  });
  return is_allowed || !has_any;
}

bool BootConfig::is_allowed_variable(std::string_view name) const {
  bool is_allowed = false;
  each("env.untrusted", [&](std::string_view allowed) {
    is_allowed = allowed == name;
    return !is_allowed;
  });
  return is_allowed;
}

Result<ArgumentList> BootConfig::environment(const Vec<String>& from_host) const {
  ArgumentList result;
  if (!is_instance()) {
    for (const String& variable : from_host) TRY(result.add(variable.view()));
    return result;
  }
  const auto host_sets = [&](std::string_view name) {
    if (!is_allowed_variable(name)) return false;
    for (const String& variable : from_host) {
      if (variable_name(variable.view()) == name) return true;
    }
    return false;
  };
  Result<void> added{};
  each("env", [&](std::string_view variable) {
    if (host_sets(variable_name(variable))) return true;
    added = result.add(variable);
    return !added.is_error();
  });
  if (added.is_error()) return added.error();
  for (const String& variable : from_host) {
    if (is_allowed_variable(variable_name(variable.view()))) TRY(result.add(variable.view()));
  }
  return result;
}

std::string_view variable_name(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

std::string_view environment_value(const ArgumentList& environment, std::string_view name) {
  std::string_view rest = environment.text();
  while (!rest.empty()) {
    const std::string_view variable = rest.substr(0, rest.find('\0'));
    if (variable.size() > name.size() && variable[name.size()] == '=' &&
        variable.starts_with(name)) {
      return variable.substr(name.size() + 1);
    }
    rest.remove_prefix(variable.size() + 1);
  }
  return {};
}

}  // namespace occlum
