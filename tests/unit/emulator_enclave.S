// The test enclave: a flat image, position-independent, that emulator_test.cpp loads at any base.
//
//   0x0000 TCS 0, TCS 1            0x2000 SSA of each: two frames of one page
//   0x6000 code (RX)               0x8000 data (RW); FS points here, GS at 0x9000
//   0x9000 two stacks of two pages 0xd000 end of the image
//
// Called with RDI = operation, RSI = struct Call* in untrusted memory:
//   0 rax, 8 rbx, 16 rcx, 24 rdx: operands in and out; 32: rflags out; 40: secinfo flags in; 48:
//   result
// At CSSA=1 it is the exception handler: it adds RDX to SSA[0].RIP and counts in data+0x100. With
// RDI=1 it does EDECCSSA first, which abandons the interrupted call.

  .section .rodata.enclave, "a", @progbits
  .p2align 12
  .globl test_enclave, test_enclave_end
test_enclave:

.macro TCS ssa, fs, gs
  .quad 0                          // STAGE
  .quad 0                          // FLAGS
  .quad \ssa                       // OSSA
  .long 0                          // CSSA
  .long 2                          // NSSA
  .quad .Lentry - test_enclave     // OENTRY
  .quad 0                          // AEP
  .quad \fs                        // OFSBASE
  .quad \gs                        // OGSBASE
  .long 0xffffffff, 0xffffffff     // FSLIMIT, GSLIMIT
  .fill 4024, 1, 0
.endm
  TCS 0x2000, 0x8000, 0x9000
  TCS 0x4000, 0x8000, 0x9000
  .fill 0x4000, 1, 0               // SSAs

.macro ENCLU                       // the form that the emulator patches
  .byte 0x0f, 0x01, 0xd7, 0x0f, 0x1f, 0x00
.endm

  .org 0x6000
.Lentry:
  test %eax, %eax
  jnz .Lhandler
  // The stack by TCS: its page number (0 or 1) picks one of two.
  mov %rsp, %r8
  mov %rbp, %r9
  mov %rcx, %r10
  lea test_enclave(%rip), %rax
  mov %rbx, %rcx
  sub %rax, %rcx                   // 0 or 0x1000
  lea 0xb000(%rax, %rcx, 2), %rsp
  push %r8
  push %r9
  push %r10
  cmp $(.Loperations_end - .Loperations) / 8, %rdi
  jae .Lexit
  lea .Loperations(%rip), %rax
  add (%rax, %rdi, 8), %rax
  call *%rax
.Lexit:
  pop %rbx                         // EEXIT's target
  pop %rbp
  pop %r9
  mov %r9, %rsp
  mov $4, %eax
  ENCLU
  ud2

  // CSSA=1: RDX = what to add to SSA[0].RIP; uses no stack.
.Lhandler:
  mov %rcx, %r10
  cmp $1, %rdi
  je .Labandon
  lea test_enclave(%rip), %r8
  mov %rbx, %r9
  sub %r8, %r9                     // TCS offset: 0 or 0x1000
  lea 0x2000(%r8, %r9, 2), %r11    // SSA[0]
  add %rdx, 4096-184+136(%r11)     // GPRSGX.RIP
  lock incq 0x8100(%r8)
  mov 4096-184+160(%r11), %edx     // EXITINFO
  mov 4096-184-16(%r11), %rsi      // EXINFO.MADDR
  mov 4096-184-8(%r11), %edi       // EXINFO.ERRCD
  mov %r10, %rbx
  mov $4, %eax
  ENCLU
  ud2

.Labandon:
  mov $9, %eax
  ENCLU
  mov %r10, %rbx
  mov $4, %eax
  ENCLU
  ud2

  .p2align 3
.Loperations:
  .quad .Lnop - .Loperations       // 0
  .quad .Lstore - .Loperations     // 1: *(u64*)rcx = rdx
  .quad .Lload - .Loperations      // 2: rax = *(u64*)rcx
  .quad .Lleaf - .Loperations      // 3: an ENCLU leaf with a SECINFO
  .quad .Lsyscall - .Loperations   // 4
  .quad .Lud2 - .Loperations       // 5
  .quad .Lint3 - .Loperations      // 6
  .quad .Ldivide - .Loperations    // 7
  .quad .Lbases - .Loperations     // 8: rax = *fs:0x200, rbx = *gs:0x200
  .quad .Lspin - .Loperations      // 9: vectors for rcx rounds; rax = mismatches
  .quad .Lrange - .Loperations     // 10: EACCEPT rdx pages from rcx
  .quad .Lregs - .Loperations      // 11: registers over rdx leaves; result = mismatches
  .quad .Lflags - .Loperations     // 12: leave with DF set
  .quad .Lplain - .Loperations     // 13: EACCEPT from an unpatchable ENCLU
  .quad .Loperand - .Loperations   // 14: a leaf with RBX as given: EREPORT, EGETKEY
  .quad .Lcall - .Loperations      // 15: call rcx
