// The inodes of /proc: directories from tables, files whose text is made when they are opened, and
// links.
//
// A Subject is what a file tells about: a process (with one of its threads below task/), a CPU (sysfs.cpp), or the
// system when it is empty. One table of Entry describes a directory, so that adding a file is one
// line and one function.
#pragma once

#include <span>

#include "libos/fs/proc/proc_text.h"
#include "libos/fs/vfs/file_system.h"
#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/mount.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"

namespace occlum {

struct Subject {
  RefPtr<Process> process;
  RefPtr<Thread> thread;  // of /proc/<pid>/task/<tid>; null: the process as a whole
  uint32_t cpu = 0;

  // The process's, or null when it has ended.
  RefPtr<AddressSpace> memory() const { return process->memory(); }
  RefPtr<Thread> some_thread() const { return thread ? thread : process->any_thread(); }
};

struct ProcEntry {
  using Generator = Result<void> (*)(const Subject& subject, ProcText& out);
  using Writer = Result<void> (*)(const Subject& subject, std::string_view text);
  using LinkText = Result<String> (*)(const Subject& subject);
  using LinkTarget = Result<Path> (*)(const Subject& subject);
  using MakeDirectory = Result<RefPtr<Inode>> (*)(RefPtr<FileSystem> file_system,
                                                  const Subject& subject, uint64_t ino);

  // Whether reading, or following, takes the right to look into the process (ptrace(2), "Ptrace access mode checking").
  enum class Needs : uint8_t { kNothing, kTrace };

  std::string_view name;
  FileType type = FileType::kRegular;
  uint32_t permissions = 0444;
  Generator generate = nullptr;              // files
  Writer write = nullptr;                    // files that can be written
  std::span<const ProcEntry> children = {};  // directories from a table
  MakeDirectory make = nullptr;              // other directories, and files of their own kind
  LinkText link_text = nullptr;              // links
  LinkTarget link_target = nullptr;          // magic links
  Needs needs = Needs::kNothing;
  bool tells_mounts = false;  // files: pollers are told when the tree of mounts changes
};

constexpr ProcEntry proc_file(std::string_view name, ProcEntry::Generator generate,
                              uint32_t permissions = 0444, ProcEntry::Writer write = nullptr) {
  return {.name = name,
          .type = FileType::kRegular,
          .permissions = permissions,
          .generate = generate,
          .write = write};
}
// What shows the inside of the process.
constexpr ProcEntry proc_traced_file(std::string_view name, ProcEntry::Generator generate,
                                     uint32_t permissions = 0444) {
  ProcEntry entry = proc_file(name, generate, permissions);
  entry.needs = ProcEntry::Needs::kTrace;
  return entry;
}
constexpr ProcEntry proc_mounts_file(std::string_view name, ProcEntry::Generator generate) {
  ProcEntry entry = proc_file(name, generate);
  entry.tells_mounts = true;
  return entry;
}
constexpr ProcEntry proc_directory(std::string_view name, std::span<const ProcEntry> children) {
  return {.name = name, .type = FileType::kDirectory, .permissions = 0555, .children = children};
}
constexpr ProcEntry proc_directory(std::string_view name, ProcEntry::MakeDirectory make,
                                   uint32_t permissions = 0555) {
  return {.name = name, .type = FileType::kDirectory, .permissions = permissions, .make = make};
}
constexpr ProcEntry proc_link(std::string_view name, ProcEntry::LinkText text,
                              ProcEntry::LinkTarget target = nullptr) {
  return {.name = name,
          .type = FileType::kSymlink,
          .permissions = 0777,
          .link_text = text,
          .link_target = target,
          .needs = target != nullptr ? ProcEntry::Needs::kTrace : ProcEntry::Needs::kNothing};
}

class ProcFileSystem final : public FileSystem {
 public:
  static constexpr std::string_view kTypeName = "proc";
  std::string_view type_name() const override { return kTypeName; }
  Result<RefPtr<Inode>> root() override;
  Result<StatFs> statfs() override {
    StatFs stat;
    stat.type = 0x9fa0;  // PROC_SUPER_MAGIC
    return stat;
  }
};

// Common to all: attributes from the entry and the process's owner.
class ProcInode : public Inode {
 public:
  ProcInode(RefPtr<FileSystem> file_system, FileType type, uint64_t ino, uint32_t permissions,
            Subject subject)
      : Inode(std::move(file_system), type),
        subject_(std::move(subject)),
        ino_(ino),
        permissions_(permissions) {}
  Result<Stat> stat() override;
  Result<void> set_attributes(const AttributeChange& change) override;
  // Names come and go with processes.
  NameCaching name_caching() const override { return NameCaching::kNone; }

