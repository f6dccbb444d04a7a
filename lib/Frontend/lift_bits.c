/* Bit tests and scans, counts, byte swaps in memory, and the BMI extensions.
 *
 * What has an instruction of its own on the host, but only with an extension (popcnt, lzcnt, tzcnt,
 * pdep, pext), is that instruction: cpuid tells the guest only what the host has.
 *
 * Flags that the manual leaves undefined are as AMD's Zen sets them. */
#include "Frontend/lift_support.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

/* Where a bit string's word lies (SDM vol. 2, BT): with a register as offset, the signed offset
 * reaches beyond the memory operand. */
LLVMValueRef bit_string_address(struct lifter *l, const struct insn *insn) {
  LLVMValueRef offset = operand_offset(l, insn, 0);
  if (operand_is(insn, 1, OPERAND_GPR)) {
    unsigned bytes = insn->form.op[0].size;
    LLVMValueRef index = operand_read(l, insn, 1);
    index = LLVMBuildAShr(l->builder, index, value_const(index, bytes == 2 ? 4 : 5), "");
    if (bytes == 2)
      index = LLVMBuildSExt(l->builder, index, l->i32, "");
    index = LLVMBuildShl(l->builder, index, lifter_const(l, 4, bytes == 2 ? 1 : 2), "");
    offset = LLVMBuildAdd(l->builder, offset, index, "");
    if (insn->form.attributes & INSN_ADDRESS16)
      offset = LLVMBuildAnd(l->builder, offset, lifter_const(l, 4, 0xFFFF), "");
  }
  return segment_add_base(l, insn->form.op[0].segment, offset, insn->form.op[0].size, insn->form.op[0].written);
}

/* The offset within the word. */
LLVMValueRef bit_index(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  LLVMValueRef index = operand_read_as(l, insn, 1, bytes);
  return LLVMBuildAnd(l->builder, index, value_const(index, 8 * bytes - 1), "");
}

/* By the host's own instruction on a register: what LLVM makes of bts, btr and btc with a variable bit
 * may need ecx, and the word may have to go back to memory after that. */
static LLVMValueRef host_bit_test(struct lifter *l, const struct insn *insn, LLVMValueRef word,
                                  LLVMValueRef index) {
  LLVMValueRef arguments[2] = {word, index};
  char text[32];
  snprintf(text, sizeof text, "%s%c @1, $0", insn_name(&insn->form), operand_suffix(value_bits(word) / 8));
  struct host_asm code = {
      .text = text, .outputs = "=&r", .inputs = "0,r", .result = {LLVMTypeOf(word)}, .flags = FLAGS_C};
  host_asm(l, &code, arguments, 2);
  host_asm_write_flags(l, &code);
  return code.value[0];
}

/* bt, bts, btr, btc: only CF changes. */
static void lift_bit_test(struct lifter *l, const struct insn *insn) {
  LLVMValueRef address = NULL, word;
  if (operand_is(insn, 0, OPERAND_MEMORY)) {
    address = bit_string_address(l, insn);
    word = memory_load(l, lifter_int(l, insn->form.op[0].size), address);
  } else {
    word = operand_read(l, insn, 0);
  }
  LLVMValueRef index = bit_index(l, insn), result;
  if (l->setting == LIFT_STENCIL && insn->form.mnemonic != ZYDIS_MNEMONIC_BT &&
      operand_is(insn, 1, OPERAND_GPR)) {
    result = host_bit_test(l, insn, word, index);
    if (address)
      memory_store(l, address, result);
    else
      operand_write(l, insn, 0, result);
    return;
  }
  LLVMValueRef mask = LLVMBuildShl(l->builder, value_const(word, 1), index, "");
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_BTS:
    result = LLVMBuildOr(l->builder, word, mask, "");
    break;
  case ZYDIS_MNEMONIC_BTR:
    result = LLVMBuildAnd(l->builder, word, LLVMBuildNot(l->builder, mask, ""), "");
    break;
  case ZYDIS_MNEMONIC_BTC:
    result = LLVMBuildXor(l->builder, word, mask, "");
    break;
  default:
    result = NULL;
  }
  if (result && address)
    memory_store(l, address, result);
  else if (result)
    operand_write(l, insn, 0, result);
  flag_write(l, FLAG_C, value_low_bit(l, LLVMBuildLShr(l->builder, word, index, "")));
}

