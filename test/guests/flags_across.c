/* Flags that live across what a translator may take for their end: calls, direct and indirect and through a
 * stub, returns, indirect jumps, and blocks of many predecessors.
 * guest-test: runs=|rain
 * guest-test: link=static
 * guest-test: levels=O2 */
#include <stdint.h>
#include <stdio.h>

#include "rain.h"

unsigned carry_result(unsigned), carry_pointer(unsigned), carry_stub(unsigned), carry_tail(unsigned), all_results(unsigned),
    carry_in(unsigned), both_ways(unsigned), bsf_result(unsigned), join(unsigned), loops(unsigned), saved(unsigned), direction(unsigned);
/* sum = a + b, of `words` words, by a jump into an unrolled chain of adc. Returns the carry. */
unsigned chain_add(uint32_t *sum, const uint32_t *a, const uint32_t *b, unsigned words);

__asm__(".text\n"
        /* CF = bit 3, ZF = (argument & 7) == 0, the rest mixed. */
        "odd: bt $3,%eax\n  ret\n"
        "rich: mov %eax,%edx\n  shl $28,%edx\n  sub $0x7fffffff,%edx\n  ret\n"

        ".globl carry_result\ncarry_result: mov 4(%esp),%eax\n"
        "  call odd\n"
        "  jc 1f\n"
        "  add $2,%eax\n"
        "  ret\n"
        "1: add $3,%eax\n"
        "  ret\n"

        ".globl carry_pointer\ncarry_pointer: mov 4(%esp),%eax\n"
        "  mov %eax,%edx\n"
        "  and $1,%edx\n"
        "  call *2f(,%edx,4)\n"
        "  adc $0,%eax\n"
        "  ret\n"
        "  .section .rodata\n2: .long odd,rich\n  .text\n"

        ".globl carry_stub\ncarry_stub: mov 4(%esp),%eax\n"
        "  call 1f\n"
        "  sbb %edx,%edx\n"
        "  lea (%eax,%edx,8),%eax\n"
        "  ret\n"
        "1: jmp *2f\n"
        "  .data\n2: .long odd\n  .text\n"

        /* The flags come from a tail call, two calls down. */
        ".globl carry_tail\ncarry_tail: mov 4(%esp),%eax\n"
        "  call 1f\n"
        "  setc %cl\n  setz %ch\n"
        "  movzwl %cx,%ecx\n"
        "  add %ecx,%eax\n"
        "  ret\n"
        "1: call 2f\n"
        "  ret\n"
        "2: test $4,%al\n"
        "  jne odd\n"
        "  mov $rich,%ecx\n"
        "  jmp *%ecx\n"

        ".globl all_results\nall_results: mov 4(%esp),%eax\n"
        "  call rich\n"
        "  pushf\n"
        "  pop %edx\n"
        "  and $0x8d5,%edx\n"
        "  call rich\n"
        "  seto %cl\n  sets %ch\n"
        "  movzwl %cx,%ecx\n"
        "  lea (%ecx,%edx,4),%eax\n"
        "  mov 4(%esp),%edx\n"
        "  xchg %eax,%edx\n"
        "  call rich\n"
        "  mov $0,%eax\n"
        "  lahf\n"
        "  add %edx,%eax\n"
        "  ret\n"

        /* The callee reads the caller's. */
        ".globl carry_in\ncarry_in: mov 4(%esp),%eax\n"
        "  cmp $9000,%eax\n"
        "  call 1f\n"
        "  cmp $100,%eax\n"
        "  mov $1f,%edx\n"
        "  call *%edx\n"
        "  ret\n"
        "1: adc $1,%eax\n"
        "  ja 2f\n"
        "  add $5,%eax\n"
        "2: ret\n"

        /* Flags into a function and back out of it, through one that does not touch them. */
        ".globl both_ways\nboth_ways: mov 4(%esp),%eax\n"
        "  shr %eax\n"
        "  call 1f\n"
        "  rcl %eax\n"
        "  shr %eax\n"
        "  call 2f\n"
        "  adc %eax,%eax\n"
        "  ret\n"
        "1: lea 5(%eax),%eax\n  mov %eax,%edx\n  ret\n"
        "2: call 1b\n  not %eax\n  jmp 1b\n"

        ".globl bsf_result\nbsf_result: mov 4(%esp),%eax\n"
        "  and $0xff0,%eax\n"
        "  call 1f\n"
        "  cmove %edx,%ecx\n"
        "  mov %ecx,%eax\n"
        "  ret\n"
        "1: mov $77,%edx\n  mov $0,%ecx\n  bsf %eax,%ecx\n  ret\n"

        /* Two predecessors set, one block reads, far from each. */
        ".globl join\njoin: mov 4(%esp),%eax\n"
        "  test $1,%al\n"
        "  je 1f\n"
        "  cmp $5000,%eax\n"
        "  jmp 2f\n"
        "1: cmp $9999,%eax\n"
        "  jmp 3f\n"
        "3: mov $0,%edx\n  nop\n  lea 1(%edx),%edx\n  jmp 4f\n"
        "2: mov $0,%edx\n  jmp 5f\n"
        "5: lea 2(%edx),%edx\n"
        "4: .fill 20,1,0x90\n  mov %edx,%ecx\n  mov %ecx,%edx\n .fill 20,1,0x90\n"
        "  jecxz 6f\n"
        "  seta %dl\n  setle %dh\n"
        "6: add %edx,%eax\n"
        "  ret\n"

        /* A carry kept round a loop of dec and jnz, loop, and jecxz. */
        ".globl loops\nloops: mov 4(%esp),%eax\n"
        "  push %ebx\n"
        "  mov $9,%ecx\n  xor %edx,%edx\n  mov $3,%ebx\n  clc\n"
        "1: rcr %eax\n  adc $0,%edx\n  rcr %eax\n  dec %ecx\n  jne 1b\n"
        "  mov $5,%ecx\n"
        "2: rcl %eax\n  loop 2b\n"
        "3: rcl %edx\n  dec %ebx\n  jecxz 4f\n  jmp 3b\n"
        "4: jnz 3b\n"
        "  adc %edx,%eax\n"
        "  pop %ebx\n"
        "  ret\n"

        /* Through the stack, and by sahf. */
        ".globl saved\nsaved: mov 4(%esp),%eax\n"
        "  cmp $7777,%eax\n"
        "  pushf\n"
        "  add $1,%eax\n"
        "  call rich\n"
        "  popf\n"
        "  jle 1f\n"
        "  add $100,%eax\n"
        "1: adc $0,%eax\n"
        "  mov %eax,%edx\n"
        "  shl $8,%eax\n"
        "  sahf\n"
        "  setp %al\n  rcl %al\n"
        "  add %edx,%eax\n"
        "  ret\n"

        ".globl direction\ndirection: push %esi\n  push %edi\n"
        "  mov 12(%esp),%eax\n"
        "  sub $16,%esp\n"
        "  movl $0x04030201,(%esp)\n  movl $0x08070605,4(%esp)\n"
        "  lea 7(%esp),%esi\n  lea 15(%esp),%edi\n"
        "  std\n  call 1f\n  cld\n"
        "  lea 8(%esp),%esi\n  lodsb\n  mov %al,%ah\n  lodsb\n"
        "  add $16,%esp\n  pop %edi\n  pop %esi\n  ret\n"
        "1: movsb\n  and $7,%eax\n  mov %eax,%ecx\n  rep movsb\n  ret\n"

        ".globl chain_add\nchain_add: push %ebx\n  push %esi\n  push %edi\n"
        "  mov 16(%esp),%edi\n  mov 20(%esp),%esi\n  mov 24(%esp),%edx\n  mov 28(%esp),%ecx\n"
        "  neg %ecx\n"
        "  lea 16(%ecx),%ecx\n"                        /* steps to leave out */
        "  lea (,%ecx,4),%eax\n"
        "  sub %eax,%esi\n  sub %eax,%edi\n  sub %eax,%edx\n"
        "  mov 1f(,%ecx,4),%ecx\n"
        "  clc\n"
        "  jmp *%ecx\n"
        ".macro STEP n\n"
        "step_\\n: mov 4*\\n(%esi),%eax\n  adc 4*\\n(%edx),%eax\n  mov %eax,4*\\n(%edi)\n"
        ".endm\n"
        "  STEP 0\n  STEP 1\n  STEP 2\n  STEP 3\n  STEP 4\n  STEP 5\n  STEP 6\n  STEP 7\n"
        "  STEP 8\n  STEP 9\n  STEP 10\n  STEP 11\n  STEP 12\n  STEP 13\n  STEP 14\n  STEP 15\n"
        "step_16: mov $0,%eax\n  adc $0,%eax\n"
        "  pop %edi\n  pop %esi\n  pop %ebx\n  ret\n"
        "  .section .rodata\n"
        "1: .long step_0,step_1,step_2,step_3,step_4,step_5,step_6,step_7,step_8,step_9,step_10,step_11,step_12\n"
        "  .long step_13,step_14,step_15,step_16\n  .text\n");

