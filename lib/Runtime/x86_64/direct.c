/* Writing direct instructions (Runtime/direct.h). Encodings: SDM vol. 2. */
#include "Runtime/direct.h"
#include "Runtime/x86_64/emit.h"

#include <Zydis/Mnemonic.h>

enum { ESCAPE = 0x0F };

/* How an instruction is encoded: [0F] opcode, ModRM with a register or a digit and one of the operands,
 * perhaps an immediate. */
struct encoding {
  bool escape;      /* 0F before the opcode */
  bool mandatory66; /* the prefix 66 is part of the opcode */
  uint8_t opcode;
  int8_t digit;   /* of the ModRM byte; -1: register operand `reg` */
  int8_t reg, rm; /* operands; rm -1: no ModRM byte */
  int8_t imm;     /* operand; -1: none */
  uint8_t imm_size;
};

static bool is_gpr(const struct operand *op) { return op->kind == OPERAND_GPR; }
static bool is_immediate(const struct operand *op) {
  return op->kind == OPERAND_IMMEDIATE || op->kind == OPERAND_CONSTANT;
}

static uint32_t immediate_of(const struct insn *insn, unsigned i) {
  const struct operand *op = &insn->form.op[i];
  return op->kind == OPERAND_IMMEDIATE ? insn->imm[op->hole] : operand_constant(insn, i);
}

/* --- The encoding of each ------------------------------------------------------------------------- */

static int arithmetic_digit(unsigned mnemonic) {
  static const uint16_t order[8] = {ZYDIS_MNEMONIC_ADD, ZYDIS_MNEMONIC_OR,  ZYDIS_MNEMONIC_ADC,
                                    ZYDIS_MNEMONIC_SBB, ZYDIS_MNEMONIC_AND, ZYDIS_MNEMONIC_SUB,
                                    ZYDIS_MNEMONIC_XOR, ZYDIS_MNEMONIC_CMP};
  for (int i = 0; i < 8; i++)
    if (order[i] == mnemonic)
      return i;
  return -1;
}

static bool arithmetic(struct encoding *e, const struct insn *insn, unsigned digit) {
  const struct operand *op = insn->form.op;
  const uint8_t wide = op[0].size > 1;
  if (is_immediate(&op[1])) {
    const uint32_t value = immediate_of(insn, 1);
    const bool is_byte = !wide || (int32_t)value == (int8_t)value;
    *e = (struct encoding){.opcode = is_byte && wide ? 0x83 : 0x80 | wide,
                           .digit = (int8_t)digit,
                           .imm = 1,
                           .imm_size = is_byte ? 1 : (uint8_t)op[0].size};
    return true;
  }
  if (is_gpr(&op[1]))
    *e = (struct encoding){.opcode = (uint8_t)(digit << 3 | wide), .digit = -1, .reg = 1, .rm = 0, .imm = -1};
  else
    *e = (struct encoding){
        .opcode = (uint8_t)(digit << 3 | 2 | wide), .digit = -1, .reg = 0, .rm = 1, .imm = -1};
  return true;
}

static bool test(struct encoding *e, const struct insn *insn) {
  const struct operand *op = insn->form.op;
  const uint8_t wide = op[0].size > 1;
  if (is_immediate(&op[1]))
    *e = (struct encoding){.opcode = 0xF6 | wide, .digit = 0, .imm = 1, .imm_size = (uint8_t)op[0].size};
  else if (is_gpr(&op[1]))
    *e = (struct encoding){.opcode = 0x84 | wide, .digit = -1, .reg = 1, .rm = 0, .imm = -1};
  else
    *e = (struct encoding){.opcode = 0x84 | wide, .digit = -1, .reg = 0, .rm = 1, .imm = -1};
  return true;
}

static bool unary(struct encoding *e, const struct insn *insn, uint8_t opcode, int8_t digit) {
  *e = (struct encoding){.opcode = opcode | (insn->form.op[0].size > 1), .digit = digit, .imm = -1};
  return true;
}

static bool shift(struct encoding *e, const struct insn *insn, int8_t digit) {
  const struct operand *op = insn->form.op;
  const uint8_t wide = op[0].size > 1;
  if (is_gpr(&op[1]))
    *e = (struct encoding){.opcode = 0xD2 | wide, .digit = digit, .imm = -1};
  else if (immediate_of(insn, 1) == 1)
    *e = (struct encoding){.opcode = 0xD0 | wide, .digit = digit, .imm = -1};
  else
    *e = (struct encoding){.opcode = 0xC0 | wide, .digit = digit, .imm = 1, .imm_size = 1};
  return is_gpr(&op[1]) || is_immediate(&op[1]);
}

