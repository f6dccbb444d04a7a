/* Is there a stencil for every x87, MMX, SSE and AVX instruction, however its operands are addressed, and for
 * every pair with a compare?
 *
 * The compiler refuses a stencil that would change guest state before its last access to memory: an
 * address relative to fs, or of 16 bits, takes instructions of its own that might do that. And none
 * may use the host's stack, where the return addresses of open guest calls are. */
#include "Frontend/lift.h"
#include "Runtime/jit.h"

#include <Zydis/Zydis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SOURCE_LIMIT = 60000 };
static struct stencil_source sources[SOURCE_LIMIT];
static unsigned source_count, made_count, failures;

static bool in_table(const struct lift_rule *rules, unsigned mnemonic) {
  for (; rules->mnemonic; rules++)
    if (rules->mnemonic == mnemonic)
      return true;
  return false;
}

static void add_single(const uint8_t *bytes, size_t size) {
  struct insn insn;
  if (insn_decode(&insn, bytes, size, 0x1000) != INSN_OK || insn.form.attributes & (INSN_STRING | INSN_LOCK))
    return;
  if (!in_table(lift_rules_x87, insn.form.mnemonic) && !in_table(lift_rules_simd, insn.form.mnemonic) &&
      !in_table(lift_rules_avx, insn.form.mnemonic))
    return;
  assert_true(source_count < SOURCE_LIMIT);
  sources[source_count++] = (struct stencil_source){.insn = {insn}, .count = 1, .live = insn.flags_changed};
}

static void add_pair(const uint8_t *first, const uint8_t *second, uint8_t live) {
  struct stencil_source source = {.count = 2, .live = live};
  if (insn_decode(&source.insn[0], first, 16, 0x1000) != INSN_OK ||
      insn_decode(&source.insn[1], second, 16, insn_next(&source.insn[0])) != INSN_OK)
    fail_msg("a pair does not decode");
  if (shape_can_fuse(&source.insn[0], &source.insn[1]))
    sources[source_count++] = source;
}

/* --- What comes of them ---------------------------------------------------------------------------- */

static void made(void *context, const struct stencil_code *stencil) {
  (void)context;
  ZydisDecoder decoder;
  ZydisDecodedInstruction zi;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  made_count++;
  for (unsigned at = 0; at < stencil->size; at += zi.length) {
    assert_true(ZYAN_SUCCESS(
        ZydisDecoderDecodeInstruction(&decoder, NULL, stencil->code + at, stencil->size - at, &zi)));
    if (zi.mnemonic == ZYDIS_MNEMONIC_PUSH) {
      print_error("%s: uses the stack\n", insn_name(&stencil->shape.first));
      failures++;
    }
  }
}

static void refused(void *context, const struct stencil_source *source, const char *why) {
  (void)context;
  print_error("%s %s: %s\n", insn_name(&source->insn[0].form),
              source->count == 2 ? insn_name(&source->insn[1].form) : "", why);
  failures++;
}

static void compile_all(unsigned at_least) {
  const struct stencil_sink sink = {.made = made, .refused = refused};
  made_count = failures = 0;
  assert_true(source_count >= at_least);
  assert_int_equal(jit_compile_stencils(sources, source_count, &sink), 0);
  assert_int_equal(failures, 0);
  assert_int_equal(made_count, source_count);
  source_count = 0;
}

/* --- The tests --------------------------------------------------------------------------------------- */

/* One opcode with memory operands: absolute, and through base and index, fs, or 16-bit registers. */
static void add_memory_forms(const uint8_t *opcode, size_t size) {
  static const struct {
    uint8_t prefix[2], modrm, sib;
  } forms[] = {{{0}, 0x05, 0},    {{0x64}, 0x05, 0}, {{0x64}, 0x84, 0xBB},
               {{0x64}, 0x03, 0}, {{0x67}, 0x41, 0}, {{0x64, 0x67}, 0x41, 0}};
  for (unsigned reg = 0; reg < 8; reg += 3)
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
      uint8_t bytes[20];
      size_t at = 0;
      memset(bytes, 0x21, sizeof bytes);
      for (unsigned p = 0; p < 2 && forms[i].prefix[p]; p++)
        bytes[at++] = forms[i].prefix[p];
      memcpy(bytes + at, opcode, size);
      at += size;
      bytes[at++] = (uint8_t)(forms[i].modrm | reg << 3);
      if (forms[i].sib)
        bytes[at] = forms[i].sib;
      add_single(bytes, 16);
    }
}

