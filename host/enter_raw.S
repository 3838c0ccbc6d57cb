// int host_enter_enclave(rdi, rsi, rdx, function, r8, r9, run, entry): calls the vDSO's entry function (or software
// SGX's), which keeps RBX, RBP and RSP only: an enclave leaves the other callee-saved registers with values of its own
// (asm/sgx.h: "preserving/setting state in accordance with the x86-64 ABI is the responsibility of the enclave and its
// runtime").
.text
.globl host_enter_enclave
.type host_enter_enclave, @function
host_enter_enclave:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq 64(%rsp), %rax       # entry: the second stack argument
  pushq 56(%rsp)            # run: the first stack argument; with it the stack is aligned for a call
  call *%rax
  # After an asynchronous exit the flags are the program's: AC would make our misaligned accesses fault, DF is the ABI's.
  pushfq
  andq $~0x40400, (%rsp)
  popfq
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  cld
  ret
.section .note.GNU-stack, "", @progbits
