/* No libc: the first instructions of a process, int $0x80 with its registers, returns that no call made.
 * guest-test: flags=-nostdlib -nostartfiles -Wl,-z,noexecstack
 * guest-test: link=static
 * guest-test: levels=O2 */
        .text
        .globl _start
_start: mov     (%esp),%ebp             /* argc */
        cmp     $1,%ebp
        jne     bad
        test    $15,%esp                /* the ABI: 16-byte aligned at the entry */
        jne     bad
        mov     $message,%ecx
        mov     $message_length,%edx
        call    print
        push    $1f                     /* a return as a jump */
        ret
        jmp     bad
1:      call    2f                      /* a call that does not return there */
2:      pop     %eax
        add     $3f-2b,%eax
        jmp     *%eax
        jmp     bad
3:      mov     $1000,%esi              /* returns through a table, in an order no predictor knows */
        xor     %edi,%edi
4:      mov     %esi,%eax
        imul    $7,%eax,%eax
        and     $3,%eax
        push    $5f
        push    table(,%eax,4)
        ret
5:      dec     %esi
        jnz     4b
        cmp     $sum_expected,%edi
        jne     bad
        mov     $20,%eax                /* getpid twice: registers other than EAX survive */
        mov     $0x11111111,%ebx
        mov     $0x22222222,%ecx
        mov     $0x33333333,%edx
        mov     $0x44444444,%esi
        mov     $0x55555555,%edi
        stc
        int     $0x80
        jnc     bad                     /* and so do the flags */
        cmp     $0x11111111,%ebx
        jne     bad
        cmp     $0x22222222,%ecx
        jne     bad
        cmp     $0x33333333,%edx
        jne     bad
        cmp     $0x44444444,%esi
        jne     bad
        cmp     $0x55555555,%edi
        jne     bad
        mov     $9999,%eax              /* no such call: ENOSYS */
        int     $0x80
        cmp     $-38,%eax
        jne     bad
        mov     $done,%ecx
        mov     $done_length,%edx
        call    print
        mov     $17,%ebx
        mov     $1,%eax
        int     $0x80
        hlt
bad:    mov     $1,%ebx
        mov     $1,%eax
        int     $0x80
        hlt
print:  mov     $1,%ebx
        mov     $4,%eax
        int     $0x80
        ret
add1:   add     $1,%edi
        ret
add2:   add     $2,%edi
        ret
add3:   add     $3,%edi
        ret
add4:   add     $4,%edi
        ret
        .data
table:  .long   add1, add2, add3, add4
message: .ascii "from the first instruction\n"
        .set    message_length, . - message
done:   .ascii  "to the last\n"
        .set    done_length, . - done
        .set    sum_expected, 2500
