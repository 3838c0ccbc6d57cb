// hostfs: the file system, names and attributes. See hostfs.h; contents are in hostfs_data.cpp, changes of names in
// hostfs_names.cpp.
#include "libos/fs/hostfs/hostfs.h"

#include <algorithm>
#include <array>

#include "libos/fs/hostfs/host_calls.h"
#include "libos/fs/hostfs/host_directory.h"
#include "libos/fs/vfs/dentry_cache.h"
#include "libos/lib/bytes.h"
#include "libos/lib/log.h"

namespace occlum {

namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;
// How long a stat of the host is as good as a new one: for the last component of a path, for the directories before.
constexpr Nanoseconds kYoung = kMillisecond, kDirectoryAge = 1000 * kMillisecond;

constexpr size_t kLongestLink = 4096;

FileTime time_of(int64_t seconds, uint32_t nanoseconds) { return {seconds, nanoseconds}; }

}  // namespace

HostFs::HostFs(HostFd root, HostWrites writes) : root_(std::move(root)), writes_(writes) {}
HostFs::~HostFs() = default;

Result<RefPtr<HostFs>> HostFs::create(std::string_view path, HostWrites writes) {
  if (!path.starts_with('/')) return Errno::kInval;
  HostFd root =
      TRY(host::openat(host_calls::kAtCwd, path, host_calls::kPath | host_calls::kDirectory, 0));
  return make_ref<HostFs>(std::move(root), writes);
}

Result<RefPtr<FileSystem>> HostFs::from_arguments(const MountArguments& arguments) {
  return TRY(create(arguments.source,
                    arguments.read_only ? HostWrites::kForbidden : HostWrites::kAllowed));
}

Result<RefPtr<Inode>> HostFs::root() {
  const host::HostStat stat = TRY(host::fstat(root_.number()));
  if (type_of_mode(stat.mode) != FileType::kDirectory) return Errno::kNotDir;
  return TRY(inode_for(stat, nullptr, "."));
}

Result<StatFs> HostFs::statfs() {
  std::array<std::byte, 120> raw = {};
  TRY(host_calls::fstatfs(root_.number(), raw));
  const auto field = [&](size_t index) {
    return load_le<uint64_t>(std::span(raw).subspan(index * 8));
  };
  StatFs result;
  result.type = field(0);
  result.block_size = std::clamp<uint64_t>(field(1), 512, 1 << 24);
  result.blocks = field(2);
  result.blocks_free = field(3);
  result.blocks_available = field(4);
  result.files = field(5);
  result.files_free = field(6);
  return result;
}

Result<void> HostFs::sync() {
  if (is_read_only()) return {};
  Vec<RefPtr<HostInode>> inodes;
  TRY(state_.with([&](State& state) -> Result<void> {
    TRY(inodes.reserve(state.inodes.size()));
    state.inodes.for_each([&](const Key&, HostInode* inode) {
      if (inode->is_regular() && inode->try_ref())
        inodes.push_reserved(RefPtr<HostInode>::adopt(*inode));
    });
    return {};
  }));
  Result<void> result;
  for (const RefPtr<HostInode>& inode : inodes) {
    if (Result<void> one = inode->sync(false); one.is_error()) result = one;
  }
  return result;
}

uint64_t HostFs::device_index(State& state, uint64_t device) {
  for (size_t i = 0; i < state.devices.size(); ++i) {
    if (state.devices[i] == device) return i;
  }
  if (state.devices.push(device).is_error()) return hash_integer(device) & 0x7fff;
  return state.devices.size() - 1;
}

Result<RefPtr<HostInode>> HostFs::inode_for(const host::HostStat& stat, RefPtr<HostInode> parent,
                                            std::string_view name) {
  const FileType type = type_of_mode(stat.mode);
  if (!is_known_type(type)) return Errno::kIo;
  const Key key{stat.dev, stat.ino};
  String own_name = TRY(String::create(name));
  const auto known = [&](State& state) -> RefPtr<HostInode> {
    HostInode** found = state.inodes.find(key);
    // Numbers are used again: one of another type is another file.
    if (found == nullptr || (*found)->type() != type || !(*found)->try_ref()) return nullptr;
    return RefPtr<HostInode>::adopt(**found);
  };
  RefPtr<HostInode> inode = state_.with(known);
  if (inode == nullptr) {
    // The index of the device is in the top bits; the first device's numbers are the host's own.
    const uint64_t index = state_.with([&](State& state) { return device_index(state, stat.dev); });
    RefPtr<HostInode> fresh =
        TRY(make_ref<HostInode>(ref_to(*this), type, stat, stat.ino ^ (index << 48)));
    TRY(state_.with([&](State& state) -> Result<void> {
      inode = known(state);
      if (inode != nullptr) return {};
      TRY(state.inodes.insert(key, fresh.get()));
      inode = fresh;
      return {};
    }));
  }
  inode->note_stat(stat);
  inode->set_location(std::move(parent), std::move(own_name));
  return inode;
}

