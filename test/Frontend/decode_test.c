/* What decoding says of instructions: operands, flow, flags, faults; and that the lifter knows every
 * instruction of the base instruction set. */
/* clang-format off: cmocka.h needs these before it */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "Frontend/decode_cache.h"
#include "Frontend/lift.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

enum { CODE = 0x8048000 };

static struct insn decode(const char *hex) {
  uint8_t bytes[16] = {0};
  size_t size = 0;
  for (; hex[2 * size]; size++) {
    unsigned byte;
    assert_int_equal(sscanf(hex + 2 * size, "%2x", &byte), 1);
    bytes[size] = (uint8_t)byte;
  }
  struct insn insn;
  assert_int_equal(insn_decode(&insn, bytes, size, CODE), INSN_OK);
  assert_int_equal(insn.length, size);
  return insn;
}

static void test_operands(void **context) {
  (void)context;
  struct insn insn = decode("8b4cd810"); /* mov 16(%eax,%ebx,8),%ecx */
  assert_int_equal(insn.form.op[0].kind, OPERAND_GPR);
  assert_int_equal(insn.form.op[0].reg, GPR_ECX);
  const struct operand *memory = &insn.form.op[1];
  assert_int_equal(memory->kind, OPERAND_MEMORY);
  assert_int_equal(memory->reg, GPR_EAX);
  assert_int_equal(memory->index, GPR_EBX);
  assert_int_equal(memory->scale, 3);
  assert_true(memory->has_disp);
  assert_int_equal(insn.disp, 16);

  insn = decode("65a114000000"); /* mov %gs:0x14,%eax */
  assert_int_equal(insn.form.op[1].segment, 1 + SEG_GS);
  assert_int_equal(insn.form.op[1].reg, REGISTER_NONE);

  insn = decode("c1e005"); /* shl $5,%eax: counts are part of the form */
  assert_int_equal(insn.form.op[1].kind, OPERAND_CONSTANT);
  assert_int_equal(insn.form.constant, 5);
  insn = decode("83c0ff"); /* add $-1,%eax */
  assert_int_equal(insn.form.op[1].kind, OPERAND_IMMEDIATE);
  assert_int_equal(insn.imm[0], 0xFFFFFFFF);
  insn = decode("c8341203"); /* enter $0x1234,$3 */
  assert_int_equal(insn.form.constant, 0x31234);
}

static void test_shapes_ignore_holes(void **context) {
  (void)context;
  struct insn one = decode("8b4c2410"), other = decode("8b4c2420"), immediate = decode("81c100010000");
  assert_memory_equal(&one.form, &other.form, sizeof one.form);
  other = decode("81c178563412");
  assert_memory_equal(&immediate.form, &other.form, sizeof other.form);
}

static void test_implicit_operands(void **context) {
  (void)context;
  assert_int_equal(decode("a4").form.attributes, INSN_STRING);
  assert_int_equal(decode("f3a5").form.attributes, INSN_STRING | INSN_REP);
  assert_int_equal(decode("f2ae").form.attributes, INSN_STRING | INSN_REPNE);
  assert_int_equal(decode("64ac").form.attributes, INSN_STRING | INSN_SEGMENT_FS);
  assert_int_equal(decode("65d7").form.attributes, INSN_SEGMENT_GS);
  assert_int_equal(decode("67a4").form.attributes, INSN_STRING | INSN_ADDRESS16);
  assert_int_equal(decode("f0ff00").form.attributes, INSN_LOCK);
  assert_int_equal(decode("f20f1000").form.attributes, 0); /* movsd of SSE2 */
}

