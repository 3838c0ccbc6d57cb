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
class MemoryFile final : public RegularFile {
 public:
  using RegularFile::RegularFile;
  Result<void> set_flags(uint32_t flags) override {
    if ((flags & kOpenDirect) != 0) return Errno::kInval;
    return RegularFile::set_flags(flags);
  }
};

}  // namespace

Result<RefPtr<File>> create_memory_file(std::string_view name, const Ownership& owner,
                                        uint32_t seals) {
  const RefPtr<TmpFs> file_system = TRY(memory_file_system());
  RefPtr<Inode> inode = TRY(file_system->create_sealable(
      {.mode = type_bits(FileType::kRegular) | (owner.mode & kModePermissions),
       .uid = owner.uid,
       .gid = owner.gid},
      seals));
  const String description = TRY(String::concat("/memfd:", name, " (deleted)"));
  Path path = TRY(anonymous_path(std::move(inode), description.view()));
  return RefPtr<File>(TRY(make_ref<MemoryFile>(std::move(path), kOpenReadWrite | kOpenLargeFile)));
}

}  // namespace occlum
