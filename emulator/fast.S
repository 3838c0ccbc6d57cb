// The assembly of software SGX: the vDSO function, EENTER, ERESUME and EEXIT as plain jumps, the
// stub that patched ENCLU sites jump to, and the switch of stacks on which a runtime's signal
// handler is called.
//
// A signal may arrive at any instruction here. What makes that safe are the labels: settle.cpp
// knows, for each range between two of them, which registers hold what, and takes the context
// either back to just before the leaf or forward to just after it. Whoever edits an instruction
// here must check it.
//
// Arithmetic flags do not survive a patched ENCLU (the stub compares). All other flags do: nothing
// here writes DF, AC or TF, nor any vector register.

#include "emulator/offsets.h"

  .text
  .hidden emu_aep, emu_after_enclu, emu_attach, emu_costs, emu_deliver, emu_delivered
  .hidden emu_eenter_begin, emu_eenter_claimed, emu_eenter_committed, emu_eenter_end
  .hidden emu_eenter_tried, emu_eexit_begin, emu_eexit_cleared, emu_eexit_committed
  .hidden emu_eexit_enclu, emu_eexit_end, emu_eexit_released, emu_enter_enclave, emu_fast_path
  .hidden emu_handle_exception, emu_leaf, emu_leaf_begin, emu_leaf_done, emu_leaf_end
  .hidden emu_leaf_r15, emu_leaf_r15_end, emu_leaf_saved, emu_peek, emu_peek_failed
  .hidden emu_restorer, emu_resume_begin
  .hidden emu_resume_end, emu_resume_prepare, emu_slots, emu_spend_crossing, emu_stub
  .hidden emu_stub_blocks, emu_stub_end, emu_stub_jump, emu_stub_literals, emu_stub_tail
  .hidden emu_stub_tail_fault, emu_stub_trap, emu_thread

// rt_tgsigqueueinfo(pid, tid, signal, info) of the signal that waited; R15 = thread block. Inside
// the ranges in which settle() knows what to do.
.macro RAISE
  mov TB_PID(%r15), %edi
  mov TB_TID(%r15), %esi
  mov TB_DEFERRED_INFO(%r15), %edx
  lea TB_DEFERRED_INFO(%r15), %r10
  mov $297, %eax
  syscall
.endm


// ---- int __vdso_sgx_enter_enclave(rdi, rsi, rdx, ecx = function, r8, r9, struct sgx_enclave_run*
// on the stack) ---- RBP anchors the frame: 16(%rbp) is the run structure. RAX, RBX and RCX are
// ENCLU's; all others pass through.
#define RUN 16(%rbp)
#define RUN_TCS 0
#define RUN_FUNCTION 8
#define RUN_VECTOR 12
#define RUN_ERROR 14
#define RUN_ADDRESS 16
#define RUN_HANDLER 24
#define RUN_RESERVED 40

  .globl emu_enter_enclave
  .type emu_enter_enclave, @function
  .p2align 6
emu_enter_enclave:
  .cfi_startproc
  push %rbp
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rbp, 0
  mov %rsp, %rbp
  .cfi_def_cfa_register %rbp
  push %rbx
  .cfi_rel_offset %rbx, -8
  mov %ecx, %eax
.Lagain:
  cmp $2, %eax
  jb .Linvalid
  cmp $3, %eax
  ja .Linvalid
  mov RUN, %rcx
  // The reserved 216 bytes must be zero. Two accumulators; the function number waits in the red
  // zone.
  mov %eax, -8(%rsp)
  mov RUN_RESERVED(%rcx), %rax
  mov RUN_RESERVED+8(%rcx), %rbx
  .set offset, RUN_RESERVED+16
  .rept 12
  or offset(%rcx), %rax
  or offset+8(%rcx), %rbx
  .set offset, offset+16
  .endr
  or offset(%rcx), %rbx
  or %rbx, %rax
  jnz .Linvalid
  mov -8(%rsp), %eax
  mov RUN_TCS(%rcx), %rbx
  cmpb $0, emu_costs(%rip)
  jne .Lspend
.Lenter:
  mov emu_thread@gottpoff(%rip), %rcx
  cmpq $0, %fs:(%rcx)
  je .Lattach
