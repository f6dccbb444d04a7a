/* Executes each instruction of a list from a table of states, and prints a sum over all that it leaves
 * behind: registers, defined flags, x87, MMX and SSE state, memory, and which signal it ended in. The list is
 * test/isafuzz's: isafuzz --forms.
 *
 * Each instruction has a slot of a page of code, followed by a jump to `leave`. `enter` loads the whole state
 * and jumps there. Memory operands lie in a page with nothing mapped around it. */
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct form {
  const char *hex;
  uint32_t undefined; /* bits of EFLAGS */
  const char *text;
};

enum { PAGE = 4096, SCRATCH = 0x20000000, CODE = 0x10000000, SLOT = 32, STATES = 24 };
enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };

struct image {
  uint16_t fcw, fsw;
  uint8_t tags, reserved;
  uint16_t fop;
  uint32_t fip, fcs, fdp, fds, mxcsr, mxcsr_mask;
  uint8_t st[8][16], xmm[8][16], rest[224];
} __attribute__((aligned(16)));

struct state {
  struct image fpu;
  uint32_t gpr[8], eflags;
};

/* For the assembly. */
uint32_t now_gpr[8], now_eflags, now_entry, host_esp;
struct image now_fpu, after_fpu;
static volatile int now_signal;

void enter(void);
void leave(void);
void leave_fault(void);
__asm__(".text\n"
        "enter:\n"
        "  push %ebx; push %ebp; push %esi; push %edi\n"
        "  mov %esp, host_esp\n"
        "  fxrstor now_fpu\n"
        "  pushl now_eflags\n"
        "  popf\n"
        "  mov now_gpr, %eax\n"
        "  mov now_gpr + 4, %ecx\n"
        "  mov now_gpr + 8, %edx\n"
        "  mov now_gpr + 12, %ebx\n"
        "  mov now_gpr + 16, %esp\n"
        "  mov now_gpr + 20, %ebp\n"
        "  mov now_gpr + 24, %esi\n"
        "  mov now_gpr + 28, %edi\n"
        "  jmp *now_entry\n"
        "leave:\n"
        "  mov %eax, now_gpr\n"
        "  mov %ecx, now_gpr + 4\n"
        "  mov %edx, now_gpr + 8\n"
        "  mov %ebx, now_gpr + 12\n"
        "  mov %esp, now_gpr + 16\n"
        "  mov %ebp, now_gpr + 20\n"
        "  mov %esi, now_gpr + 24\n"
        "  mov %edi, now_gpr + 28\n"
        "  mov host_esp, %esp\n"
        "  pushf\n"
        "  popl now_eflags\n"
        "leave_fault:\n"
        "  fxsave after_fpu\n"
        "  fninit\n"
        "  cld\n"
        "  ldmxcsr usual_mxcsr\n"
        "  pop %edi; pop %esi; pop %ebp; pop %ebx\n"
        "  ret\n");
uint32_t usual_mxcsr = 0x1f80;

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)info;
  greg_t *frame = ((ucontext_t *)context)->uc_mcontext.gregs;
  static const uint8_t order[8] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI};
  now_signal = number;
  for (int i = 0; i < 8; i++)
    now_gpr[i] = (uint32_t)frame[order[i]];
  now_eflags = (uint32_t)frame[REG_EFL];
  frame[REG_ESP] = (greg_t)host_esp;
  frame[REG_EIP] = (greg_t)(uintptr_t)leave_fault;
  frame[REG_EFL] = 0x202;
}

/* --- States
 * ------------------------------------------------------------------------------------------------- */

