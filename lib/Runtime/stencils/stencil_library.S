/* The stencil library, as the build made it. */
        .section .rodata
        .p2align 12
        .globl stencil_library_start, stencil_library_end
        .hidden stencil_library_start, stencil_library_end
stencil_library_start:
        .incbin UEMU_STENCIL_LIBRARY
stencil_library_end:
        .section .note.GNU-stack,"",@progbits
