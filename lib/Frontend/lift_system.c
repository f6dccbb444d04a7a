/* What leaves user code or looks at the machine: int n, cpuid, rdtsc, flags, privileged instructions. */
#include "Frontend/lift.h"
#include "Runtime/helpers.h"

#include <Zydis/Zydis.h>
#include <string.h>

static void lift_trap_gp(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_trap_gp, insn_eip_value(l, insn));
}

static void lift_trap_ud(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_trap_ud, insn_eip_value(l, insn));
}

static void lift_int3(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_trap_bp, insn_next_value(l, insn));
}

static void lift_int1(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_trap_db, insn_next_value(l, insn));
}

static void lift_int(struct lifter *l, const struct insn *insn) {
  enum { LINUX_SYSTEM_CALL = 0x80 };
  switch (operand_constant(insn, 0) & 0xFF) {
  case LINUX_SYSTEM_CALL:
    control_helper(l, HELPER_syscall, insn_next_value(l, insn));
    break;
  case 3:
    lift_int3(l, insn);
    break;
  case 4:
    control_trap(l, HELPER_trap_of, insn_next_value(l, insn));
    break;
  default:
    lift_trap_gp(l, insn);
  }
}

/* Ends in a trap if the condition holds. */
static void trap_if(struct lifter *l, LLVMValueRef condition, unsigned helper, LLVMValueRef eip) {
  LLVMBasicBlockRef trap = LLVMAppendBasicBlockInContext(l->context, l->function, "trap");
  LLVMBasicBlockRef fine = LLVMAppendBasicBlockInContext(l->context, l->function, "fine");
  LLVMBuildCondBr(l->builder, condition, trap, fine);
  LLVMPositionBuilderAtEnd(l->builder, trap);
  control_trap(l, helper, eip);
  l->ended = false;
  LLVMPositionBuilderAtEnd(l->builder, fine);
}

static void lift_into(struct lifter *l, const struct insn *insn) {
  trap_if(l, flag_read(l, FLAG_O), HELPER_trap_of, insn_next_value(l, insn));
}

static void lift_bound(struct lifter *l, const struct insn *insn) {
  LLVMValueRef index = operand_read(l, insn, 0);
  LLVMTypeRef type = LLVMTypeOf(index);
  unsigned bytes = insn->form.op[0].size;
  LLVMValueRef address = operand_address(l, insn, 1);
  LLVMValueRef low = memory_load(l, type, address);
  LLVMValueRef high = memory_load(l, type, LLVMBuildAdd(l->builder, address, lifter_const(l, 4, bytes), ""));
  LLVMValueRef outside = LLVMBuildOr(l->builder, LLVMBuildICmp(l->builder, LLVMIntSLT, index, low, ""),
                                     LLVMBuildICmp(l->builder, LLVMIntSGT, index, high, ""), "");
  trap_if(l, outside, HELPER_trap_br, insn_eip_value(l, insn));
}

static void lift_cpuid(struct lifter *l, const struct insn *insn) {
  control_helper(l, HELPER_cpuid, insn_eip_value(l, insn));
}

static void lift_pushf(struct lifter *l, const struct insn *insn) {
  control_helper(l, insn->form.operand_width == 2 ? HELPER_pushf16 : HELPER_pushf, insn_eip_value(l, insn));
}

static void lift_popf(struct lifter *l, const struct insn *insn) {
  control_helper(l, insn->form.operand_width == 2 ? HELPER_popf16 : HELPER_popf, insn_eip_value(l, insn));
}

static void lift_rdtsc(struct lifter *l, const struct insn *insn) {
  (void)insn;
  LLVMTypeRef results[2] = {l->i32, l->i32};
  LLVMTypeRef type = LLVMFunctionType(LLVMStructTypeInContext(l->context, results, 2, false), NULL, 0, false);
  const char constraints[] = "={eax},={edx}";
  LLVMValueRef code = LLVMGetInlineAsm(type, "rdtsc", 5, constraints, strlen(constraints), true, false,
                                       LLVMInlineAsmDialectATT, false);
  LLVMValueRef both = LLVMBuildCall2(l->builder, type, code, NULL, 0, "");
  gpr_write(l, GPR_EAX, 4, LLVMBuildExtractValue(l->builder, both, 0, ""));
  gpr_write(l, GPR_EDX, 4, LLVMBuildExtractValue(l->builder, both, 1, ""));
}

