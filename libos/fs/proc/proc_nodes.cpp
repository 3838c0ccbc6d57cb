#include "libos/fs/proc/proc_nodes.h"

#include <algorithm>
#include <array>

#include "libos/fs/proc/proc.h"
#include "libos/fs/vfs/mount_events.h"
#include "libos/fs/vfs/operations.h"
#include "libos/lib/memory.h"
#include "libos/process/credentials.h"

namespace occlum {

namespace {

// A process's entries are numbered from process_ino(pid) + kFirstEntry.
constexpr uint64_t kFirstEntry = 1;
constexpr uint64_t kInosPerProcess = uint64_t{1} << 24;
constexpr size_t kMaxWrite = 4096;

struct Text : RefCounted<Text> {
  explicit Text(String a) : string(std::move(a)) {}
  const String string;
};

// As a file of Linux's seq_file: the text is made where it is read from its beginning, so a program may keep the file
// open and go back to look again.
class TextFile final : public File {
 public:
  // `entry` null: the text does not change.
  TextFile(const Path& path, uint32_t flags, Subject subject, const ProcEntry* entry,
           RefPtr<Text> text)
      : File(flags),
        path_(path),
        subject_(std::move(subject)),
        entry_(entry),
        memory_(memory_now()),
        text_(LockRank::kPipe, std::move(text)) {}

  Result<size_t> read_at(uint64_t offset, DataSink& sink) override {
    TRY(look_again(offset));
    return copy(offset, sink);
  }
  Result<size_t> read(DataSink& sink) override {
    // Not with the position's lock: what the text is about has locks of its own.
    TRY(look_again(position_.with([](const uint64_t& position) { return position; })));
    return position_.with([&](uint64_t& position) -> Result<size_t> {
      const size_t count = TRY(copy(position, sink));
      position += count;
      return count;
    });
  }
  Result<size_t> write(DataSource& source) override {
    if (entry_ == nullptr || entry_->write == nullptr) return Errno::kPerm;
    const size_t count = std::min(source.remaining(), kMaxWrite);
    String text;
    auto bytes = TRY(Vec<std::byte>::create(count));
    TRY(source.read(bytes.span()));
    for (const std::byte byte : bytes) TRY(text.append(std::to_integer<char>(byte)));
    TRY(entry_->write(subject_, text.view()));
    return count;
  }
  Result<size_t> write_at(uint64_t, DataSource& source) override { return write(source); }
  Result<uint64_t> seek(int64_t offset, Whence whence) override {
    if (whence == Whence::kEnd) TRY(look_again(0));
    return position_.with([&](uint64_t& position) -> Result<uint64_t> {
      int64_t base = 0;
      if (whence == Whence::kCur) base = static_cast<int64_t>(position);
      if (whence == Whence::kEnd) base = static_cast<int64_t>(text()->string.size());
      if (whence == Whence::kData || whence == Whence::kHole) return Errno::kInval;
      const auto target = checked_add(base, offset);
      if (!target || *target < 0) return Errno::kInval;
      return position = static_cast<uint64_t>(*target);
    });
  }
  Result<void> truncate(uint64_t) override { return {}; }
  // Always readable; and each change of the mounts is told once.
  PollEvents poll(Poller* poller) override {
    if (entry_ == nullptr || !entry_->tells_mounts) return File::poll(poller);
    MountEvents& mounts = mount_events();
    if (poller != nullptr && poller->watch(mounts.changed).is_error()) return 0;
    const uint64_t count = mounts.count.load(std::memory_order_acquire);
    const bool is_news = seen_mounts_.exchange(count, std::memory_order_relaxed) != count;
    return kReadable | (is_news ? kPollErr | kPollPri : 0u);
  }
  Inode* inode() override { return &path_.inode(); }
  const Path* path() const override { return &path_; }

 private:
  RefPtr<Text> text() const {
    return text_.with([](const RefPtr<Text>& text) { return text; });
  }
  uint64_t memory_now() const {
    if (subject_.process == nullptr) return 0;
    const RefPtr<AddressSpace> memory = subject_.memory();
    return memory != nullptr ? memory->id() : 0;
  }
  Result<void> look_again(uint64_t offset) {
    if (offset != 0 && text() != nullptr) return {};
    if (entry_ == nullptr) return {};
    // What shows the inside of a process goes on about the program that it ran when the file was opened.
    if (entry_->needs != ProcEntry::Needs::kNothing && memory_now() != memory_) return {};
    ProcText out;
    TRY(entry_->generate(subject_, out));
    RefPtr<Text> fresh = TRY(make_ref<Text>(TRY(out.take())));
    text_.with([&](RefPtr<Text>& text) { std::swap(text, fresh); });
    return {};
  }
  Result<size_t> copy(uint64_t offset, DataSink& sink) {
    const RefPtr<Text> now = text();
    if (now == nullptr || offset >= now->string.size()) return size_t{0};
    const std::span<const std::byte> rest =
        text_bytes(now->string.view()).subspan(static_cast<size_t>(offset));
    const size_t count = std::min(rest.size(), sink.remaining());
    TRY(sink.write(rest.first(count)));
    return count;
  }

  const Path path_;
  const Subject subject_;
  const ProcEntry* const entry_;
  const uint64_t memory_;
  std::atomic<uint64_t> seen_mounts_{mount_events().count.load(std::memory_order_relaxed)};
  SpinLocked<RefPtr<Text>> text_;  // null until it is read
  MutexLocked<uint64_t> position_{LockRank::kFilePosition, 0u};
};

class ProcFileInode final : public ProcInode {
 public:
  ProcFileInode(RefPtr<FileSystem> file_system, uint64_t ino, const ProcEntry& entry,
                Subject subject)
      : ProcInode(std::move(file_system), FileType::kRegular, ino, entry.permissions,
                  std::move(subject)),
        entry_(entry) {}

