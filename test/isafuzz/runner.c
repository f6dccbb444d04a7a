/* isafuzz_runner: executes the programs of a job, from each of their states, and records how the CPU left the
 * machine. An i386 program without libc: GS is the programs', and nothing but what protocol.h lists is
 * mapped, so that the address space is the same natively and under the emulator and a stray access faults in
 * both.
 *
 * enter_case loads the whole state and jumps to the program; the program jumps to leave_case, which stores
 * it. A fault ends in on_signal, which takes the state from the signal frame instead and goes back to
 * enter_case's caller without sigreturn. SIGALRM, from the fuzzer, ends what does not end by itself. */
#include "protocol.h"

#include <asm/ldt.h>
#include <emmintrin.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { SA_RESTORER = 0x4000000 }; /* linux/signal.h, which libc's excludes */

#define JOB ((const struct job *)JOB_ADDRESS)
#define CONTROL ((struct results *)CONTROL_ADDRESS) /* its first page */

/* --- System calls --------------------------------------------------------------------------------------- */

static long call6(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  long frame[2] = {f, (long)number};
  __asm__ volatile("push %%ebp\n\tmov (%1), %%ebp\n\tmov 4(%1), %%eax\n\tint $0x80\n\tpop %%ebp"
                   : "=a"(result)
                   : "a"(frame), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                   : "memory");
  return result;
}
static long call3(long number, long a, long b, long c) { return call6(number, a, b, c, 0, 0, 0); }

static _Noreturn void quit(int status) {
  for (;;)
    call3(__NR_exit_group, status, 0, 0);
}

/* Every failure has a status of its own, which the fuzzer shows. */
static void check(long result, int status) {
  if (result < 0 && result > -4096)
    quit(status);
}

static void map(uint32_t address, uint32_t length, int protection, int flags, int fd, uint32_t offset,
                int status) {
  long at = call6(__NR_mmap2, (long)address, (long)length, protection, flags | MAP_FIXED, fd,
                  (long)(offset / CASE_PAGE));
  check(at, status);
}

/* Into the file of results. */
static void put(uint32_t offset, const void *from, uint32_t size) {
  if (call6(__NR_pwrite64, RESULT_FD, (long)from, (long)size, (long)offset, 0, 0) != (long)size)
    quit(23);
}

/* --- Into and out of programs --------------------------------------------------------------------------- */

/* For the assembly below. */
uint32_t case_gpr[8], case_eflags, case_entry, case_host_esp, case_fs, case_gs;
const struct fpu_image *case_fpu;
const void *case_ymm; /* NULL: left as it is */
struct result *case_result;
volatile uint32_t case_running;

