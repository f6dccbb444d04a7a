/* Operands: one interface over registers, memory, constants and holes. */
#include "Frontend/lift.h"
#include "Frontend/lift_internal.h"
#include "Runtime/helpers.h"

#include <stdio.h>
#include <string.h>

LLVMTypeRef lifter_int(struct lifter *l, unsigned bytes) { return LLVMIntTypeInContext(l->context, 8 * bytes); }

LLVMValueRef lifter_const(struct lifter *l, unsigned bytes, uint64_t value) {
  return LLVMConstInt(lifter_int(l, bytes), value, false);
}

/* --- Holes ------------------------------------------------------------------------------------
 * A hole is the address of an absolute symbol whose range says how wide it is; LLVM then puts it
 * into immediates and displacements. One symbol a hole and width. */

static LLVMValueRef hole(struct lifter *l, const char *stem, unsigned bytes) {
  char name[32];
  snprintf(name, sizeof name, "%s_%u", stem, 8 * bytes);
  LLVMValueRef symbol = LLVMGetNamedGlobal(l->module, name);
  if (!symbol) {
    symbol = LLVMAddGlobal(l->module, l->i8, name);
    LLVMSetVisibility(symbol, LLVMHiddenVisibility);
    LLVMSetLinkage(symbol, LLVMExternalLinkage);
    uint64_t limit = bytes == 4 ? 0xFFFFFFFFu : 1ull << 8 * bytes;
    LLVMMetadataRef range[2] = {LLVMValueAsMetadata(LLVMConstInt(l->i32, 0, false)),
                                LLVMValueAsMetadata(LLVMConstInt(l->i32, limit, false))};
    unsigned kind = LLVMGetMDKindIDInContext(l->context, "absolute_symbol", 15);
    LLVMGlobalSetMetadata(symbol, kind, LLVMMDNodeInContext2(l->context, range, 2));
  }
  return LLVMBuildPtrToInt(l->builder, symbol, lifter_int(l, bytes), "");
}

LLVMValueRef insn_eip_value(struct lifter *l, const struct insn *insn) {
  return l->setting != LIFT_STENCIL ? lifter_const(l, 4, insn->eip) : hole(l, "hole_eip", 4);
}

/* Only the last instruction of a pair asks for it. */
LLVMValueRef insn_next_value(struct lifter *l, const struct insn *insn) {
  return l->setting != LIFT_STENCIL ? lifter_const(l, 4, insn_next(insn)) : hole(l, "hole_next", 4);
}

static LLVMValueRef immediate(struct lifter *l, const struct insn *insn, unsigned which, unsigned bytes) {
  if (l->setting != LIFT_STENCIL)
    return lifter_const(l, bytes, insn->imm[which]);
  static const char *const stems[2][2] = {{"hole_imm0", "hole_imm1"}, {"hole_imm2", "hole_imm2"}};
  return hole(l, stems[l->position ? 1 : 0][which], bytes);
}

LLVMValueRef operand_negated(struct lifter *l, const struct insn *insn, unsigned i) {
  if (l->setting == LIFT_STENCIL && l->position == 0 && operand_is(insn, i, OPERAND_IMMEDIATE) &&
      insn->form.op[i].hole == 0 && insn->form.op[0].size == 4)
    return hole(l, "hole_negated", 4);
  return NULL;
}

/* --- General registers ----------------------------------------------------------------------- */

LLVMValueRef gpr_read(struct lifter *l, unsigned reg, unsigned bytes) {
  if (bytes == 1 && reg >= 4) {
    LLVMValueRef high = LLVMBuildLShr(l->builder, l->gpr[reg - 4], lifter_const(l, 4, 8), "");
    /* Seen as a whole register, so that LLVM does not look for one with a high byte and spill. */
    if (l->setting == LIFT_STENCIL)
      high = value_after_accesses(l, high);
    return LLVMBuildTrunc(l->builder, high, l->i8, "");
  }
  if (reg == REGISTER_TEMPORARY)
    return l->temporary;
  if (bytes == 4)
    return l->gpr[reg];
  return LLVMBuildTrunc(l->builder, l->gpr[reg], lifter_int(l, bytes), "");
}

