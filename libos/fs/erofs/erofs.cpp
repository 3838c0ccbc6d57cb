// See erofs.h: the file system and its inodes. Directories are in erofs_directory.cpp, xattrs in erofs_xattr.cpp.
#include "libos/fs/erofs/erofs.h"

#include <algorithm>
#include <array>

#include "libos/lib/bits.h"
#include "libos/lib/bytes.h"
#include "libos/lib/log.h"

namespace occlum {

using namespace erofs;

Result<RefPtr<ErofsFs>> ErofsFs::create(OwnPtr<VerifiedImage> image) {
  RefPtr<ErofsFs> file_system = TRY(make_ref<ErofsFs>(std::move(image)));
  TRY(file_system->read_super());
  return file_system;
}

Result<void> ErofsFs::read_super() {
  std::array<std::byte, kSuperSize> raw;
  TRY(image_->read(kSuperOffset, raw));
  const std::span<const std::byte> bytes(raw);
  const auto u32 = [&](size_t at) { return load_le<uint32_t>(bytes.subspan(at)); };
  if (u32(kSuperMagic) != kMagic) {
    log_error("the root image is no EROFS");
    return Errno::kInval;
  }
  if (load_le<uint8_t>(bytes.subspan(kSuperBlockBits)) != kBlockBits ||
      load_le<uint8_t>(bytes.subspan(kSuperDirBlockBits)) != 0 ||
      (u32(kSuperIncompatible) & kIncompatDeviceTable) != 0) {
    log_error("the root image is an EROFS with features that are not supported");
    return Errno::kInval;
  }
  super_.root_nid = load_le<uint16_t>(bytes.subspan(kSuperRootNid));
  super_.inodes = load_le<uint64_t>(bytes.subspan(kSuperInodes));
  super_.blocks = u32(kSuperBlocks);
  super_.meta_start = uint64_t{u32(kSuperMetaBlock)} * kBlockSize;
  super_.xattr_start = uint64_t{u32(kSuperXattrBlock)} * kBlockSize;
  super_.build_time = {static_cast<int64_t>(load_le<uint64_t>(bytes.subspan(kSuperBuildTime))),
                       std::min(u32(kSuperBuildTimeNs), 999'999'999u)};
  return {};
}

Result<RefPtr<Inode>> ErofsFs::root() {
  RefPtr<ErofsInode> root = TRY(inode_for(super_.root_nid));
  if (!root->is_directory()) return Errno::kNotDir;
  return root;
}

Result<StatFs> ErofsFs::statfs() {
  StatFs result;
  result.type = kMagic;
  result.blocks = super_.blocks;
  result.files = super_.inodes;
  return result;
}

uint64_t ErofsNode::block_bytes() const {
  if (layout != DataLayout::kFlatInline) return align_up(size, kBlockSize);
  return align_down(size, kBlockSize);
}

namespace {

Result<ErofsNode> malformed(uint64_t nid, std::string_view what) {
  log_error("the root image is malformed: inode {}: {}", nid, what);
  return Errno::kIo;
}

ErofsNode decode_node(std::span<const std::byte> raw, bool is_extended, FileTime build_time) {
  const auto u16 = [&](size_t at) { return load_le<uint16_t>(raw.subspan(at)); };
  const auto u32 = [&](size_t at) { return load_le<uint32_t>(raw.subspan(at)); };
  ErofsNode node;
  const uint16_t format = u16(0);
  node.layout = static_cast<DataLayout>((format >> 1) & 7);
  const uint16_t xattr_count = u16(2);
  if (xattr_count != 0) {
    node.xattr_size = static_cast<uint32_t>(kXattrHeaderSize + (xattr_count - 1) * kXattrEntrySize);
  }
  node.mode = u16(4);
  node.start_block = u32(0x10);
  node.ino = u32(0x14);
  if (is_extended) {
    node.header_size = kExtendedSize;
    node.size = load_le<uint64_t>(raw.subspan(8));
    node.uid = u32(0x18);
    node.gid = u32(0x1C);
    node.mtime = {static_cast<int64_t>(load_le<uint64_t>(raw.subspan(0x20))),
                  std::min(u32(0x28), 999'999'999u)};
    node.nlink = u32(0x2C);
  } else {
    node.header_size = kCompactSize;
    node.nlink = u16(6);
    node.size = u32(8);
    node.uid = u16(0x18);
    node.gid = u16(0x1A);
    node.mtime = build_time;
  }
  return node;
}

// Everything that later code relies on: that contents and tail lie within the image.
Result<ErofsNode> checked_node(ErofsNode node, uint64_t image_size) {
  const FileType type = type_of_mode(node.mode);
  if (!is_known_type(type)) return malformed(node.nid, "unknown type");
  if (node.size > kMaxFileSize) return malformed(node.nid, "size");
  const bool has_contents =
      type == FileType::kRegular || type == FileType::kDirectory || type == FileType::kSymlink;
  if (!has_contents) {
    node.size = 0;
    return node;
  }
  if (!node.is_supported()) return node;
  const uint64_t block_bytes = node.block_bytes();
  if (block_bytes != 0) {
    const uint64_t start = uint64_t{node.start_block} * kBlockSize;
    if (node.start_block == kNoBlock || start > image_size || block_bytes > image_size - start) {
      return malformed(node.nid, "blocks beyond the end");
    }
  }
  if (node.layout == DataLayout::kFlatInline) {
    const uint64_t tail = node.size - block_bytes;
    node.inline_offset = node.offset + node.header_size + node.xattr_size;
    if (tail != 0 &&
        node.inline_offset / kBlockSize != (node.inline_offset + tail - 1) / kBlockSize) {
      return malformed(node.nid, "tail crosses a block");
    }
    if (node.inline_offset > image_size || tail > image_size - node.inline_offset) {
      return malformed(node.nid, "tail beyond the end");
    }
  }
  return node;
}

}  // namespace

Result<RefPtr<ErofsInode>> ErofsFs::inode_for(uint64_t nid) {
  RefPtr<ErofsInode> known =
      inodes_.with([&](HashMap<uint64_t, ErofsInode*>& inodes) -> RefPtr<ErofsInode> {
        ErofsInode** found = inodes.find(nid);
        if (found == nullptr || !(*found)->try_ref()) return nullptr;
        return RefPtr<ErofsInode>::adopt(**found);
      });
  if (known != nullptr) return known;

  const std::optional<uint64_t> in_meta = checked_mul(nid, kSlotSize);
  const std::optional<uint64_t> offset =
      in_meta ? checked_add(*in_meta, super_.meta_start) : std::nullopt;
  if (!offset) return Errno::kIo;
  std::array<std::byte, kExtendedSize> raw = {};
  TRY(image_->read(*offset, std::span(raw).first(kCompactSize)));
  const bool is_extended = (load_le<uint16_t>(raw) & 1) != 0;
  if (is_extended) {
    TRY(image_->read(*offset + kCompactSize, std::span(raw).subspan(kCompactSize)));
  }
  ErofsNode node = decode_node(raw, is_extended, super_.build_time);
  node.nid = nid;
  node.offset = *offset;
  node = TRY(checked_node(node, image_->size()));

  RefPtr<ErofsInode> fresh = TRY(make_ref<ErofsInode>(ref_to(*this), node));
  return inodes_.with([&](HashMap<uint64_t, ErofsInode*>& inodes) -> Result<RefPtr<ErofsInode>> {
    ErofsInode** found = inodes.find(nid);
    if (found != nullptr && (*found)->try_ref()) return RefPtr<ErofsInode>::adopt(**found);
    TRY(inodes.insert(nid, fresh.get()));
    return fresh;
  });
}

ErofsInode::ErofsInode(RefPtr<ErofsFs> file_system, const ErofsNode& node)
    : Inode(std::move(file_system), type_of_mode(node.mode)), node_(node) {}

ErofsInode::~ErofsInode() {
  fs().inodes_.with([&](HashMap<uint64_t, ErofsInode*>& inodes) {
    ErofsInode** own = inodes.find(node_.nid);
    if (own != nullptr && *own == this) inodes.remove(node_.nid);
  });
  ErofsPages::retire(pages_.with([](RefPtr<ErofsPages>& pages) { return std::move(pages); }));
}

Result<Stat> ErofsInode::stat() {
  Stat stat;
  stat.dev = file_system().device();
  stat.ino = node_.nid;
  stat.mode = node_.mode;
  stat.nlink = node_.nlink;
  stat.uid = node_.uid;
  stat.gid = node_.gid;
  stat.size = node_.size;
  stat.blocks = align_up(node_.size, uint64_t{512}) / 512;
  stat.atime = stat.mtime = stat.ctime = node_.mtime;
  if (type() == FileType::kCharDevice || type() == FileType::kBlockDevice) {
    // The kernel's 32-bit encoding: minor's low byte, major, the rest of minor.
    const uint32_t raw = node_.start_block;
    stat.rdev = make_device((raw & 0xfff00) >> 8, (raw & 0xff) | ((raw >> 12) & 0xfff00));
  }
  return stat;
}

Result<void> ErofsInode::read_contents(uint64_t offset, std::span<std::byte> to) {
  if (!node_.is_supported()) {
    log_error("inode {} of the root image is stored in a layout that is not supported", node_.nid);
    return Errno::kIo;
  }
  if (offset > node_.size || to.size() > node_.size - offset) return Errno::kIo;
  const uint64_t block_bytes = node_.block_bytes();
  if (offset < block_bytes) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(to.size(), block_bytes - offset));
    TRY(fs().image_->read(uint64_t{node_.start_block} * kBlockSize + offset, to.first(count)));
    to = to.subspan(count);
    offset += count;
  }
  if (to.empty()) return {};
  return fs().image_->read(node_.inline_offset + (offset - block_bytes), to);
}

