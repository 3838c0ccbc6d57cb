# Every way into and out of the enclave, and between tasks. (SDM vol. 3D, chapters 36-40: EENTER, EEXIT, AEX, ERESUME)
#
# Invariants of this file:
#  * GS is the vCPU block (vcpu.h) whenever LibOS code runs; the offsets below are those of struct VcpuBlock.
#  * Entering by EENTER clears DF and AC before anything else relies on them, and takes its stack from the block, never
#    from the host. All general registers leave the enclave with fixed values.
#  * Going back to user mode writes no user memory, and until its last jump has retired the saved UserRegisters on the
#    kernel stack are the truth: phase 1, finding RIP in [restore_begin, restore_end), restarts at the work check.
#  * Entry from user mode (syscall_fast_entry) is the mirror: a tick that lands in [syscall_fast_entry,
#    syscall_fast_entered) only sets a flag.

.set SAVED_STACK, 8
.set EXIT_TARGET, 16
.set HOST_RSP, 24
.set HOST_RBP, 32
.set KERNEL_STACK_TOP, 48
.set USER_RIP, 56
.set USER_RSP, 64
.set EXCEPTION_STACK, 80
.set EXCEPTION_TARGET, 88
.set EXCEPTION_HOST_RSP, 96
.set EXCEPTION_HOST_RBP, 104
.set WORK, 120

# struct UserRegisters (registers.h)
.set R_RAX, 0
.set R_RBX, 8
.set R_RCX, 16
.set R_RDX, 24
.set R_RSI, 32
.set R_RDI, 40
.set R_RBP, 48
.set R_RSP, 56
.set R_R8, 64
.set R_R9, 72
.set R_R10, 80
.set R_R11, 88
.set R_R12, 96
.set R_R13, 104
.set R_R14, 112
.set R_R15, 120
.set R_RIP, 128
.set R_RFLAGS, 136
.set R_FS_BASE, 144
.set R_GS_BASE, 152
.set R_ORIGINAL_RAX, 160
.set R_SIZE, 176

.set ENCLU_EEXIT, 4
.set FLAGS_AC_DF, 0x40400

# ENCLU with room for the emulator's jump.
.macro enclu
  .byte 0x0f, 0x01, 0xd7
  .byte 0x0f, 0x1f, 0x00
.endm

# A fault at an instruction of [from, to) makes phase 1 continue at `target` with RAX = the fault's address.
.macro fixup from, to, target
  .pushsection fixups, "aR", @progbits
  .quad \from, \to, \target
  .popsection
.endm

.text

# --- EENTER ------------------------------------------------------------------------------------------------------
# RAX = CSSA, RBX = TCS, RCX = where EEXIT goes back to, RDI = the host's argument (boot only).
.globl enclave_entry
.type enclave_entry, @function
.balign 64
enclave_entry:
  cld
  cmpq $1, %rax
  je phase_one_entry
  ja enclave_dead
  movq %rcx, %gs:EXIT_TARGET
  movq %rsp, %gs:HOST_RSP
  movq %rbp, %gs:HOST_RBP
  movq %gs:SAVED_STACK, %rsp
  pushq $2
  popfq
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret

phase_one_entry:
  movq %rcx, %gs:EXCEPTION_TARGET
  movq %rsp, %gs:EXCEPTION_HOST_RSP
  movq %rbp, %gs:EXCEPTION_HOST_RBP
  movq %gs:EXCEPTION_STACK, %rsp
  pushq $2
  popfq
  xorl %ebp, %ebp
  movq %gs:0, %rdi
  call phase_one
  movq %gs:EXCEPTION_TARGET, %rbx
  movq %gs:EXCEPTION_HOST_RSP, %rsp
  movq %gs:EXCEPTION_HOST_RBP, %rbp
  jmp leave_enclave

# More SSA frames in use than this LibOS has: the host broke the protocol. Stay here for good, touching nothing.
.globl enclave_dead
enclave_dead:
  ud2
  jmp enclave_dead

