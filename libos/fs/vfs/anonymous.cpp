// See anonymous.h.
#include "libos/fs/vfs/anonymous.h"

#include "libos/fs/vfs/file.h"

namespace occlum {

namespace {

constexpr uint32_t kAnonymousMount = 1u << 31;  // a flag of ours in Mount::flags()

class AnonymousFileSystem final : public FileSystem {
 public:
  std::string_view type_name() const override { return "anon_inodefs"; }
  Result<RefPtr<Inode>> root() override { return Errno::kNotDir; }
  Result<StatFs> statfs() override {
    StatFs result;
    result.type = 0x09041934;  // ANON_INODE_FS_MAGIC
    return result;
  }
};

[[clang::no_destroy]] constinit SpinLocked<RefPtr<FileSystem>> instance{LockRank::kMount};

class FileInode final : public Inode {
 public:
  FileInode(RefPtr<FileSystem> file_system, FileType type, RefPtr<File> file)
      : Inode(std::move(file_system), type), file_(std::move(file)) {}

  Result<Stat> stat() override { return file_->stat(); }
  Result<RefPtr<File>> open(const Path&, uint32_t flags) override {
    return file_->open_again(flags);
  }
  Result<void> set_attributes(const AttributeChange& change) override {
    return file_->set_attributes(change);
  }

 private:
  const RefPtr<File> file_;
};

}  // namespace

Result<RefPtr<FileSystem>> anonymous_file_system() {
  RefPtr<FileSystem> existing = instance.with([](RefPtr<FileSystem>& it) { return it; });
  if (existing != nullptr) return existing;
  RefPtr<FileSystem> fresh = TRY(make_ref<AnonymousFileSystem>());
  return instance.with([&](RefPtr<FileSystem>& it) {
    if (it == nullptr) it = std::move(fresh);
    return it;
  });
}

bool is_anonymous(const Mount& mount) { return (mount.flags() & kAnonymousMount) != 0; }

Result<RefPtr<Inode>> inode_of_file(RefPtr<File> file) {
  const FileType type = TRY(file->stat()).type();
  return TRY(make_ref<FileInode>(TRY(anonymous_file_system()), type, std::move(file)));
}

Result<Path> anonymous_path(RefPtr<Inode> inode, std::string_view description) {
  RefPtr<FileSystem> file_system(&inode->file_system());
  RefPtr<Dentry> dentry = TRY(Dentry::create_root(std::move(inode), description));
  return Path{TRY(Mount::create_anonymous(std::move(file_system), dentry, kAnonymousMount)),
              dentry};
}

}  // namespace occlum
