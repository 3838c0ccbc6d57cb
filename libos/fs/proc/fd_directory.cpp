// /proc/<pid>/fd and fdinfo (proc(5)).
#include <algorithm>
#include <array>

#include "libos/fs/file_table.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/fs/proc/process_text.h"
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/epoll.h"
#include "libos/ipc/event_file.h"
#include "libos/ipc/inotify_file.h"
#include "libos/ipc/signal_file.h"
#include "libos/ipc/timer_file.h"
#include "libos/lib/text.h"
#include "libos/process/pid_file.h"

namespace occlum {

namespace {

constexpr uint64_t kFirstFdIno = 256;

// The table that a directory shows: of the thread or of the process. Null: it has ended.
RefPtr<FileTable> table_of(const Subject& subject) {
  return subject.thread ? subject.thread->share_files() : subject.process->files();
}

Result<int> parse_fd(std::string_view name) {
  if (name.size() > 1 && name.front() == '0') return Errno::kNoEnt;
  const auto number = parse_u64(name);
  if (number.is_error() || number.value() > INT32_MAX) return Errno::kNoEnt;
  return static_cast<int>(number.value());
}

Result<RefPtr<File>> file_of(const Subject& subject, int fd) {
  const RefPtr<FileTable> table = table_of(subject);
  if (table == nullptr) return Errno::kNoEnt;
  auto file = table->get(fd);
  if (file.is_error()) return Errno::kNoEnt;
  return file;
}

class FdLink final : public ProcInode {
 public:
  FdLink(RefPtr<FileSystem> file_system, uint64_t ino, uint32_t permissions, Subject subject,
         int fd)
      : ProcInode(std::move(file_system), FileType::kSymlink, ino, permissions, std::move(subject)),
        fd_(fd) {}
  Result<String> read_link() override {
    TRY(check_look(ProcEntry::Needs::kTrace, subject()));
    return TRY(file_of(subject(), fd_))->describe();
  }
  bool is_magic_link() const override { return true; }
  Result<Path> magic_target() override {
    TRY(check_look(ProcEntry::Needs::kTrace, subject()));
    return path_of_file(TRY(file_of(subject(), fd_)));
  }

 private:
  const int fd_;
};

// The directory of a table's numbers; `make` gives the inode of one.
class FdDirectoryBase : public ProcInode {
 public:
  using ProcInode::ProcInode;
  // A process always sees its own, whoever it is now.
  Result<Ownership> ownership() override {
    Ownership owner = TRY(ProcInode::ownership());
    if (subject().process.get() == &current_thread().process()) {
      owner.uid = current_thread().credentials().fsuid;
      owner.gid = current_thread().credentials().fsgid;
    }
    return owner;
  }
  Result<Stat> stat() override {
    Stat stat = TRY(ProcInode::stat());
    if (entry_type() != FileType::kSymlink) return stat;
    if (const RefPtr<FileTable> table = table_of(subject()))
      stat.size = TRY(table->numbers()).size();
    return stat;
  }
  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override {
    const RefPtr<FileTable> table = table_of(subject());
    if (table == nullptr) return {};
    for (const int fd : TRY(table->numbers())) {
      const auto number = static_cast<uint64_t>(fd);
      if (number < cookie) continue;
      std::array<char, 12> name;
      if (!emit(
              {format_to(name, "{}", fd), ino() + kFirstFdIno + number, entry_type(), number + 1}))
        break;
    }
    return {};
  }

 protected:
  virtual FileType entry_type() const = 0;
};

class FdDirectory final : public FdDirectoryBase {
 public:
  using FdDirectoryBase::FdDirectoryBase;
  Result<RefPtr<Inode>> lookup(std::string_view name) override {
    const int fd = TRY(parse_fd(name));
    const RefPtr<File> file = TRY(file_of(subject(), fd));
    const uint32_t permissions =
        (file->can_read() ? 0500u : 0100u) | (file->can_write() ? 0300u : 0100u);
    return RefPtr<Inode>(
        TRY(make_ref<FdLink>(ref_to(file_system()), ino() + kFirstFdIno + static_cast<uint64_t>(fd),
                             permissions, subject(), fd)));
  }