# --- EEXIT -------------------------------------------------------------------------------------------------------
# void exit_to_host(): returns when the host EENTERs this vCPU again. The frame is in shared memory; vector registers
# have been put into their initial state by the caller.
.globl exit_to_host
.type exit_to_host, @function
.balign 16
exit_to_host:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, %gs:SAVED_STACK
  pushq $2                # the flags of the program: ID, NT
  popfq
  movq %gs:EXIT_TARGET, %rbx
  movq %gs:HOST_RSP, %rsp
  movq %gs:HOST_RBP, %rbp
leave_enclave:
  xorl %ecx, %ecx
  xorl %edx, %edx
  xorl %esi, %esi
  xorl %edi, %edi
  xorl %r8d, %r8d
  xorl %r9d, %r9d
  xorl %r10d, %r10d
  xorl %r11d, %r11d
  xorl %r12d, %r12d
  xorl %r13d, %r13d
  xorl %r14d, %r14d
  xorl %r15d, %r15d
  movl $ENCLU_EEXIT, %eax
  cmpl %ecx, %ecx
  enclu
  jmp enclave_dead

# --- other leaves ------------------------------------------------------------------------------------------------
# uint64_t enclu_leaf(uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx): RAX after the leaf, or all ones when it
# faulted: the host's page table does not let it through, or the operand is not what the host said.
.globl enclu_leaf
.type enclu_leaf, @function
.balign 16
enclu_leaf:
  pushq %rbx
  movq %rdi, %rax
  movq %rsi, %rbx
  xchgq %rdx, %rcx
60:
  enclu
61:
  popq %rbx
  ret
enclu_fault:
  movq $-1, %rax
  popq %rbx
  ret
  fixup 60b, 61b, enclu_fault

# --- tasks -------------------------------------------------------------------------------------------------------
# void switch_stack(uint64_t* save_here, uint64_t new_stack)
.globl switch_stack
.type switch_stack, @function
.balign 16
switch_stack:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret

# The return address on a fresh task's stack.
.globl task_trampoline
.type task_trampoline, @function
task_trampoline:
  xorl %ebp, %ebp
  call task_first_run
  jmp enclave_dead

# --- back to user mode -------------------------------------------------------------------------------------------
# void restore_user_registers(UserRegisters*): RDI = the registers at the top of the kernel stack. Vector state and
# everything else is in place; the work check has been made.
.globl restore_user_registers
.globl restore_begin
.globl restore_end
.type restore_user_registers, @function
.balign 16
restore_user_registers:
restore_begin:
  cmpl $0, %gs:WORK       # a tick before this instruction has set it, one after it restarts
  jne restart_user_return
  movq %rdi, %rsp
  movq R_FS_BASE(%rsp), %rax
  wrfsbase %rax
  movq R_RIP(%rsp), %rax
  movq %rax, %gs:USER_RIP
  movq R_RBX(%rsp), %rbx
  movq R_RCX(%rsp), %rcx
  movq R_RDX(%rsp), %rdx
  movq R_RSI(%rsp), %rsi
  movq R_RDI(%rsp), %rdi
  movq R_RBP(%rsp), %rbp
  movq R_R8(%rsp), %r8
  movq R_R9(%rsp), %r9
  movq R_R10(%rsp), %r10
  movq R_R11(%rsp), %r11
  movq R_R12(%rsp), %r12
  movq R_R13(%rsp), %r13
  movq R_R14(%rsp), %r14
  movq R_R15(%rsp), %r15
  movq R_RAX(%rsp), %rax
  pushq R_RFLAGS(%rsp)
  popfq
  movq R_RSP(%rsp), %rsp
  jmpq *%gs:USER_RIP
restore_end:

