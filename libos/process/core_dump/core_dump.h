// Core files: what is kept of a process that a signal has ended (core(5)).
//
// The thread that takes the signal writes the file. The others come as far as exit_thread() and wait there, so that
// their registers and, unless other processes share it, the memory stand still. As on Linux: whether there is a file is
// decided by RLIMIT_CORE, PR_SET_DUMPABLE and the working directory, and WCOREDUMP says that one was begun; it may have
// been cut short by the limit or a full disk. There is none where the host could read it: it would tell all secrets.
#pragma once

namespace occlum {

class Thread;
struct SignalInfo;

// Ends the process of the calling thread by the signal, whose default is to dump core.
void dump_core(Thread& self, const SignalInfo& info);

// The calling thread ends. When its process dumps core, not before that is done.
void wait_for_core_dump(Thread& self);

}  // namespace occlum