.Loperations_end:

.Lnop:
  ret
.Lstore:
  mov 16(%rsi), %rcx
  mov 24(%rsi), %rdx
  mov %rdx, (%rcx)                 // 3 bytes
  movq $1, 48(%rsi)
  ret
.Lload:
  mov 16(%rsi), %rcx
  mov (%rcx), %rax                 // 3 bytes
  mov %rax, 0(%rsi)
  movq $1, 48(%rsi)
  ret

.macro LOAD_OPERANDS
  lea test_enclave+0x8140(%rip), %rbx
  mov 40(%rsi), %rax
  mov %rax, (%rbx)
  mov 0(%rsi), %rax
  mov 16(%rsi), %rcx
  mov 24(%rsi), %rdx
.endm
.macro STORE_RESULT
  pushfq
  mov %rax, 0(%rsi)
  popq 32(%rsi)
  movq $1, 48(%rsi)
.endm
.Lleaf:
  LOAD_OPERANDS
  ENCLU
  STORE_RESULT
  ret
.Lplain:
  LOAD_OPERANDS
  .byte 0x0f, 0x01, 0xd7
  STORE_RESULT
  ret
.Loperand:
  mov 0(%rsi), %rax
  mov 8(%rsi), %rbx
  mov 16(%rsi), %rcx
  mov 24(%rsi), %rdx
  ENCLU
  STORE_RESULT
  ret
.Lsyscall:
  mov $0x1234, %eax
  mov $0x7777, %edi
  syscall                          // 2 bytes
  mov %rax, 0(%rsi)
  mov %rdi, 8(%rsi)
  ret
.Lud2:
  ud2
  ret
.Lint3:
  int3
  ret
.Ldivide:
  xor %edx, %edx
  mov $1, %eax
  xor %ecx, %ecx
  div %ecx                         // 2 bytes
  ret
.Lbases:
  mov %fs:0x200, %rax
  mov %rax, 0(%rsi)
  mov %gs:0x200, %rax
  mov %rax, 8(%rsi)
  ret
.Lflags:
  std
  ret
.Lcall:
  mov 16(%rsi), %rcx
  jmp *%rcx

  // EACCEPT of RDX pages from RCX with SECINFO flags from the call; stops at the first error.
.Lrange:
  LOAD_OPERANDS
  mov %rdx, %r12
1:
  mov $5, %eax
  ENCLU
  test %eax, %eax
  jnz 2f
  add $4096, %rcx
  dec %r12
  jnz 1b
2:
  mov %rax, 0(%rsi)
  mov %r12, 24(%rsi)
  ret

  // Registers over a leaf. EMODPE of the page at RCX with the SECINFO given; all others must
  // survive.
.Lregs:
  LOAD_OPERANDS
  mov %rdx, 8(%rsi)                // rounds
  xor %eax, %eax
  mov %rax, 48(%rsi)
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
1:
  mov $0x1111111111111111, %rdx
  mov $0x2222222222222222, %rdi
  mov $0x3333333333333333, %r8
  mov $0x4444444444444444, %r9
  mov $0x5555555555555555, %r10
  mov $0x6666666666666666, %r11
  mov $0x7777777777777777, %rbp
  mov $0x8888888888888888, %r12
  mov $0x9999999999999999, %r13
  mov $0xaaaaaaaaaaaaaaaa, %r14
  mov $0xbbbbbbbbbbbbbbbb, %r15
  mov $6, %eax
  ENCLU
  xor %eax, %eax
.macro CHECK reg, value
  push %rcx
  mov $\value, %rcx
  cmp %rcx, \reg
  setne %cl
  add %cl, %al
  pop %rcx