void enter_case(void);
void leave_case(void);
void signal_entry(void);
void signal_restorer(void);
uint8_t runner_stack[16384] __attribute__((aligned(16)));
__asm__(".text\n"
        ".globl _start\n"
        "_start:\n"
        "  mov $runner_stack + 16384, %esp\n"
        "  call run\n"
        "enter_case:\n"
        "  push %ebx\n"
        "  push %ebp\n"
        "  push %esi\n"
        "  push %edi\n"
        "  mov %esp, case_host_esp\n"
        "  mov case_fpu, %eax\n"
        "  fxrstor (%eax)\n"
        "  mov case_ymm, %eax\n"
        "  test %eax, %eax\n"
        "  jz 1f\n"
        "  .irp n, 0, 1, 2, 3, 4, 5, 6, 7\n"
        "  vinsertf128 $1, 16 * \\n(%eax), %ymm\\n, %ymm\\n\n"
        "  .endr\n"
        "1: movl $1, case_running\n"
        "  pushl case_eflags\n"
        "  popf\n"
        "  mov case_gpr + 0, %eax\n"
        "  mov case_gpr + 4, %ecx\n"
        "  mov case_gpr + 8, %edx\n"
        "  mov case_gpr + 12, %ebx\n"
        "  mov case_gpr + 16, %esp\n"
        "  mov case_gpr + 20, %ebp\n"
        "  mov case_gpr + 24, %esi\n"
        "  mov case_gpr + 28, %edi\n"
        "  jmp *case_entry\n"
        "leave_case:\n"
        "  mov %eax, case_gpr + 0\n"
        "  mov case_result, %eax\n"
        "  mov %ecx, 512 + 4(%eax)\n"
        "  mov %edx, 512 + 8(%eax)\n"
        "  mov %ebx, 512 + 12(%eax)\n"
        "  mov %esp, 512 + 16(%eax)\n"
        "  mov %ebp, 512 + 20(%eax)\n"
        "  mov %esi, 512 + 24(%eax)\n"
        "  mov %edi, 512 + 28(%eax)\n"
        "  mov case_host_esp, %esp\n"
        "  pushf\n"
        "  popl 512 + 32(%eax)\n"
        "  mov case_gpr + 0, %ecx\n"
        "  mov %ecx, 512(%eax)\n"
        "  fxsave (%eax)\n"
        "  cmpl $0, case_ymm\n"
        "  je 1f\n"
        "  .irp n, 0, 1, 2, 3, 4, 5, 6, 7\n"
        "  vextractf128 $1, %ymm\\n, 608 + 16 * \\n(%eax)\n"
        "  .endr\n"
        "1: movl $0, case_running\n"
        "  mov %es, 576(%eax)\n"
        "  mov %cs, 578(%eax)\n"
        "  mov %ss, 580(%eax)\n"
        "  mov %ds, 582(%eax)\n"
        "  mov %fs, 584(%eax)\n"
        "  mov %gs, 586(%eax)\n"
        "back:\n"
        "  pushl $0x202\n"
        "  popf\n"
        "  pop %edi\n"
        "  pop %esi\n"
        "  pop %ebp\n"
        "  pop %ebx\n"
        "  ret\n"
        "signal_entry:\n" /* the kernel leaves AC as a program may have set it */
        "  pushl $0x202\n"
        "  popf\n"
        "  call on_signal\n"
        "  test %eax, %eax\n"
        "  jz 1f\n"
        "  mov case_host_esp, %esp\n"
        "  jmp back\n"
        "1: ret\n"
        "signal_restorer:\n"
        "  mov $173, %eax\n" /* rt_sigreturn */
        "  int $0x80\n");
_Static_assert(offsetof(struct result, gpr) == 512 && offsetof(struct result, eflags) == 544 &&
                   offsetof(struct result, segment) == 576 && offsetof(struct result, ymm_high) == 608,
               "used above");

/* From the image of XSAVE that the FXSAVE image is the beginning of (SDM vol. 1, 13.4); what it does not have
 * is zero. */
static void take_ymm(struct result *out, const uint32_t *image) {
  enum { MAGIC = 0x46505853, MAGIC_AT = 464 / 4, COMPONENTS_AT = 512 / 4, YMM = 4, YMM_AT = 576 / 4 };
  bool has_ymm = image[MAGIC_AT] == MAGIC && image[COMPONENTS_AT] & YMM;
  for (unsigned i = 0; i < sizeof out->ymm_high / 4; i++)
    ((uint32_t *)out->ymm_high)[i] = has_ymm ? image[YMM_AT + i] : 0;
}

/* True: the program has ended. */
__attribute__((used, regparm(0))) uint32_t on_signal(uint32_t restorer, int number, const siginfo_t *info,
                                                     const ucontext_t *context) {
  (void)restorer;
  if (!case_running) {
    if (number == SIGNAL_TIME_LIMIT)
      return 0;
    quit(100 + number);
  }
  case_running = 0;
  struct result *out = case_result;
  static const uint8_t gpr[8] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI};
  static const uint8_t segment[6] = {REG_ES, REG_CS, REG_SS, REG_DS, REG_FS, REG_GS};
  const greg_t *frame = context->uc_mcontext.gregs;
  for (int i = 0; i < 8; i++)
    out->gpr[i] = (uint32_t)frame[gpr[i]];
  for (int i = 0; i < 6; i++)
    out->segment[i] = (uint16_t)frame[segment[i]];
  out->eflags = (uint32_t)frame[REG_EFL];
  out->eip = (uint32_t)frame[REG_EIP];
  out->trap = (uint32_t)frame[REG_TRAPNO];
  out->error = (uint32_t)frame[REG_ERR];
  out->cr2 = context->uc_mcontext.cr2;
  out->signal = (uint32_t)number;
  out->code = (uint32_t)info->si_code;
  out->address = (uint32_t)info->si_addr;
  /* An FSAVE image of 112 bytes, then the FXSAVE image. */
  enum { FSAVE_SIZE = 112, USED = 288 };
  const uint32_t *image = (const uint32_t *)((const uint8_t *)context->uc_mcontext.fpregs + FSAVE_SIZE);
  for (int i = 0; i < USED / 4; i++)
    ((uint32_t *)&out->fpu)[i] = image[i];
  if (case_ymm)
    take_ymm(out, image);
  return 1;
}

