/* Signals as a program sees them: frames, registers, masks, queues, restarts, deaths. Prints nothing that
 * depends on addresses or time.
 * guest-test: link=static */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KERNEL_SA_RESTORER 0x04000000

struct kernel_action {
  void *handler;
  unsigned long flags;
  void *restorer;
  uint64_t mask;
};

static int raw_action(int signal, void *handler, unsigned long flags, uint64_t mask) {
  struct kernel_action action = {handler, flags, NULL, mask};
  return syscall(SYS_rt_sigaction, signal, &action, NULL, 8);
}

static uint64_t bit(int signal) { return 1ull << (signal - 1); }

static uint64_t raw_mask(int how, uint64_t set) {
  uint64_t old;
  syscall(SYS_rt_sigprocmask, how, &set, &old, 8);
  return old;
}

static uint64_t current_mask(void) {
  uint64_t old;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, 8);
  return old;
}

/* --- The frames --------------------------------------------------------------------------------- */

struct old_frame { /* from the handler's esp */
  uint32_t return_address, signal;
  uint32_t context[22];
  uint8_t unused[624];
  uint32_t extra_mask;
  uint8_t code[8];
};

/* Both handlers store the registers first, then go on in C with the same stack. */
void old_handler_c(int signal);
void rt_handler_c(int signal, siginfo_t *info, void *context);
#define HANDLER(name)                                                                                        \
  void name(void);                                                                                           \
  __asm__(".text\n" #name ":\n"                                                                              \
          "  mov %eax, entry_copy\n mov %edx, entry_copy+4\n mov %ecx, entry_copy+8\n mov %esp, "            \
          "entry_copy+12\n mov %ebx, entry_copy+16\n mov %ds, entry_copy+20\n mov %es, entry_copy+24\n"      \
          "  mov %cs, entry_copy+28\n mov %ss, entry_copy+32\n"                                              \
          "  pushf\n pop entry_copy+36\n fnstcw entry_copy+40\n stmxcsr entry_copy+44\n"                     \
          "  jmp " #name "_c\n");
uint32_t entry_copy[16];
HANDLER(old_handler)
HANDLER(rt_handler)

static void show_entry(const char *name, int arguments_signal) {
  printf("%s: eax %u, edx %s, ecx %s, aligned %d, segments ds %#x es %#x cs %#x ss %#x, DF %d, cw %#x, mxcsr "
         "%#x\n",
         name, entry_copy[0], entry_copy[1] ? "set" : "0", entry_copy[2] ? "set" : "0",
         ((entry_copy[3] + 4) & 15) == 0, entry_copy[5] & 0xFFFF, entry_copy[6] & 0xFFFF,
         entry_copy[7] & 0xFFFF, entry_copy[8] & 0xFFFF, !!(entry_copy[9] & 0x400), entry_copy[10] & 0xFFFF,
         entry_copy[11]);
  printf("%s: signal argument %d\n", name, arguments_signal);
}

static void show_context(const char *name, const uint32_t *c, uint32_t frame) {
  printf("%s: gs %s fs %#x es %#x ds %#x cs %#x ss %#x\n", name, c[0] ? "set" : "0", c[1], c[2], c[3], c[15],
         c[18]);
  printf("%s: edi %#x esi %#x ebx pid %d edx %#x esp=esp_at_signal %d, trapno %u err %u oldmask %#x\n", name,
         c[4], c[5], c[8] == getpid(), c[9], c[7] == c[17], c[12], c[13], c[20]);
  const uint32_t *fp = (const uint32_t *)c[19];
  printf("%s: fpstate above the frame %d, fxsave aligned %d, cw %#x sw %#x tag %#x cs %#x ds %#x, magic %#x "
         "mxcsr %#x\n",
         name, c[19] > frame, (c[19] + 112) % 64 == 0, fp[0], fp[1], fp[2], fp[4], fp[6], fp[27] >> 16,
         fp[28 + 6]);
  printf("%s: st0 in both images equal %d, xmm3 %08x\n", name, memcmp(fp + 7, fp + 28 + 8, 10) == 0,
         fp[28 + 40 + 3 * 4]);
}

void old_handler_c(int signal) {
  const struct old_frame *frame = (const void *)entry_copy[3];
  show_entry("old", signal);
  show_context("old", frame->context, entry_copy[3]);
  printf("old: frame's signal %u, extra mask %#x, code ", frame->signal, frame->extra_mask);
  for (int i = 0; i < 8; i++)
    printf("%02x", frame->code[i]);
  printf("\n");
  printf("old: mask in handler %#llx\n", (unsigned long long)current_mask());
}

void rt_handler_c(int signal, siginfo_t *info, void *opaque) {
  ucontext_t *context = opaque;
  const uint32_t *frame = (const void *)entry_copy[3];
  show_entry("rt", signal);
  show_context("rt", (const uint32_t *)&context->uc_mcontext, entry_copy[3]);
  printf("rt: pointers %d %d, info at +16 %d, context at +144 %d\n", frame[2] == (uint32_t)info,
         frame[3] == (uint32_t)context, (uint32_t)info == entry_copy[3] + 16,
         (uint32_t)context == entry_copy[3] + 144);
  printf("rt: edx is info %d, ecx is context %d\n", entry_copy[1] == (uint32_t)info,
         entry_copy[2] == (uint32_t)context);
  uint64_t mask;
  memcpy(&mask, &context->uc_sigmask, 8);
  printf("rt: link %p, stack flags %#x, mask %#llx, signo %d errno %d code %d, own pid %d\n",
         (void *)context->uc_link, context->uc_stack.ss_flags, (unsigned long long)mask, info->si_signo,
         info->si_errno, info->si_code, info->si_pid == getpid());
  const uint8_t *code = (const uint8_t *)frame + 16 + 128 + 116;
  printf("rt: code ");
  for (int i = 0; i < 8; i++)
    printf("%02x", code[i]);
  printf("\nrt: mask in handler %#llx\n", (unsigned long long)current_mask());
}

/* kill(getpid(), signal) with known register contents. By name, since every register is taken. */
uint32_t kill_pid, kill_signal, kill_after[6], kill_xmm[4];
float kill_one[4] = {1, 2, 3, 4};
uint8_t kill_st[12];
uint16_t kill_control = 0x27F;
uint32_t kill_mxcsr = 0x1FA0, kill_reset = 0x1F80;
void kill_with_registers(void);
__asm__(".text\nkill_with_registers:\n"
        "  pusha\n fninit\n fldcw kill_control\n ldmxcsr kill_mxcsr\n fldpi\n movups kill_one, %xmm3\n"
        "  movl kill_pid, %ebx\n movl kill_signal, %ecx\n movl $0x11112222, %edx\n"
        "  movl $0x33334444, %esi\n movl $0x55556666, %edi\n"
        "  movl $37, %eax\n std\n int $0x80\n"
        "  pushf\n popl kill_after+20\n cld\n"
        "  movl %eax, kill_after\n movl %edx, kill_after+4\n movl %esi, kill_after+8\n"
        "  movl %edi, kill_after+12\n movl %ecx, kill_after+16\n"
        "  movups %xmm3, kill_xmm\n fstpt kill_st\n"
        "  fnstcw kill_control\n stmxcsr kill_mxcsr\n fninit\n ldmxcsr kill_reset\n popa\n ret\n");

static void kill_self_with_registers(int signal) {
  kill_pid = getpid();
  kill_signal = signal;
  kill_with_registers();
  printf("after: eax %d edx %#x esi %#x edi %#x ecx %u DF %d xmm3 %08x st ", kill_after[0], kill_after[1],
         kill_after[2], kill_after[3], kill_after[4], !!(kill_after[5] & 0x400), kill_xmm[0]);
  for (int i = 9; i >= 0; i--)
    printf("%02x", kill_st[i]);
  printf(" cw %#x mxcsr %#x\n", kill_control, kill_mxcsr);
}

static void test_frames(void) {
  printf("-- frames\n");
  raw_mask(SIG_SETMASK, bit(SIGUSR2) | bit(40));
  raw_action(SIGUSR1, old_handler, 0, bit(SIGWINCH) | bit(50));
  kill_self_with_registers(SIGUSR1);
  printf("mask after %#llx\n", (unsigned long long)current_mask());
  raw_action(SIGUSR1, rt_handler, SA_SIGINFO, bit(SIGWINCH) | bit(50));
  kill_self_with_registers(SIGUSR1);
  printf("mask after %#llx\n", (unsigned long long)current_mask());
  raw_mask(SIG_SETMASK, 0);
}

/* --- Faults ---------------------------------------------------------------------------------------- */

static sigjmp_buf fault_return;
static char *fault_page;

static void on_fault(int signal, siginfo_t *info, void *opaque) {
  const greg_t *r = ((ucontext_t *)opaque)->uc_mcontext.gregs;
  const char *where = info->si_addr == NULL                     ? "0"
                      : (char *)info->si_addr == fault_page + 8 ? "page+8"
                      : (greg_t)info->si_addr == r[REG_EIP]     ? "eip"
                                                                : "elsewhere";
  printf("  signal %d code %d at %s, trapno %d err %d, cr2 %s\n", signal, info->si_code, where, r[REG_TRAPNO],
         r[REG_ERR],
         ((ucontext_t *)opaque)->uc_mcontext.cr2 == (unsigned long)fault_page + 8 ? "page+8" : "other");
  siglongjmp(fault_return, 1);
}

#define FAULT(name, ...)                                                                                     \
  do {                                                                                                       \
    printf("%s\n", name);                                                                                    \
    if (sigsetjmp(fault_return, 1) == 0) {                                                                   \
      __VA_ARGS__;                                                                                           \
      printf("  no fault\n");                                                                                \
    }                                                                                                        \
  } while (0)

static void test_faults(void) {
  printf("-- faults\n");
  const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++)
    raw_action(signals[i], on_fault, SA_SIGINFO, 0);
  fault_page = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FAULT("read of PROT_NONE", *(volatile int *)(fault_page + 8));
  mprotect(fault_page, 4096, PROT_READ);
  (void)*(volatile char *)fault_page;
  FAULT("write of read-only", *(volatile int *)(fault_page + 8) = 1);
  munmap(fault_page, 8192);
  FAULT("write of nothing", *(volatile int *)(fault_page + 8) = 1);
  FAULT("divide", __asm__ volatile("xorl %%ecx, %%ecx\n movl $1, %%eax\n cltd\n idivl %%ecx" ::
                                       : "eax", "ecx", "edx"));
  FAULT("ud2", __asm__ volatile("ud2"));
  FAULT("int3", __asm__ volatile("int3"));
  FAULT("hlt", __asm__ volatile("hlt"));
  FAULT("into", __asm__ volatile("movb $127, %%al\n addb $1, %%al\n into" ::: "eax"));
  FAULT("int $0x42", __asm__ volatile("int $0x42"));
  static const int bounds[2] = {0, 3};
  FAULT("bound", __asm__ volatile("movl $5, %%eax\n boundl %%eax, %0" ::"m"(bounds) : "eax"));
  static const short divide_unmasked = 0x37B;
  FAULT("x87 divide by zero",
        __asm__ volatile("fninit\n fldcw %0\n fld1\n fldz\n fdivrp\n fwait" ::"m"(divide_unmasked)));
  __asm__ volatile("fninit");
  static const unsigned sse_unmasked = 0x1D80;
  FAULT("SSE divide by zero",
        __asm__ volatile("ldmxcsr %0\n xorps %%xmm0, %%xmm0\n movl $1, %%eax\n cvtsi2ssl %%eax, %%xmm1\n "
                         "divss %%xmm0, %%xmm1" ::"m"(sse_unmasked)
                         : "eax"));
  static const unsigned sse_reset = 0x1F80;
  __asm__ volatile("ldmxcsr %0" ::"m"(sse_reset));
  FILE *file = tmpfile();
  fault_page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
  FAULT("beyond the end of a file", *(volatile char *)(fault_page + 8));
  munmap(fault_page, 4096);
  fclose(file);
}

