#include "Frontend/lift_support.h"

#include <stdio.h>
#include <string.h>

LLVMValueRef value_resize(struct lifter *l, LLVMValueRef value, unsigned bytes) {
  LLVMTypeRef type = lifter_int(l, bytes);
  unsigned have = value_bits(value);
  if (have == 8 * bytes)
    return value;
  return have > 8 * bytes ? LLVMBuildTrunc(l->builder, value, type, "") : LLVMBuildZExt(l->builder, value, type, "");
}

LLVMValueRef value_is_zero(struct lifter *l, LLVMValueRef value) {
  return LLVMBuildICmp(l->builder, LLVMIntEQ, value, value_const(value, 0), "");
}

LLVMValueRef value_sign(struct lifter *l, LLVMValueRef value) {
  return LLVMBuildICmp(l->builder, LLVMIntSLT, value, value_const(value, 0), "");
}

LLVMValueRef value_low_bit(struct lifter *l, LLVMValueRef value) {
  return LLVMBuildTrunc(l->builder, value, l->i1, "");
}

LLVMValueRef value_bit(struct lifter *l, LLVMValueRef value, unsigned index) {
  return value_low_bit(l, LLVMBuildLShr(l->builder, value, value_const(value, index), ""));
}

LLVMValueRef value_intrinsic(struct lifter *l, const char *name, LLVMValueRef *arguments, unsigned count) {
  LLVMTypeRef overload = LLVMTypeOf(arguments[0]);
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(l->module, id, &overload, 1);
  LLVMTypeRef type = LLVMIntrinsicGetType(l->context, id, &overload, 1);
  return LLVMBuildCall2(l->builder, type, function, arguments, count, "");
}

/* Appends one constraint to a list. */
static void list_add(char *list, size_t size, const char *item) {
  size_t length = strlen(list);
  snprintf(list + length, size - length, "%s%s", length ? "," : "", item);
}

/* The text with "@n" replaced by the number of argument n, which comes after `outputs` outputs. */
static size_t number_arguments(char *text, size_t size, const char *from, unsigned outputs) {
  size_t length = 0;
  for (; *from && length + 8 < size; from++) {
    if (*from == '@')
      length += (size_t)snprintf(text + length, size - length, "$%u", outputs + (unsigned)(*++from - '0'));
    else
      text[length++] = *from;
  }
  text[length] = 0;
  return length;
}

void host_asm(struct lifter *l, struct host_asm *code, LLVMValueRef *arguments, unsigned count) {
  static const char set_name[FLAG_COUNT] = {'c', 'p', 0, 'z', 's', 'o'};
  enum { OUTPUT_LIMIT = 8, ARGUMENT_LIMIT = 8 };
  LLVMTypeRef results[OUTPUT_LIMIT], types[ARGUMENT_LIMIT];
  unsigned outputs = 0, values;
  while (outputs < 3 && code->result[outputs]) {
    results[outputs] = code->result[outputs];
    outputs++;
  }
  values = outputs;

  uint8_t flags = code->flags & flags_wanted(l);
  char constraints[256] = "", text[512], set[16];
  if (code->outputs)
    list_add(constraints, sizeof constraints, code->outputs);
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (flags & 1 << f) {
      results[outputs++] = l->i8;
      list_add(constraints, sizeof constraints, "=&r");
    }
  if (code->inputs)
    list_add(constraints, sizeof constraints, code->inputs);
  list_add(constraints, sizeof constraints, "~{flags}");
  size_t length = number_arguments(text, sizeof text, code->text, outputs);
  for (unsigned f = 0, output = values; f < FLAG_COUNT; f++)
    if (flags & 1 << f) {
      snprintf(set, sizeof set, "\nset%c $%u", set_name[f], output++);
      length += (size_t)snprintf(text + length, sizeof text - length, "%s", set);
    }

  for (unsigned i = 0; i < count; i++)
    types[i] = LLVMTypeOf(arguments[i]);
  LLVMTypeRef result = outputs == 0   ? LLVMVoidTypeInContext(l->context)
                       : outputs == 1 ? results[0]
                                      : LLVMStructTypeInContext(l->context, results, outputs, false);
  LLVMTypeRef type = LLVMFunctionType(result, types, count, false);
  LLVMValueRef callee = LLVMGetInlineAsm(type, text, length, constraints, strlen(constraints), code->effects, false,
                                         LLVMInlineAsmDialectATT, false);
  LLVMValueRef call = LLVMBuildCall2(l->builder, type, callee, arguments, count, "");
  if (code->memory) {
    unsigned kind = LLVMGetEnumAttributeKindForName("elementtype", 11);
    LLVMAddCallSiteAttribute(call, 1, LLVMCreateTypeAttribute(l->context, kind, code->memory));
  }

  memset(code->flag, 0, sizeof code->flag);
  for (unsigned i = 0; i < values; i++)
    code->value[i] = outputs == 1 ? call : LLVMBuildExtractValue(l->builder, call, i, "");
  for (unsigned f = 0, output = values; f < FLAG_COUNT; f++)
    if (flags & 1 << f) {
      LLVMValueRef byte = outputs == 1 ? call : LLVMBuildExtractValue(l->builder, call, output, "");
      code->flag[f] = value_low_bit(l, byte);
      output++;
    }
}