static uint8_t signal_stack[16384] __attribute__((aligned(16)));

/* Frames differ between the two runs, and programs may read anything: what a signal has left goes. */
static void clear_signal_stack(void) {
  enum { USED = 8192 };
  uint32_t count = USED / 4;
  void *from = signal_stack + sizeof signal_stack - USED;
  __asm__ volatile("rep stosl" : "+c"(count), "+D"(from) : "a"(0) : "memory");
}

static void catch_signals(void) {
  struct {
    void *sp;
    int flags;
    uint32_t size;
  } alternate = {signal_stack, 0, sizeof signal_stack};
  check(call3(__NR_sigaltstack, (long)&alternate, 0, 0), 10);
  struct {
    void *handler;
    uint32_t flags;
    void *restorer;
    uint32_t mask[2];
  } action = {(void *)signal_entry,
              SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER,
              (void *)signal_restorer,
              {0, 0}};
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGALRM};
  for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
    check(call6(__NR_rt_sigaction, signals[i], (long)&action, 0, 8, 0, 0), 11);
}

/* --- The machine ---------------------------------------------------------------------------------------- */

static uint16_t make_segment(uint32_t base) {
  struct user_desc area = {.entry_number = -1u,
                           .base_addr = base,
                           .limit = 0xfffff,
                           .seg_32bit = 1,
                           .limit_in_pages = 1,
                           .useable = 1};
  check(call3(__NR_set_thread_area, (long)&area, 0, 0), 12);
  return (uint16_t)(area.entry_number << 3 | 3);
}

static void load_segments(void) {
  __asm__ volatile("mov %0, %%fs\n\tmov %1, %%gs\n\tmov %2, %%es\n\tmov %2, %%ds" ::"r"(case_fs),
                   "r"(case_gs), "r"(0x2b));
}

static void reload_changed_segments(const struct result *result) {
  const uint16_t *s = result->segment;
  if (s[0] != 0x2b || s[3] != 0x2b || s[4] != case_fs || s[5] != case_gs)
    load_segments();
}

/* Four sums over the page, each of which depends on all of it and on the order. */
static void digest(uint32_t sums[4]) {
  const __m128i *at = (const __m128i *)CASE_SCRATCH;
  __m128i sum = _mm_setzero_si128();
  for (int i = 0; i < CASE_PAGE / 16; i++) {
    __m128i turned = _mm_or_si128(_mm_slli_epi32(sum, 5), _mm_srli_epi32(sum, 27));
    sum = _mm_add_epi32(_mm_shuffle_epi32(turned, 0x39), _mm_xor_si128(at[i], _mm_srli_epi32(sum, 15)));
  }
  _mm_storeu_si128((__m128i *)sums, sum);
}

static void copy_page(void *to, const void *from) {
  uint32_t count = CASE_PAGE / 4;
  __asm__ volatile("rep movsl" : "+c"(count), "+D"(to), "+S"(from) : : "memory");
}

static void execute(const struct job_program *program, const struct job_state *state, struct result *result) {
  copy_page((void *)CASE_SCRATCH, JOB->page[state->page]);
  if (JOB->keep_exit)
    *(volatile uint32_t *)(CASE_SCRATCH + EXIT_OFFSET) = program->exit;
  for (int i = 0; i < 8; i++)
    case_gpr[i] = program->role[i] == ROLE_EXIT ? program->exit : state->gpr[program->role[i]][i];
  case_eflags = state->eflags;
  case_entry = program->entry;
  case_fpu = &state->fpu;
  case_ymm = JOB->use_ymm ? state->ymm_high : NULL;
  case_result = result;
  result->eip = program->exit;
  result->signal = result->code = result->address = result->trap = result->error = result->cr2 = 0;
  enter_case();
  if (result->signal)
    clear_signal_stack();
  reload_changed_segments(result);
  digest(result->memory_digest);
}

/* New code: a new mapping, which drops what was made of the old. Populated, because the error code of a page
 * fault says whether the page was there. */