/* The opcode with cl; the one before it has an immediate. */
static bool double_shift(struct encoding *e, const struct insn *insn, uint8_t opcode) {
  const struct operand *op = insn->form.op;
  *e = (struct encoding){.escape = true, .opcode = opcode, .digit = -1, .reg = 1, .rm = 0, .imm = -1};
  if (is_immediate(&op[2])) {
    e->opcode--;
    e->imm = 2;
    e->imm_size = 1;
  }
  return is_gpr(&op[1]);
}

/* Of memory, by a register: a bit string, whose address is another. */
static bool bit_test(struct encoding *e, const struct insn *insn, uint8_t opcode, int8_t digit) {
  const struct operand *op = insn->form.op;
  *e = (struct encoding){.escape = true, .opcode = opcode, .digit = -1, .reg = 1, .rm = 0, .imm = -1};
  if (is_immediate(&op[1]))
    *e = (struct encoding){.escape = true, .opcode = 0xBA, .digit = digit, .imm = 1, .imm_size = 1};
  return is_immediate(&op[1]) || (is_gpr(&op[0]) && is_gpr(&op[1]));
}

static bool compare_floats(struct encoding *e, uint8_t opcode, bool is_double) {
  *e = (struct encoding){
      .escape = true, .mandatory66 = is_double, .opcode = opcode, .digit = -1, .reg = 0, .rm = 1, .imm = -1};
  return true;
}

static bool conditional(struct encoding *e, const struct insn *insn) {
  const uint8_t condition = insn->condition;
  if (insn->flow == FLOW_CONDITIONAL)
    *e = (struct encoding){.escape = true, .opcode = 0x80 | condition, .rm = -1, .imm = -1};
  else if (insn->form.op[1].kind == OPERAND_NONE)
    *e = (struct encoding){.escape = true, .opcode = 0x90 | condition, .digit = 0, .imm = -1}; /* setcc */
  else
    *e = (struct encoding){
        .escape = true, .opcode = 0x40 | condition, .digit = -1, .reg = 0, .rm = 1, .imm = -1};
  return true;
}

static bool plain(struct encoding *e, uint8_t opcode) {
  *e = (struct encoding){.opcode = opcode, .rm = -1, .imm = -1};
  return true;
}

static bool encoding_of(struct encoding *e, const struct insn *insn) {
  const int digit = arithmetic_digit(insn->form.mnemonic);
  if (digit >= 0)
    return arithmetic(e, insn, (unsigned)digit);
  if (insn->condition != CONDITION_NONE)
    return conditional(e, insn);
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_TEST:
    return test(e, insn);
  case ZYDIS_MNEMONIC_INC:
    return unary(e, insn, 0xFE, 0);
  case ZYDIS_MNEMONIC_DEC:
    return unary(e, insn, 0xFE, 1);
  case ZYDIS_MNEMONIC_NEG:
    return unary(e, insn, 0xF6, 3);
  case ZYDIS_MNEMONIC_ROL:
    return shift(e, insn, 0);
  case ZYDIS_MNEMONIC_ROR:
    return shift(e, insn, 1);
  case ZYDIS_MNEMONIC_RCL:
    return shift(e, insn, 2);
  case ZYDIS_MNEMONIC_RCR:
    return shift(e, insn, 3);
  case ZYDIS_MNEMONIC_SHL:
    return shift(e, insn, 4);
  case ZYDIS_MNEMONIC_SHR:
    return shift(e, insn, 5);
  case ZYDIS_MNEMONIC_SAR:
    return shift(e, insn, 7);
  case ZYDIS_MNEMONIC_SHLD:
    return double_shift(e, insn, 0xA5);
  case ZYDIS_MNEMONIC_SHRD:
    return double_shift(e, insn, 0xAD);
  case ZYDIS_MNEMONIC_BT:
    return bit_test(e, insn, 0xA3, 4);
  case ZYDIS_MNEMONIC_BTS:
    return bit_test(e, insn, 0xAB, 5);
  case ZYDIS_MNEMONIC_BTR:
    return bit_test(e, insn, 0xB3, 6);
  case ZYDIS_MNEMONIC_BTC:
    return bit_test(e, insn, 0xBB, 7);
  case ZYDIS_MNEMONIC_COMISS:
    return compare_floats(e, 0x2F, false);
  case ZYDIS_MNEMONIC_COMISD:
    return compare_floats(e, 0x2F, true);
  case ZYDIS_MNEMONIC_UCOMISS:
    return compare_floats(e, 0x2E, false);
  case ZYDIS_MNEMONIC_UCOMISD:
    return compare_floats(e, 0x2E, true);
  case ZYDIS_MNEMONIC_CMC:
    return plain(e, 0xF5);
  case ZYDIS_MNEMONIC_CLC:
    return plain(e, 0xF8);
  case ZYDIS_MNEMONIC_STC:
    return plain(e, 0xF9);
  case ZYDIS_MNEMONIC_SAHF:
    return plain(e, 0x9E);
  case ZYDIS_MNEMONIC_LAHF:
    return plain(e, 0x9F);
  default:
    return false;
  }
}

