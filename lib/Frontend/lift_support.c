#include "Frontend/lift_support.h"

#include <stdio.h>
#include <string.h>

LLVMValueRef value_resize(struct lifter *l, LLVMValueRef value, unsigned bytes) {
  LLVMTypeRef type = lifter_int(l, bytes);
  unsigned have = value_bits(value);
  if (have == 8 * bytes)
    return value;
  return have > 8 * bytes ? LLVMBuildTrunc(l->builder, value, type, "")
                          : LLVMBuildZExt(l->builder, value, type, "");
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

LLVMValueRef value_in_temporary(struct lifter *l, LLVMValueRef value, const char *host) {
  if (l->setting == LIFT_REGION)
    return value;
  char output[16];
  snprintf(output, sizeof output, "={%s}", host);
  struct host_asm code = {
      .text = "", .outputs = output, .inputs = "0", .result = {LLVMTypeOf(value)}, .effects = true};
  host_asm(l, &code, &value, 1);
  return code.value[0];
}

LLVMValueRef operand_read_first(struct lifter *l, const struct insn *insn, unsigned i) {
  LLVMValueRef value = operand_read(l, insn, i);
  return operand_is(insn, i, OPERAND_MEMORY) ? value_after_accesses(l, value) : value;
}

/* Appends one constraint to a list. */
static void list_add(char *list, size_t size, const char *item) {
  size_t length = strlen(list);
  snprintf(list + length, size - length, "%s%s", length ? "," : "", item);
}

/* The text with "@n" replaced by the number of argument n, which comes after `outputs` outputs. */
static void number_arguments(char *text, size_t size, const char *from, unsigned outputs) {
  size_t length = 0;
  for (; *from && length + 8 < size; from++) {
    if (*from == '@')
      length += (size_t)snprintf(text + length, size - length, "$%u", outputs + (unsigned)(*++from - '0'));
    else
      text[length++] = *from;
  }
  text[length] = 0;
}

/* How flags leave the assembly: one or two by setcc; more, or AF, that no setcc gives, by lahf and seto
 * in one register, which for that changes places with rax. */
enum flag_capture { CAPTURE_NONE, CAPTURE_SETCC, CAPTURE_LAHF };

static enum flag_capture flag_capture_for(uint8_t flags) {
  if (!flags)
    return CAPTURE_NONE;
  return flags & FLAGS_A || __builtin_popcount(flags) > 2 ? CAPTURE_LAHF : CAPTURE_SETCC;
}

/* Appends the capture to the assembly's text; the first register for it is output number `output`. */
static void capture_text(char *text, size_t size, uint8_t flags, unsigned output) {
  static const char set_name[FLAG_COUNT] = {'c', 'p', 0, 'z', 's', 'o'};
  size_t length = strlen(text);
  if (flag_capture_for(flags) == CAPTURE_LAHF) {
    snprintf(text + length, size - length, "\nxchgq %%rax, $%u\nlahf\nseto %%al\nxchgq %%rax, $%u", output,
             output);
    return;
  }
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (flags & 1 << f)
      length += (size_t)snprintf(text + length, size - length, "\nset%c $%u", set_name[f], output++);
}

/* The flags from the outputs that capture_text filled. */
static void capture_read(struct lifter *l, struct host_asm *code, uint8_t flags, LLVMValueRef *outputs) {
  static const uint8_t lahf_bit[FLAG_COUNT] = {8, 10, 12, 14, 15, 0};
  memset(code->flag, 0, sizeof code->flag);
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (flags & 1 << f)
      code->flag[f] = flag_capture_for(flags) == CAPTURE_LAHF ? value_bit(l, *outputs, lahf_bit[f])
                                                              : value_low_bit(l, *outputs++);
}

void host_asm(struct lifter *l, struct host_asm *code, LLVMValueRef *arguments, unsigned count) {
  enum { OUTPUT_LIMIT = HOST_ASM_RESULTS + 2, ARGUMENT_LIMIT = 8 };
  LLVMTypeRef results[OUTPUT_LIMIT], types[ARGUMENT_LIMIT];
  char constraints[256] = "", text[512];
  unsigned outputs = 0, values;
  while (outputs < HOST_ASM_RESULTS && code->result[outputs]) {
    results[outputs] = code->result[outputs];
    outputs++;
  }
  values = outputs;
  if (code->outputs)
    list_add(constraints, sizeof constraints, code->outputs);

  uint8_t flags = code->flags & flags_wanted(l);
  enum flag_capture capture = flag_capture_for(flags);
  unsigned captures =
      capture == CAPTURE_SETCC ? (unsigned)__builtin_popcount(flags) : capture == CAPTURE_LAHF;
  for (unsigned i = 0; i < captures; i++) {
    results[outputs++] = capture == CAPTURE_SETCC ? l->i8 : l->i64;
    list_add(constraints, sizeof constraints, "=&r");
  }
  if (code->inputs)
    list_add(constraints, sizeof constraints, code->inputs);
  list_add(constraints, sizeof constraints, "~{flags}");
  number_arguments(text, sizeof text, code->text, outputs);
  capture_text(text, sizeof text, flags, values);

  for (unsigned i = 0; i < count; i++)
    types[i] = LLVMTypeOf(arguments[i]);
  LLVMTypeRef result = outputs == 0   ? LLVMVoidTypeInContext(l->context)
                       : outputs == 1 ? results[0]
                                      : LLVMStructTypeInContext(l->context, results, outputs, false);
  LLVMTypeRef type = LLVMFunctionType(result, types, count, false);
  LLVMValueRef callee = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints),
                                         code->effects, false, LLVMInlineAsmDialectATT, false);
  LLVMValueRef call = LLVMBuildCall2(l->builder, type, callee, arguments, count, "");
  if (code->memory) {
    unsigned kind = LLVMGetEnumAttributeKindForName("elementtype", 11);
    LLVMAddCallSiteAttribute(call, 1, LLVMCreateTypeAttribute(l->context, kind, code->memory));
  }

  LLVMValueRef output[OUTPUT_LIMIT] = {call};
  for (unsigned i = 0; outputs > 1 && i < outputs; i++)
    output[i] = LLVMBuildExtractValue(l->builder, call, i, "");
  memcpy(code->value, output, sizeof code->value);
  capture_read(l, code, flags, output + values);
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
  if (l->setting != LIFT_STENCIL)
    control_dispatch(l, insn_next_value(l, insn));
  else
    control_next(l);
}

void memory_touch(struct lifter *l, LLVMValueRef address) {
  LLVMValueRef pointer = guest_pointer(l, address);
  struct host_asm touch = {
      .text = "lock orb $$0, @0", .inputs = "*m,~{memory}", .memory = l->i8, .effects = true};
  host_asm(l, &touch, &pointer, 1);
}

LLVMValueRef segment_add_base(struct lifter *l, unsigned segment, LLVMValueRef offset, unsigned bytes, bool write) {
  if (l->mode & MODE_SEGMENTS)
    return segment_address(l, (enum segment)(segment - 1), offset, bytes, write);
  if (!segment)
    return offset;
  return LLVMBuildAdd(l->builder, offset, segment_base(l, (enum segment)(segment - 1), offset, bytes), "");
}

unsigned implicit_segment(const struct insn *insn) {
  if (insn->segment)
    return insn->segment;
  if (insn->form.attributes & INSN_SEGMENT_FS)
    return 1 + SEG_FS;
  return insn->form.attributes & INSN_SEGMENT_GS ? 1 + SEG_GS : 0;
}