# Phase 1 sends a tick that interrupted the restore here, RSP and RDI at the registers on the kernel stack.
.globl restart_user_return
restart_user_return:
  movq %rdi, %rsp
  xorl %ebp, %ebp
  call return_to_user
  jmp enclave_dead

# --- from user mode ----------------------------------------------------------------------------------------------
# A rewritten `syscall` jumps here through %gs:72: RAX = number, RCX = return address, all else as the program left it
# (R11 is the instruction's to clobber). The kernel stack is empty.
.globl syscall_fast_entry
.globl syscall_fast_entered
.balign 16
syscall_fast_entry:
  movq %rsp, %gs:USER_RSP
  movq %gs:KERNEL_STACK_TOP, %rsp
  leaq -R_SIZE(%rsp), %rsp
  pushfq
  popq %r11
  movq %rax, R_RAX(%rsp)
  movq %rbx, R_RBX(%rsp)
  movq %rcx, R_RCX(%rsp)
  movq %rdx, R_RDX(%rsp)
  movq %rsi, R_RSI(%rsp)
  movq %rdi, R_RDI(%rsp)
  movq %rbp, R_RBP(%rsp)
  movq %r8, R_R8(%rsp)
  movq %r9, R_R9(%rsp)
  movq %r10, R_R10(%rsp)
  movq %r11, R_R11(%rsp)
  movq %r12, R_R12(%rsp)
  movq %r13, R_R13(%rsp)
  movq %r14, R_R14(%rsp)
  movq %r15, R_R15(%rsp)
  movq %rcx, R_RIP(%rsp)
  movq %r11, R_RFLAGS(%rsp)
  movq %rax, R_ORIGINAL_RAX(%rsp)
  movq %gs:USER_RSP, %rax
  movq %rax, R_RSP(%rsp)
  rdfsbase %rax
  movq %rax, R_FS_BASE(%rsp)
  movq $0, R_GS_BASE(%rsp)
syscall_fast_entered:
  cld
  testl $FLAGS_AC_DF, %r11d
  jz 1f
  pushq $2
  popfq
1:
  movq %rsp, %rdi
  xorl %ebp, %ebp
  call syscall_entered
  jmp enclave_dead

# Phase 1 has copied the program's registers to the kernel stack and sends the vCPU here: RDI = RSP = registers.
.globl user_exception_entry
.globl user_tick_entry
user_exception_entry:
  xorl %ebp, %ebp
  call exception_entered
  jmp enclave_dead
user_tick_entry:
  xorl %ebp, %ebp
  call tick_entered
  jmp enclave_dead

# A fault of the LibOS itself: RDI = RIP, RSI = RSP at the fault; on the spare half of the exception stack.
.globl libos_fault_entry
libos_fault_entry:
  xorl %ebp, %ebp
  call libos_fault
  jmp enclave_dead

# --- guarded accesses (guarded_copy.h) ---------------------------------------------------------------------------
# Each returns {RAX: address, RDX: 1} after a fault, else {value, RDX: 0}.

.globl guarded_copy_raw
.type guarded_copy_raw, @function
.balign 16
guarded_copy_raw:   # RDI to, RSI from, RDX bytes
  movq %rdx, %rcx
  xorl %edx, %edx
10: rep movsb
11: ret
  fixup 10b, 11b, guarded_fault

.globl guarded_copy_words_raw
.type guarded_copy_words_raw, @function
.balign 16
guarded_copy_words_raw:   # RDI to, RSI from, RDX 8-byte words: aligned 8-byte accesses only
  movq %rdx, %rcx
  xorl %edx, %edx
20: rep movsq
21: ret
  fixup 20b, 21b, guarded_fault

.globl guarded_zero_raw
.type guarded_zero_raw, @function
.balign 16
guarded_zero_raw:   # RDI to, RSI bytes
  movq %rsi, %rcx
  xorl %eax, %eax
  xorl %edx, %edx
30: rep stosb
31: ret
  fixup 30b, 31b, guarded_fault