/* fcomi and its kin, and fcmovcc: two bytes, the second with the register's number; 0: another instruction.
 */
static uint16_t x87_opcode(unsigned mnemonic) {
  switch (mnemonic) {
  case ZYDIS_MNEMONIC_FCMOVB:
    return 0xDAC0;
  case ZYDIS_MNEMONIC_FCMOVE:
    return 0xDAC8;
  case ZYDIS_MNEMONIC_FCMOVBE:
    return 0xDAD0;
  case ZYDIS_MNEMONIC_FCMOVU:
    return 0xDAD8;
  case ZYDIS_MNEMONIC_FCMOVNB:
    return 0xDBC0;
  case ZYDIS_MNEMONIC_FCMOVNE:
    return 0xDBC8;
  case ZYDIS_MNEMONIC_FCMOVNBE:
    return 0xDBD0;
  case ZYDIS_MNEMONIC_FCMOVNU:
    return 0xDBD8;
  case ZYDIS_MNEMONIC_FUCOMI:
    return 0xDBE8;
  case ZYDIS_MNEMONIC_FCOMI:
    return 0xDBF0;
  case ZYDIS_MNEMONIC_FUCOMIP:
    return 0xDFE8;
  case ZYDIS_MNEMONIC_FCOMIP:
    return 0xDFF0;
  default:
    return 0;
  }
}

/* --- What can be encoded ---------------------------------------------------------------------------------
 */

/* The guest's bl is in dil, which takes a REX prefix; ah, ch and dh are where they are without one; bh is
 * nowhere. */
static unsigned host_number(const struct operand *op) {
  if (op->kind != OPERAND_GPR)
    return op->reg;
  return operand_is_high_byte(op) ? op->reg : host_gpr(op->reg);
}

static bool needs_rex(const struct operand *op) {
  switch (op->kind) {
  case OPERAND_GPR:
    return !operand_is_high_byte(op) && (host_gpr(op->reg) >= 8 || (op->size == 1 && host_gpr(op->reg) >= 4));
  case OPERAND_MEMORY:
    return host_base(op) >= 8 || host_index(op) >= 8;
  default:
    return false;
  }
}

/* In FS and GS what lies at a constant offset: there the end of the segment has been looked at when it was
 * decoded. */
static bool is_reachable(const struct operand *op) {
  const bool is_constant = op->reg == REGISTER_NONE && op->index == REGISTER_NONE;
  return op->reg != REGISTER_TEMPORARY && !op->vector_index && op->segment != SEGMENT_BEYOND &&
         (!op->segment || is_constant);
}

bool direct_can(const struct insn *insn) {
  struct encoding e;
  if (insn->form.attributes)
    return false;
  if (x87_opcode(insn->form.mnemonic))
    return true;
  if (!encoding_of(&e, insn))
    return false;
  bool has_high_byte = false, has_rex = false;
  for (unsigned i = 0; i < 4; i++) {
    const struct operand *op = &insn->form.op[i];
    if (op->kind == OPERAND_MEMORY && !is_reachable(op))
      return false;
    if (is_gpr(op) && (op->reg == REGISTER_TEMPORARY || (operand_is_high_byte(op) && op->reg == 4 + GPR_EBX)))
      return false;
    has_high_byte |= operand_is_high_byte(op);
    has_rex |= needs_rex(op);
  }
  return !(has_high_byte && has_rex);
}

/* --- Writing ------------------------------------------------------------------------------------------- */

