// The root image of an instance: EROFS, made by mkfs.erofs from a directory, with a dm-verity tree
// behind it (verity.h).
//
// The image is a function of names, types, modes, links and contents below the directory, of the
// owners if they are kept, and of the version of mkfs.erofs: timestamps are all 0, the UUID is
// fixed, xattrs are left out (SELinux labels are the machine's, not the image's), files belong to
// root unless asked otherwise. Umask, directory, file system and order of creation do not matter.
// No -E words are given to mkfs.erofs, which accepts unknown ones silently.
//
// A manifest beside the image keeps the fingerprint of its inputs (tree_scan.h); when nothing has
// changed, the image is kept without reading a file.
#pragma once

#include <optional>
#include <string>

#include "image/error.h"
#include "image/occlum_json.h"
#include "image/verity.h"

namespace image {

enum class Rebuild { kIfChanged, kAlways };

struct RootSpec {
  std::string source;  // directory
  std::string output;  // file; the manifest is `output`.manifest
  Compression compression = Compression::kNone;
  Owners owners = Owners::kRoot;
  Rebuild rebuild = Rebuild::kIfChanged;
};

// An image that is ready, but not in its place yet: the caller commits it together with the enclave
// that measures it.
class RootImage {
 public:
  const VerityImage& verity() const { return verity_; }
  uint64_t entries() const { return entries_; }
  bool kept() const { return !pending_; }  // the image that was there is up to date
  Result<void> commit();

 private:
  friend Result<RootImage> build_root(const RootSpec& spec);
  VerityImage verity_;
  uint64_t entries_ = 0;
  std::string output_;
  std::string inputs_;
  std::optional<PendingFile> pending_;
};

// Progress goes to the terminal.
Result<RootImage> build_root(const RootSpec& spec);

}  // namespace image