/* The low byte or word of a pinned register, by one host mov: LLVM would mask and merge. */
static LLVMValueRef insert_low(struct lifter *l, LLVMValueRef whole, LLVMValueRef part, unsigned bytes) {
  const char *text = bytes == 1 ? "movb ${1:b}, ${0:b}" : "movw ${1:w}, ${0:w}";
  LLVMTypeRef types[2] = {LLVMTypeOf(part), l->i32};
  LLVMTypeRef type = LLVMFunctionType(l->i32, types, 2, false);
  LLVMValueRef move = LLVMGetInlineAsm(type, text, strlen(text), "=r,r,0", 6, false, false, LLVMInlineAsmDialectATT,
                                       false);
  LLVMValueRef arguments[2] = {part, whole};
  return LLVMBuildCall2(l->builder, type, move, arguments, 2, "");
}

void gpr_write(struct lifter *l, unsigned reg, unsigned bytes, LLVMValueRef value) {
  if (reg == REGISTER_TEMPORARY) {
    l->temporary = value;
    l->temporary_written = true;
    return;
  }
  if (bytes == 4) {
    l->gpr[reg] = value;
    l->gpr_dirty |= (uint8_t)(1 << reg);
    return;
  }
  unsigned shift = bytes == 1 && reg >= 4 ? 8 : 0;
  if (l->setting == LIFT_STENCIL && !shift) {
    l->gpr[reg] = insert_low(l, l->gpr[reg], value, bytes);
    return;
  }
  unsigned target = shift ? reg - 4 : reg;
  uint32_t mask = (bytes == 1 ? 0xFFu : 0xFFFFu) << shift;
  LLVMValueRef wide = LLVMBuildZExt(l->builder, value, l->i32, "");
  if (shift)
    wide = LLVMBuildShl(l->builder, wide, lifter_const(l, 4, shift), "");
  LLVMValueRef kept = LLVMBuildAnd(l->builder, l->gpr[target], lifter_const(l, 4, ~mask), "");
  l->gpr[target] = LLVMBuildOr(l->builder, kept, wide, "");
  l->gpr_dirty |= (uint8_t)(1 << target);
}

LLVMValueRef xmm_read(struct lifter *l, unsigned reg, LLVMTypeRef type) {
  return LLVMBuildBitCast(l->builder, l->xmm[reg], type, "");
}

void xmm_write(struct lifter *l, unsigned reg, LLVMValueRef value) {
  l->xmm[reg] = LLVMBuildBitCast(l->builder, value, l->xmm_type, "");
  l->xmm_dirty |= (uint8_t)(1 << reg);
}

/* --- The register file ------------------------------------------------------------------------ */

static LLVMValueRef state_pointer(struct lifter *l, size_t offset) {
  enum { GS_SPACE = 256 };
  return LLVMConstIntToPtr(lifter_const(l, 4, offset), LLVMPointerTypeInContext(l->context, GS_SPACE));
}

/* May somebody look at the register file in the middle of the lifted code? */
static bool is_seen(const struct lifter *l) { return l->setting != LIFT_REGION || l->commits; }

LLVMValueRef state_load(struct lifter *l, size_t offset, LLVMTypeRef type) {
  LLVMValueRef load = LLVMBuildLoad2(l->builder, type, state_pointer(l, offset), "");
  LLVMSetVolatile(load, is_seen(l));
  LLVMSetAlignment(load, 1);
  return load;
}

void state_store(struct lifter *l, size_t offset, LLVMValueRef value) {
  LLVMValueRef store = LLVMBuildStore(l->builder, value, state_pointer(l, offset));
  LLVMSetVolatile(store, is_seen(l));
  LLVMSetAlignment(store, 1);
}