static void every_addressing_form_has_a_stencil(void **state) {
  (void)state;
  static const uint8_t prefixes[] = {0, 0x66, 0xF3, 0xF2}, escapes[] = {0, 0x38, 0x3A};
  for (unsigned opcode = 0xD8; opcode <= 0xDF; opcode++)
    add_memory_forms((uint8_t[]){(uint8_t)opcode}, 1);
  for (unsigned e = 0; e < 3; e++)
    for (unsigned p = 0; p < 4; p++)
      for (unsigned opcode = 0; opcode < 256; opcode++) {
        uint8_t bytes[4];
        size_t size = 0;
        if (prefixes[p])
          bytes[size++] = prefixes[p];
        bytes[size++] = 0x0F;
        if (escapes[e])
          bytes[size++] = escapes[e];
        bytes[size++] = (uint8_t)opcode;
        add_memory_forms(bytes, size);
      }
  add_single((uint8_t[16]){0x66, 0x0F, 0xF7, 0xCA}, 16); /* maskmovdqu, and the same with fs: and [di] */
  add_single((uint8_t[16]){0x64, 0x67, 0x66, 0x0F, 0xF7, 0xCA}, 16);
  compile_all(4000);
}

static void every_addressing_form_of_avx_has_a_stencil(void **state) {
  (void)state;
  enum { VEX3 = 0xC4, VVVV = 0x60, LENGTH = 4, W = 0x80 };
  for (unsigned map = 1; map <= 3; map++)
    for (unsigned prefix = 0; prefix < 4; prefix++)
      for (unsigned opcode = 0; opcode < 256; opcode++) {
        uint8_t bytes[] = {VEX3, (uint8_t)(0xE0 | map), (uint8_t)(VVVV | LENGTH | prefix), (uint8_t)opcode};
        add_memory_forms(bytes, sizeof bytes);
        bytes[2] |= W;
        add_memory_forms(bytes, sizeof bytes);
        bytes[2] = (uint8_t)(0x78 | prefix); /* no third register, 128 bits */
        add_memory_forms(bytes, sizeof bytes);
      }
  add_single((uint8_t[16]){VEX3, 0xE1, 0x79, 0xF7, 0xCA}, 16); /* vmaskmovdqu */
  add_single((uint8_t[16]){0x64, 0x67, VEX3, 0xE1, 0x79, 0xF7, 0xCA}, 16);
  add_single((uint8_t[16]){0xC5, 0xF8, 0x77}, 16); /* vzeroupper, vzeroall */
  add_single((uint8_t[16]){0xC5, 0xFC, 0x77}, 16);
  compile_all(4000);
}

static void every_pair_with_a_compare_has_a_stencil(void **state) {
  (void)state;
  static const uint8_t compares[][16] = {
      {0x66, 0x0F, 0x2E, 0xC1},                   /* ucomisd xmm0, xmm1 */
      {0x0F, 0x2F, 0x8B, 1, 2, 3, 4},             /* comiss xmm1, [ebx+disp] */
      {0x64, 0x66, 0x0F, 0x2E, 0x8C, 0xBB, 1, 2}, /* ucomisd xmm1, fs:[ebx+edi*4+disp] */
      {0x67, 0x66, 0x0F, 0x2F, 0x40, 0x10},       /* comisd xmm0, [bx+si+16] */
      {0xC5, 0xF9, 0x2E, 0xC1},                   /* vucomisd xmm0, xmm1 */
      {0xC5, 0xF8, 0x2F, 0x8B, 1, 2, 3, 4},       /* vcomiss xmm1, [ebx+disp] */
      {0xDF, 0xE9},                               /* fucomip st(1) */
      {0xDB, 0xF2},                               /* fcomi st(2) */
  };
  for (size_t i = 0; i < sizeof compares / sizeof compares[0]; i++)
    for (uint8_t c = 0; c < 16; c++)
      for (unsigned live = 0; live < 2; live++) {
        const uint8_t readers[][16] = {
            {(uint8_t)(0x70 | c), 0x12},       /* jcc */
            {0x0F, (uint8_t)(0x90 | c), 0xC0}, /* setcc al */
            {0x0F, (uint8_t)(0x90 | c), 0xC4}, /* setcc ah */
            {0x0F, (uint8_t)(0x40 | c), 0xD3}, /* cmovcc edx, ebx */
        };
        for (size_t r = 0; r < sizeof readers / sizeof readers[0]; r++)
          add_pair(compares[i], readers[r], live ? FLAGS_ALL : 0);
      }
  compile_all(300);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_addressing_form_has_a_stencil),
                                     cmocka_unit_test(every_addressing_form_of_avx_has_a_stencil),
                                     cmocka_unit_test(every_pair_with_a_compare_has_a_stencil)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