static void test_flow(void **context) {
  (void)context;
  static const struct {
    const char *hex;
    uint8_t flow;
  } cases[] = {
      {"90", FLOW_NEXT},
      {"7405", FLOW_CONDITIONAL},
      {"e2fe", FLOW_CONDITIONAL},
      {"e305", FLOW_CONDITIONAL},
      {"ebfe", FLOW_JUMP},
      {"e900000000", FLOW_JUMP},
      {"ffe0", FLOW_JUMP_INDIRECT},
      {"ff2500000000", FLOW_JUMP_INDIRECT},
      {"e800000000", FLOW_CALL},
      {"ff10", FLOW_CALL_INDIRECT},
      {"c3", FLOW_RETURN},
      {"c20800", FLOW_RETURN},
      {"cb", FLOW_TRAP},
      {"cf", FLOW_TRAP},
      {"0f0b", FLOW_TRAP},
      {"f4", FLOW_TRAP},
      {"cd80", FLOW_NEXT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    if (decode(cases[i].hex).flow != cases[i].flow)
      fail_msg("%s: flow %u, expected %u", cases[i].hex, decode(cases[i].hex).flow, cases[i].flow);
  assert_int_equal(decode("7405").target, CODE + 7);
  assert_int_equal(decode("7405").condition, 4);
  assert_int_equal(decode("66ebfe").target, (CODE + 1) & 0xFFFF);
}

/* Read, certainly written, perhaps written: letters of CPAZSO. */
static void test_flags(void **context) {
  (void)context;
  static const struct {
    const char *hex;
    const char *read, *written, *changed;
  } cases[] = {
      {"01c8", "", "CPAZSO", "CPAZSO"},   /* add */
      {"11c8", "C", "CPAZSO", "CPAZSO"},  /* adc */
      {"40", "", "PAZSO", "PAZSO"},       /* inc */
      {"f7d0", "", "", ""},               /* not */
      {"89c8", "", "", ""},               /* mov */
      {"d3e0", "", "", "CPAZSO"},         /* shl %cl */
      {"c1e020", "", "", "CPAZSO"},       /* shl $32: none */
      {"c1e005", "", "CPAZSO", "CPAZSO"}, /* shl $5 */
      {"d1d0", "C", "CO", "CO"},          /* rcl $1 */
      {"d3c0", "", "", "CO"},             /* rol %cl */
      {"0fa3c8", "", "C", "C"},           /* bt: the others stay, on the CPUs measured */
      {"f7e1", "", "CO", "CO"},           /* mul: likewise */
      {"f7f1", "", "PAZS", "PAZS"},       /* div: likewise */
      {"f3a6", "", "", "CPAZSO"},         /* repe cmpsb: none if ecx = 0 */
      {"a6", "", "CPAZSO", "CPAZSO"},     /* cmpsb */
      {"9e", "", "CPAZS", "CPAZS"},       /* sahf */
      {"9f", "CPAZS", "", ""},            /* lahf */
      {"f5", "C", "C", "C"},              /* cmc */
      {"7705", "CZ", "", ""},             /* ja */
      {"0f4cc1", "SO", "", ""},           /* cmovl */
      {"0f9fc0", "ZSO", "", ""},          /* setg */
      {"ce", "O", "", ""},                /* into */
      {"0fc7c8", NULL, NULL, NULL},       /* no instruction: cmpxchg8b of a register */
  };
  for (size_t i = 0; cases[i].read; i++) {
    struct insn insn = decode(cases[i].hex);
    const char *texts[3] = {cases[i].read, cases[i].written, cases[i].changed};
    uint8_t masks[3] = {insn.flags_read, insn.flags_written, insn.flags_changed};
    for (unsigned m = 0; m < 3; m++) {
      uint8_t expected = 0;
      for (unsigned f = 0; f < FLAG_COUNT; f++)
        expected |= (uint8_t)(strchr(texts[m], "CPAZSO"[f]) ? 1 << f : 0);
      if (masks[m] != expected)
        fail_msg("%s (%s): flags %u are %02x, expected %02x", cases[i].hex, insn_name(&insn.form), m,
                 masks[m], expected);
    }
  }
}

static void test_faults(void **context) {
  (void)context;
  static const char *const can[] = {"8b00", "50",   "58",   "c9", "d7", "a4",
                                    "f7f1", "d40a", "cd80", "cc", "fa", "c8000000"};
  static const char *const cannot[] = {"89c8", "01c8", "8d4010", "d3e0", "0fafc1", "7405", "ebfe", "98"};
  for (size_t i = 0; i < sizeof can / sizeof can[0]; i++)
    if (!decode(can[i]).can_fault)
      fail_msg("%s can fault", can[i]);
  for (size_t i = 0; i < sizeof cannot / sizeof cannot[0]; i++)
    if (decode(cannot[i]).can_fault)
      fail_msg("%s cannot fault", cannot[i]);
}

static void test_invalid(void **context) {
  (void)context;
  static const struct {
    uint8_t bytes[8], size;
    enum insn_status status;
  } cases[] = {
      {{0x8B}, 1, INSN_TRUNCATED},             /* mov without its ModRM */
      {{0xF0, 0x01, 0xC8}, 3, INSN_INVALID},   /* lock on a register */
      {{0xF0, 0x8B, 0x00}, 3, INSN_INVALID},   /* lock mov */
      {{0x0F, 0xC7, 0xC8, 0}, 4, INSN_INVALID}, /* cmpxchg8b of a register */
      /* What is no instruction has a length, too, and at a page's end the next page is asked for. */
      {{0xFE, 0x9A, 0x3F}, 3, INSN_TRUNCATED}, /* undefined in its group, and no whole displacement */
      {{0xFE, 0x9A, 0x3F, 0, 0, 0}, 6, INSN_INVALID},
      {{0xFF, 0x3C}, 2, INSN_TRUNCATED},
      {{0xC7, 0x08, 1, 2, 3}, 5, INSN_TRUNCATED}, /* a group with an immediate */
      {{0xC7, 0x08, 1, 2, 3, 4}, 6, INSN_INVALID},
      {{0x66, 0xC7, 0x08, 1, 2}, 5, INSN_INVALID},
      {{0xD9, 0x0C}, 2, INSN_TRUNCATED}, /* undefined in the x87's table */
      {{0x0F, 0xB9}, 2, INSN_INVALID},   /* ud1 and ud0 have no ModRM */
      {{0x0F, 0xFF}, 2, INSN_INVALID},
      {{0x0F, 0x20, 0x0C}, 3, INSN_INVALID},        /* cr1; mod is not looked at */
      {{0x66, 0x0F, 0x78, 0, 0}, 5, INSN_TRUNCATED}, /* extrq of memory: two immediates */
      {{0x66, 0x0F, 0x78, 0, 0, 0}, 6, INSN_INVALID},
      {{0x0F, 0x78, 0, 0}, 4, INSN_TRUNCATED}, /* vmread, with the length of that */
      {{0x8F, 0xE8, 0x78, 0xC0, 0xC0}, 5, INSN_INVALID}, /* XOP: no immediate in map 8, four bytes in map 10 */
      {{0x8F, 0xEA, 0x78, 0x10, 0xC0, 0, 0, 0}, 8, INSN_TRUNCATED},
      {{0x8F, 0x20, 0, 0}, 4, INSN_TRUNCATED},
      {{0xC4, 0xE0, 0x78, 0x10, 0xC0}, 5, INSN_INVALID}, /* VEX of a map that is none */
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct insn insn;
    assert_int_equal(insn_decode(&insn, cases[i].bytes, cases[i].size, CODE), cases[i].status);
    if (cases[i].status == INSN_INVALID) {
      assert_int_equal(insn.form.mnemonic, ZYDIS_MNEMONIC_UD2);
      assert_int_equal(insn.flow, FLOW_TRAP);
    }
  }
}

/* --- Every instruction of the base set has a meaning ------------------------------------------------- */

/* Left out: what cpuid does not offer the guest (AVX, FMA, AES, SHA, 3DNow!, RTM, XSAVE, SGX, CET, MPX,
 * protection keys, key locker …) and what only kernels use (VMX, SVM). They are #UD. */
static bool is_base(ZydisISAExt extension) {
  switch (extension) {
  case ZYDIS_ISA_EXT_BASE:
  case ZYDIS_ISA_EXT_X87:
  case ZYDIS_ISA_EXT_MMX:
  case ZYDIS_ISA_EXT_SSE:
  case ZYDIS_ISA_EXT_SSE2:
  case ZYDIS_ISA_EXT_SSE3:
  case ZYDIS_ISA_EXT_SSSE3:
  case ZYDIS_ISA_EXT_SSE4:
  case ZYDIS_ISA_EXT_LZCNT:
  case ZYDIS_ISA_EXT_MOVBE:
  case ZYDIS_ISA_EXT_ADOX_ADCX:
  case ZYDIS_ISA_EXT_BMI1:
  case ZYDIS_ISA_EXT_BMI2:
  case ZYDIS_ISA_EXT_RDRAND:
  case ZYDIS_ISA_EXT_RDSEED:
  case ZYDIS_ISA_EXT_RDTSCP:
  case ZYDIS_ISA_EXT_CLFSH:
  case ZYDIS_ISA_EXT_PAUSE:
    return true;
  default:
    return false;
  }
}

static ZydisDecoder decoder;
static bool reported[ZYDIS_MNEMONIC_MAX_VALUE + 1];

/* 1 if the code is an instruction without a meaning, of a mnemonic not met before. */
static unsigned is_missing(const uint8_t *code) {
  ZydisDecodedInstruction zi;
  struct insn insn;
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code, 15, &zi)) ||
      !is_base(zi.meta.isa_ext))
    return 0;
  if (insn_decode(&insn, code, 15, CODE) != INSN_OK || lift_is_implemented(&insn))
    return 0;
  if (reported[insn.form.mnemonic])
    return 0;
  reported[insn.form.mnemonic] = true;
  fprintf(stderr, "no meaning: %s (%02x %02x %02x %02x)\n", insn_name(&insn.form), code[0], code[1], code[2],
          code[3]);
  return 1;
}