static const struct {
  const char *name;
  unsigned (*function)(unsigned);
} functions[] = {{"carry", carry_result}, {"by pointer", carry_pointer}, {"by stub", carry_stub}, {"by tail call", carry_tail},
                 {"all", all_results}, {"into", carry_in}, {"both ways", both_ways}, {"bsf", bsf_result}, {"join", join},
                 {"loops", loops}, {"saved", saved}, {"direction", direction}};

int main(int argc, char **argv) {
  rain_begin(argc, argv);
  for (unsigned f = 0; f < sizeof functions / sizeof functions[0]; f++) {
    unsigned sum = 0;
    for (unsigned i = 0; i < 20000; i++)
      sum = sum * 31 + functions[f].function(i);
    printf("%s %u\n", functions[f].name, sum);
  }
  uint32_t a[16], b[16], sum[16], state = 1, mixed = 0;
  for (unsigned i = 0; i < 30000; i++) {
    for (unsigned w = 0; w < 16; w++) {
      state = state * 1664525 + 1013904223;
      a[w] = state >> 28 ? state : 0xFFFFFFFF;
      b[w] = ~a[w] + (state >> 20 & 1);
    }
    mixed = mixed * 31 + chain_add(sum, a, b, i % 17);
    for (unsigned w = 0; w < i % 17; w++)
      mixed = mixed * 31 + sum[w];
  }
  printf("chain %u\n", mixed);
  rain_end();
  return 0;
}