static void map_code(void) {
  enum { OFFSET = offsetof(struct job, code) };
  map(CODE_ADDRESS, CODE_PAGES * CASE_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_POPULATE, JOB_FD, OFFSET,
      20);
  for (uint32_t i = 0; i < EDGE_PAGES; i++)
    map(EDGE_ADDRESS + i * EDGE_STRIDE, CASE_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_POPULATE, JOB_FD,
        OFFSET + (CODE_PAGES + i) * CASE_PAGE, 21);
}

/* Results that are still to be written; the last one is that of execution `at`. */
static struct {
  struct result result[16];
  uint32_t count;
} pending;

static void flush(uint32_t at) {
  const uint32_t size = sizeof pending.result[0];
  put(offsetof(struct results, result) + (at + 1 - pending.count) * size, pending.result,
      pending.count * size);
  CONTROL->written = at + 1;
  pending.count = 0;
}

static void execute_job(void) {
  uint32_t at = 0;
  pending.count = 0;
  map_code();
  for (uint32_t p = 0; p < JOB->program_count; p++) {
    const struct job_program *program = &JOB->program[p];
    for (uint32_t s = 0; s < program->state_count; s++, at++) {
      if (at < JOB->first_execution)
        continue;
      CONTROL->execution = at;
      struct result *result = &pending.result[pending.count++];
      if (JOB->skip[at])
        result->signal = SIGNAL_SKIPPED;
      else
        execute(program, &JOB->state[program->first_state + s], result);
      if (pending.count == sizeof pending.result / sizeof pending.result[0])
        flush(at);
      if (JOB->keep_memory && at < KEPT_PAGES)
        put(offsetof(struct results, memory) + at * CASE_PAGE, (void *)CASE_SCRATCH, CASE_PAGE);
    }
  }
  if (pending.count)
    flush(at - 1);
}

/* Programs come to know the address that they end at, and may jump anywhere near it: there, everything else
 * is `hlt`, which faults. */
static uint32_t make_exit(void) {
  enum { HLT = 0xf4, JUMP = 0xe9, AT = 0x7f0, JUMP_LENGTH = 5 };
  const uint32_t exit = EXIT_ADDRESS + AT, distance = (uint32_t)leave_case - (exit + JUMP_LENGTH);
  map(EXIT_ADDRESS, CASE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, 24);
  uint8_t *page = (uint8_t *)EXIT_ADDRESS;
  for (uint32_t i = 0; i < CASE_PAGE; i++)
    page[i] = HLT;
  page[AT] = JUMP;
  for (int i = 0; i < 4; i++)
    page[AT + 1 + i] = (uint8_t)(distance >> 8 * i);
  check(call3(__NR_mprotect, EXIT_ADDRESS, CASE_PAGE, PROT_READ | PROT_EXEC), 25);
  return exit;
}

/* Everything but this program's own image goes: the kernel's stack, the vDSO. The image's pages are read
 * once, as others are populated. */
static void empty_address_space(void) {
  extern uint8_t __executable_start[], _end[];
  const uint32_t first = 0x10000, last = 0xffffe000, page = CASE_PAGE;
  uint32_t start = (uint32_t)__executable_start & -page, end = ((uint32_t)_end + page - 1) & -page;
  check(call3(__NR_munmap, (long)first, (long)(start - first), 0), 13);
  check(call3(__NR_munmap, (long)end, (long)(last - end), 0), 14);
  for (uint32_t at = start; at < end; at += page)
    (void)*(volatile uint8_t *)at;
}

__attribute__((used)) _Noreturn void run(void) {
  empty_address_space();
  map(JOB_ADDRESS, sizeof(struct job), PROT_READ, MAP_SHARED | MAP_POPULATE, JOB_FD, 0, 15);
  map(CONTROL_ADDRESS, CASE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, RESULT_FD, 0, 16);
  map(CASE_SCRATCH, CASE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, 17);
  map(READ_ONLY_ADDRESS, CASE_PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, JOB_FD, offsetof(struct job, page),
      18);
  case_fs = make_segment(CASE_SCRATCH);
  case_gs = make_segment(CASE_SCRATCH + CASE_GS_BASE);
  load_segments();
  catch_signals();
  CONTROL->exit_routine = make_exit();
  for (;;) {
    char byte = 0;
    check(call3(__NR_write, 1, (long)&byte, 1), 19);
    long got = call3(__NR_read, 0, (long)&byte, 1);
    if (got != 1)
      quit(got < 0 ? 22 : 0);
    execute_job();
  }
}
