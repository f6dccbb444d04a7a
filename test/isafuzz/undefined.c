/* The one table of undefined flags. What is not in it is defined, whatever Zydis says (it takes sbb's AF for
 * undefined). What a flag becomes where it is undefined is each CPU's own affair; the emulator keeps to what
 * it finds cheap.
 *
 * References are to "Flags Affected" of the instruction in Intel's manual (SDM, vol. 2, in the order of the
 * alphabet) and to its flag table in AMD's (APM, vol. 3, chapter 3; BMI there, too). */
#include "undefined.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* When the flags of a row are undefined. */
enum condition {
  ALWAYS,
  SHIFT, /* unless the count, modulo 32, is 0; OF is defined for 1; CF is undefined from the operand's size on
          */
  ARITHMETIC_SHIFT, /* the same, with CF always defined */
  ROTATE,           /* OF unless the count is 0 or 1 */
  DOUBLE_SHIFT,     /* as a shift; everything is undefined if the count is larger than the operand */
};

struct row {
  ZydisMnemonic mnemonic;
  uint32_t undefined;
  enum condition when;
  const char *reference;
};

enum { C = EFLAG_C, P = EFLAG_P, A = EFLAG_A, Z = EFLAG_Z, S = EFLAG_S, O = EFLAG_O };

