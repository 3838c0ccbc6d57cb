// Copying lower files up. See union_fs.h.
#include <algorithm>
#include <array>

#include "libos/fs/union/union_fs.h"
#include "libos/lib/bytes.h"

namespace occlum {

namespace {

constexpr size_t kChunk = 64 * 1024;

Result<void> copy_contents(Inode& from, Inode& to) {
  const uint64_t size = TRY(from.stat()).size;
  Vec<std::byte> buffer = TRY(Vec<std::byte>::create(std::min<uint64_t>(kChunk, size)));
  for (uint64_t offset = 0; offset < size;) {
    // Holes stay holes where the lower layer knows them.
    const Result<uint64_t> data = from.seek_data(offset);
    if (data.is_error()) break;
    offset = std::max(offset, data.value());
    DataSink sink(buffer.span().first(std::min<uint64_t>(buffer.size(), size - offset)));
    const size_t count = TRY(from.read_at(offset, sink));
    if (count == 0) break;
    DataSource source(buffer.span().first(count));
    const size_t written = TRY(to.write_at(offset, source));
    if (written != count) return Errno::kNoSpc;
    offset += count;
  }
  if (TRY(to.stat()).size < size) TRY(to.set_attributes({.size = size}));
  return {};
}

Result<void> copy_xattrs(Inode& from, Inode& to) {
  const Result<String> all = from.list_xattr();
  if (all.is_error()) return {};
  for (std::string_view rest = all.value().view(); !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (name.starts_with(kPrivateXattrs)) continue;
    const Result<Vec<std::byte>> value = from.get_xattr(name);
    if (value.is_error()) continue;
    const Result<void> set = to.set_xattr(name, value.value().span(), 0);
    if (set.is_error() && set.error() != Errno::kOpNotSupp) return set;
  }
  return {};
}

}  // namespace

// From the topmost directory that has no upper part yet down to this file: a loop, for the kernel stack is small.
Result<RefPtr<Inode>> UnionInode::copy_up(Contents contents) {
  while (true) {
    if (RefPtr<Inode> there = upper()) return there;
    RefPtr<UnionInode> next(this);
    while (true) {
      RefPtr<UnionInode> parent = next->parent();
      if (parent == nullptr) return Errno::kRoFs;  // the root always has an upper part
      if (parent->upper() != nullptr) break;
      next = std::move(parent);
    }
    TRY(next->copy_one_up(next.get() == this ? contents : Contents::kCopy));
  }
}

Result<RefPtr<Inode>> UnionInode::copy_one_up(Contents contents) {
  RefPtr<UnionInode> parent;
  Result<String> name = place_.with([&](const Place& place) {
    parent = place.parent;
    return place.name.clone();
  });
  const String own_name = TRY(std::move(name));
  const RefPtr<Inode> upper_parent = parent->upper();
  if (upper_parent == nullptr) return Errno::kStale;
  lock_detail::Guard<Mutex> guard(copy_mutex_);
  if (RefPtr<Inode> there = upper()) return there;
  RefPtr<Inode> made = TRY(make_upper(*upper_parent, own_name.view(), contents));
  place_.with([&](Place& place) { place.upper = made; });
  return made;
}

Result<RefPtr<Inode>> UnionInode::make_upper(Inode& upper_parent, std::string_view name,
                                             Contents contents) {
  Inode& lower = *lowers_[0];
  const Stat stat = TRY(lower.stat());
  String target;
  if (is_symlink()) target = TRY(lower.read_link());
  const NewInode attributes{.mode = stat.mode,
                            .uid = stat.uid,
                            .gid = stat.gid,
                            .rdev = stat.rdev,
                            .target = target.view()};
  // A regular file gets its name when its contents are whole.
  RefPtr<Inode> made;
  if (is_regular()) {
    made = TRY(upper_parent.create_unnamed(attributes));
    if (contents == Contents::kCopy) TRY(copy_contents(lower, *made));
  } else {
    Result<RefPtr<Inode>> created = upper_parent.create(name, attributes);
    // Somebody removed the name meanwhile: a whiteout is there.
    if (created.is_error() && created.error() == Errno::kExist) return Errno::kNoEnt;
    made = TRY(std::move(created));
  }
  TRY(copy_xattrs(lower, *made));
  if (stat.nlink <= 1 && !is_directory()) {
    std::array<std::byte, 8> origin;
    store_le<uint64_t>(origin, number_);
    static_cast<void>(made->set_xattr(kOriginXattr, origin, 0).is_error());
  }
  TRY(made->set_attributes(
      {.permissions = stat.mode & kModePermissions, .atime = stat.atime, .mtime = stat.mtime}));
  if (is_regular()) {
    const Result<void> linked = upper_parent.link(name, *made);
    // Removed meanwhile: the file goes on without a name.
    if (linked.is_error() && linked.error() != Errno::kExist) return linked.error();
  }
  return made;
}

}  // namespace occlum
