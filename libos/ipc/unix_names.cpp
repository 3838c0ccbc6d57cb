#include "libos/ipc/unix_names.h"

#include <algorithm>
#include <array>

#include "libos/fs/vfs/operations.h"
#include "libos/ipc/unix_socket.h"
#include "libos/lib/address.h"
#include "libos/lib/hash_map.h"
#include "libos/lib/log.h"
#include "libos/lib/random.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

constexpr size_t kFamilySize = 2;
constexpr size_t kMaxUnixAddress = 110;

struct Table {
  HashMap<uint64_t, UnixSocket*> by_inode;
  HashMap<String, UnixSocket*> by_name;
};
constinit SpinLocked<Table> table{LockRank::kSocket};

// Abstract names are each socket type's own.
Result<String> key_of(int type, std::string_view name) {
  auto key = TRY(String::create(name));
  TRY(key.append(static_cast<char>('0' + type)));
  return key;
}

uint64_t key_of(const Path& path) { return address_of(&path.inode()); }

template <typename Map, typename Key>
RefPtr<UnixSocket> find_in(Map& map, const Key& key) {
  UnixSocket** found = map.find(key);
  if (found == nullptr || !(*found)->try_ref()) return nullptr;
  return RefPtr<UnixSocket>::adopt(**found);
}

// The bytes behind the family: empty, an abstract name (from its NUL on), or a path up to its NUL.
std::string_view name_of(const SocketAddress& address,
                         std::array<char, SocketAddress::kMaxSize>& storage) {
  const std::span<const std::byte> bytes =
      address.bytes().subspan(std::min(kFamilySize, address.size()));
  copy_bytes(std::as_writable_bytes(std::span(storage)), bytes);
  const std::span<const char> chars = std::span(storage).first(bytes.size());
  std::string_view name(chars.begin(), chars.end());
  if (!name.empty() && name.front() != '\0') name = name.substr(0, name.find('\0'));
  return name;
}

Result<RefPtr<UnixName>> make_name(std::string_view name) {
  std::array<std::byte, SocketAddress::kMaxSize> bytes = {};
  const uint16_t family = kAfUnix;
  copy_bytes(bytes, object_bytes(family));
  copy_bytes(std::span(bytes).subspan(kFamilySize), text_bytes(name));
  // The size of a path counts its NUL.
  const bool is_path = !name.empty() && name.front() != '\0';
  return make_ref<UnixName>(TRY(SocketAddress::create(
      std::span<const std::byte>(bytes).first(kFamilySize + name.size() + (is_path ? 1 : 0)))));
}

}  // namespace

Result<void> check_unix_address(const SocketAddress& address) {
  if (address.size() <= kFamilySize || address.size() > kMaxUnixAddress ||
      address.family() != kAfUnix) {
    return Errno::kInval;
  }
  return {};
}

// A socket that has a name is refused only when the new one could be made, as on Linux.
Result<void> UnixBinding::bind_path(Thread& self, UnixSocket& socket, std::string_view path,
                                    bool is_named) {
  const WalkContext context = self.fs().walk(self.credentials());
  NewInode inode;
  inode.mode = type_bits(FileType::kSocket) | 0777;
  inode.uid = self.credentials().fsuid;
  inode.gid = self.credentials().fsgid;
  const auto made = make_node(context, path, inode, self.fs().umask());
  if (made.is_error()) return made.error() == Errno::kExist ? Errno::kAddrInUse : made.error();
  if (is_named) {
    TRY(remove_file(context, path));
    return Errno::kInval;
  }
  Path at = TRY(lookup_path(context, path, FollowLast::kNo));
  TRY(table.with([&](Table& it) { return it.by_inode.insert(key_of(at), &socket); }));
  path_ = std::move(at);
  return {};
}

Result<RefPtr<UnixName>> UnixBinding::bind(Thread& self, UnixSocket& socket,
                                           const SocketAddress& address, bool is_named) {
  const bool any = address.size() == kFamilySize && address.family() == kAfUnix;
  if (any && is_named) return RefPtr<UnixName>();
  if (!any) TRY(check_unix_address(address));
  std::array<char, SocketAddress::kMaxSize> storage;
  std::string_view name = name_of(address, storage);
  if (!name.empty() && name.front() != '\0') {
    auto result = TRY(make_name(name));
    TRY(bind_path(self, socket, name, is_named));
    return result;
  }
  if (is_named) return Errno::kInval;
  std::array<char, 8> fresh = {};
  for (;;) {
    if (any) {
      // Autobind: a NUL and five hexadecimal digits.
      uint32_t number = 0;
      random_bytes(writable_object_bytes(number));
      constexpr std::string_view kDigits = "0123456789abcdef";
      for (size_t i = 1; i <= 5; ++i) fresh[i] = kDigits[(number >> (4 * i)) & 15];
      const std::span<const char> chars = std::span(fresh).first(6);
      name = std::string_view(chars.begin(), chars.end());
    }
    auto key = TRY(key_of(socket.type(), name));
    auto result = TRY(make_name(name));
    const bool taken = TRY(table.with([&](Table& it) -> Result<bool> {
      if (it.by_name.find(key.view()) != nullptr) return true;
      TRY(it.by_name.insert(TRY(key.clone()), &socket));
      return false;
    }));
    if (!taken) {
      abstract_ = std::move(key);
      return result;
    }
    if (!any) return Errno::kAddrInUse;
  }
}

void UnixBinding::clear() {
  if (!is_bound()) return;
  table.with([&](Table& it) {
    if (!path_.is_null()) it.by_inode.remove(key_of(path_));
    if (!abstract_.is_empty()) it.by_name.remove(abstract_.view());
  });
  path_ = {};
  abstract_.clear();
}

Result<RefPtr<UnixSocket>> find_unix_socket(Thread& self, const SocketAddress& address, int type) {
  TRY(check_unix_address(address));
  std::array<char, SocketAddress::kMaxSize> storage;
  const std::string_view name = name_of(address, storage);
  RefPtr<UnixSocket> found;
  if (name.front() == '\0') {
    const String key = TRY(key_of(type, name));
    found = table.with([&](Table& it) { return find_in(it.by_name, key.view()); });
  } else {
    const Path path = TRY(lookup_path(self.fs().walk(self.credentials()), name, FollowLast::kYes));
    TRY(check_access(path, self.credentials(), kMayWrite));
    if (path.inode().type() != FileType::kSocket) return Errno::kConnRefused;
    found = table.with([&](Table& it) { return find_in(it.by_inode, key_of(path)); });
  }
  if (found == nullptr) return Errno::kConnRefused;
  if (found->type() != type) return Errno::kPrototype;
  return found;
}

}  // namespace occlum
