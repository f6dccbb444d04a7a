/* Every form of every instruction that the lifter knows becomes a stencil that keeps the rules of
 * precise faults (Runtime/jit_check.c), whatever its operands are: each opcode is tried with a
 * register, plain and scaled memory operands, a lone displacement, fs, and 16-bit addresses, under each
 * prefix, with all flags needed and with none. */
/* clang-format off: cmocka.h needs these before it */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "Frontend/lift.h"
#include "Runtime/jit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 512, SEEN_BITS = 18, CODE = 0x8048000 };

struct state {
  struct stencil_source batch[BATCH];
  unsigned count, made, refused;
  uint64_t seen[1 << SEEN_BITS];
};

static void made(void *context, const struct stencil_code *stencil) {
  (void)stencil;
  ((struct state *)context)->made++;
}

static void refused(void *context, const struct stencil_source *source, const char *why) {
  struct state *state = context;
  state->refused++;
  const struct insn *insn = &source->insn[0];
  fprintf(stderr, "%s", insn_name(&insn->form));
  for (unsigned i = 0; i < 4 && insn->form.op[i].kind; i++) {
    const struct operand *op = &insn->form.op[i];
    fprintf(stderr, " kind%u/%u:%u+%u*%u%s%s", op->kind, op->size, op->reg, op->index, op->scale,
            op->segment ? " fs" : "", op->has_disp ? " disp" : "");
  }
  fprintf(stderr, " attributes %02x live %02x: %s\n", insn->form.attributes, source->live, why);
}

static void flush(struct state *state) {
  const struct stencil_sink sink = {.context = state, .made = made, .refused = refused};
  assert_int_equal(jit_compile_stencils(state->batch, state->count, &sink), 0);
  state->count = 0;
}

static bool is_new(struct state *state, uint64_t hash) {
  for (uint64_t i = hash;; i++) {
    uint64_t *entry = &state->seen[i & ((1 << SEEN_BITS) - 1)];
    if (*entry == hash)
      return false;
    if (!*entry) {
      *entry = hash;
      return true;
    }
  }
}

static void try_live(struct state *state, const struct insn *insn, uint8_t live) {
  struct shape shape;
  shape_of(&shape, insn, 1, live);
  if (!is_new(state, shape_hash(&shape)))
    return;
  state->batch[state->count++] = (struct stencil_source){.insn = {*insn}, .count = 1, .live = live};
  if (state->count == BATCH)
    flush(state);
}

/* Not lifted on purpose: near calls and returns that cut EIP to 16 bits. */
static bool is_excluded(const struct insn *insn) {
  bool near = insn->flow == FLOW_CALL || insn->flow == FLOW_CALL_INDIRECT || insn->flow == FLOW_RETURN;
  return near && insn->form.operand_width == 2;
}

static void try_code(struct state *state, const uint8_t *code, size_t size) {
  struct insn insn;
  if (insn_decode(&insn, code, size, CODE) != INSN_OK || !lift_is_implemented(&insn) || is_excluded(&insn))
    return;
  try_live(state, &insn, FLAGS_ALL);
  try_live(state, &insn, FLAGS_NONE);
}

/* The bytes from ModRM on, the reg field to be filled in. */
static const struct {
  uint8_t before, bytes[7];
} operands[] = {
    {0, {0xC1, 0x10, 0x20}},                            /* ecx */
    {0, {0xC4, 0x10, 0x20}},                            /* ah, esp */
    {0, {0x06, 0x10, 0x20}},                            /* (%esi) */
    {0, {0x44, 0xBB, 0x10, 0x20}},                      /* 16(%ebx,%edi,4) */
    {0, {0x04, 0xC1, 0x10, 0x20}},                      /* (%ecx,%eax,8) */
    {0, {0x05, 0x10, 0x20, 0x30, 0x40, 0x10, 0x20}},    /* 0x40302010 */
    {0x64, {0x06, 0x10, 0x20}},                         /* %fs:(%esi) */
    {0x64, {0x04, 0xC1, 0x10, 0x20}},                   /* %fs:(%ecx,%eax,8) */
    {0x65, {0x05, 0x10, 0x00, 0x00, 0x00, 0x10, 0x20}}, /* %gs:16 */
    {0x67, {0x00, 0x10, 0x20}},                         /* (%bx,%si) */
};
static const uint8_t prefixes[] = {0, 0x66, 0xF0, 0xF2, 0xF3};

static void try_opcode(struct state *state, const uint8_t *opcode, size_t size) {
  for (size_t o = 0; o < sizeof operands / sizeof operands[0]; o++)
    for (size_t p = 0; p < sizeof prefixes; p++) {
      uint16_t first = 0;
      for (unsigned reg = 0; reg < 8; reg++) {
        /* All eight where they select the instruction; else eax, edx, esp or ah, esi or dh. */
        uint8_t code[20] = {0};
        size_t length = 0;
        if (operands[o].before)
          code[length++] = operands[o].before;
        if (prefixes[p])
          code[length++] = prefixes[p];
        memcpy(code + length, opcode, size);
        length += size;
        memcpy(code + length, operands[o].bytes, sizeof operands[o].bytes);
        code[length] |= (uint8_t)(reg << 3);
        struct insn insn;
        if (insn_decode(&insn, code, 15, CODE) != INSN_OK)
          continue;
        if (reg == 0)
          first = insn.form.mnemonic;
        if (insn.form.mnemonic != first || reg % 2 == 0)
          try_code(state, code, 15);
      }
    }
}

static void test_every_opcode(struct state *state, const uint8_t *escape, size_t size) {
  for (unsigned opcode = 0; opcode < 256; opcode++) {
    uint8_t bytes[3];
    if (size)
      memcpy(bytes, escape, size);
    bytes[size] = (uint8_t)opcode;
    try_opcode(state, bytes, size + 1);
  }
  flush(state);
  assert_true(state->made > 1000);
  assert_int_equal(state->refused, 0);
}

static void test_one_byte_opcodes(void **context) { test_every_opcode(*context, NULL, 0); }
static void test_two_byte_opcodes(void **context) { test_every_opcode(*context, (const uint8_t[]){0x0F}, 1); }

static int setup(void **context) {
  *context = calloc(1, sizeof(struct state));
  return *context ? 0 : -1;
}

static int teardown(void **context) {
  free(*context);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_one_byte_opcodes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_two_byte_opcodes, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
