// mount(2), umount2(2). One tree for all processes; only the privileged change it.
#include "libos/syscall/files_common.h"

namespace occlum {

namespace {
constexpr uint64_t kMsBind = 4096, kMsMove = 8192, kMsUnbindable = 1 << 17, kMsPrivate = 1 << 18,
                   kMsSlave = 1 << 19, kMsShared = 1 << 20;
constexpr uint32_t kKeptMountFlags = kMountReadOnly | kMountNoSuid | kMountNoDev | kMountNoExec |
                                     kMountNoSymFollow | kMountNoAtime | kMountRelatime;

// A page of options is taken, as much of it as is there.
Result<String> read_options(AddressSpace& memory, UserAddress from) {
  Vec<std::byte> page = TRY(Vec<std::byte>::create(kPageSize));
  const size_t first = kPageSize - (from.value() & kPageMask);
  TRY(copy_from_user(memory, page.span().first(first), from));
  const Result<void> rest = copy_from_user(memory, page.span().subspan(first), from + first);
  const std::string_view text = bytes_text(page.span().first(rest.is_error() ? first : kPageSize));
  return String::create(text.substr(0, text.find('\0')));
}

}  // namespace

Result<long> sys_mount(Thread& self, UserString source, UserString target, UserString type,
                       uint64_t flags, UserString data) {
  if (!self.credentials().has(kCapSysAdmin)) return Errno::kPerm;
  const Path at = TRY(resolve_at(self, kAtCwd, target, FollowLast::kYes));
  // Propagation between namespaces: there is one.
  if ((flags & (kMsUnbindable | kMsPrivate | kMsSlave | kMsShared)) != 0) return 0;
  if ((flags & kMsMove) != 0) return Errno::kInval;
  const uint32_t kept = static_cast<uint32_t>(flags) & kKeptMountFlags;
  if ((flags & kMountRemount) != 0) return done(mount_table().remount(at, kept));
  if ((flags & kMsBind) != 0) {
    const Path what = TRY(resolve_at(self, kAtCwd, source, FollowLast::kYes));
    TRY(mount_table().bind(what, at, kept));
    return 0;
  }
  const String type_text = TRY(type.read(256));
  String source_text, options;
  if (!source.is_null()) source_text = TRY(source.read_path());
  if (!data.is_null()) options = TRY(read_options(self.memory(), data.address()));
  RefPtr<FileSystem> file_system = TRY(make_file_system(
      type_text.view(), {source_text.view(), options.view(), (kept & kMountReadOnly) != 0}));
  TRY(mount_table().mount(std::move(file_system), at, source_text.view(), kept));
  return 0;
}

Result<long> sys_umount2(Thread& self, UserString target, Flags flags) {
  constexpr uint32_t kForce = 1, kDetach = 2, kExpire = 4, kNoFollow = 8;
  if ((bits(flags) & ~(kForce | kDetach | kExpire | kNoFollow)) != 0) return Errno::kInval;
  if (!self.credentials().has(kCapSysAdmin)) return Errno::kPerm;
  const Path at = TRY(resolve_at(self, kAtCwd, target, follow_unless(bits(flags), kNoFollow)));
  return done(mount_table().unmount(at, (bits(flags) & kDetach) != 0
                                            ? MountTable::Unmount::kDetach
                                            : MountTable::Unmount::kIfIdle));
}

}  // namespace occlum