Result<String> ErofsInode::read_link() {
  if (!is_symlink()) return Errno::kInval;
  if (node_.size == 0 || node_.size >= 4096) return Errno::kIo;
  Vec<std::byte> buffer = TRY(Vec<std::byte>::create(static_cast<size_t>(node_.size)));
  TRY(read_contents(0, buffer.span()));
  const std::string_view text = bytes_text(buffer.span());
  if (text.find('\0') != std::string_view::npos) return Errno::kIo;
  return String::create(text);
}

Result<RefPtr<MemoryObject>> ErofsInode::memory_object() {
  if (!is_regular()) return Errno::kNoDev;
  RefPtr<ErofsPages> known = pages_.with([](RefPtr<ErofsPages>& pages) { return pages; });
  if (known != nullptr) return known->object();
  RefPtr<ErofsPages> fresh = TRY(ErofsPages::create(ref_to(fs()), node_));
  return pages_.with([&](RefPtr<ErofsPages>& pages) {
    if (pages == nullptr) pages = std::move(fresh);
    return pages->object();
  });
}

// --- pages ---

namespace {
[[clang::no_destroy]] constinit SpinLocked<Vec<RefPtr<ErofsPages>>> retired{LockRank::kDentryCache};
}  // namespace

Result<RefPtr<ErofsPages>> ErofsPages::create(RefPtr<ErofsFs> file_system, const ErofsNode& node) {
  RefPtr<ErofsPages> pages = TRY(make_ref<ErofsPages>(std::move(file_system), node));
  pages->object_ = TRY(MemoryObject::create(pages.get(), node.size));
  return pages;
}

