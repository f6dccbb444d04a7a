/* What may be asked of selectors and done with them: lar, lsl, verr, verw; accesses through null FS and GS, and at
 * their limit; a local descriptor table that another thread changes.
 * guest-test: link=static
 * guest-test: flags=-D_GNU_SOURCE -fno-pie -no-pie
 * guest-test: seconds=240
 * guest-test: levels=O2 */
#include "ldt.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { CPU_NUMBER = 15 }; /* of the GDT: its limit is where this runs */

/* --- Questions -------------------------------------------------------------------------------------- */

static void ask(uint16_t selector) {
  uint32_t rights = 0x12345678, limit = 0x12345678, flags[4];
  uint16_t short_rights = 0x1234, short_limit = 0x1234, memory = selector;
  __asm__ volatile("lar %2, %0; pushf; pop %1" : "+r"(rights), "=r"(flags[0]) : "r"((uint32_t)selector) : "cc");
  __asm__ volatile("lsl %2, %0; pushf; pop %1" : "+r"(limit), "=r"(flags[1]) : "m"(memory) : "cc");
  __asm__ volatile("verr %1; pushf; pop %0" : "=r"(flags[2]) : "m"(memory) : "cc");
  __asm__ volatile("verw %1; pushf; pop %0" : "=r"(flags[3]) : "r"(selector) : "cc");
  __asm__ volatile("lar %1, %0" : "+r"(short_rights) : "m"(memory) : "cc");
  __asm__ volatile("lsl %1, %0" : "+r"(short_limit) : "r"(selector) : "cc");
  if (selector >> 3 == CPU_NUMBER && !(selector & 4))
    limit = short_limit = 0;
  const unsigned zf = 1 << 6;
  if ((flags[0] | flags[1] | flags[2] | flags[3]) & zf)
    printf("%04x: %d %08x %04x, %d %08x %04x, %d %d\n", selector, !!(flags[0] & zf), rights, short_rights, !!(flags[1] & zf), limit,
           short_limit, !!(flags[2] & zf), !!(flags[3] & zf));
  else if (rights != 0x12345678 || limit != 0x12345678 || short_rights != 0x1234 || short_limit != 0x1234)
    printf("%04x: changed\n", selector);
}

/* The other flags stay, and a fault of the operand comes before all else. */
static void ask_flags(void) {
  uint32_t flags;
  __asm__ volatile("cmp $1, %1; stc; lar %2, %%ecx; pushf; pop %0" : "=r"(flags) : "r"(0x80000000), "r"(0x2b) : "cc", "ecx");
  printf("flags %x\n", flags & 0xcd5);
}

static void questions(void) {
  for (unsigned contents = 0; contents < 4; contents++)
    for (unsigned bits = 0; bits < 16; bits++) {
      const unsigned entry = contents * 16 + bits;
      const int status = ldt_set(entry, 0x1000 * bits, bits & 4 ? 0x12345 : 0xabc, contents, bits & 1, bits >> 1 & 1, bits >> 2 & 1,
                             bits >> 3 & 1);
      if (status)
        printf("entry %u cannot be\n", entry);
    }
  for (unsigned selector = 0; selector < 0x80; selector++)
    ask((uint16_t)selector);
  for (unsigned index = 16; index < 24; index++)
    ask((uint16_t)(index << 3 | 3));
  for (unsigned index = 0; index < 80; index++)
    ask((uint16_t)(index << 3 | 7));
  ask(0xffff);
  ask_flags();
}

/* --- Accesses ----------------------------------------------------------------------------------------- */

static uint32_t saved_esp __attribute__((used));
static const void *start;
extern char leave_case[];
void run_at(const void *address);
__asm__(".text\n.globl run_at,leave_case\n"
        "run_at:\n"
        "  pusha\n"
        "  mov %esp,saved_esp\n"
        "  mov 36(%esp),%ebp\n  xor %eax,%eax\n"
        "  mov $-2,%esi\n  mov $0x100,%edi\n  mov $3,%ecx\n  mov $0x11223344,%edx\n  mov $16,%ebx\n"
        "  push %gs\n  jmp *%ebp\n"
        "leave_case: cld; popa; ret\n");

