// The union's file system, lookup and attributes. See union_fs.h.
#include "libos/fs/union/union_fs.h"

#include "libos/fs/vfs/operations.h"
#include "libos/lib/bytes.h"

namespace occlum {

bool is_whiteout(Inode& inode) {
  if (inode.type() != FileType::kCharDevice) return false;
  const Result<Stat> stat = inode.stat();
  return !stat.is_error() && stat.value().rdev == 0;
}

bool is_opaque(Inode& directory) {
  const Result<Vec<std::byte>> value = directory.get_xattr(kOpaqueXattr);
  return !value.is_error() && value.value().size() == 1 && value.value()[0] == std::byte{'y'};
}

Result<void> set_opaque(Inode& directory) {
  constexpr std::byte kYes[] = {std::byte{'y'}};
  return directory.set_xattr(kOpaqueXattr, kYes, 0);
}

UnionFs::UnionFs(Vec<RefPtr<FileSystem>> lowers, RefPtr<FileSystem> upper)
    : lowers_(std::move(lowers)), upper_(std::move(upper)) {}

Result<RefPtr<UnionFs>> UnionFs::create(Vec<RefPtr<FileSystem>> lowers, RefPtr<FileSystem> upper) {
  return make_ref<UnionFs>(std::move(lowers), std::move(upper));
}

Result<RefPtr<Inode>> UnionFs::root() {
  Vec<RefPtr<Inode>> roots;
  for (const RefPtr<FileSystem>& lower : lowers_) TRY(roots.push(TRY(lower->root())));
  return TRY(inode_for(TRY(upper_->root()), std::move(roots), nullptr, "/"));
}

uint64_t UnionFs::number_in(const Inode& layer_inode, uint64_t ino) const {
  uint64_t layer = 0;
  while (layer < lowers_.size() && lowers_[layer].get() != &layer_inode.file_system()) ++layer;
  return ino ^ (layer << 56);
}

Result<RefPtr<UnionInode>> UnionFs::inode_for(RefPtr<Inode> upper, Vec<RefPtr<Inode>> lowers,
                                              RefPtr<UnionInode> parent, std::string_view name) {
  Inode& top = upper != nullptr ? *upper : *lowers[0];
  // What the number comes from: the lowest layer's file is there before and after copying up.
  Inode& origin = !lowers.is_empty() ? *lowers[0] : top;
  const Stat stat = TRY(origin.stat());
  uint64_t number = number_in(origin, stat.ino);
  if (lowers.is_empty() && !top.is_directory()) {
    const Result<Vec<std::byte>> remembered = top.get_xattr(kOriginXattr);
    if (!remembered.is_error() && remembered.value().size() == 8)
      number = load_le<uint64_t>(remembered.value().span());
  }
  // Lower files with several names cannot be one file here: copied up, each is its own.
  const bool shared = upper != nullptr || top.is_directory() || stat.nlink <= 1;
  String own_name = TRY(String::create(name));
  RefPtr<UnionInode> inode;
  const auto find_known = [&](HashMap<uint64_t, UnionInode*>& inodes) {
    UnionInode** found = inodes.find(number);
    if (found == nullptr || !(*found)->try_ref()) return;
    inode = RefPtr<UnionInode>::adopt(**found);
  };
  const auto is_same = [&](const UnionInode& known) {
    if (known.type() != top.type()) return false;
    // Only a rename moves a directory. What a layer shows in two places, as the host may with bind mounts or lies, are two
    // directories: none comes to be above itself, where copying up would not find an end.
    if (top.is_directory() && known.parent() != parent) return false;
    if (upper != nullptr && known.upper() != upper) return false;
    if (known.lowers_.size() != lowers.size()) return upper != nullptr && !top.is_directory();
    for (size_t i = 0; i < lowers.size(); ++i) {
      if (known.lowers_[i] != lowers[i]) return false;
    }
    return true;
  };
  if (shared) {
    inodes_.with(find_known);
    if (inode != nullptr && is_same(*inode)) {
      inode->set_place(std::move(parent), std::move(own_name));
      return inode;
    }
  }
  RefPtr<UnionInode> fresh = TRY(make_ref<UnionInode>(ref_to(*this), top.type(), std::move(upper),
                                                      std::move(lowers), number, shared));
  fresh->set_place(std::move(parent), std::move(own_name));
  if (shared) {
    // A stale one that is still in use somewhere stays what it is, out of the table.
    TRY(inodes_.with([&](HashMap<uint64_t, UnionInode*>& inodes) -> Result<void> {
      TRY(inodes.insert(number, fresh.get()));
      return {};
    }));
  }
  return fresh;
}

UnionInode::UnionInode(RefPtr<UnionFs> file_system, FileType type, RefPtr<Inode> upper,
                       Vec<RefPtr<Inode>> lowers, uint64_t number, bool shared)
    : Inode(std::move(file_system), type),
      lowers_(std::move(lowers)),
      number_(number),
      shared_(shared) {
  place_.with([&](Place& place) { place.upper = std::move(upper); });
  for (const RefPtr<Inode>& lower : lowers_) needs_revalidation_ |= lower->needs_revalidation();
}

UnionInode::~UnionInode() {
  if (shared_) {
    fs().inodes_.with([&](HashMap<uint64_t, UnionInode*>& inodes) {
      UnionInode** own = inodes.find(number_);
      if (own != nullptr && *own == this) inodes.remove(number_);
    });
  }
  const auto leave_parent = [](UnionInode& inode) {
    return inode.place_.with([](Place& place) { return std::move(place.parent); });
  };
  drop_chain(leave_parent(*this), leave_parent);
}

RefPtr<Inode> UnionInode::upper() const {
  return place_.with([](const Place& place) { return place.upper; });
}

RefPtr<UnionInode> UnionInode::parent() const {
  return place_.with([](const Place& place) { return place.parent; });
}

RefPtr<Inode> UnionInode::real() const {
  if (RefPtr<Inode> top = upper()) return top;
  return lowers_[0];
}

void UnionInode::set_place(RefPtr<UnionInode> parent, String name) {
  place_.with([&](Place& place) {
    std::swap(place.parent, parent);
    std::swap(place.name, name);
  });
}

Result<Stat> UnionInode::stat() {
  Stat stat = TRY(real()->stat());
  stat.dev = file_system().device();
  stat.ino = number_;
  // Nobody knows how many subdirectories a merged directory has; 1 says that (find(1) minds).
  if (is_directory() && has_lower() && (lowers_.size() > 1 || upper() != nullptr)) stat.nlink = 1;
  return stat;
}

Result<Ownership> UnionInode::ownership() { return real()->ownership(); }

Result<RefPtr<Inode>> UnionInode::upper_child(std::string_view name) {
  const RefPtr<Inode> directory = upper();
  if (directory == nullptr) return RefPtr<Inode>();
  Result<RefPtr<Inode>> found = directory->lookup(name);
  if (found.is_error() && found.error() == Errno::kNoEnt) return RefPtr<Inode>();
  return found;
}

Result<bool> UnionInode::lower_has(std::string_view name) {
  for (const RefPtr<Inode>& lower : lowers_) {
    Result<RefPtr<Inode>> found = lower->lookup(name);
    if (!found.is_error()) return !is_whiteout(*found.value());
    if (found.error() != Errno::kNoEnt) return found.error();
  }
  return false;
}

Result<RefPtr<Inode>> UnionInode::lookup(std::string_view name) {
  if (!is_directory()) return Errno::kNotDir;
  RefPtr<Inode> top = TRY(upper_child(name));
  if (top != nullptr && is_whiteout(*top)) return Errno::kNoEnt;
  Vec<RefPtr<Inode>> below;
  const bool may_merge = top == nullptr || (top->is_directory() && !is_opaque(*top));
  for (size_t i = 0; may_merge && i < lowers_.size(); ++i) {
    Result<RefPtr<Inode>> found = lowers_[i]->lookup(name);
    if (found.is_error()) {
      if (found.error() == Errno::kNoEnt) continue;
      return found;
    }
    RefPtr<Inode> lower = found.release_value();
    if (is_whiteout(*lower)) break;
    const bool is_first = top == nullptr && below.is_empty();
    if (!lower->is_directory()) {
      if (is_first) TRY(below.push(std::move(lower)));
      break;
    }
    const bool stop = i + 1 < lowers_.size() && is_opaque(*lower);
    TRY(below.push(std::move(lower)));
    if (stop) break;
  }
  if (top == nullptr && below.is_empty()) return Errno::kNoEnt;
  return TRY(fs().inode_for(std::move(top), std::move(below), ref_to(*this), name));
}

bool UnionInode::revalidate(std::string_view name, Inode* child, bool last) {
  // The upper layer changes only through here: what was cached of it holds.
  if (child == nullptr) {
    const Result<RefPtr<Inode>> top = upper_child(name);
    if (top.is_error()) return false;
    if (top.value() != nullptr) return true;  // a whiteout
    for (const RefPtr<Inode>& lower : lowers_) {
      if (lower->needs_revalidation() && !lower->revalidate(name, nullptr, last)) return false;
    }
    return true;
  }
  const UnionInode& inode = static_cast<UnionInode&>(*child);
  if (!inode.is_directory() && inode.upper() != nullptr) return true;
  for (const RefPtr<Inode>& below : inode.lowers_) {
    for (const RefPtr<Inode>& lower : lowers_) {
      if (&lower->file_system() != &below->file_system() || !lower->needs_revalidation()) continue;
      if (!lower->revalidate(name, below.get(), last)) return false;
    }
  }
  return true;
}

Result<String> UnionInode::read_link() { return real()->read_link(); }

Result<RefPtr<File>> UnionInode::open(const Path& path, uint32_t flags) {
  const bool truncates = (flags & kOpenTruncate) != 0;
  if (is_regular() && ((flags & kOpenAccessMode) != kOpenReadOnly || truncates)) {
    TRY(copy_up(truncates ? Contents::kLeave : Contents::kCopy));
  }
  // The layer makes the file over our path, so its operations come back here and follow a later copy.
  return real()->open(path, flags);
}

Result<RefPtr<MemoryObject>> UnionInode::memory_object() { return real()->memory_object(); }
Result<size_t> UnionInode::read_at(uint64_t offset, DataSink& sink) {
  return real()->read_at(offset, sink);
}
Result<size_t> UnionInode::write_at(uint64_t offset, DataSource& source) {
  return TRY(copy_up())->write_at(offset, source);
}
Result<void> UnionInode::allocate(uint32_t mode, uint64_t offset, uint64_t length) {
  return TRY(copy_up())->allocate(mode, offset, length);
}
Result<void> UnionInode::sync(bool data_only) { return real()->sync(data_only); }
Result<uint64_t> UnionInode::seek_data(uint64_t offset) { return real()->seek_data(offset); }
Result<uint64_t> UnionInode::seek_hole(uint64_t offset) { return real()->seek_hole(offset); }
Result<void> UnionInode::set_attributes(const AttributeChange& change) {
  const bool empties = change.size && *change.size == 0;
  return TRY(copy_up(empties ? Contents::kLeave : Contents::kCopy))->set_attributes(change);
}
void UnionInode::note_access() {
  if (const RefPtr<Inode> top = upper()) top->note_access();
}

Result<Vec<std::byte>> UnionInode::get_xattr(std::string_view name) {
  if (name.starts_with(kPrivateXattrs)) return Errno::kNoData;
  return real()->get_xattr(name);
}

Result<void> UnionInode::set_xattr(std::string_view name, std::span<const std::byte> value,
                                   uint32_t flags) {
  if (name.starts_with(kPrivateXattrs)) return Errno::kPerm;
  return TRY(copy_up())->set_xattr(name, value, flags);
}

Result<void> UnionInode::remove_xattr(std::string_view name) {
  if (name.starts_with(kPrivateXattrs)) return Errno::kPerm;
  TRY(real()->get_xattr(name));
  return TRY(copy_up())->remove_xattr(name);
}

Result<String> UnionInode::list_xattr() {
  const String all = TRY(real()->list_xattr());
  String visible;
  for (std::string_view rest = all.view(); !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find('\0') + 1);
    if (name.empty()) break;
    if (!name.starts_with(kPrivateXattrs)) TRY(visible.append(name));
    rest.remove_prefix(name.size());
  }
  return visible;
}

}  // namespace occlum
