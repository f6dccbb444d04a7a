/* Flags that live across returns that are jumps, and across jumps and calls whose address was computed last: where a
 * translator takes flags for dead. First with a handler that is shown all flags at a fault, then without one.
 * guest-test: runs=|rain
 * guest-test: link=static
 * guest-test: levels=O2 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "rain.h"

unsigned shifted(unsigned), tabled(unsigned), counted(unsigned), read_by_table(unsigned),
    returned_later(unsigned), jumped(unsigned), called(unsigned), passed_on(unsigned), kept(unsigned),
    popped(unsigned), replaced(unsigned), switched(unsigned), returned_far(unsigned);

__asm__(".text\n"
        ".macro FLAGS\n pushf\n pop %eax\n and $0x8c1,%eax\n.endm\n"

        /* The address is pushed in another block than the return. */
        ".globl returned_later\nreturned_later: mov 4(%esp),%eax\n"
        "  push $2f\n"
        "  jmp 1f\n"
        "3: nop\n"
        "1: cmp $5,%eax\n"
        "  ret\n"
        "  ud2\n"
        "2: FLAGS\n  ret\n"

        ".globl jumped\njumped: mov 4(%esp),%ecx\n"
        "  shl $28,%ecx\n  mov $1f,%edx\n  sub %ecx,%edx\n"
        "  add %ecx,%edx\n"
        "  jmp *%edx\n"
        "1: FLAGS\n  ret\n"

        ".globl called\ncalled: mov 4(%esp),%ecx\n"
        "  mov $1f,%edx\n"
        "  and $7,%ecx\n  lea 16(,%ecx,4),%ecx\n"
        "  sub %ecx,%esp\n"
        "  call *%edx\n"
        "  mov %eax,%edx\n"
        "  sub $4,%esp\n"
        "  call 1f\n"
        "  lea 4(%esp,%ecx),%esp\n"
        "  lea (%eax,%edx,2),%eax\n"
        "  ret\n"
        "1: nop\n  FLAGS\n  ret\n"

        /* The flags of a function, read behind a jump. */
        ".globl passed_on\npassed_on: mov 4(%esp),%eax\n"
        "  call 1f\n"
        "  mov $2f,%edx\n"
        "  jmp *%edx\n"
        "2: FLAGS\n  ret\n"
        "1: cmp $3,%al\n  ret\n"

        /* The carry, left as it was by an instruction behind a call. */
        ".globl kept\nkept: mov 4(%esp),%eax\n"
        "  call 1f\n"
        "  inc %ecx\n"
        ".globl fault_here\nfault_here: mov 0,%eax\n"
        ".globl fault_over\nfault_over: ret\n"
        "1: mov $0,%ecx\n  cmp $4,%eax\n  ret\n"

        /* All flags, left as they were by a shift by 0 behind a call. */
        ".globl shifted\nshifted: mov 4(%esp),%eax\n"
        "  call 1f\n"
        "  shr %cl,%edx\n"
        "  jmp fault_here\n"
        "1: mov $0,%ecx\n  cmp $4,%eax\n  ret\n"

        /* Flags that a jump by a table takes along, as does one in the way of a call. */
        ".globl tabled\ntabled: mov 4(%esp),%eax\n"
        "  cmp $5,%eax\n"
        "  jmp *3f\n"
        "1: FLAGS\n  mov %eax,%edx\n"
        "  sub $7,%ecx\n"
        "  call 2f\n"
        "  add %edx,%eax\n  ret\n"
        "2: jmp *4f\n"
        "5: FLAGS\n  ret\n"
        "  .data\n3: .long 1b\n4: .long 5b\n  .text\n"

        /* Flags that a jump by a table of constants takes along: to code that does not read them, then, when
         * the table has been changed, to code that does. */
        ".globl counted\ncounted: mov 4(%esp),%eax\n"
        "  xor %ecx,%ecx\n"
        "  cmp $5,%eax\n"
        "  mov counted_table(,%ecx,4),%edx\n"
        "  lea 1(%ecx),%ecx\n"
        "  jmp *%edx\n"
        ".globl counted_blind\ncounted_blind: add %ecx,%eax\n  ret\n"
        ".globl counted_reader\ncounted_reader: FLAGS\n  ret\n"
        "  .section .rodata\n  .balign 4096\n"
        ".globl counted_table\ncounted_table: .long counted_blind\n  .balign 4096\n  .text\n"
        ".globl read_by_table\nread_by_table: mov 4(%esp),%eax\n"
        "  xor %ecx,%ecx\n"
        "  cmp $5,%eax\n"
        "  jmp *1f(,%ecx,4)\n"
        "2: FLAGS\n  ret\n"
        "  .section .rodata\n1: .long 2b\n  .text\n"

        /* Returns of what the same block has stored. */
        ".globl popped\npopped: mov 4(%esp),%eax\n"
        "  cmp $6,%eax\n"
        "  push $1f\n"
        "  ret\n"
        "1: FLAGS\n  ret\n"

        ".globl replaced\nreplaced: mov 4(%esp),%eax\n"
        "  call 1f\n"
        "2: ud2\n"
        "3: FLAGS\n  ret\n"
        "1: mov $3b,%edx\n"
        "  cmp $7,%eax\n"
        "  push %ecx\n  mov %edx,4(%esp)\n  pop %ecx\n"
        "  ret\n"

        ".globl switched\nswitched: mov 4(%esp),%eax\n"
        "  mov %esp,%edx\n"
        "  mov $other_stack_end-4,%ecx\n"
        "  movl $1f,(%ecx)\n"
        "  cmp $8,%eax\n"
        "  mov %ecx,%esp\n"
        "  ret\n"
        "1: mov %edx,%esp\n  FLAGS\n  ret\n"
        "  .bss\n  .skip 64\nother_stack_end:\n  .text\n"

        /* Read behind a call after a branch on something else, and after many instructions. */
        ".globl returned_far\nreturned_far: mov 4(%esp),%eax\n"
        "  lea -5(%eax),%ecx\n"
        "  call 1f\n"
        "  jecxz 2f\n"
        "  .fill 30,1,0x90\n"
        "2: FLAGS\n  ret\n"
        "1: cmp $5,%eax\n  ret\n");