.Lattached:
  cmpb $0, emu_fast_path(%rip)
  je .Ltrap
  cmp $2, %eax
  jne .Lresume

  // EENTER. RBX = TCS. RAX and RCX are scratch.
  .globl emu_eenter_begin, emu_eenter_tried, emu_eenter_claimed, emu_eenter_committed
  .globl emu_eenter_end
emu_eenter_begin:
  mov emu_thread@gottpoff(%rip), %rcx
  mov %fs:(%rcx), %rcx
  mov TB_CACHED(%rcx), %rax
  cmp TCS_ADDRESS(%rax), %rbx
  jne .Ltrap_eenter
  cmpl $0, TCS_VALIDATED(%rax)
  je .Ltrap_eenter
  cmpl $0, TCS_SSA_FREE(%rax)
  je .Ltrap_eenter
  lock btsl $0, TCS_BUSY(%rax)
emu_eenter_tried:                 // claimed if CF=0
  jc .Ltrap_eenter
emu_eenter_claimed:               // undone by clearing BUSY; RAX = the Tcs
  mov TCS_GPR(%rax), %rbx
  mov %rsp, R_URSP(%rbx)
  mov %rbp, R_URBP(%rbx)
  rdgsbase %rbx
  mov %rbx, TB_HOST_GS(%rcx)
  lea emu_aep(%rip), %rbx
  mov %rbx, TCS_AEP(%rax)
  incq TB_COUNT_EENTER(%rcx)
  mov %rax, TB_CURRENT(%rcx)
emu_eenter_committed:             // in enclave mode: completed from CURRENT
  mov TCS_GSBASE(%rax), %rbx
  wrgsbase %rbx
  mov TCS_FSBASE(%rax), %rbx
  wrfsbase %rbx
  mov TCS_ENTRY(%rax), %rbx
  mov %rbx, -8(%rsp)              // the host's red zone: signals come on the alternate stack
  mov TCS_ADDRESS(%rax), %rbx
  lea emu_after_enclu(%rip), %rcx
  mov TCS_CSSA(%rax), %rax
  jmp *-8(%rsp)
emu_eenter_end:

.Ltrap_eenter:
  mov $2, %eax
.Ltrap:
  lea emu_aep(%rip), %rcx
  // The one ENCLU: EENTER when it traps, and the AEP.
  .globl emu_aep, emu_after_enclu, emu_handle_exception
emu_aep:
  .byte 0x0f, 0x01, 0xd7
emu_after_enclu:
  mov RUN, %rbx
  movl $4, RUN_FUNCTION(%rbx)
.Lexited:
  cmpq $0, RUN_HANDLER(%rbx)
  jne .Lcall_handler
  xor %eax, %eax
.Lout:
  pop %rbx
  .cfi_restore %rbx
  leave
  .cfi_def_cfa %rsp, 8
  ret

  .cfi_def_cfa %rbp, 16
  .cfi_rel_offset %rbx, -8
.Linvalid:
  mov $-22, %eax                  // -EINVAL
  jmp .Lout

  // A fault of the ENCLU, or one that left the enclave: leaf, vector, error code and address are in
  // EAX, DI, SI and RDX.
emu_handle_exception:
  mov RUN, %rbx
  mov %eax, RUN_FUNCTION(%rbx)
  mov %di, RUN_VECTOR(%rbx)
  mov %si, RUN_ERROR(%rbx)
  mov %rdx, RUN_ADDRESS(%rbx)
  jmp .Lexited

  // int handler(rdi, rsi, rdx, rsp at exit, r8, r9, run): > 0 is the next function, else our
  // result.
.Lcall_handler:
  mov %rsp, %rcx
  mov %rbx, %rax
  mov %rsp, %rbx
  and $0xf, %rbx                  // what the alignment takes off
  and $-0x10, %rsp
  push %rax
  push %rax
  cld
  call *RUN_HANDLER(%rax)
  lea 0x10(%rsp, %rbx), %rsp
  test %eax, %eax
  jle .Lout
  jmp .Lagain

