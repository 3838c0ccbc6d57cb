// The file system of type "dev": a fixed directory of device nodes and links, and pts/ with the
// ptys that there are. Opening a node goes by its device number, wherever a node with that number
// lies.
#include <algorithm>
#include <array>

#include "libos/fs/dev/devices.h"
#include "libos/fs/dev/memory_device.h"
#include "libos/fs/dev/standard_streams.h"
#include "libos/fs/dev/tty/pty.h"
#include "libos/fs/vfs/hooks.h"
#include "libos/fs/vfs/inode_attributes.h"
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/fifo.h"
#include "libos/ipc/message_queue.h"
#include "libos/lib/log.h"
#include "libos/lib/text.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

constexpr uint64_t kPtsInodeBase = 1000;

struct Node {
  std::string_view name;
  FileType type;
  uint32_t permissions;
  uint32_t major = 0, minor = 0;
  std::string_view target = {};
};

constexpr std::array kNodes = {
    Node{"console", FileType::kCharDevice, 0600, 5, 1},
    Node{"fd", FileType::kSymlink, 0777, 0, 0, "/proc/self/fd"},
    Node{"full", FileType::kCharDevice, 0666, 1, 7},
    Node{"mqueue", FileType::kDirectory, 01777},
    Node{"null", FileType::kCharDevice, 0666, 1, 3},
    Node{"ptmx", FileType::kCharDevice, 0666, 5, 2},
    Node{"pts", FileType::kDirectory, 0755},
    Node{"random", FileType::kCharDevice, 0666, 1, 8},
    Node{"shm", FileType::kDirectory, 01777},
    Node{"stderr", FileType::kSymlink, 0777, 0, 0, "/proc/self/fd/2"},
    Node{"stdin", FileType::kSymlink, 0777, 0, 0, "/proc/self/fd/0"},
    Node{"stdout", FileType::kSymlink, 0777, 0, 0, "/proc/self/fd/1"},
    Node{"tty", FileType::kCharDevice, 0666, 5, 0},
    Node{"urandom", FileType::kCharDevice, 0666, 1, 9},
    Node{"zero", FileType::kCharDevice, 0666, 1, 5},
};

constexpr uint64_t kRootIno = 1, kFirstNodeIno = 2;

class DevFileSystem final : public FileSystem {
 public:
  std::string_view type_name() const override { return "devtmpfs"; }
  Result<RefPtr<Inode>> root() override;
  Result<StatFs> statfs() override {
    StatFs stat;
    stat.type = 0x01021994;  // TMPFS_MAGIC, as devtmpfs says
    return stat;
  }
  // The root of a tmpfs that is /dev/shm until something is mounted there. An empty directory when
  // there is no tmpfs.
  Result<RefPtr<Inode>> shared_memory();

  // Of the root and of each of kNodes, by inode number - kRootIno.
  struct Attributes {
    std::array<InodeAttributes, 1 + kNodes.size()> of;
    Attributes();
  };
  SpinLocked<Attributes> attributes{LockRank::kAttributes};

 private:
  SpinLocked<RefPtr<Inode>> shared_memory_{LockRank::kPipe};
};

DevFileSystem::Attributes::Attributes() {
  const FileTime now = current_file_time();
  of[0].mode = type_bits(FileType::kDirectory) | 0755;
  for (size_t i = 0; i < kNodes.size(); ++i) {
    of[i + 1].mode = type_bits(kNodes[i].type) | kNodes[i].permissions;
  }
  for (InodeAttributes& each : of) each.atime = each.mtime = each.ctime = now;
}

Result<RefPtr<Inode>> DevFileSystem::shared_memory() {
  RefPtr<Inode> existing = shared_memory_.with([](RefPtr<Inode>& root) { return root; });
  if (existing != nullptr) return existing;
  RefPtr<FileSystem> memory =
      TRY(make_file_system("tmpfs", {.source = "tmpfs", .options = "mode=1777"}));
  RefPtr<Inode> fresh = TRY(memory->root());
  return shared_memory_.with([&](RefPtr<Inode>& root) {
    if (root == nullptr) root = std::move(fresh);
    return root;
  });
}

