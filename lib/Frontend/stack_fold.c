#include "Frontend/stack_fold.h"

#include "Frontend/decode_cache.h"

#include <Zydis/Zydis.h>
#include <string.h>

/* ESP is part of what these do, without being an operand. */
static bool uses_stack_implicitly(const struct insn *insn) {
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_PUSH:
  case ZYDIS_MNEMONIC_POP:
  case ZYDIS_MNEMONIC_PUSHF:
  case ZYDIS_MNEMONIC_PUSHFD:
  case ZYDIS_MNEMONIC_POPF:
  case ZYDIS_MNEMONIC_POPFD:
  case ZYDIS_MNEMONIC_PUSHA:
  case ZYDIS_MNEMONIC_PUSHAD:
  case ZYDIS_MNEMONIC_POPA:
  case ZYDIS_MNEMONIC_POPAD:
  case ZYDIS_MNEMONIC_ENTER:
  case ZYDIS_MNEMONIC_LEAVE:
    return true;
  default:
    return false;
  }
}

static bool is_esp(const struct operand *op) {
  return op->kind == OPERAND_GPR && op->size >= 2 && op->reg == GPR_ESP;
}

/* The operand that is memory based on ESP; NULL if there is none. */
static struct operand *stack_operand(struct insn *insn) {
  for (unsigned i = 0; i < 4; i++)
    if (insn->form.op[i].kind == OPERAND_MEMORY && insn->form.op[i].reg == GPR_ESP)
      return &insn->form.op[i];
  return NULL;
}

/* Instructions that stand for others are put together as code, so that decoding gives them the one form
 * that stencils are made of. `opcode` /reg with the operand offset(%esp), and perhaps an immediate. */
static bool make_stack_access(struct insn *out, const struct insn *in, uint8_t opcode, unsigned reg,
                              int32_t offset, const uint32_t *immediate) {
  enum { MOD_DISP32_SIB = 0x84, SIB_ESP = 0x24 };
  uint8_t bytes[16] = {opcode, (uint8_t)(MOD_DISP32_SIB | reg << 3), SIB_ESP};
  memcpy(bytes + 3, &offset, 4);
  if (immediate)
    memcpy(bytes + 7, immediate, 4);
  if (insn_decode_cached(out, bytes, sizeof bytes, in->eip) != INSN_OK)
    return false;
  out->length = in->length;
  return true;
}

static bool is_lea_of_esp(const struct insn *insn) {
  const struct operand *address = &insn->form.op[1];
  return insn->form.mnemonic == ZYDIS_MNEMONIC_LEA && address->reg == GPR_ESP &&
         address->index == REGISTER_NONE;
}

/* Adds a constant to ESP and does nothing else. */
static bool adds_constant(const struct insn *insn, uint8_t live, int32_t *constant) {
  const struct operand *op = insn->form.op;
  if (!is_esp(&op[0]) || op[0].size != 4)
    return false;
  if (is_lea_of_esp(insn)) {
    *constant = op[1].has_disp ? (int32_t)insn->disp : 0;
    return true;
  }
  if (live || op[1].kind != OPERAND_IMMEDIATE)
    return false;
  *constant = (int32_t)insn->imm[0];
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_SUB)
    *constant = (int32_t)(0u - insn->imm[0]);
  return insn->form.mnemonic == ZYDIS_MNEMONIC_ADD || insn->form.mnemonic == ZYDIS_MNEMONIC_SUB;
}

/* Gives ESP a value that does not depend on it. */
static bool replaces_esp(const struct insn *insn) {
  const struct operand *op = insn->form.op;
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_LEAVE)
    return insn->form.operand_width == 4;
  if (!is_esp(&op[0]) || op[0].size != 4 || op[0].read || is_esp(&op[1]) || op[1].reg == GPR_ESP)
    return false;
  return insn->form.mnemonic == ZYDIS_MNEMONIC_MOV || insn->form.mnemonic == ZYDIS_MNEMONIC_LEA;
}

