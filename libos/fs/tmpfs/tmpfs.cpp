// The file system tmpfs and the names in its directories. See tmpfs.h; contents and attributes are in tmpfs_inode.cpp.
#include "libos/fs/tmpfs/tmpfs.h"

#include <array>

#include "libos/fs/tmpfs/seals.h"
#include "libos/lib/log.h"
#include "libos/lib/text.h"

namespace occlum {

namespace {

// What statfs says of a tmpfs without a limit.
constexpr uint64_t kUnlimitedBytes = uint64_t{1} << 36;
constexpr uint64_t kUnlimitedInodes = uint64_t{1} << 20;

Result<uint64_t> parse_size(std::string_view text) {
  unsigned shift = 0;
  if (!text.empty()) {
    switch (text.back()) {
      case 'k':
      case 'K':
        shift = 10;
        break;
      case 'm':
      case 'M':
        shift = 20;
        break;
      case 'g':
      case 'G':
        shift = 30;
        break;
      case '%':
        return uint64_t{0};  // of a memory whose size we do not limit
      default:
        break;
    }
  }
  if (shift != 0) text.remove_suffix(1);
  const uint64_t value = TRY(parse_u64(text));
  if (value > (UINT64_MAX >> shift)) return Errno::kInval;
  return value << shift;
}

Result<uint32_t> parse_octal(std::string_view text) {
  if (text.empty()) return Errno::kInval;
  uint32_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '7') return Errno::kInval;
    value = value * 8 + static_cast<uint32_t>(digit - '0');
    if (value > kModePermissions) return Errno::kInval;
  }
  return value;
}

Result<uint32_t> parse_id(std::string_view text) {
  const uint64_t value = TRY(parse_u64(text));
  if (value >= UINT32_MAX) return Errno::kInval;
  return static_cast<uint32_t>(value);
}

}  // namespace

Result<RefPtr<TmpFs>> TmpFs::create(const Options& options) { return make_ref<TmpFs>(options); }

Result<RefPtr<FileSystem>> TmpFs::from_arguments(const MountArguments& arguments) {
  Options options;
  if (const auto size = option_value(arguments.options, "size"))
    options.max_bytes = TRY(parse_size(*size));
  if (const auto inodes = option_value(arguments.options, "nr_inodes")) {
    options.max_inodes = TRY(parse_size(*inodes));
  }
  if (const auto mode = option_value(arguments.options, "mode"))
    options.root_mode = TRY(parse_octal(*mode));
  if (const auto uid = option_value(arguments.options, "uid"))
    options.root_uid = TRY(parse_id(*uid));
  if (const auto gid = option_value(arguments.options, "gid"))
    options.root_gid = TRY(parse_id(*gid));
  return TRY(create(options));
}

Result<RefPtr<Inode>> TmpFs::root() {
  RefPtr<TmpInode> root =
      TRY(TmpInode::make(*this, {.mode = type_bits(FileType::kDirectory) | limits_.root_mode,
                                 .uid = limits_.root_uid,
                                 .gid = limits_.root_gid}));
  root->nlink_.store(2, std::memory_order_relaxed);
  return root;
}

Result<RefPtr<Inode>> TmpFs::create_sealable(const NewInode& attributes, uint32_t seals) {
  RefPtr<TmpInode> inode = TRY(TmpInode::make(*this, attributes));
  inode->seals_ = TRY(Seals::create(seals));
  return RefPtr<Inode>(std::move(inode));
}

Result<StatFs> TmpFs::statfs() {
  StatFs result;
  result.type = 0x01021994;  // TMPFS_MAGIC
  const uint64_t used = used_bytes_.load(std::memory_order_relaxed);
  const uint64_t total =
      limits_.max_bytes != 0 ? limits_.max_bytes : std::max(kUnlimitedBytes, 2 * used);
  result.blocks = total / kPageSize;
  result.blocks_free = (total - std::min(used, total)) / kPageSize;
  result.blocks_available = result.blocks_free;
  const uint64_t inodes = used_inodes_.load(std::memory_order_relaxed);
  result.files =
      limits_.max_inodes != 0 ? limits_.max_inodes : std::max(kUnlimitedInodes, 2 * inodes);
  result.files_free = result.files - std::min(inodes, result.files);
  return result;
}

Result<String> TmpFs::options() const {
  String text;
  if (limits_.max_bytes != 0) TRY(append_format(text, ",size={}k", limits_.max_bytes / 1024));
  if (limits_.max_inodes != 0) TRY(append_format(text, ",nr_inodes={}", limits_.max_inodes));
  return text;
}