static void test_every_instruction_has_a_meaning(void **context) {
  (void)context;
  static const uint8_t prefixes[] = {0, 0x66, 0xF2, 0xF3, 0xF0};
  static const struct {
    uint8_t bytes[3], size;
  } escapes[] = {{{0}, 0},
                 {{0x0F}, 1},
                 {{0x0F, 0x38}, 2},
                 {{0x0F, 0x3A}, 2},
                 {{0xC4, 0xE2, 0x70}, 3},
                 {{0xC4, 0xE2, 0x73}, 3},
                 {{0xC4, 0xE2, 0x71}, 3},
                 {{0xC4, 0xE2, 0x72}, 3},
                 {{0xC4, 0xE3, 0x7B}, 3}};
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  unsigned missing = 0;
  for (size_t e = 0; e < sizeof escapes / sizeof escapes[0]; e++)
    for (size_t p = 0; p < sizeof prefixes; p++)
      for (unsigned opcode = 0; opcode < 256; opcode++)
        for (unsigned modrm = 0; modrm < 256; modrm++) {
          uint8_t code[20] = {0};
          size_t length = 0;
          if (prefixes[p])
            code[length++] = prefixes[p];
          memcpy(code + length, escapes[e].bytes, escapes[e].size);
          length += escapes[e].size;
          code[length++] = (uint8_t)opcode;
          code[length++] = (uint8_t)modrm;
          missing += is_missing(code);
        }
  assert_int_equal(missing, 0);
}

