#define OPENSSL_SUPPRESS_DEPRECATED
#include "image/tree_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "image/files.h"

namespace image {
namespace {

class Scanner {
 public:
  Scanner() { SHA256_Init(&hash_); }

  Result<void> directory(File file) {
    struct stat status{};
    if (fstat(file.fd(), &status) != 0) return fail_errno(errno, "cannot read {}", file.path());
    add(file.path(), status);
    std::vector<std::string> names = IMAGE_TRY(list(file));
    for (const std::string& name : names) {
      std::string path = file.path() + "/" + name;
      if (fstatat(file.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_errno(errno, "cannot read {}", path);
      }
      ++scan_.entries;
      if (S_ISDIR(status.st_mode)) {
        int fd = openat(file.fd(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) return fail_errno(errno, "cannot read {}", path);
        IMAGE_TRY(directory(File(fd, path)));
        continue;
      }
      add(path, status);
      if (!S_ISREG(status.st_mode)) continue;
      if (faccessat(file.fd(), name.c_str(), R_OK, AT_EACCESS) != 0) {
        return fail_errno(errno, "cannot read {}", path);
      }
      if (status.st_nlink > 1 && !linked_.insert({status.st_dev, status.st_ino}).second) continue;
      scan_.bytes += (static_cast<uint64_t>(status.st_size) + 4095) / 4096 * 4096;
    }
    return {};
  }

  TreeScan finish() {
    SHA256_Final(scan_.fingerprint.data(), &hash_);
    return scan_;
  }

 private:
  // Sorted, because readdir's order is nobody's promise.
  static Result<std::vector<std::string>> list(const File& file) {
    int copy = openat(file.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    std::unique_ptr<DIR, int (*)(DIR*)> stream(copy < 0 ? nullptr : fdopendir(copy), closedir);
    if (stream == nullptr) return fail_errno(errno, "cannot read {}", file.path());
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(stream.get())) {
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    if (errno != 0) return fail_errno(errno, "cannot read {}", file.path());
    std::ranges::sort(names);
    return names;
  }

  void add(const std::string& path, const struct stat& status) {
    const uint64_t facts[] = {status.st_dev,
                              status.st_ino,
                              status.st_mode,
                              status.st_nlink,
                              status.st_uid,
                              status.st_gid,
                              status.st_rdev,
                              static_cast<uint64_t>(status.st_size),
                              static_cast<uint64_t>(status.st_mtim.tv_sec),
                              static_cast<uint64_t>(status.st_mtim.tv_nsec),
                              static_cast<uint64_t>(status.st_ctim.tv_sec),
                              static_cast<uint64_t>(status.st_ctim.tv_nsec)};
    SHA256_Update(&hash_, path.c_str(), path.size() + 1);
    SHA256_Update(&hash_, facts, sizeof facts);
  }

  SHA256_CTX hash_{};
  TreeScan scan_;
  std::set<std::pair<dev_t, ino_t>> linked_;
};

}  // namespace

Result<TreeScan> scan_tree(const std::string& directory) {
  Scanner scanner;
  IMAGE_TRY(scanner.directory(IMAGE_TRY(File::open(directory, O_RDONLY | O_DIRECTORY))));
  return scanner.finish();
}

}  // namespace image
