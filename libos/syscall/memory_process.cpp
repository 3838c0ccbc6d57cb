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
  UserAddress address() const { return segments[segment].address + done; }
  size_t left() const { return segments[segment].size - done; }
};

enum class Direction { kFromThem, kToThem };

Result<long> transfer(Thread& self, Pid pid, UserAddress local, size_t local_count,
                      UserAddress remote, size_t remote_count, uint64_t flags,
                      Direction direction) {
  if (flags != 0) return Errno::kInval;
  const Vec<UserSegment> ours = TRY(read_iovec(local, local_count));
  if (Cursor{ours}.at_end()) return 0;  // what is theirs is not even looked at
  const Vec<UserSegment> theirs = TRY(read_iovec(remote, remote_count));
  const RefPtr<AddressSpace> memory = TRY(memory_of(self, pid));
  constexpr size_t kPart = 16 * 1024;
  Vec<std::byte> buffer;
  TRY(buffer.resize(kPart));
  Cursor here{ours}, there{theirs};
  size_t moved = 0;
  while (!here.at_end() && !there.at_end()) {
    const size_t size = std::min({here.left(), there.left(), kPart});
    const std::span<std::byte> part = buffer.span().first(size);
    AddressSpace& from = direction == Direction::kFromThem ? *memory : self.memory();
    AddressSpace& to = direction == Direction::kFromThem ? self.memory() : *memory;
    const Cursor& source = direction == Direction::kFromThem ? there : here;
    const Cursor& target = direction == Direction::kFromThem ? here : there;
    Result<void> step = copy_from_user(from, part, source.address());
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
