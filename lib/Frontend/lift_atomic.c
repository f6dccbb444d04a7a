/* Read-modify-write instructions that are atomic with a lock prefix; xadd, xchg, cmpxchg and cmpxchg8b
 * also without it.
 *
 * Where LLVM has an atomic operation that becomes one locked instruction whatever flags are wanted
 * (add, sub, inc, dec, xadd: lock xadd or better), it is used. Otherwise LLVM would make a loop
 * around cmpxchg, which holds values in eax while it may fault; there it is the host's own locked
 * instruction. Operands that are not aligned are atomic all the same, as on the CPU. */
#include "Frontend/lift_support.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

/* A number that LLVM knows nothing of. Adding zero it would make a load, which faults less. */
static LLVMValueRef hidden(struct lifter *l, LLVMValueRef value) {
  LLVMTypeRef type = LLVMTypeOf(value), function = LLVMFunctionType(type, &type, 1, false);
  LLVMValueRef nothing = LLVMGetInlineAsm(function, "", 0, "=r,0", 4, false, false, LLVMInlineAsmDialectATT, false);
  return LLVMBuildCall2(l->builder, function, nothing, &value, 1, "");
}

static LLVMValueRef atomic(struct lifter *l, const struct insn *insn, LLVMAtomicRMWBinOp operation,
                           LLVMValueRef by) {
  LLVMValueRef pointer = guest_pointer(l, operand_address(l, insn, 0));
  if (l->setting != LIFT_STENCIL)
    by = hidden(l, by);
  LLVMValueRef old =
      LLVMBuildAtomicRMW(l->builder, operation, pointer, by, LLVMAtomicOrderingSequentiallyConsistent, false);
  LLVMSetVolatile(old, true);
  LLVMSetAlignment(old, insn->form.op[0].size); /* else LLVM calls a library for it */
  return old;
}

/* add, inc. */
static void lift_add(struct lifter *l, const struct insn *insn) {
  bool inc = insn->form.mnemonic == ZYDIS_MNEMONIC_INC;
  LLVMTypeRef type = lifter_int(l, insn->form.op[0].size);
  LLVMValueRef by = inc ? LLVMConstInt(type, 1, false) : operand_read(l, insn, 1);
  LLVMValueRef old = atomic(l, insn, LLVMAtomicRMWBinOpAdd, by);
  flags_set_add(l, old, by, NULL, LLVMBuildAdd(l->builder, old, by, ""), inc);
}

/* sub, dec. */
static void lift_sub(struct lifter *l, const struct insn *insn) {
  bool dec = insn->form.mnemonic == ZYDIS_MNEMONIC_DEC;
  LLVMTypeRef type = lifter_int(l, insn->form.op[0].size);
  LLVMValueRef by = dec ? LLVMConstInt(type, 1, false) : operand_read(l, insn, 1);
  LLVMValueRef old = atomic(l, insn, LLVMAtomicRMWBinOpSub, by);
  flags_set_sub(l, old, by, NULL, LLVMBuildSub(l->builder, old, by, ""), dec);
}

static void lift_not(struct lifter *l, const struct insn *insn) {
  atomic(l, insn, LLVMAtomicRMWBinOpXor, LLVMConstAllOnes(lifter_int(l, insn->form.op[0].size)));
}

/* --- The host's own -------------------------------------------------------------------------------- */

static const char *lock_prefix(const struct insn *insn) {
  return insn->form.attributes & INSN_LOCK ? "lock\n" : "";
}

static LLVMValueRef memory_pointer(struct lifter *l, const struct insn *insn) {
  return guest_pointer(l, operand_address(l, insn, 0));
}

/* and, or, xor. */
static void lift_logic(struct lifter *l, const struct insn *insn) {
  LLVMTypeRef type = lifter_int(l, insn->form.op[0].size);
  char text[32];
  snprintf(text, sizeof text, "%s%s%c @1, @0", lock_prefix(insn), insn_name(&insn->form),
           operand_suffix(insn->form.op[0].size));
  struct host_asm code = {.text = text,
                          .inputs = "*m,r,~{memory}",
                          .memory = type,
                          .effects = true,
                          .flags = FLAGS_P | FLAGS_Z | FLAGS_S};
  host_asm(l, &code, (LLVMValueRef[]){memory_pointer(l, insn), operand_read(l, insn, 1)}, 2);
  host_asm_write_flags(l, &code);
  flag_write(l, FLAG_C, LLVMConstNull(l->i1));
  flag_write(l, FLAG_O, LLVMConstNull(l->i1));
  flag_write(l, FLAG_A, LLVMConstNull(l->i1));
}