/* --- Guest memory ------------------------------------------------------------------------------ */

LLVMValueRef guest_pointer(struct lifter *l, LLVMValueRef address) {
  return LLVMBuildIntToPtr(l->builder, address, l->pointer, "");
}

LLVMValueRef memory_load(struct lifter *l, LLVMTypeRef type, LLVMValueRef address) {
  LLVMValueRef load = LLVMBuildLoad2(l->builder, type, guest_pointer(l, address), "");
  LLVMSetVolatile(load, true);
  LLVMSetAlignment(load, 1);
  return load;
}

void memory_store(struct lifter *l, LLVMValueRef address, LLVMValueRef value) {
  LLVMValueRef store = LLVMBuildStore(l->builder, value, guest_pointer(l, address));
  LLVMSetVolatile(store, true);
  LLVMSetAlignment(store, 1);
}

LLVMValueRef value_after_accesses(struct lifter *l, LLVMValueRef value) {
  if (!is_seen(l))
    return value;
  LLVMTypeRef type = LLVMTypeOf(value);
  LLVMTypeRef function = LLVMFunctionType(type, &type, 1, false);
  LLVMValueRef barrier = LLVMGetInlineAsm(function, "", 0, "=r,0", 4, true, false, LLVMInlineAsmDialectATT, false);
  return LLVMBuildCall2(l->builder, function, barrier, &value, 1, "");
}

void gpr_keep(struct lifter *l, unsigned reg) {
  if (l->setting != LIFT_STENCIL)
    return;
  static const char *const pinned[GPR_COUNT] = {"{eax}", "{ecx}", "{edx}", "{edi}", "{esi}", "{r8d}", "{r9d}", "{r12d}"};
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(l->context), &l->i32, 1, false);
  LLVMValueRef use = LLVMGetInlineAsm(type, "", 0, pinned[reg], strlen(pinned[reg]), true, false,
                                      LLVMInlineAsmDialectATT, false);
  LLVMBuildCall2(l->builder, type, use, &l->gpr[reg], 1, "");
}

/* An address that takes more than one host instruction must not be computed in the registers it
 * is made of: they are pinned. */
static void keep_address_registers(struct lifter *l, const struct operand *op) {
  if (!op->segment)
    return;
  if (op->reg != REGISTER_NONE)
    gpr_keep(l, op->reg);
  if (op->index != REGISTER_NONE)
    gpr_keep(l, op->index);
}

/* The value in a host register that no guest register is pinned to ("={r10},0" …). */
static LLVMValueRef in_temporary(struct lifter *l, LLVMValueRef value, const char *constraints) {
  LLVMTypeRef type = LLVMFunctionType(l->i32, &l->i32, 1, false);
  LLVMValueRef move = LLVMGetInlineAsm(type, "", 0, constraints, strlen(constraints), true, false,
                                       LLVMInlineAsmDialectATT, false);
  return LLVMBuildCall2(l->builder, type, move, &value, 1, "");
}

/* A 16-bit address takes several instructions, none of which may use the destination's register; its
 * parts are hidden from LLVM, which would keep them in registers for a second use. */
static bool hides_parts(const struct lifter *l, const struct insn *insn) {
  return l->setting == LIFT_STENCIL && insn->form.attributes & INSN_ADDRESS16;
}

static LLVMValueRef wrap_at_64k(struct lifter *l, LLVMValueRef sum) {
  LLVMValueRef mask = lifter_const(l, 4, 0xFFFF);
  if (l->setting != LIFT_STENCIL)
    return LLVMBuildAnd(l->builder, sum, mask, "");
  sum = LLVMBuildAnd(l->builder, in_temporary(l, sum, "={r11},0"), mask, "");
  return in_temporary(l, sum, "={r11},0");
}

