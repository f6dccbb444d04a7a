/* The kernel's entry points, at the offsets of layout.h.
 *
 * Debuggers and unwinders know the sigreturn functions by their bytes, so these are the kernel's. Each has a
 * nop before it, inside its frame description: a handler's return address is its first byte, and unwinders
 * look up the byte before a return address. */
#include "layout.h"

#define ESP_BASED 0x74 /* DW_OP_breg4 */
#define FRAME_BASE 0x0f /* DW_CFA_def_cfa_expression */
#define SAVED 0x10      /* DW_CFA_expression */
#define DEREFERENCE 0x06

/* A number as SLEB128, always in two bytes: up to 8191. */
#define SLEB(number) ((number) & 0x7f) | 0x80, (number) >> 7

/* DWARF's numbers of the registers, and where struct sigcontext_32 has them. */
.macro saved_registers sigcontext
  .cfi_escape FRAME_BASE, 4, ESP_BASED, SLEB(\sigcontext + 28), DEREFERENCE
  .cfi_escape SAVED, 0, 3, ESP_BASED, SLEB(\sigcontext + 44) /* eax */
  .cfi_escape SAVED, 1, 3, ESP_BASED, SLEB(\sigcontext + 40) /* ecx */
  .cfi_escape SAVED, 2, 3, ESP_BASED, SLEB(\sigcontext + 36) /* edx */
  .cfi_escape SAVED, 3, 3, ESP_BASED, SLEB(\sigcontext + 32) /* ebx */
  .cfi_escape SAVED, 5, 3, ESP_BASED, SLEB(\sigcontext + 24) /* ebp */
  .cfi_escape SAVED, 6, 3, ESP_BASED, SLEB(\sigcontext + 20) /* esi */
  .cfi_escape SAVED, 7, 3, ESP_BASED, SLEB(\sigcontext + 16) /* edi */
  .cfi_escape SAVED, 8, 3, ESP_BASED, SLEB(\sigcontext + 56) /* eip */
.endm

/* Of the stack when the handler has returned: the signal's number, then struct sigcontext_32; or the number, two
 * pointers, struct siginfo, struct ucontext_ia32 with the context behind its first five words. */
#define SIGCONTEXT 4
#define RT_SIGCONTEXT 160 /* 12 + 128 + 20 */

  .section .text.entry, "ax", @progbits

  .org VDSO_VSYSCALL - VDSO_TEXT, 0x90
  .globl __kernel_vsyscall
  .type __kernel_vsyscall, @function
__kernel_vsyscall:
  .cfi_startproc
  int $0x80
  ret
  .cfi_endproc
  .size __kernel_vsyscall, . - __kernel_vsyscall

  .org VDSO_SIGRETURN - VDSO_TEXT - 1, 0x90
  .cfi_startproc
  .cfi_signal_frame
  saved_registers SIGCONTEXT
  nop
  .globl __kernel_sigreturn
  .type __kernel_sigreturn, @function
__kernel_sigreturn:
  pop %eax
  saved_registers (SIGCONTEXT - 4)
  mov $119, %eax
  int $0x80
  .cfi_endproc
  .size __kernel_sigreturn, . - __kernel_sigreturn

  .org VDSO_RT_SIGRETURN - VDSO_TEXT - 1, 0x90
  .cfi_startproc
  .cfi_signal_frame
  saved_registers RT_SIGCONTEXT
  nop
  .globl __kernel_rt_sigreturn
  .type __kernel_rt_sigreturn, @function
__kernel_rt_sigreturn:
  mov $173, %eax
  int $0x80
  .cfi_endproc
  .size __kernel_rt_sigreturn, . - __kernel_rt_sigreturn

  .section .note.GNU-stack, "", @progbits