#define ROW(name, flags, when, reference)                                                                    \
  { ZYDIS_MNEMONIC_##name, flags, when, reference }
static const struct row rows[] = {
    ROW(AAA, O | S | Z | P, ALWAYS, "SDM 2A AAA: AF and CF are set; APM AAA: U for OF SF ZF PF"),
    ROW(AAD, O | A | C, ALWAYS, "SDM 2A AAD: SF, ZF, PF are set; APM AAD: U for OF AF CF"),
    ROW(AAM, O | A | C, ALWAYS, "SDM 2A AAM: SF, ZF, PF are set; APM AAM: U for OF AF CF"),
    ROW(AAS, O | S | Z | P, ALWAYS, "SDM 2A AAS: AF and CF are set; APM AAS: U for OF SF ZF PF"),
    ROW(AND, A, ALWAYS, "SDM 2A AND: AF is undefined; APM AND"),
    ROW(ANDN, A | P, ALWAYS, "SDM 2A ANDN: AF and PF are undefined; APM ANDN"),
    ROW(BEXTR, A | S | P, ALWAYS, "SDM 2A BEXTR: AF, SF and PF are undefined; APM BEXTR"),
    ROW(BLSI, A | P, ALWAYS, "SDM 2A BLSI: AF and PF are undefined; APM BLSI"),
    ROW(BLSMSK, A | P, ALWAYS, "SDM 2A BLSMSK: AF and PF are undefined; APM BLSMSK"),
    ROW(BLSR, A | P, ALWAYS, "SDM 2A BLSR: AF and PF are undefined; APM BLSR"),
    ROW(BSF, C | O | S | A | P, ALWAYS, "SDM 2A BSF: all but ZF are undefined; APM BSF"),
    ROW(BSR, C | O | S | A | P, ALWAYS, "SDM 2A BSR: all but ZF are undefined; APM BSR"),
    ROW(BT, O | S | A | P, ALWAYS, "SDM 2A BT: OF, SF, AF, PF are undefined; APM BT"),
    ROW(BTC, O | S | A | P, ALWAYS, "SDM 2A BTC: OF, SF, AF, PF are undefined; APM BTC"),
    ROW(BTR, O | S | A | P, ALWAYS, "SDM 2A BTR: OF, SF, AF, PF are undefined; APM BTR"),
    ROW(BTS, O | S | A | P, ALWAYS, "SDM 2A BTS: OF, SF, AF, PF are undefined; APM BTS"),
    ROW(BZHI, A | P, ALWAYS, "SDM 2A BZHI: AF and PF are undefined; APM BZHI"),
    ROW(DAA, O, ALWAYS, "SDM 2A DAA: OF is undefined; APM DAA"),
    ROW(DAS, O, ALWAYS, "SDM 2A DAS: OF is undefined; APM DAS"),
    ROW(DIV, EFLAGS_ARITHMETIC, ALWAYS, "SDM 2A DIV: all six are undefined; APM DIV"),
    ROW(IDIV, EFLAGS_ARITHMETIC, ALWAYS, "SDM 2A IDIV: all six are undefined; APM IDIV"),
    ROW(IMUL, S | Z | A | P, ALWAYS, "SDM 2A IMUL: all but CF and OF are undefined; APM IMUL"),
    ROW(LZCNT, O | S | P | A, ALWAYS, "SDM 2A LZCNT: OF, SF, PF, AF are undefined; APM LZCNT"),
    ROW(MUL, S | Z | A | P, ALWAYS, "SDM 2B MUL: all but CF and OF are undefined; APM MUL"),
    ROW(OR, A, ALWAYS, "SDM 2B OR: AF is undefined; APM OR"),
    ROW(RCL, O, ROTATE, "SDM 2B RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates; APM RCL"),
    ROW(RCR, O, ROTATE, "SDM 2B RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates; APM RCR"),
    ROW(ROL, O, ROTATE, "SDM 2B RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates; APM ROL"),
    ROW(ROR, O, ROTATE, "SDM 2B RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates; APM ROR"),
    ROW(SAR, O | A, ARITHMETIC_SHIFT,
        "SDM 2B SAL/SAR/SHL/SHR: OF for 1-bit shifts only, AF undefined; APM SAR"),
    ROW(SHL, O | A | C, SHIFT, "SDM 2B SAL/SAR/SHL/SHR: as SAR; CF from the operand's size on; APM SAL"),
    ROW(SHLD, O | A, DOUBLE_SHIFT, "SDM 2B SHLD: OF for 1-bit shifts only, AF undefined; APM SHLD"),
    ROW(SHR, O | A | C, SHIFT, "SDM 2B SAL/SAR/SHL/SHR: as SAR; CF from the operand's size on; APM SHR"),
    ROW(SHRD, O | A, DOUBLE_SHIFT, "SDM 2B SHRD: OF for 1-bit shifts only, AF undefined; APM SHRD"),
    ROW(TEST, A, ALWAYS, "SDM 2B TEST: AF is undefined; APM TEST"),
    ROW(TZCNT, O | S | P | A, ALWAYS, "SDM 2B TZCNT: OF, SF, PF, AF are undefined; APM TZCNT"),
    ROW(XOR, A, ALWAYS, "SDM 2D XOR: AF is undefined; APM XOR"),
};
#undef ROW

static const struct row *row_of(ZydisMnemonic mnemonic) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].mnemonic == mnemonic)
      return &rows[i];
  return NULL;
}

/* Zydis' flags have the places of EFLAGS. */
_Static_assert(ZYDIS_CPUFLAG_CF == EFLAG_C && ZYDIS_CPUFLAG_OF == EFLAG_O && ZYDIS_CPUFLAG_DF == EFLAG_D, "");

/* The undefined flags of a shift or rotate by `count` (-1: not known) of an operand of `bits`. */
static uint32_t undefined_of_shift(const struct row *row, int count, unsigned bits) {
  bool one = count == 1, at_least_size = count < 0 ? bits < 32 : (unsigned)count >= bits;
  uint32_t undefined = row->undefined & ~(uint32_t)(EFLAG_C | (one ? EFLAG_O : 0));
  if (row->when == SHIFT && at_least_size)
    undefined |= EFLAG_C;
  if (row->when == DOUBLE_SHIFT && at_least_size && count != (int)bits)
    undefined = EFLAGS_ARITHMETIC;
  return undefined;
}

/* Flags perhaps undefined after the instruction. */
static uint32_t undefined_by(const struct row *row, const ZydisDecodedOperand *zo, int count) {
  return row->when == ALWAYS ? row->undefined : count == 0 ? 0 : undefined_of_shift(row, count, zo[0].size);
}