/* A handler that mends the page, one that steps over the instruction and changes registers. */
static void on_fault_mend(int signal, siginfo_t *info, void *opaque) {
  mprotect((void *)((uintptr_t)info->si_addr & -4096), 4096, PROT_READ | PROT_WRITE);
}
static void on_fault_skip(int signal, siginfo_t *info, void *opaque) {
  greg_t *r = ((ucontext_t *)opaque)->uc_mcontext.gregs;
  r[REG_EIP] += 2;
  r[REG_EDI] = 77;
  r[REG_EFL] |= 1;
}

static void test_resume(void) {
  printf("-- resume\n");
  raw_action(SIGSEGV, on_fault_mend, SA_SIGINFO, 0);
  char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *(volatile int *)(page + 100) = 5;
  printf("mended: %d\n", *(volatile int *)(page + 100));
  raw_action(SIGILL, on_fault_skip, SA_SIGINFO, 0);
  int edi, carry;
  __asm__ volatile("clc\n movl $1, %%edi\n ud2\n setc %%al\n movzbl %%al, %%eax" : "=D"(edi), "=a"(carry));
  printf("skipped: edi %d carry %d\n", edi, carry);
}

/* --- Flags of sigaction ------------------------------------------------------------------------------ */

static volatile int depth, calls;
char alternate[16384] __attribute__((aligned(16)));