void ErofsPages::retire(RefPtr<ErofsPages> pages) {
  std::array<RefPtr<ErofsPages>, 16> gone;
  size_t count = 0;
  const bool mapped = pages != nullptr && pages->object_->reference_count() > 1;
  const bool kept = retired.with([&](Vec<RefPtr<ErofsPages>>& all) {
    for (size_t i = 0; i < all.size() && count < gone.size();) {
      if (all[i]->object_->reference_count() == 1) {
        gone[count++] = all.swap_remove(i);
      } else {
        ++i;
      }
    }
    return !mapped || !all.push(pages).is_error();
  });
  // No memory to remember it by: it stays for good rather than leave mappings without a source.
  if (!kept) static_cast<void>(pages.leak());
}

Result<void> ErofsPages::read_page(uint64_t index, std::span<std::byte, 4096> page) {
  if (!node_.is_supported()) {
    log_error("inode {} of the root image is stored in a layout that is not supported", node_.nid);
    return Errno::kIo;
  }
  const uint64_t offset = index * kBlockSize;
  if (offset >= node_.size) return Errno::kIo;
  VerifiedImage& image = *file_system_->image_;
  const uint64_t left = node_.size - offset;
  if (offset < node_.block_bytes()) {
    TRY(image.read_block(node_.start_block + index, page));
  } else {
    TRY(image.read(node_.inline_offset, page.first(static_cast<size_t>(left))));
  }
  if (left < kBlockSize) zero_bytes(page.subspan(static_cast<size_t>(left)));
  return {};
}

}  // namespace occlum
