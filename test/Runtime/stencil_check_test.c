/* The check that makes faults precise, on host code written by hand: what it must refuse, what it must let
 * pass, and what it is known not to see. */
/* clang-format off: cmocka.h needs these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "Runtime/jit_internal.h"

static const char *check(const uint8_t *bytes, size_t size) {
  struct stencil_code code = {.code = bytes, .size = (uint16_t)size};
  return stencil_check(&code);
}
#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})
#define GOOD(...) assert_null(check(BYTES(__VA_ARGS__)))
#define BAD(...) assert_non_null(check(BYTES(__VA_ARGS__)))

/* Pieces of code. Guest memory is what a register but rsp addresses. */
#define LOAD_TO_EAX 0x67, 0x8B, 0x01         /* mov (%ecx),%eax */
#define LOAD_TO_R10 0x67, 0x44, 0x8B, 0x11   /* mov (%ecx),%r10d */
#define STORE_EAX 0x67, 0x89, 0x01           /* mov %eax,(%ecx) */
#define SET_CF 0x65, 0xC6, 0x04, 0x25, 36, 0, 0, 0, 1       /* movb $1,%gs:36 */
#define SET_ARGUMENT 0x65, 0x89, 0x04, 0x25, 88, 0, 0, 0    /* mov %eax,%gs:88: helper_argument */
#define READ_FS_BASE 0x65, 0x44, 0x8B, 0x14, 0x25, 64, 0, 0, 0 /* mov %gs:64,%r10d */
#define INC(rm) 0xFF, 0xC0 | (rm)            /* inc %eax … */
#define CALL 0xE8, 0, 0, 0, 0
#define SWAP_ESI 0x4C, 0x87, 0xCE            /* xchg %r9,%rsi */
#define SWAP_EDI 0x4C, 0x87, 0xE7            /* xchg %r12,%rdi */

static void registers_after_the_access(void **state) {
  (void)state;
  GOOD(LOAD_TO_EAX);
  GOOD(LOAD_TO_R10, INC(0), SET_CF);
  GOOD(LOAD_TO_R10, STORE_EAX, INC(1));
  GOOD(INC(0), INC(1), SET_CF);               /* no access at all */
  GOOD(0x67, 0x01, 0x01, SET_CF);             /* add %eax,(%ecx) */
  GOOD(0x66, 0x67, 0x0F, 0x6F, 0x01);         /* movdqa (%ecx),%xmm0 */
}

static void registers_before_the_access(void **state) {
  (void)state;
  static const uint8_t pinned[] = {0, 1, 2, 6, 7}; /* eax ecx edx esi edi */
  for (unsigned i = 0; i < sizeof pinned; i++)
    BAD(INC(pinned[i]), LOAD_TO_R10);
  BAD(0x41, INC(0), LOAD_TO_R10);             /* r8d */
  BAD(0x41, INC(1), LOAD_TO_R10);             /* r9d */
  BAD(0x41, INC(4), LOAD_TO_R10);             /* r12d */
  BAD(0x41, INC(7), LOAD_TO_R10);             /* r15d: the zero */
  BAD(0xB0, 1, LOAD_TO_R10);                  /* mov $1,%al: part of one */
  BAD(0xB4, 1, LOAD_TO_R10);                  /* mov $1,%ah */
  BAD(0x0F, 0x57, 0xFF, LOAD_TO_R10);         /* xorps %xmm7,%xmm7 */
  BAD(0xF7, 0xE2, LOAD_TO_R10);               /* mul %edx writes eax and edx without naming them */
  BAD(LOAD_TO_EAX, STORE_EAX);                /* a load that is not the last access */
  BAD(INC(0), STORE_EAX);
  BAD(INC(0), 0x67, 0xD9, 0x01);              /* flds (%ecx) */
  BAD(INC(0), 0xA1, 0, 0, 0, 0, 0, 0, 0, 0);  /* movabs 0,%eax */
}

static void temporaries_are_free(void **state) {
  (void)state;
  GOOD(0x41, INC(2), LOAD_TO_EAX);            /* r10d */
  GOOD(0x41, INC(3), LOAD_TO_EAX);            /* r11d */
  GOOD(0x41, INC(6), LOAD_TO_EAX);            /* r14d: the temporary */
  GOOD(0x41, INC(5), LOAD_TO_EAX);            /* r13d: eip to go on at */
  GOOD(0x45, 0x0F, 0x57, 0xC0, LOAD_TO_EAX);  /* xorps %xmm8,%xmm8 */
  GOOD(0x85, 0xC0, LOAD_TO_EAX);              /* test: the host's flags are nobody's */
}

static void the_register_file(void **state) {
  (void)state;
  BAD(SET_CF, LOAD_TO_EAX);                   /* a flag */
  GOOD(SET_ARGUMENT, LOAD_TO_EAX);            /* a helper's argument is no state */
  GOOD(READ_FS_BASE, LOAD_TO_EAX);            /* reading is all right */
  BAD(0x65, 0x89, 0x0C, 0x25, 0, 0, 0, 0, LOAD_TO_EAX); /* mov %ecx,%gs:0 */
}

