// Files on their way through unix sockets (SCM_RIGHTS): sockets that travel are known here, so that
// those which only hold each other, by messages that nobody can receive any more, are found.
#pragma once

#include "libos/fs/vfs/file.h"
#include "libos/lib/vec.h"

namespace occlum {

// A file goes into a message, or comes out of one. kNoMem.
Result<void> begin_flight(File& file);
void end_flight(File& file);
// How many are on their way, sockets or not.
size_t files_in_flight();

// Gives up files that were on their way. One after the other, however deeply sockets in them hold
// further ones: what a destructor gives up meanwhile is put off.
void release_flown(Vec<RefPtr<File>> files);

// Empties the mailboxes of sockets that nobody can reach. Called when a socket goes, as on Linux.
void collect_unreachable_sockets();

}  // namespace occlum
