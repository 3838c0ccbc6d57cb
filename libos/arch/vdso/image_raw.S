# The vDSO's image (vdso.cmake builds it) as data of the LibOS: the two pages of its one segment. The file's section
# headers lie behind them, so the ELF header must not speak of any.
#
# Invariant: exactly kVdsoImageSize bytes.
.set IMAGE_SIZE, 8192
.set E_SHOFF, 0x28
.set E_FLAGS, 0x30
.set E_SHNUM, 0x3c
.set E_END, 0x40

.section .rodata.vdso, "a", @progbits
.balign 16
.globl vdso_image_start
vdso_image_start:
  .incbin "vdso.so", 0, E_SHOFF
  .quad 0                                      # e_shoff
  .incbin "vdso.so", E_FLAGS, E_SHNUM - E_FLAGS
  .short 0, 0                                  # e_shnum, e_shstrndx
  .incbin "vdso.so", E_END, IMAGE_SIZE - E_END
vdso_image_end:
.if vdso_image_end - vdso_image_start != IMAGE_SIZE
.error "the vDSO's image has another size than vdso_data.h says"
.endif

.section .note.GNU-stack, "", @progbits
