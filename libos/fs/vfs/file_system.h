// FileSystem: one instance of a file system (an image, a host directory, a tmpfs, ...), and the registry of the types.
//
// A mount holds the root inode; inodes hold their file system; so a file system goes when its last user goes.
#pragma once

#include <cstdint>
#include <string_view>

#include "libos/fs/vfs/stat.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"

namespace occlum {

class Inode;

class FileSystem : public RefCounted<FileSystem> {
 public:
  virtual ~FileSystem() = default;

  // "tmpfs", as /proc/mounts and mount(2) name it.
  virtual std::string_view type_name() const = 0;
  // The root directory. Called once, when it is mounted.
  virtual Result<RefPtr<Inode>> root() = 0;
  virtual Result<StatFs> statfs() = 0;
  // Writes everything out (sync(2)).
  virtual Result<void> sync() { return {}; }
  // Options for /proc/mounts after "rw" or "ro", with a leading comma; empty when there are none.
  virtual Result<String> options() const { return String(); }
  virtual bool is_read_only() const { return false; }
  // What is written there is not kept from the host.
  virtual bool is_read_by_host() const { return false; }

  // st_dev of its files: an anonymous device number (major 0), unique while the enclave runs.
  uint64_t device() const { return device_; }

 protected:
  FileSystem();

 private:
  const uint64_t device_;
};

// What mount(2) gives a file system type.
struct MountArguments {
  std::string_view source;   // may be empty
  std::string_view options;  // comma separated, the file system's own
  bool read_only = false;
};

using FileSystemFactory = Result<RefPtr<FileSystem>> (*)(const MountArguments& arguments);

// At start, by each file system. The name must stay valid.
void register_file_system(std::string_view name, FileSystemFactory factory);
// kNoDev when the type is unknown.
Result<RefPtr<FileSystem>> make_file_system(std::string_view name, const MountArguments& arguments);
// For /proc/filesystems: calls back with each name.
void for_each_file_system_type(FunctionRef<void(std::string_view)> visit);

// The value of `key=` in comma separated options, or nullopt.
std::optional<std::string_view> option_value(std::string_view options, std::string_view key);

}  // namespace occlum