/* adc, sbb: the carry goes into the host's CF first. */
static void lift_add_carry(struct lifter *l, const struct insn *insn) {
  LLVMTypeRef type = lifter_int(l, insn->form.op[0].size);
  char text[48];
  snprintf(text, sizeof text, "btl $$0, @2\n%s%s%c @1, @0", lock_prefix(insn), insn_name(&insn->form),
           operand_suffix(insn->form.op[0].size));
  struct host_asm code = {
      .text = text, .inputs = "*m,r,r,~{memory}", .memory = type, .effects = true, .flags = FLAGS_ALL};
  LLVMValueRef carry = LLVMBuildZExt(l->builder, flag_read(l, FLAG_C), l->i32, "");
  host_asm(l, &code, (LLVMValueRef[]){memory_pointer(l, insn), operand_read(l, insn, 1), carry}, 3);
  host_asm_write_flags(l, &code);
}

static void lift_neg(struct lifter *l, const struct insn *insn) {
  char text[32];
  snprintf(text, sizeof text, "%sneg%c @0", lock_prefix(insn), operand_suffix(insn->form.op[0].size));
  struct host_asm code = {.text = text,
                          .inputs = "*m,~{memory}",
                          .memory = lifter_int(l, insn->form.op[0].size),
                          .effects = true,
                          .flags = FLAGS_ALL};
  LLVMValueRef pointer = memory_pointer(l, insn);
  host_asm(l, &code, &pointer, 1);
  host_asm_write_flags(l, &code);
}

/* bts, btr, btc. */
static void lift_bit_test(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  char text[32];
  snprintf(text, sizeof text, "%s%s%c @1, @0", lock_prefix(insn), insn_name(&insn->form),
           operand_suffix(bytes));
  struct host_asm code = {.text = text,
                          .inputs = "*m,r,~{memory}",
                          .memory = lifter_int(l, bytes),
                          .effects = true,
                          .flags = FLAGS_C};
  LLVMValueRef pointer = guest_pointer(l, bit_string_address(l, insn));
  host_asm(l, &code, (LLVMValueRef[]){pointer, bit_index(l, insn)}, 2);
  host_asm_write_flags(l, &code);
}

/* --- Exchanges, locked or not ------------------------------------------------------------------------ */

static void lift_xadd(struct lifter *l, const struct insn *insn) {
  LLVMValueRef by = operand_read(l, insn, 1), old, sum;
  if (operand_is(insn, 0, OPERAND_MEMORY)) {
    unsigned bytes = insn->form.op[0].size;
    char text[32];
    snprintf(text, sizeof text, "%sxadd%c $0, @0", lock_prefix(insn), operand_suffix(bytes));
    struct host_asm code = {.text = text,
                            .outputs = "=r",
                            .inputs = "*m,0,~{memory}",
                            .memory = lifter_int(l, bytes),
                            .result = {lifter_int(l, bytes)},
                            .effects = true};
    host_asm(l, &code, (LLVMValueRef[]){memory_pointer(l, insn), by}, 2);
    old = code.value[0];
    sum = LLVMBuildAdd(l->builder, old, by, "");
    operand_write(l, insn, 1, old);
  } else {
    old = operand_read(l, insn, 0);
    sum = LLVMBuildAdd(l->builder, old, by, "");
    operand_write(l, insn, 1, old);
    operand_write(l, insn, 0, sum); /* last: both may be the same register */
  }
  flags_set_add(l, old, by, NULL, sum, false);
}

/* The accumulator is compared with the operand; equal: the operand becomes the source; unequal: the
 * accumulator becomes the operand. Flags as cmp accumulator, operand. */
static void lift_cmpxchg(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  LLVMValueRef expected = gpr_read(l, GPR_EAX, bytes), source = operand_read(l, insn, 1), old;
  if (operand_is(insn, 0, OPERAND_MEMORY)) {
    char text[40];
    snprintf(text, sizeof text, "%scmpxchg%c @2, @0", lock_prefix(insn), operand_suffix(bytes));
    /* All of eax goes in and comes out: the rest of it stays. */
    struct host_asm code = {.text = text,
                            .outputs = "={eax}",
                            .inputs = "*m,0,r,~{memory}",
                            .memory = lifter_int(l, bytes),
                            .result = {l->i32},
                            .effects = true};
    host_asm(l, &code, (LLVMValueRef[]){memory_pointer(l, insn), l->gpr[GPR_EAX], source}, 3);
    gpr_write(l, GPR_EAX, 4, code.value[0]);
    old = gpr_read(l, GPR_EAX, bytes);
  } else {
    old = operand_read(l, insn, 0);
    LLVMValueRef equal = LLVMBuildICmp(l->builder, LLVMIntEQ, expected, old, "");
    gpr_write(l, GPR_EAX, bytes, LLVMBuildSelect(l->builder, equal, expected, old, ""));
    operand_write(l, insn, 0, LLVMBuildSelect(l->builder, equal, source, operand_read(l, insn, 0), ""));
  }
  flags_set_sub(l, expected, old, NULL, LLVMBuildSub(l->builder, expected, old, ""), false);
}