LLVMValueRef operand_offset(struct lifter *l, const struct insn *insn, unsigned i) {
  const struct operand *op = &insn->form.op[i];
  LLVMValueRef sum = NULL;
  if (op->index != REGISTER_NONE) {
    sum = l->gpr[op->index];
    if (op->scale)
      sum = LLVMBuildShl(l->builder, sum, lifter_const(l, 4, op->scale), "");
  }
  if (op->reg != REGISTER_NONE) {
    LLVMValueRef base = op->reg == REGISTER_TEMPORARY ? l->temporary : l->gpr[op->reg];
    if (hides_parts(l, insn))
      base = in_temporary(l, base, "={r11},0");
    sum = sum ? LLVMBuildAdd(l->builder, sum, base, "") : base;
  }
  if (op->has_disp) {
    LLVMValueRef disp =
        l->setting != LIFT_STENCIL ? lifter_const(l, 4, insn->disp) : hole(l, "hole_disp0", 4);
    /* A lone hole would be addressed relative to the host's rip: r15, which is zero, is its base. */
    if (!sum && l->setting == LIFT_STENCIL && !op->segment)
      sum = l->zero;
    sum = sum ? LLVMBuildAdd(l->builder, sum, disp, "") : disp;
  }
  return insn->form.attributes & INSN_ADDRESS16 ? wrap_at_64k(l, sum) : sum;
}

/* An offset plus a segment base, all but a scaled index summed up in a temporary: the destination may
 * not be clobbered before the access. */
static LLVMValueRef in_segment(struct lifter *l, const struct insn *insn, unsigned i, LLVMValueRef base) {
  struct insn part = *insn;
  part.form.op[i].index = REGISTER_NONE;
  const struct operand *op = &insn->form.op[i];
  bool wraps = insn->form.attributes & INSN_ADDRESS16, indexed = !wraps && op->index != REGISTER_NONE;
  LLVMValueRef sum = in_temporary(l, base, "={r10},0");
  if (!indexed || op->reg != REGISTER_NONE || op->has_disp)
    sum = LLVMBuildAdd(l->builder, operand_offset(l, indexed ? &part : insn, i), sum, "");
  if (op->reg != REGISTER_NONE || op->index != REGISTER_NONE)
    sum = in_temporary(l, sum, "={r10},0");
  if (!indexed)
    return sum;
  LLVMValueRef index = LLVMBuildShl(l->builder, l->gpr[op->index], lifter_const(l, 4, op->scale), "");
  return LLVMBuildAdd(l->builder, sum, index, "");
}

/* Where the base is found: a page further, which cannot be read, if condition (i1) holds. */
static LLVMValueRef guarded_base(struct lifter *l, enum segment segment, LLVMValueRef condition) {
  enum { GS_SPACE = 256, DISTANCE = offsetof(struct guarded_base, closed) - offsetof(struct guarded_base, base) };
  LLVMValueRef far = LLVMBuildZExt(l->builder, condition, l->i32, "");
  if (l->setting == LIFT_STENCIL)
    far = in_temporary(l, far, "={r10},0");
  far = LLVMBuildMul(l->builder, far, lifter_const(l, 4, DISTANCE), "");
  LLVMValueRef at = LLVMBuildAdd(l->builder, far, lifter_const(l, 4, CPU_GUARDED_BASE(segment)), "");
  LLVMValueRef load = LLVMBuildLoad2(l->builder, l->i32,
                                     LLVMBuildIntToPtr(l->builder, at, LLVMPointerTypeInContext(l->context, GS_SPACE), ""), "");
  LLVMSetVolatile(load, is_seen(l));
  LLVMSetAlignment(load, 4);
  return load;
}

static LLVMValueRef is_beyond(struct lifter *l, LLVMValueRef offset, unsigned bytes) {
  return LLVMBuildICmp(l->builder, LLVMIntUGT, offset, lifter_const(l, 4, (uint32_t)-bytes), "");
}

void segment_check(struct lifter *l, enum segment segment, LLVMValueRef offset, unsigned bytes) {
  LLVMValueRef base = guarded_base(l, segment, is_beyond(l, offset, bytes));
  LLVMSetVolatile(base, true); /* nobody wants its value */
}