 protected:
  FileType entry_type() const override { return FileType::kSymlink; }
};

// How the kernel writes a device's number: minor numbers in the lower 20 bits.
uint64_t kernel_device(uint64_t device) {
  return (uint64_t{device_major(device)} << 20) | device_minor(device);
}

void add_timer(ProcText& out, TimerFile& timer) {
  constexpr uint64_t kSecond = 1'000'000'000;
  const TimerFile::Setting now = timer.get();
  out.add("clockid: {}\nticks: {}\nsettime flags: 00\n", static_cast<int>(timer.clock()),
          timer.ticks());
  out.add("it_value: ({}, {})\nit_interval: ({}, {})\n", now.remaining / kSecond,
          now.remaining % kSecond, now.interval / kSecond, now.interval % kSecond);
}

Result<void> describe_fd(FileTable& table, int fd, ProcText& out) {
  const RefPtr<File> file = TRY(table.get(fd));
  const auto position = file->seek(0, Whence::kCur);
  uint32_t flags = file->flags();
  const auto cloexec = table.close_on_exec(fd);
  if (!cloexec.is_error() && cloexec.value() == CloseOnExec::kYes) flags |= kOpenCloseOnExec;
  out.add("pos:\t{}\nflags:\t0", position.is_error() ? 0 : position.value()).octal(flags);
  const auto stat = file->stat();
  const Path* path = file->path();
  out.add("\nmnt_id:\t{}\nino:\t{}\n", path != nullptr ? path->mount->id() : 0,
          stat.is_error() ? 0 : stat.value().ino);
  TRY(add_descriptor_locks(out, table, *file));
  if (file->kind() == FileKind::kEvent) {
    out.text("eventfd-count: ").hex(static_cast<EventFile&>(*file).count(), 16, ' ').text("\n");
  }
  if (file->kind() == FileKind::kSignal)
    out.text("sigmask:\t").hex(static_cast<SignalFile&>(*file).wanted().bits(), 16).text("\n");
  if (file->kind() == FileKind::kTimer) add_timer(out, static_cast<TimerFile&>(*file));
  if (file->kind() == FileKind::kProcess) {
    const RefPtr<Process> process = TRY(PidFile::process_of(file));
    const Pid shown = process->is_reaped() ? -1 : process->pid();
    out.add("Pid:\t{}\nNSpid:\t{}\n", shown, shown);
  }
  if (file->kind() == FileKind::kInotify) {
    for (const WatchInfo& watch : TRY(watches_of(static_cast<InotifyFile&>(*file).queue()))) {
      out.add("inotify wd:{:x} ino:{:x} sdev:{:x} mask:{:x} ignored_mask:0 \n",
              static_cast<uint32_t>(watch.number), watch.inode, kernel_device(watch.device),
              watch.mask);
    }
  }
  if (file->kind() == FileKind::kEpoll) {
    for (const EpollFile::Watched& watched : TRY(static_cast<EpollFile&>(*file).watched())) {
      out.text("tfd: ").decimal(static_cast<uint64_t>(watched.fd), 8);
      out.add(" events: {:x} data: {:x}\n", uint32_t{watched.event.events},
              uint64_t{watched.event.data});
    }
  }
  return {};
}

class FdInfoInode final : public ProcInode {
 public:
  FdInfoInode(RefPtr<FileSystem> file_system, uint64_t ino, Subject subject, int fd)
      : ProcInode(std::move(file_system), FileType::kRegular, ino, 0444, std::move(subject)),
        fd_(fd) {}
  Result<RefPtr<File>> open(const Path& path, uint32_t flags) override {
    TRY(check_look(ProcEntry::Needs::kTrace, subject()));
    const RefPtr<FileTable> table = table_of(subject());
    if (table == nullptr) return Errno::kNoEnt;
    ProcText out;
    TRY(describe_fd(*table, fd_, out));
    return open_proc_text(path, flags, TRY(out.take()), subject());
  }

 private:
  const int fd_;
};

class FdInfoDirectory final : public FdDirectoryBase {
 public:
  using FdDirectoryBase::FdDirectoryBase;
  Result<RefPtr<Inode>> lookup(std::string_view name) override {
    const int fd = TRY(parse_fd(name));
    TRY(file_of(subject(), fd));
    return RefPtr<Inode>(TRY(make_ref<FdInfoInode>(
        ref_to(file_system()), ino() + kFirstFdIno + static_cast<uint64_t>(fd), subject(), fd)));
  }

 protected:
  FileType entry_type() const override { return FileType::kRegular; }
};

}  // namespace

Result<RefPtr<Inode>> make_fd_directory(RefPtr<FileSystem> file_system, const Subject& subject,
                                        uint64_t ino) {
  return RefPtr<Inode>(TRY(
      make_ref<FdDirectory>(std::move(file_system), FileType::kDirectory, ino, 0500u, subject)));
}

Result<RefPtr<Inode>> make_fdinfo_directory(RefPtr<FileSystem> file_system, const Subject& subject,
                                            uint64_t ino) {
  return RefPtr<Inode>(TRY(make_ref<FdInfoDirectory>(std::move(file_system), FileType::kDirectory,
                                                     ino, 0555u, subject)));
}

}  // namespace occlum
