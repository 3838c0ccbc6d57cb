// kcmp(2), process_madvise(2), process_mrelease(2): what one process asks about another, or does for its memory.
#include "libos/fs/file_table.h"
#include "libos/ipc/epoll.h"
#include "libos/lib/address.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space.h"
#include "libos/mm/data_transfer.h"
#include "libos/process/pid_file.h"
#include "libos/process/process_table.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"

namespace occlum {
namespace {

enum class Compared : int { kFile, kMemory, kFiles, kFs, kHandlers, kIo, kSysvSem, kEpollTarget };

// 0: equal; 1 and 2: an order, of use for sorting and no more.
long compare(const void* a, const void* b) {
  if (a == b) return 0;
  return address_of(a) < address_of(b) ? 1 : 2;
}

Result<RefPtr<File>> file_of(Thread& thread, uint64_t number) {
  const RefPtr<FileTable> files = thread.share_files();
  if (!files || number > INT32_MAX) return Errno::kBadFd;
  return files->get(static_cast<int>(number));
}

// struct kcmp_epoll_slot.
struct EpollSlot {
  uint32_t set, target, offset;
};

Result<RefPtr<File>> epoll_target(Thread& thread, UserIn<EpollSlot> at) {
  const EpollSlot slot = TRY(at.read());
  const RefPtr<File> set = TRY(file_of(thread, slot.set));
  if (set->kind() != FileKind::kEpoll) return Errno::kInval;
  return static_cast<EpollFile&>(*set).target(static_cast<int>(slot.target), slot.offset);
}

}  // namespace

Result<long> sys_kcmp(Thread& self, Pid first, Pid second, int type, uint64_t first_index,
                      uint64_t second_index) {
  const RefPtr<Thread> a = find_thread(first), b = find_thread(second);
  if (!a || !b) return Errno::kSrch;
  TRY(check_may_trace(self, a->process(), TracerIds::kReal));
  TRY(check_may_trace(self, b->process(), TracerIds::kReal));
  switch (static_cast<Compared>(type)) {
    case Compared::kFile: {
      const RefPtr<File> x = TRY(file_of(*a, first_index)), y = TRY(file_of(*b, second_index));
      return compare(x.get(), y.get());
    }
    case Compared::kMemory:
      return compare(a->share_memory().get(), b->share_memory().get());
    case Compared::kFiles:
      return compare(a->share_files().get(), b->share_files().get());
    case Compared::kFs:
      return compare(a->share_fs().get(), b->share_fs().get());
    case Compared::kHandlers:
      return compare(a->process().share_actions().get(), b->process().share_actions().get());
    case Compared::kIo:
      return compare(a->share_io_context().get(), b->share_io_context().get());
    case Compared::kSysvSem:
      return compare(a->semaphore_undo_identity(), b->semaphore_undo_identity());
    case Compared::kEpollTarget: {
      const RefPtr<File> x = TRY(file_of(*a, first_index));
      const RefPtr<File> y = TRY(epoll_target(*b, UserIn<EpollSlot>(UserAddress(second_index))));
      return compare(x.get(), y.get());
    }
  }
  return Errno::kInval;
}

Result<long> sys_process_madvise(Thread& self, Fd pidfd, UserAddress iov, size_t count, int advice,
                                 Flags flags) {
  constexpr int kWillNeed = 3, kCold = 20, kPageOut = 21;
  if (bits(flags) != 0) return Errno::kInval;
  const Vec<UserSegment> segments = TRY(read_iovec(iov, count));
  const RefPtr<Process> process = TRY(PidFile::process_of(TRY(self.files().get(number(pidfd)))));
  const RefPtr<AddressSpace> memory = process->memory();
  if (!memory) return Errno::kSrch;
  TRY(check_may_trace(self, *process, TracerIds::kFileSystem));
  if (memory.get() != &self.memory()) {
    if (advice != kWillNeed && advice != kCold && advice != kPageOut) return Errno::kInval;
    if (!self.user().has(kCapSysNice)) return Errno::kPerm;
  }
  size_t done = 0;
  for (const UserSegment& segment : segments) {
    const Result<void> advised = memory->advise(segment.address.value(), segment.size, advice);
    if (advised.is_error()) {
      if (done == 0) return advised.error();
      break;
    }
    done += segment.size;
  }
  return static_cast<long>(done);
}

// A process that ends gives its memory back at once by itself: there is nothing to speed up.
Result<long> sys_process_mrelease(Thread& self, Fd pidfd, Flags flags) {
  if (bits(flags) != 0) return Errno::kInval;
  const RefPtr<Process> process = TRY(PidFile::process_of(TRY(self.files().get(number(pidfd)))));
  const bool is_ending =
      process_tree().with([&](ProcessTree& tree) { return process->links(tree).is_exiting; });
  if (!process->memory()) return Errno::kSrch;
  return is_ending ? 0 : Result<long>(Errno::kInval);
}

}  // namespace occlum
