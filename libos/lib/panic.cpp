// What the checks of lib/ do when they fail. Out of line and cold: a check costs its caller a
// branch and a call.
#include "libos/lib/panic.h"

#include "libos/lib/log.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"

namespace occlum {

[[gnu::cold]] void assertion_failed(const char* condition, const char* file, int line) {
  panic("{}:{}: assertion failed: {}", file, line, condition);
}

namespace result_detail {
[[gnu::cold]] void value_of_error(Errno error) { panic("value of a Result that is {}", error); }
[[gnu::cold]] void error_of_value() { panic("error of a Result that has a value"); }
[[gnu::cold]] void must_failed(const char* expression, Errno error) {
  panic("MUST({}): {}", expression, error);
}
}  // namespace result_detail

namespace ptr_detail {
[[gnu::cold]] void null_pointer_followed() { panic("null pointer followed"); }
[[gnu::cold]] void reference_count_broken() { panic("reference count broken"); }
}  // namespace ptr_detail

}  // namespace occlum
