// unshare(2): a thread stops to share what clone(2) let it share. Namespaces are refused as there.
#include "libos/process/clone.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/syscall/dispatch.h"

namespace occlum {
namespace {

constexpr uint64_t kKnown = kCloneThread | kCloneFs | kCloneSigHand | kCloneVm | kCloneFiles |
                            kCloneSysVSem | kCloneNamespaces | kCloneNewTime;

// What asks for more than it names (unshare(2), "Flags").
uint64_t with_implied(uint64_t flags) {
  if ((flags & kCloneNewUser) != 0) flags |= kCloneThread | kCloneFs;
  if ((flags & kCloneVm) != 0) flags |= kCloneSigHand;
  if ((flags & kCloneSigHand) != 0) flags |= kCloneThread;
  return flags;
}

// Whether a process that came from vfork or CLONE_VM uses the caller's memory, too.
Result<bool> is_memory_shared(Thread& self) {
  bool is_shared = false;
  TRY(for_each_process([&](Process& process) {
    if (&process != &self.process() && process.memory().get() == &self.memory()) is_shared = true;
  }));
  return is_shared;
}

}  // namespace

// Threads, handlers and memory cannot be parted: to ask for it is right only where nobody shares them. All is checked
// before anything changes, but for a lack of memory.
Result<long> sys_unshare(Thread& self, uint64_t flags) {
  if ((flags & ~kKnown) != 0) return Errno::kInval;
  flags = with_implied(flags);
  if ((flags & kCloneThread) != 0 && self.process().thread_count() > 1) return Errno::kInval;
  if ((flags & kCloneSigHand) != 0 && self.process().actions().reference_count() > 1)
    return Errno::kInval;
  if ((flags & kCloneVm) != 0 && TRY(is_memory_shared(self))) return Errno::kInval;
  TRY(check_namespace_flags(flags));

  RefPtr<FsContext> fs;
  RefPtr<FileTable> files;
  if ((flags & kCloneFs) != 0 && self.shares_fs()) fs = TRY(self.fs().clone());
  if ((flags & kCloneFiles) != 0 && self.shares_files()) files = TRY(self.files().clone());
  if (fs) self.replace_fs(std::move(fs));
  if (files) self.replace_files(std::move(files));
  if ((flags & kCloneSysVSem) != 0) self.drop_semaphore_undo();
  return 0;
}

}  // namespace occlum