static void on_nested(int signal) {
  printf("  handler depth %d, blocked %d\n", ++depth, !!(current_mask() & bit(signal)));
  if (calls++ < 2)
    kill(getpid(), signal);
  depth--;
}

static int on_alternate(void) {
  char here;
  return &here >= alternate && &here < alternate + sizeof alternate;
}

static void on_alternate_handler(int signal, siginfo_t *info, void *opaque) {
  ucontext_t *context = opaque;
  stack_t now, change = {.ss_sp = alternate, .ss_size = 8192};
  sigaltstack(NULL, &now);
  printf("  on alternate stack %d, flags %#x, in context: sp %d size %u flags %#x\n", on_alternate(),
         now.ss_flags, context->uc_stack.ss_sp == alternate, (unsigned)context->uc_stack.ss_size,
         context->uc_stack.ss_flags);
  int result = sigaltstack(&change, NULL);
  printf("  changing it: %d errno %d\n", result, result ? errno : 0);
}

static void test_flags(void) {
  printf("-- flags\n");
  struct kernel_action old;
  printf("plain\n");
  calls = 0;
  raw_action(SIGUSR1, on_nested, 0, 0);
  kill(getpid(), SIGUSR1);
  printf("SA_NODEFER\n");
  calls = 0;
  raw_action(SIGUSR1, on_nested, SA_NODEFER, 0);
  kill(getpid(), SIGUSR1);
  printf("SA_RESETHAND\n");
  calls = 9;
  raw_action(SIGUSR1, on_nested, SA_RESETHAND, 0);
  kill(getpid(), SIGUSR1);
  syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8);
  printf("  handler now %p flags %#lx\n", old.handler, old.flags);
  printf("unknown flags\n");
  raw_action(SIGUSR1, on_nested, 0x00FFF7FF & ~SA_SIGINFO, ~0ull);
  syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8);
  printf("  flags %#lx mask %#llx\n", old.flags, (unsigned long long)old.mask);
  printf("errors %d %d %d %d\n", raw_action(SIGKILL, on_nested, 0, 0), raw_action(65, on_nested, 0, 0),
         raw_action(0, on_nested, 0, 0), (int)syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 4));

  printf("sigaltstack\n");
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, was;
  sigaltstack(&stack, &was);
  printf("  before: flags %#x\n", was.ss_flags);
  raw_action(SIGUSR1, on_alternate_handler, SA_SIGINFO | SA_ONSTACK, 0);
  kill(getpid(), SIGUSR1);
  raw_action(SIGUSR1, on_alternate_handler, SA_SIGINFO, 0);
  kill(getpid(), SIGUSR1);
  printf("SS_AUTODISARM\n");
  stack.ss_flags = 1u << 31;
  stack.ss_size = sizeof alternate;
  sigaltstack(&stack, NULL);
  raw_action(SIGUSR1, on_alternate_handler, SA_SIGINFO | SA_ONSTACK, 0);
  kill(getpid(), SIGUSR1);
  sigaltstack(NULL, &was);
  printf("  after: size %u flags %#x\n", (unsigned)was.ss_size, was.ss_flags);
  stack = (stack_t){.ss_sp = alternate, .ss_size = 100};
  int small = sigaltstack(&stack, NULL), small_errno = errno;
  stack = (stack_t){.ss_sp = alternate, .ss_size = 8192, .ss_flags = 4};
  int bad = sigaltstack(&stack, NULL);
  printf("  too small %d %d, bad flags %d %d\n", small, small_errno, bad, errno);
  stack = (stack_t){.ss_flags = SS_DISABLE};
  sigaltstack(&stack, NULL);
}