/* --- Flags --------------------------------------------------------------------------------------------- */

enum { LAHF_FLAGS = 5 };
static const struct {
  enum flag flag;
  unsigned bit;
} lahf[LAHF_FLAGS] = {{FLAG_C, 0}, {FLAG_P, 2}, {FLAG_A, 4}, {FLAG_Z, 6}, {FLAG_S, 7}};

static void lift_lahf(struct lifter *l, const struct insn *insn) {
  (void)insn;
  LLVMValueRef value = lifter_const(l, 1, 2); /* bit 1 is always set */
  for (unsigned i = 0; i < LAHF_FLAGS; i++) {
    LLVMValueRef bit = LLVMBuildZExt(l->builder, flag_read(l, lahf[i].flag), l->i8, "");
    value = LLVMBuildOr(l->builder, value, LLVMBuildShl(l->builder, bit, lifter_const(l, 1, lahf[i].bit), ""), "");
  }
  gpr_write(l, GPR_EAX + 4, 1, value);
}

static void lift_sahf(struct lifter *l, const struct insn *insn) {
  (void)insn;
  LLVMValueRef value = gpr_read(l, GPR_EAX + 4, 1);
  for (unsigned i = 0; i < LAHF_FLAGS; i++) {
    LLVMValueRef bit = LLVMBuildLShr(l->builder, value, lifter_const(l, 1, lahf[i].bit), "");
    flag_write(l, lahf[i].flag, LLVMBuildTrunc(l->builder, bit, l->i1, ""));
  }
}

static void lift_carry(struct lifter *l, const struct insn *insn) {
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_CMC)
    flag_write(l, FLAG_C, LLVMBuildNot(l->builder, flag_read(l, FLAG_C), ""));
  else
    flag_write(l, FLAG_C, LLVMConstInt(l->i1, insn->form.mnemonic == ZYDIS_MNEMONIC_STC, false));
}

/* The host's DF is the guest's; the field follows. */
static void lift_direction(struct lifter *l, const struct insn *insn) {
  bool down = insn->form.mnemonic == ZYDIS_MNEMONIC_STD;
  state_store(l, offsetof(struct cpu_state, df), lifter_const(l, 1, down));
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(l->context), NULL, 0, false);
  LLVMValueRef code = LLVMGetInlineAsm(type, down ? "std" : "cld", 3, "", 0, true, false, LLVMInlineAsmDialectATT, false);
  LLVMBuildCall2(l->builder, type, code, NULL, 0, "");
}

static void lift_salc(struct lifter *l, const struct insn *insn) {
  (void)insn;
  gpr_write(l, GPR_EAX, 1, LLVMBuildSExt(l->builder, flag_read(l, FLAG_C), l->i8, ""));
}