void host_asm_write_flags(struct lifter *l, const struct host_asm *code) {
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (code->flag[f])
      flag_write(l, f, code->flag[f]);
}

char operand_suffix(unsigned bytes) { return bytes == 1 ? 'b' : bytes == 2 ? 'w' : 'l'; }

uint8_t flags_wanted(const struct lifter *l) {
  return l->setting == LIFT_BLOCK ? l->insn->flags_changed : l->flags_live & l->insn->flags_changed;
}

/* A stencil branches around the flags, to `next` twice: selecting each of six flags would need more
 * registers than there are. In a block the flags are often SSA values: it selects. An old flag that
 * nobody wants is not read: loads from the register file are volatile and would stay. */
void flags_guard_begin(struct lifter *l, struct flags_guard *guard, LLVMValueRef condition) {
  guard->condition = condition;
  guard->unchanged = NULL;
  memcpy(guard->flag, l->flag, sizeof guard->flag);
  guard->dirty = l->flags_dirty;
  if (l->setting == LIFT_STENCIL && flags_wanted(l)) {
    LLVMBasicBlockRef changed = control_block(l, "flags");
    guard->unchanged = control_block(l, "unchanged");
    LLVMBuildCondBr(l->builder, condition, changed, guard->unchanged);
    LLVMPositionBuilderAtEnd(l->builder, changed);
  }
  memset(l->flag, 0, sizeof l->flag);
}

void flags_guard_end(struct lifter *l, struct flags_guard *guard) {
  if (guard->unchanged)
    control_next(l);
  LLVMValueRef fresh[FLAG_COUNT];
  memcpy(fresh, l->flag, sizeof fresh);
  memcpy(l->flag, guard->flag, sizeof l->flag);
  l->flags_dirty = guard->dirty;
  if (guard->unchanged) {
    l->ended = false;
    LLVMPositionBuilderAtEnd(l->builder, guard->unchanged);
    return;
  }
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (fresh[f] && flags_wanted(l) & 1 << f)
      flag_write(l, f, LLVMBuildSelect(l->builder, guard->condition, fresh[f], flag_read(l, f), ""));
}

LLVMBasicBlockRef control_block(struct lifter *l, const char *name) {
  return LLVMAppendBasicBlockInContext(l->context, l->function, name);
}

void control_trap_if(struct lifter *l, LLVMValueRef condition, unsigned helper, LLVMValueRef eip) {
  LLVMBasicBlockRef trap = control_block(l, "trap"), on = control_block(l, "on");
  LLVMBuildCondBr(l->builder, condition, trap, on);
  LLVMPositionBuilderAtEnd(l->builder, trap);
  control_trap(l, helper, eip);
  l->ended = false;
  LLVMPositionBuilderAtEnd(l->builder, on);
}

void control_after(struct lifter *l, const struct insn *insn) {
  if (l->setting == LIFT_BLOCK)
    control_dispatch(l, insn_next_value(l, insn));
  else
    control_next(l);
}

LLVMValueRef segment_add_base(struct lifter *l, unsigned segment, LLVMValueRef offset) {
  if (!segment)
    return offset;
  size_t field = offsetof(struct cpu_state, segment_base) + 4 * (segment - 1);
  return LLVMBuildAdd(l->builder, offset, state_load(l, field, l->i32), "");
}
