// clone(2), clone3(2), vfork(2): new threads and processes.
#pragma once

#include <cstdint>
#include <optional>

#include "libos/lib/result.h"
#include "libos/process/pid.h"
#include "libos/process/thread.h"

namespace occlum {

constexpr uint64_t kCloneSignalMask = 0xff;  // clone(2) only: the exit signal
constexpr uint64_t kCloneVm = 0x100, kCloneFs = 0x200, kCloneFiles = 0x400, kCloneSigHand = 0x800,
                   kClonePidFd = 0x1000, kClonePtrace = 0x2000, kCloneVfork = 0x4000,
                   kCloneParent = 0x8000, kCloneThread = 0x10000, kCloneNewNs = 0x20000,
                   kCloneSysVSem = 0x40000, kCloneSetTls = 0x80000, kCloneParentSetTid = 0x100000,
                   kCloneChildClearTid = 0x200000, kCloneDetached = 0x400000,
                   kCloneUntraced = 0x800000, kCloneChildSetTid = 0x1000000,
                   kCloneNewCgroup = 0x2000000, kCloneNewUts = 0x4000000, kCloneNewIpc = 0x8000000,
                   kCloneNewUser = 0x10000000, kCloneNewPid = 0x20000000, kCloneNewNet = 0x40000000,
                   kCloneIo = 0x80000000, kCloneClearSigHand = 0x100000000,
                   kCloneIntoCgroup = 0x200000000;
constexpr uint64_t kCloneNewTime = 0x80;  // clone3 only
constexpr uint64_t kCloneNamespaces = kCloneNewNs | kCloneNewCgroup | kCloneNewUts | kCloneNewIpc |
                                      kCloneNewUser | kCloneNewPid | kCloneNewNet;

struct CloneRequest {
  uint64_t flags = 0;  // without the exit signal
  int exit_signal = 0;
  uint64_t stack_pointer = 0;  // 0: goes on where the caller's is
  uint64_t tls = 0;
  uint64_t parent_tid = 0, child_tid = 0, pidfd = 0;  // addresses
  std::optional<Pid> tid;                             // the child's (clone3's set_tid); else any
};

// There are no namespaces, as on a Linux that is made without them: kInval, but kPerm for who may not ask. `flags` are
// clone(2)'s and CLONE_NEWTIME.
Result<void> check_namespace_flags(uint64_t flags);

// kInval for combinations that Linux refuses, check_namespace_flags'.
Result<void> check_clone_flags(uint64_t flags);

// Returns the child's number; with CLONE_VFORK after the child has executed a program or ended. Errors: check_clone_flags',
// kAgain, kNoMem; with a number to take kInval, kPerm, kExist.
Result<Pid> clone_thread(Thread& self, const CloneRequest& request);

}  // namespace occlum
