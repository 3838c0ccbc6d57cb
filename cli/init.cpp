// `occlum new` and `occlum init`: the skeleton of an instance.
//
// Modes are set explicitly, so that the user's umask does not get into the image and so into
// MRENCLAVE.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "cli/commands.h"
#include "cli/instance.h"

namespace cli {
namespace {

struct SkeletonDirectory {
  const char* path;
  mode_t mode;
};

constexpr std::array<SkeletonDirectory, 24> kDirectories = {{
    {"build", 0755},       {"run", 0755},           {"image", 0755},
    {"image/bin", 0755},   {"image/dev", 0755},     {"image/etc", 0755},
    {"image/home", 0755},  {"image/host", 0755},    {"image/lib", 0755},
    {"image/lib64", 0755}, {"image/mnt", 0755},     {"image/opt", 0755},
    {"image/proc", 0755},  {"image/root", 0700},    {"image/run", 0755},
    {"image/sbin", 0755},  {"image/sys", 0755},     {"image/tmp", 01777},
    {"image/usr", 0755},   {"image/usr/bin", 0755}, {"image/usr/lib", 0755},
    {"image/var", 0755},   {"image/var/log", 0755}, {"image/var/tmp", 01777},
}};

struct SkeletonFile {
  const char* path;
  const char* text;
};

constexpr std::array<SkeletonFile, 5> kFiles = {{
    {"image/etc/passwd",
     "root:x:0:0:root:/root:/bin/sh\n"
     "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
    {"image/etc/group", "root:x:0:\nnogroup:x:65534:\n"},
    {"image/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"},
    {"image/etc/nsswitch.conf",
     "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
     "networks: files\nprotocols: files\nservices: files\n"},
    {"Occlum.json", R"({
    "entry_points": [
        "/bin",
        "/usr/bin"
    ],
    "env": {
        "default": [
            "OCCLUM=yes",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root"
        ],
        "untrusted": [
            "TERM"
        ]
    },
    "metadata": {
        "product_id": 0,
        "version_number": 0,
        "debuggable": true
    },
    "mount": []
}
)"},
}};

Result<void> make_directory(const char* path, mode_t mode) {
  if (mkdir(path, mode) != 0) {
    struct stat status{};
    // Somebody's image/ may be there already; then its modes are theirs.
    if (errno == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return {};
    return image::fail_errno(errno, "cannot create {}", path);
  }
  if (chmod(path, mode) != 0) return image::fail_errno(errno, "cannot set the mode of {}", path);
  return {};
}

Result<void> make_skeleton() {
  if (access(std::string(kStatusFile).c_str(), F_OK) == 0) {
    return image::fail("the working directory is an Occlum instance already");
  }
  for (const SkeletonDirectory& directory : kDirectories) {
    IMAGE_TRY(make_directory(directory.path, directory.mode));
  }
  for (const SkeletonFile& file : kFiles) {
    if (access(file.path, F_OK) == 0) continue;
    IMAGE_TRY(image::write_file(file.path, file.text));
  }
  return set_instance_state(InstanceState::kInitialized);
}

void explain(const std::string& directory) {
  fmt::print(
      "Made an Occlum instance in {}.\n"
      "Copy programs, and the libraries and files that they need, to their places below image/,\n"
      "look at Occlum.json, then build and run. For example:\n"
      "    cp /bin/busybox image/bin/\n"
      "    occlum build\n"
      "    occlum run /bin/busybox echo hello\n"
      "('ldd PROGRAM' lists the libraries of a program; a static one needs none.)\n",
      directory);
}

}  // namespace

Result<int> command_new(const std::string& directory) {
  if (mkdir(directory.c_str(), 0755) != 0) {
    if (errno == EEXIST) return image::fail("{} exists already", directory);
    return image::fail_errno(errno, "cannot create {}", directory);
  }
  auto made = [&]() -> Result<void> {
    if (chdir(directory.c_str()) != 0)
      return image::fail_errno(errno, "cannot enter {}", directory);
    return make_skeleton();
  }();
  if (!made) {
    // All that is in there is ours, and half an instance helps nobody.
    std::error_code ignored;
    std::filesystem::path place = std::filesystem::current_path(ignored);
    if (chdir("/") == 0 && !ignored) std::filesystem::remove_all(place, ignored);
    return std::unexpected(made.error());
  }
  explain(directory);
  return 0;
}

Result<int> command_init() {
  IMAGE_TRY(make_skeleton());
  explain("the working directory");
  return 0;
}

}  // namespace cli
