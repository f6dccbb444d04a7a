/* Every x87 and SSE arithmetic instruction over all pairs of corner operands, in every rounding and precision
 * mode: zeros, denormals, pseudo-denormals, unnormals, ends of the ranges, infinities and pseudo-infinities,
 * NaNs quiet, signalling and pseudo. Each line is a sum over results, status words and flags.
 *
 * The code for an instruction is written at run time, one small function each, so that the operands are what
 * they are and no compiler comes in between.
 *
 * guest-test: flags=-msse2
 * guest-test: link=static
 * guest-test: levels=O2 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct extended {
  uint64_t significand;
  uint16_t exponent;
} __attribute__((packed));

static const struct extended extended[] = {
    {0, 0},
    {0, 0x8000},
    {0x8000000000000000, 0x3fff},
    {0x8000000000000000, 0xbfff},
    {0xc90fdaa22168c235, 0x4000},
    {0xb504f333f9de6484, 0x3fff},
    {1, 0},
    {0x7fffffffffffffff, 0x8000},
    {0x8000000000000000, 0},
    {0xffffffffffffffff, 0},
    {0x8000000000000000, 1},
    {0xffffffffffffffff, 0x7ffe},
    {0xffffffffffffffff, 0xfffe},
    {0x4000000000000000, 0x3fff},
    {0, 0x3fff},
    {0x7fffffffffffffff, 0x7ffe},
    {0x8000000000000000, 0x7fff},
    {0x8000000000000000, 0xffff},
    {0, 0x7fff},
    {0xc000000000000000, 0x7fff},
    {0xc000000000000000, 0xffff},
    {0xffffffffffffffff, 0x7fff},
    {0x8000000000000001, 0x7fff},
    {0xa000000000000000, 0xffff},
    {0x4000000000000000, 0x7fff},
    {0x7fffffffffffffff, 0xffff},
    {0xffffff0000000000, 0x3ffe},
    {0xffffffffffffff00, 0x3f80},
    {0xfffffffffffffc00, 0x3c00},
    {0xffffffffffffffff, 0x407e},
    {0xffffffffffffffff, 0x43fe},
    {0x8000000000000000, 0x401e},
    {0x8000000000000000, 0xc01e},
    {0xfffffffe00000000, 0x401d},
    {0x8000000000000000, 0xc03e},
    {0xffffffffffffffff, 0x403d},
    {0x8000000000000000, 0x3ffe},
    {0x8000000000000001, 0x3fff},
    {0x8000000000000000, 0x3fbe},
    {0x8000000000000000, 0x4003},
};

static const uint32_t singles[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x40490fdb, 0x00000001, 0x807fffff, 0x00800000,
    0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xffbfffff,
    0x3f7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x3f000000, 0x3fc00000, 0x00ffffff, 0x7e800000,
};
static const uint64_t doubles[] = {
    0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x400921fb54442d18,
    0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0xffefffffffffffff,
    0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001, 0x7ff0000000000001,
    0xfff7ffffffffffff, 0x3fefffffffffffff, 0x41dfffffffc00000, 0xc1e0000000000000, 0x41e0000000000000,
    0x3fe0000000000000, 0x36a0000000000000, 0x47efffffffffffff, 0x7fe0000000000000,
};

static uint64_t sum;
static void add(const void *bytes, size_t size) {
  for (const uint8_t *at = bytes; size--; at++)
    sum = (sum ^ *at) * 0x100000001b3;
}

/* --- Code -------------------------------------------------------------------------------------------------
 */

/* What the code reads and writes. */
static struct {
  struct extended a, b;
  uint16_t control, status, status2;
  struct extended result[2];
  uint32_t flags, mxcsr, general;
  uint8_t memory[16];
  uint8_t x[16] __attribute__((aligned(16))), y[16] __attribute__((aligned(16)));
} io __attribute__((aligned(16)));

static uint8_t *code, *at;

static void bytes(const char *hex) {
  for (unsigned value; sscanf(hex, "%2x", &value) == 1; hex += 2)
    *at++ = (uint8_t)value;
}

/* An instruction with an absolute address as operand: opcode bytes up to ModRM. */
static void access(const char *hex, const void *operand) {
  uint32_t address = (uint32_t)(uintptr_t)operand;
  bytes(hex);
  memcpy(at, &address, 4);
  at += 4;
}

