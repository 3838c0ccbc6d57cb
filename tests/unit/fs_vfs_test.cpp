// The rules of the VFS that a comparison with the host's kernel as root does not show: permissions, mounts, getcwd, the
// descriptor table, locks, copy-up, limits.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "libos/fs/file_table.h"
#include "libos/fs/tmpfs/tmpfs.h"
#include "libos/fs/union/union_fs.h"
#include "libos/fs/vfs/dentry_cache.h"
#include "libos/fs/vfs/file_limit.h"
#include "libos/fs/vfs/file_locks.h"
#include "libos/fs/vfs/leases.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"

namespace occlum {
namespace {

using std::string;

class Vfs : public ::testing::Test {
 protected:
  void SetUp() override {
    if (mount_table().root().is_null()) {
      MUST(mount_table().mount_root(MUST(TmpFs::create({.root_mode = 0755})), "test", 0));
    }
    // Every test has its own file system.
    static int number = 0;
    const string name = "/test" + std::to_string(number++);
    const Path top = mount_table().root();
    const WalkContext walk{top, top, &root_};
    MUST(make_directory(walk, name, 0755, 0));
    MUST(mount_table().mount(MUST(TmpFs::create({.root_mode = 0755})),
                             MUST(lookup_path(walk, name, FollowLast::kYes)), "test", 0));
    at_ = MUST(lookup_path(walk, name, FollowLast::kYes));
    user_.fsuid = user_.ruid = 1000;
    user_.fsgid = user_.rgid = 1000;
    user_.capabilities = 0;
  }

  WalkContext as(const Credentials& who) const { return {at_, at_, &who}; }
  WalkContext walk() const { return as(root_); }

  static Errno error(const auto& result) {
    return result.is_error() ? result.error() : static_cast<Errno>(1000);
  }
  static constexpr Errno kOk = static_cast<Errno>(1000);

  Result<RefPtr<File>> open(const string& path, uint32_t flags, uint32_t mode = 0644) {
    return open_file(walk(), path, flags, mode, 022);
  }
  void write(const string& path, const string& text) {
    const RefPtr<File> file = MUST(open(path, kOpenCreate | kOpenReadWrite | kOpenTruncate));
    DataSource source(std::as_bytes(std::span(text.data(), text.size())));
    ASSERT_EQ(MUST(file->write(source)), text.size());
  }
  static string read(File& file) {
    std::vector<char> buffer(100000);
    DataSink sink(std::as_writable_bytes(std::span(buffer)));
    return string(buffer.data(), MUST(file.read_at(0, sink)));
  }
  string read(const string& path) { return read(*MUST(open(path, kOpenReadOnly))); }
  Path find(const string& path) { return MUST(lookup_path(walk(), path, FollowLast::kYes)); }
  string name_of(const Path& path) {
    return string(MUST(path_to_string(path, at_, DeletedNames::kMarkDeleted)).view());
  }

