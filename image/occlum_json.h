// Occlum.json: what the user configures about an instance.
//
// Every key of the predecessor is accepted with its meaning; every size is optional. Keys that this
// version reads and checks but cannot act on are collected in `without_effect`, so that `occlum
// build` can say so. Unknown keys, wrong types and values out of range are errors that name line,
// column and key. Keys of our own:
//
//   image.compression   "none" (default) or "lz4"
//   image.owners        "root" (default): every file belongs to root; "keep": as in image/
//
// A key that weakens a guarantee starts with `insecure_`; there is none yet. Mounts of type hostfs
// are untrusted, as they were with the predecessor, and are there only when written down.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "image/error.h"
#include "sgx/arch.h"

namespace image {

enum class Compression { kNone, kLz4 };
enum class Owners { kRoot, kKeep };

struct Mount {
  std::string type;  // tmpfs, hostfs, proc, dev
  std::string source;
  std::string target;
  std::string options;
};

// With less memory than this no program starts.
inline constexpr uint64_t kLeastMemoryLimit = 16 << 20;

struct InstanceConfig {
  std::vector<std::string> entry_points = {"/bin", "/usr/bin"};
  std::vector<std::string> env_default;    // NAME=VALUE
  std::vector<std::string> env_untrusted;  // names
  std::vector<Mount> mounts;               // without the root
  uint64_t stack_size = uint64_t{8} << 20;
  uint64_t memory_limit = 0;  // bytes of enclave memory, 0: none; never measured
  uint16_t product_id = 0;
  uint16_t version_number = 0;
  bool debuggable = true;
  bool disable_log = false;  // only errors are logged; always in an enclave that is not debuggable
  bool enable_kss = false;
  sgx::Bytes<16> family_id{};
  sgx::Bytes<16> ext_prod_id{};
  Compression compression = Compression::kNone;
  Owners owners = Owners::kRoot;
  std::vector<std::string> without_effect;  // dotted names of keys that change nothing yet
};

// `name` is the file's name for messages.
Result<InstanceConfig> parse_occlum_json(std::string_view text, std::string_view name);

}  // namespace image
