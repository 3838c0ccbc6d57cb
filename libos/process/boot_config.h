// The measured configuration's part that decides about the first process (abi/config.h), and its environment.
#pragma once

#include <string_view>

#include "libos/lib/function_ref.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/lib/vec.h"
#include "libos/process/arguments.h"

namespace occlum {

constexpr uint64_t kDefaultStackSize = 8 * 1024 * 1024;

class BootConfig {
 public:
  // The text was measured, so it is what `occlum build` wrote; lines that it does not know are others' business.
  explicit BootConfig(std::string_view text) : text_(text) {}

  bool is_instance() const { return value("mode") == "instance"; }
  bool is_debuggable() const { return value("debuggable") == "1"; }
  bool log_is_disabled() const { return value("disable_log") == "1"; }
  uint64_t stack_size() const;

  // Whether `occlum run` may start this program: it is one of the entry points, or lies below one. Without any
  // configured, and in do mode, everything may be started.
  bool allows_entry(std::string_view absolute_path) const;

  // The environment of the first process. In do mode the host's, as it is; in an instance the measured defaults, with
  // those variables of the host's that were allowed.
  Result<ArgumentList> environment(const Vec<String>& from_host) const;

 private:
  // The first line `key=...`; empty when there is none.
  std::string_view value(std::string_view key) const;
  // Calls back for each line `key=...` until one returns false.
  void each(std::string_view key, FunctionRef<bool(std::string_view)> visit) const;
  bool is_allowed_variable(std::string_view name) const;
  std::string_view text_;
};

// NAME of NAME=VALUE.
std::string_view variable_name(std::string_view variable);

// The value of a variable in an environment; empty when it is not there.
std::string_view environment_value(const ArgumentList& environment, std::string_view name);

}  // namespace occlum