/* Often enough for the code to get hot. */
static unsigned sum_of(unsigned (*function)(unsigned)) {
  unsigned sum = 0;
  for (unsigned i = 0; i < 2000; i++)
    sum = sum * 31 + function(i % 10);
  return sum;
}

extern const char counted_blind[], counted_reader[];
extern uint32_t counted_table[1024];

static unsigned changed_table(unsigned n) {
  const unsigned before = sum_of(counted);
  mprotect(counted_table, sizeof counted_table, PROT_READ | PROT_WRITE);
  counted_table[0] = (uint32_t)(uintptr_t)(n & 1 ? counted_reader : counted_blind);
  mprotect(counted_table, sizeof counted_table, PROT_READ);
  return before;
}

extern const char fault_here[], fault_over[];
static volatile unsigned seen;

static void on_fault(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  seen = registers[REG_EFL] & 0x8c1;
  registers[REG_EIP] = (greg_t)(uintptr_t)fault_over;
}

static unsigned faults(unsigned n) {
  kept(n);
  return seen;
}

static unsigned faults_shifted(unsigned n) {
  shifted(n);
  return seen;
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    unsigned (*function)(unsigned);
  } handled[] = {{"returned later", returned_later},
                 {"jumped", jumped},
                 {"called", called},
                 {"passed on", passed_on},
                 {"popped", popped},
                 {"replaced", replaced},
                 {"switched", switched},
                 {"kept", faults},
                 {"shifted", faults_shifted},
                 {"tabled", tabled},
                 {"returned far", returned_far}},
    usual[] = {{"tabled", tabled},
               {"read by table", read_by_table},
               {"popped", popped},
               {"replaced", replaced},
               {"switched", switched},
               {"returned far", returned_far},
               {"returned later", returned_later}};
  const struct sigaction show = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  rain_begin(argc, argv);
  for (int round = 0; round < 2; round++) {
    sigaction(SIGSEGV, &show, NULL);
    for (unsigned f = 0; f < sizeof handled / sizeof handled[0]; f++)
      printf("handler, %s %08x\n", handled[f].name, sum_of(handled[f].function));
    signal(SIGSEGV, SIG_DFL);
    for (unsigned f = 0; f < sizeof usual / sizeof usual[0]; f++)
      printf("%s %08x\n", usual[f].name, sum_of(usual[f].function));
    for (unsigned n = 0; n < 4; n++)
      printf("table %08x\n", changed_table(n));
  }
  rain_end();
  return 0;
}