.Lattach:                         // the thread's first entry
  push %rax
  push %rdi
  push %rsi
  push %rdx
  push %r8
  push %r9
  push %r10
  push %r11
  mov %rsp, %rax
  and $-16, %rsp
  push %rax
  push %rax
  call emu_attach
  pop %rsp
  pop %r11
  pop %r10
  pop %r9
  pop %r8
  pop %rdx
  pop %rsi
  pop %rdi
  test %eax, %eax
  pop %rax
  jz .Lattached
  jmp .Ltrap

.Lspend:                          // the cost model
  push %rax
  push %rdi
  push %rsi
  push %rdx
  push %r8
  push %r9
  push %r10
  push %r11
  mov %rsp, %rax
  and $-16, %rsp
  push %rax
  push %rax
  call emu_spend_crossing
  pop %rsp
  pop %r11
  pop %r10
  pop %r9
  pop %r8
  pop %rdx
  pop %rsi
  pop %rdi
  pop %rax
  jmp .Lenter

  // ERESUME. RBX = TCS. The other registers are the enclave's afterwards, so all are scratch,
  // except that a failure goes to the trap with RBX, RBP and RSP as they were.
.Lresume:
  mov emu_thread@gottpoff(%rip), %rcx
  mov %fs:(%rcx), %rdi
  mov TB_CACHED(%rdi), %rax
  cmp TCS_ADDRESS(%rax), %rbx
  jne .Ltrap_resume
  movl $1, TB_IN_LEAF(%rdi)
  mov %rsp, TB_RESUME_RSP(%rdi)
  mov %rbp, TB_RESUME_RBP(%rdi)
  push %rdi
  mov %rsp, %r12
  and $-16, %rsp
  cld
  call emu_resume_prepare
  mov %r12, %rsp
  pop %rdi
  test %eax, %eax
  jz .Lresume_failed
  .globl emu_resume_begin, emu_resume_end
  movl $0, TB_IN_LEAF(%rdi)
emu_resume_begin:                 // undone by undo_resume(): the SSA frame is intact
  mov %rdi, %r15
  cmpl $0, TB_DEFERRED(%r15)
  jne .Lresume_raise
.Lresume_raised:
  mov TB_XSAVE(%r15), %rcx
  mov TB_XFRM(%r15), %eax
  mov TB_XFRM+4(%r15), %edx
  xrstor64 (%rcx)
  mov TB_NEW_FS(%r15), %rax
  wrfsbase %rax
  mov TB_NEW_GS(%r15), %rax
  wrgsbase %rax
  mov TB_REGS+R_RAX(%r15), %rax
  mov TB_REGS+R_RCX(%r15), %rcx
  mov TB_REGS+R_RDX(%r15), %rdx
  mov TB_REGS+R_RBX(%r15), %rbx
  mov TB_REGS+R_RBP(%r15), %rbp
  mov TB_REGS+R_RSI(%r15), %rsi
  mov TB_REGS+R_RDI(%r15), %rdi
  mov TB_REGS+R_R8(%r15), %r8
  mov TB_REGS+R_R9(%r15), %r9
  mov TB_REGS+R_R10(%r15), %r10
  mov TB_REGS+R_R11(%r15), %r11
  mov TB_REGS+R_R12(%r15), %r12
  mov TB_REGS+R_R13(%r15), %r13
  mov TB_REGS+R_R14(%r15), %r14
  lea TB_IRET(%r15), %rsp
  mov TB_REGS+R_R15(%r15), %r15
  iretq
.Lresume_raise:
  movl $0, TB_DEFERRED(%r15)
  RAISE
  jmp .Lresume_raised
emu_resume_end:

.Lresume_failed:
  movl $0, TB_IN_LEAF(%rdi)
  cmpl $0, TB_DEFERRED(%rdi)
  je .Ltrap_resume
  movl $0, TB_DEFERRED(%rdi)
  mov %rdi, %r15
  RAISE
.Ltrap_resume:
  mov $3, %eax
  jmp .Ltrap
  .cfi_endproc
  .size emu_enter_enclave, .-emu_enter_enclave

// ---- EEXIT from a patched site. RBX = target. RAX and RCX are scratch: the leaf sets both. ----
  .globl emu_eexit_begin, emu_eexit_cleared, emu_eexit_committed, emu_eexit_released, emu_eexit_end
  .globl emu_eexit_enclu
  .p2align 6
