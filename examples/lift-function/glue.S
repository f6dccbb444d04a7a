/* Between C and lifted code, whose convention is in docs/guest-abi.md: eax ecx edx in themselves, ebx esp ebp esi edi in
 * edi esi r8d r9d r12d, r15 zero, xmm0-7 in themselves; eip comes back in r13d. rbx and rbp are left alone. */

        .text
        .globl  guest_enter
        .type   guest_enter, @function
/* void guest_enter(struct cpu_state *cpu, void (*function)(void)) */
guest_enter:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rdi, %rbp
        mov     %rsi, %rbx
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        movups  96 + 16 * \n(%rbp), %xmm\n
        .endr
        mov     0(%rbp), %eax
        mov     4(%rbp), %ecx
        mov     8(%rbp), %edx
        mov     12(%rbp), %edi
        mov     16(%rbp), %esi
        mov     20(%rbp), %r8d
        mov     24(%rbp), %r9d
        mov     28(%rbp), %r12d
        xor     %r15d, %r15d
        call    *%rbx
        mov     %eax, 0(%rbp)
        mov     %ecx, 4(%rbp)
        mov     %edx, 8(%rbp)
        mov     %edi, 12(%rbp)
        mov     %esi, 16(%rbp)
        mov     %r8d, 20(%rbp)
        mov     %r9d, 24(%rbp)
        mov     %r12d, 28(%rbp)
        mov     %r13d, 32(%rbp)
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        movups  %xmm\n, 96 + 16 * \n(%rbp)
        .endr
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

/* Where lifted code may leave to. A program that lifts more than one function in itself would look r13d up among them
 * in `dispatch`, and do what helpers are for (lib/Runtime/helpers.h). */
        .irp    symbol, dispatch, leave, mispaired
        .globl  \symbol
\symbol:
        lea     .Lname_\symbol(%rip), %rdi
        jmp     left
.Lname_\symbol:
        .asciz  "\symbol"
        .endr
left:
        mov     %r13d, %esi
        and     $-16, %rsp
        call    guest_left

        .section .note.GNU-stack, "", @progbits