/* bsf, bsr: a source of 0 leaves the destination as it was. */
static void lift_bit_scan(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1), zero = value_is_zero(l, source);
  LLVMValueRef arguments[2] = {source, LLVMConstAllOnes(l->i1)}, found;
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_BSF) {
    found = value_intrinsic(l, "llvm.cttz", arguments, 2);
  } else {
    found = value_intrinsic(l, "llvm.ctlz", arguments, 2);
    found = LLVMBuildXor(l->builder, found, value_const(found, value_bits(found) - 1), "");
  }
  operand_write(l, insn, 0, LLVMBuildSelect(l->builder, zero, operand_read(l, insn, 0), found, ""));
  flags_set_logic(l, LLVMBuildSelect(l->builder, zero, value_const(found, 0), found, ""));
  flag_write(l, FLAG_Z, zero);
}

/* `name` of one source, in the operand's size; returns the result. */
static LLVMValueRef host_unary(struct lifter *l, const char *name, LLVMValueRef source) {
  char text[32];
  snprintf(text, sizeof text, "%s%c @0, $0", name, operand_suffix(value_bits(source) / 8));
  struct host_asm code = {.text = text, .outputs = "=r", .inputs = "r", .result = {LLVMTypeOf(source)}};
  host_asm(l, &code, &source, 1);
  return code.value[0];
}

static void lift_popcnt(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1);
  operand_write(l, insn, 0, host_unary(l, "popcnt", source));
  flag_write(l, FLAG_Z, value_is_zero(l, source));
  static const enum flag cleared[] = {FLAG_C, FLAG_P, FLAG_A, FLAG_S, FLAG_O};
  for (unsigned i = 0; i < sizeof cleared / sizeof cleared[0]; i++)
    flag_write(l, cleared[i], LLVMConstNull(l->i1));
}

/* lzcnt, tzcnt: the width for 0, which sets CF. */
static void lift_zero_count(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1);
  LLVMValueRef result = host_unary(l, insn_name(&insn->form), source);
  operand_write(l, insn, 0, result);
  static const enum flag cleared[] = {FLAG_P, FLAG_A, FLAG_S};
  for (unsigned i = 0; i < sizeof cleared / sizeof cleared[0]; i++)
    flag_write(l, cleared[i], LLVMConstNull(l->i1));
  flag_write(l, FLAG_Z, value_is_zero(l, result));
  flag_write(l, FLAG_C, value_is_zero(l, source));
}

static void lift_movbe(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1);
  operand_write(l, insn, 0, value_intrinsic(l, "llvm.bswap", &source, 1));
}

/* adcx, adox: addition with and to one flag, CF or OF. */
static void lift_adcx(struct lifter *l, const struct insn *insn) {
  enum flag flag = insn->form.mnemonic == ZYDIS_MNEMONIC_ADCX ? FLAG_C : FLAG_O;
  LLVMValueRef sum = LLVMBuildAdd(l->builder, value_resize(l, operand_read(l, insn, 0), 8),
                                  value_resize(l, operand_read(l, insn, 1), 8), "");
  sum = LLVMBuildAdd(l->builder, sum, LLVMBuildZExt(l->builder, flag_read(l, flag), l->i64, ""), "");
  operand_write(l, insn, 0, value_resize(l, sum, 4));
  flag_write(l, flag, value_bit(l, sum, 32));
}

/* --- BMI1, BMI2 (VEX-coded; three operands) --------------------------------------------------- */

static void lift_andn(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read_first(l, insn, 2);
  LLVMValueRef inverse = LLVMBuildNot(l->builder, operand_read(l, insn, 1), "");
  LLVMValueRef result = LLVMBuildAnd(l->builder, inverse, source, "");
  operand_write(l, insn, 0, result);
  flags_set_logic(l, result);
}

/* blsi, blsmsk, blsr: isolate, mask up to, reset the lowest set bit. */
static void lift_lowest_bit(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1), result;
  LLVMValueRef less = LLVMBuildSub(l->builder, source, value_const(source, 1), "");
  LLVMValueRef carry = value_is_zero(l, source);
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_BLSI:
    result = LLVMBuildAnd(l->builder, source, LLVMBuildNeg(l->builder, source, ""), "");
    carry = LLVMBuildNot(l->builder, carry, "");
    break;
  case ZYDIS_MNEMONIC_BLSMSK:
    result = LLVMBuildXor(l->builder, source, less, "");
    break;
  default:
    result = LLVMBuildAnd(l->builder, source, less, "");
  }
  operand_write(l, insn, 0, result);
  flags_set_logic(l, result);
  flag_write(l, FLAG_C, carry);
}

