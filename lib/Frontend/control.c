/* Leaving lifted code: fall-through, branches, calls and returns, helpers and traps. */
#include "Frontend/lift.h"
#include "Frontend/lift_internal.h"
#include "Frontend/lift_support.h"
#include "Runtime/helpers.h"

#include <Zydis/Zydis.h>
#include <string.h>

const char *helper_symbol(unsigned helper) {
  static const char *const names[HELPER_COUNT] = {
#define HELPER_NAME(name) "helper_" #name,
      UEMU_HELPERS(HELPER_NAME)
#undef HELPER_NAME
  };
  return names[helper];
}

static void arguments_of(struct lifter *l, LLVMValueRef eip, LLVMValueRef arguments[ABI_PARAMETER_COUNT]) {
  for (unsigned i = 0; i < GPR_COUNT; i++)
    arguments[i] = l->gpr[i];
  arguments[ABI_EIP] = eip ? eip : LLVMGetPoison(l->i32);
  arguments[ABI_TEMPORARY] = l->temporary_written ? l->temporary : LLVMGetPoison(l->i32);
  arguments[ABI_ZERO] = l->zero;
  for (unsigned i = 0; i < ABI_XMM_COUNT; i++)
    arguments[ABI_INT_COUNT + i] = i < GUEST_XMM_COUNT ? l->xmm[i] : LLVMGetPoison(l->xmm_type);
}

static LLVMValueRef call(struct lifter *l, const char *symbol, LLVMValueRef eip) {
  LLVMValueRef arguments[ABI_PARAMETER_COUNT];
  arguments_of(l, eip, arguments);
  LLVMValueRef result = LLVMBuildCall2(l->builder, l->function_type, lifter_symbol(l, symbol), arguments,
                                       ABI_PARAMETER_COUNT, "");
  abi_apply_call(l, result);
  return result;
}

/* Flags that must be in the register file before control leaves. */
void control_store_flags(struct lifter *l, uint8_t wanted) {
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (l->flags_dirty & wanted & 1 << f) {
      LLVMValueRef byte = LLVMBuildZExt(l->builder, l->flag[f], l->i8, "");
      state_store(l, offsetof(struct cpu_state, cf) + f, byte);
    }
}

void control_store_live_flags(struct lifter *l, uint8_t live) {
  control_store_flags(l, l->commits ? FLAGS_ALL : live);
}

void control_store_registers(struct lifter *l) {
  for (unsigned i = 0; i < GPR_COUNT; i++)
    if (l->gpr_dirty & 1 << i)
      state_store(l, offsetof(struct cpu_state, gpr) + 4 * i, l->gpr[i]);
  for (unsigned i = 0; i < GUEST_XMM_COUNT; i++)
    if (l->xmm_dirty & 1 << i)
      state_store(l, offsetof(struct cpu_state, xmm) + 16 * i, l->xmm[i]);
}

/* Everything newer than the register file. What has been written is not forgotten: control may be leaving on
 * one path of several. */
static void store_state(struct lifter *l) {
  control_store_registers(l);
  control_store_flags(l, FLAGS_ALL);
}

/* Before control leaves lifted code on the way that is being built. */
static void store_leaving(struct lifter *l) {
  if (l->setting == LIFT_BLOCK)
    store_state(l);
  else
    control_store_live_flags(l, l->flags_live);
}

/* The same, on the way that all that follows comes by. */
static void store_all(struct lifter *l) {
  if (l->commits)
    store_state(l);
  else
    store_leaving(l);
  l->flags_dirty = l->gpr_dirty = l->xmm_dirty = 0;
}

void control_tail_call(struct lifter *l, const char *symbol, LLVMValueRef eip) {
  LLVMValueRef result = call(l, symbol, eip);
  LLVMSetTailCallKind(result, LLVMTailCallKindMustTail);
  LLVMBuildRet(l->builder, result);
  l->ended = true;
}

/* In an unusual mode what comes next is for C to say. */
static const char *dispatcher(const struct lifter *l) { return l->mode ? "leave" : "dispatch"; }

void control_next(struct lifter *l) {
  if (l->setting == LIFT_REGION) {
    region_next(l);
    return;
  }
  store_leaving(l);
  if (l->setting == LIFT_BLOCK)
    control_tail_call(l, dispatcher(l), lifter_const(l, 4, insn_next(l->last)));
  else
    control_tail_call(l, "next", NULL);
}