/* push of memory: to the temporary, and from there. */
static bool fold_push_memory(struct stack_fold *fold, const struct insn *insn, int32_t offset) {
  const struct operand *source = &insn->form.op[0];
  if (source->kind != OPERAND_MEMORY || source->size != 4 || source->segment || insn->form.attributes)
    return false;
  struct insn *load = &fold->insn[0], *store = &fold->insn[1];
  *load = *insn;
  load->pattern = insn_pattern_variant(insn->pattern, PATTERN_TEMPORARY);
  load->form.mnemonic = ZYDIS_MNEMONIC_MOV;
  load->form.op[0] =
      (struct operand){.kind = OPERAND_GPR, .size = 4, .reg = REGISTER_TEMPORARY, .written = 1};
  load->form.op[1] = *source;
  if (source->reg == GPR_ESP) {
    load->form.op[1].has_disp = 1;
    load->disp = (source->has_disp ? insn->disp : 0) + (uint32_t)offset;
  }
  fold->count = 2;
  if (!make_stack_access(store, insn, 0x89, GPR_EAX, offset - 4, NULL))
    return false;
  store->form.op[1].reg = REGISTER_TEMPORARY;
  store->pattern = insn_pattern_variant(store->pattern, PATTERN_TEMPORARY);
  return true;
}

static bool in_limits(int64_t offset) { return offset > -STACK_OFFSET_LIMIT && offset < STACK_OFFSET_LIMIT; }

static bool fold_any(struct stack_fold *fold, const struct insn *insn, uint8_t live, int32_t offset) {
  const struct operand *op = insn->form.op;
  bool plain_gpr = op[0].kind == OPERAND_GPR && op[0].size == 4 && op[0].reg != GPR_ESP;
  int32_t constant;
  fold->after = offset;
  fold->count = 1;
  if (adds_constant(insn, live, &constant)) {
    if (!in_limits((int64_t)offset + constant))
      return false;
    fold->count = 0;
    fold->after = offset + constant;
    return true;
  }
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_PUSH:
    fold->after = offset - 4;
    if (op[0].kind == OPERAND_IMMEDIATE && insn->form.operand_width == 4)
      return make_stack_access(&fold->insn[0], insn, 0xC7, 0, fold->after, &insn->imm[0]);
    if (fold_push_memory(fold, insn, offset))
      return true;
    return plain_gpr && make_stack_access(&fold->insn[0], insn, 0x89, op[0].reg, fold->after, NULL);
  case ZYDIS_MNEMONIC_POP:
    fold->after = offset + 4;
    return plain_gpr && make_stack_access(&fold->insn[0], insn, 0x8B, op[0].reg, offset, NULL);
  case ZYDIS_MNEMONIC_MOV: /* mov %esp,%reg */
    if (plain_gpr && is_esp(&op[1]))
      return make_stack_access(&fold->insn[0], insn, 0x8D, op[0].reg, offset, NULL);
    break;
  default:
    break;
  }
  fold->insn[0] = *insn;
  struct operand *address = stack_operand(&fold->insn[0]);
  if (!address || address->segment || uses_stack_implicitly(insn))
    return false;
  for (unsigned i = 0; i < 4; i++)
    if (is_esp(&op[i]))
      return false;
  fold->insn[0].disp = (address->has_disp ? insn->disp : 0) + (uint32_t)offset;
  if (!address->has_disp)
    fold->insn[0].pattern = insn_pattern_variant(insn->pattern, PATTERN_WITH_DISP);
  address->has_disp = 1;
  return true;
}

enum stack_use stack_fold(struct stack_fold *fold, const struct insn *insn, uint8_t live, int32_t offset) {
  if (insn->flow != FLOW_NEXT)
    return STACK_NEEDED;
  bool used = uses_stack_implicitly(insn);
  for (unsigned i = 0; i < 4; i++) {
    const struct operand *op = &insn->form.op[i];
    used |= is_esp(op) || (op->kind == OPERAND_MEMORY && op->reg == GPR_ESP);
  }
  if (!used)
    return STACK_UNUSED;
  if (replaces_esp(insn))
    return STACK_REPLACED;
  return in_limits((int64_t)offset - 4) && in_limits((int64_t)offset + 4) &&
                 fold_any(fold, insn, live, offset)
             ? STACK_FOLDED
             : STACK_NEEDED;
}
