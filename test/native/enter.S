/* Into 32-bit code, for native_runtime.c. The offsets are those that cpu_state.h asserts.
 *
 * void native_enter(struct cpu_state *cpu, uint8_t *selector)
 *
 * Switches Syscall User Dispatch on, looks for an interrupt, and goes to the guest by iretq. A host signal in
 * this window is seen by runtime_interrupted(), which moves the PC to native_enter_interrupted. */
  .text
  .globl native_enter, native_enter_end, native_enter_interrupted
  .type native_enter, @function
native_enter:
  movb $1, (%rsi)
  cmpl $0, 84(%rdi)
  jne native_enter_interrupted
  movzwl 422(%rdi), %eax /* ds */
  mov %eax, %ds
  movzwl 416(%rdi), %eax /* es */
  mov %eax, %es
  movzwl 426(%rdi), %eax /* gs; fs stays the host's */
  mov %eax, %gs
  movl 68(%rdi), %eax
  wrgsbase %rax
  movups 96(%rdi), %xmm0
  movups 112(%rdi), %xmm1
  movups 128(%rdi), %xmm2
  movups 144(%rdi), %xmm3
  movups 160(%rdi), %xmm4
  movups 176(%rdi), %xmm5
  movups 192(%rdi), %xmm6
  movups 208(%rdi), %xmm7
  movzwl 420(%rdi), %eax
  push %rax /* ss */
  movl 16(%rdi), %eax
  push %rax /* esp */
  push %rdx /* eflags */
  movzwl 418(%rdi), %eax
  push %rax /* cs */
  movl 32(%rdi), %eax
  push %rax /* eip */
  movl 0(%rdi), %eax
  movl 4(%rdi), %ecx
  movl 8(%rdi), %edx
  movl 12(%rdi), %ebx
  movl 20(%rdi), %ebp
  movl 24(%rdi), %esi
  movl 28(%rdi), %edi
  iretq
native_enter_end:
  /* The selector is off again, the stack the C stack. */
native_enter_interrupted:
  movb $0, (%rsi)
  cld
  ret
  .size native_enter, . - native_enter

  .section .note.GNU-stack, "", @progbits
