// execve(2): replacing the program of a process.
#pragma once

#include "libos/process/program_loader.h"
#include "libos/process/thread.h"

namespace occlum {

// Errors leave the caller as it was. After the point of no return a failure kills it instead. On success the registers
// are those of the new program's start.
Result<void> execute(Thread& self, Path path, std::string_view file_name, ArgumentList argv,
                     ArgumentList env);

// The first process: a fresh thread that has neither program nor memory yet.
Result<void> start_program(Thread& thread, Executable executable);

}  // namespace occlum