static uint64_t seed = 1;
static uint64_t any(void) { /* splitmix64 */
  uint64_t z = seed += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static uint64_t corner(void) {
  static const uint64_t corners[] = {
      0x0000000000000000, 0xffffffffffffffff, 0x0000000100000001, 0x7fffffff80000000, 0x8000000000000000,
      0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000, 0xfff0000000000001,
      0x000fffffffffffff, 0x3f800000bf800000, 0x7f8000007fc00000, 0x0000000180000001, 0x4f0000005effffff,
      0x41e0000000000000, 0x7fefffffffffffff, 0x00007fff80000001, 0x7f80ff01807fff00, 0x404000003f000000};
  return any() % 3 ? corners[any() % (sizeof corners / sizeof corners[0])] : any();
}

static struct state states[STATES];
static uint8_t pages[STATES][PAGE];

static void make_state(struct state *state, uint8_t page[PAGE], unsigned number) {
  static const uint16_t exponents[] = {0,      1,      0x3fff, 0x4000, 0xbffe, 0x401e,
                                       0x403e, 0x7ffe, 0x7fff, 0xffff, 0xc000, 0x3fbf};
  struct image *fpu = &state->fpu;
  fpu->fcw = (uint16_t)(0x7f | (number & 3) << 10 | (number & 4 ? 0x300 : 0x200));
  fpu->fsw = (uint16_t)((number % 3 ? 6 : 0) << 11);
  fpu->tags = number % 3 ? 0xc0 | (number % 3 == 2 ? 0x3f : 0) : 0;
  fpu->mxcsr = 0x1f80 | (number & 3) << 13 | (number % 5 == 0 ? 0x8040 : 0);
  for (int i = 0; i < 8; i++) {
    uint64_t significand = corner() | (number & 1 ? 1ull << 63 : 0);
    uint16_t exponent = exponents[any() % (sizeof exponents / sizeof exponents[0])];
    memcpy(fpu->st[i], &significand, 8);
    memcpy(fpu->st[i] + 8, &exponent, 2);
    for (int half = 0; half < 16; half += 8) {
      uint64_t value = corner();
      memcpy(fpu->xmm[i] + half, &value, 8);
    }
  }
  for (unsigned at = 0; at < PAGE; at += 8) {
    uint64_t value = corner();
    memcpy(page + at, &value, 8);
  }
  const uint32_t in_page = SCRATCH + 0x400 + 16 * number;
  const uint32_t gpr[8] = {
      [EAX] = (uint32_t)corner(),       [ECX] = (uint32_t)(number % 4 ? any() % 34 : corner()),
      [EDX] = (uint32_t)corner(),       [EBX] = in_page,
      [ESP] = SCRATCH + 0xc00,          [EBP] = SCRATCH + 0x300,
      [ESI] = SCRATCH + 0x100 + number, [EDI] = SCRATCH + 0x200};
  memcpy(state->gpr, gpr, sizeof gpr);
  state->eflags = 0x202 | ((uint32_t)any() & 0x8d5) | (number % 7 == 6 ? 0x400 : 0);
}

/* --- Sums
 * --------------------------------------------------------------------------------------------------- */

static uint64_t sum;
static void add(const void *words, size_t size) {
  for (size_t at = 0; at < size; at += 4) {
    uint32_t word;
    memcpy(&word, (const uint8_t *)words + at, 4);
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    sum ^= sum >> 29;
  }
}

static void run(unsigned slot, const struct form *form, const struct state *state, const uint8_t page[PAGE]) {
  memcpy((void *)SCRATCH, page, PAGE);
  memcpy(now_gpr, state->gpr, sizeof now_gpr);
  now_fpu = state->fpu;
  now_eflags = state->eflags;
  now_entry = CODE + slot * SLOT;
  now_signal = 0;
#ifdef CHECKSUMS_YMM
  __asm__ volatile("vzeroupper"); /* the C library leaves there what it likes */
#endif
  enter();
  const uint32_t flags = now_eflags & 0xcd5 & ~form->undefined;
  const uint32_t rest[4] = {after_fpu.fcw | (uint32_t)after_fpu.fsw << 16, after_fpu.tags, after_fpu.mxcsr,
                            (uint32_t)now_signal};
  add(now_gpr, sizeof now_gpr);
  add(&flags, sizeof flags);
  add(rest, sizeof rest);
  for (int i = 0; i < 8; i++) {
    memset(after_fpu.st[i] + 10, 0, 6);
    add(after_fpu.st[i], 16);
  }
  add(after_fpu.xmm, sizeof after_fpu.xmm);
  add((void *)SCRATCH, PAGE);
}

static void write_slot(uint8_t *slot, const struct form *form) {
  unsigned length = 0, value;
  for (const char *hex = form->hex; sscanf(hex, "%2x", &value) == 1; hex += 2)
    slot[length++] = (uint8_t)value;
  const uint32_t distance = (uint32_t)(uintptr_t)leave - ((uint32_t)(uintptr_t)slot + length + 5);
  slot[length++] = 0xe9;
  memcpy(slot + length, &distance, 4);
}

static int print_checksums(const struct form *forms, unsigned count) {
  static uint8_t stack[65536];
  const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
    sigaction(signals[i], &action, NULL);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const size_t size = (count * SLOT + PAGE - 1) / PAGE * PAGE;
  uint8_t *code = mmap((void *)CODE, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (code == MAP_FAILED || mmap((void *)SCRATCH, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
    return 1;
  for (unsigned i = 0; i < count; i++)
    write_slot(code + i * SLOT, &forms[i]);
  if (mprotect(code, size, PROT_READ | PROT_EXEC))
    return 1;
  for (unsigned i = 0; i < STATES; i++)
    make_state(&states[i], pages[i], i);
  for (unsigned i = 0; i < count; i++) {
    sum = 0;
    for (unsigned s = 0; s < STATES; s++)
      run(i, &forms[i], &states[s], pages[s]);
    printf("%016llx %s %s\n", (unsigned long long)sum, forms[i].hex, forms[i].text);
  }
  return 0;
}
