#include "image/signing_key.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "image/files.h"

namespace image {
namespace {

constexpr uint64_t kMaxKeyFile = 1 << 16;

Result<sgx::SigningKey> load(const std::string& path) {
  std::string pem = IMAGE_TRY(read_file(path, kMaxKeyFile));
  auto key = sgx::SigningKey::from_pem(pem);
  if (!key) return fail("cannot sign with {}: {}", path, key.error());
  return std::move(*key);
}

Result<std::string> development_key_path() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/') {
    return std::string(data) + "/occlum/signing-key.pem";
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') {
    const passwd* user = getpwuid(geteuid());
    home = user == nullptr ? nullptr : user->pw_dir;
  }
  if (home == nullptr || *home != '/') {
    return fail("there is no home directory for a development key: give a key with --sign-key");
  }
  return std::string(home) + "/.local/share/occlum/signing-key.pem";
}

}  // namespace

Result<void> create_signing_key(const std::string& path) {
  // Made complete beside its place, then linked there: link(2) never replaces what another process
  // just made.
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0) return fail("{} exists already", path);
  auto key = sgx::SigningKey::generate();
  if (!key) return fail("cannot make a signing key: {}", key.error());
  auto pem = key->to_pem();
  if (!pem) return fail("cannot make a signing key: {}", pem.error());
  std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  File file =
      IMAGE_TRY(File::open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, "create"));
  auto written = file.write_at(0, bytes_of(*pem));
  if (written && fsync(file.fd()) != 0) written = fail_errno(errno, "cannot write {}", path);
  if (written && link(temporary.c_str(), path.c_str()) != 0) {
    written = errno == EEXIST ? fail("{} exists already", path)
                              : Result<void>(fail_errno(errno, "cannot create {}", path));
  }
  unlink(temporary.c_str());
  return written;
}

Result<SigningKeyChoice> choose_signing_key(const std::optional<std::string>& path) {
  if (path) {
    return SigningKeyChoice{.key = IMAGE_TRY(load(*path)), .path = *path};
  }
  std::string place = IMAGE_TRY(development_key_path());
  bool created = false;
  struct stat status{};
  if (stat(place.c_str(), &status) != 0) {
    std::error_code error;
    std::filesystem::path directory = std::filesystem::path(place).parent_path();
    std::filesystem::create_directories(directory, error);
    if (error) {
      return fail("cannot keep a development key in {}: {}; give a key with --sign-key",
                  directory.string(), error.message());
    }
    auto made = create_signing_key(place);
    // Another build may have made it meanwhile.
    if (!made && stat(place.c_str(), &status) != 0) return std::unexpected(made.error());
    created = made.has_value();
  } else if ((status.st_mode & 077) != 0) {
    return fail("the development key {} can be read by others: chmod 600 it, or remove it", place);
  }
  return SigningKeyChoice{
      .key = IMAGE_TRY(load(place)), .path = place, .development = true, .created = created};
}

}  // namespace image