Result<RefPtr<TmpInode>> TmpInode::make(TmpFs& fs, const NewInode& attributes) {
  if (fs.limits_.max_inodes != 0 &&
      fs.used_inodes_.load(std::memory_order_relaxed) >= fs.limits_.max_inodes) {
    return Errno::kNoSpc;
  }
  RefPtr<TmpInode> inode = TRY(make_ref<TmpInode>(ref_to(fs), attributes));
  inode->rdev_ = attributes.rdev;
  if (inode->is_symlink()) inode->target_ = TRY(String::create(attributes.target));
  if (inode->is_regular()) inode->object_ = TRY(MemoryObject::create(nullptr, 0));
  return inode;
}

TmpInode::TmpInode(RefPtr<TmpFs> file_system, const NewInode& attributes)
    : Inode(file_system, type_of_mode(attributes.mode)),
      number_(file_system->next_ino_.fetch_add(1, std::memory_order_relaxed)),
      btime_(current_file_time()),
      attributes_(LockRank::kAttributes) {
  file_system->used_inodes_.fetch_add(1, std::memory_order_relaxed);
  attributes_.with([&](Attributes& own) {
    own.mode = attributes.mode;
    own.uid = attributes.uid;
    own.gid = attributes.gid;
    own.atime = own.mtime = own.ctime = btime_;
  });
}

