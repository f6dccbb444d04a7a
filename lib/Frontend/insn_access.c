/* What accesses memory how: how much of an operand the CPU accesses at a time tells where it finds one that goes
 * beyond its segment's end (insn.h). */
#include "Frontend/insn.h"

#include <Zydis/Mnemonic.h>

/* Mnemonics are in alphabetical order. */
bool insn_is_of_the_fpu(const struct insn_form *form) {
  return form->mnemonic >= ZYDIS_MNEMONIC_F2XM1 && form->mnemonic <= ZYDIS_MNEMONIC_FYL2XP1;
}

unsigned insn_access_unit(const struct insn_form *form, unsigned i) {
  const unsigned size = form->op[i].size;
  switch (form->mnemonic) {
  case ZYDIS_MNEMONIC_CLFLUSH:
  case ZYDIS_MNEMONIC_CLFLUSHOPT:
  case ZYDIS_MNEMONIC_CLWB:
  case ZYDIS_MNEMONIC_FXSAVE: /* the last byte is asked for first (helpers.c) */
  case ZYDIS_MNEMONIC_FXRSTOR:
  case ZYDIS_MNEMONIC_XRSTOR:
  case ZYDIS_MNEMONIC_XSAVE:
  case ZYDIS_MNEMONIC_XSAVEC:
  case ZYDIS_MNEMONIC_XSAVEOPT:
    return 1;
  case ZYDIS_MNEMONIC_FLDENV:
  case ZYDIS_MNEMONIC_FNSTENV:
  case ZYDIS_MNEMONIC_FRSTOR:
  case ZYDIS_MNEMONIC_FNSAVE:
    return form->operand_width;
  case ZYDIS_MNEMONIC_JMP: /* a far pointer's selector is read apart */
  case ZYDIS_MNEMONIC_CALL:
  case ZYDIS_MNEMONIC_LDS:
  case ZYDIS_MNEMONIC_LES:
  case ZYDIS_MNEMONIC_LFS:
  case ZYDIS_MNEMONIC_LGS:
  case ZYDIS_MNEMONIC_LSS:
    return form->operand_width;
  case ZYDIS_MNEMONIC_BOUND:
    return size / 2;
  case ZYDIS_MNEMONIC_VMASKMOVPS:
  case ZYDIS_MNEMONIC_VPMASKMOVD:
    return 4;
  case ZYDIS_MNEMONIC_VMASKMOVPD:
  case ZYDIS_MNEMONIC_VPMASKMOVQ:
  case ZYDIS_MNEMONIC_MASKMOVDQU:
  case ZYDIS_MNEMONIC_VMASKMOVDQU:
    return 8;
  default:
    return size == 10 ? 8 : size;
  }
}

unsigned insn_limit_unit(const struct insn_form *form, unsigned i) {
  switch (form->mnemonic) {
  case ZYDIS_MNEMONIC_VMASKMOVPD:
  case ZYDIS_MNEMONIC_VMASKMOVPS:
  case ZYDIS_MNEMONIC_VPMASKMOVD:
  case ZYDIS_MNEMONIC_VPMASKMOVQ:
    return 1;
  default:
    return form->op[i].vector_index ? 1 : insn_access_unit(form, i);
  }
}
