// The names of the error numbers.
#include "libos/lib/errno.h"

namespace occlum {

std::string_view errno_name(Errno error) {
  switch (error) {
#define OCCLUM_ERRNO_CASE(name, number, text) \
  case Errno::name:                           \
    return text;
    OCCLUM_ERRNO_LIST(OCCLUM_ERRNO_CASE)
#undef OCCLUM_ERRNO_CASE
  }
  return "E?";
}

}  // namespace occlum
