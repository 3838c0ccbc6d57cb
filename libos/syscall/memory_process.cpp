// process_vm_readv(2) and process_vm_writev(2).
#include <algorithm>

#include "libos/lib/vec.h"
#include "libos/mm/address_space.h"
#include "libos/mm/data_transfer.h"
#include "libos/process/process_table.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"

namespace occlum {
namespace {

Result<RefPtr<AddressSpace>> memory_of(Thread& self, Pid pid) {
  const RefPtr<Thread> thread = find_thread(pid);
  RefPtr<AddressSpace> memory = thread ? thread->share_memory() : nullptr;
  if (!memory) return Errno::kSrch;
  TRY(check_may_trace(self, thread->process(), TracerIds::kReal));
  return memory;
}

// The remote side's next bytes: never across a segment.
struct Cursor {
  const Vec<UserSegment>& segments;
  size_t segment = 0;
  size_t done = 0;

  void skip_empty() {
    while (segment < segments.size() && done == segments[segment].size) {
      ++segment;
      done = 0;
    }
  }
  bool at_end() {
    skip_empty();
    return segment == segments.size();
  }
  size_t left_in_page() const { return kPageSize - address().value() % kPageSize; }
  UserAddress address() const { return segments[segment].address + done; }
  size_t left() const { return segments[segment].size - done; }
};

// Their pages are looked at as the kernel does it, by what the area is for: a page that can only be executed is not read.
Result<void> check_their_page(AddressSpace& memory, UserAddress at, Prot right) {
  const std::optional<Area> area = memory.find_area(at.value());
  return area && has(area->prot, right) ? Result<void>() : Errno::kFault;
}

enum class Direction { kFromThem, kToThem };

Result<long> transfer(Thread& self, Pid pid, UserAddress local, size_t local_count,
                      UserAddress remote, size_t remote_count, uint64_t flags,
                      Direction direction) {
  if (flags != 0) return Errno::kInval;
  const Vec<UserSegment> ours = TRY(read_iovec(local, local_count));
  if (Cursor{ours}.at_end()) return 0;  // what is theirs is not even looked at
  const Vec<UserSegment> theirs = TRY(read_iovec(remote, remote_count));
  const RefPtr<AddressSpace> memory = TRY(memory_of(self, pid));
  Vec<std::byte> buffer;
  TRY(buffer.resize(kPageSize));
  const Prot right = direction == Direction::kFromThem ? Prot::kRead : Prot::kWrite;
  Cursor here{ours}, there{theirs};
  size_t moved = 0;
  while (!here.at_end() && !there.at_end()) {
    // Page by page of both sides, so that all that lies before a bad one is moved.
    const size_t size =
        std::min({here.left(), there.left(), here.left_in_page(), there.left_in_page()});
    const std::span<std::byte> part = buffer.span().first(size);
    AddressSpace& from = direction == Direction::kFromThem ? *memory : self.memory();
    AddressSpace& to = direction == Direction::kFromThem ? self.memory() : *memory;
    const Cursor& source = direction == Direction::kFromThem ? there : here;
    const Cursor& target = direction == Direction::kFromThem ? here : there;
    Result<void> step = check_their_page(*memory, there.address(), right);
    if (!step.is_error()) step = copy_from_user(from, part, source.address());
    if (!step.is_error()) step = copy_to_user(to, target.address(), part);
    if (step.is_error()) {
      if (moved == 0) return step.error();
      break;
    }
    here.done += size;
    there.done += size;
    moved += size;
  }
  return static_cast<long>(moved);
}

}  // namespace

Result<long> sys_process_vm_readv(Thread& self, int pid, UserAddress local, size_t local_count,
                                  UserAddress remote, size_t remote_count, uint64_t flags) {
  return transfer(self, pid, local, local_count, remote, remote_count, flags, Direction::kFromThem);
}

Result<long> sys_process_vm_writev(Thread& self, int pid, UserAddress local, size_t local_count,
                                   UserAddress remote, size_t remote_count, uint64_t flags) {
  return transfer(self, pid, local, local_count, remote, remote_count, flags, Direction::kToThem);
}

}  // namespace occlum
