// Contents of host files. See hostfs.h and host_pages.h.
#include "libos/fs/hostfs/host_calls.h"
#include "libos/fs/hostfs/hostfs.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"
#include "libos/sched/host_files.h"

namespace occlum {

namespace {

// Keeps the host's descriptor open for as long as the file is.
class HostFile final : public RegularFile {
 public:
  HostFile(Path path, uint32_t flags, RefPtr<HostPages> pages)
      : RegularFile(std::move(path), flags), pages_(std::move(pages)) {
    pages_->add_user();
  }
  ~HostFile() override { pages_->remove_user(); }

 private:
  const RefPtr<HostPages> pages_;
};

}  // namespace

// The pages of the version that was seen last, made when there are none.
Result<RefPtr<HostPages>> HostInode::current_pages() {
  if (!is_regular()) return Errno::kNoDev;
  RefPtr<HostPages> known = state_.with([](const State& state) { return state.pages; });
  if (known != nullptr) return known;
  const HostVersion version =
      state_.with([](const State& state) { return version_of(state.stat); });
  RefPtr<HostPages> fresh = TRY(HostPages::create(version));
  RefPtr<HostPages> outdated;
  RefPtr<HostPages> result = state_.with([&](State& state) {
    if (state.pages == nullptr) {
      state.pages = std::move(fresh);
      outdated = std::move(state.outdated);
    }
    return state.pages;
  });
  if (outdated != nullptr) {
    // The same file in another version: its descriptor, which may be of a file without a name, goes on.
    for (const HostPages::Need need : {HostPages::Need::kWrite, HostPages::Need::kRead}) {
      const Result<int> fd = outdated->descriptor(need);
      if (fd.is_error()) continue;
      if (Result<HostFd> copy = host_calls::duplicate(fd.value()); !copy.is_error()) {
        result->set_descriptor(copy.release_value(), need);
      }
      break;
    }
    HostPages::retire(std::move(outdated));
  }
  return result;
}

Result<RefPtr<HostPages>> HostInode::use_pages(HostPages::Need need) {
  // Opening looks at the host's version, which may make the pages outdated: at most a few times.
  for (int tries = 0; tries < 4; ++tries) {
    RefPtr<HostPages> pages = TRY(current_pages());
    if (pages->is_ready(need)) return pages;
    const int mode =
        need == HostPages::Need::kWrite ? host_calls::kReadWrite : host_calls::kReadOnly;
    HostFd fd = TRY(open_host(mode | host_calls::kNonblock));
    pages = TRY(current_pages());
    pages->set_descriptor(std::move(fd), need);
    if (pages == TRY(current_pages())) return pages;
  }
  return Errno::kStale;
}

Result<RefPtr<File>> HostInode::open(const Path& path, uint32_t flags) {
  if (is_regular()) {
    const uint32_t mode = flags & kOpenAccessMode;
    const bool writes = mode != kOpenReadOnly || (flags & kOpenTruncate) != 0;
    if (writes) TRY(check_writes());
    RefPtr<HostPages> pages =
        TRY(use_pages(writes ? HostPages::Need::kWrite : HostPages::Need::kRead));
    return TRY(make_ref<HostFile>(path, flags, std::move(pages)));
  }
  // A FIFO is a name: who meets there are programs of the enclave.
  if (is_directory() || type() == FileType::kFifo) return Inode::open(path, flags);
  // Devices and sockets of the host are not ours to use.
  return is_symlink() ? Errno::kLoop : Errno::kNxIo;
}

Result<RefPtr<MemoryObject>> HostInode::memory_object() {
  return TRY(use_pages(HostPages::Need::kRead))->object();
}

Result<size_t> HostInode::read_at(uint64_t offset, DataSink& sink) {
  const RefPtr<HostPages> pages = TRY(use_pages(HostPages::Need::kRead));
  const size_t count = TRY(pages->object()->read(offset, sink));
  if (count != 0) return count;
  // At the end as we know it: the host's file may have grown.
  TRY(fresh_stat(1'000'000));
  const RefPtr<HostPages> now = TRY(current_pages());
  if (now == pages) return count;
  return TRY(use_pages(HostPages::Need::kRead))->object()->read(offset, sink);
}

Result<void> HostInode::check_writes() const {
  if (fs().is_read_only()) return Errno::kRoFs;
  return {};
}

// After we changed the contents: the host's new time stamps belong to the pages that we have.
Result<void> HostInode::note_own_change() {
  const RefPtr<HostPages> pages = TRY(current_pages());
  const int fd = TRY(pages->descriptor(HostPages::Need::kWrite));
  const host::HostStat stat = TRY(host::fstat(fd));
  pages->set_version(version_of(stat));
  note_stat(stat);
  return {};
}

Result<size_t> HostInode::write_at(uint64_t offset, DataSource& source) {
  TRY(check_writes());
  const RefPtr<HostPages> pages = TRY(use_pages(HostPages::Need::kWrite));
  const size_t count = TRY(pages->write(offset, source));
  TRY(note_own_change());
  return count;
}

Result<void> HostInode::allocate(uint32_t mode, uint64_t offset, uint64_t length) {
  TRY(check_writes());
  if ((mode & ~(kFallocKeepSize | kFallocPunchHole | kFallocZeroRange)) != 0)
    return Errno::kOpNotSupp;
  const RefPtr<HostPages> pages = TRY(use_pages(HostPages::Need::kWrite));
  TRY(host::fallocate(TRY(pages->descriptor(HostPages::Need::kWrite)), mode, offset, length));
  MemoryObject& object = *pages->object();
  const uint64_t size = object.size();
  const bool grows = (mode & kFallocKeepSize) == 0 && offset + length > size;
  pages->begin_change(grows ? offset + length : size);
  if ((mode & (kFallocPunchHole | kFallocZeroRange)) != 0 && offset < size) {
    TRY(object.punch_hole(offset, std::min(length, size - offset)));
  }
  if (grows) TRY(object.resize(offset + length));
  return note_own_change();
}

Result<void> HostInode::sync(bool data_only) {
  if (fs().is_read_only()) return {};
  const RefPtr<HostPages> pages = state_.with([](const State& state) { return state.pages; });
  if (pages == nullptr) return {};
  const Result<int> fd = pages->descriptor(HostPages::Need::kWrite);
  if (fd.is_error()) return {};
  TRY(pages->object()->write_back());
  TRY(host::fsync(fd.value(), data_only));
  return note_own_change();
}

Result<void> HostInode::set_attributes(const AttributeChange& change) {
  TRY(check_writes());
  if (change.size) {
    const RefPtr<HostPages> pages = TRY(use_pages(HostPages::Need::kWrite));
    TRY(host_calls::ftruncate(TRY(pages->descriptor(HostPages::Need::kWrite)), *change.size));
    pages->begin_change(*change.size);
    TRY(pages->object()->resize(*change.size));
    TRY(note_own_change());
  }
  if (change.permissions) {
    const int directory = is_directory() ? host_calls::kDirectory : 0;
    const HostFd fd = TRY(open_host(host_calls::kReadOnly | host_calls::kNonblock | directory));
    // Set-id bits do not exist here.
    const uint32_t kept = is_directory() ? kModeSetGid : 0;
    TRY(host_calls::fchmod(fd.number(), *change.permissions & (01777 | kept)));
  }
  if (change.uid || change.gid) {
    const HostName at = TRY(host_name());
    TRY(host_calls::fchownat(at.directory, at.name.view(), change.uid.value_or(UINT32_MAX),
                             change.gid.value_or(UINT32_MAX)));
  }
  if (change.atime || change.mtime) {
    const HostName at = TRY(host_name());
    TRY(host_calls::utimensat(at.directory, at.name.view(), change.atime, change.mtime));
  }
  const Result<host::HostStat> stat = fetch_stat();
  if (stat.is_error()) return {};
  // Only attributes changed: the pages are still those of the file.
  if (const RefPtr<HostPages> pages = state_.with([](const State& state) { return state.pages; })) {
    HostVersion version = version_of(stat.value());
    if (version.size == pages->version().size) pages->set_version(version);
  }
  note_stat(stat.value());
  return {};
}

}  // namespace occlum
