// The notes of a core file: what is not memory (uapi elf.h, NT_*; struct elf_prstatus and elf_prpsinfo of elfcore.h).
#pragma once

#include <cstdint>

#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/lib/vec.h"
#include "libos/process/core_dump/core_memory.h"
#include "libos/process/core_dump/core_writer.h"
#include "libos/process/signals/signal.h"

namespace occlum {

class CoreNotes {
 public:
  // Of the calling thread, which comes first, and the others that wait for the dump. Errors: kNoMem.
  static Result<CoreNotes> create(Thread& self, const SignalInfo& info,
                                  std::span<const DumpedArea> areas);

  uint64_t size() const;  // bytes
  // Errors: the writer's.
  Result<void> write(CoreWriter& writer) const;

 private:
  CoreNotes() = default;
  Result<void> write_thread(CoreWriter& writer, Thread& thread) const;
  Result<void> write_process(CoreWriter& writer) const;

  RefPtr<AddressSpace> memory_;
  Vec<RefPtr<Thread>> threads_;
  SignalInfo info_;
  String arguments_;          // as ps shows them
  Vec<std::byte> file_list_;  // NT_FILE's content
};

}  // namespace occlum
