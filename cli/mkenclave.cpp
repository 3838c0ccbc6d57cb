// occlum-mkenclave LIBOS CONFIG KEY OUTPUT: makes a signed enclave image of a LibOS and a
// configuration text (abi/config.h). The build of Occlum itself uses it for the enclave of `occlum
// do`, and tests for enclaves of their own. KEY is made if it does not exist.
#include <unistd.h>

#include "image/config_text.h"
#include "image/enclave_builder.h"
#include "image/files.h"
#include "image/signing_key.h"
#include "image/verity.h"

namespace {

using image::Result;

Result<void> make(const std::string& libos, const std::string& config, const std::string& key,
                  const std::string& output) {
  std::string text = IMAGE_TRY(image::read_file(config, uint64_t{16} << 20));
  image::ConfigFacts facts = IMAGE_TRY(image::check_config_text(text, config));
  if (access(key.c_str(), F_OK) != 0 && errno == ENOENT) {
    auto made = image::create_signing_key(key);
    // Another process may have made it meanwhile.
    if (!made && access(key.c_str(), F_OK) != 0) return made;
  }
  image::SigningKeyChoice choice = IMAGE_TRY(image::choose_signing_key(key));
  image::EnclaveImage enclave = IMAGE_TRY(image::build_enclave(
      {.libos_elf = libos, .config = std::move(text), .debuggable = facts.debuggable}, choice.key,
      output));
  IMAGE_TRY(enclave.commit());
  fmt::print("{}\n", image::hex(enclave.identity().mrenclave));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: occlum-mkenclave LIBOS CONFIG KEY OUTPUT\n");
    return 125;
  }
  auto made = make(argv[1], argv[2], argv[3], argv[4]);
  if (made) return 0;
  fmt::print(stderr, "occlum-mkenclave: {}\n", made.error());
  return 125;
}