TmpInode::~TmpInode() {
  fs().used_inodes_.fetch_sub(1, std::memory_order_relaxed);
  fs().used_bytes_.fetch_sub(counted_bytes_.load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
  // A tree that goes as a whole (unmount) must not unwind on the kernel stack: children first, one level at a time.
  Vec<RefPtr<TmpInode>> doomed;
  const auto take_children = [&](TmpInode& directory) {
    for (auto it = directory.by_cookie_.begin(); it; ++it) {
      if (doomed.push(std::move(it->value.inode)).is_error()) return;
    }
  };
  if (!is_directory()) return;
  take_children(*this);
  while (!doomed.is_empty()) {
    RefPtr<TmpInode> next = doomed.pop();
    if (next != nullptr && next->is_directory() && next->reference_count() == 1)
      take_children(*next);
  }
}

TmpInode* TmpInode::find_entry(std::string_view name) {
  const uint64_t* cookie = by_name_.find(name);
  if (cookie == nullptr) return nullptr;
  return by_cookie_.find(*cookie)->inode.get();
}

Result<void> TmpInode::add_entry(std::string_view name, RefPtr<TmpInode> inode) {
  const uint64_t cookie = next_cookie_;
  TRY(by_name_.insert(TRY(String::create(name)), cookie));
  auto added = [&]() -> Result<void> {
    TRY(by_cookie_.insert(cookie, Entry{TRY(String::create(name)), std::move(inode)}));
    return {};
  }();
  if (added.is_error()) {
    by_name_.remove(name);
    return added;
  }
  ++next_cookie_;
  // Neither an entry's cookie nor the one behind it.
  if (next_cookie_ == kEndCookie - 1) next_cookie_ = kEndCookie + 1;
  return {};
}

TmpInode::Entry TmpInode::take_entry(std::string_view name) {
  const uint64_t cookie = *by_name_.find(name);
  by_name_.remove(name);
  Entry entry = std::move(*by_cookie_.find(cookie));
  by_cookie_.remove(cookie);
  return entry;
}

Result<RefPtr<Inode>> TmpInode::lookup(std::string_view name) {
  if (!is_directory()) return Errno::kNotDir;
  return fs().names_.with([&](auto&) -> Result<RefPtr<Inode>> {
    TmpInode* found = find_entry(name);
    if (found == nullptr) return Errno::kNoEnt;
    return RefPtr<Inode>(found);
  });
}

Result<RefPtr<Inode>> TmpInode::create(std::string_view name, const NewInode& attributes) {
  if (!is_directory()) return Errno::kNotDir;
  if (name.size() > 255) return Errno::kNameTooLong;
  RefPtr<TmpInode> child = TRY(make(fs(), attributes));
  const bool is_subdirectory = child->is_directory();
  TRY(fs().names_.with([&](auto&) -> Result<void> {
    if (removed_) return Errno::kNoEnt;
    if (find_entry(name) != nullptr) return Errno::kExist;
    TRY(add_entry(name, child));
    child->nlink_.store(is_subdirectory ? 2 : 1, std::memory_order_relaxed);
    if (is_subdirectory) nlink_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }));
  changed_names();
  return child;
}

Result<RefPtr<Inode>> TmpInode::create_unnamed(const NewInode& attributes) {
  if (!is_directory()) return Errno::kNotDir;
  RefPtr<TmpInode> child = TRY(make(fs(), attributes));
  child->linkable_ = true;
  return child;
}

Result<void> TmpInode::link(std::string_view name, Inode& target) {
  if (&target.file_system() != &file_system()) return Errno::kXDev;
  TmpInode& child = static_cast<TmpInode&>(target);
  TRY(fs().names_.with([&](auto&) -> Result<void> {
    if (removed_) return Errno::kNoEnt;
    const uint32_t links = child.nlink_.load(std::memory_order_relaxed);
    if (links == 0 && !child.linkable_) return Errno::kNoEnt;
    if (links == UINT32_MAX) return Errno::kMLink;
    if (find_entry(name) != nullptr) return Errno::kExist;
    TRY(add_entry(name, ref_to(child)));
    child.nlink_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }));
  child.touch_ctime();
  changed_names();
  return {};
}

Result<void> TmpInode::unlink(std::string_view name, Inode&) {
  Entry gone;  // the last reference may go with it: after the lock
  TRY(fs().names_.with([&](auto&) -> Result<void> {
    TmpInode* child = find_entry(name);
    if (child == nullptr) return Errno::kNoEnt;
    if (child->is_directory()) return Errno::kIsDir;
    gone = take_entry(name);
    child->nlink_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }));
  gone.inode->touch_ctime();
  changed_names();
  return {};
}

Result<void> TmpInode::rmdir(std::string_view name, Inode&) {
  Entry gone;
  TRY(fs().names_.with([&](auto&) -> Result<void> {
    TmpInode* child = find_entry(name);
    if (child == nullptr) return Errno::kNoEnt;
    if (!child->is_directory()) return Errno::kNotDir;
    if (!child->by_name_.is_empty()) return Errno::kNotEmpty;
    gone = take_entry(name);
    child->removed_ = true;
    child->nlink_.store(0, std::memory_order_relaxed);
    nlink_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }));
  changed_names();
  return {};
}

Result<void> TmpInode::rename(std::string_view old_name, Inode&, Inode& new_parent,
                              std::string_view new_name, Inode*, uint32_t flags) {
  if ((flags & ~(kRenameNoReplace | kRenameExchange)) != 0) return Errno::kInval;
  if (&new_parent.file_system() != &file_system()) return Errno::kXDev;
  TmpInode& to = static_cast<TmpInode&>(new_parent);
  RefPtr<TmpInode> moved;
  Entry replaced;
  TRY(fs().names_.with([&](auto&) -> Result<void> {
    TmpInode* child = find_entry(old_name);
    if (child == nullptr) return Errno::kNoEnt;
    TmpInode* target = to.find_entry(new_name);
    if (to.removed_) return Errno::kNoEnt;
    moved = RefPtr<TmpInode>(child);
    if ((flags & kRenameExchange) != 0) {
      if (target == nullptr) return Errno::kNoEnt;
      RefPtr<TmpInode>& here = by_cookie_.find(*by_name_.find(old_name))->inode;
      RefPtr<TmpInode>& there = to.by_cookie_.find(*to.by_name_.find(new_name))->inode;
      std::swap(here, there);
      if (child->is_directory() != target->is_directory()) {
        TmpInode& gains = child->is_directory() ? to : *this;
        TmpInode& loses = child->is_directory() ? *this : to;
        gains.nlink_.fetch_add(1, std::memory_order_relaxed);
        loses.nlink_.fetch_sub(1, std::memory_order_relaxed);
      }
      replaced.inode = RefPtr<TmpInode>(target);
      return {};
    }
    if (target != nullptr) {
      if ((flags & kRenameNoReplace) != 0) return Errno::kExist;
      if (target == child) return {};
      if (target->is_directory() && !child->is_directory()) return Errno::kIsDir;
      if (!target->is_directory() && child->is_directory()) return Errno::kNotDir;
      if (target->is_directory() && !target->by_name_.is_empty()) return Errno::kNotEmpty;
    }
    // The new entry is made before anything is taken away, so that no memory means no change.
    if (target != nullptr) {
      Entry& entry = *to.by_cookie_.find(*to.by_name_.find(new_name));
      replaced.inode = std::exchange(entry.inode, moved);
      if (target->is_directory()) {
        target->removed_ = true;
        target->nlink_.store(0, std::memory_order_relaxed);
        to.nlink_.fetch_sub(1, std::memory_order_relaxed);
      } else {
        target->nlink_.fetch_sub(1, std::memory_order_relaxed);
      }
    } else {
      TRY(to.add_entry(new_name, moved));
    }
    Entry old = take_entry(old_name);
    if (child->is_directory()) {
      nlink_.fetch_sub(1, std::memory_order_relaxed);
      to.nlink_.fetch_add(1, std::memory_order_relaxed);
    }
    return {};
  }));
  if (replaced.inode != nullptr) replaced.inode->touch_ctime();
  moved->touch_ctime();
  changed_names();
  if (&to != this) to.changed_names();
  return {};
}

Result<void> TmpInode::readdir(uint64_t cookie, DirectoryEmitter emit) {
  if (!is_directory()) return Errno::kNotDir;
  if (cookie == kEndCookie) return {};
  fs().names_.with([&](auto&) {
    for (auto it = by_cookie_.lower_bound(cookie); it; ++it) {
      const TmpInode& child = *it->value.inode;
      if (!emit({it->value.name.view(), child.number_, child.type(), it->key + 1})) return;
    }
  });
  return {};
}

}  // namespace occlum
