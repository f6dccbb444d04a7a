/* C code's copies from and to guest memory.
 *
 * Any access between guest_copy_begin and guest_copy_end may fault. The host's signal handler then goes
 * on at guest_copy_failed, which returns -EFAULT: possible from every instruction here, because nothing
 * is on the stack but the return address and only call-clobbered registers are used.
 *
 *   int guest_copy_bytes(void *to, const void *from, size_t length)
 *   int64_t guest_copy_scan(const void *from, size_t limit)    offset of the first NUL, or limit
 */
        .text
        .globl  guest_copy_begin, guest_copy_end, guest_copy_failed
        .hidden guest_copy_begin, guest_copy_end, guest_copy_failed
        .globl  guest_copy_bytes, guest_copy_scan
        .hidden guest_copy_bytes, guest_copy_scan

guest_copy_begin:
        .p2align 4
        .type   guest_copy_bytes, @function
guest_copy_bytes:
        cmpq    $256, %rdx
        jae     3f
        movq    %rdx, %rcx              /* eights, */
        shrq    $3, %rcx
        jz      2f
1:      movq    (%rsi), %rax
        movq    %rax, (%rdi)
        addq    $8, %rsi
        addq    $8, %rdi
        decq    %rcx
        jnz     1b
2:      testb   $4, %dl                 /* four, */
        jz      4f
        movl    (%rsi), %eax
        movl    %eax, (%rdi)
        addq    $4, %rsi
        addq    $4, %rdi
4:      andl    $3, %edx                /* and up to three bytes */
        jz      6f
5:      movb    (%rsi), %al
        movb    %al, (%rdi)
        incq    %rsi
        incq    %rdi
        decl    %edx
        jnz     5b
6:      xorl    %eax, %eax
        ret
3:      movq    %rdx, %rcx              /* long copies: the processor knows best */
        rep movsb
        xorl    %eax, %eax
        ret
        .size   guest_copy_bytes, . - guest_copy_bytes

        .p2align 4
        .type   guest_copy_scan, @function
guest_copy_scan:
        xorl    %eax, %eax
1:      cmpq    %rsi, %rax
        jae     2f
        cmpb    $0, (%rdi,%rax)
        je      2f
        incq    %rax
        jmp     1b
2:      ret
        .size   guest_copy_scan, . - guest_copy_scan
guest_copy_end:

        .type   guest_copy_failed, @function
guest_copy_failed:
        movq    $-14, %rax              /* -EFAULT */
        ret
        .size   guest_copy_failed, . - guest_copy_failed

        .section .note.GNU-stack, "", @progbits