/* --- x87
 * ---------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name, *hex;
  int operands; /* b is st0; a, if there are two, st1 */
} x87[] = {
    {"fadd", "d8c1", 2},   {"fadd to st1", "dcc1", 2}, {"fmul", "d8c9", 2},    {"fsub", "d8e1", 2},
    {"fsubr", "d8e9", 2},  {"fdiv", "d8f1", 2},        {"fdivr", "d8f9", 2},   {"faddp", "dec1", 2},
    {"fdivrp", "def1", 2}, {"fsqrt", "d9fa", 1},       {"frndint", "d9fc", 1}, {"fabs", "d9e1", 1},
    {"fchs", "d9e0", 1},   {"fxam", "d9e5", 1},        {"ftst", "d9e4", 1},    {"fxtract", "d9f4", 1},
    {"fscale", "d9fd", 2}, {"fprem", "d9f8", 2},       {"fprem1", "d9f5", 2},  {"fcom", "d8d1", 2},
    {"fcomp", "d8d9", 2},  {"fcompp", "ded9", 2},      {"fucom", "dde1", 2},   {"fucompp", "dae9", 2},
    {"fcomi", "dbf1", 2},  {"fucomi", "dbe9", 2},      {"fucomip", "dfe9", 2},
};
/* From and to memory. */
static const struct {
  const char *name, *hex;
  bool reads; /* the operand: else it stores st0 */
} x87_memory[] = {
    {"fst m32", "d915", 0},    {"fst m64", "dd15", 0},    {"fist m16", "df15", 0},
    {"fist m32", "db15", 0},   {"fistp m64", "df3d", 0},  {"fbstp", "df35", 0},
    {"fisttp m16", "df0d", 0}, {"fisttp m32", "db0d", 0}, {"fisttp m64", "dd0d", 0},
    {"fadd m32", "d805", 1},   {"fadd m64", "dc05", 1},   {"fmul m32", "d80d", 1},
    {"fmul m64", "dc0d", 1},   {"fsub m32", "d825", 1},   {"fsubr m64", "dc2d", 1},
    {"fdiv m32", "d835", 1},   {"fdivr m64", "dc3d", 1},  {"fcom m32", "d815", 1},
    {"fcom m64", "dc15", 1},   {"fiadd m16", "de05", 1},  {"fidiv m32", "da35", 1},
    {"fidivr m16", "de3d", 1}, {"ficom m32", "da15", 1},  {"fild m64", "df2d", 1},
    {"fld m32", "d905", 1},    {"fld m64", "dd05", 1},
};

/* Loads the operands, runs the instruction, stores the status before anything is popped, then the flags and
 * both registers. */
static void write_x87(const char *hex, const void *operand, int operands) {
  at = code;
  bytes("dbe3");
  access("d92d", &io.control);
  if (operands == 2)
    access("db2d", &io.a);
  access("db2d", &io.b);
  bytes("31c09e"); /* flags that are known; ah is 0 */
  if (operand)
    access(hex, operand);
  else
    bytes(hex);
  bytes("9c"); /* pushf */
  access("8f05", &io.flags);
  access("dd3d", &io.status);
  access("db3d", &io.result[0]);
  access("db3d", &io.result[1]);
  access("dd3d", &io.status2);
  bytes("dbe3c3");
}

static void run_x87(unsigned control) {
  io.control = (uint16_t)control;
  memset(io.result, 0, sizeof io.result);
  ((void (*)(void))code)();
  io.flags &= 0x8d5;
  add(&io.status, 2);
  add(&io.status2, 2);
  add(&io.flags, 4);
  add(io.result, sizeof io.result);
  add(io.memory, 10);
}

static void over_operands(int operands, unsigned control) {
  for (unsigned i = 0; i < COUNT(extended); i++)
    for (unsigned j = 0; j < (operands == 2 ? COUNT(extended) : 1); j++) {
      io.b = extended[i];
      io.a = extended[j];
      memset(io.memory, 0, sizeof io.memory);
      run_x87(control);
    }
}

static void over_memory(unsigned control) {
  for (unsigned i = 0; i < COUNT(extended); i++)
    for (unsigned j = 0; j < COUNT(doubles) + COUNT(singles); j++) {
      io.b = extended[i];
      if (j < COUNT(doubles))
        memcpy(io.memory, &doubles[j], 8);
      else
        memcpy(io.memory, &singles[j - COUNT(doubles)], 4);
      run_x87(control);
    }
}

static void all_x87(void) {
  enum { MASKED = 0x7f, MODES = 16 }; /* precision, then rounding */
  for (unsigned i = 0; i < COUNT(x87); i++) {
    write_x87(x87[i].hex, NULL, x87[i].operands);
    for (unsigned mode = 0; mode < MODES; mode++) {
      sum = 0;
      over_operands(x87[i].operands, MASKED | mode << 8);
      printf("%-12s %04x %016llx\n", x87[i].name, MASKED | mode << 8, (unsigned long long)sum);
    }
  }
  for (unsigned i = 0; i < COUNT(x87_memory); i++) {
    write_x87(x87_memory[i].hex, io.memory, 1);
    for (unsigned mode = 0; mode < MODES; mode++) {
      sum = 0;
      if (x87_memory[i].reads)
        over_memory(MASKED | mode << 8);
      else
        over_operands(1, MASKED | mode << 8);
      printf("%-12s %04x %016llx\n", x87_memory[i].name, MASKED | mode << 8, (unsigned long long)sum);
    }
  }
}