  Result<RefPtr<File>> open(const Path& path, uint32_t flags) override {
    TRY(check_look(entry_.needs, subject()));
    return RefPtr<File>(
        TRY(make_ref<TextFile>(path, flags & kOpenStatus, subject(), &entry_, RefPtr<Text>())));
  }
  bool is_pollable() const override { return entry_.tells_mounts; }

 private:
  const ProcEntry& entry_;  // in a constant table
};

}  // namespace

uint64_t process_ino(Pid pid) { return (static_cast<uint64_t>(pid) + 1) * kInosPerProcess; }

namespace {
// Null for a file of another file system. Every inode of this one is a ProcInode.
ProcInode* proc_inode(File& file) {
  Inode* inode = file.inode();
  const bool is_ours =
      inode != nullptr && inode->file_system().type_name() == ProcFileSystem::kTypeName;
  return is_ours ? static_cast<ProcInode*>(inode) : nullptr;
}
}  // namespace

bool is_pollable_proc_file(File& file) {
  const ProcInode* node = proc_inode(file);
  return node != nullptr && node->is_pollable();
}

RefPtr<Process> process_of_directory(File& file) {
  const ProcInode* node = proc_inode(file);
  if (node == nullptr) return {};
  const RefPtr<Process>& process = node->subject().process;
  const bool is_top = process != nullptr && node->ino() == process_ino(process->pid());
  // The leader's directory below task/ has the same number.
  return is_top && node->subject().thread == nullptr ? process : RefPtr<Process>();
}

Result<RefPtr<File>> open_proc_text(const Path& path, uint32_t flags, String text,
                                    const Subject& subject) {
  RefPtr<Text> fixed = TRY(make_ref<Text>(std::move(text)));
  return RefPtr<File>(
      TRY(make_ref<TextFile>(path, flags & kOpenStatus, subject,
                             static_cast<const ProcEntry*>(nullptr), std::move(fixed))));
}

Result<Stat> ProcInode::stat() {
  Stat stat;
  stat.dev = file_system().device();
  stat.ino = ino_;
  stat.mode = type_bits(type()) | permissions_;
  stat.nlink = is_directory() ? 2 : 1;
  stat.blksize = 1024;
  if (subject_.process != nullptr) {
    const RefPtr<SharedCredentials> owner = subject_.process->credentials();
    // What belongs to nobody's equal is root's; the directory itself stays the owner's.
    const bool is_shown = subject_.process->dumpable() || (is_directory() && permissions_ == 0555);
    if (owner != nullptr && is_shown) {
      stat.uid = owner->value.euid;
      stat.gid = owner->value.egid;
    }
  }
  stat.atime = stat.mtime = stat.ctime = current_file_time();
  return stat;
}

// A truncation, which `>` asks for, changes nothing.
Result<void> ProcInode::set_attributes(const AttributeChange& change) {
  if (change.permissions || change.uid || change.gid) return Errno::kPerm;
  return {};
}

Result<void> check_look(ProcEntry::Needs needs, const Subject& subject) {
  if (needs == ProcEntry::Needs::kNothing || subject.process == nullptr) return {};
  if (check_may_trace(current_thread(), *subject.process, TracerIds::kFileSystem).is_error())
    return Errno::kAcces;
  return {};
}

Result<String> ProcLink::read_link() {
  TRY(check_look(entry_.needs, subject()));
  return entry_.link_text(subject());
}

Result<Path> ProcLink::magic_target() {
  TRY(check_look(entry_.needs, subject()));
  return entry_.link_target(subject());
}

Result<RefPtr<Inode>> make_proc_inode(RefPtr<FileSystem> file_system, const ProcEntry& entry,
                                      uint64_t ino, const Subject& subject) {
  if (entry.make != nullptr) return entry.make(std::move(file_system), subject, ino);
  switch (entry.type) {
    case FileType::kDirectory:
      return RefPtr<Inode>(TRY(make_ref<ProcTable>(std::move(file_system), ino, entry.permissions,
                                                   subject, entry.children)));
    case FileType::kSymlink:
      return RefPtr<Inode>(TRY(make_ref<ProcLink>(std::move(file_system), ino, subject, entry)));
    default:
      return RefPtr<Inode>(
          TRY(make_ref<ProcFileInode>(std::move(file_system), ino, entry, subject)));
  }
}

Result<RefPtr<Inode>> ProcTable::lookup(std::string_view name) {
  const auto found = std::ranges::find(entries_, name, &ProcEntry::name);
  if (found == entries_.end()) return Errno::kNoEnt;
  // Tables are small, and nested at most three deep: 256 numbers at each level.
  const auto index = static_cast<uint64_t>(found - entries_.begin()) + kFirstEntry;
  const uint64_t number =
      found->type == FileType::kDirectory ? ino() + index * 4096 : ino() + index;
  return make_proc_inode(ref_to(file_system()), *found, number, subject());
}

bool ProcTable::emit_table(uint64_t cookie, DirectoryEmitter emit) {
  for (uint64_t index = cookie; index < entries_.size(); ++index) {
    const ProcEntry& entry = entries_[index];
    const uint64_t number = entry.type == FileType::kDirectory
                                ? ino() + (index + kFirstEntry) * 4096
                                : ino() + index + kFirstEntry;
    if (!emit({entry.name, number, entry.type, index + 1})) return false;
  }
  return true;
}

Result<void> ProcTable::readdir(uint64_t cookie, DirectoryEmitter emit) {
  (void)emit_table(cookie, emit);
  return {};
}

}  // namespace occlum