.endm
  CHECK %rdx, 0x1111111111111111
  CHECK %rdi, 0x2222222222222222
  CHECK %r8, 0x3333333333333333
  CHECK %r9, 0x4444444444444444
  CHECK %r10, 0x5555555555555555
  CHECK %r11, 0x6666666666666666
  CHECK %rbp, 0x7777777777777777
  CHECK %r12, 0x8888888888888888
  CHECK %r13, 0x9999999999999999
  CHECK %r14, 0xaaaaaaaaaaaaaaaa
  CHECK %r15, 0xbbbbbbbbbbbbbbbb
  movzbl %al, %eax
  add %rax, 48(%rsi)
  decq 8(%rsi)
  jnz 1b
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  ret

  // Vector state over whatever interrupts: the enclave's AVX-512 (or AVX, or SSE) registers hold a
  // pattern that depends on the TCS; each round writes and compares them. 24(%rsi): 2 = AVX-512, 1
  // = AVX, 0 = SSE.
.Lspin:
  mov 16(%rsi), %r12
  mov 24(%rsi), %r13
  xor %r14, %r14
1:
  lea (%rbx, %r12), %rax           // the pattern of this round
  cmp $2, %r13
  jne 3f
  .irp n, 0, 5, 15, 16, 23, 31
  vpbroadcastq %rax, %zmm\n
  .endr
  kmovq %rax, %k1
  kmovq %rax, %k7
  mov $50, %ecx
2:
  pause
  dec %ecx
  jnz 2b
  vpbroadcastq %rax, %zmm1
  .irp n, 0, 5, 15, 16, 23, 31
  vpcmpneqq %zmm\n, %zmm1, %k2
  kmovq %k2, %rdx
  add %rdx, %r14
  .endr
  kmovq %k1, %rdx
  sub %rax, %rdx
  or %rdx, %r14
  kmovq %k7, %rdx
  sub %rax, %rdx
  or %rdx, %r14
  jmp 5f
3:
  movq %rax, %xmm0
  movq %rax, %xmm15
  mov $50, %ecx
4:
  pause
  dec %ecx
  jnz 4b
  movq %xmm0, %rdx
  sub %rax, %rdx
  or %rdx, %r14
  movq %xmm15, %rdx
  sub %rax, %rdx
  or %rdx, %r14
5:
  dec %r12
  jnz 1b
  mov %r14, 0(%rsi)
  ret

  .org 0x8000
  .fill 0x200, 1, 0
  .quad 0x1122334455667788
  .org 0x9000
  .fill 0x200, 1, 0
  .quad 0x99aabbccddeeff00
  .org 0xd000
test_enclave_end:

// int enter_saving(const struct Entry*): calls the vDSO function, which preserves no more registers
// than the enclave does, and none over an exception. 0 function, 8 rdi, 16 rsi, 24 rdx, 32 leaf, 40
// run, 48 stack or 0 for the current one. A call that an exception interrupted is resumed from the
// same stack depth, since the enclave leaves with the RSP it came with.
  .text
  .globl enter_saving
enter_saving:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov 48(%rdi), %rax
  test %rax, %rax
  jnz 1f
  mov %rsp, %rax
1:
  and $-16, %rax
  mov %rsp, %rbx
  mov %rax, %rsp
  push %rbx
  pushq 40(%rdi)
  mov 0(%rdi), %rax
  mov 16(%rdi), %rsi
  mov 24(%rdi), %rdx
  mov 32(%rdi), %ecx
  mov 8(%rdi), %rdi
  call *%rax
  add $8, %rsp
  pop %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret

// uint64_t cross_with_vectors(const struct Entry*, uint64_t pattern): enter_saving() with AVX-512
// registers full of a pattern, which a call of operation 0 must leave as they are. 0 if they are.
  .globl cross_with_vectors
cross_with_vectors:
  push %rbx
  mov %rsi, %rbx
  .irp n, 0, 7, 15, 16, 30, 31
  vpbroadcastq %rbx, %zmm\n
  .endr
  kmovq %rbx, %k5
  call enter_saving
  xor %eax, %eax
  vpbroadcastq %rbx, %zmm1
  .irp n, 0, 7, 15, 16, 30, 31
  vpcmpneqq %zmm\n, %zmm1, %k2
  kmovq %k2, %rdx
  or %rdx, %rax
  .endr
  kmovq %k5, %rdx
  sub %rbx, %rdx
  or %rdx, %rax
  pop %rbx
  vzeroupper
  ret

  .section .note.GNU-stack, "", @progbits
