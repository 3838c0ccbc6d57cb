// Native Linux as the oracle of the VFS: random file operations run on our file systems and, in a chroot, on the kernel's;
// every result and, now and then, the whole trees are compared. For tmpfs, a union, and a writable hostfs.
//
// OCCLUM_FS_STEPS and OCCLUM_FS_SEED choose how many and which.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "libos/fs/hostfs/hostfs.h"
#include "libos/fs/tmpfs/tmpfs.h"
#include "libos/fs/union/union_fs.h"
#include "libos/fs/vfs/dentry_cache.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"

namespace occlum {
namespace {

using std::string;

enum class Kind { kTmpfs, kUnion, kHostfs };

string scratch_directory(const char* what) {
  string path = string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/occlum-fs-" +
                what + "-XXXXXX";
  return ::mkdtemp(path.data());
}

void remove_tree(const string& path) {
  if (::fork() == 0) ::execlp("rm", "rm", "-rf", path.c_str(), nullptr);
  int status;
  ::wait(&status);
}

// One description of everything below a directory, sorted, as text.
using Tree = std::map<string, string>;

class Ours {
 public:
  Path root;
  Credentials credentials;
  std::vector<RefPtr<File>> files = std::vector<RefPtr<File>>(4);

  WalkContext walk() const { return {root, root, &credentials}; }

  static int code(const Result<void>& result) {
    return result.is_error() ? static_cast<int>(result.error()) : 0;
  }

  int open(size_t slot, const string& path, int flags, unsigned mode) {
    files[slot] = nullptr;
    Result<RefPtr<File>> file = open_file(walk(), path, static_cast<uint32_t>(flags), mode, 022);
    if (file.is_error()) return static_cast<int>(file.error());
    files[slot] = file.release_value();
    return 0;
  }

  void describe(const Path& directory, const string& prefix, Tree& out) {
    Result<RefPtr<File>> opened = open_path(directory, credentials, kOpenReadOnly | kOpenDirectory);
    ASSERT_FALSE(opened.is_error());
    std::vector<std::pair<string, uint64_t>> names;
    // In small pieces, as a program with a small buffer would.
    for (bool more = true; more;) {
      int left = 3;
      more = false;
      ASSERT_FALSE(opened.value()
                       ->read_entries([&](const DirectoryEntry& entry) {
                         if (left-- == 0) return false;
                         names.emplace_back(string(entry.name), entry.ino);
                         return more = true;
                       })
                       .is_error());
    }
    for (const auto& [name, ino] : names) {
      if (name == "." || name == "..") continue;
      Result<RefPtr<Dentry>> child = lookup_child(directory.dentry, name, true);
      ASSERT_FALSE(child.is_error()) << name;
      const Path path{directory.mount, child.release_value()};
      ASSERT_FALSE(path.dentry->is_negative()) << prefix << name << " is listed but not found";
      ASSERT_EQ(out.count(prefix + name), 0u) << prefix << name << " is listed twice";
      const Stat stat = MUST(path.inode().stat());
      char text[128];
      std::snprintf(text, sizeof text, "mode %o size %llu nlink %u ", stat.mode,
                    path.inode().is_directory() ? 0ull : static_cast<unsigned long long>(stat.size),
                    path.inode().is_directory() ? 0u : stat.nlink);
      string line = text;
      if (path.inode().is_symlink()) {
        line += "-> " + string(MUST(path.inode().read_link()).view());
      } else if (path.inode().is_regular()) {
        std::vector<std::byte> bytes(stat.size);
        DataSink sink(bytes);
        EXPECT_EQ(MUST(path.inode().read_at(0, sink)), stat.size);
        line += string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      }
      out[prefix + name] = line;
      if (path.inode().is_directory()) describe(path, prefix + name + "/", out);
    }
  }
};

class Native {
 public:
  std::vector<int> files = std::vector<int>(4, -1);

  static int code(long result) { return result < 0 ? errno : 0; }

  int open(size_t slot, const string& path, int flags, unsigned mode) {
    if (files[slot] >= 0) ::close(files[slot]);
    files[slot] = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path.c_str(), flags, mode));
    return files[slot] < 0 ? errno : 0;
  }

