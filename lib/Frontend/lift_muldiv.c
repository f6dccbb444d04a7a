/* Multiplication and division. */
#include "Frontend/lift.h"

#include <Zydis/Zydis.h>
#include <string.h>

/* cf and of: the product does not fit the lower half. zf, sf, pf and af are undefined; the CPUs measured
 * set sf, zf and pf from nothing in common, so they keep what they had. */
static void set_overflow(struct lifter *l, LLVMValueRef overflow) {
  flag_write(l, FLAG_C, overflow);
  flag_write(l, FLAG_O, overflow);
}

typedef LLVMValueRef extend_function(LLVMBuilderRef, LLVMValueRef, LLVMTypeRef, const char *);

/* The full product, and whether extending its lower half gives it back. */
static LLVMValueRef product(struct lifter *l, LLVMValueRef a, LLVMValueRef b, extend_function *extend) {
  unsigned bits = LLVMGetIntTypeWidth(LLVMTypeOf(a));
  LLVMTypeRef wide = LLVMIntTypeInContext(l->context, 2 * bits);
  LLVMValueRef full =
      LLVMBuildMul(l->builder, extend(l->builder, a, wide, ""), extend(l->builder, b, wide, ""), "");
  LLVMValueRef low = LLVMBuildTrunc(l->builder, full, LLVMTypeOf(a), "");
  LLVMValueRef again = extend(l->builder, low, wide, "");
  set_overflow(l, LLVMBuildICmp(l->builder, LLVMIntNE, again, full, ""));
  return full;
}

/* To ax, dx:ax or edx:eax. */
static void write_wide(struct lifter *l, LLVMValueRef full, unsigned bytes) {
  if (bytes == 1) {
    gpr_write(l, GPR_EAX, 2, full);
    return;
  }
  LLVMTypeRef half = lifter_int(l, bytes);
  LLVMValueRef shift = LLVMConstInt(LLVMTypeOf(full), 8 * bytes, false);
  gpr_write(l, GPR_EAX, bytes, LLVMBuildTrunc(l->builder, full, half, ""));
  gpr_write(l, GPR_EDX, bytes, LLVMBuildTrunc(l->builder, LLVMBuildLShr(l->builder, full, shift, ""), half, ""));
}

static void lift_mul(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  LLVMValueRef factor = operand_read(l, insn, 0);
  write_wide(l, product(l, gpr_read(l, GPR_EAX, bytes), factor, LLVMBuildZExt), bytes);
}

static void lift_imul(struct lifter *l, const struct insn *insn) {
  if (insn->form.op[1].kind == OPERAND_NONE) {
    unsigned bytes = insn->form.op[0].size;
    LLVMValueRef factor = operand_read(l, insn, 0);
    write_wide(l, product(l, gpr_read(l, GPR_EAX, bytes), factor, LLVMBuildSExt), bytes);
    return;
  }
  bool three = insn->form.op[2].kind != OPERAND_NONE;
  LLVMValueRef a = operand_read(l, insn, three ? 1 : 0), b = operand_read(l, insn, three ? 2 : 1);
  /* Else LLVM would put the immediate into the destination and multiply that by the operand. */
  if (three && operand_is(insn, 1, OPERAND_MEMORY))
    a = value_after_accesses(l, a);
  /* The overflow intrinsic keeps the multiplication at its own width. */
  LLVMTypeRef type = LLVMTypeOf(a);
  const char name[] = "llvm.smul.with.overflow";
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  LLVMValueRef arguments[2] = {a, b};
  LLVMValueRef both = LLVMBuildCall2(l->builder, LLVMIntrinsicGetType(l->context, id, &type, 1),
                                     LLVMGetIntrinsicDeclaration(l->module, id, &type, 1), arguments, 2, "");
  operand_write(l, insn, 0, LLVMBuildExtractValue(l->builder, both, 0, ""));
  set_overflow(l, LLVMBuildExtractValue(l->builder, both, 1, ""));
}

/* The host's own instruction: its #DE is the guest's, with nothing changed. */
static void lift_div(struct lifter *l, const struct insn *insn) {
  bool is_signed = insn->form.mnemonic == ZYDIS_MNEMONIC_IDIV;
  unsigned bytes = insn->form.op[0].size;
  LLVMValueRef divisor = operand_read(l, insn, 0);
  if (bytes == 1) {
    LLVMTypeRef types[2] = {l->i16, l->i8};
    LLVMTypeRef type = LLVMFunctionType(l->i16, types, 2, false);
    const char *text = is_signed ? "idivb $2" : "divb $2";
    const char constraints[] = "={ax},{ax},r,~{flags}";
    LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), true, false,
                                         LLVMInlineAsmDialectATT, false);
    LLVMValueRef arguments[2] = {gpr_read(l, GPR_EAX, 2), divisor};
    gpr_write(l, GPR_EAX, 2, LLVMBuildCall2(l->builder, type, code, arguments, 2, ""));
    return;
  }
  LLVMTypeRef part = lifter_int(l, bytes);
  LLVMTypeRef results[2] = {part, part}, types[3] = {part, part, part};
  LLVMTypeRef type = LLVMFunctionType(LLVMStructTypeInContext(l->context, results, 2, false), types, 3, false);
  const char *text = bytes == 4 ? (is_signed ? "idivl $4" : "divl $4") : (is_signed ? "idivw $4" : "divw $4");
  const char *constraints = bytes == 4 ? "={eax},={edx},{eax},{edx},r,~{flags}" : "={ax},={dx},{ax},{dx},r,~{flags}";
  LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), true, false,
                                       LLVMInlineAsmDialectATT, false);
  LLVMValueRef arguments[3] = {gpr_read(l, GPR_EAX, bytes), gpr_read(l, GPR_EDX, bytes), divisor};
  LLVMValueRef both = LLVMBuildCall2(l->builder, type, code, arguments, 3, "");
  gpr_write(l, GPR_EAX, bytes, LLVMBuildExtractValue(l->builder, both, 0, ""));
  gpr_write(l, GPR_EDX, bytes, LLVMBuildExtractValue(l->builder, both, 1, ""));
}

const struct lift_rule lift_rules_muldiv[] = {
    {ZYDIS_MNEMONIC_MUL, lift_mul},
    {ZYDIS_MNEMONIC_IMUL, lift_imul},
    {ZYDIS_MNEMONIC_DIV, lift_div},
    {ZYDIS_MNEMONIC_IDIV, lift_div},
    {0, NULL},
};
