// See host_files.h.
#include "libos/sched/host_files.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "abi/host_call.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/host/calls.h"
#include "libos/lib/lock.h"
#include "libos/sched/scheduler.h"
#include "libos/sched/wait_queue.h"

namespace occlum {
namespace {

using abi::FileOperation;

struct Request {
  FileOperation operation;
  int fd;
  uint64_t length = 0, offset = 0, mode = 0;
};

// A slot's present use.
struct Flight {
  uint64_t token = 0;  // 0: no answer is awaited
  int64_t result = 0;
  uint64_t uses = 0;
};
struct Slot {
  SpinLocked<Flight> flight{LockRank::kHostCall};
  WaitQueue answered;
};
constexpr uint64_t kSlotBits = 8;
static_assert(abi::kFileIoSlots == 64, "one word says which are free");

constinit std::array<Slot, abi::kFileIoSlots> slots;
constinit std::atomic<uint64_t> free_slots{UINT64_MAX};
[[clang::no_destroy]] constinit WaitQueue free_slot_queue;
constinit std::atomic<uint32_t> waiting_for_slots{0};
constinit std::atomic<uint64_t> waits{0};

// The lowest, so that few buffers are in use and stay in the cache. kFileIoSlots when there is none.
size_t try_take_slot() {
  uint64_t free = free_slots.load(std::memory_order_seq_cst);
  while (free != 0) {
    if (free_slots.compare_exchange_weak(free, free & (free - 1), std::memory_order_seq_cst)) break;
  }
  return static_cast<size_t>(std::countr_zero(free));
}

// A slot of this task's own, until the end of the scope.
class OwnSlot {
 public:
  OwnSlot() : index_(try_take_slot()) {
    if (index_ < abi::kFileIoSlots) return;
    waiting_for_slots.fetch_add(1, std::memory_order_seq_cst);
    (void)wait_until(free_slot_queue, kNever, Interruptible::kNo,
                     [&] { return (index_ = try_take_slot()) < abi::kFileIoSlots; });
    waiting_for_slots.fetch_sub(1, std::memory_order_seq_cst);
  }
  OwnSlot(const OwnSlot&) = delete;
  ~OwnSlot() {
    free_slots.fetch_or(uint64_t{1} << index_, std::memory_order_seq_cst);
    if (waiting_for_slots.load(std::memory_order_seq_cst) != 0) free_slot_queue.wake_one();
  }

  size_t index() const { return index_; }
  uint64_t buffer() const { return file_io_buffers() + index_ * abi::kFileIoSlotSize; }
  Slot& slot() const { return slots[index_]; }

