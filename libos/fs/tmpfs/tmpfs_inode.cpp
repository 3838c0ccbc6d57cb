// Contents and attributes of tmpfs files. See tmpfs.h.
#include "libos/fs/tmpfs/seals.h"
#include "libos/fs/tmpfs/tmpfs.h"

namespace occlum {

namespace {
constexpr uint64_t kDirectoryEntrySize = 20;  // what Linux's tmpfs counts for an entry
constexpr size_t kMaxXattrValue = 65536, kMaxXattrName = 255;
}  // namespace

Result<Stat> TmpInode::stat() {
  Stat stat;
  stat.dev = file_system().device();
  stat.ino = number_;
  stat.nlink = nlink_.load(std::memory_order_relaxed);
  stat.rdev = rdev_;
  stat.btime = btime_;
  switch (type()) {
    case FileType::kRegular:
      stat.size = object_->size();
      stat.blocks = object_->allocated_bytes() / 512;
      break;
    case FileType::kSymlink:
      stat.size = target_.size();
      break;
    case FileType::kDirectory:
      stat.size =
          fs().names_.with([&](auto&) { return (by_name_.size() + 2) * kDirectoryEntrySize; });
      break;
    default:
      break;
  }
  attributes_.with([&](const Attributes& own) { own.tell(stat); });
  return stat;
}

Result<Ownership> TmpInode::ownership() {
  return attributes_.with(
      [](const Attributes& own) { return Ownership{own.mode, own.uid, own.gid}; });
}

Result<String> TmpInode::read_link() {
  if (!is_symlink()) return Errno::kInval;
  return target_.clone();
}

void TmpInode::changed_names() {
  const FileTime now = current_file_time();
  attributes_.with([&](Attributes& own) { own.mtime = own.ctime = now; });
}

void TmpInode::touch_ctime() {
  const FileTime now = current_file_time();
  attributes_.with([&](Attributes& own) { own.ctime = now; });
}

// Relatime, as Linux mounts by default: when it would otherwise look older than the last change, or a day has passed.
void TmpInode::note_access() {
  constexpr int64_t kDay = 24 * 60 * 60;
  const FileTime now = current_file_time();
  attributes_.with([&](Attributes& own) {
    if (own.atime <= own.mtime || own.atime <= own.ctime ||
        now.seconds - own.atime.seconds >= kDay) {
      own.atime = now;
    }
  });
}

// Brings the file system's sum up to what the contents hold now.
void TmpInode::count_bytes() {
  const uint64_t now = object_->allocated_bytes();
  const uint64_t before = counted_bytes_.exchange(now, std::memory_order_relaxed);
  fs().used_bytes_.fetch_add(now - before, std::memory_order_relaxed);  // wraps when it shrank
}

Result<RefPtr<MemoryObject>> TmpInode::memory_object() {
  if (!is_regular()) return Errno::kNoDev;
  return object_;
}

Result<size_t> TmpInode::read_at(uint64_t offset, DataSink& sink) {
  return object_->read(offset, sink);
}

Result<size_t> TmpInode::write_at(uint64_t offset, DataSource& source) {
  if (seals_ != nullptr) TRY(seals_->limit_write(offset, object_->size(), source));
  if (const uint64_t limit = fs().limits_.max_bytes; limit != 0) {
    count_bytes();
    const uint64_t used = fs().used_bytes_.load(std::memory_order_relaxed);
    const uint64_t room = (limit - std::min(limit, used)) & ~uint64_t{kPageMask};
    // Pages that are there already cost nothing; what is behind the first hole has to fit.
    const uint64_t first_page = align_down(offset, kPageSize);
    const uint64_t present_end = object_->end_of_allocated(first_page);
    const uint64_t reach = present_end + std::min(room, kMaxFileSize - present_end);
    if (reach <= offset) return Errno::kNoSpc;
    source.truncate(reach - offset);
  }
  const size_t count = TRY(object_->write(offset, source));
  if (count != 0) changed_names();
  count_bytes();
  return count;
}

Result<void> TmpInode::allocate(uint32_t mode, uint64_t offset, uint64_t length) {
  if (!is_regular()) return Errno::kNoDev;
  const uint64_t end = offset + length;
  if ((mode & ~(kFallocKeepSize | kFallocPunchHole)) != 0) return Errno::kOpNotSupp;
  if ((mode & kFallocPunchHole) != 0) {
    if (mode != (kFallocPunchHole | kFallocKeepSize)) return Errno::kOpNotSupp;
    if (seals_ != nullptr) TRY(seals_->check_hole());
    TRY(object_->punch_hole(offset, length));
  } else {
    if (seals_ != nullptr)
      TRY(seals_->check_resize(object_->size(), std::max(object_->size(), end)));
    if (const uint64_t limit = fs().limits_.max_bytes; limit != 0) {
      count_bytes();
      const uint64_t used = fs().used_bytes_.load(std::memory_order_relaxed);
      if (object_->missing_bytes(offset, length) > limit - std::min(limit, used))
        return Errno::kNoSpc;
    }
    TRY(object_->reserve(offset, length));
    if ((mode & kFallocKeepSize) == 0 && end > object_->size()) TRY(object_->resize(end));
  }
  changed_names();
  count_bytes();
  return {};
}

Result<uint64_t> TmpInode::seek_data(uint64_t offset) {
  const uint64_t size = object_->size();
  if (offset >= size) return Errno::kNxIo;
  const uint64_t found = TRY(object_->next_data(offset));
  if (found >= size) return Errno::kNxIo;
  return found;
}

Result<uint64_t> TmpInode::seek_hole(uint64_t offset) {
  const uint64_t size = object_->size();
  if (offset >= size) return Errno::kNxIo;
  return std::min(size, TRY(object_->next_hole(offset)));
}

Result<void> TmpInode::limit_mapping(MapSource& source, Prot prot) {
  return seals_ != nullptr ? seals_->limit_mapping(source, prot) : Result<void>();
}

Result<uint32_t> TmpInode::seals() {
  if (!is_regular()) return Errno::kInval;
  return seals_ != nullptr ? seals_->value() : kSealSeal;
}

Result<void> TmpInode::add_seals(uint32_t seals) {
  if (!is_regular() || (seals & ~kAllSeals) != 0) return Errno::kInval;
  if (seals_ == nullptr) return Errno::kPerm;
  return seals_->add(seals, TRY(ownership()).mode);
}

Result<void> TmpInode::set_attributes(const AttributeChange& change) {
  if (seals_ != nullptr && change.permissions)
    TRY(seals_->check_permissions(TRY(ownership()).mode, *change.permissions));
  if (change.size) {
    if (!is_regular()) return Errno::kInval;
    if (seals_ != nullptr) TRY(seals_->check_resize(object_->size(), *change.size));
    TRY(object_->resize(*change.size));
    count_bytes();
  }
  const FileTime now = current_file_time();
  attributes_.with([&](Attributes& own) { own.apply(change, now); });
  return {};
}

Result<Vec<std::byte>> TmpInode::get_xattr(std::string_view name) {
  return attributes_.with([&](const Attributes& own) -> Result<Vec<std::byte>> {
    for (const Xattr& xattr : own.xattrs) {
      if (xattr.name == name) return xattr.value.clone();
    }
    return Errno::kNoData;
  });
}

Result<void> TmpInode::set_xattr(std::string_view name, std::span<const std::byte> value,
                                 uint32_t flags) {
  if (name.size() > kMaxXattrName) return Errno::kRange;
  if (value.size() > kMaxXattrValue) return Errno::kTooBig;
  Xattr fresh{TRY(String::create(name)), TRY(Vec<std::byte>::copy_of(value))};
  TRY(attributes_.with([&](Attributes& own) -> Result<void> {
    for (Xattr& xattr : own.xattrs) {
      if (xattr.name != name) continue;
      if ((flags & kXattrCreate) != 0) return Errno::kExist;
      std::swap(xattr.value, fresh.value);
      return {};
    }
    if ((flags & kXattrReplace) != 0) return Errno::kNoData;
    return own.xattrs.push(std::move(fresh));
  }));
  touch_ctime();
  return {};
}

Result<void> TmpInode::remove_xattr(std::string_view name) {
  const size_t removed = attributes_.with([&](Attributes& own) {
    return own.xattrs.remove_if([&](const Xattr& x) { return x.name == name; });
  });
  if (removed == 0) return Errno::kNoData;
  touch_ctime();
  return {};
}

Result<String> TmpInode::list_xattr() {
  return attributes_.with([](const Attributes& own) -> Result<String> {
    String names;
    for (const Xattr& xattr : own.xattrs) {
      TRY(names.append(xattr.name.view()));
      TRY(names.append('\0'));
    }
    return names;
  });
}

}  // namespace occlum
