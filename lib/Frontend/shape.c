#include "Frontend/shape.h"

#include <Zydis/Zydis.h>
#include <string.h>

uint8_t shape_round_flags(uint8_t live, uint8_t changed) {
  static const uint8_t sets[] = {0, FLAGS_Z, FLAGS_C, FLAGS_C | FLAGS_Z, FLAGS_S | FLAGS_Z | FLAGS_O};
  live &= changed;
  for (size_t i = 0; i < sizeof sets; i++)
    if ((live & ~sets[i]) == 0)
      return sets[i] & changed;
  return changed;
}

void shape_of(struct shape *shape, const struct insn *insns, unsigned count, uint8_t live) {
  memset(shape, 0, sizeof *shape);
  shape->first = insns[0].form;
  uint8_t changed = insns[0].flags_changed;
  if (count == 2) {
    shape->second = insns[1].form;
    changed |= insns[1].flags_changed;
  }
  shape->flags_live = shape_round_flags(live, changed);
}

/* Setters whose flags LLVM folds into the reader. */
static bool sets_flags_foldably(const struct insn *insn) {
  if (insn->form.attributes & INSN_LOCK)
    return false;
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_CMP:
  case ZYDIS_MNEMONIC_TEST:
  case ZYDIS_MNEMONIC_ADD:
  case ZYDIS_MNEMONIC_SUB:
  case ZYDIS_MNEMONIC_AND:
  case ZYDIS_MNEMONIC_OR:
  case ZYDIS_MNEMONIC_XOR:
  case ZYDIS_MNEMONIC_INC:
  case ZYDIS_MNEMONIC_DEC:
  case ZYDIS_MNEMONIC_NEG:
  case ZYDIS_MNEMONIC_BT:
  case ZYDIS_MNEMONIC_SHR:
  case ZYDIS_MNEMONIC_SHL:
  case ZYDIS_MNEMONIC_SAR:
  case ZYDIS_MNEMONIC_COMISD:
  case ZYDIS_MNEMONIC_COMISS:
  case ZYDIS_MNEMONIC_UCOMISD:
  case ZYDIS_MNEMONIC_UCOMISS:
  case ZYDIS_MNEMONIC_VCOMISD:
  case ZYDIS_MNEMONIC_VCOMISS:
  case ZYDIS_MNEMONIC_VUCOMISD:
  case ZYDIS_MNEMONIC_VUCOMISS:
  case ZYDIS_MNEMONIC_FUCOMI:
  case ZYDIS_MNEMONIC_FUCOMIP:
  case ZYDIS_MNEMONIC_FCOMI:
  case ZYDIS_MNEMONIC_FCOMIP:
    return true;
  default:
    return false;
  }
}

static bool reads_flags_foldably(const struct insn *insn) {
  if (insn->condition != CONDITION_NONE)
    return true;
  return insn->form.mnemonic == ZYDIS_MNEMONIC_ADC || insn->form.mnemonic == ZYDIS_MNEMONIC_SBB;
}

/* comiss, fcomi and their kin clear OF, SF and AF: a condition on those is a constant, whose move LLVM
 * would do before the access to memory. No compiler asks. */
static bool clears_flags_read(const struct insn *first, const struct insn *second) {
  switch (first->form.mnemonic) {
  case ZYDIS_MNEMONIC_COMISD:
  case ZYDIS_MNEMONIC_COMISS:
  case ZYDIS_MNEMONIC_UCOMISD:
  case ZYDIS_MNEMONIC_UCOMISS:
  case ZYDIS_MNEMONIC_VCOMISD:
  case ZYDIS_MNEMONIC_VCOMISS:
  case ZYDIS_MNEMONIC_VUCOMISD:
  case ZYDIS_MNEMONIC_VUCOMISS:
  case ZYDIS_MNEMONIC_FUCOMI:
  case ZYDIS_MNEMONIC_FUCOMIP:
  case ZYDIS_MNEMONIC_FCOMI:
  case ZYDIS_MNEMONIC_FCOMIP:
    return second->flags_read & (FLAGS_O | FLAGS_S | FLAGS_A);
  default:
    return false;
  }
}

static bool touches_memory(const struct insn_form *form) {
  for (unsigned i = 0; i < 4; i++)
    if (form->op[i].kind == OPERAND_MEMORY)
      return true;
  return false;
}

/* A fused pair has one displacement and one immediate hole of each kind, and a fault in it must
 * be the first instruction's: the second may not touch memory. */