/* edx:eax against eight bytes, ecx:ebx into them. The host wants ebx, which LLVM keeps for itself:
 * it is set aside in r10 meanwhile. When it faults, only that host register is lost, and the way
 * out of translated code restores it. */
static void lift_cmpxchg8b(struct lifter *l, const struct insn *insn) {
  char text[96];
  snprintf(text, sizeof text, "movq %%rbx, %%r10\nmovl @1, %%ebx\n%scmpxchg8b (@0)\nmovq %%r10, %%rbx",
           lock_prefix(insn));
  struct host_asm code = {.text = text,
                          .outputs = "={eax},={edx}",
                          .inputs = "{r11},r,0,1,{ecx},~{r10},~{memory}",
                          .result = {l->i32, l->i32},
                          .effects = true,
                          .flags = FLAGS_Z};
  host_asm(l, &code,
           (LLVMValueRef[]){operand_address(l, insn, 0), l->gpr[GPR_EBX], l->gpr[GPR_EAX], l->gpr[GPR_EDX],
                            l->gpr[GPR_ECX]},
           5);
  gpr_write(l, GPR_EAX, 4, code.value[0]);
  gpr_write(l, GPR_EDX, 4, code.value[1]);
  host_asm_write_flags(l, &code);
}

/* Exchange with memory is atomic, lock prefix or not (SDM, XCHG). */
static void lift_xchg(struct lifter *l, const struct insn *insn) {
  if (operand_is(insn, 0, OPERAND_MEMORY)) {
    operand_write(l, insn, 1, atomic(l, insn, LLVMAtomicRMWBinOpXchg, operand_read(l, insn, 1)));
    return;
  }
  LLVMValueRef first = operand_read(l, insn, 0), second = operand_read(l, insn, 1);
  operand_write(l, insn, 0, second);
  operand_write(l, insn, 1, first);
}

/* Without the prefix. */
const struct lift_rule lift_rules_exchange[] = {
    {ZYDIS_MNEMONIC_CMPXCHG, lift_cmpxchg},
    {ZYDIS_MNEMONIC_CMPXCHG8B, lift_cmpxchg8b},
    {ZYDIS_MNEMONIC_XADD, lift_xadd},
    {ZYDIS_MNEMONIC_XCHG, lift_xchg},
    {0, NULL},
};

/* With it. Decoding has made #UD of the prefix without a memory operand. */
const struct lift_rule lift_rules_atomic[] = {
    {ZYDIS_MNEMONIC_ADC, lift_add_carry},
    {ZYDIS_MNEMONIC_ADD, lift_add},
    {ZYDIS_MNEMONIC_AND, lift_logic},
    {ZYDIS_MNEMONIC_BTC, lift_bit_test},
    {ZYDIS_MNEMONIC_BTR, lift_bit_test},
    {ZYDIS_MNEMONIC_BTS, lift_bit_test},
    {ZYDIS_MNEMONIC_CMPXCHG, lift_cmpxchg},
    {ZYDIS_MNEMONIC_CMPXCHG8B, lift_cmpxchg8b},
    {ZYDIS_MNEMONIC_DEC, lift_sub},
    {ZYDIS_MNEMONIC_INC, lift_add},
    {ZYDIS_MNEMONIC_NEG, lift_neg},
    {ZYDIS_MNEMONIC_NOT, lift_not},
    {ZYDIS_MNEMONIC_OR, lift_logic},
    {ZYDIS_MNEMONIC_SBB, lift_add_carry},
    {ZYDIS_MNEMONIC_SUB, lift_sub},
    {ZYDIS_MNEMONIC_XADD, lift_xadd},
    {ZYDIS_MNEMONIC_XCHG, lift_xchg},
    {ZYDIS_MNEMONIC_XOR, lift_logic},
    {0, NULL},
};