static void on_signal(int signal, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  if (signal == SIGILL)
    printf("  done");
  else
    printf("  signal %d code %d trap %d error %x", signal, info->si_code, r[REG_TRAPNO], r[REG_ERR]);
  printf(" eip +%x eax %x ecx %x edx %x ebx %x esi %x edi %x flags %x fs %x\n", (uint32_t)r[REG_EIP] - (uint32_t)start, r[REG_EAX],
         r[REG_ECX], r[REG_EDX], r[REG_EBX], r[REG_ESI], r[REG_EDI], r[REG_EFL] & 0xcd5, r[REG_FS] & 0xffff);
  r[REG_EIP] = (greg_t)(uint32_t)leave_case;
  r[REG_ESP] = (greg_t)saved_esp;
  r[REG_FS] = 0;
}

/* FS is null, or 0x7 + 8 * 64: a whole segment at the memory's second page. */
#define WHOLE "mov $0x207,%eax; mov %eax,%fs; "
#define CASES(X)                                                                                             \
  X(null_load, "mov %fs:0,%edx")                                                                             \
  X(null_store, "mov %edx,%fs:(%edi)")                                                                       \
  X(null_modify, "addl $1,%fs:0x20000000")                                                                   \
  X(null_byte, "cmp $5,%ebx; movb %fs:4(%ebx,%ecx,2),%dl")                                                   \
  X(null_push, "push %fs:0x20000000")                                                                        \
  X(null_call, "call *%fs:0x20000000")                                                                       \
  X(null_jump, "jmp *%fs:16(%ebx)")                                                                          \
  X(null_far, "lcall *%fs:0x20000000")                                                                       \
  X(null_string, "mov $0x20000000,%esi; mov $0x20000100,%edi; rep movsb %fs:(%esi),%es:(%edi)")              \
  X(null_string_none, "xor %ecx,%ecx; rep movsb %fs:(%esi),%es:(%edi)")                                      \
  X(null_xlat, "xlat %fs:(%ebx)")                                                                            \
  X(null_x87, "fldl %fs:0x20000000")                                                                         \
  X(null_sse, "movups %fs:0x20000000,%xmm0")                                                                 \
  X(null_bit, "bts %ecx,%fs:0x20000000")                                                                     \
  X(null_lock, "lock incl %fs:0x20000000")                                                                   \
  X(null_exchange, "xchg %edx,%fs:(%edi)")                                                                   \
  X(null_nothing, "prefetchnta %fs:0; lea %fs:4(%ebx),%edx; nopw %fs:0(%eax)")                               \
  X(null_short, "addr16 mov %fs:0x10,%edx")                                                                  \
  X(null_again, WHOLE "mov %fs:0,%edx; mov $3,%eax; mov %eax,%fs; mov %fs:0,%ecx")                           \
  X(whole, WHOLE "mov %fs:0,%edx; mov %fs:-4,%ecx; mov $-4,%ebx; mov %fs:(%ebx),%ebx")                       \
  X(wrap_constant, WHOLE "mov %fs:-3,%edx")                                                                  \
  X(wrap_base, WHOLE "mov %fs:(%esi),%edx")                                                                  \
  X(wrap_base_byte, WHOLE "movb %fs:1(%esi),%dl; movw %fs:(%esi),%cx; movw %fs:1(%esi),%bx")                 \
  X(wrap_disp, WHOLE "mov %fs:-16(%ebx),%edx; mov %fs:-17(%ebx),%ecx")                                       \
  X(wrap_index, WHOLE "mov $-1,%ebx; movzwl %fs:(,%ebx,4),%edx; mov %fs:2(,%ebx,4),%ecx")                    \
  X(wrap_store, WHOLE "mov %edx,%fs:(%esi)")                                                                 \
  X(wrap_modify, WHOLE "cmp $7,%ebx; incl %fs:(%esi)")                                                       \
  X(wrap_exchange, WHOLE "lock cmpxchg %edx,%fs:(%esi)")                                                     \
  X(wrap_x87, WHOLE "fldl %fs:-8; fldl %fs:-5(,%ecx,1)")                                                     \
  X(wrap_sse, WHOLE "movups %fs:-14(%esi),%xmm0; movups %fs:-10(%esi),%xmm0")                                \
  X(wrap_string, WHOLE "mov $0x20000000,%edi; lodsl %fs:(%esi)")                                             \
  X(wrap_repeat, WHOLE "mov $-10,%esi; mov $0x20000000,%edi; rep movsl %fs:(%esi),%es:(%edi)")               \
  X(wrap_bit, WHOLE "mov $-24,%ebx; bt %ebx,%fs:0")                                                          \
  X(wrap_push, WHOLE "push %fs:(%esi)")