/* bextr, bzhi, pdep, pext, shlx, shrx, sarx: by the host's own, which reads source and control. */
static void lift_bmi_ternary(struct lifter *l, const struct insn *insn, uint8_t flags) {
  LLVMValueRef arguments[2] = {operand_read(l, insn, 1), operand_read(l, insn, 2)};
  char text[32];
  snprintf(text, sizeof text, "%s @1, @0, $0", insn_name(&insn->form));
  struct host_asm code = {
      .text = text, .outputs = "=&r", .inputs = "r,r", .result = {l->i32}, .flags = flags};
  host_asm(l, &code, arguments, 2);
  operand_write(l, insn, 0, code.value[0]);
  host_asm_write_flags(l, &code);
}

static void lift_bmi_plain(struct lifter *l, const struct insn *insn) {
  lift_bmi_ternary(l, insn, FLAGS_NONE);
}

static void lift_bmi_flags(struct lifter *l, const struct insn *insn) {
  lift_bmi_ternary(l, insn, FLAGS_ALL & ~FLAGS_A);
  bool bextr = insn->form.mnemonic == ZYDIS_MNEMONIC_BEXTR;
  flag_write(l, FLAG_A, LLVMConstInt(l->i1, bextr, false));
}

/* mulx: the high half to the first operand, the low half to the second; no flags. */
static void lift_mulx(struct lifter *l, const struct insn *insn) {
  LLVMValueRef product = LLVMBuildMul(l->builder, value_resize(l, l->gpr[GPR_EDX], 8),
                                      value_resize(l, operand_read(l, insn, 2), 8), "");
  LLVMValueRef high = LLVMBuildLShr(l->builder, product, lifter_const(l, 8, 32), "");
  operand_write(l, insn, 1, value_resize(l, product, 4));
  operand_write(l, insn, 0, value_resize(l, high, 4));
}

static void lift_rorx(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1);
  LLVMValueRef arguments[3] = {source, source, operand_read(l, insn, 2)};
  operand_write(l, insn, 0, value_intrinsic(l, "llvm.fshr", arguments, 3));
}

const struct lift_rule lift_rules_bits[] = {
    {ZYDIS_MNEMONIC_ADCX, lift_adcx},        {ZYDIS_MNEMONIC_ADOX, lift_adcx},
    {ZYDIS_MNEMONIC_ANDN, lift_andn},        {ZYDIS_MNEMONIC_BEXTR, lift_bmi_flags},
    {ZYDIS_MNEMONIC_BLSI, lift_lowest_bit},  {ZYDIS_MNEMONIC_BLSMSK, lift_lowest_bit},
    {ZYDIS_MNEMONIC_BLSR, lift_lowest_bit},  {ZYDIS_MNEMONIC_BSF, lift_bit_scan},
    {ZYDIS_MNEMONIC_BSR, lift_bit_scan},     {ZYDIS_MNEMONIC_BT, lift_bit_test},
    {ZYDIS_MNEMONIC_BTC, lift_bit_test},     {ZYDIS_MNEMONIC_BTR, lift_bit_test},
    {ZYDIS_MNEMONIC_BTS, lift_bit_test},     {ZYDIS_MNEMONIC_BZHI, lift_bmi_flags},
    {ZYDIS_MNEMONIC_LZCNT, lift_zero_count}, {ZYDIS_MNEMONIC_MOVBE, lift_movbe},
    {ZYDIS_MNEMONIC_MULX, lift_mulx},        {ZYDIS_MNEMONIC_PDEP, lift_bmi_plain},
    {ZYDIS_MNEMONIC_PEXT, lift_bmi_plain},   {ZYDIS_MNEMONIC_POPCNT, lift_popcnt},
    {ZYDIS_MNEMONIC_RORX, lift_rorx},        {ZYDIS_MNEMONIC_SARX, lift_bmi_plain},
    {ZYDIS_MNEMONIC_SHLX, lift_bmi_plain},   {ZYDIS_MNEMONIC_SHRX, lift_bmi_plain},
    {ZYDIS_MNEMONIC_TZCNT, lift_zero_count}, {0, NULL},
};
