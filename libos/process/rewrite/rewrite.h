// Run-time patching of system calls: a `syscall` instruction traps in an enclave, which costs microseconds; at a site
// that traps again and again, the mov before it becomes a jump to a stub that enters the LibOS directly. (design,
// section 6, shape 1; syscall_site.h has the bytes, syscall_stubs.h the bookkeeping)
//
// It is an optimisation: whatever is not recognised, or cannot be patched, goes on to trap. What a program can see:
//  * Reading its text shows the jump (a program that checksums its text while it runs notices).
//  * /proc/<pid>/maps shows [syscall stubs].
//  * No register context shows a stub: where a tick or a fault finds a thread in one, leave_stub()
//    puts it to the `syscall`, with the number in RAX, as if the mov had just been executed. That
//    call then traps. Only RCX may have its later value already.
// The patch is written to the process's own copy of the page; files and other processes are untouched.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/arch/registers.h"
#include "libos/lib/result.h"
#include "libos/mm/address_space.h"

namespace occlum {

// Off: every system call traps, for what is executed from now on.
extern constinit std::atomic<bool> rewriting_enabled;

// exec: before the first thread runs in the memory. Errors: kNoMem.
Result<void> prepare_rewriting(AddressSpace& memory);
// Text comes to the memory, and soon others fill the addresses that its jumps reach: whoever maps a program or a library
// leaves kRoomForStubs behind it, and has a page for stubs put in reach once the text is there. Without that page, system
// calls trap.
constexpr uint64_t kRoomForStubs = 3 * 4096;
void prepare_text(AddressSpace& memory, uint64_t text);
// AddressSpace::fork, with the patched system calls.
Result<RefPtr<AddressSpace>> fork_memory(AddressSpace& memory);

// A debugger looks at the program and changes its text: all of it is as the program has it, and stays so, until as many
// have gone as came. May sleep.
void watch_text(AddressSpace& memory);
void unwatch_text(AddressSpace& memory);

// For /proc/occlum/stats.
struct RewriteCounters {
  std::atomic<uint64_t> patched_sites{0};
  std::atomic<uint64_t> stub_pages{0};
};
extern constinit RewriteCounters rewrite_counters;

}  // namespace occlum
