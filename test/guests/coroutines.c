/* Switched stacks: makecontext/swapcontext generators, and a switch written in assembly. */
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

static ucontext_t scheduler, tasks[4];
static int produced;
static void task(int id, int count) {
  for (int i = 0; i < count; i++) {
    produced = produced * 5 + id * 100 + i;
    swapcontext(&tasks[id], &scheduler);
  }
}

/* Saves the callee-saved registers and the stack pointer, and takes up the other side's. */
void switch_stack(void **save, void *to);
__asm__(".text\n.globl switch_stack\nswitch_stack:\n"
        "  mov 4(%esp),%eax\n  mov 8(%esp),%edx\n"
        "  push %ebp\n  push %ebx\n  push %esi\n  push %edi\n"
        "  mov %esp,(%eax)\n  mov %edx,%esp\n"
        "  pop %edi\n  pop %esi\n  pop %ebx\n  pop %ebp\n  ret\n");
static void *main_stack, *fiber_stack[3];
static unsigned total;
static int current;
static void fiber(void) {
  for (unsigned n = 1;; n = n * 3 + (unsigned)current) {
    total = total * 7 + n;
    switch_stack(&fiber_stack[current], main_stack);
  }
}

int main(void) {
  enum { size = 65536 };
  for (int i = 0; i < 4; i++) {
    getcontext(&tasks[i]);
    tasks[i].uc_stack.ss_sp = malloc(size);
    tasks[i].uc_stack.ss_size = size;
    tasks[i].uc_link = &scheduler;
    makecontext(&tasks[i], (void (*)(void))task, 2, i, 3 + i);
  }
  for (int round = 0; round < 8; round++)
    for (int i = 0; i < 4; i++)
      if (round <= 3 + i)
        swapcontext(&scheduler, &tasks[i]);
  printf("%d\n", produced);
  for (int i = 0; i < 3; i++) {
    void **stack = (void **)((char *)malloc(size) + size) - 8;
    stack[4] = (void *)fiber; /* where its first switch returns to */
    fiber_stack[i] = stack;
  }
  for (int i = 0; i < 30000; i++) {
    current = i * 7 % 3;
    switch_stack(&main_stack, fiber_stack[current]);
  }
  printf("%u\n", total);
  return 0;
}