void control_taken(struct lifter *l) {
  if (l->setting == LIFT_REGION) {
    region_taken(l);
    return;
  }
  control_check_target(l, lifter_const(l, 4, l->insn->target));
  store_leaving(l);
  if (l->setting == LIFT_BLOCK)
    control_tail_call(l, dispatcher(l), lifter_const(l, 4, l->insn->target));
  else
    control_tail_call(l, "taken", NULL);
}

void control_dispatch(struct lifter *l, LLVMValueRef eip) {
  control_check_target(l, eip);
  store_leaving(l);
  control_tail_call(l, dispatcher(l), eip);
}

void control_branch(struct lifter *l, LLVMValueRef condition) {
  if (l->setting != LIFT_REGION) /* there each way keeps what it needs */
    store_all(l);
  LLVMBasicBlockRef taken = LLVMAppendBasicBlockInContext(l->context, l->function, "taken");
  LLVMBasicBlockRef next = LLVMAppendBasicBlockInContext(l->context, l->function, "next");
  LLVMBuildCondBr(l->builder, condition, taken, next);
  LLVMPositionBuilderAtEnd(l->builder, taken);
  control_taken(l);
  LLVMPositionBuilderAtEnd(l->builder, next);
  control_next(l);
}

static void take_registers(struct lifter *l, LLVMValueRef result) {
  for (unsigned i = 0; i < GPR_COUNT; i++)
    l->gpr[i] = LLVMBuildExtractValue(l->builder, result, i, "");
  for (unsigned i = 0; i < GUEST_XMM_COUNT; i++)
    l->xmm[i] = LLVMBuildExtractValue(l->builder, result, ABI_INT_COUNT + i, "");
  l->gpr_dirty = l->xmm_dirty = 0xFF;
  if (l->setting != LIFT_REGION)
    l->zero = LLVMBuildExtractValue(l->builder, result, ABI_ZERO, "");
}

static void forget_flags(struct lifter *l) {
  memset(l->flag, 0, sizeof l->flag);
  l->flags_dirty = 0;
  l->compare[0] = l->compare[1] = l->above = NULL;
}

/* Calls the symbol and goes on with the registers that it returns; its eip. */
static LLVMValueRef call_and_go_on(struct lifter *l, const char *symbol, LLVMValueRef eip) {
  LLVMValueRef result = call(l, symbol, eip);
  take_registers(l, result);
  forget_flags(l);
  return LLVMBuildExtractValue(l->builder, result, ABI_EIP, "");
}

void control_expect(struct lifter *l, LLVMValueRef condition, LLVMBasicBlockRef usual, LLVMBasicBlockRef rare) {
  LLVMValueRef branch = LLVMBuildCondBr(l->builder, condition, usual, rare);
  LLVMMetadataRef weights[3] = {LLVMMDStringInContext2(l->context, "branch_weights", 14),
                                LLVMValueAsMetadata(lifter_const(l, 4, 1000000)),
                                LLVMValueAsMetadata(lifter_const(l, 4, 1))};
  LLVMMetadataRef node = LLVMMDNodeInContext2(l->context, weights, 3);
  LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(l->context, "prof", 4), LLVMMetadataAsValue(l->context, node));
}

void control_guest_call(struct lifter *l, const char *symbol, LLVMValueRef target, LLVMValueRef back) {
  control_store_live_flags(l, l->flags_live);
  LLVMValueRef eip = call_and_go_on(l, symbol, target);
  LLVMBasicBlockRef paired = control_block(l, "paired"), mispaired = control_block(l, "mispaired");
  control_expect(l, LLVMBuildICmp(l->builder, LLVMIntEQ, eip, back, ""), paired, mispaired);
  LLVMPositionBuilderAtEnd(l->builder, mispaired);
  control_tail_call(l, "mispaired", eip);
  l->ended = false;
  LLVMPositionBuilderAtEnd(l->builder, paired);
}

void control_helper(struct lifter *l, unsigned helper, LLVMValueRef eip) {
  if (l->setting == LIFT_REGION) {
    region_leave(l);
    return;
  }
  control_store_flags(l, FLAGS_ALL);
  call_and_go_on(l, helper_symbol(helper), eip);
  l->gpr_dirty = l->xmm_dirty = 0;
  l->helped = true;
}

