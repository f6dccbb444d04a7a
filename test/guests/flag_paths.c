/* Flags along all ways: random functions of a few blocks, written to memory, that set and read flags, jump to and fro
 * between their blocks, directly and by registers, call, and fault. First without a handler of faults, and then with one that
 * is shown the flags at each. A line is a sum over what some functions did and what their faults showed. Arguments: a seed
 * for other functions, and anything, for which each event is printed.
 * guest-test: link=static
 * guest-test: levels=O2
 * guest-test: runs=1|2045|4035|7001 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { PAGE = 4096, BLOCKS = 9, FUNCTIONS = 160, RUNS = 12, A_LINE = 8, FLAGS = 0x8D5 };
static unsigned char *const code = (unsigned char *)0x20000000;
static unsigned char *const data = (unsigned char *)0x30000000; /* a page, and one that cannot be touched */
static char alternate[65536];

static uint32_t seed, sum;
static int is_verbose;
static uint32_t random_below(uint32_t bound) {
  seed = seed * 1664525 + 1013904223;
  return (seed >> 8) % bound;
}

static void show(const char *what, uint32_t a, uint32_t b) {
  if (is_verbose)
    printf("  %s %x %x\n", what, a, b);
  sum = (sum << 5 | sum >> 27) ^ (a * 0x9E3779B1u + b);
}

/* --- Writing functions --- */

/* eax, ecx, edx and ebx are operands, esi and edi point to the page and to the one behind it, and ebp counts jumps back. */
static unsigned char *at, *start[BLOCKS + 1], *jump[4 * BLOCKS];
static int jump_to[4 * BLOCKS], jumps, can_fault;

static void byte(unsigned value) { *at++ = (unsigned char)value; }
static void word(uint32_t value) {
  memcpy(at, &value, 4);
  at += 4;
}
static unsigned operand(void) { return random_below(4); }

/* ModRM byte and address: a register, the page, or rarely the one behind it. */
static void modrm(unsigned middle) {
  const uint32_t kind = random_below(can_fault ? 12 : 10);
  if (kind < 6) {
    byte(0xC0 | middle << 3 | operand());
    return;
  }
  byte(0x80 | middle << 3 | (kind < 10 ? 6 : 7));
  word(4 * random_below(16));
}

static void address_to_jump(int block) {
  jump[jumps] = at;
  jump_to[jumps++] = block;
  word(0);
}

/* An instruction, or a few that belong together. */
static void instruction(void) {
  const uint32_t kind = random_below(can_fault ? 22 : 20);
  switch (kind) {
  case 0: case 1: case 2: case 3: /* arithmetic: register and register or memory */
    byte(random_below(8) << 3 | 1 | random_below(2) << 1);
    modrm(operand());
    break;
  case 4: case 5: /* with a constant of a byte */
    byte(0x83);
    byte(0xC0 | random_below(8) << 3 | operand());
    byte(random_below(256));
    break;
  case 6: /* of bytes */
    byte(random_below(8) << 3 | 2);
    modrm(random_below(8));
    break;
  case 7: /* of 16 bits */
    byte(0x66);
    byte(random_below(8) << 3 | 3);
    modrm(operand());
    break;
  case 8: /* test */
    byte(0x85);
    modrm(operand());
    break;
  case 9: /* inc, dec */
    byte(0x40 | random_below(2) << 3 | operand());
    break;
  case 10: /* neg */
    byte(0xF7);
    byte(0xD8 | operand());
    break;
  case 11: /* setcc */
    byte(0x0F);
    byte(0x90 | random_below(16));
    byte(0xC0 | random_below(8));
    break;
  case 12: /* cmovcc */
    byte(0x0F);
    byte(0x40 | random_below(16));
    modrm(operand());
    break;
  case 13: case 14: case 15: /* mov, also to memory */
    byte(0x8B - 2 * random_below(2));
    modrm(operand());
    break;
  case 16: /* lea 4(%a,%b),%c */
    byte(0x8D);
    byte(0x44 | operand() << 3);
    byte(operand() << 3 | operand());
    byte(4);
    break;
  case 17: /* push, pop */
    byte(0x50 | operand());
    byte(0x58 | operand());
    break;
  case 18: /* pushf; pop: all flags are read, and those that matter kept */
    byte(0x9C);
    byte(0x58);
    byte(0x25);
    word(FLAGS);
    break;
  case 19: /* call over a function that returns at once, or sets flags */
    byte(0xE8);
    word(2);
    byte(0xEB);
    byte(2);
    byte(random_below(2) ? 0x90 : 0x40 | operand());
    byte(0xC3);
    break;
  default: /* a load that faults */
    byte(0x8B);
    byte(0x80 | operand() << 3 | 7);
    word(8);
    break;
  }
}

