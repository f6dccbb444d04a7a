/* Between C and translated code.
 *
 * Translated code keeps the guest's registers in host registers and runs on its own stack of
 * frames (one host return address an open guest call). Each way into C saves the registers to the
 * register file, changes to the thread's C stack, calls, and comes back the other way round. GS is
 * the register file throughout; offsets are asserted in cpu_state.h. */

#define EAX 0
#define ECX 4
#define EDX 8
#define EBX 12
#define ESP 16
#define EBP 20
#define ESI 24
#define EDI 28
#define EIP 32
#define CF 36
#define PF 37
#define AF 38
#define ZF 39
#define SF 40
#define OF 41
#define DF 42
#define EFLAGS_REST_2 46        /* bits 16-23 */
#define EFLAGS_AC 0x40000
#define FLAG_OPERATION 72
#define FLAG_OPERANDS 76
#define INTERRUPT 84
#define XMM 96
#define C_STACK 224
#define FRAME_STACK 232
#define FRAME_BASE 240
#define SELF 264
#define YMM_HIGH 288

        .text
        .p2align 4
        .globl enter_text_start
enter_text_start:

.macro SAVE
        movl %eax, %gs:EAX
        movl %ecx, %gs:ECX
        movl %edx, %gs:EDX
        movl %edi, %gs:EBX
        movl %esi, %gs:ESP
        movl %r8d, %gs:EBP
        movl %r9d, %gs:ESI
        movl %r12d, %gs:EDI
        movups %xmm0, %gs:XMM+0
        movups %xmm1, %gs:XMM+16
        movups %xmm2, %gs:XMM+32
        movups %xmm3, %gs:XMM+48
        movups %xmm4, %gs:XMM+64
        movups %xmm5, %gs:XMM+80
        movups %xmm6, %gs:XMM+96
        movups %xmm7, %gs:XMM+112
        cmpb $0, fpu_uses_ymm(%rip)
        jne 8f
9:      cld
        .subsection 1
8:      vextractf128 $1, %ymm0, %gs:YMM_HIGH+0
        vextractf128 $1, %ymm1, %gs:YMM_HIGH+16
        vextractf128 $1, %ymm2, %gs:YMM_HIGH+32
        vextractf128 $1, %ymm3, %gs:YMM_HIGH+48
        vextractf128 $1, %ymm4, %gs:YMM_HIGH+64
        vextractf128 $1, %ymm5, %gs:YMM_HIGH+80
        vextractf128 $1, %ymm6, %gs:YMM_HIGH+96
        vextractf128 $1, %ymm7, %gs:YMM_HIGH+112
        vzeroupper              /* C is SSE code */
        jmp 9b
        .previous
.endm

.macro LOAD
        movups %gs:XMM+0, %xmm0
        movups %gs:XMM+16, %xmm1
        movups %gs:XMM+32, %xmm2
        movups %gs:XMM+48, %xmm3
        movups %gs:XMM+64, %xmm4
        movups %gs:XMM+80, %xmm5
        movups %gs:XMM+96, %xmm6
        movups %gs:XMM+112, %xmm7
        cmpb $0, fpu_uses_ymm(%rip)
        jne 8f
9:      cmpb $0, %gs:DF
        je 1f
        std
1:      movl %gs:EAX, %eax
        movl %gs:ECX, %ecx
        movl %gs:EDX, %edx
        movl %gs:EBX, %edi
        movl %gs:ESP, %esi
        movl %gs:EBP, %r8d
        movl %gs:ESI, %r9d
        movl %gs:EDI, %r12d
        xorl %r15d, %r15d
        testb $EFLAGS_AC >> 16, %gs:EFLAGS_REST_2
        je 1f
        pushfq
        orl $EFLAGS_AC, (%rsp)
        popfq
1:
        .subsection 1
8:      vinsertf128 $1, %gs:YMM_HIGH+0, %ymm0, %ymm0
        vinsertf128 $1, %gs:YMM_HIGH+16, %ymm1, %ymm1
        vinsertf128 $1, %gs:YMM_HIGH+32, %ymm2, %ymm2
        vinsertf128 $1, %gs:YMM_HIGH+48, %ymm3, %ymm3
        vinsertf128 $1, %gs:YMM_HIGH+64, %ymm4, %ymm4
        vinsertf128 $1, %gs:YMM_HIGH+80, %ymm5, %ymm5
        vinsertf128 $1, %gs:YMM_HIGH+96, %ymm6, %ymm6
        vinsertf128 $1, %gs:YMM_HIGH+112, %ymm7, %ymm7
        jmp 9b
        .previous
.endm

/* An interrupt that came while C code ran: go on with the trap flag set. The trap comes after the
 * next instruction, in translated code, where the handler of SIGTRAP takes it to the next guest
 * instruction (x86_64/signals.c). */
.macro STEP_IF_INTERRUPTED
        cmpl $0, %gs:INTERRUPT
        je 2f
        pushfq
        orl $0x100, (%rsp)
        popfq
2:
.endm

/* C changes stacks with rsp saved in FRAME_STACK. Alignment checks are the guest's alone. */
.macro TO_C
        testb $EFLAGS_AC >> 16, %gs:EFLAGS_REST_2
        je 1f
        pushfq
        andl $~EFLAGS_AC, (%rsp)
        popfq
1:
        movq %rsp, %gs:FRAME_STACK
        movq %gs:C_STACK, %rsp
        movq %gs:SELF, %rdi
.endm