/* --- SSE, SSE2
 * ---------------------------------------------------------------------------------------------- */

static const char *const sse_prefix[] = {"", "66", "f3", "f2"}; /* ps, pd, ss, sd */
static const struct {
  const char *name, *hex;
  uint8_t prefixes; /* which of them */
  int immediate;    /* the last one, from 0; -1: none */
} sse[] = {
    {"add", "58", 15, -1},    {"mul", "59", 15, -1},   {"sub", "5c", 15, -1},    {"min", "5d", 15, -1},
    {"div", "5e", 15, -1},    {"max", "5f", 15, -1},   {"sqrt", "51", 15, -1},   {"cmp", "c2", 15, 7},
    {"cvt 5a", "5a", 15, -1}, {"cvt 5b", "5b", 7, -1}, {"cvt e6", "e6", 14, -1}, {"comi", "2f", 3, -1},
    {"ucomi", "2e", 3, -1},
};
/* To general registers (eax) and MMX (mm0, stored by movq). */
static const struct {
  const char *name, *hex;
} to_integer[] = {
    {"cvtss2si", "f30f2dc1"}, {"cvttss2si", "f30f2cc1"}, {"cvtsd2si", "f20f2dc1"}, {"cvttsd2si", "f20f2cc1"}};

static void write_sse(const char *hex, int immediate) {
  at = code;
  access("0fae15", &io.mxcsr);
  access("0f2805", io.x);
  access("0f280d", io.y);
  bytes("31c09e");
  bytes(hex);
  if (immediate >= 0)
    *at++ = (uint8_t)immediate;
  bytes("9c");
  access("8f05", &io.flags);
  access("0f2905", io.x);
  access("0fae1d", &io.mxcsr);
  access("a3", &io.general);
  *at++ = 0xc3;
}

static void run_sse(unsigned mxcsr) {
  io.mxcsr = mxcsr;
  ((void (*)(void))code)();
  io.flags &= 0x8d5;
  add(io.x, 16);
  add(&io.flags, 4);
  add(&io.mxcsr, 4);
  add(&io.general, 4);
}

static void over_pairs(unsigned mxcsr, bool is_double) {
  for (unsigned i = 0; i < COUNT(doubles); i++)
    for (unsigned j = 0; j < COUNT(doubles); j++) {
      for (unsigned k = 0; k < 4; k++) {
        unsigned p = (i + k * 5) % COUNT(doubles), q = (j + k * 7) % COUNT(doubles);
        if (is_double && k < 2) {
          memcpy(io.x + 8 * k, &doubles[p], 8);
          memcpy(io.y + 8 * k, &doubles[q], 8);
        } else if (!is_double) {
          memcpy(io.x + 4 * k, &singles[p], 4);
          memcpy(io.y + 4 * k, &singles[q], 4);
        }
      }
      run_sse(mxcsr);
    }
}
_Static_assert(COUNT(singles) == COUNT(doubles), "one loop for both");

static void over_modes(const char *name, const char *prefix, const char *hex, int immediate, bool is_double) {
  enum { MASKED = 0x1f80, FTZ = 0x8000, DAZ = 0x40, MODES = 16 };
  write_sse(hex, immediate);
  for (unsigned mode = 0; mode < MODES; mode++) {
    unsigned mxcsr = MASKED | (mode & 3) << 13 | (mode & 4 ? FTZ : 0) | (mode & 8 ? DAZ : 0);
    sum = 0;
    over_pairs(mxcsr, is_double);
    printf("%-9s %2s %2d %04x %016llx\n", name, prefix, immediate, mxcsr, (unsigned long long)sum);
  }
}

static void all_sse(void) {
  for (unsigned i = 0; i < COUNT(sse); i++)
    for (unsigned p = 0; p < 4; p++) {
      if (!(sse[i].prefixes >> p & 1))
        continue;
      char hex[16];
      snprintf(hex, sizeof hex, "%s0f%sc1", sse_prefix[p], sse[i].hex);
      for (int immediate = sse[i].immediate < 0 ? -1 : 0; immediate <= sse[i].immediate; immediate++)
        over_modes(sse[i].name, sse_prefix[p], hex, immediate, p & 1);
    }
  for (unsigned i = 0; i < COUNT(to_integer); i++)
    over_modes(to_integer[i].name, "", to_integer[i].hex, -1, i >= 2);
}

int main(void) {
  enum { CODE_SIZE = 4096 };
  code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED)
    return 1;
  all_x87();
  all_sse();
  return 0;
}
