/* Returns that are not to the caller: a return address that was overwritten, push and ret as a jump, chains of
 * them, code that reads its own address, a lazy binding stub as dynamic linkers have it, stacks switched inside
 * calls, returns to the caller's caller.
 * guest-test: runs=|rain
 * guest-test: link=static
 * guest-test: levels=O2 */
#include <stdio.h>
#include <stdlib.h>

#include "rain.h"

unsigned redirected(unsigned), pushed(unsigned), chained(unsigned), own_address(void), skipping(unsigned),
    through_stub(unsigned), released(unsigned), twice(unsigned), thunks(unsigned), resumed(unsigned), tail(unsigned);
extern void *stub_slot;
extern unsigned resolved;

__asm__(".text\n"
        /* The callee puts another address over its own return address. */
        ".globl redirected\nredirected:\n"
        "  mov 4(%esp),%eax\n"
        "  call 1f\n"
        "  add $1000,%eax\n" /* never */
        "  ret\n"
        "1: test $1,%al\n"
        "  je 2f\n"
        "  movl $3f,(%esp)\n"
        "  ret\n"
        "2: addl $4f-redirected_after,(%esp)\n"
        "  ret\n"
        "3: add $10,%eax\n"
        "  ret\n"
        "redirected_after = redirected+9\n"
        "4: add $20,%eax\n"
        "  ret\n"

        /* push address; ret. */
        ".globl pushed\npushed:\n"
        "  mov 4(%esp),%eax\n"
        "  and $3,%eax\n"
        "  pushl 1f(,%eax,4)\n"
        "  ret\n"
        "  .section .rodata\n1: .long 2f,3f,4f,5f\n  .text\n"
        "2: add $1,%eax\n  push $5f\n  ret\n"
        "3: add $2,%eax\n  push $5f\n  ret $0\n"
        "4: add $3,%eax\n  ret\n"
        "5: lea (%eax,%eax,4),%eax\n  ret\n"

        /* A chain of addresses on the stack, each function's ret going on to the next. */
        ".globl chained\nchained:\n"
        "  mov 4(%esp),%eax\n"
        "  push $5f\n  push $77\n  push $4f\n  push $3f\n  push $2f\n  push $3f\n"
        "  ret\n"
        "2: lea 1(%eax,%eax),%eax\n  ret\n"
        "3: xor $0x55,%eax\n  ret\n"
        "4: pop %edx\n  add %edx,%eax\n  ret\n"
        "5: call 2b\n  ret\n"

        /* call next; pop, and the same as data. */
        ".globl own_address\nown_address:\n"
        "  call 1f\n"
        "1: pop %eax\n"
        "  sub $1b,%eax\n"
        "  call 2f\n"
        "  .long 1234567\n"
        "2: pop %edx\n"
        "  add (%edx),%eax\n"
        "  call 3f\n"
        "3: pop %ecx\n"
        "  call 4f\n"
        "4: sub %ecx,(%esp)\n"
        "  pop %ecx\n"
        "  add %ecx,%eax\n"
        "  ret\n"

        /* Returns to its caller's caller. */
        ".globl skipping\nskipping:\n"
        "  mov 4(%esp),%eax\n"
        "  call 1f\n"
        "  add $1,%eax\n"
        "  ret\n"
        "1: call 2f\n"
        "  add $100,%eax\n"
        "  ret\n"
        "2: test $1,%al\n"
        "  je 3f\n"
        "  add $4,%esp\n"
        "3: test $2,%al\n"
        "  je 4f\n"
        "  lea 5(%eax),%eax\n"
        "  test $1,%al\n"
        "  jne 4f\n"
        "  add $4,%esp\n"
        "4: ret\n"

        /* Lazy binding: the first call pushes a number and goes to a resolver, which fills in the slot and
         * returns into the function. */
        ".globl through_stub\nthrough_stub:\n"
        "  mov 4(%esp),%eax\n"
        "  call stub\n"
        "  inc %eax\n"
        "  ret\n"
        "stub: jmp *stub_slot\n"
        "stub_lazy: push $8\n"
        "  jmp resolver\n"
        "resolver: push %eax\n"
        "  push %ecx\n"
        "  incl resolved\n"
        "  mov $target,%ecx\n"
        "  mov %ecx,stub_slot\n"
        "  mov %ecx,8(%esp)\n"
        "  pop %ecx\n"
        "  pop %eax\n"
        "  ret\n"
        "target: lea (%eax,%eax,2),%eax\n"
        "  ret\n"
        "  .data\n.globl stub_slot,resolved\nstub_slot: .long stub_lazy\nresolved: .long 0\n  .text\n"

        /* ret n, with the arguments of two calls. */
        ".globl released\nreleased:\n"
        "  mov 4(%esp),%eax\n"
        "  push $3\n  push $5\n  push %eax\n"
        "  call 1f\n"
        "  push %eax\n"
        "  call 1f\n"
        "  ret\n"
        "1: mov 4(%esp),%eax\n"
        "  imul 8(%esp),%eax\n"
        "  ret $8\n"

        /* One call, two returns to it: the second by hand. */
        ".globl twice\ntwice:\n"
        "  push %ebx\n"
        "  mov 8(%esp),%eax\n"
        "  xor %ebx,%ebx\n"
        "  call 1f\n"
        "  add $7,%eax\n"
        "  inc %ebx\n"
        "  cmp $3,%ebx\n"
        "  jae 2f\n"
        "  push %ecx\n"
        "  ret\n"
        "1: mov (%esp),%ecx\n"
        "  ret\n"
        "2: pop %ebx\n"
        "  ret\n"

        /* Address thunks for each register, one of them patched out of the usual form. */
        ".macro THUNK register\n"
        "  call thunk_\\register\n"
        "9: sub $9b,%\\register\n"
        "  add %\\register,%eax\n"
        ".endm\n"
        ".globl thunks\nthunks:\n"
        "  push %ebx\n  push %ebp\n  push %esi\n  push %edi\n"
        "  mov 20(%esp),%eax\n"
        "  THUNK ecx\n  THUNK edx\n  THUNK ebx\n  THUNK ebp\n  THUNK esi\n  THUNK edi\n"
        "  mov -4(%esp),%ecx\n" /* the last return address is still below the stack */
        "  sub $9b,%ecx\n"
        "  add %ecx,%eax\n"
        "  mov $2,%ecx\n"
        "8: call thunk_edx\n"
        "7: sub $7b,%edx\n"
        "  lea 1(%eax,%edx),%eax\n"
        "  loop 8b\n"
        "  pop %edi\n  pop %esi\n  pop %ebp\n  pop %ebx\n"
        "  ret\n"
        "thunk_ecx: mov (%esp),%ecx\n  ret\n"
        "thunk_edx: mov (%esp),%edx\n  ret\n"
        "thunk_ebx: mov (%esp),%ebx\n  ret\n"
        "thunk_ebp: mov (%esp),%ebp\n  ret\n"
        "thunk_esi: mov (%esp),%esi\n  ret\n"
        "thunk_edi: mov (%esp),%edi\n  ret\n"

        /* A coroutine on a stack of its own, entered and left in the middle of calls. */
        ".globl resumed\nresumed:\n"
        "  push %ebx\n"
        "  mov 8(%esp),%ebx\n"
        "  mov $coroutine_top-4,%edx\n"
        "  movl $coroutine,(%edx)\n"
        "  mov %edx,coroutine_at\n"
        "  xor %eax,%eax\n"
        "1: call inner_switch\n"
        "  lea (%eax,%eax,2),%eax\n"
        "  dec %ebx\n"
        "  jne 1b\n"
        "  pop %ebx\n"
        "  ret\n"
        "inner_switch: call do_switch\n"
        "  inc %eax\n"
        "  ret\n"
        "do_switch: xchg %esp,coroutine_at\n"
        "  ret\n"
        "coroutine: call co_work\n"
        "  jmp coroutine\n"
        "co_work: add $5,%eax\n"
        "  call do_switch\n"
        "  xor $0x33,%eax\n"
        "  call co_deeper\n"
        "  ret\n"
        "co_deeper: call do_switch\n"
        "  add $9,%eax\n"
        "  ret\n"
        "  .bss\n  .lcomm coroutine_at,4\n  .lcomm coroutine_stack,4096\n  .text\n"
        "coroutine_top = coroutine_stack+4096\n"

        /* Tail calls: direct, indirect, conditional. */
        ".globl tail\ntail:\n"
        "  mov 4(%esp),%eax\n"
        "  test $1,%al\n"
        "  jne 1f\n"
        "  mov $2f,%ecx\n"
        "  jmp *%ecx\n"
        "1: test $2,%al\n"
        "  je 2f\n"
        "  shr %eax\n"
        "  mov %eax,4(%esp)\n"
        "  jmp tail\n"
        "2: lea 3(%eax,%eax,8),%eax\n"
        "  ret\n");

static const struct {
  const char *name;
  unsigned (*function)(unsigned);
} functions[] = {{"redirected", redirected}, {"pushed", pushed},     {"chained", chained},
                 {"own address", (unsigned (*)(unsigned))own_address}, {"skipping", skipping},
                 {"through a stub", through_stub}, {"released", released}, {"twice", twice},
                 {"thunks", thunks}, {"tail", tail}};

int main(int argc, char **argv) {
  rain_begin(argc, argv);
  for (unsigned f = 0; f < sizeof functions / sizeof functions[0]; f++) {
    unsigned sum = 0;
    for (unsigned i = 0; i < 20000; i++)
      sum = sum * 31 + functions[f].function(i);
    printf("%s %u\n", functions[f].name, sum);
  }
  unsigned sum = 0;
  for (unsigned i = 1; i < 300; i++)
    sum = sum * 31 + resumed(i);
  printf("resumed %u\n", sum);
  printf("resolved %u\n", resolved);
  rain_end();
  return 0;
}