/* enter size, level (SDM, ENTER): the frame pointers of outer levels are copied. */
static void lift_enter(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.operand_width, level = operand_constant(insn, 1) & 31;
  LLVMTypeRef type = lifter_int(l, bytes);
  LLVMValueRef esp = l->gpr[GPR_ESP], ebp = l->gpr[GPR_EBP];
  unsigned pushed = bytes;
  memory_store(l, LLVMBuildAdd(l->builder, esp, lifter_const(l, 4, (uint32_t)-(int)pushed), ""), gpr_read(l, GPR_EBP, bytes));
  LLVMValueRef frame = LLVMBuildAdd(l->builder, esp, lifter_const(l, 4, (uint32_t)-(int)bytes), "");
  for (unsigned i = 1; i < level; i++) {
    LLVMValueRef from = LLVMBuildAdd(l->builder, ebp, lifter_const(l, 4, (uint32_t)-(int)(bytes * i)), "");
    pushed += bytes;
    memory_store(l, LLVMBuildAdd(l->builder, esp, lifter_const(l, 4, (uint32_t)-(int)pushed), ""), memory_load(l, type, from));
  }
  if (level) {
    LLVMValueRef value = bytes == 4 ? frame : LLVMBuildTrunc(l->builder, frame, type, "");
    pushed += bytes;
    memory_store(l, LLVMBuildAdd(l->builder, esp, lifter_const(l, 4, (uint32_t)-(int)pushed), ""), value);
  }
  uint32_t total = pushed + (operand_constant(insn, 0) & 0xFFFF);
  LLVMValueRef after = value_after_accesses(l, esp);
  frame = LLVMBuildAdd(l->builder, after, lifter_const(l, 4, (uint32_t)-(int)bytes), "");
  gpr_write(l, GPR_EBP, bytes, bytes == 4 ? frame : LLVMBuildTrunc(l->builder, frame, type, ""));
  gpr_write(l, GPR_ESP, 4, LLVMBuildAdd(l->builder, after, lifter_const(l, 4, 0u - total), ""));
}

const struct lift_rule lift_rules_system[] = {
    {ZYDIS_MNEMONIC_INT, lift_int},       {ZYDIS_MNEMONIC_INT3, lift_int3},     {ZYDIS_MNEMONIC_INT1, lift_int1},
    {ZYDIS_MNEMONIC_INTO, lift_into},     {ZYDIS_MNEMONIC_BOUND, lift_bound},   {ZYDIS_MNEMONIC_CPUID, lift_cpuid},
    {ZYDIS_MNEMONIC_PUSHF, lift_pushf},   {ZYDIS_MNEMONIC_PUSHFD, lift_pushf},  {ZYDIS_MNEMONIC_POPF, lift_popf},
    {ZYDIS_MNEMONIC_POPFD, lift_popf},    {ZYDIS_MNEMONIC_RDTSC, lift_rdtsc},   {ZYDIS_MNEMONIC_LAHF, lift_lahf},
    {ZYDIS_MNEMONIC_SAHF, lift_sahf},     {ZYDIS_MNEMONIC_CLC, lift_carry},     {ZYDIS_MNEMONIC_STC, lift_carry},
    {ZYDIS_MNEMONIC_CMC, lift_carry},     {ZYDIS_MNEMONIC_CLD, lift_direction}, {ZYDIS_MNEMONIC_STD, lift_direction},
    {ZYDIS_MNEMONIC_SALC, lift_salc},     {ZYDIS_MNEMONIC_ENTER, lift_enter},   {ZYDIS_MNEMONIC_UD0, lift_trap_ud},
    {ZYDIS_MNEMONIC_UD1, lift_trap_ud},   {ZYDIS_MNEMONIC_UD2, lift_trap_ud},   {ZYDIS_MNEMONIC_SYSENTER, lift_trap_ud},
    {ZYDIS_MNEMONIC_SYSCALL, lift_trap_ud}, {ZYDIS_MNEMONIC_HLT, lift_trap_gp}, {ZYDIS_MNEMONIC_CLI, lift_trap_gp},
    {ZYDIS_MNEMONIC_STI, lift_trap_gp},   {ZYDIS_MNEMONIC_IN, lift_trap_gp},    {ZYDIS_MNEMONIC_OUT, lift_trap_gp},
    {ZYDIS_MNEMONIC_INSB, lift_trap_gp},  {ZYDIS_MNEMONIC_INSW, lift_trap_gp},  {ZYDIS_MNEMONIC_INSD, lift_trap_gp},
    {ZYDIS_MNEMONIC_OUTSB, lift_trap_gp}, {ZYDIS_MNEMONIC_OUTSW, lift_trap_gp}, {ZYDIS_MNEMONIC_OUTSD, lift_trap_gp},
    {0, NULL},
};