emu_eexit_begin:
  mov %es, %eax
  and $0x1ff8, %eax
  shl $13, %rax
  add emu_slots(%rip), %rax
  cmp %rax, TB_SELF(%rax)
  jne .Leexit_trap
  cmpq $0, TB_CURRENT(%rax)
  je .Leexit_trap
  incq TB_COUNT_EEXIT(%rax)
  mov TB_HOST_GS(%rax), %rcx
  wrgsbase %rcx
  mov TB_HOST_FS(%rax), %rcx
  wrfsbase %rcx
  mov TB_CURRENT(%rax), %rcx
  movq $0, TB_CURRENT(%rax)
emu_eexit_cleared:                // out of enclave mode; RCX = the Tcs, still busy
  mov %rcx, %rax
emu_eexit_committed:              // RAX = the Tcs
  mov TCS_AEP(%rax), %rcx
  movl $0, TCS_BUSY(%rax)
emu_eexit_released:               // RCX = AEP, as the leaf leaves it
  mov $4, %eax
  jmp *%rbx
emu_eexit_end:
.Leexit_trap:                     // ES is not ours any more
  mov $4, %eax
emu_eexit_enclu:
  .byte 0x0f, 0x01, 0xd7

// ---- A leaf that stays in the enclave, from a patched site: RAX = thread block, ECX = leaf, RDX =
// the stub; the caller's RCX and RDX are in the block. ----
  .globl emu_leaf_begin, emu_leaf_saved, emu_leaf_done, emu_leaf_end
  .p2align 6
emu_leaf_begin:                   // undone from RCX and RDX
  mov %rdx, TB_SITE(%rax)
  mov %rcx, TB_REGS+R_RAX(%rax)
  mov %rbx, TB_REGS+R_RBX(%rax)
  mov %rsp, TB_REGS+R_RSP(%rax)
  mov %rsi, TB_REGS+R_RSI(%rax)
  mov %rdi, TB_REGS+R_RDI(%rax)
  mov %r8, TB_REGS+R_R8(%rax)
  mov %r9, TB_REGS+R_R9(%rax)
  mov %r10, TB_REGS+R_R10(%rax)
  mov %r11, TB_REGS+R_R11(%rax)
  movl $1, TB_IN_LEAF(%rax)
emu_leaf_saved:                   // signals wait until emu_leaf_done
  mov %rax, %rdi
  lea TB_LEAF_STACK(%rdi), %rsp
  pushfq
  cld
  push %rdi
  call emu_leaf
  pop %rdi
  testl $0x400, (%rsp)            // DF, which the leaf leaves alone
  jz 1f
  std
1:
  movl $0, TB_IN_LEAF(%rdi)
emu_leaf_done:                    // completed from the block's registers
  cmpl $0, TB_DEFERRED(%rdi)
  jne .Lleaf_raise
.Lleaf_raised:
  mov %rdi, %rax
  mov TB_REGS+R_RBX(%rax), %rbx
  mov TB_REGS+R_RDX(%rax), %rdx
  mov TB_REGS+R_RSI(%rax), %rsi
  mov TB_REGS+R_R8(%rax), %r8
  mov TB_REGS+R_R9(%rax), %r9
  mov TB_REGS+R_R10(%rax), %r10
  mov TB_REGS+R_R11(%rax), %r11
  mov TB_REGS+R_RSP(%rax), %rsp
  mov TB_REGS+R_RCX(%rax), %rcx
  xor %eax, %eax                  // OF = 0
  mov TB_REGS+R_RFLAGS(%rdi), %ah
  sahf
  mov %rdi, %rax
  mov TB_REGS+R_RDI(%rax), %rdi
  jmp *TB_SITE_TAIL(%rax)
.Lleaf_raise:
  movl $0, TB_DEFERRED(%rdi)
  mov %r15, TB_REGS+R_R15(%rdi)   // RAISE wants the block in R15
  mov %rdi, %r15
emu_leaf_r15:                     // R15 is in the block
  .globl emu_leaf_r15, emu_leaf_r15_end
  RAISE
  mov %r15, %rdi
  mov TB_REGS+R_R15(%rdi), %r15
emu_leaf_r15_end:
  jmp .Lleaf_raised
emu_leaf_end:

