/* The finished vDSO, as read-only data of the emulator. */
  .section .rodata
  .globl vdso_image, vdso_image_end
  .hidden vdso_image, vdso_image_end
  .balign 16
vdso_image:
  .incbin UEMU_VDSO
vdso_image_end:

  .section .note.GNU-stack, "", @progbits
