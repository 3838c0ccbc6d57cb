#include "libos/process/uts.h"

#include <algorithm>
#include <array>

#include "libos/lib/lock.h"
#include "libos/lib/memory.h"

namespace occlum {
namespace {

struct Names {
  using Text = std::array<char, kLongestHostName + 1>;
  Text host = {'o', 'c', 'c', 'l', 'u', 'm'};
  Text domain = {'(', 'n', 'o', 'n', 'e', ')'};
};
constinit SpinLocked<Names> names{LockRank::kProcess};

std::string_view view_of(const Names::Text& text) {
  return std::string_view(text.begin(), std::ranges::find(text, '\0'));
}

Result<void> set(Names::Text Names::* field, std::string_view name) {
  if (name.size() > kLongestHostName) return Errno::kInval;
  Names::Text text = {};
  copy_text(text, name);
  names.with([&](Names& all) { all.*field = text; });
  return {};
}

Result<String> get(Names::Text Names::* field) {
  const Names::Text text = names.with([&](Names& all) { return all.*field; });
  return String::create(view_of(text));
}

}  // namespace

Result<String> host_name() { return get(&Names::host); }
Result<String> domain_name() { return get(&Names::domain); }
Result<void> set_host_name(std::string_view name) { return set(&Names::host, name); }
Result<void> set_domain_name(std::string_view name) { return set(&Names::domain, name); }

}  // namespace occlum