static bool is_transfer(const ZydisDecodedInstruction *zi) {
  switch (zi->meta.category) {
  case ZYDIS_CATEGORY_COND_BR:
  case ZYDIS_CATEGORY_UNCOND_BR:
  case ZYDIS_CATEGORY_CALL:
  case ZYDIS_CATEGORY_RET:
    return true;
  default:
    return false;
  }
}

/* The general register that an `add`, `sub` or `and` of 32 bits leaves its result in; 0: it is another
 * instruction. */
static ZydisRegister sum_of(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo) {
  bool sum = zi->mnemonic == ZYDIS_MNEMONIC_ADD || zi->mnemonic == ZYDIS_MNEMONIC_SUB ||
             zi->mnemonic == ZYDIS_MNEMONIC_AND;
  return sum && zo[0].type == ZYDIS_OPERAND_TYPE_REGISTER && zo[0].size == 32 ? zo[0].reg.value : 0;
}

/* Flags of address arithmetic: known to be lost (docs/flags.md). */
static bool uses_sum(const struct flag_track *track, const ZydisDecodedInstruction *zi,
                     const ZydisDecodedOperand *zo) {
  if (!track->sum || !is_transfer(zi))
    return false;
  return track->sum == ZYDIS_REGISTER_ESP ||
         (zo[0].type == ZYDIS_OPERAND_TYPE_REGISTER && zo[0].reg.value == track->sum);
}

bool flag_track_add(struct flag_track *track, const ZydisDecodedInstruction *zi,
                    const ZydisDecodedOperand *zo) {
  const ZydisAccessedFlags *flags = zi->cpu_flags;
  uint32_t read = flags ? flags->tested : 0, undefined = 0;
  uint32_t defined = flags ? flags->modified | flags->set_0 | flags->set_1 | flags->undefined : 0;
  if (zi->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
    defined = 0; /* no turn, no flags */
  const struct row *row = row_of(zi->mnemonic);
  if (row) {
    const ZydisDecodedOperand *operand = &zo[row->when == DOUBLE_SHIFT ? 2 : 1];
    int count = operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? (int)operand->imm.value.u & 31 : -1;
    undefined = undefined_by(row, zo, count);
    defined = row->when != ALWAYS && count <= 0 ? 0 : defined & ~undefined;
  }
  if (track->branched)
    defined = 0;
  bool reads_undefined = read & track->undefined;
  if (uses_sum(track, zi, zo))
    undefined = EFLAGS_ARITHMETIC;
  if (defined || undefined)
    track->sum = sum_of(zi, zo);
  if (is_transfer(zi)) {
    track->branched = true;
    track->undefined |= undefined;
    track->at_exits |= track->undefined;
  }
  track->undefined = (track->undefined | undefined) & ~defined;
  track->anywhere |= track->undefined;
  return !reads_undefined;
}

void flag_table_print(void) {
  static const char *const when[] = {
      [ALWAYS] = "always",
      [SHIFT] = "count > 1; AF: > 0; CF: ≥ operand size",
      [ARITHMETIC_SHIFT] = "count > 1; AF: > 0",
      [ROTATE] = "count > 1",
      [DOUBLE_SHIFT] = "count > 1; AF: > 0; all: > operand size",
  };
  static const struct {
    uint32_t bit;
    const char *name;
  } names[] = {{O, "OF"}, {S, "SF"}, {Z, "ZF"}, {A, "AF"}, {P, "PF"}, {C, "CF"}};
  printf("| instruction | undefined | when | reference |\n|---|---|---|---|\n");
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    printf("| %s |", ZydisMnemonicGetString(rows[i].mnemonic));
    for (size_t f = 0; f < sizeof names / sizeof names[0]; f++)
      if (rows[i].undefined & names[f].bit)
        printf(" %s", names[f].name);
    printf(" | %s | %s |\n", when[rows[i].when], rows[i].reference);
  }
}