class DevInode : public Inode {
 public:
  DevInode(RefPtr<FileSystem> file_system, FileType type, uint64_t ino, uint64_t rdev = 0)
      : Inode(std::move(file_system), type), ino_(ino), rdev_(rdev) {}

  Result<Stat> stat() override {
    Stat stat;
    stat.dev = file_system().device();
    stat.ino = ino_;
    stat.nlink = is_directory() ? 2 : 1;
    stat.rdev = rdev_;
    attributes([&](InodeAttributes& own) { own.tell(stat); });
    return stat;
  }
  Result<void> set_attributes(const AttributeChange& change) override {
    const FileTime now = current_file_time();
    attributes([&](InodeAttributes& own) { own.apply(change, now); });
    return {};
  }

 private:
  template <typename Use>
  void attributes(Use use) {
    static_cast<DevFileSystem&>(file_system()).attributes.with([&](DevFileSystem::Attributes& all) {
      use(all.of.at(ino_ - kRootIno));
    });
  }

  const uint64_t ino_;
  const uint64_t rdev_;
};

class DevLink final : public DevInode {
 public:
  DevLink(RefPtr<FileSystem> file_system, uint64_t ino, std::string_view target)
      : DevInode(std::move(file_system), FileType::kSymlink, ino), target_(target) {}
  Result<String> read_link() override { return String::create(target_); }

 private:
  const std::string_view target_;
};

// An empty directory, to be mounted on.
class DevDirectory final : public DevInode {
 public:
  DevDirectory(RefPtr<FileSystem> file_system, uint64_t ino)
      : DevInode(std::move(file_system), FileType::kDirectory, ino) {}
  Result<RefPtr<Inode>> lookup(std::string_view) override { return Errno::kNoEnt; }
  Result<void> readdir(uint64_t, DirectoryEmitter) override { return {}; }
};

// The terminal has the attributes; it is not kept alive by its name.
class PtsInode final : public Inode {
 public:
  PtsInode(RefPtr<FileSystem> file_system, uint32_t number)
      : Inode(std::move(file_system), FileType::kCharDevice), number_(number) {}

  Result<Stat> stat() override {
    const RefPtr<PtyTerminal> pty = TRY(terminal());
    Stat stat = pty->inode().stat();
    stat.dev = file_system().device();
    stat.ino = kPtsInodeBase + number_;
    stat.rdev = pty->device();
    return stat;
  }
  Result<void> set_attributes(const AttributeChange& change) override {
    TRY(terminal())->inode().change(change);
    return {};
  }

 private:
  Result<RefPtr<PtyTerminal>> terminal() const {
    RefPtr<PtyTerminal> pty = find_pty(number_);
    if (pty == nullptr) return Errno::kIo;
    return pty;
  }

  const uint32_t number_;
};

class PtsDirectory final : public DevInode {
 public:
  PtsDirectory(RefPtr<FileSystem> file_system, uint64_t ino)
      : DevInode(std::move(file_system), FileType::kDirectory, ino) {}
  NameCaching name_caching() const override { return NameCaching::kNone; }

  Result<RefPtr<Inode>> lookup(std::string_view name) override {
    const auto number = parse_u64(name);
    if (number.is_error() || number.value() >= PtyTerminal::kMaxPtys) return Errno::kNoEnt;
    const auto known = static_cast<uint32_t>(number.value());
    if (find_pty(known) == nullptr) return Errno::kNoEnt;
    return RefPtr<Inode>(TRY(make_ref<PtsInode>(ref_to(file_system()), known)));
  }

  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override {
    for (const uint32_t number : TRY(pty_numbers())) {
      if (number < cookie) continue;
      std::array<char, 12> text;
      if (!emit({format_to(text, "{}", number), kPtsInodeBase + number, FileType::kCharDevice,
                 number + 1}))
        break;
    }
    return {};
  }
};

class DevRoot final : public DevInode {
 public:
  explicit DevRoot(RefPtr<FileSystem> file_system)
      : DevInode(std::move(file_system), FileType::kDirectory, kRootIno) {}