/* --- Masks and queues ---------------------------------------------------------------------------------- */

static void on_show(int signal, siginfo_t *info, void *context) {
  printf("  signal %d code %d value %d\n", signal, info->si_code,
         info->si_code == SI_QUEUE ? info->si_int : 0);
}

static void queue(int signal, int value) {
  const union sigval v = {.sival_int = value};
  struct {
    int signo, error, code;
    int pid, uid, value;
    int rest[26];
  } info = {signal, 0, SI_QUEUE, getpid(), getuid(), value};
  syscall(SYS_rt_sigqueueinfo, getpid(), signal, &info);
}

static void test_queues(void) {
  printf("-- queues\n");
  for (int signal = 1; signal <= 64; signal++)
    if (signal != SIGKILL && signal != SIGSTOP)
      raw_action(signal, on_show, SA_SIGINFO, ~0ull);
  printf("order\n");
  raw_mask(SIG_SETMASK, ~0ull);
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGUSR2);
  queue(40, 1);
  queue(33, 2);
  queue(40, 3);
  queue(64, 4);
  queue(32, 5);
  kill(getpid(), SIGTERM);
  kill(getpid(), SIGSEGV);
  kill(getpid(), SIGTRAP);
  kill(getpid(), SIGHUP);
  uint64_t pending;
  syscall(SYS_rt_sigpending, &pending, 8);
  printf("pending %#llx\n", (unsigned long long)pending);
  raw_mask(SIG_SETMASK, 0);
  printf("every signal\n");
  for (int signal = 1; signal <= 64; signal++)
    if (signal != SIGKILL && signal != SIGSTOP)
      syscall(SYS_tkill, syscall(SYS_gettid), signal);
  printf("ignored while pending\n");
  raw_mask(SIG_SETMASK, bit(SIGUSR1) | bit(SIGTRAP));
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGTRAP);
  raw_action(SIGUSR1, SIG_IGN, 0, 0);
  raw_action(SIGTRAP, SIG_IGN, 0, 0);
  syscall(SYS_rt_sigpending, &pending, 8);
  printf("  pending %#llx\n", (unsigned long long)pending);
  raw_action(SIGUSR1, on_show, SA_SIGINFO, 0);
  raw_action(SIGTRAP, on_show, SA_SIGINFO, 0);
  raw_mask(SIG_SETMASK, 0);

  printf("sigsuspend\n");
  raw_mask(SIG_SETMASK, bit(SIGUSR1) | bit(SIGUSR2));
  kill(getpid(), SIGUSR1);
  uint64_t wait_mask = bit(SIGUSR2);
  int result = syscall(SYS_rt_sigsuspend, &wait_mask, 8);
  printf("  %d errno %d mask %#llx\n", result, errno, (unsigned long long)current_mask());
  printf("sigtimedwait\n");
  queue(SIGUSR2, 9);
  uint64_t set = bit(SIGUSR2);
  siginfo_t info;
  struct timespec zero = {0, 0}, shortly = {0, 1000000};
  result = syscall(SYS_rt_sigtimedwait, &set, &info, &zero, 8);
  printf("  %d code %d value %d\n", result, info.si_code, info.si_int);
  result = syscall(SYS_rt_sigtimedwait, &set, &info, &shortly, 8);
  printf("  %d errno %d\n", result, errno);
  raw_mask(SIG_SETMASK, bit(SIGILL));
  kill(getpid(), SIGILL);
  set = bit(SIGILL);
  result = syscall(SYS_rt_sigtimedwait, &set, &info, &zero, 8);
  printf("  %d code %d\n", result, info.si_code);
  raw_mask(SIG_SETMASK, 0);
}

