// The first line of a script: what is found lies inside of the line and is not empty.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "libos/process/script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view head(reinterpret_cast<const char*>(data),
                              std::min(size, occlum::kScriptHeadSize));
  if (!occlum::is_script(head)) return 0;
  const auto line = occlum::parse_script_line(head);
  if (line.is_error()) return 0;
  const auto inside = [&](std::string_view part) {
    return part.data() >= head.data() && part.data() + part.size() <= head.data() + head.size();
  };
  const auto& found = line.value();
  if (found.interpreter.empty() || !inside(found.interpreter)) abort();
  if (found.argument && !inside(*found.argument)) abort();
  return 0;
}