// ---- The stub of one patched site: copied by patch.cpp, which fills the literals and the last
// jump. ---- RAX is the only scratch register, since its value is known in each branch; RCX and RDX
// are saved in the block.
.macro BLOCK leaf
  cmp $\leaf, %eax
  jne 3f
.Lblock\leaf:
  mov %es, %eax
  and $0x1ff8, %eax
  shl $13, %rax
  add .Lslots(%rip), %rax
  cmp %rax, TB_SELF(%rax)
  jne 2f
  cmpq $0, TB_CURRENT(%rax)
  je 2f
  mov %rcx, TB_REGS+R_RCX(%rax)
.Lblock_rcx\leaf:
  mov $\leaf, %ecx
  mov %rdx, TB_REGS+R_RDX(%rax)
.Lblock_rdx\leaf:
  lea .Lstub(%rip), %rdx
  jmp *.Lleaf(%rip)
.Lblock_recovery\leaf:
2:
  mov $\leaf, %eax
  jmp .Lstub_trap
.Lblock_end\leaf:
3:
.endm

  .globl emu_stub, emu_stub_trap, emu_stub_tail, emu_stub_tail_fault, emu_stub_jump
  .globl emu_stub_literals, emu_stub_end, emu_stub_blocks
  .p2align 6
emu_stub:
.Lstub:
  cmp $4, %eax
  jne 1f
  jmp *.Leexit(%rip)
1:
  BLOCK 5
  BLOCK 7
  BLOCK 6
  BLOCK 9
emu_stub_trap:
.Lstub_trap:
  .byte 0x0f, 0x01, 0xd7
  ud2
emu_stub_tail_fault:              // RAX = thread block: the trap path delivers the fault
  mov TB_REGS+R_RAX(%rax), %rax
  jmp .Lstub_trap
emu_stub_tail:                    // RAX = thread block: back to the instruction after the site
  mov TB_REGS+R_RAX(%rax), %rax
emu_stub_jump:
  .byte 0xe9
  .long 0
  .p2align 3
emu_stub_literals:
.Leexit:
  .quad 0
.Lleaf:
  .quad 0
.Lslots:
  .quad 0
  .quad 0                         // the site
emu_stub_end:
  .section .rodata
  .p2align 2
emu_stub_blocks:
.macro BLOCK_ROW leaf
  .long \leaf, .Lblock\leaf - emu_stub, .Lblock_rcx\leaf - emu_stub, .Lblock_rdx\leaf - emu_stub
  .long .Lblock_recovery\leaf - emu_stub, .Lblock_end\leaf - emu_stub
.endm
  BLOCK_ROW 5
  BLOCK_ROW 7
  BLOCK_ROW 6
  BLOCK_ROW 9
  .text

// ---- [[noreturn]] emu_deliver(stack, handler, signal, info, frame, frame_start): calls
// handler(signal, info, frame) on `stack`, then emu_delivered(frame_start, bases), then returns
// from the signal through the frame at frame_start. ----
  .globl emu_deliver
  .type emu_deliver, @function
emu_deliver:
  .cfi_startproc
  .cfi_undefined %rip
  mov %rdi, %rsp
  and $-16, %rsp
  mov %r9, %rbx
  mov %rsi, %rax
  mov %edx, %edi
  mov %rcx, %rsi
  mov %r8, %rdx
  call *%rax
  sub $16, %rsp
  mov %rbx, %rdi
  mov %rsp, %rsi
  call emu_delivered
  mov (%rsp), %rax
  mov 8(%rsp), %rcx
  wrfsbase %rax
  wrgsbase %rcx
  lea 8(%rbx), %rsp               // past the return address, as after the handler's `ret`
  mov $15, %eax                   // rt_sigreturn
  syscall
  ud2
  .cfi_endproc
  .size emu_deliver, .-emu_deliver

  .globl emu_restorer
emu_restorer:
  mov $15, %eax                   // rt_sigreturn
  syscall

// ---- int emu_peek(address): the byte there, or -1 where a fault is not otherwise resolved ----
  .globl emu_peek, emu_peek_failed
  .type emu_peek, @function
emu_peek:
  movzbl (%rdi), %eax
  ret
emu_peek_failed:
  mov $-1, %eax
  ret
  .size emu_peek, .-emu_peek

  .section .note.GNU-stack, "", @progbits
