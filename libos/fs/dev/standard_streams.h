// The first process's descriptors 0, 1 and 2: what the host gave the runtime as its own (a file, a
// pipe, /dev/null, a socket: host_stream.h) or the terminal (tty/host_terminal.h).
#pragma once

#include "libos/fs/vfs/file.h"
#include "libos/lib/ptr.h"

namespace occlum {

class Process;

// `fd` is 0, 1 or 2. Terminals share one Terminal. Errors: kBadFd (the host has closed it), kNoMem,
// kIo.
Result<RefPtr<File>> open_standard_stream(int fd);

// Makes the host's terminal, if there is one, the controlling terminal of the first process's
// session, with the process's group in the foreground. Called once, after that process exists.
Result<void> attach_standard_terminal(Process& first);

// open(2) of /dev/console. kNxIo when the host gave no terminal.
Result<RefPtr<File>> open_console(const Path& path, uint32_t flags);

// The host says that the size of its terminal has changed (SIGWINCH): asks for the new size soon,
// on a task of its own. Callable anywhere, with any locks held before kScheduler's.
void on_host_window_change();

}  // namespace occlum
