// The measured configuration as text (abi/config.h): made from Occlum.json for an instance, or
// checked when somebody hands us one (occlum-mkenclave). The text is a function of its inputs
// alone; nothing of the machine enters it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "image/error.h"
#include "image/occlum_json.h"
#include "image/verity.h"

namespace image {

// The configuration of an instance whose root image is `root`.
std::string instance_config_text(const InstanceConfig& config, const VerityImage& root);

// What the builder itself must know from a configuration text.
struct ConfigFacts {
  bool debuggable = false;
};

// Checks every line: a known key, each only as often as it may be given, no control characters,
// `version=1`. `name` is for messages.
Result<ConfigFacts> check_config_text(std::string_view text, std::string_view name);

}  // namespace image
