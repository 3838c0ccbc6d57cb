// int hostile_enter(rdi, rsi, rdx, function, r8, r9, run): as __vdso_sgx_enter_enclave, but every register that the
// host may choose is hostile on the way in (hostile_prepare() says how), and everything is recorded on the way out,
// before any instruction changes it. ENCLU here is not the emulator's own, so it traps; leaving is as the enclave's.
//
// The stack: struct Crossing (hostile.h), 64-byte aligned, at RSP while in the enclave.
.set IN_XSTATE, 4096
.set OUT_XSTATE, 8192
.set IN, 12288
.set OUT, 12424
.set FEATURES, 12560
.set RUN, 12568
.set SIZE, 12608

.text
.globl hostile_enter, hostile_aep, hostile_after, hostile_exception
.type hostile_enter, @function
hostile_enter:
  pushq %rbp
  movq %rsp, %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $SIZE, %rsp
  andq $-64, %rsp
  movq 16(%rbp), %rax
  movq %rax, RUN(%rsp)
  pushq %rcx                      // function
  pushq %rdi                      // the argument of the first entry
  leaq 16(%rsp), %rdi
  movq %rcx, %rsi
  call hostile_prepare
  popq %rdi
  popq %rcx
  movq FEATURES(%rsp), %rax
  movq FEATURES+0(%rsp), %rdx
  shrq $32, %rdx
  xsave64 (%rsp)
  movq FEATURES(%rsp), %rax
  xrstor64 IN_XSTATE(%rsp)
  movq %rdi, IN+5*8(%rsp)
  movq %rbp, IN+6*8(%rsp)
  movq %rsp, IN+7*8(%rsp)
  movq RUN(%rsp), %rax
  movq (%rax), %rbx               // TCS
  movq %rcx, %rax                 // leaf
  movq IN+3*8(%rsp), %rdx
  movq IN+4*8(%rsp), %rsi
  movq IN+8*8(%rsp), %r8
  movq IN+9*8(%rsp), %r9
  movq IN+10*8(%rsp), %r10
  movq IN+11*8(%rsp), %r11
  movq IN+12*8(%rsp), %r12
  movq IN+13*8(%rsp), %r13
  movq IN+14*8(%rsp), %r14
  movq IN+15*8(%rsp), %r15
  leaq hostile_aep(%rip), %rcx
  pushq IN+16*8(%rsp)
  popfq
hostile_aep:
  .byte 0x0f, 0x01, 0xd7
hostile_after:
  movq %rax, OUT+0*8(%rsp)
  movq %rbx, OUT+1*8(%rsp)
  movq %rcx, OUT+2*8(%rsp)
  movq %rdx, OUT+3*8(%rsp)
  movq %rsi, OUT+4*8(%rsp)
  movq %rdi, OUT+5*8(%rsp)
  movq %rbp, OUT+6*8(%rsp)
  movq %rsp, OUT+7*8(%rsp)
  movq %r8, OUT+8*8(%rsp)
  movq %r9, OUT+9*8(%rsp)
  movq %r10, OUT+10*8(%rsp)
  movq %r11, OUT+11*8(%rsp)
  movq %r12, OUT+12*8(%rsp)
  movq %r13, OUT+13*8(%rsp)
  movq %r14, OUT+14*8(%rsp)
  movq %r15, OUT+15*8(%rsp)
  pushfq
  popq OUT+16*8(%rsp)
  pushq $0x202
  popfq
  movq FEATURES(%rsp), %rax
  movq %rax, %rdx
  shrq $32, %rdx
  xsave64 OUT_XSTATE(%rsp)
  xrstor64 (%rsp)
  movq %rsp, %rdi
  call hostile_left
  jmp 1f
// The signal handler sends exceptions of the enclave here; the run structure has been filled in.
hostile_exception:
  pushq $0x202
  popfq
  movq FEATURES(%rsp), %rax
  movq %rax, %rdx
  shrq $32, %rdx
  xrstor64 (%rsp)
1:
  xorl %eax, %eax
  leaq -40(%rbp), %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.section .note.GNU-stack, "", @progbits