HostInode::HostInode(RefPtr<HostFs> file_system, FileType type, const host::HostStat& stat,
                     uint64_t number)
    : Inode(std::move(file_system), type),
      device_(stat.dev),
      ino_(stat.ino),
      number_(number),
      state_(LockRank::kInode) {
  state_.with([&](State& state) {
    state.stat = stat;
    state.checked = monotonic_now();
  });
}

HostInode::~HostInode() {
  fs().state_.with([&](HostFs::State& state) {
    const HostFs::Key key{device_, ino_};
    HostInode** own = state.inodes.find(key);
    if (own != nullptr && *own == this) state.inodes.remove(key);
  });
  RefPtr<HostPages> pages, outdated;
  Location location;
  state_.with([&](State& state) {
    pages = std::move(state.pages);
    outdated = std::move(state.outdated);
    location = std::move(state.location);
  });
  HostPages::retire(std::move(outdated));
  HostPages::retire(std::move(pages));
  drop_chain(std::move(location.parent), [](HostInode& inode) {
    return inode.state_.with([](State& state) { return std::move(state.location.parent); });
  });
}

bool HostInode::is_same_file(const host::HostStat& stat) const {
  return stat.dev == device_ && stat.ino == ino_ && type_of_mode(stat.mode) == type();
}

HostInode::Location HostInode::location() const {
  return state_.with([](const State& state) {
    Location copy;
    copy.parent = state.location.parent;
    // No memory: an empty name, which the host does not find.
    if (Result<String> name = state.location.name.clone(); !name.is_error())
      copy.name = name.release_value();
    return copy;
  });
}

void HostInode::set_location(RefPtr<HostInode> parent, String name) {
  state_.with([&](State& state) {
    std::swap(state.location.parent, parent);
    std::swap(state.location.name, name);
  });
}

void HostInode::note_stat(const host::HostStat& stat) {
  RefPtr<HostPages> gone;
  state_.with([&](State& state) {
    state.stat = stat;
    state.checked = monotonic_now();
    if (state.pages != nullptr && state.pages->version() != version_of(stat)) {
      gone = std::exchange(state.outdated, std::move(state.pages));
    }
  });
  HostPages::retire(std::move(gone));
}

void HostInode::note_links(int change) {
  state_.with([&](State& state) {
    // The number stands when the host cannot be asked any more, because no name is left.
    if (change > 0) ++state.stat.nlink;
    if (change < 0 && state.stat.nlink != 0) --state.stat.nlink;
    state.checked = 0;
  });
}

Result<HostInode::HostName> HostInode::host_name() {
  Location where = location();
  if (where.parent == nullptr)
    return HostName{ref_to(*this), fs().root_.number(), TRY(String::create("."))};
  const int directory = TRY(where.parent->directory_fd());
  return HostName{std::move(where.parent), directory, std::move(where.name)};
}

Result<HostFd> HostInode::open_host(int flags) {
  const HostName at = TRY(host_name());
  flags |= host_calls::kNoFollow;
  Result<HostFd> opened = host::openat(at.directory, at.name.view(), flags, 0);
  if (opened.is_error() && (opened.error() == Errno::kMFile || opened.error() == Errno::kNFile)) {
    // Cached directories hold descriptors of the host.
    dentry_cache().shrink(dentry_cache().size() / 2);
    opened = host::openat(at.directory, at.name.view(), flags, 0);
  }
  // ELOOP is O_NOFOLLOW's: it was no link when we looked.
  if (opened.is_error() && (opened.error() == Errno::kNoEnt || opened.error() == Errno::kLoop))
    return Errno::kStale;
  HostFd fd = TRY(std::move(opened));
  const host::HostStat stat = TRY(host::fstat(fd.number()));
  if (!is_same_file(stat)) return Errno::kStale;
  note_stat(stat);
  return fd;
}

Result<int> HostInode::directory_fd() {
  const int open = state_.with([&](const State& state) {
    if (state.location.parent == nullptr) return fs().root_.number();
    return state.directory.is_open() ? state.directory.number() : -1;
  });
  if (open >= 0) return open;
  HostFd fresh = TRY(open_host(host_calls::kPath | host_calls::kDirectory));
  return state_.with([&](State& state) {
    if (!state.directory.is_open()) state.directory = std::move(fresh);
    return state.directory.number();
  });
}

Result<host::HostStat> HostInode::fetch_stat() {
  const RefPtr<HostPages> pages = state_.with([](const State& state) { return state.pages; });
  if (pages != nullptr) {
    const Result<int> fd = pages->descriptor(HostPages::Need::kRead);
    if (!fd.is_error()) return host::fstat(fd.value());
  }
  const HostName at = TRY(host_name());
  const host::HostStat stat =
      TRY(host::fstatat(at.directory, at.name.view(), host_calls::kSymlinkNoFollow));
  if (!is_same_file(stat)) return Errno::kStale;
  return stat;
}

