// The first bytes of a program's stack, exactly as Linux puts them there (fs/exec.c and binfmt_elf.c; System V ABI AMD64,
// 3.4.1 "Initial Stack and Register State").
//
//   top      8 zero bytes
//            the file name (AT_EXECFN)
//            environment strings
//            argument strings
//            "x86_64", 16 random bytes
//            auxiliary vector, then NULL-terminated envp and argv, then argc
//   RSP  ->  argc, at a multiple of 16
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libos/lib/result.h"
#include "libos/lib/vec.h"
#include "libos/process/arguments.h"

namespace occlum {

// Types of auxiliary vector entries (getauxval(3)).
enum AuxType : uint64_t {
  kAtNull = 0,
  kAtPhdr = 3,
  kAtPhent = 4,
  kAtPhnum = 5,
  kAtPagesz = 6,
  kAtRseqFeatureSize = 27,
  kAtRseqAlign = 28,
  kAtBase = 7,
  kAtFlags = 8,
  kAtEntry = 9,
  kAtUid = 11,
  kAtEuid = 12,
  kAtGid = 13,
  kAtEgid = 14,
  kAtPlatform = 15,
  kAtHwcap = 16,
  kAtClktck = 17,
  kAtSecure = 23,
  kAtRandom = 25,
  kAtHwcap2 = 26,
  kAtExecfn = 31,
  kAtSysinfoEhdr = 33,
  kAtMinsigstksz = 51,
};

struct AuxEntry {
  uint64_t type, value;
};

struct ProgramStack {
  uint64_t stack_pointer = 0;
  Vec<std::byte> bytes;  // from stack_pointer up to the top
  Vec<uint64_t> auxv;    // pairs, with AT_NULL
  uint64_t args_start = 0, args_end = 0, env_start = 0, env_end = 0;
};

// How many bytes that takes at most, the auxiliary vector included.
uint64_t program_stack_bytes(const ArgumentList& argv, const ArgumentList& env,
                             std::string_view file_name);

// `aux` without AT_RANDOM, AT_EXECFN, AT_PLATFORM and AT_NULL, which point into the stack or end it. `top` is the end of
// the stack, a multiple of 16. Errors: kNoMem.
Result<ProgramStack> build_program_stack(uint64_t top, const ArgumentList& argv,
                                         const ArgumentList& env, std::string_view file_name,
                                         std::span<const AuxEntry> aux,
                                         std::array<std::byte, 16> random);

}  // namespace occlum
