// Extended attributes (xattr(7)): setxattr(2), getxattr(2), listxattr(2), removexattr(2), each by path, by link, by
// descriptor. Namespaces: user.* by the file's permissions, trusted.* for CAP_SYS_ADMIN, security.* readable by all.
#include "libos/fs/vfs/file_capabilities.h"
#include "libos/fs/vfs/name_checks.h"
#include "libos/fs/vfs/notify.h"
#include "libos/lib/memory.h"
#include "libos/net/socket.h"
#include "libos/syscall/files_common.h"

namespace occlum {

namespace {

constexpr size_t kMaxName = 255, kMaxValue = 65536;

Result<String> read_attribute_name(UserString at) {
  Result<String> name = at.read(kMaxName + 1);
  if (name.is_error()) return name.error() == Errno::kNameTooLong ? Errno::kRange : name.error();
  if (name.value().is_empty()) return Errno::kRange;
  return name.release_value();
}

enum class Use { kRead, kWrite };

Result<void> check_xattr(Thread& self, const Path& path, std::string_view name, Use use) {
  if (use == Use::kWrite) TRY(check_writable(path));
  const Credentials& who = self.credentials();
  if (name.starts_with("user.")) {
    // Only regular files and directories carry them; in sticky directories only the owner's.
    Inode& inode = path.inode();
    if (!inode.is_regular() && !inode.is_directory())
      return use == Use::kWrite ? Errno::kPerm : Errno::kNoData;
    const Ownership owner = TRY(inode.ownership());
    if (use == Use::kWrite && inode.is_directory() && (owner.mode & kModeSticky) != 0 &&
        !is_owner(owner, who)) {
      return Errno::kPerm;
    }
    TRY(check_permission(owner, who, use == Use::kWrite ? kMayWrite : kMayRead));
    if (name.size() == 5) return Errno::kInval;
    return {};
  }
  if (name.starts_with("trusted.")) {
    if (!who.has(kCapSysAdmin)) return use == Use::kWrite ? Errno::kPerm : Errno::kNoData;
    if (name.size() == 8) return Errno::kInval;
    return {};
  }
  if (name == kCapabilityAttribute) {
    if (use == Use::kRead || who.has(kCapSetFcap)) return {};
    return Errno::kPerm;
  }
  if (name.starts_with("security.") && name.size() > 9) {
    if (use == Use::kRead || who.has(kCapSysAdmin)) return {};
    return Errno::kPerm;
  }
  if (!name.starts_with("system.")) {
    TRY(check_permission(TRY(path.inode().ownership()), who,
                         use == Use::kWrite ? kMayWrite : kMayRead));
  }
  return Errno::kOpNotSupp;  // system.posix_acl_*, too: there are no ACLs
}

// What comes with a call, read before the file is looked for, as Linux does.
struct Attribute {
  String name;
  Vec<std::byte> value;
};

Result<Attribute> read_attribute(Thread& self, UserString name, UserAddress value, size_t size,
                                 uint32_t flags) {
  if ((flags & ~(kXattrCreate | kXattrReplace)) != 0) return Errno::kInval;
  Attribute given{TRY(read_attribute_name(name)), {}};
  if (size > kMaxValue) return Errno::kTooBig;
  given.value = TRY(Vec<std::byte>::create(size));
  TRY(copy_from_user(self.memory(), given.value.span(), value));
  return given;
}

Result<long> set(Thread& self, const Path& path, const Attribute& given, uint32_t flags) {
  if (given.name == kCapabilityAttribute) {
    if (!given.value.is_empty()) TRY(check_capability_attribute(given.value.span()));
    note_file_capabilities();
  }
  TRY(check_xattr(self, path, given.name.view(), Use::kWrite));
  InodeGuard guard(path.inode().mutex());
  TRY(path.inode().set_xattr(given.name.view(), given.value.span(), flags));
  notify_file(*path.dentry, kNotifyAttributes);
  return 0L;
}

Result<long> copy_out(Thread& self, std::span<const std::byte> bytes, UserAddress out,
                      size_t size) {
  if (size == 0) return static_cast<long>(bytes.size());
  if (size < bytes.size()) return Errno::kRange;
  TRY(copy_to_user(self.memory(), out, bytes));
  return static_cast<long>(bytes.size());
}

// With its NUL.
Result<long> copy_text_out(Thread& self, std::string_view text, UserAddress out, size_t size) {
  String all = TRY(String::create(text));
  TRY(all.append('\0'));
  return copy_out(self, text_bytes(all.view()), out, size);
}

Result<long> get(Thread& self, const Path& path, const String& key, UserAddress out, size_t size) {
  TRY(check_xattr(self, path, key.view(), Use::kRead));
  Vec<std::byte> value = TRY(path.inode().get_xattr(key.view()));
  if (key == kCapabilityAttribute) value = TRY(shown_capability_attribute(std::move(value)));
  return copy_out(self, value.span(), out, size);
}

Result<long> list(Thread& self, const Path& path, UserAddress out, size_t size) {
  const String all = TRY(path.inode().list_xattr());
  if (self.credentials().has(kCapSysAdmin))
    return copy_out(self, text_bytes(all.view()), out, size);
  String visible;
  for (std::string_view rest = all.view(); !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find('\0') + 1);
    if (!name.starts_with("trusted.")) TRY(visible.append(name));
    rest.remove_prefix(name.size());
  }
  return copy_out(self, text_bytes(visible.view()), out, size);
}

Result<long> remove(Thread& self, const Path& path, const String& key) {
  TRY(check_xattr(self, path, key.view(), Use::kWrite));
  InodeGuard guard(path.inode().mutex());
  TRY(path.inode().remove_xattr(key.view()));
  notify_file(*path.dentry, kNotifyAttributes);
  return 0L;
}

Result<Path> followed(Thread& self, UserString path) {
  return resolve_at(self, kAtCwd, path, FollowLast::kYes);
}
Result<Path> not_followed(Thread& self, UserString path) {
  return resolve_at(self, kAtCwd, path, FollowLast::kNo);
}
Result<Path> of_descriptor(Thread& self, Fd fd) {
  TRY(io_file(self, fd));
  return path_of_fd(self, fd);
}

// The one attribute of sockets, which cannot be changed: the protocol's name.
constexpr std::string_view kSocketAttribute = "system.sockprotoname";

const Socket* socket_of(const File& file) {
  return file.kind() == FileKind::kSocket ? &static_cast<const Socket&>(file) : nullptr;
}

}  // namespace