/* The calls with 32-bit masks. */
static void test_old_calls(void) {
  printf("-- old calls\n");
  raw_mask(SIG_SETMASK, bit(40));
  unsigned set = 1u << (SIGUSR1 - 1), old = 0, pending = 0;
  printf("sigprocmask %ld\n", syscall(SYS_sigprocmask, SIG_SETMASK, &set, &old));
  printf("mask %#llx old %#x\n", (unsigned long long)current_mask(), old);
  kill(getpid(), SIGUSR1);
  syscall(SYS_sigpending, &pending);
  printf("pending %#x\n", pending);
  printf("sgetmask %#lx, ssetmask %#lx, mask %#llx\n", syscall(SYS_sgetmask), syscall(SYS_ssetmask, 0),
         (unsigned long long)current_mask());
  struct {
    void *handler;
    unsigned mask, flags;
    void *restorer;
  } action = {on_nested, 1u << (SIGHUP - 1), SA_RESTART, NULL}, before = {0};
  calls = 9;
  printf("sigaction %ld", syscall(SYS_sigaction, SIGUSR1, &action, NULL));
  syscall(SYS_sigaction, SIGUSR1, NULL, &before);
  printf(" handler %d mask %#x flags %#x\n", before.handler == on_nested, before.mask, before.flags);
  kill(getpid(), SIGUSR1);
  long was = syscall(SYS_signal, SIGUSR1, on_nested);
  printf("signal %d\n", (void *)was == on_nested);
  kill(getpid(), SIGUSR1);
  syscall(SYS_sigaction, SIGUSR1, NULL, &before);
  printf("handler %p flags %#x\n", before.handler, before.flags);
  raw_mask(SIG_SETMASK, 0);
}

