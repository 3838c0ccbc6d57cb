#include "libos/fs/tmpfs/memory_file.h"

#include "libos/fs/tmpfs/tmpfs.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"
#include "libos/lib/string.h"

namespace occlum {

namespace {

[[clang::no_destroy]] constinit SpinLocked<RefPtr<TmpFs>> memory_files{LockRank::kMount};

Result<RefPtr<TmpFs>> memory_file_system() {
  RefPtr<TmpFs> existing = memory_files.with([](RefPtr<TmpFs>& it) { return it; });
  if (existing != nullptr) return existing;
  RefPtr<TmpFs> fresh = TRY(TmpFs::create({}));
  return memory_files.with([&](RefPtr<TmpFs>& it) {
    if (it == nullptr) it = std::move(fresh);
    return it;
  });
}

// What memfd_create(2) returns was not opened by open(2), which is what allows O_DIRECT on tmpfs.
class MemoryFile : public RegularFile {
 public:
  using RegularFile::RegularFile;
  Result<void> set_flags(uint32_t flags) override {
    if ((flags & kOpenDirect) != 0) return Errno::kInval;
    return RegularFile::set_flags(flags);
  }
};

// As hugetlbfs does it with an empty pool. (Who opens it again by /proc/self/fd has an ordinary file.)
class HugeMemoryFile final : public MemoryFile {
 public:
  HugeMemoryFile(Path path, uint32_t flags, uint64_t page_size)
      : MemoryFile(std::move(path), flags), page_size_(page_size) {}

  Result<size_t> write(DataSource&) override { return Errno::kInval; }
  Result<size_t> write_at(uint64_t, DataSource&) override { return Errno::kInval; }
  Result<void> truncate(uint64_t size) override {
    if (size % page_size_ != 0) return Errno::kInval;
    return MemoryFile::truncate(size);
  }
  Result<void> allocate(int mode, uint64_t offset, uint64_t length) override {
    if ((mode & kFallocPunchHole) != 0) return MemoryFile::allocate(mode, offset, length);
    return mode == 0 ? Errno::kNoSpc : Errno::kOpNotSupp;
  }
  Result<MapSource> map_source(uint64_t offset, uint64_t, bool, Prot) override {
    return offset % page_size_ != 0 ? Errno::kInval : Errno::kNoMem;
  }
  Result<Stat> stat() override {
    Stat stat = TRY(MemoryFile::stat());
    stat.blksize = static_cast<uint32_t>(page_size_);
    return stat;
  }

 private:
  const uint64_t page_size_;
};

Result<Path> make_memory_path(std::string_view name, const Ownership& owner, uint32_t seals) {
  const RefPtr<TmpFs> file_system = TRY(memory_file_system());
  RefPtr<Inode> inode = TRY(file_system->create_sealable(
      {.mode = type_bits(FileType::kRegular) | (owner.mode & kModePermissions),
       .uid = owner.uid,
       .gid = owner.gid},
      seals));
  const String description = TRY(String::concat("/memfd:", name, " (deleted)"));
  return anonymous_path(std::move(inode), description.view());
}

constexpr uint32_t kMemoryFileFlags = kOpenReadWrite | kOpenLargeFile;

}  // namespace

Result<RefPtr<File>> create_memory_file(std::string_view name, const Ownership& owner,
                                        uint32_t seals) {
  Path path = TRY(make_memory_path(name, owner, seals));
  return RefPtr<File>(TRY(make_ref<MemoryFile>(std::move(path), kMemoryFileFlags)));
}

Result<RefPtr<File>> create_huge_memory_file(std::string_view name, const Ownership& owner,
                                             uint32_t seals, uint64_t page_size) {
  Path path = TRY(make_memory_path(name, owner, seals));
  return RefPtr<File>(TRY(make_ref<HugeMemoryFile>(std::move(path), kMemoryFileFlags, page_size)));
}

}  // namespace occlum
