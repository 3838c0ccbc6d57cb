// The random tester's frame: what the families of operations (files.c, memory.c, ...) are written with.
//
// A sequence is a series of operations drawn from a seed. It runs in a process of its own, in an empty directory. Each
// operation prints one line: its name, the arguments drawn, the result, and of what it got back what must be the same
// on every Linux: no times, no addresses, no process numbers but as names ("self", "child 1"). The same program with
// the same seed runs on Linux and in the enclave, and run.py compares the lines.
//
// Every operation draws from a generator seeded by (sequence, position), so that leaving one out does not change what
// the others draw: that is how run.py makes a failing sequence small.
//
// An operation must end by itself: what could wait is non-blocking, or has been brought to its end before. It must be
// harmless: no other process than its own children, no name outside its directory, no clock, no reboot.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "../guest/libos_places.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

enum family {
  kFiles,
  kTree,
  kMeta,
  kFds,
  kMemory,
  kSignals,
  kProcesses,
  kThreads,
  kIpc,
  kSockets,
  kIdentity,
  kProc,
  kForks,
  kFamilies
};

struct operation {
  const char* name;
  enum family family;
  int weight;
  void (*run)(void);
};

// Defines and registers one operation, which is one kind of call.
#define OP(family, weight, name)                                         \
  static void op_##name(void);                                           \
  __attribute__((constructor)) static void register_##name(void) {       \
    add_operation((struct operation){#name, family, weight, op_##name}); \
  }                                                                      \
  static void op_##name(void)

void add_operation(struct operation operation);

// Chance.
uint64_t draw(void);
unsigned below(unsigned limit);
bool percent(unsigned chance);
long one_of_list(const long* values, size_t count);
long some_of_list(const long* values, size_t count);
#define LIST(...) (const long[]){__VA_ARGS__}, sizeof((const long[]){__VA_ARGS__}) / sizeof(long)
#define ONE_OF(...) one_of_list(LIST(__VA_ARGS__))

// The line of the operation.
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
const char* errno_name(long error);
void say_result(long result);
void say_bytes(const void* data, size_t size);  // their number and a hash; short ones themselves

// Calls `number`, prints the result, and returns it (-errno on failure). The arguments have printed themselves.
long finish_call(int number, const long* arguments);
#define CALL(name, ...) finish_call(SYS_##name, (long[6]){__VA_ARGS__})
// Without a word, for what an operation needs before or after.
long quiet(int number, long a, long b, long c, long d, long e, long f);
#define QUIET_1(name, a) quiet(SYS_##name, (long)(a), 0, 0, 0, 0, 0)
#define QUIET_3(name, a, b, c) quiet(SYS_##name, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define QUIET_4(name, a, b, c, d) \
  quiet(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

// Arguments: each draws one, prints it and returns it.
long number(long value);                       // decimal
long hex(long value);                          // flags
long octal(long value);                        // modes
long silent(const void* pointer);              // an argument that has nothing to tell
long pick(const long* values, size_t count);   // one of them, rarely something else
long flags(const long* values, size_t count);  // some of them ored, rarely one more bit
#define PICK(...) pick(LIST(__VA_ARGS__))
#define FLAGS(...) flags(LIST(__VA_ARGS__))
long pointer(const void* good, const char* what);  // rarely a bad one instead
long path(void);
long link_text(void);
long mode(void);
long length(void);      // up to a few pages, edges
long offset(void);      // file offsets, edges
long input(long size);  // a buffer with a pattern of its own
long output(void);      // a buffer of kBuffer bytes, cleared
enum { kBuffer = 16384 };
extern unsigned char output_buffer[kBuffer];
void say_output(
    long size);  // what a call put into the output buffer, and that nothing is behind it

// Descriptors. Kinds are what the sequence believes about a descriptor.
enum {
  kRegular = 1,
  kDirectory = 2,
  kPipeEnd = 4,
  kSocket = 8,
  kEvent = 16,
  kEpoll = 32,
  kSignalFd = 64,
  kTimerFd = 128,
  kMemFd = 256,
  kPidFd = 512,
  kPathFd = 1024,
  kQueue = 2048,
  kOther = 4096,
  kAny = kRegular | kDirectory | kPipeEnd | kSocket | kEvent | kEpoll | kSignalFd | kTimerFd |
         kMemFd | kPathFd,
  kFile = kRegular | kMemFd,
};
long fd_of(unsigned kinds);  // one of these kinds, rarely any other or none
long directory_fd(void);     // mostly AT_FDCWD
void note_fd(long fd, unsigned kind);
void forget_fd(long fd);
unsigned kind_of(long fd);
unsigned kind_by_look(long fd);  // by fstat
// The log, and a pipe whose other end closes when the sequence ends: what waiting children read.
enum { kLogFd = 900, kEndFd = 901, kEndWriteFd = 902, kStartFd = 903, kFdLimit = 64 };

// Into a pipe or a socket Linux puts the pages of a file themselves (sendfile(2), NOTES): what is written to the file
// before somebody reads there is undefined. A descriptor for such a call instead of `from`, of a file that nobody writes
// to, with the same content and position; `from` itself where `to` is neither, or `from` no file that can be read.
long file_for_splice(long from, long to);
void end_splice(long from, long copy, long moved);  // moves the position of `from`, if not 0

// Names for what has no number that is the same everywhere.
void say_ino(uint64_t device, uint64_t inode);
void say_pid(long pid);
void say_time(int64_t seconds);  // small ones were set by the sequence, others are "now"
void note_child(int slot, pid_t pid);
pid_t child_pid(int slot);
enum { kChildren = 6 };

// Faults: runs `body` and says how it ended if a fault ends it.
bool guarded(void (*body)(void* argument), void* argument);
void signals_begin(void);
void signals_flush(void);  // prints what handlers saw since the last call
void memory_begin(void);

// More operations, in a process that the running one has made: none that deals with other processes or threads, so that
// only one process of the sequence does anything at a time.
void run_in_child(unsigned count);

// The program itself again, as a child: `words` are its arguments.
extern char* own_path;
extern const char* sequence_directory;
int child_main(int argc, char** argv);
long start_self(int slot, char** words, unsigned spawn_flags);
