/* Multiplication and division.
 *
 * Division is the host's own instruction in the same registers: its #DE is the guest's. */
#include "Frontend/lift_support.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

/* CF and OF say that the product did not fit; the others, undefined in the
 * manual, are kept, as AMD's Zen does. */
static void set_flags(struct lifter *l, LLVMValueRef overflow) {
  flag_write(l, FLAG_C, overflow);
  flag_write(l, FLAG_O, overflow);
}

static LLVMValueRef widen(struct lifter *l, LLVMValueRef value, bool is_signed) {
  LLVMTypeRef type = lifter_int(l, value_bits(value) / 4);
  return is_signed ? LLVMBuildSExt(l->builder, value, type, "") : LLVMBuildZExt(l->builder, value, type, "");
}

/* edx:eax = eax * op by the host's own instruction, which LLVM does not choose. */
static void lift_multiply_by_host(struct lifter *l, const struct insn *insn) {
  char text[16];
  snprintf(text, sizeof text, "%sl @0", insn_name(&insn->form));
  struct host_asm code = {.text = text,
                          .outputs = "={eax},={edx}",
                          .inputs = "r,0",
                          .result = {l->i32, l->i32},
                          .flags = FLAGS_C | FLAGS_O};
  host_asm(l, &code, (LLVMValueRef[]){operand_read(l, insn, 0), l->gpr[GPR_EAX]}, 2);
  gpr_write(l, GPR_EAX, 4, code.value[0]);
  gpr_write(l, GPR_EDX, 4, code.value[1]);
  host_asm_write_flags(l, &code);
}

/* mul and imul with one operand: ax = al * op; dx:ax = ax * op; edx:eax = eax * op. */
static void lift_multiply_wide(struct lifter *l, const struct insn *insn, bool is_signed) {
  unsigned bytes = insn->form.op[0].size;
  if (bytes == 4 && l->setting == LIFT_STENCIL) {
    lift_multiply_by_host(l, insn);
    return;
  }
  LLVMValueRef product = LLVMBuildMul(l->builder, widen(l, operand_read_first(l, insn, 0), is_signed),
                                      widen(l, gpr_read(l, GPR_EAX, bytes), is_signed), "");
  LLVMValueRef low = value_resize(l, product, bytes);
  LLVMValueRef fits = LLVMBuildICmp(l->builder, LLVMIntEQ, widen(l, low, is_signed), product, "");
  if (bytes == 1) {
    gpr_write(l, GPR_EAX, 2, product);
  } else {
    LLVMValueRef high = LLVMBuildLShr(l->builder, product, value_const(product, 8 * bytes), "");
    gpr_write(l, GPR_EAX, bytes, low);
    gpr_write(l, GPR_EDX, bytes, value_resize(l, high, bytes));
  }
  set_flags(l, LLVMBuildNot(l->builder, fits, ""));
}

static void lift_mul(struct lifter *l, const struct insn *insn) { lift_multiply_wide(l, insn, false); }

static void lift_imul(struct lifter *l, const struct insn *insn) {
  if (insn->form.op[1].kind == OPERAND_NONE) {
    lift_multiply_wide(l, insn, true);
    return;
  }
  bool three = insn->form.op[2].kind != OPERAND_NONE;
  LLVMValueRef a = three ? operand_read_first(l, insn, 1) : operand_read(l, insn, 0);
  LLVMValueRef b = operand_read(l, insn, three ? 2 : 1);
  LLVMValueRef arguments[2] = {a, b};
  LLVMValueRef both = value_intrinsic(l, "llvm.smul.with.overflow", arguments, 2);
  operand_write(l, insn, 0, LLVMBuildExtractValue(l->builder, both, 0, ""));
  set_flags(l, LLVMBuildExtractValue(l->builder, both, 1, ""));
}

static void set_div_flags(struct lifter *l, const struct host_asm *code) {
  host_asm_write_flags(l, code);
  flag_write(l, FLAG_A, LLVMConstAllOnes(l->i1));
}

/* div, idiv: al, ah = ax / op; ax, dx = dx:ax / op; eax, edx = edx:eax / op. The flags are undefined
 * in the manual: AMD's Zen keeps CF and OF, sets AF, and the others as it comes. */
static void lift_div(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  char text[16];
  snprintf(text, sizeof text, "%s%c @0", insn_name(&insn->form), operand_suffix(bytes));
  struct host_asm code = {.text = text, .effects = true, .flags = FLAGS_P | FLAGS_Z | FLAGS_S};
  LLVMValueRef divisor = operand_read(l, insn, 0);
  if (bytes == 1) {
    code.outputs = "={ax}";
    code.inputs = "r,0";
    code.result[0] = l->i16;
    host_asm(l, &code, (LLVMValueRef[]){divisor, gpr_read(l, GPR_EAX, 2)}, 2);
    gpr_write(l, GPR_EAX, 2, code.value[0]);
    set_div_flags(l, &code);
    return;
  }
  code.outputs = bytes == 2 ? "={ax},={dx}" : "={eax},={edx}";
  code.inputs = "r,0,1";
  code.result[0] = code.result[1] = lifter_int(l, bytes);
  host_asm(l, &code, (LLVMValueRef[]){divisor, gpr_read(l, GPR_EAX, bytes), gpr_read(l, GPR_EDX, bytes)}, 3);
  gpr_write(l, GPR_EAX, bytes, code.value[0]);
  gpr_write(l, GPR_EDX, bytes, code.value[1]);
  set_div_flags(l, &code);
}

const struct lift_rule lift_rules_muldiv[] = {
    {ZYDIS_MNEMONIC_DIV, lift_div},
    {ZYDIS_MNEMONIC_IDIV, lift_div},
    {ZYDIS_MNEMONIC_IMUL, lift_imul},
    {ZYDIS_MNEMONIC_MUL, lift_mul},
    {0, NULL},
};