LLVMValueRef segment_base(struct lifter *l, enum segment segment, LLVMValueRef offset, unsigned bytes) {
  if (segment < SEG_FS || l->is_foreign || l->mode & MODE_SEGMENTS)
    return state_load(l, offsetof(struct cpu_state, segment_base) + 4 * segment, l->i32);
  if (!offset || bytes < 2 || l->limit_checked || l->insn->form.attributes & INSN_ADDRESS16)
    return state_load(l, CPU_GUARDED_BASE(segment), l->i32);
  l->limit_checked = true;
  if (l->setting == LIFT_STENCIL)
    offset = in_temporary(l, offset, "={r11},0");
  return guarded_base(l, segment, is_beyond(l, offset, bytes));
}

LLVMValueRef segment_address(struct lifter *l, enum segment segment, LLVMValueRef offset, unsigned bytes, bool write) {
  if (!(l->mode & MODE_SEGMENTS))
    return offset;
  const size_t bounds = offsetof(struct cpu_state, segment_bounds) + segment * sizeof(struct segment_bounds);
  LLVMValueRef low = state_load(l, bounds + offsetof(struct segment_bounds, low), l->i32);
  LLVMValueRef high = state_load(l, bounds + offsetof(struct segment_bounds, high), l->i32);
  LLVMValueRef rights = state_load(l, bounds + offsetof(struct segment_bounds, rights), l->i32);
  LLVMValueRef last = LLVMBuildAdd(l->builder, offset, lifter_const(l, 4, bytes ? bytes - 1 : 0), "");
  LLVMValueRef bad[5] = {
      LLVMBuildICmp(l->builder, LLVMIntULT, offset, low, ""), LLVMBuildICmp(l->builder, LLVMIntUGT, offset, high, ""),
      LLVMBuildICmp(l->builder, LLVMIntULT, last, offset, ""), LLVMBuildICmp(l->builder, LLVMIntUGT, last, high, "")};
  LLVMValueRef needed = lifter_const(l, 4, write ? SEGMENT_WRITE : SEGMENT_READ);
  bad[4] = LLVMBuildICmp(l->builder, LLVMIntEQ, LLVMBuildAnd(l->builder, rights, needed, ""), lifter_const(l, 4, 0), "");
  for (unsigned k = 1; k < 5; k++)
    bad[0] = LLVMBuildOr(l->builder, bad[0], bad[k], "");
  control_fault_if(l, bad[0], segment == SEG_SS ? HELPER_trap_ss : HELPER_trap_gp);
  return LLVMBuildAdd(l->builder, offset, segment_base(l, segment, NULL, 0), "");
}

LLVMValueRef operand_address(struct lifter *l, const struct insn *insn, unsigned i) {
  unsigned segment = insn->form.op[i].segment;
  if (l->mode & MODE_SEGMENTS)
    return segment_address(l, (enum segment)(segment - 1), operand_offset(l, insn, i), insn->form.op[i].size,
                           insn->form.op[i].written);
  if (!segment)
    return operand_offset(l, insn, i);
  /* An address without registers was compared with the end in decoding. */
  const struct operand *op = &insn->form.op[i];
  const bool is_constant = op->reg == REGISTER_NONE && op->index == REGISTER_NONE;
  const unsigned unit = is_constant ? 1 : insn_limit_unit(&insn->form, i);
  LLVMValueRef base =
      segment_base(l, (enum segment)(segment - 1), unit > 1 ? operand_offset(l, insn, i) : NULL, unit);
  if (l->setting != LIFT_STENCIL)
    return LLVMBuildAdd(l->builder, operand_offset(l, insn, i), base, "");
  return in_segment(l, insn, i, base);
}

/* --- Operands ----------------------------------------------------------------------------------- */

