/* host_syscall() and host_syscall_now(), see syscall.h and host_syscall.h.
 *
 * A signal may arrive after the check of cpu->interrupt and before the syscall instruction; its
 * handler would set the flag, return, and the call would block with the signal pending. So the two
 * stand in a window with a name, and the handler moves a PC it finds there to
 * host_syscall_interrupted. Once the syscall instruction runs, the kernel itself sees the signal:
 * it fails the call with EINTR (PC at host_syscall_end), or puts the PC back on the instruction to
 * restart it, which is in the window again.
 *
 * C arguments: rdi thread, rsi number, rdx rcx r8 r9 and two on the stack a0-a5.
 * Kernel's:    rax number, rdi rsi rdx r10 r8 r9; it destroys rcx and r11.
 *
 * The offsets are asserted in host_syscall.c. */
#if !defined(__x86_64__)
#error "host system calls are written for x86-64 hosts"
#endif

#define THREAD_CPU 0
#define CPU_INTERRUPT 84
#define ERESTARTSYS 512

.macro function name
  .globl \name
  .hidden \name
  .type \name, @function
  .balign 16
\name:
  .cfi_startproc
.endm

.macro label name
  .globl \name
  .hidden \name
\name:
.endm

  .text
  function host_syscall
  mov THREAD_CPU(%rdi), %r11
  mov %rsi, %rax
  mov %rdx, %rdi
  mov %rcx, %rsi
  mov %r8, %rdx
  mov %r9, %r10
  mov 8(%rsp), %r8
  mov 16(%rsp), %r9
label host_syscall_start
  cmpl $0, CPU_INTERRUPT(%r11)
  jne host_syscall_interrupted
  syscall
label host_syscall_end
  ret
label host_syscall_interrupted
  mov $-ERESTARTSYS, %rax
  ret
  .cfi_endproc
  .size host_syscall, . - host_syscall

  /* rdi number, rsi rdx rcx r8 r9 and one on the stack a0-a5. */
  function host_syscall_now
  mov %rdi, %rax
  mov %rsi, %rdi
  mov %rdx, %rsi
  mov %rcx, %rdx
  mov %r8, %r10
  mov %r9, %r8
  mov 8(%rsp), %r9
  syscall
  ret
  .cfi_endproc
  .size host_syscall_now, . - host_syscall_now

  .section .note.GNU-stack, "", @progbits
