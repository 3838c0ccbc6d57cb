// What the command takes from its environment: the SGX mode, the log level, and where its own files
// are.
#pragma once

#include <string>
#include <string_view>

#include "host/runtime.h"
#include "image/error.h"

namespace cli {

using image::Result;

// SGX_MODE: HW, SIM, or unset for the hardware if there is some and software SGX if not. Case does
// not matter.
Result<host::SgxMode> sgx_mode_from_environment();
Result<host::SgxMode> parse_sgx_mode(std::string_view word, std::string_view source);

// OCCLUM_LOG_LEVEL: off error warn info debug trace (and the predecessor's panic, fatal, warning).
// Default off.
Result<std::string> log_level_from_environment();

// OCCLUM_ASYNC_IO, for tests: auto, never, always or pairs, and perhaps ",threads" (host/runtime.h).
Result<host::FileIoOptions> file_io_from_environment();

// Whether a start in this mode uses software SGX. Only decides what people are told: the runtime
// decides for itself.
bool will_be_emulated(host::SgxMode mode);

// A file of the installation, such as "libos.elf": $OCCLUM_PREFIX/share/occlum/NAME, or
// ../share/occlum/NAME as seen from the directory of this program.
Result<std::string> installed_file(std::string_view name);

}  // namespace cli