/* The size an immediate is wanted in: that of the operand it goes with. */
static unsigned immediate_size(const struct insn *insn, unsigned i) {
  if (i > 0 && insn->form.op[0].kind != OPERAND_IMMEDIATE && insn->form.op[0].size)
    return insn->form.op[0].size;
  return insn->form.operand_width;
}

LLVMValueRef operand_read(struct lifter *l, const struct insn *insn, unsigned i) {
  const struct operand *op = &insn->form.op[i];
  switch (op->kind) {
  case OPERAND_GPR:
    return gpr_read(l, op->reg, op->size);
  case OPERAND_MEMORY: {
    LLVMValueRef value = memory_load(l, lifter_int(l, op->size), operand_address(l, insn, i));
    keep_address_registers(l, op);
    return value;
  }
  case OPERAND_IMMEDIATE:
    return immediate(l, insn, op->hole, immediate_size(insn, i));
  case OPERAND_CONSTANT:
    return lifter_const(l, immediate_size(insn, i), operand_constant(insn, i));
  case OPERAND_XMM:
    return xmm_read(l, op->reg, LLVMIntTypeInContext(l->context, 128));
  default:
    lift_fail(l, "operand kind is not implemented");
    return LLVMGetUndef(l->i32);
  }
}

LLVMValueRef operand_read_as(struct lifter *l, const struct insn *insn, unsigned i, unsigned bytes) {
  LLVMValueRef value = operand_read(l, insn, i);
  unsigned have = LLVMGetIntTypeWidth(LLVMTypeOf(value)) / 8;
  if (have == bytes)
    return value;
  LLVMTypeRef type = lifter_int(l, bytes);
  return have > bytes ? LLVMBuildTrunc(l->builder, value, type, "") : LLVMBuildZExt(l->builder, value, type, "");
}

void operand_write(struct lifter *l, const struct insn *insn, unsigned i, LLVMValueRef value) {
  const struct operand *op = &insn->form.op[i];
  switch (op->kind) {
  case OPERAND_GPR:
    gpr_write(l, op->reg, op->size, value);
    break;
  case OPERAND_MEMORY:
    memory_store(l, operand_address(l, insn, i), value);
    break;
  case OPERAND_XMM:
    xmm_write(l, op->reg, value);
    break;
  default:
    lift_fail(l, "operand kind is not implemented");
  }
}

/* --- The stack ----------------------------------------------------------------------------------- */

LLVMValueRef stack_address(struct lifter *l, LLVMValueRef offset, unsigned bytes, bool write) {
  if (l->mode & MODE_STACK16)
    offset = LLVMBuildAnd(l->builder, offset, lifter_const(l, 4, 0xFFFF), "");
  return segment_address(l, SEG_SS, offset, bytes, write);
}

void stack_set(struct lifter *l, LLVMValueRef esp) {
  if (l->mode & MODE_STACK16)
    gpr_write(l, GPR_ESP, 2, LLVMBuildTrunc(l->builder, esp, l->i16, ""));
  else
    gpr_write(l, GPR_ESP, 4, esp);
}

void stack_push(struct lifter *l, LLVMValueRef value) {
  unsigned bytes = LLVMGetIntTypeWidth(LLVMTypeOf(value)) / 8;
  LLVMValueRef minus = lifter_const(l, 4, (uint32_t)-(int)bytes);
  memory_store(l, stack_address(l, LLVMBuildAdd(l->builder, l->gpr[GPR_ESP], minus, ""), bytes, true), value);
  LLVMValueRef esp = value_after_accesses(l, l->gpr[GPR_ESP]);
  stack_set(l, LLVMBuildAdd(l->builder, esp, minus, ""));
}

LLVMValueRef stack_pop(struct lifter *l, unsigned bytes) {
  LLVMValueRef value = memory_load(l, lifter_int(l, bytes), stack_address(l, l->gpr[GPR_ESP], bytes, false));
  stack_set(l, LLVMBuildAdd(l->builder, l->gpr[GPR_ESP], lifter_const(l, 4, bytes), ""));
  return value;
}
