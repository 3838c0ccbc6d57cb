// Directories of EROFS: blocks of entries in the order of their names, so a lookup is a binary search over the blocks by
// their first name, then within one. A cookie is the position in the directory: block * 4096 + number of the entry.
#include <algorithm>
#include <array>

#include "libos/fs/erofs/erofs.h"
#include "libos/lib/bytes.h"
#include "libos/lib/log.h"

namespace occlum {

using namespace erofs;

namespace {

FileType type_of(uint8_t disk) {
  constexpr std::array<FileType, 8> kTypes = {
      FileType::kUnknown,     FileType::kRegular, FileType::kDirectory, FileType::kCharDevice,
      FileType::kBlockDevice, FileType::kFifo,    FileType::kSocket,    FileType::kSymlink};
  return disk < kTypes.size() ? kTypes[disk] : FileType::kUnknown;
}

// One verified directory block, copied, its entries checked on the way out.
class DirectoryBlock {
 public:
  static Result<DirectoryBlock> parse(Vec<std::byte> bytes) {
    DirectoryBlock block;
    if (bytes.size() < kDirentSize) return Errno::kIo;
    const size_t names_start = load_le<uint16_t>(bytes.span().subspan(8));
    if (names_start % kDirentSize != 0 || names_start == 0 || names_start > bytes.size())
      return Errno::kIo;
    block.count_ = names_start / kDirentSize;
    block.bytes_ = std::move(bytes);
    return block;
  }

  struct Entry {
    uint64_t nid;
    FileType type;
    std::string_view name;
  };
  size_t count() const { return count_; }

  Result<Entry> entry(size_t index) const {
    const std::span<const std::byte> raw = bytes_.span().subspan(index * kDirentSize, kDirentSize);
    const size_t start = load_le<uint16_t>(raw.subspan(8));
    const bool is_last = index + 1 == count_;
    const size_t end =
        is_last ? bytes_.size()
                : load_le<uint16_t>(bytes_.span().subspan((index + 1) * kDirentSize + 8));
    if (start < count_ * kDirentSize || start >= end || end > bytes_.size()) return Errno::kIo;
    std::string_view name = bytes_text(bytes_.span().subspan(start, end - start));
    // The last name ends with the block, or with a NUL.
    if (is_last) name = name.substr(0, name.find('\0'));
    if (name.empty() || name.size() > 255 ||
        name.find_first_of(std::string_view("/\0", 2)) != std::string_view::npos) {
      return Errno::kIo;
    }
    return Entry{load_le<uint64_t>(raw), type_of(load_le<uint8_t>(raw.subspan(10))), name};
  }

 private:
  Vec<std::byte> bytes_;
  size_t count_ = 0;
};

uint64_t block_count(uint64_t size) { return ceil_div(size, kBlockSize); }

}  // namespace

Result<RefPtr<Inode>> ErofsInode::lookup(std::string_view name) {
  if (!is_directory()) return Errno::kNotDir;
  const auto read_one = [&](uint64_t index) -> Result<DirectoryBlock> {
    const uint64_t offset = index * kBlockSize;
    Vec<std::byte> bytes =
        TRY(Vec<std::byte>::create(static_cast<size_t>(std::min(kBlockSize, node_.size - offset))));
    TRY(read_contents(offset, bytes.span()));
    return DirectoryBlock::parse(std::move(bytes));
  };
  // The last block whose first name is not greater.
  uint64_t low = 0, high = block_count(node_.size);
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    const DirectoryBlock block = TRY(read_one(middle));
    if (TRY(block.entry(0)).name <= name) {
      low = middle;
    } else {
      high = middle;
    }
  }
  if (low == high) return Errno::kNoEnt;
  const DirectoryBlock block = TRY(read_one(low));
  size_t first = 0, last = block.count();
  while (first < last) {
    const size_t middle = first + (last - first) / 2;
    const DirectoryBlock::Entry entry = TRY(block.entry(middle));
    if (entry.name == name) return TRY(fs().inode_for(entry.nid));
    if (entry.name < name) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return Errno::kNoEnt;
}

Result<void> ErofsInode::readdir(uint64_t cookie, DirectoryEmitter emit) {
  if (!is_directory()) return Errno::kNotDir;
  size_t index = static_cast<size_t>(cookie % kBlockSize);
  for (uint64_t number = cookie / kBlockSize; number < block_count(node_.size); ++number) {
    const uint64_t offset = number * kBlockSize;
    Vec<std::byte> bytes =
        TRY(Vec<std::byte>::create(static_cast<size_t>(std::min(kBlockSize, node_.size - offset))));
    TRY(read_contents(offset, bytes.span()));
    const DirectoryBlock block = TRY(DirectoryBlock::parse(std::move(bytes)));
    for (; index < block.count(); ++index) {
      const DirectoryBlock::Entry entry = TRY(block.entry(index));
      if (entry.name == "." || entry.name == "..") continue;
      const uint64_t next = number * kBlockSize + index + 1;
      if (!emit({entry.name, entry.nid, entry.type, next})) return {};
    }
    index = 0;
  }
  return {};
}

}  // namespace occlum