static uint8_t *write_encoding(uint8_t *at, const struct insn *insn, const struct encoding *e) {
  const struct operand *op = insn->form.op, *rm = e->rm < 0 ? NULL : &op[e->rm];
  const bool is_memory = rm && rm->kind == OPERAND_MEMORY;
  const unsigned reg = e->digit < 0 && rm ? host_number(&op[e->reg]) : rm ? (unsigned)e->digit : 0;
  unsigned base = ZERO, index = SIB_NO_INDEX;
  uint8_t rex = 0;
  if (is_memory && rm->segment) {
    at = emit_segment_base(at, rm);
    index = R10;
  } else if (is_memory) {
    base = host_base(rm);
    index = host_index(rm);
  } else if (rm) {
    base = host_number(rm);
  }
  for (unsigned i = 0; i < 4; i++)
    if (needs_rex(&op[i]))
      rex = REX;
  if (rm && (reg | base | index) & 8)
    rex = rex_prefix(reg, base, index);
  if (is_memory)
    *at++ = ADDRESS32;
  if (e->mandatory66 || (rm && op[e->reg].size == 2 && is_gpr(&op[e->reg]) && e->digit < 0) ||
      (rm && e->digit >= 0 && rm->size == 2))
    *at++ = OPERAND16;
  if (rex)
    *at++ = rex;
  if (e->escape)
    *at++ = ESCAPE;
  *at++ = e->opcode;
  if (is_memory)
    at += write_address(at, (reg & 7) << 3, base, index, rm->segment ? 0 : rm->scale,
                        rm->has_disp ? insn->disp : 0);
  else if (rm)
    *at++ = (uint8_t)(0xC0 | (reg & 7) << 3 | (base & 7));
  const uint32_t immediate = e->imm < 0 ? 0 : immediate_of(insn, (unsigned)e->imm);
  return e->imm < 0 ? at : emit(at, &immediate, e->imm_size);
}

uint8_t *direct_write(uint8_t *at, const struct insn *insn) {
  struct encoding e;
  const uint16_t x87 = x87_opcode(insn->form.mnemonic);
  if (x87)
    return EMIT(at, (uint8_t)(x87 >> 8), (uint8_t)(x87 | insn->form.op[1].reg));
  if (!encoding_of(&e, insn))
    engine_fatal(insn->eip, "'%s' cannot be written as it is", insn_name(&insn->form));
  at = write_encoding(at, insn, &e);
  return insn->flow == FLOW_CONDITIONAL ? emit32(at, 0) : at;
}

static uint8_t offset_of(enum flag flag) { return (uint8_t)(offsetof(struct cpu_state, cf) + flag); }

bool direct_save_keeps(uint8_t flags) { return !(flags & FLAGS_A) || __builtin_cpu_supports("bmi2"); }

/* lahf is without REX prefix, as ah is: eax is kept in r10. Of what takes one bit out of it only pext leaves
 * the flags alone. */
static uint8_t *write_save_adjust(uint8_t *at) {
  enum { AH_ADJUST_BIT = 4 };
  if (direct_save_keeps(FLAGS_A)) {
    at = EMIT(at, 0x41, 0x89, 0xC2, 0x9F, 0x41, 0xBE); /* mov %eax,%r10d; lahf; mov … */
    at = emit32(at, 1u << (8 + AH_ADJUST_BIT));        /* … $bit of ah,%r14d */
    at = EMIT(at, 0xC4, 0x42, 0x7A, 0xF5, 0xF6);       /* pext %r14d,%eax,%r14d */
    at = EMIT(at, GS, REX | REX_R | REX_B, 0x88, 0x40 | (R14 & 7) << 3 | (ZERO & 7), offset_of(FLAG_A));
    return EMIT(at, 0x44, 0x89, 0xD0); /* mov %r10d,%eax */
  }
  at = EMIT(at, 0x41, 0x89, 0xC2);                    /* mov %eax,%r10d */
  at = EMIT(at, 0x9F, 0xC0, 0xEC, AH_ADJUST_BIT);     /* lahf; shr $4,%ah */
  at = EMIT(at, 0x80, 0xE4, 1, GS, 0x88, 0x24, 0x25); /* and $1,%ah; mov %ah,%gs:af */
  at = emit32(at, offset_of(FLAG_A));
  return EMIT(at, 0x44, 0x89, 0xD0); /* mov %r10d,%eax */
}