  // Whether a poll of the file may wait for something: epoll takes no others.
  virtual bool is_pollable() const { return false; }

  const Subject& subject() const { return subject_; }
  uint64_t ino() const { return ino_; }

 private:
  const Subject subject_;
  const uint64_t ino_;
  const uint32_t permissions_;
};

// A directory from a table.
class ProcTable : public ProcInode {
 public:
  ProcTable(RefPtr<FileSystem> file_system, uint64_t ino, uint32_t permissions, Subject subject,
            std::span<const ProcEntry> entries)
      : ProcInode(std::move(file_system), FileType::kDirectory, ino, permissions,
                  std::move(subject)),
        entries_(entries) {}
  Result<RefPtr<Inode>> lookup(std::string_view name) override;
  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override;

 protected:
  // Emits the table from `cookie` on; false when the emitter is full.
  bool emit_table(uint64_t cookie, DirectoryEmitter emit);
  std::span<const ProcEntry> entries() const { return entries_; }

 private:
  const std::span<const ProcEntry> entries_;
};

// A link with a text and, perhaps, a target of its own.
class ProcLink : public ProcInode {
 public:
  ProcLink(RefPtr<FileSystem> file_system, uint64_t ino, Subject subject, const ProcEntry& entry)
      : ProcInode(std::move(file_system), FileType::kSymlink, ino, 0777, std::move(subject)),
        entry_(entry) {}
  Result<String> read_link() override;
  bool is_magic_link() const override { return entry_.link_target != nullptr; }
  Result<Path> magic_target() override;

 private:
  const ProcEntry& entry_;  // in a constant table
};

// Whether the caller may see what the entry tells: kAcces.
Result<void> check_look(ProcEntry::Needs needs, const Subject& subject);

// Numbers below a process's inode are its entries; see the implementation.
uint64_t process_ino(Pid pid);
Result<RefPtr<Inode>> make_proc_inode(RefPtr<FileSystem> file_system, const ProcEntry& entry,
                                      uint64_t ino, const Subject& subject);

// Texts and directories that several tables have.
template <uint64_t kValue>
Result<void> constant(const Subject&, ProcText& out) {
  out.add("{}\n", kValue);
  return {};
}
template <std::span<const ProcEntry> entries()>
Result<RefPtr<Inode>> make_proc_table(RefPtr<FileSystem> file_system, const Subject&,
                                      uint64_t ino) {
  return RefPtr<Inode>(
      TRY(make_ref<ProcTable>(std::move(file_system), ino, 0555u, Subject(), entries())));
}

// An open file with fixed text.
Result<RefPtr<File>> open_proc_text(const Path& path, uint32_t flags, String text,
                                    const Subject& subject);

// The directories.
std::span<const ProcEntry> system_entries();
std::span<const ProcEntry> process_entries();
std::span<const ProcEntry> thread_entries();
std::span<const ProcEntry> network_entries();
std::span<const ProcEntry> sysctl_entries();
std::span<const ProcEntry> sysv_ipc_entries();
std::span<const ProcEntry> message_queue_entries();
std::span<const ProcEntry> failslab_entries();
std::span<const ProcEntry> fail_page_alloc_entries();
Result<RefPtr<Inode>> make_fd_directory(RefPtr<FileSystem> file_system, const Subject& subject,
                                        uint64_t ino);
Result<RefPtr<Inode>> make_fdinfo_directory(RefPtr<FileSystem> file_system, const Subject& subject,
                                            uint64_t ino);
Result<RefPtr<Inode>> make_memory_inode(RefPtr<FileSystem> file_system, const Subject& subject,
                                        uint64_t ino);
Result<RefPtr<Inode>> make_task_directory(RefPtr<FileSystem> file_system, const Subject& subject,
                                          uint64_t ino);

}  // namespace occlum