  Path at_;
  Credentials root_, user_;
};

TEST_F(Vfs, PermissionsOfTheOwnerTheGroupAndOthers) {
  write("file", "text");
  MUST(change_owner(find("file"), root_, 1000, 50));
  MUST(change_mode(find("file"), root_, 0460));
  EXPECT_EQ(error(open_file(as(user_), "file", kOpenReadOnly, 0, 0)), kOk);
  EXPECT_EQ(error(open_file(as(user_), "file", kOpenReadWrite, 0, 0)), Errno::kAcces);
  user_.fsuid = 1001;
  EXPECT_EQ(error(open_file(as(user_), "file", kOpenReadOnly, 0, 0)), Errno::kAcces);
  MUST(user_.groups.push(50));
  EXPECT_EQ(error(open_file(as(user_), "file", kOpenReadWrite, 0, 0)), kOk);
  EXPECT_EQ(error(open_file(as(user_), "new", kOpenCreate | kOpenReadWrite, 0644, 0)),
            Errno::kAcces);
  EXPECT_EQ(error(change_mode(find("file"), user_, 0777)), Errno::kPerm);
}

TEST_F(Vfs, EveryDirectoryOnTheWayNeedsSearchPermission) {
  MUST(make_directory(walk(), "closed", 0700, 0));
  MUST(make_directory(walk(), "closed/open", 0777, 0));
  write("closed/open/file", "x");
  EXPECT_EQ(error(lookup_path(as(user_), "closed/open/file", FollowLast::kYes)), Errno::kAcces);
  EXPECT_EQ(error(lookup_path(as(user_), "closed/none", FollowLast::kYes)), Errno::kAcces);
  MUST(change_mode(find("closed"), root_, 0711));
  EXPECT_EQ(error(lookup_path(as(user_), "closed/open/file", FollowLast::kYes)), kOk);
}

TEST_F(Vfs, AStickyDirectoryKeepsOthersFiles) {
  MUST(make_directory(walk(), "tmp", 01777, 0));
  write("tmp/roots", "x");
  MUST(open_file(as(user_), "tmp/mine", kOpenCreate | kOpenReadWrite, 0644, 0));
  EXPECT_EQ(error(remove_file(as(user_), "tmp/roots")), Errno::kPerm);
  EXPECT_EQ(error(rename_path(as(user_), "tmp/mine", as(user_), "tmp/roots", 0)), Errno::kPerm);
  EXPECT_EQ(error(remove_file(as(user_), "tmp/mine")), kOk);
}

TEST_F(Vfs, SetGidDirectoriesGiveTheirGroup) {
  MUST(make_directory(walk(), "group", 0777, 0));
  MUST(change_owner(find("group"), root_, 0, 77));
  MUST(change_mode(find("group"), root_, 02777));
  MUST(open_file(as(user_), "group/file", kOpenCreate | kOpenReadWrite, 0644, 0));
  MUST(make_directory(as(user_), "group/sub", 0755, 0));
  EXPECT_EQ(MUST(find("group/file").inode().stat()).gid, 77u);
  EXPECT_EQ(MUST(find("group/sub").inode().stat()).mode, 0042755u);
}

TEST_F(Vfs, FortyLinksAreFollowedAndNotOneMore) {
  write("target", "here");
  string last = "target";
  for (int i = 0; i < 41; ++i) {
    const string name = "link" + std::to_string(i);
    MUST(make_symlink(walk(), last, name));
    last = name;
  }
  EXPECT_EQ(error(lookup_path(walk(), "link39", FollowLast::kYes)), kOk);
  EXPECT_EQ(error(lookup_path(walk(), "link40", FollowLast::kYes)), Errno::kLoop);
  EXPECT_EQ(error(lookup_path(walk(), "link40", FollowLast::kNo)), kOk);
}

TEST_F(Vfs, LongNamesAndPaths) {
  EXPECT_EQ(error(make_directory(walk(), string(255, 'n'), 0755, 0)), kOk);
  EXPECT_EQ(error(make_directory(walk(), string(256, 'n'), 0755, 0)), Errno::kNameTooLong);
  EXPECT_EQ(error(lookup_path(walk(), string(4095, '/'), FollowLast::kYes)), kOk);
  EXPECT_EQ(error(lookup_path(walk(), string(4096, '/'), FollowLast::kYes)), Errno::kNameTooLong);
}

TEST_F(Vfs, ResolveFlagsConfineAWalk) {
  MUST(make_directory(walk(), "jail", 0755, 0));
  write("jail/file", "in");
  write("outside", "out");
  MUST(make_symlink(walk(), "../outside", "jail/up"));
  MUST(make_symlink(walk(), "/file", "jail/absolute"));
  WalkContext jail = walk();
  jail.start = find("jail");
  EXPECT_EQ(error(lookup_path(jail, "file", FollowLast::kYes, kWalkBeneath)), kOk);
  EXPECT_EQ(error(lookup_path(jail, "../outside", FollowLast::kYes, kWalkBeneath)), Errno::kXDev);
  EXPECT_EQ(error(lookup_path(jail, "up", FollowLast::kYes, kWalkBeneath)), Errno::kXDev);
  EXPECT_EQ(error(lookup_path(jail, "absolute", FollowLast::kYes, kWalkBeneath)), Errno::kXDev);
  EXPECT_EQ(error(lookup_path(jail, "absolute", FollowLast::kYes, kWalkInRoot)), kOk);
  EXPECT_EQ(error(lookup_path(jail, "up", FollowLast::kYes, kWalkInRoot)), Errno::kNoEnt);
  EXPECT_EQ(error(lookup_path(jail, "up", FollowLast::kYes, kWalkNoSymlinks)), Errno::kLoop);
}

TEST_F(Vfs, MountsAreCrossedBothWays) {
  MUST(make_directory(walk(), "mnt", 0755, 0));
  write("mnt/hidden", "below");
  MUST(mount_table().mount(MUST(TmpFs::create({.root_mode = 0755})), find("mnt"), "second",
                           kMountReadOnly));
  EXPECT_EQ(error(lookup_path(walk(), "mnt/hidden", FollowLast::kYes)), Errno::kNoEnt);
  EXPECT_EQ(find("mnt/.."), at_);
  EXPECT_EQ(find("mnt/../mnt/."), find("mnt"));
  EXPECT_EQ(name_of(find("mnt")), "/mnt");
  EXPECT_EQ(error(open("mnt/new", kOpenCreate | kOpenReadWrite)), Errno::kRoFs);
  EXPECT_EQ(error(rename_path(walk(), "mnt", walk(), "other", 0)), Errno::kBusy);
  EXPECT_EQ(error(remove_directory(walk(), "mnt")), Errno::kBusy);
  EXPECT_EQ(error(lookup_path(walk(), "mnt", FollowLast::kYes, kWalkNoXDev)), Errno::kXDev);
  {
    const Path used = find("mnt");
    const Path again = used;
    EXPECT_EQ(error(mount_table().unmount(used, MountTable::Unmount::kIfIdle)), Errno::kBusy);
  }
  EXPECT_EQ(error(mount_table().unmount(find("mnt"), MountTable::Unmount::kIfIdle)), kOk);
  EXPECT_EQ(read("mnt/hidden"), "below");
}

TEST_F(Vfs, NamesOfDirectoriesThatMoveAndGo) {
  MUST(make_directory(walk(), "a", 0755, 0));
  MUST(make_directory(walk(), "a/b", 0755, 0));
  const Path inner = find("a/b");
  EXPECT_EQ(name_of(inner), "/a/b");
  MUST(rename_path(walk(), "a", walk(), "z", 0));
  EXPECT_EQ(name_of(inner), "/z/b");
  MUST(make_directory(walk(), "y", 0755, 0));
  MUST(rename_path(walk(), "z/b", walk(), "y", 0));
  EXPECT_EQ(name_of(inner), "/y");
  WalkContext here = walk();
  here.start = inner;
  EXPECT_EQ(MUST(lookup_path(here, "..", FollowLast::kYes)), at_);
  EXPECT_EQ(error(rename_path(walk(), "y", walk(), "y/inside", 0)), Errno::kInval);
  MUST(remove_directory(walk(), "y"));
  EXPECT_EQ(name_of(inner), "/y (deleted)");
  EXPECT_EQ(error(path_to_string(inner, at_, DeletedNames::kRefuse)), Errno::kNoEnt);
  EXPECT_EQ(error(open_file(here, "new", kOpenCreate | kOpenReadWrite, 0644, 0)), Errno::kNoEnt);
}

TEST_F(Vfs, AnUnlinkedFileLivesOnWhileOpen) {
  write("file", "still here");
  const RefPtr<File> file = MUST(open("file", kOpenReadOnly));
  MUST(remove_file(walk(), "file"));
  EXPECT_EQ(read(*file), "still here");
  EXPECT_EQ(MUST(file->stat()).nlink, 0u);
  EXPECT_EQ(error(make_link(*file->path(), walk(), "again")), Errno::kNoEnt);
}

TEST_F(Vfs, AnUnnamedFileCanBeGivenAName) {
  const RefPtr<File> file = MUST(open(".", kOpenTmpFile | kOpenReadWrite, 0600));
  EXPECT_EQ(MUST(file->stat()).nlink, 0u);
  MUST(make_link(*file->path(), walk(), "named"));
  EXPECT_EQ(MUST(find("named").inode().stat()).nlink, 1u);
  EXPECT_EQ(error(open(".", kOpenTmpFile | kOpenReadOnly)), Errno::kInval);
}

TEST_F(Vfs, ATmpfsHasALimit) {
  MUST(make_directory(walk(), "small", 0755, 0));
  const MountArguments arguments{.options = "size=64k,nr_inodes=5"};
  MUST(mount_table().mount(MUST(TmpFs::from_arguments(arguments)), find("small"), "tmpfs", 0));
  const RefPtr<File> file = MUST(open("small/file", kOpenCreate | kOpenReadWrite));
  const std::vector<std::byte> data(100000);
  DataSource source(data);
  EXPECT_EQ(MUST(file->write(source)), 65536u);
  DataSource more(std::span(data).first(10));
  EXPECT_EQ(error(file->write(more)), Errno::kNoSpc);
  DataSource over(std::span(data).first(10));
  EXPECT_EQ(MUST(file->write_at(100, over)), 10u);
  MUST(file->truncate(0));
  EXPECT_EQ(MUST(stat_file_system(find("small"))).blocks_free, 16u);
  for (const char* name : {"a", "b", "c"}) write(string("small/") + name, "");
  EXPECT_EQ(error(open("small/d", kOpenCreate | kOpenReadWrite)), Errno::kNoSpc);
  MUST(remove_file(walk(), "small/a"));
  EXPECT_EQ(error(open("small/d", kOpenCreate | kOpenReadWrite)), kOk);
}

TEST_F(Vfs, HolesAreSeen) {
  const RefPtr<File> file = MUST(open("sparse", kOpenCreate | kOpenReadWrite));
  const std::byte one[1] = {std::byte{1}};
  DataSource source(one);
  MUST(file->write_at(1 << 20, source));
  EXPECT_EQ(MUST(file->stat()).size, (1u << 20) + 1);
  EXPECT_EQ(MUST(file->stat()).blocks, 8u);
  EXPECT_EQ(MUST(file->seek(0, Whence::kData)), 1u << 20);
  EXPECT_EQ(MUST(file->seek(0, Whence::kHole)), 0u);
  EXPECT_EQ(MUST(file->seek(1 << 20, Whence::kHole)), (1u << 20) + 1);
  EXPECT_EQ(error(file->seek(2 << 20, Whence::kData)), Errno::kNxIo);
}

TEST_F(Vfs, XattrsOfTmpfs) {
  write("file", "");
  Inode& inode = find("file").inode();
  const std::byte value[2] = {std::byte{1}, std::byte{2}};
  MUST(inode.set_xattr("user.a", value, kXattrCreate));
  EXPECT_EQ(error(inode.set_xattr("user.a", value, kXattrCreate)), Errno::kExist);
  EXPECT_EQ(error(inode.set_xattr("user.b", value, kXattrReplace)), Errno::kNoData);
  EXPECT_EQ(MUST(inode.get_xattr("user.a")).size(), 2u);
  EXPECT_EQ(string(MUST(inode.list_xattr()).view()), string("user.a\0", 7));
  MUST(inode.remove_xattr("user.a"));
  EXPECT_EQ(error(inode.get_xattr("user.a")), Errno::kNoData);
}

// --- descriptors ---

TEST_F(Vfs, TheLowestDescriptorIsTaken) {
  write("file", "");
  const RefPtr<File> file = MUST(open("file", kOpenReadOnly));
  const RefPtr<FileTable> table = MUST(FileTable::create());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(MUST(table->install(file)), i);
  MUST(table->close(1));
  MUST(table->close(3));
  {
    FdReservation pair = MUST(table->reserve(2));
    EXPECT_EQ(pair[0], 1);
    EXPECT_EQ(pair[1], 3);
    EXPECT_EQ(error(table->get(1)), Errno::kBadFd);
    EXPECT_EQ(error(table->duplicate(0, 1, CloseOnExec::kNo)), Errno::kBusy);
  }
  EXPECT_EQ(MUST(table->install(file)), 1);
  EXPECT_EQ(MUST(table->install_at_least(10, file, CloseOnExec::kYes)), 10);
  set_file_limit_caller({.descriptor_limit = [] { return uint64_t{11}; }});
  EXPECT_EQ(error(table->install_at_least(10, file, CloseOnExec::kNo)), Errno::kMFile);
  EXPECT_EQ(error(table->install_at_least(11, file, CloseOnExec::kNo)), Errno::kInval);
  set_file_limit_caller({});
  const RefPtr<FileTable> copy = MUST(table->clone());
  copy->close_on_exec();
  EXPECT_EQ(error(copy->get(10)), Errno::kBadFd);
  EXPECT_EQ(error(table->get(10)), kOk);
  copy->close_range(1, 3);
  EXPECT_EQ(MUST(copy->numbers()).size(), 2u);
}

TEST_F(Vfs, OpenFilesAreCounted) {
  write("file", "");
  const RefPtr<File> file = MUST(open("file", kOpenReadOnly));
  const RefPtr<FileTable> table = MUST(FileTable::create());
  const uint64_t before = most_files();
  MUST(set_most_files(live_objects<File>()));
  set_file_limit_caller({.is_privileged = [] { return false; }});
  EXPECT_EQ(error(table->reserve(1)), Errno::kNFile);
  EXPECT_EQ(MUST(table->install_open(file)), 0);
  set_file_limit_caller({.is_privileged = [] { return true; }});
  EXPECT_EQ(MUST(table->reserve(1))[0], 1);
  set_file_limit_caller({});
  MUST(set_most_files(before));
}

TEST_F(Vfs, LeasesAreForThoseWhoHaveAFileAlone) {
  write("file", "");
  RefPtr<File> reader = MUST(open("file", kOpenReadOnly));
  MUST(set_lease(*reader, LeaseType::kWrite, 3, {.number = 7}));
  EXPECT_EQ(reader->io_signals()->owner().number, 7);
  EXPECT_EQ(error(open("file", kOpenReadOnly | kOpenNonblock)), Errno::kAgain);
  EXPECT_EQ(lease_of(*reader), LeaseType::kRead);
  MUST(set_lease(*reader, LeaseType::kRead, 3, {.number = 7}));
  const RefPtr<File> second = MUST(open("file", kOpenReadOnly | kOpenNonblock));
  EXPECT_EQ(error(set_lease(*second, LeaseType::kWrite, 4, {})), Errno::kAgain);
  EXPECT_EQ(error(open("file", kOpenReadWrite | kOpenNonblock)), Errno::kAgain);
  EXPECT_EQ(lease_of(*reader), LeaseType::kNone);
  reader = nullptr;
  EXPECT_EQ(error(open("file", kOpenReadWrite | kOpenNonblock)), kOk);
}

TEST_F(Vfs, RecordLocksSplitAndJoin) {
  const OwnPtr<FileLocks> made = MUST(FileLocks::create(1, 2));
  FileLocks& locks = *made;
  const int a = 0, b = 0;
  const auto lock = [](const void* owner, LockType type, uint64_t start, uint64_t end) {
    return RecordLock{owner, 1, type, start, end};
  };
  MUST(locks.set(lock(&a, LockType::kWrite, 0, 99), LockWait::kNo));
  MUST(locks.set(lock(&a, LockType::kUnlock, 40, 59), LockWait::kNo));
  EXPECT_EQ(MUST(locks.snapshot()).records.size(), 2u);
  EXPECT_EQ(error(locks.set(lock(&b, LockType::kRead, 30, 45), LockWait::kNo)), Errno::kAgain);
  EXPECT_EQ(locks.test(lock(&b, LockType::kRead, 30, 45)).end, 39u);
  MUST(locks.set(lock(&b, LockType::kRead, 40, 59), LockWait::kNo));
  EXPECT_EQ(error(locks.set(lock(&a, LockType::kWrite, 0, 99), LockWait::kNo)), Errno::kAgain);
  MUST(locks.set(lock(&a, LockType::kRead, 0, 99), LockWait::kNo));
  EXPECT_EQ(MUST(locks.snapshot()).records.size(), 2u);
  locks.release_owner(&a);
  EXPECT_EQ(MUST(locks.snapshot()).records.size(), 1u);
}

// --- union ---

TEST_F(Vfs, AUnionCopiesUpAndKeepsItsNumbers) {
  for (const char* name : {"lower", "merged"}) MUST(make_directory(walk(), name, 0755, 0));
  MUST(make_directory(walk(), "lower/dir", 0750, 0));
  write("lower/dir/file", "from below");
  write("lower/other", "other");
  // The layers are file systems of their own: a tmpfs that is filled through a mount, then used as a layer.
  const RefPtr<TmpFs> lower = MUST(TmpFs::create({.root_mode = 0755}));
  const RefPtr<Inode> lower_root = MUST(lower->root());
  const RefPtr<Inode> dir = MUST(lower_root->create("dir", {.mode = 0040750}));
  const RefPtr<Inode> file = MUST(dir->create("file", {.mode = 0100644, .uid = 5, .gid = 6}));
  DataSource source(std::as_bytes(std::span("from below", 10)));
  MUST(file->write_at(0, source));
  MUST(dir->create("gone", {.mode = 0100644}));

  class Layer final : public FileSystem {  // gives the root that was filled
   public:
    explicit Layer(RefPtr<Inode> root) : root_(std::move(root)) {}
    std::string_view type_name() const override { return "layer"; }
    Result<RefPtr<Inode>> root() override { return root_; }
    Result<StatFs> statfs() override { return StatFs(); }

   private:
    RefPtr<Inode> root_;
  };
  Vec<RefPtr<FileSystem>> lowers;
  MUST(lowers.push(MUST(make_ref<Layer>(lower_root))));
  MUST(mount_table().mount(
      MUST(UnionFs::create(std::move(lowers), MUST(TmpFs::create({.root_mode = 0755})))),
      find("merged"), "overlay", 0));
  const Stat before = MUST(find("merged/dir/file").inode().stat());
  const RefPtr<File> reader = MUST(open("merged/dir/file", kOpenReadOnly));
  EXPECT_EQ(read(*reader), "from below");
  const RefPtr<File> writer = MUST(open("merged/dir/file", kOpenReadWrite));
  DataSource more(std::as_bytes(std::span("FROM", 4)));
  MUST(writer->write(more));
  EXPECT_EQ(read(*reader), "FROM below") << "an open file follows the copy";
  const Stat after = MUST(find("merged/dir/file").inode().stat());
  EXPECT_EQ(before.ino, after.ino);
  EXPECT_EQ(before.dev, after.dev);
  EXPECT_EQ(after.uid, 5u);
  EXPECT_EQ(MUST(find("merged/dir").inode().stat()).mode, 0040750u);
  dentry_cache().shrink(0);
  EXPECT_EQ(MUST(find("merged/dir/file").inode().stat()).ino, before.ino);
  MUST(remove_file(walk(), "merged/dir/gone"));
  EXPECT_EQ(error(lookup_path(walk(), "merged/dir/gone", FollowLast::kYes)), Errno::kNoEnt);
  EXPECT_FALSE(dir->lookup("gone").is_error()) << "the lower layer stays as it is";
  EXPECT_EQ(error(rename_path(walk(), "merged/dir", walk(), "merged/moved", 0)), Errno::kXDev);
  MUST(remove_file(walk(), "merged/dir/file"));
  MUST(remove_directory(walk(), "merged/dir"));
  MUST(make_directory(walk(), "merged/dir", 0755, 0));
  EXPECT_EQ(error(lookup_path(walk(), "merged/dir/file", FollowLast::kYes)), Errno::kNoEnt)
      << "opaque";
}

// A host says that a directory is in itself: a bind mount of it may be, or it lies.
class InItself final : public FileSystem {
 public:
  std::string_view type_name() const override { return "in-itself"; }
  Result<RefPtr<Inode>> root() override {
    return TRY(make_ref<Directory>(RefPtr<FileSystem>(this)));
  }
  Result<StatFs> statfs() override { return StatFs(); }