  void describe(const string& path, const string& prefix, Tree& out) {
    DIR* directory = ::opendir(path.c_str());
    ASSERT_NE(directory, nullptr) << path;
    while (const dirent* entry = ::readdir(directory)) {
      const string name = entry->d_name;
      if (name == "." || name == "..") continue;
      const string child = path + "/" + name;
      struct stat stat;
      ::lstat(child.c_str(), &stat);
      char text[128];
      std::snprintf(text, sizeof text, "mode %o size %llu nlink %u ", stat.st_mode,
                    S_ISDIR(stat.st_mode) ? 0ull : static_cast<unsigned long long>(stat.st_size),
                    S_ISDIR(stat.st_mode) ? 0u : static_cast<unsigned>(stat.st_nlink));
      string line = text;
      if (S_ISLNK(stat.st_mode)) {
        char target[4096];
        line +=
            "-> " +
            string(target, static_cast<size_t>(::readlink(child.c_str(), target, sizeof target)));
      } else if (S_ISREG(stat.st_mode)) {
        string bytes(static_cast<size_t>(stat.st_size), '\0');
        const int fd = ::open(child.c_str(), O_RDONLY);
        EXPECT_EQ(::read(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
        ::close(fd);
        line += bytes;
      }
      out[prefix + name] = line;
      if (S_ISDIR(stat.st_mode)) describe(child, prefix + name + "/", out);
    }
    ::closedir(directory);
  }
};

class Driver {
 public:
  Driver(Kind kind, uint64_t seed) : kind_(kind), random_(seed) {}

  Ours ours;
  Native native;

  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  bool chance(uint32_t one_in) { return below(one_in) == 0; }

  string random_path() {
    static const char* const kNames[] = {"a", "b", "c", "d", "dir1", "dir2", "link", "file"};
    string path = chance(8) ? "/" : "";
    const uint32_t depth = 1 + below(3);
    for (uint32_t i = 0; i < depth; ++i) {
      if (i != 0) path += chance(20) ? "//" : "/";
      path += chance(25) ? ".." : chance(25) ? "." : kNames[below(8)];
    }
    if (chance(12)) path += "/";
    if (chance(300)) path = string(300, 'x');
    if (chance(300)) path = "";
    return path;
  }

  // Runs one operation on both. Ours first: what a union refuses is not done natively either.
  void step() {
    const string path = random_path(), other = random_path();
    switch (below(17)) {
      case 0:
      case 1: {
        static const int kFlags[] = {O_CREAT,     O_CREAT | O_EXCL,   0,
                                     O_TRUNC,     O_CREAT | O_TRUNC,  O_APPEND,
                                     O_DIRECTORY, O_NOFOLLOW,         O_CREAT | O_NOFOLLOW,
                                     O_PATH,      O_PATH | O_NOFOLLOW};
        const int flags = kFlags[below(11)] | static_cast<int>(below(3)) | O_NONBLOCK;
        const unsigned mode = chance(2) ? 0644 : 0777;
        const size_t slot = below(4);
        what_ = "open " + path + " " + std::to_string(flags);
        compare(ours.open(slot, path, flags, mode), native.open(slot, path, flags, mode));
        if (ours.files[slot] != nullptr) slot_flags_[slot] = flags;
        break;
      }
      case 2:
        two(
            "mkdir", path, [&] { return make_directory(ours.walk(), path, 0755, 022); },
            [&] { return ::mkdir(path.c_str(), 0755); });
        break;
      case 3:
        two(
            "rmdir", path, [&] { return remove_directory(ours.walk(), path); },
            [&] { return ::rmdir(path.c_str()); });
        break;
      case 4:
        two(
            "unlink", path, [&] { return remove_file(ours.walk(), path); },
            [&] { return ::unlink(path.c_str()); });
        break;
      case 5:
      case 6: {
        const uint32_t flags = chance(3) ? 1 + below(2) : 0;
        two(
            "rename " + std::to_string(flags) + " " + path + " to", other,
            [&] { return rename_path(ours.walk(), path, ours.walk(), other, flags); },
            [&] {
              return ::syscall(SYS_renameat2, AT_FDCWD, path.c_str(), AT_FDCWD, other.c_str(),
                               flags);
            });
        break;
      }
      case 7:
        two(
            "link " + path + " to", other,
            [&]() -> Result<void> {
              const Path target = TRY(lookup_path(ours.walk(), path, FollowLast::kNo));
              return make_link(target, ours.walk(), other);
            },
            [&] { return ::link(path.c_str(), other.c_str()); });
        break;
      case 8:
        two(
            "symlink " + path + " at", other,
            [&] { return make_symlink(ours.walk(), path, other); },
            [&] { return ::symlink(path.c_str(), other.c_str()); });
        break;
      case 9: {
        Result<Path> found =
            lookup_path(ours.walk(), path, chance(2) ? FollowLast::kYes : FollowLast::kNo);
        struct stat stat;
        what_ = "stat " + path;
        const bool follow = !found.is_error() && !found.value().inode().is_symlink();
        // Following and not: both are asked natively for the same answer.
        const int followed = Native::code(::stat(path.c_str(), &stat));
        const int not_followed = Native::code(::lstat(path.c_str(), &stat));
        const int mine = found.is_error() ? static_cast<int>(found.error()) : 0;
        EXPECT_TRUE(mine == followed || mine == not_followed)
            << what_ << ": " << mine << ", natively " << followed << " or " << not_followed
            << follow;
        break;
      }
      case 10:
        two(
            "chmod", path,
            [&]() -> Result<void> {
              return change_mode(TRY(lookup_path(ours.walk(), path, FollowLast::kYes)),
                                 ours.credentials, 0711);
            },
            [&] { return ::chmod(path.c_str(), 0711); });
        break;
      case 11: {
        const uint64_t size = below(20000);
        two(
            "truncate", path,
            [&]() -> Result<void> {
              return truncate_path(TRY(lookup_path(ours.walk(), path, FollowLast::kYes)),
                                   ours.credentials, size);
            },
            [&] { return ::truncate(path.c_str(), static_cast<off_t>(size)); });
        break;
      }
      case 12: {
        const Result<Path> found = lookup_path(ours.walk(), path, FollowLast::kNo);
        Result<String> target = Errno::kIo;
        if (found.is_error()) {
          target = found.error();
        } else {
          target = found.value().inode().read_link();
        }
        char buffer[4096];
        const long length = ::readlink(path.c_str(), buffer, sizeof buffer);
        what_ = "readlink " + path;
        compare(target.is_error() ? static_cast<int>(target.error()) : 0, Native::code(length));
        if (!target.is_error() && length >= 0) {
          EXPECT_EQ(string(target.value().view()), string(buffer, static_cast<size_t>(length)))
              << what_;
        }
        break;
      }
      default:
        file_step();
    }
  }

  void file_step() {
    const size_t slot = below(4);
    File* file = ours.files[slot].get();
    const int fd = native.files[slot];
    if (file == nullptr || fd < 0) return;
    if ((slot_flags_[slot] & O_PATH) != 0 || file->inode()->is_directory()) return;
    const uint64_t offset = below(12000);
    const size_t size = 1 + below(chance(4) ? 9000 : 50);
    const auto mine = [](const Result<size_t>& result) {
      return result.is_error() ? -static_cast<long>(result.error())
                               : static_cast<long>(result.value());
    };
    const auto theirs = [](long result) { return result < 0 ? -static_cast<long>(errno) : result; };
    std::vector<char> data(size, static_cast<char>('a' + below(26)));
    std::vector<char> got(size), expected(size);
    switch (below(6)) {
      case 0:
      case 1: {
        DataSource source(std::as_bytes(std::span(data)));
        what_ = "write of " + std::to_string(size);
        compare(mine(file->write(source)), theirs(::write(fd, data.data(), size)));
        break;
      }
      case 2: {
        DataSource source(std::as_bytes(std::span(data)));
        what_ = "pwrite of " + std::to_string(size) + " at " + std::to_string(offset);
        compare(mine(file->write_at(offset, source)),
                theirs(::pwrite(fd, data.data(), size, static_cast<off_t>(offset))));
        break;
      }
      case 3: {
        DataSink sink(std::as_writable_bytes(std::span(got)));
        what_ = "read of " + std::to_string(size);
        compare(mine(file->read(sink)), theirs(::read(fd, expected.data(), size)));
        EXPECT_EQ(got, expected) << what_;
        break;
      }
      case 4: {
        DataSink sink(std::as_writable_bytes(std::span(got)));
        what_ = "pread of " + std::to_string(size) + " at " + std::to_string(offset);
        compare(mine(file->read_at(offset, sink)),
                theirs(::pread(fd, expected.data(), size, static_cast<off_t>(offset))));
        EXPECT_EQ(got, expected) << what_;
        break;
      }
      default: {
        const int whence = static_cast<int>(below(3));
        const int64_t by = static_cast<int64_t>(offset) - 3000;
        const Result<uint64_t> result = file->seek(by, static_cast<Whence>(whence));
        what_ = "lseek " + std::to_string(by) + " from " + std::to_string(whence);
        compare(result.is_error() ? -static_cast<long>(result.error())
                                  : static_cast<long>(result.value()),
                theirs(::lseek(fd, by, whence)));
      }
    }
  }

  void compare_trees() {
    Tree mine, theirs;
    ours.describe(ours.root, "", mine);
    native.describe(".", "", theirs);
    EXPECT_EQ(mine, theirs);
  }

  void drop_cache() { dentry_cache().shrink(0); }

 private:
  void compare(long mine, long theirs) {
    EXPECT_EQ(mine, theirs) << what_ << ": " << mine << ", natively " << theirs;
  }
  template <typename Mine, typename Theirs>
  void two(const string& name, const string& path, Mine&& mine, Theirs&& theirs) {
    what_ = name + " " + path;
    const Result<void> result = mine();
    // The union's limit: directories with a lower part do not move.
    if (kind_ == Kind::kUnion && result.is_error() && result.error() == Errno::kXDev) return;
    compare(Ours::code(result), Native::code(theirs()));
  }

  const Kind kind_;
  std::mt19937_64 random_;
  string what_;
  int slot_flags_[4] = {};
};

// What a union's lower layer and the native tree start with.
void populate(const string& root) {
  const auto write = [&](const string& name, const string& text) {
    const int fd = ::open((root + "/" + name).c_str(), O_CREAT | O_WRONLY, 0644);
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(fd);
  };
  const auto mkdir = [&](const string& name) { ::mkdir((root + "/" + name).c_str(), 0755); };
  mkdir("dir1");
  mkdir("dir1/dir2");
  mkdir("dir2");
  mkdir("dir2/a");
  write("file", "the lower file");
  write("dir1/file", string(10000, 'z'));
  write("dir1/dir2/file", "deep");
  write("dir2/a/b", "b");
  EXPECT_EQ(::symlink("dir1/file", (root + "/link").c_str()), 0);
  EXPECT_EQ(::symlink("../dir2", (root + "/dir1/link").c_str()), 0);
}

// In a child process, which ends in a chroot.
void run_child(Kind kind, const string& native_root, const string& lower, uint64_t seed,
               uint64_t steps) {
  ::umask(022);
  RefPtr<FileSystem> file_system;
  switch (kind) {
    case Kind::kTmpfs:
      file_system = MUST(TmpFs::create({.root_mode = 0755}));
      break;
    case Kind::kHostfs:
      file_system = MUST(HostFs::create(lower, HostWrites::kAllowed));
      break;
    case Kind::kUnion: {
      Vec<RefPtr<FileSystem>> lowers;
      MUST(lowers.push(MUST(HostFs::create(lower, HostWrites::kForbidden))));
      file_system =
          MUST(UnionFs::create(std::move(lowers), MUST(TmpFs::create({.root_mode = 0755}))));
      break;
    }
  }
  if (::chroot(native_root.c_str()) != 0 || ::chdir("/") != 0) ::_exit(77);
  Driver driver(kind, seed);
  driver.ours.root = MUST(mount_table().mount_root(std::move(file_system), "test", 0));
  driver.compare_trees();
  for (uint64_t i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
    driver.step();
    if (i % 500 == 499) driver.compare_trees();
    if (i % 700 == 699) driver.drop_cache();
    if (::testing::Test::HasFailure()) std::fprintf(stderr, "seed %lu, step %lu\n", seed, i);
  }
  driver.compare_trees();
}

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void run(Kind kind, const char* name) {
  const uint64_t steps = number_from("OCCLUM_FS_STEPS", 4000);
  const uint64_t first_seed = number_from("OCCLUM_FS_SEED", 1);
  for (uint64_t seed = first_seed; seed < first_seed + 4; ++seed) {
    const string native = scratch_directory("native"), lower = scratch_directory(name);
    if (kind != Kind::kTmpfs) {
      populate(native);
      populate(lower);
    }
    ::chmod(native.c_str(), 0755);
    ::chmod(lower.c_str(), 0755);
    const pid_t child = ::fork();
    if (child == 0) {
      run_child(kind, native, lower, seed, steps);
      ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    remove_tree(native);
    remove_tree(lower);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "chroot is not permitted";
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << "seed " << seed << ", status " << status;
  }
}

TEST(FsDifferential, Tmpfs) { run(Kind::kTmpfs, "tmpfs"); }
TEST(FsDifferential, Union) { run(Kind::kUnion, "union"); }
TEST(FsDifferential, Hostfs) { run(Kind::kHostfs, "hostfs"); }

}  // namespace
}  // namespace occlum