static void what_is_no_access(void **state) {
  (void)state;
  GOOD(INC(0), 0x67, 0x8D, 0x41, 4);          /* lea 4(%ecx),%eax */
  GOOD(INC(0), 0x0F, 0x1F, 0x40, 0);          /* nop 0(%rax) */
  GOOD(INC(0), 0x48, 0x89, 0x44, 0x24, 0xF8); /* mov %rax,-8(%rsp): the frame stack */
  GOOD(INC(0), 0x8B, 0x05, 0, 0, 0, 0);       /* mov 0(%rip),%eax: a constant */
}

static void calls(void **state) {
  (void)state;
  GOOD(STORE_EAX, INC(6), CALL, LOAD_TO_EAX); /* the callee found whole state, and leaves whole state */
  BAD(STORE_EAX, CALL, INC(6), LOAD_TO_EAX);
}

static void strings(void **state) {
  (void)state;
  GOOD(SWAP_ESI, SWAP_EDI, 0xF3, 0x67, 0xA4, SWAP_ESI, SWAP_EDI); /* rep movsb */
  BAD(0xF3, 0x67, 0xA4);                      /* on the wrong registers */
  BAD(0x67, 0xAA);                            /* stosb */
}

static void loops_of_exchange(void **state) {
  (void)state;
  /* mov (%edx),%eax; lea 1(%rax),%r10d; lock cmpxchg %r10d,(%edx): eax is its comparand */
  GOOD(0x67, 0x8B, 0x02, 0x44, 0x8D, 0x50, 0x01, 0xF0, 0x67, 0x44, 0x0F, 0xB1, 0x12);
}

static bool changes_flags(const uint8_t *bytes, size_t size) {
  const struct stencil_code code = {.code = bytes, .size = (uint16_t)size};
  return stencil_changes_flags(&code);
}
#define CHANGES_FLAGS(...)                                                                                   \
  changes_flags((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Between an instruction that sets flags and those that read them. */
static void neutral_code(void **state) {
  (void)state;
  assert_false(
      CHANGES_FLAGS(0x67, 0x8B, 0x02, 0x44, 0x8D, 0x50, 0x01)); /* mov (%edx),%eax; lea 1(%rax),%r10d */
  assert_false(
      CHANGES_FLAGS(0xD9, 0xC9, 0xDD, 0xD8, 0x0F, 0x28, 0xC1));    /* fxch; fstp %st(0); movaps %xmm1,%xmm0 */
  assert_false(CHANGES_FLAGS(0x0F, 0x95, 0xC0, 0x0F, 0x44, 0xC1)); /* setne %al; cmove %ecx,%eax: they read */
  assert_true(CHANGES_FLAGS(0x67, 0x8B, 0x02, 0x31, 0xC9));        /* …; xor %ecx,%ecx */
  assert_true(CHANGES_FLAGS(0xFF, 0xC0));                          /* inc %eax: all but one */
  assert_true(CHANGES_FLAGS(0xD3, 0xE0));                          /* shl %cl,%eax: perhaps */
  assert_true(CHANGES_FLAGS(0xDB, 0xF1));                          /* fcomi %st(1) */
  assert_true(CHANGES_FLAGS(0x06));                                /* nonsense */
  const struct stencil_reloc helper = {.kind = RELOC_PC32, .symbol = STENCIL_HELPER};
  const struct stencil_code jump = {
      .code = (const uint8_t[]){0xE9, 0, 0, 0, 0}, .size = 5, .reloc = &helper, .reloc_count = 1};
  assert_true(stencil_changes_flags(&jump));
}

static void nonsense(void **state) {
  (void)state;
  BAD(0x06);                                  /* push %es: not in 64-bit mode */
  BAD(0x67, 0x8B);                            /* cut short */
  GOOD(0x90);
  struct stencil_code none = {.size = 0};
  assert_null(stencil_check(&none));
}

/* The check reads straight on. Code that branches is judged as if it did not, which is on the safe side … */
static void branches_are_read_straight(void **state) {
  (void)state;
  BAD(0x74, 0x02, INC(0), LOAD_TO_EAX);       /* je over the inc: right one way, wrong the other */
  BAD(0xEB, 0x02, INC(0), LOAD_TO_EAX);       /* never wrong, refused all the same */
}

/* … but for a jump back, which no lifted instruction makes but the loops above. */
static void known_not_seen(void **state) {
  (void)state;
  GOOD(LOAD_TO_R10, INC(0), 0x75, 0xF8);      /* 1: mov (%ecx),%r10d; inc %eax; jne 1b */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(registers_after_the_access),
      cmocka_unit_test(registers_before_the_access),
      cmocka_unit_test(temporaries_are_free),
      cmocka_unit_test(the_register_file),
      cmocka_unit_test(what_is_no_access),
      cmocka_unit_test(calls),
      cmocka_unit_test(strings),
      cmocka_unit_test(loops_of_exchange),
      cmocka_unit_test(nonsense),
      cmocka_unit_test(neutral_code),
      cmocka_unit_test(branches_are_read_straight),
      cmocka_unit_test(known_not_seen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
