// Whom the calls about scheduling and I/O priorities mean (getpriority(2), ioprio_get(2)).
#pragma once

#include "libos/lib/function_ref.h"
#include "libos/lib/result.h"
#include "libos/process/thread.h"

namespace occlum {

// What `which` may be: PRIO_PROCESS and the others. ioprio_get(2) counts from 1.
constexpr int kPriorityProcess = 0, kPriorityGroup = 1, kPriorityUser = 2;

// 0 is the caller. Errors: kSrch.
Result<RefPtr<Thread>> thread_named(Thread& self, Pid pid);

// Calls back for each thread that (which, who) names: one thread, or all of a process group or of a real user id. 0 is the
// caller and its group; a user it is literally. Errors: kInval (which), kSrch when there is none, kNoMem.
Result<void> each_named(Thread& self, int which, int who, FunctionRef<void(Thread&)> visit);

}  // namespace occlum