Result<long> sys_setxattr(Thread& self, UserString path, UserString name, UserAddress value,
                          size_t size, Flags flags) {
  const Attribute given = TRY(read_attribute(self, name, value, size, bits(flags)));
  return set(self, TRY(followed(self, path)), given, bits(flags));
}
Result<long> sys_lsetxattr(Thread& self, UserString path, UserString name, UserAddress value,
                           size_t size, Flags flags) {
  const Attribute given = TRY(read_attribute(self, name, value, size, bits(flags)));
  return set(self, TRY(not_followed(self, path)), given, bits(flags));
}
Result<long> sys_fsetxattr(Thread& self, Fd fd, UserString name, UserAddress value, size_t size,
                           Flags flags) {
  const Attribute given = TRY(read_attribute(self, name, value, size, bits(flags)));
  return set(self, TRY(of_descriptor(self, fd)), given, bits(flags));
}

Result<long> sys_getxattr(Thread& self, UserString path, UserString name, UserAddress out,
                          size_t size) {
  const String key = TRY(read_attribute_name(name));
  return get(self, TRY(followed(self, path)), key, out, size);
}
Result<long> sys_lgetxattr(Thread& self, UserString path, UserString name, UserAddress out,
                           size_t size) {
  const String key = TRY(read_attribute_name(name));
  return get(self, TRY(not_followed(self, path)), key, out, size);
}
Result<long> sys_fgetxattr(Thread& self, Fd fd, UserString name, UserAddress out, size_t size) {
  const String key = TRY(read_attribute_name(name));
  const RefPtr<File> file = TRY(io_file(self, fd));
  if (const Socket* socket = socket_of(*file); socket && key == kSocketAttribute) {
    return copy_text_out(self, socket->protocol_name(), out, size);
  }
  return get(self, TRY(of_descriptor(self, fd)), key, out, size);
}

Result<long> sys_listxattr(Thread& self, UserString path, UserAddress out, size_t size) {
  return list(self, TRY(followed(self, path)), out, size);
}
Result<long> sys_llistxattr(Thread& self, UserString path, UserAddress out, size_t size) {
  return list(self, TRY(not_followed(self, path)), out, size);
}
Result<long> sys_flistxattr(Thread& self, Fd fd, UserAddress out, size_t size) {
  if (socket_of(*TRY(io_file(self, fd))) != nullptr)
    return copy_text_out(self, kSocketAttribute, out, size);
  return list(self, TRY(of_descriptor(self, fd)), out, size);
}

Result<long> sys_removexattr(Thread& self, UserString path, UserString name) {
  const String key = TRY(read_attribute_name(name));
  return remove(self, TRY(followed(self, path)), key);
}
Result<long> sys_lremovexattr(Thread& self, UserString path, UserString name) {
  const String key = TRY(read_attribute_name(name));
  return remove(self, TRY(not_followed(self, path)), key);
}
Result<long> sys_fremovexattr(Thread& self, Fd fd, UserString name) {
  const String key = TRY(read_attribute_name(name));
  return remove(self, TRY(of_descriptor(self, fd)), key);
}

}  // namespace occlum