 private:
  size_t index_;
};

// Before the request: the answer may be faster than the return of the call.
uint64_t start_flight(const OwnSlot& own) {
  return own.slot().flight.with([&](Flight& flight) {
    flight.token = abi::kFileIoToken | ++flight.uses << kSlotBits | own.index();
    return flight.token;
  });
}

int64_t wait_for_answer(Slot& slot) {
  waits.fetch_add(1, std::memory_order_relaxed);
  note_file_wait(1);
  (void)wait_until(slot.answered, kNever, Interruptible::kNo, [&] {
    return slot.flight.with([](const Flight& flight) { return flight.token == 0; });
  });
  note_file_wait(-1);
  return slot.flight.with([](const Flight& flight) { return flight.result; });
}

// Makes the request, and sleeps until it is answered. What comes back is what the host says.
Untrusted<long> request_in(const OwnSlot& own, const Request& request) {
  const uint64_t token = start_flight(own);
  const int64_t result =
      make_host_call(abi::HostCallNumber::kFileIo, static_cast<uint64_t>(request.operation),
                     static_cast<uint64_t>(request.fd), own.index(), request.length, request.offset,
                     request.mode, token);
  if (result == abi::kFileIoPending) return Untrusted<long>(wait_for_answer(own.slot()));
  own.slot().flight.with([](Flight& flight) { flight.token = 0; });
  return Untrusted<long>(result);
}

// The same by this vCPU itself, with `data` at an address in untrusted memory.
Untrusted<long> request_here(const Request& request, uint64_t data) {
  enum SystemCall : long {
    kRead = 0,
    kWrite = 1,
    kPread64 = 17,
    kPwrite64 = 18,
    kFsync = 74,
    kFdatasync = 75,
    kFallocate = 285,
  };
  const auto fd = static_cast<uint64_t>(request.fd);
  const bool at_position = request.offset == abi::kFilePosition;
  switch (request.operation) {
    case FileOperation::kRead:
      return host::system_call(at_position ? kRead : kPread64, fd, data, request.length,
                               request.offset);
    case FileOperation::kWrite:
      return host::system_call(at_position ? kWrite : kPwrite64, fd, data, request.length,
                               request.offset);
    case FileOperation::kSync:
      return host::system_call(kFsync, fd);
    case FileOperation::kDataSync:
      return host::system_call(kFdatasync, fd);
    case FileOperation::kAllocate:
      return host::system_call(kFallocate, fd, request.mode, request.offset, request.length);
  }
  return Untrusted<long>(-static_cast<long>(Errno::kNoSys));
}

bool has_slots() { return file_io_buffers() != 0 && runs_task(); }

// A host that would not wait for the disk by itself, or was disturbed: the vCPU does it. io_uring cancels requests for
// which the kernel starts no worker, as it does not while signals are pending: ticks are.
template <typename T>
bool is_to_be_repeated(const Result<T>& result) {
  if (!result.is_error()) return false;
  const Errno error = result.error();
  return error == Errno::kAgain || error == Errno::kIntr || error == Errno::kCanceled;
}

constexpr size_t kOwnChunk = host::SharedBuffer::kSize - 4096;

Result<size_t> read_in_slot(Request request, std::span<std::byte> to) {
  const OwnSlot own;
  request.length = std::min<uint64_t>(to.size(), abi::kFileIoSlotSize);
  const auto count = static_cast<size_t>(
      TRY(host::check(request_in(own, request), static_cast<long>(request.length))));
  TRY(copy_from_untrusted(to.first(count), own.buffer()));
  return count;
}

Result<size_t> read_here(Request request, std::span<std::byte> to) {
  host::SharedBuffer buffer;
  request.length = std::min(to.size(), kOwnChunk);
  const uint64_t data = TRY(buffer.reserve(request.length));
  const auto count = static_cast<size_t>(
      TRY(host::check(request_here(request, data), static_cast<long>(request.length))));
  TRY(buffer.get(data, to.first(count)));
  return count;
}

Result<size_t> write_in_slot(Request request, std::span<const std::byte> from) {
  const OwnSlot own;
  request.length = std::min<uint64_t>(from.size(), abi::kFileIoSlotSize);
  TRY(copy_to_untrusted(own.buffer(), from.first(request.length)));
  return static_cast<size_t>(
      TRY(host::check(request_in(own, request), static_cast<long>(request.length))));
}

Result<size_t> write_here(Request request, std::span<const std::byte> from) {
  host::SharedBuffer buffer;
  const auto chunk = from.first(std::min(from.size(), kOwnChunk));
  request.length = chunk.size();
  const uint64_t data = TRY(buffer.put(chunk));
  return static_cast<size_t>(
      TRY(host::check(request_here(request, data), static_cast<long>(chunk.size()))));
}

Result<size_t> read_some(const Request& request, std::span<std::byte> to) {
  if (!has_slots()) return read_here(request, to);
  const Result<size_t> count = read_in_slot(request, to);
  return is_to_be_repeated(count) ? read_here(request, to) : count;
}

Result<size_t> write_some(const Request& request, std::span<const std::byte> from) {
  if (!has_slots()) return write_here(request, from);
  const Result<size_t> count = write_in_slot(request, from);
  return is_to_be_repeated(count) ? write_here(request, from) : count;
}

Result<void> change(const Request& request) {
  if (has_slots()) {
    const OwnSlot own;
    const Result<long> done = host::check(request_in(own, request), 0);
    if (!done.is_error()) return {};
    if (!is_to_be_repeated(done)) return done.error();
  }
  TRY(host::check(request_here(request, 0), 0));
  return {};
}

}  // namespace

namespace host {

Result<size_t> pread(int fd, std::span<std::byte> buffer, uint64_t offset) {
  size_t done = 0;
  while (done < buffer.size()) {
    const auto count =
        read_some({.operation = FileOperation::kRead, .fd = fd, .offset = offset + done},
                  buffer.subspan(done));
    if (count.is_error()) return done > 0 ? Result<size_t>(done) : count.error();
    if (count.value() == 0) break;
    done += count.value();
  }
  return done;
}

Result<size_t> pwrite(int fd, std::span<const std::byte> data, uint64_t offset) {
  size_t done = 0;
  while (done < data.size()) {
    const auto count =
        write_some({.operation = FileOperation::kWrite, .fd = fd, .offset = offset + done},
                   data.subspan(done));
    if (count.is_error()) return done > 0 ? Result<size_t>(done) : count.error();
    if (count.value() == 0) break;
    done += count.value();
  }
  return done;
}

Result<size_t> read_file(int fd, std::span<std::byte> buffer) {
  return read_some({.operation = FileOperation::kRead, .fd = fd, .offset = abi::kFilePosition},
                   buffer);
}

Result<size_t> write_file(int fd, std::span<const std::byte> data) {
  return write_some({.operation = FileOperation::kWrite, .fd = fd, .offset = abi::kFilePosition},
                    data);
}

Result<void> fsync(int fd, bool data_only) {
  return change(
      {.operation = data_only ? FileOperation::kDataSync : FileOperation::kSync, .fd = fd});
}

Result<void> fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t length) {
  return change({.operation = FileOperation::kAllocate,
                 .fd = fd,
                 .length = length,
                 .offset = offset,
                 .mode = mode});
}

}  // namespace host

void complete_host_file(uint64_t token, int64_t result) {
  const uint64_t index = token & ((uint64_t{1} << kSlotBits) - 1);
  if ((token & abi::kFileIoToken) == 0 || index >= abi::kFileIoSlots) return;
  Slot& slot = slots[index];
  const bool is_awaited = slot.flight.with([&](Flight& flight) {
    if (flight.token != token) return false;
    flight.token = 0;
    flight.result = result;
    return true;
  });
  if (is_awaited) slot.answered.wake_all();
}

uint64_t host_file_waits() { return waits.load(std::memory_order_relaxed); }

}  // namespace occlum
