// Numbers of ptrace(2) on x86-64 (uapi linux/ptrace.h, asm/ptrace-abi.h, elf.h).
#pragma once

#include <cstdint>

namespace occlum::ptrace {

enum class Request : int64_t {
  kTraceMe = 0,
  kPeekText = 1,
  kPeekData = 2,
  kPeekUser = 3,
  kPokeText = 4,
  kPokeData = 5,
  kPokeUser = 6,
  kContinue = 7,
  kKill = 8,
  kSingleStep = 9,
  kGetRegisters = 12,
  kSetRegisters = 13,
  kGetFloatRegisters = 14,
  kSetFloatRegisters = 15,
  kAttach = 16,
  kDetach = 17,
  kSystemCall = 24,
  kArchPrctl = 30,
  kEmulate = 31,      // PTRACE_SYSEMU
  kEmulateStep = 32,  // PTRACE_SYSEMU_SINGLESTEP
  kSingleBlock = 33,
  kSetOptions = 0x4200,
  kGetEventMessage = 0x4201,
  kGetSignalInfo = 0x4202,
  kSetSignalInfo = 0x4203,
  kGetRegisterSet = 0x4204,
  kSetRegisterSet = 0x4205,
  kSeize = 0x4206,
  kInterrupt = 0x4207,
  kListen = 0x4208,
  kPeekSignals = 0x4209,
  kGetSignalMask = 0x420a,
  kSetSignalMask = 0x420b,
  kGetSyscallInfo = 0x420e,
  kGetRseqConfiguration = 0x420f,
};

enum Event : int {
  kEventFork = 1,
  kEventVfork = 2,
  kEventClone = 3,
  kEventExec = 4,
  kEventVforkDone = 5,
  kEventExit = 6,
  kEventStop = 128,
};

constexpr uint32_t kOptionSyscallGood = 1, kOptionExitKill = 1 << 20,
                   kOptionSuspendSeccomp = 1 << 21;
constexpr uint32_t kOptionMask = 0xff | kOptionExitKill | kOptionSuspendSeccomp;
constexpr uint32_t option_of(Event event) { return uint32_t{1} << event; }

// What PTRACE_GETEVENTMSG says in syscall-stops.
constexpr uint64_t kMessageEntry = 1, kMessageExit = 2;
// The signal of a syscall-stop with PTRACE_O_TRACESYSGOOD.
constexpr int kSyscallTrap = 0x85;

constexpr uint64_t kNotePrStatus = 1, kNoteFloat = 2, kNoteXstate = 0x202;

}  // namespace occlum::ptrace
