// Instructions that need one page at two of its addresses (mm/memory_object_alias.cpp), of which it has one at a time: an
// operand that lies across the end of a ring of one page that is mapped twice, text in one view whose data are in
// another, a string that is copied from one view to another.
//
// Such an instruction is executed out of line (uprobes' word): as a copy on a page of its own, with an int3 behind it. An
// operand within a page is used where it is. One that lies across two is copied beside the copy and addressed by RIP, so
// that no register changes: it is read before and stored after as the LibOS reads and stores, which brings each page where
// it is used. That is not atomic, nor in order with what other threads do meanwhile, as no access across two pages is
// without LOCK. String instructions are done by the LibOS (string_instruction.h).
//
// Not done: gathers, masked moves and XSAVE across two pages, branches and what moves from or to the stack in such places,
// and what is single-stepped.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "libos/arch/memory.h"
#include "libos/arch/registers.h"
#include "libos/lib/ptr.h"

namespace occlum {

class Thread;

// One that is under way.
struct OutOfLine {
  static constexpr size_t kLargestOperand = 64;
  AddressRange page;          // the copy is at its start
  uint64_t end = 0;           // of the copy, where the int3 is
  uint64_t from = 0;          // where the program has the instruction
  uint64_t next = 0;          // and the following one
  uint64_t operand = 0;       // the address of one across two pages
  uint64_t operand_copy = 0;  // and beside the copy
  size_t size = 0;            // of it, bytes; 0: there is none
  bool writes = false;
  std::array<std::byte, kLargestOperand> before = {};
};

namespace out_of_line {

// The instruction at registers.rip, of the calling thread. True: it is done, or in part, or its copy is next. False: it
// cannot be done so, and nothing has changed.
bool execute(Thread& self, UserRegisters& registers);
// Before anybody sees the registers, and at the int3: the instruction has been executed, or has not, where the program has
// it. To be called while self.out_of_line is set.
void settle(Thread& self, UserRegisters& registers);

}  // namespace out_of_line
}  // namespace occlum