#define DEFINE(name, text) extern char case_##name[]; __asm__("case_" #name ":\n  " text "\n  ud2\n");
__asm__(".text\n");
CASES(DEFINE)
#define ROW(name, text) {#name, case_##name},
static const struct {
  const char *name, *code;
} cases[] = {CASES(ROW)};

static void accesses(void) {
  static unsigned char alternate[65536];
  unsigned char *const memory = (unsigned char *)0x20000000; /* two pages */
  sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++)
    sigaction(signals[i], &action, NULL);
  mmap(memory, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ldt_set(64, (uint32_t)memory + 0x1000, 0xfffff, 0, 1, 0, 1, 0);
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (int b = 0; b < 0x2000; b++)
      memory[b] = (unsigned char)(b * 7 + (b >> 8));
    start = cases[i].code;
    printf("%s\n", cases[i].name);
    __asm__ volatile("mov %0, %%fs" : : "r"(0));
    run_at(cases[i].code);
    uint32_t sum = 0;
    for (int b = 0; b < 0x2000; b++)
      sum = sum * 31 + memory[b];
    printf("  memory %08x\n", sum);
  }
}

/* --- Another thread's changes ---------------------------------------------------------------------------- */

enum { ENTRY = 100, ROUNDS = 10 };
static uint32_t places[2] = {0x11111111, 0x22222222};
static volatile uint32_t expected, seen_wrong, round_seen;
static volatile int stop;

/* Reads by DS what `expected`, by ES, says that it sees there. */
static void *reader(void *unused) {
  (void)unused;
  uint32_t wrong = 0;
  __asm__ volatile("push %%ds; push %%es\n"
                   "  mov %%ds, %%eax; mov %%eax, %%es\n"
                   "  mov %[selector], %%eax; mov %%eax, %%ds\n"
                   "1: mov %%es:expected, %%ecx\n"
                   "  jecxz 2f\n"
                   "  mov 0, %%edx\n"
                   "  cmp %%es:expected, %%ecx; jne 2f\n"
                   "  cmp %%ecx, %%edx; je 2f\n"
                   "  inc %[wrong]\n"
                   "2: mov %%ecx, %%es:round_seen\n"
                   "  cmpl $0, %%es:stop; je 1b\n"
                   "  pop %%es; pop %%ds"
                   : [wrong] "+r"(wrong)
                   : [selector] "i"(ENTRY << 3 | 7)
                   : "eax", "ecx", "edx", "memory", "cc");
  seen_wrong = wrong;
  return NULL;
}

/* `expected` is 0 while the table changes: what is read then is not looked at. */
static void threads(void) {
  pthread_t thread;
  ldt_set(ENTRY, (uint32_t)&places[0], 3, 0, 1, 0, 0, 0);
  expected = places[0];
  pthread_create(&thread, NULL, reader, NULL);
  for (unsigned i = 0; i < ROUNDS; i++) {
    const uint32_t now = places[i & 1];
    expected = 0;
    ldt_set(ENTRY, (uint32_t)&places[i & 1], 3, 0, 1, 0, 0, 0);
    expected = now;
    while (round_seen != now)
      sched_yield();
  }
  stop = 1;
  pthread_join(thread, NULL);
  printf("threads: %u wrong\n", seen_wrong);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  questions();
  accesses();
  threads();
  return 0;
}