/* enter_guest(cpu, host): never returns. The C stack from here down is C's, whenever translated
 * code calls it. */
        .globl enter_guest
        .type enter_guest, @function
enter_guest:
        movq %rsi, %r11
        andq $-16, %rsp
        movq %rsp, %gs:C_STACK
enter_fresh:                    /* host address in r11; open frames are forgotten */
        movq %gs:FRAME_BASE, %rsp
        LOAD
        STEP_IF_INTERRUPTED
        jmp *%r11

/* A return to another place than behind its call, to eip in r13d, which is not in the jump cache. */
        .globl enter_return_miss
enter_return_miss:
        SAVE
        movl %r13d, %gs:EIP
        TO_C
        call engine_return
        jmp resume_at_rax

/* An exit whose slot (number in r11d) is not linked. */
        .globl enter_link
enter_link:
        SAVE
        TO_C
        movl %r11d, %esi
        call engine_link
        jmp resume_at_rax

/* To C between two instructions, of which eip in r13d is the next. */
        .globl enter_leave
enter_leave:
        SAVE
        movl %r13d, %gs:EIP
        TO_C
        call engine_leave
        jmp resume_at_rax

/* The entry of table jumps at offset r11d is empty, and the jump leads to eip in r13d. */
        .globl enter_table_miss
enter_table_miss:
        SAVE
        movl %r13d, %gs:EIP
        TO_C
        movl %r11d, %esi
        call engine_table_miss
        jmp resume_at_rax

/* eip in r13d is not in the jump cache. */
        .globl enter_dispatch_miss
enter_dispatch_miss:
        SAVE
        movl %r13d, %gs:EIP
        TO_C
        call engine_dispatch
resume_at_rax:
        movq %rax, %r11
        movq %gs:FRAME_STACK, %rsp
        cmpq $0, %gs:248        /* redirect: the frames belong to another place */
        jne forget_frames
        LOAD
        STEP_IF_INTERRUPTED
        jmp *%r11
forget_frames:
        movq $0, %gs:248
        jmp enter_fresh

/* A helper (number in r11d), called from translated code; eip in r13d. */
        .globl enter_helper
enter_helper:
        SAVE
        movl %r13d, %gs:EIP
        TO_C
        movl %r11d, %esi
        call engine_helper
        testq %rax, %rax
        jne 3f
        movq %gs:FRAME_STACK, %rsp
        LOAD
        STEP_IF_INTERRUPTED
        ret
3:      movq %rax, %r11
        jmp enter_fresh

/* To a block in r11 that finds its flags in EFLAGS. Those that it reads come from the register file; those that a
 * fault may show, from the flag record, if there is one, whose number has these fields (Frontend/flag_record.c). */
#define OPERATION 7
#define SIZE_SHIFT 3
#define FIRST_HIGH (1 << 5)
#define SECOND_HIGH (1 << 6)
#define IMMEDIATE (1 << 7)
#define SAME (1 << 8)
#define IMMEDIATE_SHIFT 16

.macro COMPUTE operation size instruction first second
        cmpl $\operation | \size << SIZE_SHIFT, %r13d
        jne 1f
        \instruction \second, \first
        jmp *%r11
1:
.endm

.macro COMPUTE_EACH size first second
        COMPUTE 2 \size sub \first \second
        COMPUTE 3 \size and \first \second
        COMPUTE 1 \size add \first \second
        COMPUTE 4 \size or \first \second
        COMPUTE 5 \size xor \first \second
.endm

        .p2align 4
        .globl enter_with_record
enter_with_record:
        movl %gs:FLAG_OPERATION, %r13d
        testl %r13d, %r13d
        jne 3f
        .globl enter_with_flags
enter_with_flags:
        movl %eax, %r10d        /* they come by AH: SF ZF 0 AF 0 PF 1 CF */
        movzbl %gs:SF, %eax
        addl %eax, %eax
        orb %gs:ZF, %al
        shll $2, %eax
        orb %gs:AF, %al
        shll $2, %eax
        orb %gs:PF, %al
        shll $2, %eax
        orb %gs:CF, %al
        movb %al, %ah
        movb %gs:OF, %al
        addb $0x7F, %al         /* overflows from 1 */
        sahf
        movl %r10d, %eax
        jmp *%r11
3:      movl %gs:FLAG_OPERANDS, %r10d
        movl %gs:FLAG_OPERANDS+4, %r14d
        testl $IMMEDIATE, %r13d
        je 4f
        movl %r13d, %r14d
        sarl $IMMEDIATE_SHIFT, %r14d
        jmp 5f
4:      testl $SAME, %r13d
        cmovnel %r10d, %r14d
5:      testl $FIRST_HIGH, %r13d
        je 6f
        shrl $8, %r10d
6:      testl $SECOND_HIGH, %r13d
        je 7f
        shrl $8, %r14d
7:      andl $OPERATION | 3 << SIZE_SHIFT, %r13d
        COMPUTE_EACH 2 %r10d %r14d
        COMPUTE_EACH 0 %r10b %r14b
        COMPUTE_EACH 1 %r10w %r14w
        ud2

/* A signal handler changed the context to go on here: the state is in the register file. */
        .globl enter_after_signal
enter_after_signal:
        cld
        movq %gs:C_STACK, %rsp
        movq %gs:SELF, %rdi
        call engine_after_signal
        movq %rax, %r11
        jmp enter_fresh

        .subsection 2           /* behind what the macros put out of the way */
        .globl enter_text_end
enter_text_end:
        .section .note.GNU-stack,"",@progbits
