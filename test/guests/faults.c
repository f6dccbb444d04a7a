/* Faults as signals, and the state that a handler sees: it looks, mends, skips, retries. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static volatile int last_signal, last_code;
static volatile uintptr_t last_address;
static volatile greg_t seen[4];
static int skip; /* bytes of the instruction to go past */
static char *guarded;
static int mended;

static void on_fault(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  last_signal = number, last_code = info->si_code, last_address = (uintptr_t)info->si_addr;
  seen[0] = registers[REG_EAX], seen[1] = registers[REG_ECX], seen[2] = registers[REG_EDX];
  seen[3] = registers[REG_EFL] & 0x8d5;
  registers[REG_EIP] += skip;
  registers[REG_ESI] = 0x600d;
}

static void on_guard(int number, siginfo_t *info, void *context) {
  char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)4095);
  if (mprotect(page, 4096, PROT_READ | PROT_WRITE) < 0)
    signal(SIGSEGV, SIG_DFL);
  mended++;
}

#define FAULT(text, length, code)                                                                            \
  do {                                                                                                       \
    uint32_t esi = 0;                                                                                        \
    skip = length;                                                                                           \
    __asm__ volatile("mov $0x11,%%eax; mov $0x22,%%ecx; mov $0x33,%%edx; " code                              \
                     : "+S"(esi)::"eax", "ecx", "edx", "memory", "cc");                                      \
    printf("%s: signal %d code %d eax %x ecx %x edx %x flags %x esi %x\n", text, last_signal, last_code,     \
           (unsigned)seen[0], (unsigned)seen[1], (unsigned)seen[2], (unsigned)seen[3], esi);                 \
  } while (0)

int main(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++)
    sigaction(signals[i], &action, NULL);
  FAULT("load", 2, "cmp %%eax,%%eax; stc; mov (%%esi),%%eax");
  printf("address %x\n", (unsigned)last_address);
  FAULT("store", 7, "cmp %%ecx,%%eax; movb $1,0x1234");
  printf("address %x\n", (unsigned)last_address);
  FAULT("add to memory", 6, "cmp %%eax,%%eax; add %%eax,0x1000");
  FAULT("divide by zero", 2, "mov $0,%%ecx; xor %%edx,%%edx; div %%ecx");
  FAULT("divide overflow", 2, "cmp %%ecx,%%eax; mov $0x80000000,%%eax; cltd; mov $-1,%%ecx; idiv %%ecx");
  FAULT("undefined", 2, "cmp %%ecx,%%eax; ud2");
  FAULT("privileged", 1, "cmp %%ecx,%%eax; hlt");
  FAULT("breakpoint", 0, "cmp %%ecx,%%eax; int3");
  FAULT("interrupt", 2, "cmp %%ecx,%%eax; int $0x42");
  FAULT("overflow", 0, "mov $0x7fffffff,%%eax; inc %%eax; into");
  FAULT("carry of a call", 2, "call 1f; inc %%eax; ud2; jmp 2f; 1: test %%eax,%%eax; cmp %%edx,%%ecx; ret; 2:");
  FAULT("port", 1, "cmp %%ecx,%%eax; in %%dx,%%al");
  FAULT("string", 2, "cmp %%ecx,%%eax; mov $5,%%ecx; rep lodsb");

  enum { pages = 16 };
  guarded = mmap(NULL, pages * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  action.sa_sigaction = on_guard;
  sigaction(SIGSEGV, &action, NULL);
  unsigned sum = 0;
  for (int i = 0; i < pages * 4096; i += 997)
    guarded[i] = (char)i, sum = sum * 31 + (unsigned char)guarded[i];
  printf("mended %d, sum %u\n", mended, sum);
  /* A write barrier: read-only again, written by a string instruction that crosses pages. */
  mended = 0;
  mprotect(guarded, pages * 4096, PROT_READ);
  memset(guarded + 100, 7, 3 * 4096);
  __asm__ volatile("" ::: "memory");
  printf("barrier %d %d\n", mended, guarded[100] + guarded[3 * 4096 + 99] + guarded[3 * 4096 + 100]);
  return 0;
}
