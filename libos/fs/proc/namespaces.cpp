#include "libos/fs/proc/namespaces.h"

#include <array>

#include "libos/fs/vfs/anonymous.h"
#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/stat.h"
#include "libos/lib/log.h"
#include "libos/mm/user.h"
#include "libos/process/clone.h"
#include "libos/process/thread.h"

namespace occlum {
namespace {

struct Kind {
  std::string_view name;
  uint64_t flag;  // clone(2)'s
};
constexpr std::array<Kind, 8> kKinds = {{{"time", kCloneNewTime},
                                         {"cgroup", kCloneNewCgroup},
                                         {"pid", kCloneNewPid},
                                         {"user", kCloneNewUser},
                                         {"uts", kCloneNewUts},
                                         {"ipc", kCloneNewIpc},
                                         {"mnt", kCloneNewNs},
                                         {"net", kCloneNewNet}}};
constexpr const Kind& kind_of(Namespace which) { return kKinds[static_cast<size_t>(which)]; }
constexpr uint64_t number_of(Namespace which) {
  return uint64_t{4026531834} + static_cast<uint8_t>(which);
}

class NamespaceFile final : public File {
 public:
  NamespaceFile(Namespace which, uint32_t flags) : File(flags), which_(which) {}

  Result<size_t> read_at(uint64_t, DataSink&) override { return Errno::kInval; }
  Result<size_t> write_at(uint64_t, DataSource&) override { return Errno::kInval; }
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  Result<Stat> stat() override {
    Stat stat = TRY(File::stat());
    stat.mode = type_bits(FileType::kRegular) | 0444;
    stat.ino = number_of(which_);
    return stat;
  }
  Result<RefPtr<File>> open_again(uint32_t flags) override {
    return RefPtr<File>(TRY(make_ref<NamespaceFile>(which_, flags & kOpenStatus)));
  }
  Result<String> describe() override { return namespace_name(which_); }

 private:
  const Namespace which_;
};

// ioctl_ns(2). All belong to the one user namespace, whose own parent, as that of the others, is out of sight.
Result<long> NamespaceFile::ioctl(Thread& self, uint32_t request, uint64_t argument) {
  constexpr uint32_t kGetUser = 0xb701, kGetParent = 0xb702, kGetKind = 0xb703, kGetOwner = 0xb704;
  switch (request) {
    case kGetUser: {
      if (which_ == Namespace::kUser) return Errno::kPerm;
      RefPtr<File> file = TRY(make_ref<NamespaceFile>(Namespace::kUser, kOpenReadOnly));
      return long{TRY(self.files().install(std::move(file), CloseOnExec::kYes))};
    }
    case kGetParent:
      return which_ == Namespace::kUser || which_ == Namespace::kPid ? Errno::kPerm : Errno::kInval;
    case kGetKind:
      return static_cast<long>(kind_of(which_).flag);
    case kGetOwner:
      if (which_ != Namespace::kUser) return Errno::kInval;
      TRY(UserOut<uint32_t>(UserAddress(argument)).write(0));
      return 0L;
    default:
      return Errno::kNotTty;
  }
}

}  // namespace

Result<String> namespace_name(Namespace which) {
  String name;
  TRY(append_format(name, "{}:[{}]", kind_of(which).name, number_of(which)));
  return name;
}

Result<Path> namespace_path(Namespace which) {
  RefPtr<File> file = TRY(make_ref<NamespaceFile>(which, kOpenReadOnly));
  const String name = TRY(namespace_name(which));
  return anonymous_path(TRY(inode_of_file(std::move(file))), name.view());
}

}  // namespace occlum