void control_trap(struct lifter *l, unsigned helper, LLVMValueRef eip) {
  if (l->setting == LIFT_REGION) {
    region_leave(l);
    return;
  }
  control_store_flags(l, FLAGS_ALL);
  control_tail_call(l, helper_symbol(helper), eip);
}

void control_fault_if(struct lifter *l, LLVMValueRef condition, unsigned helper) {
  LLVMBasicBlockRef fault = control_block(l, "fault"), on = control_block(l, "on");
  LLVMBuildCondBr(l->builder, condition, fault, on);
  LLVMPositionBuilderAtEnd(l->builder, fault);
  LLVMValueRef gpr[GPR_COUNT], xmm[GUEST_XMM_COUNT];
  memcpy(gpr, l->gpr, sizeof gpr);
  memcpy(xmm, l->xmm, sizeof xmm);
  memcpy(l->gpr, l->gpr_before, sizeof gpr);
  memcpy(l->xmm, l->xmm_before, sizeof xmm);
  control_tail_call(l, helper_symbol(helper), insn_eip_value(l, l->insn)); /* flags are in the register file */
  memcpy(l->gpr, gpr, sizeof gpr);
  memcpy(l->xmm, xmm, sizeof xmm);
  l->ended = false;
  LLVMPositionBuilderAtEnd(l->builder, on);
}

void control_check_target(struct lifter *l, LLVMValueRef eip) {
  if (l->mode & MODE_SEGMENTS && l->code_high != UINT32_MAX)
    control_fault_if(l, LLVMBuildICmp(l->builder, LLVMIntUGT, eip, lifter_const(l, 4, l->code_high), ""),
                     HELPER_trap_gp);
}

void control_commit(struct lifter *l, const struct insn *insn) {
  store_all(l);
  state_store(l, offsetof(struct cpu_state, eip), lifter_const(l, 4, insn->eip));
}

/* --- The family functions of control flow ----------------------------------------------------- */

static void lift_jcc(struct lifter *l, const struct insn *insn) {
  control_branch(l, condition_value(l, insn->condition));
}

static LLVMValueRef counter(struct lifter *l, const struct insn *insn) {
  return gpr_read(l, GPR_ECX, insn->form.attributes & INSN_ADDRESS16 ? 2 : 4);
}

static LLVMValueRef zero_like(LLVMValueRef value) { return LLVMConstNull(LLVMTypeOf(value)); }

static void lift_jecxz(struct lifter *l, const struct insn *insn) {
  LLVMValueRef count = counter(l, insn);
  control_branch(l, LLVMBuildICmp(l->builder, LLVMIntEQ, count, zero_like(count), ""));
}

static void lift_loop(struct lifter *l, const struct insn *insn) {
  LLVMValueRef count = counter(l, insn);
  count = LLVMBuildSub(l->builder, count, LLVMConstInt(LLVMTypeOf(count), 1, false), "");
  gpr_write(l, GPR_ECX, insn->form.attributes & INSN_ADDRESS16 ? 2 : 4, count);
  LLVMValueRef more = LLVMBuildICmp(l->builder, LLVMIntNE, count, zero_like(count), "");
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_LOOPE)
    more = LLVMBuildAnd(l->builder, more, flag_read(l, FLAG_Z), "");
  else if (insn->form.mnemonic == ZYDIS_MNEMONIC_LOOPNE)
    more = LLVMBuildAnd(l->builder, more, LLVMBuildNot(l->builder, flag_read(l, FLAG_Z), ""), "");
  control_branch(l, more);
}

static bool is_indirect(const struct insn *insn) { return insn->form.op[0].kind != OPERAND_RELATIVE; }

/* A near target of 16 bits is cut to 16 bits. */
static LLVMValueRef indirect_target(struct lifter *l, const struct insn *insn) {
  return LLVMBuildZExt(l->builder, operand_read(l, insn, 0), l->i32, "");
}

static void lift_jmp(struct lifter *l, const struct insn *insn) {
  if (insn->flow == FLOW_TRAP)
    control_trap(l, HELPER_far, insn_eip_value(l, insn));
  else if (is_indirect(insn))
    control_dispatch(l, indirect_target(l, insn));
  else
    control_taken(l);
}

/* With a 16-bit operand: what is pushed has 16 bits, and so has where it goes. In 16-bit code that is the usual
 * call; elsewhere it is so rare that C does it. */
