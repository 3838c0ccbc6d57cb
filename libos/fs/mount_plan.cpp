// See mount_plan.h.
#include "libos/fs/mount_plan.h"

#include "libos/fs/erofs/verified_image.h"
#include "libos/fs/hostfs/hostfs.h"
#include "libos/fs/tmpfs/tmpfs.h"
#include "libos/fs/union/union_fs.h"
#include "libos/fs/vfs/operations.h"
#include "libos/lib/log.h"
#include "libos/lib/text.h"

namespace occlum {

namespace {

// The lines of the configuration that are ours.
struct Config {
  enum class Mode { kUnknown, kInstance, kDo };
  Mode mode = Mode::kUnknown;
  VerifiedImage::Layout root;
  std::string_view text;
};

Result<void> parse_root(Config& config, std::string_view key, std::string_view value) {
  if (key == "root.size") {
    config.root.data_size = TRY(parse_u64(value));
  } else if (key == "root.hash_offset") {
    config.root.hash_offset = TRY(parse_u64(value));
  } else if (key == "root.hash") {
    config.root.root_hash = TRY(VerifiedImage::parse_hash(value));
  } else if (key == "root.salt") {
    config.root.salt = TRY(VerifiedImage::parse_salt(value));
  }
  return {};
}

Result<Config> parse_config(std::string_view text) {
  Config config;
  config.text = text;
  for (std::string_view rest = text; auto line = next_part(rest, '\n');) {
    const size_t equals = line->find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = line->substr(0, equals), value = line->substr(equals + 1);
    if (key == "mode") {
      if (value == "instance") config.mode = Config::Mode::kInstance;
      if (value == "do") config.mode = Config::Mode::kDo;
    } else if (const Result<void> parsed = parse_root(config, key, value); parsed.is_error()) {
      log_error("the measured configuration has a malformed line: {}", *line);
      return parsed.error();
    }
  }
  if (config.mode == Config::Mode::kUnknown) {
    log_error("the measured configuration does not say its mode");
    return Errno::kInval;
  }
  return config;
}

Result<RefPtr<FileSystem>> fresh_tmpfs(uint32_t mode) {
  return TRY(TmpFs::create({.root_mode = mode}));
}

// A tmpfs above what is read only.
Result<RefPtr<FileSystem>> writable_over(RefPtr<FileSystem> lower) {
  Vec<RefPtr<FileSystem>> lowers;
  TRY(lowers.push(std::move(lower)));
  return TRY(UnionFs::create(std::move(lowers), TRY(fresh_tmpfs(0755))));
}

class Planner {
 public:
  explicit Planner(Path root) : root_(std::move(root)) {}

  WalkContext walk() const { return {root_, root_, &credentials_}; }

  // An existing directory, or one that is made with those above it.
  Result<Path> make_path(std::string_view path, uint32_t mode = 0755) {
    Result<Path> found = lookup_path(walk(), path, FollowLast::kYes);
    if (!found.is_error() || found.error() != Errno::kNoEnt) return found;
    for (size_t end = 1; end <= path.size(); ++end) {
      if (end != path.size() && path[end] != '/') continue;
      const Result<void> made =
          make_directory(walk(), path.substr(0, end), end == path.size() ? mode : 0755, 0);
      if (made.is_error() && made.error() != Errno::kExist) return made.error();
    }
    return lookup_path(walk(), path, FollowLast::kYes);
  }

  Result<void> mount(RefPtr<FileSystem> file_system, std::string_view target,
                     std::string_view source, uint32_t flags) {
    const Path at = TRY(make_path(target));
    TRY(mount_table().mount(std::move(file_system), at, source, flags));
    return {};
  }

  // What other parts register; an empty tmpfs where they did not.
  Result<void> mount_special(std::span<const std::string_view> types, std::string_view target) {
    for (const std::string_view type : types) {
      Result<RefPtr<FileSystem>> made = make_file_system(type, {});
      if (made.is_error() && made.error() == Errno::kNoDev) continue;
      return mount(TRY(std::move(made)), target, types[0], kMountNoSuid);
    }
    log_warn("there is no file system for {}: it stays empty", target);
    return mount(TRY(fresh_tmpfs(0755)), target, "tmpfs", kMountNoSuid);
  }

  Result<void> mount_proc(std::string_view target) {
    constexpr std::string_view kTypes[] = {"proc", "procfs"};
    return mount_special(kTypes, target);
  }
  Result<void> mount_sys(std::string_view target) {
    constexpr std::string_view kTypes[] = {"sysfs"};
    return mount_special(kTypes, target);
  }
  Result<void> mount_dev(std::string_view target) {
    constexpr std::string_view kTypes[] = {"devtmpfs", "dev", "devfs"};
    return mount_special(kTypes, target);
  }