/* --- Interrupted calls -------------------------------------------------------------------------------------
 */

static int pipe_ends[2];
static volatile int ticks;

static void on_alarm_write(int signal) {
  ticks++;
  write(pipe_ends[1], "x", 1);
}
static void on_alarm(int signal) { ticks++; }

/* Again and again, in case the first comes before the call that it is to interrupt. */
static void alarm_soon(int milliseconds) {
  const struct itimerval timer = {{0, milliseconds * 5000}, {0, milliseconds * 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
}
static void alarm_off(void) {
  const struct itimerval none = {{0, 0}, {0, 0}};
  const int saved = errno;
  setitimer(ITIMER_REAL, &none, NULL);
  errno = saved;
}

static void test_restarts(void) {
  printf("-- restarts\n");
  char byte;
  pipe(pipe_ends);
  ticks = 0;
  raw_action(SIGALRM, on_alarm, 0, 0);
  alarm_soon(20);
  int result = read(pipe_ends[0], &byte, 1);
  alarm_off();
  printf("read without SA_RESTART: %d errno %d\n", result, errno);
  raw_action(SIGALRM, on_alarm_write, SA_RESTART, 0);
  alarm_soon(20);
  result = read(pipe_ends[0], &byte, 1);
  alarm_off();
  printf("read with SA_RESTART: %d %c\n", result, byte);
  alarm_soon(20);
  struct timespec long_time = {5, 0}, left = {0, 0};
  result = nanosleep(&long_time, &left);
  alarm_off();
  printf("nanosleep: %d errno %d, time left %d\n", result, errno, left.tv_sec == 4);
  alarm_soon(20);
  result = pause();
  alarm_off();
  printf("pause: %d errno %d, ticked %d\n", result, errno, ticks >= 4);
  result = waitpid(-1, NULL, 0);
  printf("waitpid without children: %d errno %d\n", result, errno);
  raw_action(SIGCHLD, SIG_DFL, 0, 0);
  pid_t child = fork();
  if (child == 0) {
    usleep(500000);
    _exit(3);
  }
  int status;
  raw_action(SIGALRM, on_alarm, 0, 0);
  alarm_soon(20);
  result = waitpid(child, &status, 0);
  alarm_off();
  printf("waitpid without SA_RESTART: %d errno %d\n", result, errno);
  raw_action(SIGALRM, on_alarm, SA_RESTART, 0);
  alarm_soon(20);
  result = waitpid(child, &status, 0);
  alarm_off();
  printf("waitpid with SA_RESTART: %d status %#x\n", result == child, status);
  /* No handler at all: the calls go on as if nothing had been. */
  raw_action(SIGCONT, SIG_DFL, 0, 0);
  raw_action(SIGWINCH, SIG_DFL, 0, 0);
  child = fork();
  if (child == 0) {
    usleep(20000);
    kill(getppid(), SIGWINCH);
    usleep(20000);
    write(pipe_ends[1], "yy", 2);
    _exit(0);
  }
  while (read(pipe_ends[0], &byte, 1) == 1 && byte == 'x')
    ;
  printf("read past an ignored signal: %c\n", byte);
  waitpid(child, NULL, 0);
}

/* --- Signals at any instruction --------------------------------------------------------------------------
 */

static sigjmp_buf jump;
static void on_tick_jump(int signal) {
  if (++ticks == 20)
    siglongjmp(jump, 1);
}
static void on_tick_clobber(int signal) {
  ticks++;
  /* Nothing of this may show in the loop that is interrupted. */
  __asm__ volatile("fninit\n fldz\n fldl2e\n pxor %%mm3, %%mm3\n xorps %%xmm0, %%xmm0\n xorps %%xmm7, "
                   "%%xmm7\n stc\n std\n" ::
                       : "cc");
}

static void test_any_instruction(void) {
  printf("-- any instruction\n");
  const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  ticks = 0;
  raw_action(SIGALRM, on_tick_clobber, 0, 0);
  setitimer(ITIMER_REAL, &often, NULL);
  unsigned sum = 1;
  double real = 0;
  unsigned long rounds = 0;
  while (ticks < 100) {
    unsigned check = 1;
    double value = 1;
    for (unsigned i = 0; i < 20000; i++) {
      check = check * 1664525 + 1013904223 + (check >> 16);
      value = value * 0.999 + (check & 3);
    }
    if (rounds++ == 0)
      sum = check, real = value;
    else if (sum != check || real != value) {
      printf("round %lu: %#x %f instead of %#x %f\n", rounds, check, value, sum, real);
      break;
    }
  }
  printf("loop: %#x %f\n", sum, real);
  ticks = 0;
  raw_action(SIGALRM, on_tick_jump, 0, 0);
  if (sigsetjmp(jump, 1) == 0)
    for (;;)
      ;
  printf("left an endless loop, blocked %d\n", !!(current_mask() & bit(SIGALRM)));
  ticks = 0;
  raw_action(SIGALRM, on_tick_clobber, SA_RESTART, 0);
  for (int i = 0; i < 2000 || ticks < 50; i++)
    if (getppid() <= 0 || write(-1, "", 0) != -1 || errno != EBADF)
      printf("system call went wrong\n");
  setitimer(ITIMER_REAL, &never, NULL);
  printf("system calls done\n");
}

/* --- Ends --------------------------------------------------------------------------------------------------
 */

static void report(const char *name, pid_t child) {
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status))
    printf("%s: killed by %d\n", name, WTERMSIG(status));
  else
    printf("%s: exit %d\n", name, WEXITSTATUS(status));
}

