// See inode.h.
#include "libos/fs/vfs/inode.h"

#include "libos/fs/vfs/directory_file.h"
#include "libos/fs/vfs/hooks.h"
#include "libos/fs/vfs/mount.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"

namespace occlum {

Inode::Inode(RefPtr<FileSystem> file_system, FileType type)
    : file_system_(std::move(file_system)), type_(type) {}

Inode::~Inode() = default;

Result<Ownership> Inode::ownership() {
  const Stat stat = TRY(this->stat());
  return Ownership{stat.mode, stat.uid, stat.gid};
}

Result<RefPtr<Inode>> Inode::lookup(std::string_view) { return Errno::kNotDir; }
Result<RefPtr<Inode>> Inode::create(std::string_view, const NewInode&) {
  return is_directory() ? Errno::kRoFs : Errno::kNotDir;
}
Result<RefPtr<Inode>> Inode::create_unnamed(const NewInode&) { return Errno::kOpNotSupp; }
Result<void> Inode::link(std::string_view, Inode&) { return Errno::kPerm; }
Result<void> Inode::unlink(std::string_view, Inode&) { return Errno::kPerm; }
Result<void> Inode::rmdir(std::string_view, Inode&) { return Errno::kPerm; }
Result<void> Inode::rename(std::string_view, Inode&, Inode&, std::string_view, Inode*, uint32_t) {
  return Errno::kPerm;
}
Result<void> Inode::readdir(uint64_t, DirectoryEmitter) { return Errno::kNotDir; }
bool Inode::revalidate(std::string_view, Inode*, bool) { return true; }

Result<String> Inode::read_link() { return Errno::kInval; }
Result<Path> Inode::magic_target() { return Errno::kInval; }

Result<RefPtr<File>> Inode::open(const Path& path, uint32_t flags) {
  switch (type_) {
    case FileType::kRegular:
      return TRY(make_ref<RegularFile>(path, flags));
    case FileType::kDirectory:
      return TRY(make_ref<DirectoryFile>(path, flags));
    case FileType::kFifo:
      return open_fifo(path, flags);
    case FileType::kCharDevice:
    case FileType::kBlockDevice:
      return open_device(path, type_, TRY(stat()).rdev, flags);
    case FileType::kSymlink:
      return Errno::kLoop;
    case FileType::kSocket:
    case FileType::kUnknown:
      return Errno::kNxIo;
  }
  return Errno::kNxIo;
}

Result<RefPtr<MemoryObject>> Inode::memory_object() { return Errno::kNoDev; }

Result<size_t> Inode::read_at(uint64_t offset, DataSink& sink) {
  const RefPtr<MemoryObject> object = TRY(memory_object());
  return object->read(offset, sink);
}

Result<size_t> Inode::write_at(uint64_t, DataSource&) { return Errno::kInval; }
Result<void> Inode::allocate(uint32_t, uint64_t, uint64_t) { return Errno::kOpNotSupp; }
Result<void> Inode::sync(bool) { return {}; }

Result<uint64_t> Inode::seek_data(uint64_t offset) {
  if (offset >= TRY(stat()).size) return Errno::kNxIo;
  return offset;
}
Result<uint64_t> Inode::seek_hole(uint64_t offset) {
  const uint64_t size = TRY(stat()).size;
  if (offset >= size) return Errno::kNxIo;
  return size;
}

Result<void> Inode::set_attributes(const AttributeChange&) { return Errno::kPerm; }

Result<Vec<std::byte>> Inode::get_xattr(std::string_view) { return Errno::kOpNotSupp; }
Result<void> Inode::set_xattr(std::string_view, std::span<const std::byte>, uint32_t) {
  return Errno::kOpNotSupp;
}
Result<void> Inode::remove_xattr(std::string_view) { return Errno::kOpNotSupp; }
Result<String> Inode::list_xattr() { return String(); }

Result<RefPtr<WriteCount>> Inode::write_count() {
  if (WriteCount* existing = write_count_.load(std::memory_order_acquire)) return ref_to(*existing);
  RefPtr<WriteCount> fresh = TRY(make_ref<WriteCount>());
  WriteCount* expected = nullptr;
  if (!write_count_.compare_exchange_strong(expected, fresh.get(), std::memory_order_acq_rel))
    return ref_to(*expected);
  owned_write_count_ = fresh;
  return fresh;
}

int64_t Inode::writers() const {
  const WriteCount* count = write_count_.load(std::memory_order_acquire);
  return count != nullptr ? count->value() : 0;
}

Result<Inode::Attachment*> Inode::attachment(FunctionRef<Result<OwnPtr<Attachment>>()> make) {
  Attachment* existing =
      attachment_.with([](OwnPtr<Attachment>& attachment) { return attachment.get(); });
  if (existing != nullptr) return existing;
  OwnPtr<Attachment> fresh = TRY(make());
  return attachment_.with([&](OwnPtr<Attachment>& attachment) {
    if (attachment == nullptr) std::swap(attachment, fresh);
    return attachment.get();
  });
}

}  // namespace occlum
