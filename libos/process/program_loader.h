// From a file to a program in an address space: finding out what the file is, mapping it, its interpreter (ld.so), its
// stack and heap (execve(2); fs/exec.c, fs/binfmt_elf.c).
#pragma once

#include <string_view>

#include "libos/fs/fs_context.h"
#include "libos/fs/vfs/file_capabilities.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/process/arguments.h"
#include "libos/process/credentials.h"
#include "libos/process/elf.h"

namespace occlum {

// An executable file that was opened and understood, not yet mapped.
struct ElfFile {
  RefPtr<File> file;
  ExecutionHold hold;
  Path path;
  ElfImage image;
};

struct Executable {
  ElfFile program;
  std::optional<ElfFile> interpreter;
  String path;        // of the program, absolute: /proc/<pid>/exe
  String file_name;   // as execve was called: AT_EXECFN, and the thread's name
  ArgumentList argv;  // with what a #! line adds
  ArgumentList env;
  uint64_t stack_limit = 0;
  // Of set-id files: who the program will be.
  std::optional<uint32_t> set_uid, set_gid;
  std::optional<FileCapabilities> capabilities;
};

// That there is a regular file, and that it may be executed, is known before the arguments are read. Errors: kAcces.
Result<void> check_executable(const Path& path, const Credentials& credentials);

// Resolves #! lines, reads and checks the headers of the program and of its interpreter. `file_name` is what scripts get
// as their own path. Errors: kAcces, kNoExec, kNoEnt, kLoop, kLibBad, kTooBig, ...
Result<Executable> open_executable(FsContext& fs, const Credentials& credentials, Path path,
                                   std::string_view file_name, ArgumentList argv, ArgumentList env);

// Where a program was put, and how it starts.
struct LoadedProgram {
  uint64_t entry = 0;
  uint64_t stack_pointer = 0;
};

// Maps all of it into an empty address space. kExist or kNoMem: an ET_EXEC's addresses are taken by another process.
Result<LoadedProgram> load_program(AddressSpace& memory, const Executable& executable,
                                   const UserCredentials& credentials, bool is_secure);

}  // namespace occlum