Result<host::HostStat> HostInode::fresh_stat(Nanoseconds age) {
  host::HostStat known;
  const bool is_fresh = state_.with([&](const State& state) {
    known = state.stat;
    return monotonic_now() - state.checked <= age;
  });
  if (is_fresh) return known;
  const Result<host::HostStat> fetched = fetch_stat();
  // The name is gone on the host: what is open lives on with what was known.
  if (fetched.is_error()) return known;
  note_stat(fetched.value());
  return fetched.value();
}

Result<Stat> HostInode::stat() {
  const host::HostStat raw = TRY(fresh_stat(kYoung));
  Stat stat;
  stat.dev = file_system().device();
  stat.ino = number_;
  stat.mode = raw.mode & ~(kModeSetUid | kModeSetGid);
  // A set-gid directory gives its group to new files, which is no privilege.
  if (is_directory()) stat.mode |= raw.mode & kModeSetGid;
  stat.nlink = static_cast<uint32_t>(std::min<uint64_t>(raw.nlink, UINT32_MAX));
  stat.uid = raw.uid;
  stat.gid = raw.gid;
  stat.rdev = raw.rdev;
  stat.size = raw.size;
  stat.blksize = raw.blksize;
  stat.blocks = raw.blocks;
  stat.atime = time_of(raw.atime_s, raw.atime_ns);
  stat.mtime = time_of(raw.mtime_s, raw.mtime_ns);
  stat.ctime = time_of(raw.ctime_s, raw.ctime_ns);
  return stat;
}

Result<RefPtr<Inode>> HostInode::lookup(std::string_view name) {
  if (!is_directory()) return Errno::kNotDir;
  if (!host_calls::is_plain_name(name)) return Errno::kNoEnt;
  const int directory = TRY(directory_fd());
  const host::HostStat stat = TRY(host::fstatat(directory, name, host_calls::kSymlinkNoFollow));
  return TRY(fs().inode_for(stat, ref_to(*this), name));
}

bool HostInode::revalidate(std::string_view name, Inode* child, bool last) {
  if (child != nullptr) {
    const Nanoseconds age = last ? kYoung : kDirectoryAge;
    const bool is_fresh = static_cast<HostInode*>(child)->state_.with([&](const State& state) {
      return monotonic_now() - state.checked <= age && state.location.parent == this &&
             state.location.name == name;
    });
    if (is_fresh) return true;
  }
  const Result<int> directory = directory_fd();
  if (directory.is_error()) return false;
  const Result<host::HostStat> stat =
      host::fstatat(directory.value(), name, host_calls::kSymlinkNoFollow);
  if (child == nullptr) return stat.is_error() && stat.error() == Errno::kNoEnt;
  if (stat.is_error()) return false;
  HostInode& inode = static_cast<HostInode&>(*child);
  if (!inode.is_same_file(stat.value())) return false;
  inode.note_stat(stat.value());
  Result<String> own_name = String::create(name);
  if (own_name.is_error()) return false;
  inode.set_location(ref_to(*this), own_name.release_value());
  return true;
}

Result<void> HostInode::refresh_names() {
  const host::HostStat before = TRY(fresh_stat(0));
  // A directory that changed within the last second may change again without another time stamp.
  const bool settled = current_file_time().seconds - before.mtime_s > 1;
  const bool known = state_.with([&](const State& state) {
    return settled && state.has_names && state.names_version == version_of(before);
  });
  if (known) return {};
  const HostFd fd = TRY(open_host(host_calls::kDirectory));
  // The host is read without the lock; names go into the snapshot a buffer at a time.
  return state_.with([&](State& state) -> Result<void> {
    state.names.begin_update();
    TRY(read_host_directory(fd.number(), [&](const HostEntry& entry) {
      return state.names.add(entry.name, entry.ino, entry.type);
    }));
    state.names.finish_update();
    state.names_version = version_of(before);
    state.has_names = true;
    return {};
  });
}

Result<void> HostInode::readdir(uint64_t cookie, DirectoryEmitter emit) {
  if (!is_directory()) return Errno::kNotDir;
  const bool has_names = state_.with([](const State& state) { return state.has_names; });
  if (cookie == 0 || !has_names) TRY(refresh_names());
  state_.with([&](const State& state) { state.names.emit(cookie, emit); });
  return {};
}

Result<String> HostInode::read_link() {
  if (!is_symlink()) return Errno::kInval;
  // The text of a link never changes: another text is another inode.
  Result<String> known = state_.with([](const State& state) { return state.target.clone(); });
  if (known.is_error() || !known.value().is_empty()) return known;
  const HostName at = TRY(host_name());
  Vec<char> buffer = TRY(Vec<char>::create(kLongestLink));
  const size_t length = TRY(host::readlinkat(at.directory, at.name.view(), buffer.span()));
  const std::string_view text = bytes_text(std::as_bytes(buffer.span().first(length)));
  if (text.empty() || length == kLongestLink || text.find('\0') != std::string_view::npos)
    return Errno::kIo;
  String copy = TRY(String::create(text));
  String result = TRY(String::create(text));
  state_.with([&](State& state) { state.target = std::move(copy); });
  return result;
}

}  // namespace occlum
