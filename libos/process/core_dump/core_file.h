// The content of a core file (elf(5), core(5)): an ELF file of notes, which say of each thread its registers, and of
// segments, one for each area of the memory.
#pragma once

#include <cstdint>

#include "libos/fs/vfs/file.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"
#include "libos/process/core_dump/core_memory.h"
#include "libos/process/core_dump/core_notes.h"

namespace occlum {

class CoreFile {
 public:
  // Of the calling thread's process, whose other threads wait (core_dump.h). Errors: kNoMem.
  static Result<CoreFile> create(Thread& self, const SignalInfo& info);

  // At most RLIMIT_CORE and RLIMIT_FSIZE bytes; pages that are not there are holes. Errors: kFBig: there is more; kIntr:
  // the process is killed; the file's.
  Result<void> write(File& file) const;

 private:
  CoreFile(Thread& self, CoreNotes notes, Vec<DumpedArea> areas)
      : self_(&self), notes_(std::move(notes)), areas_(std::move(areas)) {}

  Thread* self_;
  CoreNotes notes_;
  Vec<DumpedArea> areas_;
};

}  // namespace occlum
