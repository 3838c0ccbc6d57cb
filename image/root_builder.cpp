#define OPENSSL_SUPPRESS_DEPRECATED
#include "image/root_builder.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <vector>

#include "image/progress.h"
#include "image/subprocess.h"
#include "image/tree_scan.h"

namespace image {
namespace {

constexpr std::string_view kErofsUuid = "6f63636c-756d-4572-8f66-730000000001";
constexpr uint64_t kErofsSuperblockOffset = 1024;
constexpr uint32_t kErofsMagic = 0xE0F5E1E2;
constexpr std::string_view kManifestTitle = "occlum root manifest 1\n";
constexpr uint64_t kMaxManifest = 4096;

// Everything that the image depends on, in 64 hexadecimal digits.
Result<std::string> inputs_digest(const RootSpec& spec, const TreeScan& scan,
                                  const std::string& tool) {
  struct stat status{};
  if (stat(tool.c_str(), &status) != 0) return fail_errno(errno, "cannot run {}", tool);
  std::string text =
      fmt::format("{} {} {} {} {} {}", hex(scan.fingerprint), static_cast<int>(spec.compression),
                  static_cast<int>(spec.owners), tool, status.st_size, status.st_mtim.tv_sec);
  sgx::Hash digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return hex(digest);
}

// What the manifest says about the image file besides its inputs, so that a replaced file is
// noticed.
Result<std::string> output_facts(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return fail_errno(errno, "cannot read {}", path);
  return fmt::format("{} {}.{:09}", status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

std::string manifest_text(const std::string& inputs, const std::string& facts,
                          const VerityImage& image) {
  return fmt::format("{}inputs={}\nfile={}\ndata_size={}\ntree_offset={}\nroot_hash={}\n",
                     kManifestTitle, inputs, facts, image.data_size, image.tree_offset,
                     hex(image.root_hash));
}

std::string_view value_of(std::string_view text, std::string_view key) {
  std::string needle = fmt::format("\n{}=", key);
  size_t start = text.find(needle);
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start + needle.size());
  return text.substr(0, text.find('\n'));
}

bool parse_hash(std::string_view digits, sgx::Hash& to) {
  if (digits.size() != 2 * to.size()) return false;
  for (size_t i = 0; i < to.size(); ++i) {
    const char* pair = digits.data() + 2 * i;
    if (std::from_chars(pair, pair + 2, to[i], 16).ptr != pair + 2) return false;
  }
  return true;
}

// The image that is there, if the manifest says that it was made of these inputs.
std::optional<VerityImage> reuse(const std::string& output, const std::string& inputs) {
  auto text = read_file(output + ".manifest", kMaxManifest);
  auto facts = output_facts(output);
  if (!text || !facts) return std::nullopt;
  VerityImage image;
  auto number = [&](std::string_view key, uint64_t& to) {
    std::string_view digits = value_of(*text, key);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), to);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (!number("data_size", image.data_size) || !number("tree_offset", image.tree_offset) ||
      !parse_hash(value_of(*text, "root_hash"), image.root_hash) ||
      *text != manifest_text(inputs, *facts, image)) {
    return std::nullopt;
  }
  image.file_size = std::strtoull(facts->c_str(), nullptr, 10);
  return image;
}

std::vector<std::string> mkfs_arguments(const RootSpec& spec, const std::string& tool,
                                        const std::string& output) {
  std::vector<std::string> argv = {tool, "--quiet", "-T0", "-U", std::string(kErofsUuid), "-x-1"};
  if (spec.owners == Owners::kRoot) argv.push_back("--all-root");
  if (spec.compression == Compression::kLz4) argv.push_back("-zlz4");
  argv.push_back(output);
  argv.push_back(spec.source);
  return argv;
}

// mkfs.erofs may have met a full disk where it does not look: what the superblock promises must be
// there.
Result<void> check_erofs(const File& file) {
  struct {
    uint32_t magic, checksum, feature_compat;
    uint8_t blkszbits, sb_extslots;
    uint16_t root_nid;
    uint64_t inos, build_time;
    uint32_t build_time_nsec, blocks;
  } superblock{};
  static_assert(sizeof superblock == 40);
  IMAGE_TRY(
      file.read_at(kErofsSuperblockOffset, std::as_writable_bytes(std::span(&superblock, 1))));
  uint64_t size = IMAGE_TRY(file.size());
  if (superblock.magic != kErofsMagic || superblock.blkszbits != 12 ||
      uint64_t{superblock.blocks} * kVerityBlock > size) {
    return fail("mkfs.erofs wrote an incomplete image");
  }
  return {};
}

}  // namespace

Result<RootImage> build_root(const RootSpec& spec) {
  std::string tool = IMAGE_TRY(find_tool("mkfs.erofs", "erofs-utils"));
  TreeScan scan = IMAGE_TRY(scan_tree(spec.source));
  std::string inputs = IMAGE_TRY(inputs_digest(spec, scan, tool));
  RootImage root;
  root.entries_ = scan.entries;
  root.output_ = spec.output;
  root.inputs_ = inputs;
  if (spec.rebuild == Rebuild::kIfChanged) {
    if (auto existing = reuse(spec.output, inputs)) {
      root.verity_ = *existing;
      return root;
    }
  }

  const PendingFile& pending = root.pending_.emplace(IMAGE_TRY(PendingFile::create(spec.output)));
  {
    Progress progress("root image", spec.compression == Compression::kNone ? scan.bytes : 0);
    IMAGE_TRY(run_tool(mkfs_arguments(spec, tool, pending.temporary_path()), [&] {
      struct stat status{};
      if (fstat(pending.file().fd(), &status) == 0) {
        progress.update(static_cast<uint64_t>(status.st_size));
      }
    }));
  }
  IMAGE_TRY(check_erofs(pending.file()));
  Progress progress("hash tree ", IMAGE_TRY(pending.file().size()));
  root.verity_ =
      IMAGE_TRY(append_verity_tree(pending.file(), [&](uint64_t done) { progress.update(done); }));
  return root;
}

Result<void> RootImage::commit() {
  if (!pending_) return {};
  IMAGE_TRY(pending_->commit());
  // The manifest only saves time: an image without one, or with an older one, is rebuilt.
  return write_file(output_ + ".manifest",
                    manifest_text(inputs_, IMAGE_TRY(output_facts(output_)), verity_));
}

}  // namespace image
