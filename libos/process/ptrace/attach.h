// Who traces whom, for ptrace/'s own files and the system call.
#pragma once

#include <cstdint>

#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"

namespace occlum {

struct ProcessTree;

namespace ptrace {

// PTRACE_TRACEME. Errors: kPerm, kNoMem.
Result<void> trace_me(Thread& self);
enum class Attach { kStop /* PTRACE_ATTACH */, kSeize };
// Errors: kPerm, kSrch, kNoMem.
Result<void> attach(Thread& self, Thread& target, Attach how, uint32_t options);
// PTRACE_DETACH of a tracee that is stopped; it goes on with `signal`.
void detach(Thread& tracee, int signal);

// The end of a tracer: its tracees go on.
void release_tracees(Thread& tracer);

// --- under the lock ---
void link(ProcessTree& tree, Thread& tracer, Thread& tracee, bool seized, uint32_t options);
void unlink(ProcessTree& tree, Thread& tracee);

}  // namespace ptrace
}  // namespace occlum
