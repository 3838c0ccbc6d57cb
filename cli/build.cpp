// `occlum build`: Occlum.json and image/ become build/root.erofs and build/instance.enclave.
//
// Both files are made beside their places and renamed at the end, so a build that fails leaves the
// instance as it was. run/, where the writable layer lives, is never touched.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/instance.h"
#include "cli/settings.h"
#include "image/config_text.h"
#include "image/enclave_builder.h"
#include "image/occlum_json.h"
#include "image/progress.h"
#include "image/root_builder.h"
#include "image/signing_key.h"

namespace cli {
namespace {

constexpr uint64_t kMaxConfigFile = 1 << 20;

void warn(std::string_view text) { fmt::print(stderr, "occlum build: warning: {}\n", text); }

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

// Options of the predecessor: what would weaken or break the result is refused, the rest is said to
// do nothing.
Result<void> check_compatibility(const BuildOptions& options) {
  if (options.image_key || options.buildin_image_key) {
    return image::fail("encrypted images (--image-key) are not supported yet");
  }
  std::vector<std::string> idle;
  if (options.sign_tool) idle.push_back("--sign-tool (signing is built in)");
  if (options.sgx_mode) {
    IMAGE_TRY(parse_sgx_mode(*options.sgx_mode, "--sgx-mode"));
    idle.push_back("--sgx-mode (one image serves both; SGX_MODE chooses at run time)");
  }
  if (options.enable_edmm) idle.push_back("--enable-edmm (it is always on)");
  if (!idle.empty()) warn("without effect: " + joined(idle));
  return {};
}

Result<image::InstanceConfig> read_config(const BuildOptions& options) {
  std::string name(kConfigFile);
  std::string text = IMAGE_TRY(image::read_file(name, kMaxConfigFile));
  image::InstanceConfig config = IMAGE_TRY(image::parse_occlum_json(text, name));
  if (options.compression) {
    config.compression =
        *options.compression == "lz4" ? image::Compression::kLz4 : image::Compression::kNone;
  }
  if (config.compression == image::Compression::kLz4) {
    warn("the LibOS cannot read lz4 files yet: an instance built with lz4 does not run");
  }
  if (!config.without_effect.empty()) {
    warn(fmt::format("{} keys that have no effect: {}", name, joined(config.without_effect)));
  }
  return config;
}

Result<image::SigningKeyChoice> choose_key(const BuildOptions& options) {
  image::SigningKeyChoice key = IMAGE_TRY(image::choose_signing_key(options.sign_key));
  if (key.created) {
    fmt::print(
        stderr,
        "occlum build: made a development key, {}; sign what others shall trust with a key of "
        "its own (--sign-key)\n",
        key.path);
  }
  return key;
}

image::EnclaveSpec enclave_spec(const image::InstanceConfig& config, std::string libos,
                                const image::VerityImage& root) {
  return {.libos_elf = std::move(libos),
          .config = image::instance_config_text(config, root),
          .debuggable = config.debuggable,
          .kss = config.enable_kss,
          .product_id = config.product_id,
          .version = config.version_number,
          .family_id = config.family_id,
          .ext_product_id = config.ext_prod_id};
}

Result<void> write_memory_limit(uint64_t limit) {
  const std::string path(kMemoryLimit);
  if (limit != 0) return image::write_file(path, fmt::format("{}B\n", limit));
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return image::fail_errno(errno, "cannot remove {}", path);
  return {};
}

Result<void> check_image_directory() {
  struct stat status{};
  std::string path(kImageDirectory);
  if (stat(path.c_str(), &status) != 0) return image::fail_errno(errno, "cannot read {}", path);
  if (!S_ISDIR(status.st_mode)) return image::fail("{} is not a directory", path);
  return {};
}

}  // namespace

Result<int> command_build(const BuildOptions& options) {
  IMAGE_TRY(instance_state());
  IMAGE_TRY(check_compatibility(options));
  image::InstanceConfig config = IMAGE_TRY(read_config(options));
  IMAGE_TRY(check_image_directory());
  std::string build_directory(kBuildDirectory);
  if (mkdir(build_directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return image::fail_errno(errno, "cannot create {}", build_directory);
  }
  image::File lock = IMAGE_TRY(lock_directory(
      kBuildDirectory, LockKind::kExclusive, "another 'occlum build' is at work in this instance"));
  std::string libos = IMAGE_TRY(installed_file("libos.elf"));
  image::SigningKeyChoice key = IMAGE_TRY(choose_key(options));

  image::RootImage root = IMAGE_TRY(image::build_root(
      {.source = std::string(kImageDirectory),
       .output = std::string(kRootImage),
       .compression = config.compression,
       .owners = config.owners,
       .rebuild = options.force ? image::Rebuild::kAlways : image::Rebuild::kIfChanged}));
  image::EnclaveImage enclave = IMAGE_TRY(image::build_enclave(
      enclave_spec(config, libos, root.verity()), key.key, std::string(kEnclaveImage)));
  IMAGE_TRY(write_memory_limit(config.memory_limit));
  bool kept = root.kept();
  IMAGE_TRY(root.commit());
  IMAGE_TRY(enclave.commit());
  IMAGE_TRY(set_instance_state(InstanceState::kBuilt));

  fmt::print("{:<22}  {}, {} files{}\n", kRootImage, image::human_size(root.verity().file_size),
             root.entries(), kept ? ", unchanged" : "");
  fmt::print("{:<22}  {} measured{}\n", kEnclaveImage,
             image::human_size(enclave.identity().measured_bytes),
             config.debuggable ? ", debuggable: the host can read it" : "");
  fmt::print("MRENCLAVE {}\n", image::hex(enclave.identity().mrenclave));
  fmt::print("MRSIGNER  {} ({}{})\n", image::hex(enclave.identity().mrsigner),
             key.development ? "development key " : "", key.path);
  return 0;
}

}  // namespace cli