.globl guarded_load_u32_raw
.type guarded_load_u32_raw, @function
.balign 16
guarded_load_u32_raw:   # RDI from
  xorl %edx, %edx
40: movl (%rdi), %eax
41: ret
  fixup 40b, 41b, guarded_fault

.globl guarded_cmpxchg_u32_raw
.type guarded_cmpxchg_u32_raw, @function
.balign 16
guarded_cmpxchg_u32_raw:   # RDI at, ESI expected, EDX desired: the value found
  movl %esi, %eax
  movl %edx, %ecx
  xorl %edx, %edx
50: lock cmpxchgl %ecx, (%rdi)
51: ret
  fixup 50b, 51b, guarded_fault

.globl guarded_cmpxchg_u128_raw
.type guarded_cmpxchg_u128_raw, @function
.balign 16
guarded_cmpxchg_u128_raw:   # RDI at (16-byte aligned), RSI expected, RDX desired: addresses of 16 bytes; 1 if stored
  pushq %rbx
  movq %rsi, %r8
  movq (%rdx), %rbx
  movq 8(%rdx), %rcx
  movq (%rsi), %rax
  movq 8(%rsi), %rdx
70: lock cmpxchg16b (%rdi)
71: movq %rax, (%r8)            # what was there
  movq %rdx, 8(%r8)
  sete %al
  movzbl %al, %eax
  popq %rbx
  xorl %edx, %edx
  ret
guarded_u128_fault:
  popq %rbx
  movl $1, %edx
  ret
  fixup 70b, 71b, guarded_u128_fault

guarded_fault:
  movl $1, %edx
  ret

# --- the measured TCS and vCPU 0's memory ------------------------------------------------------------------------
.section .tcs, "awR", @progbits
.balign 4096
.globl tcs0
tcs0:
  .quad 0                 # reserved
  .quad 0                 # FLAGS: DBGOPTIN is set by a debugger
  .quad vcpu0_ssa         # OSSA
  .long 0                 # CSSA
  .long 2                 # NSSA
  .quad enclave_entry     # OENTRY
  .quad 0                 # reserved
  .quad 0                 # OFSBASE
  .quad vcpu0_block       # OGSBASE
  .long 0xffffffff        # FSLIMIT
  .long 0xffffffff        # GSLIMIT
  .balign 4096

.bss
.balign 4096
.globl vcpu0_ssa
vcpu0_ssa:
  .skip 2 * 4 * 4096
.globl vcpu0_exception_stack_top
  .skip 16 * 1024
vcpu0_exception_stack_top:
  .skip 32 * 1024
vcpu0_stack_top:

.data
.balign 64
.globl vcpu0_block
vcpu0_block:
  .quad vcpu0_block                 # self
  .quad vcpu0_boot_frame            # saved_stack: entry pops six registers and returns to vcpu0_boot
  .quad 0, 0, 0                     # exit_target, host_rsp, host_rbp
  .quad 0                           # canary
  .quad 0, 0, 0                     # kernel_stack_top, user_rip, user_rsp
  .quad syscall_fast_entry
  .quad vcpu0_exception_stack_top
  .quad 0, 0, 0
  .quad vcpu0_ssa
  .quad 0                           # work, index
  .quad 0                           # current
  .quad 0                           # shared
  .quad tcs0
  .skip 1024

.balign 16
vcpu0_boot_frame:
  .quad 0, 0, 0, 0, 0, 0
  .quad vcpu0_boot
  .quad 0

.text
# RDI = address of abi::BootParameters, as the host says.
vcpu0_boot:
  leaq vcpu0_stack_top(%rip), %rsp
  xorl %ebp, %ebp
  call enclave_boot
  jmp enclave_dead

# First code of the other vCPUs: their idle stack is in place.
.globl vcpu_trampoline
vcpu_trampoline:
  xorl %ebp, %ebp
  call vcpu_started
  jmp enclave_dead

.section .note.GNU-stack, "", @progbits