 private:
  class Directory final : public Inode {
   public:
    explicit Directory(RefPtr<FileSystem> fs) : Inode(std::move(fs), FileType::kDirectory) {}
    Result<Stat> stat() override { return Stat{.ino = 1, .mode = 0040755}; }
    Result<RefPtr<Inode>> lookup(std::string_view name) override {
      if (name != "again") return Errno::kNoEnt;
      return RefPtr<Inode>(this);
    }
  };
};

TEST_F(Vfs, ADirectoryInItselfIsAnotherInAUnion) {
  MUST(make_directory(walk(), "merged", 0755, 0));
  Vec<RefPtr<FileSystem>> lowers;
  MUST(lowers.push(MUST(make_ref<InItself>())));
  MUST(mount_table().mount(
      MUST(UnionFs::create(std::move(lowers), MUST(TmpFs::create({.root_mode = 0755})))),
      find("merged"), "overlay", 0));
  write("merged/again/again/again/file", "deep");
  write("merged/again/file", "shallow");
  dentry_cache().shrink(0);
  EXPECT_EQ(read(*MUST(open("merged/again/again/again/file", kOpenReadOnly))), "deep");
  EXPECT_EQ(read(*MUST(open("merged/again/file", kOpenReadOnly))), "shallow");
  EXPECT_EQ(error(lookup_path(walk(), "merged/file", FollowLast::kYes)), Errno::kNoEnt);
  EXPECT_EQ(error(lookup_path(walk(), "merged/again/again/file", FollowLast::kYes)), Errno::kNoEnt);
}

}  // namespace
}  // namespace occlum
