// `occlum print`, `status` and `gen-sign-key`.
#include <unistd.h>

#include "cli/commands.h"
#include "cli/instance.h"
#include "image/enclave_file.h"
#include "image/signing_key.h"
#include "image/verity.h"

namespace cli {

Result<int> command_print(const std::string& what, const std::optional<std::string>& file) {
  if (!file && IMAGE_TRY(instance_state()) != InstanceState::kBuilt) {
    return image::fail("this instance is not built yet: run 'occlum build'");
  }
  image::EnclaveFile enclave =
      IMAGE_TRY(image::inspect_enclave_file(file.value_or(std::string(kEnclaveImage))));
  fmt::print("{}\n", image::hex(what == "mrsigner" ? enclave.mrsigner : enclave.mrenclave));
  return 0;
}

Result<int> command_status() {
  InstanceState state = IMAGE_TRY(instance_state());
  fmt::print("{}\n", instance_is_running()            ? "running"
                     : state == InstanceState::kBuilt ? "built"
                                                      : "initialized");
  return 0;
}

Result<int> command_gen_sign_key(const std::string& path) {
  IMAGE_TRY(image::create_signing_key(path));
  fmt::print("Made the signing key {}: keep it secret, and keep it: data are sealed to it.\n",
             path);
  return 0;
}

}  // namespace cli
