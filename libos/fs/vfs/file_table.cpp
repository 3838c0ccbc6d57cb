// See libos/fs/file_table.h. Files are dropped one at a time, outside of the lock: their destructors may do anything.
#include "libos/fs/file_table.h"

#include "libos/fs/vfs/file_limit.h"
#include "libos/fs/vfs/file_locks.h"
#include "libos/fs/vfs/inode.h"

namespace occlum {

namespace {
constexpr size_t kMaxDescriptors = size_t{1} << 20;  // fs.nr_open

size_t table_limit() { return std::min<size_t>(descriptor_limit(), kMaxDescriptors); }
}  // namespace

FdReservation::FdReservation(FdReservation&& other) noexcept
    : table_(other.table_),
      numbers_(other.numbers_),
      count_(std::exchange(other.count_, 0)),
      cloexec_(other.cloexec_) {}

FdReservation::~FdReservation() {
  // The analyzer (not the compiler) destroys a variable when the TRY in its initializer returns.
  // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
  for (size_t i = 0; i < count_; ++i) table_->give_back(numbers_[i]);
}

int FdReservation::operator[](size_t index) const {
  ASSERT(index < count_);
  return numbers_[index];
}

void FdReservation::commit(RefPtr<File> file) {
  ASSERT(count_ == 1);
  count_ = 0;
  table_->fill(numbers_[0], std::move(file), cloexec_);
}

void FdReservation::commit(RefPtr<File> first, RefPtr<File> second) {
  ASSERT(count_ == 2);
  count_ = 0;
  table_->fill(numbers_[0], std::move(first), cloexec_);
  table_->fill(numbers_[1], std::move(second), cloexec_);
}

Result<RefPtr<FileTable>> FileTable::create() { return make_ref<FileTable>(); }

FileTable::~FileTable() { close_all(); }

Result<RefPtr<FileTable>> FileTable::clone() const {
  RefPtr<FileTable> copy = TRY(create());
  // Nobody else sees the copy, but the ranks forbid holding both locks: the slots are built aside.
  Vec<Slot> slots;
  size_t first_maybe_free = 0;
  TRY(state_.with([&](const State& state) -> Result<void> {
    TRY(slots.reserve(state.slots.size()));
    first_maybe_free = state.slots.size();
    for (size_t i = 0; i < state.slots.size(); ++i) {
      const Slot& slot = state.slots[i];
      slots.push_reserved(Slot{slot.file, false, slot.cloexec});
      if (slot.file == nullptr) first_maybe_free = std::min(first_maybe_free, i);
    }
    return {};
  }));
  for (const Slot& slot : slots) {
    if (slot.file != nullptr) slot.file->add_descriptor();
  }
  copy->state_.with([&](State& state) {
    state.slots = std::move(slots);
    state.first_maybe_free = first_maybe_free;
  });
  return copy;
}

Result<size_t> FileTable::take_slot(State& state, size_t minimum, size_t limit) {
  const size_t start = std::max(minimum, state.first_maybe_free);
  size_t number = start;
  while (number < state.slots.size() && !state.slots[number].is_free()) ++number;
  if (number >= limit) return Errno::kMFile;
  if (number >= state.slots.size()) {
    // Doubling happens here, because resize takes exactly what it is told.
    const size_t size = number + 1;
    if (size > state.slots.capacity())
      TRY(state.slots.reserve(std::max<size_t>(size, 2 * state.slots.capacity())));
    TRY(state.slots.resize(size));
  }
  state.slots[number].reserved = true;
  if (minimum <= state.first_maybe_free) state.first_maybe_free = number + 1;
  return number;
}

Result<FdReservation> FileTable::take(size_t count, CloseOnExec cloexec) {
  ASSERT(count == 1 || count == 2);
  const size_t limit = table_limit();
  FdReservation reservation(*this, cloexec);
  for (size_t i = 0; i < count; ++i) {
    const size_t number =
        TRY(state_.with([&](State& state) { return take_slot(state, 0, limit); }));
    reservation.numbers_[i] = static_cast<int>(number);
    ++reservation.count_;
  }
  return reservation;
}

Result<FdReservation> FileTable::reserve(size_t count, CloseOnExec cloexec) {
  FdReservation reservation = TRY(take(count, cloexec));
  TRY(check_file_limit(count));
  return reservation;
}

void FileTable::give_back(int number) {
  state_.with([&](State& state) {
    const size_t index = static_cast<size_t>(number);
    state.slots[index].reserved = false;
    state.first_maybe_free = std::min(state.first_maybe_free, index);
  });
}

void FileTable::fill(int number, RefPtr<File> file, CloseOnExec cloexec) {
  file->add_descriptor();
  state_.with([&](State& state) {
    Slot& slot = state.slots[static_cast<size_t>(number)];
    slot.file = std::move(file);
    slot.reserved = false;
    slot.cloexec = cloexec == CloseOnExec::kYes;
  });
}

Result<int> FileTable::install(RefPtr<File> file, CloseOnExec cloexec) {
  FdReservation reservation = TRY(take(1, cloexec));
  TRY(check_file_limit(0));
  const int number = reservation[0];
  reservation.commit(std::move(file));
  return number;
}

Result<int> FileTable::install_open(RefPtr<File> file, CloseOnExec cloexec) {
  FdReservation reservation = TRY(take(1, cloexec));
  const int number = reservation[0];
  reservation.commit(std::move(file));
  return number;
}

Result<int> FileTable::install_at_least(int minimum, RefPtr<File> file, CloseOnExec cloexec) {
  const size_t limit = table_limit();
  if (minimum < 0 || static_cast<uint64_t>(minimum) >= limit) return Errno::kInval;
  const size_t number = TRY(state_.with(
      [&](State& state) { return take_slot(state, static_cast<size_t>(minimum), limit); }));
  fill(static_cast<int>(number), std::move(file), cloexec);
  return static_cast<int>(number);
}

Result<RefPtr<File>> FileTable::get(int fd) const {
  return state_.with([&](const State& state) -> Result<RefPtr<File>> {
    if (fd < 0 || static_cast<size_t>(fd) >= state.slots.size()) return Errno::kBadFd;
    const RefPtr<File>& file = state.slots[static_cast<size_t>(fd)].file;
    if (file == nullptr) return Errno::kBadFd;
    return file;
  });
}

// After a descriptor went: record locks of this process on the file go with any of its descriptors (fcntl(2)).
void FileTable::closed(RefPtr<File> file) {
  if (FileLocks* const locks = file->lock_anchor().existing()) locks->release_owner(this);
  file->remove_descriptor();
}

Result<void> FileTable::close(int fd) {
  RefPtr<File> file;
  TRY(state_.with([&](State& state) -> Result<void> {
    if (fd < 0 || static_cast<size_t>(fd) >= state.slots.size()) return Errno::kBadFd;
    const size_t index = static_cast<size_t>(fd);
    if (state.slots[index].file == nullptr) return Errno::kBadFd;
    file = std::move(state.slots[index].file);
    state.first_maybe_free = std::min(state.first_maybe_free, index);
    return {};
  }));
  closed(std::move(file));
  return {};
}

Result<int> FileTable::duplicate(int from, int to, CloseOnExec cloexec) {
  RefPtr<File> file = TRY(get(from));
  if (to < 0 || static_cast<uint64_t>(to) >= table_limit()) return Errno::kBadFd;
  file->add_descriptor();
  RefPtr<File> replaced;
  const Result<void> result = state_.with([&](State& state) -> Result<void> {
    const size_t index = static_cast<size_t>(to);
    if (index >= state.slots.size()) TRY(state.slots.resize(index + 1));
    Slot& slot = state.slots[index];
    if (slot.reserved) return Errno::kBusy;  // as Linux: an open() is about to fill it
    replaced = std::move(slot.file);
    slot.file = file;
    slot.cloexec = cloexec == CloseOnExec::kYes;
    return {};
  });
  if (result.is_error()) {
    file->remove_descriptor();
    return result.error();
  }
  if (replaced != nullptr) closed(std::move(replaced));
  return to;
}

Result<CloseOnExec> FileTable::close_on_exec(int fd) const {
  return state_.with([&](const State& state) -> Result<CloseOnExec> {
    if (fd < 0 || static_cast<size_t>(fd) >= state.slots.size()) return Errno::kBadFd;
    const Slot& slot = state.slots[static_cast<size_t>(fd)];
    if (slot.file == nullptr) return Errno::kBadFd;
    return slot.cloexec ? CloseOnExec::kYes : CloseOnExec::kNo;
  });
}

Result<void> FileTable::set_close_on_exec(int fd, CloseOnExec value) {
  return state_.with([&](State& state) -> Result<void> {
    if (fd < 0 || static_cast<size_t>(fd) >= state.slots.size()) return Errno::kBadFd;
    Slot& slot = state.slots[static_cast<size_t>(fd)];
    if (slot.file == nullptr) return Errno::kBadFd;
    slot.cloexec = value == CloseOnExec::kYes;
    return {};
  });
}

void FileTable::close_on_exec() {
  size_t index = 0;
  while (true) {
    RefPtr<File> file = state_.with([&](State& state) -> RefPtr<File> {
      for (; index < state.slots.size(); ++index) {
        Slot& slot = state.slots[index];
        if (slot.file == nullptr || !slot.cloexec) continue;
        state.first_maybe_free = std::min(state.first_maybe_free, index);
        return std::move(slot.file);
      }
      return nullptr;
    });
    if (file == nullptr) return;
    closed(std::move(file));
  }
}

void FileTable::close_range(unsigned first, unsigned last) {
  size_t index = first;
  while (true) {
    RefPtr<File> file = state_.with([&](State& state) -> RefPtr<File> {
      for (; index < state.slots.size() && index <= last; ++index) {
        Slot& slot = state.slots[index];
        if (slot.file == nullptr) continue;
        state.first_maybe_free = std::min(state.first_maybe_free, index);
        return std::move(slot.file);
      }
      return nullptr;
    });
    if (file == nullptr) return;
    closed(std::move(file));
  }
}

void FileTable::mark_range(unsigned first, unsigned last) {
  state_.with([&](State& state) {
    for (size_t i = first; i < state.slots.size() && i <= last; ++i) {
      if (state.slots[i].file != nullptr) state.slots[i].cloexec = true;
    }
  });
}

void FileTable::close_all() { close_range(0, UINT32_MAX); }

Result<Vec<int>> FileTable::numbers() const {
  Vec<int> result;
  TRY(state_.with([&](const State& state) -> Result<void> {
    for (size_t i = 0; i < state.slots.size(); ++i) {
      if (state.slots[i].file != nullptr) TRY(result.push(static_cast<int>(i)));
    }
    return {};
  }));
  return result;
}

}  // namespace occlum
