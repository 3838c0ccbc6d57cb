// FileTable: the descriptors of a process (open(2), dup(2), fcntl(2), close_range(2)). Shared by CLONE_FILES, copied by
// fork; the owner of the process's record locks, as Linux's files_struct is.
//
// A descriptor is taken in two steps, so that nobody sees a half-made one and failures leak nothing: reserve() takes the
// lowest free numbers, commit() fills them; a reservation that is dropped gives its numbers back.
#pragma once

#include <cstdint>

#include "libos/fs/vfs/file.h"
#include "libos/lib/counted.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/vec.h"

namespace occlum {

class FileTable;

enum class CloseOnExec : uint8_t { kNo, kYes };

// Reserved descriptors, at most two.
class FdReservation {
 public:
  FdReservation(FdReservation&& other) noexcept;
  FdReservation& operator=(FdReservation&&) = delete;
  FdReservation(const FdReservation&) = delete;
  ~FdReservation();

  int operator[](size_t index) const;
  // Installs the files at the reserved numbers, in order. As many as were reserved.
  void commit(RefPtr<File> file);
  void commit(RefPtr<File> first, RefPtr<File> second);

 private:
  friend class FileTable;
  FdReservation(FileTable& table, CloseOnExec cloexec) : table_(&table), cloexec_(cloexec) {}
  FileTable* table_;
  std::array<int, 2> numbers_{-1, -1};
  size_t count_ = 0;
  CloseOnExec cloexec_;
};

class FileTable : public RefCounted<FileTable>, Counted<FileTable> {
 public:
  static Result<RefPtr<FileTable>> create();
  FileTable() = default;  // for make_ref
  ~FileTable();

  // A copy with the same files (fork, vfork, CLONE without CLONE_FILES).
  Result<RefPtr<FileTable>> clone() const;

  // The lowest `count` (1 or 2) free numbers, for files that are made next. kMFile; kNFile when so many files more were
  // too many (vfs/file_limit.h).
  Result<FdReservation> reserve(size_t count, CloseOnExec cloexec = CloseOnExec::kNo);
  // One file that was just made.
  Result<int> install(RefPtr<File> file, CloseOnExec cloexec = CloseOnExec::kNo);
  // One file that others have open. kMFile.
  Result<int> install_open(RefPtr<File> file, CloseOnExec cloexec = CloseOnExec::kNo);
  // The lowest free number at or above `minimum` (F_DUPFD). kInval when minimum is above the limit, kMFile.
  Result<int> install_at_least(int minimum, RefPtr<File> file, CloseOnExec cloexec);

  // kBadFd.
  Result<RefPtr<File>> get(int fd) const;
  Result<void> close(int fd);
  // dup3(2) without its flag checks: replaces what `to` was. kBadFd (`to` out of range, `from` not open), kBusy.
  Result<int> duplicate(int from, int to, CloseOnExec cloexec);

  Result<CloseOnExec> close_on_exec(int fd) const;
  Result<void> set_close_on_exec(int fd, CloseOnExec value);
  // exec: closes what is marked.
  void close_on_exec();
  // close_range(2): closes, or marks close-on-exec, [first, last].
  void close_range(unsigned first, unsigned last);
  void mark_range(unsigned first, unsigned last);
  // The process ends, or the last task that shares the table does.
  void close_all();

  // The open numbers in order, for /proc/<pid>/fd.
  Result<Vec<int>> numbers() const;

 private:
  friend class FdReservation;
  struct Slot {
    RefPtr<File> file;
    bool reserved = false;
    bool cloexec = false;
    bool is_free() const { return file == nullptr && !reserved; }
  };
  struct State {
    Vec<Slot> slots;
    size_t first_maybe_free = 0;  // everything below is taken
  };
  mutable SpinLocked<State> state_{LockRank::kFiles};

  static Result<size_t> take_slot(State& state, size_t minimum, size_t limit);
  Result<FdReservation> take(size_t count, CloseOnExec cloexec);
  void give_back(int number);
  void fill(int number, RefPtr<File> file, CloseOnExec cloexec);
  void closed(RefPtr<File> file);
};

}  // namespace occlum