static void lift_call16(struct lifter *l, const struct insn *insn) {
  if (!(l->mode & MODE_CODE16)) {
    control_trap(l, HELPER_far, insn_eip_value(l, insn));
    return;
  }
  LLVMValueRef target = is_indirect(insn) ? indirect_target(l, insn) : lifter_const(l, 4, insn->target);
  control_check_target(l, target);
  stack_push(l, lifter_const(l, 2, insn_next(insn) & 0xFFFF));
  control_dispatch(l, target);
}

/* A guest call is a host call. The callee comes back with the eip to go on at; another than the
 * return address means that guest and host frames have parted (longjmp, switched stacks). */
static void lift_call(struct lifter *l, const struct insn *insn) {
  if (insn->flow == FLOW_TRAP) {
    control_trap(l, HELPER_far, insn_eip_value(l, insn));
    return;
  }
  if (insn->form.operand_width != 4) {
    lift_call16(l, insn);
    return;
  }
  LLVMValueRef target = is_indirect(insn) ? operand_read(l, insn, 0) : NULL;
  LLVMValueRef back = insn_next_value(l, insn);
  if (l->mode)
    control_check_target(l, target ? target : lifter_const(l, 4, insn->target));
  stack_push(l, back);
  if (l->setting == LIFT_BLOCK) {
    control_dispatch(l, target ? target : lifter_const(l, 4, insn->target));
    return;
  }
  if (l->setting == LIFT_REGION) {
    region_call(l, insn, target);
    return;
  }
  control_guest_call(l, target ? "dispatch" : "callee", target, back);
  control_tail_call(l, "next", NULL);
}

static void lift_ret(struct lifter *l, const struct insn *insn) {
  if (insn->flow == FLOW_TRAP) {
    control_trap(l, HELPER_far, insn_eip_value(l, insn));
    return;
  }
  const bool is_short = insn->form.operand_width != 4;
  if (is_short && !(l->mode & MODE_CODE16)) {
    control_trap(l, HELPER_far, insn_eip_value(l, insn));
    return;
  }
  LLVMValueRef eip = stack_pop(l, insn->form.operand_width);
  if (is_short)
    eip = LLVMBuildZExt(l->builder, eip, l->i32, "");
  if (operand_is(insn, 0, OPERAND_IMMEDIATE)) {
    LLVMValueRef released = operand_read_as(l, insn, 0, 4);
    stack_set(l, LLVMBuildAdd(l->builder, l->gpr[GPR_ESP], released, ""));
  }
  if (l->setting == LIFT_BLOCK) {
    control_dispatch(l, eip);
    return;
  }
  control_store_live_flags(l, l->flags_live);
  LLVMValueRef values[ABI_PARAMETER_COUNT], result = LLVMGetPoison(l->guest_type);
  arguments_of(l, eip, values);
  for (unsigned i = 0; i < ABI_PARAMETER_COUNT; i++)
    result = LLVMBuildInsertValue(l->builder, result, values[i], i, "");
  LLVMBuildRet(l->builder, result);
  l->ended = true;
}

static void lift_far(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_far, insn_eip_value(l, insn));
}

#define JCC(name) {ZYDIS_MNEMONIC_##name, lift_jcc}
const struct lift_rule lift_rules_control[] = {
    JCC(JO),  JCC(JNO), JCC(JB), JCC(JNB), JCC(JZ), JCC(JNZ), JCC(JBE), JCC(JNBE),
    JCC(JS),  JCC(JNS), JCC(JP), JCC(JNP), JCC(JL), JCC(JNL), JCC(JLE), JCC(JNLE),
    {ZYDIS_MNEMONIC_JCXZ, lift_jecxz},
    {ZYDIS_MNEMONIC_JECXZ, lift_jecxz},
    {ZYDIS_MNEMONIC_LOOP, lift_loop},
    {ZYDIS_MNEMONIC_LOOPE, lift_loop},
    {ZYDIS_MNEMONIC_LOOPNE, lift_loop},
    {ZYDIS_MNEMONIC_JMP, lift_jmp},
    {ZYDIS_MNEMONIC_CALL, lift_call},
    {ZYDIS_MNEMONIC_RET, lift_ret},
    {ZYDIS_MNEMONIC_IRET, lift_far},
    {ZYDIS_MNEMONIC_IRETD, lift_far},
    {0, NULL},
};
