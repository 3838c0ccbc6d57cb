// How threads and processes end (exit(2), exit_group(2)), and waiting for them (wait(2)).
#pragma once

#include <cstdint>

#include "libos/lib/result.h"
#include "libos/process/pid.h"
#include "libos/process/process.h"
#include "libos/process/signals/signal.h"

namespace occlum {

// Ends the calling thread; the last one takes the process with it, which then ends with `exit_code` (exit(2)'s), or
// with what exit_group or a signal decided. The kernel stack is left for good: nothing on it may own anything.
[[noreturn]] void exit_thread(Thread& self, int exit_code = 0);

// All threads of the calling thread's process end with `wait_status` (code << 8, or a signal), this one at its way back to
// the program.
void exit_process(Thread& self, int wait_status);

struct ProcessTree;
// Tells the parent that the process, a zombie, has ended; when nobody will wait for it, it goes at once, to the
// references in `gone`, which are dropped without the lock.
void announce_end(ProcessTree& tree, Process& process, RefPtr<Process>& gone);

constexpr int exited_status(int code) { return (code & 0xff) << 8; }
constexpr int kCoreDumped = 0x80;  // in a wait status, beside the signal (WCOREDUMP)

// What a signal, or waitid(2), says of a wait status: si_code and si_status.
struct ChildEnd {
  int code, status;
};
constexpr ChildEnd child_end(int wait_status) {
  const int signal = wait_status & 0x7f;
  if (signal == 0) return {kCldExited, wait_status >> 8};
  return {(wait_status & kCoreDumped) != 0 ? kCldDumped : kCldKilled, signal};
}

// wait4(2) and waitid(2).
struct WaitRequest {
  enum class Who { kAny, kPid, kGroup };
  Who who = Who::kAny;
  Pid id = 0;
  bool exited = true;      // WEXITED
  bool stopped = false;    // WSTOPPED, WUNTRACED
  bool continued = false;  // WCONTINUED
  bool keep = false;       // WNOWAIT
  bool no_hang = false;    // WNOHANG
  enum class Clones { kOrdinary, kOnlyClones, kAll };
  Clones clones = Clones::kOrdinary;  // __WCLONE, __WALL
  // __WNOTHREAD: only children and tracees of this one of the caller's threads. 0: of all of them.
  Pid thread = 0;
};

struct WaitResult {
  Pid pid = 0;  // 0: WNOHANG, and nothing there
  int status = 0;
  SignalInfo info;  // SIGCHLD's
  ResourceUsage usage;
};

// Errors: kChild, kRestartSys.
Result<WaitResult> wait_for_child(Thread& self, const WaitRequest& request);

// The first process (init.cpp): the enclave ends with it.
void set_main_process(Pid pid);

}  // namespace occlum
