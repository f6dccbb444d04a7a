/* Flags that go from one instruction to others past moves, jumps and faults: compare, move from a page that
 * cannot be read at times, and read the flags. First without a handler that is shown them, then with one. */
/* guest-test: runs=|rain */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "rain.h"

enum { PAGE = 4096, FLAGS = 0x8D5, ROUNDS = 20000 };

static uint32_t *page, shown;

static void open_page(int number) {
  (void)number;
  mprotect(page, PAGE, PROT_READ);
}

static void open_and_look(int number, siginfo_t *info, void *context) {
  (void)info;
  shown = shown * 31 + ((uint32_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] & FLAGS);
  open_page(number);
}

/* cmp, a move that may fault, and all conditions. */
static unsigned past_a_fault(uint32_t a, uint32_t b) {
  unsigned below, sign;
  uint8_t less, parity, overflow;
  __asm__ volatile("cmp %[b],%[a]\n"
                   "mov (%[page]),%%ecx\n"
                   "setl %[less]\n setp %[parity]\n seto %[overflow]\n"
                   "mov 4(%[page]),%%edx\n"
                   "cmovs %%ecx,%%edx\n"
                   "mov %%edx,%[sign]\n"
                   "sbb %[below],%[below]\n"
                   : [below] "=&a"(below), [sign] "=m"(sign), [less] "=m"(less), [parity] "=m"(parity),
                     [overflow] "=m"(overflow)
                   : [a] "S"(a), [b] "D"(b), [page] "b"(page)
                   : "ecx", "edx", "cc");
  return below * 3 + sign * 5 + less * 7u + parity * 11u + overflow * 13u;
}

/* Instructions that leave some flags as they were, or all, by a count of 0. */
static unsigned past_others(uint32_t a, uint32_t b) {
  unsigned result, count = b & 3;
  __asm__ volatile("cmp %[b],%[a]\n"
                   "mov (%[page]),%%edx\n"
                   "inc %%edx\n"
                   "mov %%edx,%%eax\n"
                   "adc %[a],%%eax\n"
                   "lahf\n"
                   "shl %%cl,%%edx\n"
                   "mov (%[page]),%%esi\n"
                   "jo 1f\n js 2f\n add $1,%%eax\n jp 3f\n"
                   "1: add $2,%%eax\n"
                   "2: rcr $1,%%edx\n mov 8(%[page]),%%esi\n rcl $3,%%eax\n"
                   "3: sahf\n mov %%edx,%%edi\n jbe 4f\n add %%edi,%%eax\n"
                   "4: add %%edx,%%eax\n"
                   : "=&a"(result), "+c"(count), [a] "+S"(a), [b] "+D"(b)
                   : [page] "b"(page)
                   : "edx", "cc");
  return result;
}

/* Halves of registers, and what lies behind a segment. */
static unsigned of_parts(uint32_t a, uint32_t b) {
  uint8_t above, less, same, greater;
  __asm__ volatile("cmp %%ch,%%ah\n mov (%%edi),%%esi\n seta %0\n"
                   "cmp %%bh,%%al\n mov (%%edi),%%esi\n setl %1\n"
                   "mov %%gs:0,%%edx\n cmp %%gs:0,%%edx\n mov 4(%%edi),%%esi\n sete %2\n"
                   "cmp %%bl,%%dl\n cmp %%cx,%%ax\n mov 4(%%edi),%%esi\n setg %3\n"
                   : "=m"(above), "=m"(less), "=m"(same), "=m"(greater)
                   : "a"(a), "b"(b), "c"(a ^ b), "D"(page)
                   : "edx", "esi", "cc");
  return above + less * 2u + same * 4u + greater * 8u;
}

/* A sum of words whose carry goes round a loop, from pages that may not be there. */
static unsigned sum_of_words(uint32_t a, uint32_t b) {
  uint32_t words[8], *to = words;
  const uint32_t *from = page + (a & 7);
  unsigned count = 8, state = b;
  __asm__ volatile("xor %%eax,%%eax\n"
                   "1: mov (%[from]),%%eax\n adc %[b],%%eax\n mov %%eax,(%[to])\n"
                   "lea 4(%[from]),%[from]\n lea 4(%[to]),%[to]\n"
                   "dec %[count]\n jnz 1b\n"
                   "adc $0,%[state]\n"
                   : [from] "+S"(from), [to] "+D"(to), [count] "+c"(count), [state] "+d"(state)
                   : [b] "b"(b)
                   : "eax", "cc", "memory");
  for (unsigned i = 0; i < 8; i++)
    state = state * 31 + words[i];
  return state;
}

static unsigned floats(uint32_t a, uint32_t b) {
  static const float values[4] = {1.5f, -2.0f, 0.0f, __builtin_nanf("")};
  unsigned result;
  __asm__ volatile("flds %[b]\n flds %[a]\n"
                   "fucomi %%st(1),%%st\n mov (%[page]),%%edx\n fstp %%st(1)\n"
                   "jp 1f\n jne 2f\n mov $1,%%eax\n jmp 3f\n"
                   "1: mov $2,%%eax\n jmp 3f\n"
                   "2: mov $3,%%eax\n mov 4(%[page]),%%edx\n ja 3f\n mov $4,%%eax\n"
                   "3: fldz\n fcomip %%st(1),%%st\n fstp %%st(0)\n jbe 4f\n add $16,%%eax\n"
                   "4:"
                   : "=&a"(result)
                   : [a] "m"(values[a & 3]), [b] "m"(values[b & 3]), [page] "b"(page)
                   : "edx", "cc", "st", "st(1)");
  return result;
}

static const struct {
  const char *name;
  unsigned (*function)(uint32_t, uint32_t);
} functions[] = {{"past a fault", past_a_fault},
                 {"past others", past_others},
                 {"parts", of_parts},
                 {"words", sum_of_words},
                 {"floats", floats}};

static void run_all(void) {
  for (unsigned f = 0; f < sizeof functions / sizeof functions[0]; f++) {
    uint32_t sum = 0, state = 1;
    shown = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
      state = state * 1664525 + 1013904223;
      if (i % 16 == 0)
        mprotect(page, PAGE, PROT_NONE);
      const uint32_t a = i % 3 ? state : state >> 24, b = i % 5 ? state * 69069 + 1 : a;
      sum = sum * 31 + functions[f].function(a, b);
    }
    printf("%s %08x %08x\n", functions[f].name, sum, shown);
  }
}

int main(int argc, char **argv) {
  page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return 1;
  for (unsigned i = 0; i < PAGE / 4; i++)
    page[i] = i * 0x9E3779B1u;
  page[0] = 0xFFFFFFFF;
  rain_begin(argc, argv);
  signal(SIGSEGV, open_page);
  run_all();
  const struct sigaction look = {.sa_sigaction = open_and_look, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &look, NULL);
  run_all();
  rain_end();
  return 0;
}