bool shape_can_fuse(const struct insn *first, const struct insn *second) {
  if (!sets_flags_foldably(first) || !reads_flags_foldably(second))
    return false;
  if (second->flags_read & ~first->flags_written || clears_flags_read(first, second))
    return false;
  if (touches_memory(&second->form))
    return false;
  if (second->condition == CONDITION_NONE) {
    /* adc, sbb: worth it after a register-only setter, and without a second immediate */
    if (touches_memory(&first->form) || second->form.op[1].kind != OPERAND_GPR)
      return false;
  }
  return true;
}

/* The index of the memory operand whose address can be taken apart; -1. pop computes its address with the new
 * esp; string operands are implicit; lea has no access; a gather has several addresses. */
static int address_operand(const struct insn_form *form) {
  if (form->mnemonic == ZYDIS_MNEMONIC_POP || form->mnemonic == ZYDIS_MNEMONIC_LEA ||
      form->attributes & INSN_STRING)
    return -1;
  int at = -1;
  for (int i = 0; i < 4; i++) {
    const struct operand *op = &form->op[i];
    /* What is in the temporary already may not go. */
    if (op->reg == REGISTER_TEMPORARY &&
        (op->kind == OPERAND_MEMORY || (op->kind == OPERAND_GPR && op->read)))
      return -1;
    if (op->kind == OPERAND_MEMORY)
      at = op->vector_index ? -1 : i;
  }
  return at;
}

static bool is_bit_string(const struct insn_form *form) {
  switch (form->mnemonic) {
  case ZYDIS_MNEMONIC_BT:
  case ZYDIS_MNEMONIC_BTC:
  case ZYDIS_MNEMONIC_BTR:
  case ZYDIS_MNEMONIC_BTS:
    return form->op[1].kind == OPERAND_GPR;
  default:
    return false;
  }
}

static void use_temporary(struct insn_form *form, int at) {
  struct operand *op = &form->op[at];
  form->attributes &= (uint8_t)~INSN_ADDRESS16;
  op->reg = REGISTER_TEMPORARY;
  op->index = REGISTER_NONE;
  op->scale = op->segment = op->has_disp = 0;
}

bool shape_split_address(const struct insn *insn, struct insn parts[2]) {
  int at = address_operand(&insn->form);
  /* A bit string's offset is added before the address wraps at 64 KiB, or is looked up in a segment. */
  if (at < 0 ||
      (is_bit_string(&insn->form) && (insn->form.attributes & INSN_ADDRESS16 || insn->form.op[at].segment)))
    return false;
  /* A segment is looked at with the address: not if nothing is accessed there, or not in one piece; and the
   * FPU remembers it (the lifter makes a note). */
  const struct operand *op = &insn->form.op[at];
  if (op->segment && (!insn->accesses || insn_access_unit(&insn->form, (unsigned)at) != op->size ||
                      op->segment == SEGMENT_BEYOND || insn_is_of_the_fpu(&insn->form)))
    return false;
  memset(&parts[0], 0, sizeof parts[0]);
  parts[0].form.mnemonic = ZYDIS_MNEMONIC_LEA;
  parts[0].form.attributes = insn->form.attributes & INSN_ADDRESS16;
  parts[0].form.operand_width = 4;
  parts[0].form.op[0] =
      (struct operand){.kind = OPERAND_GPR, .size = 4, .reg = REGISTER_TEMPORARY, .written = 1};
  parts[0].form.op[1] = insn->form.op[at];
  parts[0].form.op[1].read = parts[0].form.op[1].written = 0;
  if (!parts[0].form.op[1].segment) /* else its end is compared with the segment's */
    parts[0].form.op[1].size = 0;
  parts[0].eip = insn->eip;
  parts[0].disp = insn->disp;
  parts[0].length = insn->length;
  parts[0].condition = CONDITION_NONE;
  parts[0].pattern = insn_pattern_variant(insn->pattern, PATTERN_ADDRESS);
  parts[1] = *insn;
  parts[1].pattern = insn_pattern_variant(insn->pattern, PATTERN_ACCESS);
  use_temporary(&parts[1].form, at);
  return true;
}

int shape_generalise(struct shape *shape) {
  int at = address_operand(&shape->first);
  if (at < 0 || shape->first.op[at].segment || shape->first.attributes & INSN_ADDRESS16)
    return -1;
  use_temporary(&shape->first, at);
  return at;
}

uint64_t shape_hash(const struct shape *shape) {
  uint64_t words[sizeof *shape / 8];
  memcpy(words, shape, sizeof words);
  uint64_t hash = 0x9E3779B97F4A7C15u;
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    hash ^= words[i];
    hash *= 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
  }
  return hash;
}
