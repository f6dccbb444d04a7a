/* Calls deeper than any stack of host frames: a million open at once, around the depth where frames run out,
 * left by longjmp again and again, and with other calls made from the bottom.
 * guest-test: runs=|rain
 * guest-test: link=static
 * guest-test: levels=O0,O2 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "rain.h"

/* unsigned deep(unsigned depth): calls itself depth times with eight bytes of stack a call. At the bottom it
 * calls *at_bottom. Its result mixes each level's depth into what came back. */
unsigned deep(unsigned depth);
/* The same through a register, and with a callee that pops. */
unsigned deep_indirect(unsigned depth);
/* Calls function(argument) on another stack. */
unsigned on_stack(void *top, unsigned (*function)(unsigned), unsigned argument);
unsigned (*at_bottom)(void);
__asm__(".text\n.globl deep,deep_indirect,on_stack\n"
        "deep:\n"
        "  mov 4(%esp),%eax\n"
        "  push %ebx\n"
        "  call 1f\n"
        "  pop %ebx\n"
        "  ret\n"
        "1:\n"
        "  test %eax,%eax\n"
        "  je 2f\n"
        "  push %eax\n"
        "  dec %eax\n"
        "  call 1b\n"
        "  pop %ecx\n"
        "  lea (%eax,%eax,2),%eax\n"
        "  add %ecx,%eax\n"
        "  ret\n"
        "2:\n"
        "  jmp *at_bottom\n"
        "deep_indirect:\n"
        "  push %ebx\n"
        "  mov 8(%esp),%eax\n"
        "  mov $3f,%ebx\n"
        "  push %eax\n"
        "  call *%ebx\n"
        "  pop %ebx\n"
        "  ret\n"
        "3:\n"
        "  mov 4(%esp),%eax\n"
        "  test %eax,%eax\n"
        "  je 4f\n"
        "  dec %eax\n"
        "  push %eax\n"
        "  call *%ebx\n"
        "  mov 4(%esp),%ecx\n"
        "  lea (%eax,%eax,2),%eax\n"
        "  add %ecx,%eax\n"
        "  ret $4\n"
        "4:\n"
        "  call 2b\n"
        "  ret $4\n"
        "on_stack:\n"
        "  push %ebp\n"
        "  mov %esp,%ebp\n"
        "  mov 8(%ebp),%eax\n"
        "  mov 16(%ebp),%ecx\n"
        "  mov 12(%ebp),%edx\n"
        "  lea -64(%eax),%esp\n"
        "  push %ecx\n"
        "  call *%edx\n"
        "  mov %ebp,%esp\n"
        "  pop %ebp\n"
        "  ret\n");

static unsigned fibonacci(unsigned n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
static unsigned one(void) { return 1; }
static unsigned busy(void) { return fibonacci(17); }

static jmp_buf back;
static unsigned jumps;
static unsigned jump(void) {
  jumps++;
  longjmp(back, 1);
}

/* Goes up and down around a depth, so that frames overflow at some and not at other calls. */
static unsigned around(unsigned depth) {
  unsigned sum = 0;
  for (unsigned i = 0; i < 40; i++)
    sum = sum * 5 + deep(depth - 20 + i);
  return sum;
}

/* Nests in itself: each level goes to the bottom of its own. */
static unsigned left;
static unsigned again(void) { return left-- ? deep_indirect(40000) : 7; }

int main(int argc, char **argv) {
  enum { size = 64 << 20 };
  rain_begin(argc, argv);
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return 1;
  void *top = memory + size;
  at_bottom = one;
  for (unsigned depth = 1; depth <= 1000000; depth *= 10)
    printf("%u: %u %u\n", depth, on_stack(top, deep, depth), on_stack(top, deep_indirect, depth));
  at_bottom = busy;
  printf("busy %u %u\n", on_stack(top, deep, 1000000), on_stack(top, deep_indirect, 300000));
  at_bottom = one;
  printf("around %u %u\n", on_stack(top, around, 131072 - 8), on_stack(top, around, 65536));
  for (volatile int i = 0; i < 30; i++) {
    at_bottom = jump;
    if (!setjmp(back))
      on_stack(top, i & 1 ? deep : deep_indirect, 10000u * (unsigned)i);
  }
  printf("jumps %u\n", jumps);
  at_bottom = again;
  left = 20;
  printf("nested %u\n", on_stack(top, deep, 100));
  rain_end();
  return 0;
}
