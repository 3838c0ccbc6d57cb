# An ELF file of the shape of the LibOS: text, a TCS page in `.tcs`, two SSA frames, some bss. It is measured, never run.
        .section .text, "ax", @progbits
        .globl  enclave_entry
enclave_entry:
        ud2

        .section .rodata, "a", @progbits
        .asciz  "fake LibOS"

        .section .tcs, "aw", @progbits
        .balign 4096
        .quad   0, 0                    # stage, flags
        .quad   ssa                     # OSSA
        .long   0, 2                    # CSSA, NSSA
        .quad   enclave_entry           # OENTRY
        .quad   0, 0, 0                 # AEP, OFSBASE, OGSBASE
        .long   0xffffffff, 0xffffffff  # FSLIMIT, GSLIMIT
        .balign 4096

        .section .data, "aw", @progbits
        .quad   enclave_entry

        .bss
        .balign 4096
ssa:    .skip   2 * 4 * 4096
        .section .note.GNU-stack, "", @progbits