  Result<RefPtr<Inode>> lookup(std::string_view name) override {
    const auto* const node = std::ranges::find(kNodes, name, &Node::name);
    if (node == kNodes.end()) return Errno::kNoEnt;
    const auto ino = kFirstNodeIno + static_cast<uint64_t>(node - kNodes.begin());
    RefPtr<FileSystem> self = ref_to(file_system());
    if (node->name == "shm") {
      auto shared = static_cast<DevFileSystem&>(*self).shared_memory();
      if (!shared.is_error()) return shared;
    }
    if (node->name == "mqueue") {
      auto queues = make_file_system("mqueue", {});
      if (!queues.is_error()) return queues.value()->root();
    }
    if (node->name == "pts")
      return RefPtr<Inode>(TRY(make_ref<PtsDirectory>(std::move(self), ino)));
    switch (node->type) {
      case FileType::kDirectory:
        return RefPtr<Inode>(TRY(make_ref<DevDirectory>(std::move(self), ino)));
      case FileType::kSymlink:
        return RefPtr<Inode>(TRY(make_ref<DevLink>(std::move(self), ino, node->target)));
      default:
        return RefPtr<Inode>(TRY(make_ref<DevInode>(std::move(self), node->type, ino,
                                                    make_device(node->major, node->minor))));
    }
  }

  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override {
    for (uint64_t index = cookie; index < kNodes.size(); ++index) {
      const Node& node = kNodes[index];
      if (!emit({node.name, kFirstNodeIno + index, node.type, index + 1})) break;
    }
    return {};
  }
};

Result<RefPtr<Inode>> DevFileSystem::root() {
  return RefPtr<Inode>(TRY(make_ref<DevRoot>(RefPtr<FileSystem>(this))));
}

// --- opening by number ---

Result<RefPtr<File>> open_controlling_terminal(const Path& path, uint32_t flags) {
  const RefPtr<Session> session = current_thread().process().session();
  const RefPtr<File> file = session != nullptr ? session->terminal() : nullptr;
  if (file == nullptr || file->kind() != FileKind::kTerminal) return Errno::kNxIo;
  const RefPtr<Terminal> terminal = static_cast<TtyFile&>(*file).share_terminal();
  TRY(terminal->check_open(current_thread()));
  // The name that programs get stays /dev/tty.
  if (device_major(terminal->device()) == 5)
    return RefPtr<File>(TRY(make_ref<TtyFile>(terminal, flags, path)));
  const uint32_t number =
      (device_major(terminal->device()) - 136) * 256 + device_minor(terminal->device());
  return open_pty_slave(number, path, flags | kOpenNoCtty);
}

Result<RefPtr<File>> open_character_device(const Path& path, uint64_t device, uint32_t flags) {
  const uint32_t major = device_major(device), minor = device_minor(device);
  const uint32_t status = flags & kOpenStatus;
  if (major == 1) {
    switch (static_cast<MemoryDeviceKind>(minor)) {
      case MemoryDeviceKind::kNull:
      case MemoryDeviceKind::kZero:
      case MemoryDeviceKind::kFull:
      case MemoryDeviceKind::kRandom:
      case MemoryDeviceKind::kUrandom:
        return RefPtr<File>(
            TRY(make_ref<MemoryDevice>(static_cast<MemoryDeviceKind>(minor), path, status)));
    }
    return Errno::kNxIo;
  }
  if (major == 5 && minor == 0) return open_controlling_terminal(path, status);
  if (major == 5 && minor == 1) return open_console(path, status);
  if (major == 5 && minor == 2) return open_ptmx(path, status);
  if (major >= 136 && major <= 143) {
    return open_pty_slave((major - 136) * 256 + minor, path, status | (flags & kOpenNoCtty));
  }
  return Errno::kNxIo;
}

Result<RefPtr<File>> open_by_number(const Path& path, FileType type, uint64_t device,
                                    uint32_t flags) {
  if (type != FileType::kCharDevice) return Errno::kNxIo;
  return open_character_device(path, device, flags);
}

Result<RefPtr<FileSystem>> make_dev(const MountArguments&) {
  return RefPtr<FileSystem>(TRY(make_ref<DevFileSystem>()));
}

}  // namespace

void register_devices() {
  register_terminals();
  register_file_system("dev", make_dev);
  register_file_system("devtmpfs", make_dev);
  set_device_opener(open_by_number);
  register_fifos();
  register_message_queues();
}

}  // namespace occlum