uint8_t *direct_write_save(uint8_t *at, uint8_t flags) {
  static const uint8_t condition[FLAG_COUNT] = {
      [FLAG_C] = 2, [FLAG_P] = 10, [FLAG_Z] = 4, [FLAG_S] = 8, [FLAG_O] = 0};
  for (enum flag flag = 0; flag < FLAG_COUNT; flag++)
    if (flags >> flag & 1 && flag != FLAG_A)
      at = EMIT(at, GS, REX | REX_B, ESCAPE, 0x90 | condition[flag], 0x40 | (ZERO & 7),
                offset_of(flag)); /* setcc %gs:flag */
  return flags & FLAGS_A ? write_save_adjust(at) : at;
}

uint8_t *direct_write_move(uint8_t *at, unsigned to, unsigned from) {
  return EMIT(at, rex_prefix(from, to, SIB_NO_INDEX), 0x89, (uint8_t)(0xC0 | (from & 7) << 3 | (to & 7)));
}

/* The flag is 0 or 1. */
uint8_t *direct_write_load_carry(uint8_t *at) {
  return EMIT(at, GS, REX | REX_B, ESCAPE, 0xBA, 0x40 | 4 << 3 | (ZERO & 7), offset_of(FLAG_C),
              0); /* btl $0,%gs:cf(%r15) */
}

/* --- Calls and returns ------------------------------------------------------------------------------------
 */

/* disp(%esi) */
static uint8_t *emit_stack(uint8_t *at, unsigned reg, int32_t disp) {
  return at + write_address(at, (reg & 7) << 3, host_register[GPR_ESP], SIB_NO_INDEX, 0, (uint32_t)disp);
}

/* lea by(%rsi),%esi */
uint8_t *direct_write_adjustment(uint8_t *at, int32_t by) {
  return emit_stack(EMIT(at, 0x8D), host_register[GPR_ESP], by);
}

bool direct_can_transfer(const struct insn *insn) {
  const struct operand *op = &insn->form.op[0];
  if (insn->form.operand_width != 4 || insn->form.attributes)
    return false;
  if (insn->flow == FLOW_CALL_INDIRECT)
    return (is_gpr(op) && op->reg != GPR_ESP) ||
           (op->kind == OPERAND_MEMORY && is_reachable(op) && !op->segment);
  return insn->flow == FLOW_CALL || insn->flow == FLOW_RETURN;
}

/* mov target,%r13d */
static uint8_t *write_target(uint8_t *at, const struct insn *insn, int32_t stack) {
  const struct operand *op = &insn->form.op[0];
  const bool is_memory = op->kind == OPERAND_MEMORY;
  const unsigned base = host_base(op), index = is_memory ? host_index(op) : SIB_NO_INDEX;
  if (is_memory)
    *at++ = ADDRESS32;
  at = EMIT(at, rex_prefix(R13, base, index), 0x8B);
  if (!is_memory)
    return EMIT(at, (uint8_t)(0xC0 | (R13 & 7) << 3 | (base & 7)));
  const uint32_t disp = (op->has_disp ? insn->disp : 0) + (op->reg == GPR_ESP ? (uint32_t)stack : 0);
  return at + write_address(at, (R13 & 7) << 3, base, index, op->scale, disp);
}

uint8_t *direct_write_call(uint8_t *at, const struct insn *insn, int32_t stack, uint8_t **callee) {
  const guest_addr back = insn_next(insn);
  if (insn->flow == FLOW_CALL_INDIRECT)
    at = write_target(at, insn, stack);
  at = emit32(emit_stack(EMIT(at, ADDRESS32, 0xC7), 0, stack - 4), back); /* movl $back,stack-4(%esi) */
  at = direct_write_adjustment(at, stack - 4);
  at = EMIT(at, 0xE8); /* call */
  *callee = at;
  at = emit32(EMIT(emit32(at, 0), REX | REX_B, 0x81, 0xC0 | 7 << 3 | (R13 & 7)), back); /* cmp $back,%r13d */
  at = EMIT(at, ESCAPE, 0x85);                                                          /* jne mispaired */
  return emit32(at, (uint32_t)(stub_address(STENCIL_MISPAIRED) - code_address(at) - 4));
}

uint8_t *direct_write_return(uint8_t *at, int32_t stack, uint32_t released) {
  at = emit_stack(EMIT(at, ADDRESS32, REX | REX_R, 0x8B), R13, stack); /* mov stack(%esi),%r13d */
  at = direct_write_adjustment(at, stack + 4 + (int32_t)released);
  return EMIT(at, 0xC3);
}
