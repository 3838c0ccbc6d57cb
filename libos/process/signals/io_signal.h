// Sending the signals of open files (fs/vfs/io_signals.h), and the calls that say whom they go to.
#pragma once

#include "libos/fs/vfs/io_signals.h"
#include "libos/lib/result.h"

namespace occlum {

class File;
class Thread;

// F_SETOWN and F_SETOWN_EX; number 0: nobody. kSrch, kNoMem.
Result<void> set_signal_owner(Thread& self, File& file, IoOwner::Kind kind, int32_t number);
// F_SETOWN's number: a process, or a group when it is negative. kInval.
Result<void> set_signal_owner(Thread& self, File& file, int32_t who);
// F_GETOWN_EX: the number is 0 when there is no such owner any more.
IoOwner signal_owner(File& file);
int32_t signal_owner_number(File& file);                  // F_GETOWN
Result<void> set_io_signal(File& file, uint64_t signal);  // F_SETSIG. kInval
int io_signal(File& file);

// O_ASYNC of a file whose flag differs. False: this kind of file tells of nothing. kNoMem.
Result<bool> set_async(Thread& self, File& file, int fd, bool on);
// F_SETLEASE; `type` is F_RDLCK, F_WRLCK or F_UNLCK. kInval, kAcces, kAgain.
Result<void> set_lease_of(Thread& self, File& file, int fd, int type);

// Sends what is posted, and waits for what others are sending. No locks may be held.
void send_posted_io();

}  // namespace occlum