/* What is recalled from an instruction's pattern is what decoding says, whatever its values are. */
static void test_recalled_as_decoded(void **context) {
  (void)context;
  static const uint8_t prefixes[] = {0, 0x66, 0x64, 0x65, 0xF3};
  static const uint32_t values[] = {0x12345678, 0xFFFFFFF8, 0, 0xFFFFFFFD, 1};
  enum { POISON = 0xA5, COMPARED = offsetof(struct insn, segment) + 1 };
  unsigned same = 0;
  for (size_t p = 0; p < sizeof prefixes; p++)
    for (unsigned opcode = 0; opcode < 512; opcode++)
      for (unsigned modrm = 0; modrm < 256; modrm += 5)
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
          uint8_t code[20] = {0};
          size_t length = 0;
          if (prefixes[p])
            code[length++] = prefixes[p];
          if (opcode & 256)
            code[length++] = 0x0F;
          code[length++] = (uint8_t)opcode;
          code[length++] = (uint8_t)modrm;
          memcpy(code + length, &values[v], 4);
          memcpy(code + length + 4, &values[v], 4);
          struct insn decoded, recalled;
          const enum insn_status status = insn_decode(&decoded, code, 16, CODE);
          memset(&recalled, POISON, sizeof recalled);
          assert_int_equal(insn_decode_cached(&recalled, code, 16, CODE), status);
          assert_memory_equal(&recalled, &decoded, COMPARED);
          same++;
        }
  assert_true(same > 100000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_operands),
      cmocka_unit_test(test_shapes_ignore_holes),
      cmocka_unit_test(test_implicit_operands),
      cmocka_unit_test(test_flow),
      cmocka_unit_test(test_flags),
      cmocka_unit_test(test_faults),
      cmocka_unit_test(test_invalid),
      cmocka_unit_test(test_every_instruction_has_a_meaning),
      cmocka_unit_test(test_recalled_as_decoded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