  // mount=TYPE SOURCE TARGET OPTIONS
  Result<void> mount_line(std::string_view line) {
    std::string_view rest = line;
    const std::string_view type = next_field(rest).value_or("");
    std::string_view source = next_field(rest).value_or("-");
    const std::string_view target = next_field(rest).value_or("");
    std::string_view options = next_field(rest).value_or("-");
    if (source == "-") source = {};
    if (options == "-") options = {};
    if (!target.starts_with('/')) return Errno::kInval;
    if (type == "proc") return mount_proc(target);
    if (type == "dev") return mount_dev(target);
    if (type == "sysfs") return mount_sys(target);
    bool read_only = false;
    for (std::string_view all = options; auto option = next_part(all, ',');)
      read_only |= *option == "ro";
    RefPtr<FileSystem> file_system = TRY(make_file_system(type, {source, options, read_only}));
    return mount(std::move(file_system), target, source.empty() ? type : source,
                 kMountNoSuid | (read_only ? kMountReadOnly : 0));
  }

  Result<void> mount_configured(std::string_view config) {
    for (std::string_view rest = config; auto line = next_part(rest, '\n');) {
      if (!line->starts_with("mount=")) continue;
      const Result<void> mounted = mount_line(line->substr(6));
      if (mounted.is_error()) {
        log_error("cannot mount as the configuration says ({}): {}", *line, mounted.error());
        return mounted;
      }
    }
    return {};
  }

  // A directory of the host, writable, where the tree has it.
  Result<void> mount_writable(std::string_view directory, std::string_view cwd) {
    String path = directory.starts_with('/') ? TRY(String::create(directory))
                                             : TRY(String::concat(cwd, "/", directory));
    Result<void> mounted = [&]() -> Result<void> {
      RefPtr<FileSystem> file_system = TRY(HostFs::create(path.view(), HostWrites::kAllowed));
      return mount(std::move(file_system), path.view(), path.view(), kMountNoSuid | kMountNoDev);
    }();
    if (mounted.is_error()) log_error("cannot make {} writable: {}", path, mounted.error());
    return mounted;
  }

 private:
  Path root_;
  Credentials credentials_;
};

Result<RefPtr<FileSystem>> instance_root(const Config& config) {
  Result<RefPtr<FileSystem>> image = open_root_image(config.root);
  if (image.is_error()) {
    log_error("cannot open the root image: {}", image.error());
    return image;
  }
  return writable_over(image.release_value());
}

Result<RefPtr<FileSystem>> host_root() {
  Result<RefPtr<HostFs>> host = HostFs::create("/", HostWrites::kForbidden);
  if (host.is_error()) {
    log_error("cannot open the host's root directory: {}", host.error());
    return host.error();
  }
  return writable_over(host.release_value());
}

// Under `occlum do` the host's files are read-only for programs too, whatever they mount.
Result<RefPtr<FileSystem>> read_only_host(const MountArguments& arguments) {
  if (!arguments.read_only) return Errno::kAcces;
  return HostFs::from_arguments(arguments);
}

}  // namespace

void register_storage_file_systems() {
  register_file_system("tmpfs", TmpFs::from_arguments);
  register_file_system("ramfs", TmpFs::from_arguments);
  register_file_system("hostfs", HostFs::from_arguments);
}

Result<RefPtr<FsContext>> mount_root(std::string_view config_text,
                                     std::span<const String> writable_dirs, std::string_view cwd) {
  const Config config = TRY(parse_config(config_text));
  const bool is_do = config.mode == Config::Mode::kDo;
  RefPtr<FileSystem> root_fs = TRY(is_do ? host_root() : instance_root(config));
  const Path root =
      TRY(mount_table().mount_root(std::move(root_fs), is_do ? "host" : "image", kMountNoDev));
  Planner planner(root);
  TRY(planner.make_path("/tmp", 01777));
  TRY(planner.mount_proc("/proc"));
  TRY(planner.mount_dev("/dev"));
  TRY(planner.mount_sys("/sys"));
  if (is_do) {
    TRY(planner.mount(TRY(fresh_tmpfs(0755)), "/run", "tmpfs", kMountNoSuid | kMountNoDev));
  }
  TRY(planner.mount_configured(config.text));
  for (const String& directory : writable_dirs) TRY(planner.mount_writable(directory.view(), cwd));
  if (is_do) register_file_system("hostfs", read_only_host);

  Path working = root;
  if (!cwd.empty()) {
    const WalkContext walk = planner.walk();
    Result<Path> found = lookup_path(walk, cwd, FollowLast::kYes, kWalkDirectory);
    if (!found.is_error()) working = found.release_value();
  }
  return FsContext::create(root, std::move(working));
}

}  // namespace occlum