/* How a block ends. Forward as it likes; back while ebp lasts. */
static void ending(int block) {
  const int ahead = block + 1 + (int)random_below((uint32_t)(BLOCKS - block));
  int is_return;
  switch (random_below(8)) {
  case 0: case 1: case 2: case 3:
    byte(0x0F);
    byte(0x80 | random_below(16));
    address_to_jump(ahead);
    break;
  case 4:
    byte(0x4D); /* dec %ebp; jg */
    byte(0x0F);
    byte(0x8F);
    address_to_jump((int)random_below((uint32_t)block + 1));
    break;
  case 5:
    byte(0xE9);
    address_to_jump(ahead);
    break;
  case 6: /* mov $block,%edx; jmp *%edx; or push $block; ret */
    is_return = random_below(2);
    byte(is_return ? 0x68 : 0xBA);
    jump[jumps] = at;
    jump_to[jumps++] = ~ahead;
    word(0);
    byte(is_return ? 0xC3 : 0xFF);
    if (!is_return)
      byte(0xE2);
    break;
  default:
    break;
  }
}

static void write_function(void) {
  at = code;
  jumps = 0;
  for (int b = 0; b < BLOCKS; b++) {
    start[b] = at;
    for (uint32_t n = random_below(6); n > 0; n--)
      instruction();
    ending(b);
  }
  start[BLOCKS] = at;
  byte(0xC3);
  for (int j = 0; j < jumps; j++) {
    const int to = jump_to[j];
    const uint32_t value = to < 0 ? (uint32_t)start[~to] : (uint32_t)(start[to] - (jump[j] + 4));
    memcpy(jump[j], &value, 4);
  }
}

/* --- Running them --- */

struct registers {
  uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, eflags;
};
struct registers in, result;
uint32_t target;
void run_function(void);
__asm__(".text\n.globl run_function\n"
        "run_function:\n"
        "  pusha\n"
        "  pushl in+32\n"
        "  popf\n"
        "  mov in+0,%edi\n  mov in+4,%esi\n  mov in+8,%ebp\n"
        "  mov in+16,%ebx\n  mov in+20,%edx\n  mov in+24,%ecx\n  mov in+28,%eax\n"
        "  call *target\n"
        "  pushf\n"
        "  popl result+32\n"
        "  mov %ebp,result+8\n"
        "  mov %ebx,result+16\n  mov %edx,result+20\n  mov %ecx,result+24\n  mov %eax,result+28\n"
        "  popa\n"
        "  ret\n");

/* The length of an instruction with the address disp32(%edi), which is all that faults. */
static uint32_t length_of(const unsigned char *insn) {
  const unsigned char *p = insn;
  p += *p == 0x66;
  p += *p == 0x0F;
  return (uint32_t)(p + 2 + 4 - insn);
}

static void on_fault(int number, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  show("fault", (uint32_t)r[REG_EIP] - (uint32_t)code, (uint32_t)(uintptr_t)info->si_addr + (uint32_t)number);
  show(" eflags, eax", (uint32_t)r[REG_EFL] & FLAGS, (uint32_t)r[REG_EAX]);
  show(" ecx, edx", (uint32_t)r[REG_ECX], (uint32_t)r[REG_EDX]);
  show(" ebx, ebp", (uint32_t)r[REG_EBX], (uint32_t)r[REG_EBP]);
  r[REG_EIP] += (greg_t)length_of((const unsigned char *)r[REG_EIP]);
}

static void show_code(const char *name, int function) {
  printf("%s function %d:", name, function);
  for (const unsigned char *p = code; p < at; p++)
    printf(" %02x", *p);
  printf("\n");
}

static void run_functions(const char *name) {
  for (int f = 0; f < FUNCTIONS; f++) {
    write_function();
    if (is_verbose)
      show_code(name, f);
    for (int run = 0; run < RUNS; run++) {
      for (int i = 0; i < 64; i += 4) {
        const uint32_t value = random_below(3) ? random_below(1 << 24) * 257 : random_below(3) - 1;
        memcpy(data + i, &value, 4);
      }
      in = (struct registers){.edi = (uint32_t)data + PAGE, .esi = (uint32_t)data, .ebp = 1 + random_below(9),
                              .ebx = random_below(5) - 2, .edx = random_below(1 << 24) * 999, .ecx = random_below(300),
                              .eax = random_below(2) ? 0x7FFFFFFF + random_below(3) : random_below(9), .eflags = 2};
      target = (uint32_t)code;
      run_function();
      show("eflags, eax", result.eflags & FLAGS, result.eax);
      show("ecx, edx", result.ecx, result.edx);
      show("ebx, ebp", result.ebx, result.ebp);
      for (int i = 0; i < 64; i += 8)
        show("data", *(uint32_t *)(data + i), *(uint32_t *)(data + i + 4));
    }
    if (f % A_LINE == A_LINE - 1)
      printf("%s %d: %08x\n", name, f, (unsigned)sum);
  }
}

int main(int argc, char **argv) {
  const uint32_t first_seed = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1;
  is_verbose = argc > 2;
  mmap(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mmap(data, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mmap(data + PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  seed = first_seed;
  run_functions("without faults");
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  can_fault = 1;
  seed = first_seed + 1;
  run_functions("with faults");
  return 0;
}
