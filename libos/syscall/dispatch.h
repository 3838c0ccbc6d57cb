// Declares every implemented system call from table.def.
#pragma once

#include "libos/syscall/linux_types.h"
#include "libos/syscall/types.h"

namespace occlum {

#define SYSCALL(number, name, ...) Result<long> sys_##name(Thread& self __VA_OPT__(, ) __VA_ARGS__);
#define UNIMPLEMENTED(number, name)
#include "libos/syscall/table.def"
#undef SYSCALL
#undef UNIMPLEMENTED

// For calls that succeed with 0.
inline Result<long> done(Result<void> result) {
  if (result.is_error()) return result.error();
  return 0;
}

struct UserRegisters;

// Runs the call that the registers name (RAX; arguments RDI RSI RDX R10 R8 R9) for the current thread and stores the
// result in RAX. The internal restart codes are handled by signals/.
void dispatch_syscall(Thread& self, UserRegisters& registers);

}  // namespace occlum