static void on_never(int signal) { _exit(99); }

static void test_ends(void) {
  printf("-- ends\n");
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  char name[32];
  pid_t child;
  for (int signal = 1; signal <= 64; signal++) {
    if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)
      continue;
    if ((child = fork()) == 0) {
      if (signal != SIGKILL)
        raw_action(signal, SIG_DFL, 0, 0);
      syscall(SYS_tkill, syscall(SYS_gettid), signal);
      _exit(signal);
    }
    sprintf(name, "default %d", signal);
    report(name, child);
  }
  if ((child = fork()) == 0) {
    raw_action(SIGSEGV, on_never, 0, 0);
    raw_mask(SIG_BLOCK, bit(SIGSEGV));
    *(volatile int *)0 = 0;
    _exit(1);
  }
  report("fault while blocked", child);
  if ((child = fork()) == 0) {
    raw_action(SIGSEGV, SIG_IGN, 0, 0);
    *(volatile int *)0 = 0;
    _exit(1);
  }
  report("fault while ignored", child);
  if ((child = fork()) == 0) {
    raw_action(SIGSEGV, SIG_IGN, 0, 0);
    raw_action(SIGTRAP, SIG_IGN, 0, 0);
    raise(SIGSEGV);
    raise(SIGTRAP);
    _exit(7);
  }
  report("sent while ignored", child);
  if ((child = fork()) == 0) {
    raw_action(SIGUSR1, on_never, 0, 0);
    raw_action(SIGSEGV, SIG_DFL, 0, 0);
    kill_pid = getpid();
    __asm__ volatile(
        "movl kill_pid, %%ebx\n movl $10, %%ecx\n movl $16, %%esp\n movl $37, %%eax\n int $0x80\n hlt" ::
            : "memory");
  }
  report("no stack for the frame", child);
  if ((child = fork()) == 0) {
    raw_action(SIGSEGV, SIG_DFL, 0, 0);
    __asm__ volatile("movl $16, %%esp\n movl $173, %%eax\n int $0x80\n hlt" ::: "eax");
  }
  report("bad frame", child);
  if ((child = fork()) == 0) {
    /* On the alternate stack already, and too near its end for a frame. */
    stack_t stack = {.ss_sp = alternate, .ss_size = 8192};
    sigaltstack(&stack, NULL);
    raw_action(SIGUSR1, on_never, SA_ONSTACK, 0);
    raw_action(SIGSEGV, on_never, SA_ONSTACK, 0);
    kill_pid = getpid();
    __asm__ volatile("movl kill_pid, %%ebx\n movl $10, %%ecx\n leal alternate+200, %%esp\n movl $37, %%eax\n "
                     "int $0x80\n hlt" ::
                         : "memory");
  }
  report("alternate stack overflows", child);

  printf("stop and continue\n");
  int status, next[2];
  char byte = 0;
  pipe(next);
  if ((child = fork()) == 0) {
    raise(SIGSTOP);
    read(next[0], &byte, 1); /* the first continuation has been seen */
    raise(SIGSTOP);
    read(next[0], &byte, 1);
    _exit(5);
  }
  for (int i = 0; i < 2; i++) {
    waitpid(child, &status, WUNTRACED);
    printf("  stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    printf("  continued %d\n", WIFCONTINUED(status));
    write(next[1], &byte, 1);
  }
  waitpid(child, &status, 0);
  printf("  exit %d\n", WEXITSTATUS(status));
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  test_frames();
  test_faults();
  test_resume();
  test_flags();
  test_queues();
  test_old_calls();
  test_restarts();
  test_any_instruction();
  test_ends();
  printf("done\n");
}
