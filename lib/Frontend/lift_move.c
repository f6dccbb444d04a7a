/* Data movement: mov, lea, movzx, push, pop, cmovcc, setcc and their kin. */
#include "Frontend/lift_support.h"
#include "Runtime/helpers.h"

#include <Zydis/Zydis.h>

static void lift_mov(struct lifter *l, const struct insn *insn) {
  if (operand_is(insn, 0, OPERAND_OTHER) || operand_is(insn, 1, OPERAND_OTHER)) {
    lift_privileged(l, insn); /* control and debug registers */
    return;
  }
  if (operand_is(insn, 0, OPERAND_SEGMENT)) {
    static const int helpers[SEG_COUNT] = {HELPER_load_es, HELPER_trap_ud, HELPER_load_ss,
                                           HELPER_load_ds, HELPER_load_fs, HELPER_load_gs};
    LLVMValueRef selector = operand_read_as(l, insn, 1, 4);
    state_store(l, offsetof(struct cpu_state, helper_argument), selector);
    control_helper(l, (unsigned)helpers[insn->form.op[0].reg], insn_eip_value(l, insn));
    return;
  }
  if (operand_is(insn, 1, OPERAND_SEGMENT)) {
    size_t field = offsetof(struct cpu_state, segment_selector) + 2 * insn->form.op[1].reg;
    LLVMValueRef selector = state_load(l, field, l->i16);
    if (insn->form.op[0].size == 4)
      selector = LLVMBuildZExt(l->builder, selector, l->i32, "");
    operand_write(l, insn, 0, selector);
    return;
  }
  operand_write(l, insn, 0, operand_read(l, insn, 1));
}

static void lift_lea(struct lifter *l, const struct insn *insn) {
  if (insn->form.op[0].reg == REGISTER_TEMPORARY) {
    gpr_write(l, REGISTER_TEMPORARY, 4, operand_address(l, insn, 1));
    return;
  }
  LLVMValueRef offset = operand_offset(l, insn, 1);
  if (insn->form.op[0].size == 2)
    offset = LLVMBuildTrunc(l->builder, offset, l->i16, "");
  operand_write(l, insn, 0, offset);
}

static void lift_movzx(struct lifter *l, const struct insn *insn) {
  LLVMTypeRef type = lifter_int(l, insn->form.op[0].size);
  operand_write(l, insn, 0, LLVMBuildZExt(l->builder, operand_read(l, insn, 1), type, ""));
}

static void lift_movsx(struct lifter *l, const struct insn *insn) {
  LLVMTypeRef type = lifter_int(l, insn->form.op[0].size);
  operand_write(l, insn, 0, LLVMBuildSExt(l->builder, operand_read(l, insn, 1), type, ""));
}

static void lift_push(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.operand_width;
  if (operand_is(insn, 0, OPERAND_SEGMENT)) {
    size_t field = offsetof(struct cpu_state, segment_selector) + 2 * insn->form.op[0].reg;
    LLVMValueRef selector = state_load(l, field, l->i16);
    stack_push(l, value_resize(l, selector, bytes)); /* zero-extended (APM vol. 3, PUSH) */
    return;
  }
  stack_push(l, operand_read_as(l, insn, 0, bytes));
}

static void lift_pop(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.operand_width;
  if (operand_is(insn, 0, OPERAND_SEGMENT)) {
    static const int helpers[SEG_COUNT] = {HELPER_load_es, HELPER_trap_ud, HELPER_load_ss,
                                           HELPER_load_ds, HELPER_load_fs, HELPER_load_gs};
    /* All that is popped is read. */
    LLVMValueRef selector = memory_load(l, lifter_int(l, bytes), stack_address(l, l->gpr[GPR_ESP], bytes, false));
    state_store(l, offsetof(struct cpu_state, helper_argument), value_resize(l, selector, 4));
    control_helper(l, (unsigned)helpers[insn->form.op[0].reg], insn_eip_value(l, insn));
    stack_set(l, LLVMBuildAdd(l->builder, l->gpr[GPR_ESP], lifter_const(l, 4, bytes), ""));
    return;
  }
  if (operand_is(insn, 0, OPERAND_MEMORY)) {
    /* The address is computed with esp as it is after the pop; esp must not change before the store. */
    LLVMValueRef before = l->gpr[GPR_ESP];
    LLVMValueRef value = memory_load(l, lifter_int(l, bytes), stack_address(l, before, bytes, false));
    if (l->commits)
      stack_set(l, LLVMBuildAdd(l->builder, before, lifter_const(l, 4, bytes), ""));
    else
      l->gpr[GPR_ESP] = LLVMBuildAdd(l->builder, before, lifter_const(l, 4, bytes), "");
    operand_write(l, insn, 0, value);
    l->gpr[GPR_ESP] = before;
    LLVMValueRef after = value_after_accesses(l, before);
    stack_set(l, LLVMBuildAdd(l->builder, after, lifter_const(l, 4, bytes), ""));
    return;
  }
  LLVMValueRef value = stack_pop(l, bytes);
  operand_write(l, insn, 0, value); /* after esp moved: pop esp keeps what was popped */
}

/* All eight, esp as it was before (SDM, PUSHA). */
static void lift_pusha(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.operand_width;
  LLVMValueRef esp = l->gpr[GPR_ESP];
  for (unsigned i = 0; i < GPR_COUNT; i++) {
    LLVMValueRef offset = lifter_const(l, 4, (uint32_t)-(int)(bytes * (i + 1)));
    memory_store(l, stack_address(l, LLVMBuildAdd(l->builder, esp, offset, ""), bytes, true), gpr_read(l, i, bytes));
  }
  LLVMValueRef total = lifter_const(l, 4, (uint32_t)-(int)(bytes * GPR_COUNT));
  stack_set(l, LLVMBuildAdd(l->builder, value_after_accesses(l, esp), total, ""));
}

/* Eight values are more than there are free registers, and pinned ones must not change before the last load. */
static void lift_popa(struct lifter *l, const struct insn *insn) {
  control_helper(l, insn->form.operand_width == 2 ? HELPER_popa16 : HELPER_popa, insn_eip_value(l, insn));
}

static void lift_cmov(struct lifter *l, const struct insn *insn) {
  /* The source is read, and may fault, whatever the condition. Where it commits LLVM would fold the load into a
   * cmov, and then make that a branch around it. */
  LLVMValueRef source = l->commits ? operand_read_first(l, insn, 1) : operand_read(l, insn, 1);
  LLVMValueRef condition = condition_value(l, insn->condition);
  operand_write(l, insn, 0, LLVMBuildSelect(l->builder, condition, source, operand_read(l, insn, 0), ""));
}

static void lift_setcc(struct lifter *l, const struct insn *insn) {
  LLVMValueRef condition = condition_value(l, insn->condition);
  operand_write(l, insn, 0, LLVMBuildZExt(l->builder, condition, l->i8, ""));
}

/* cbw, cwde: ax from al, eax from ax. */
static void lift_cbw(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.mnemonic == ZYDIS_MNEMONIC_CBW ? 1 : 2;
  LLVMValueRef wide = LLVMBuildSExt(l->builder, gpr_read(l, GPR_EAX, bytes), lifter_int(l, 2 * bytes), "");
  gpr_write(l, GPR_EAX, 2 * bytes, wide);
}

/* cwd, cdq: the sign of ax, eax into dx, edx. */
static void lift_cwd(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.mnemonic == ZYDIS_MNEMONIC_CWD ? 2 : 4;
  LLVMValueRef shift = lifter_const(l, bytes, 8 * bytes - 1);
  gpr_write(l, GPR_EDX, bytes, LLVMBuildAShr(l->builder, gpr_read(l, GPR_EAX, bytes), shift, ""));
}

static void lift_leave(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.operand_width;
  LLVMValueRef ebp = l->gpr[GPR_EBP];
  LLVMValueRef saved = memory_load(l, lifter_int(l, bytes), stack_address(l, ebp, bytes, false));
  stack_set(l, LLVMBuildAdd(l->builder, ebp, lifter_const(l, 4, bytes), ""));
  gpr_write(l, GPR_EBP, bytes, saved);
}

static void lift_bswap(struct lifter *l, const struct insn *insn) {
  if (insn->form.op[0].size != 4) {
    /* Undefined with a 16-bit operand; the CPUs measured clear it. */
    operand_write(l, insn, 0, lifter_const(l, 2, 0));
    return;
  }
  unsigned id = LLVMLookupIntrinsicID("llvm.bswap", 10);
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(l->module, id, &l->i32, 1);
  LLVMTypeRef type = LLVMIntrinsicGetType(l->context, id, &l->i32, 1);
  LLVMValueRef value = operand_read(l, insn, 0);
  operand_write(l, insn, 0, LLVMBuildCall2(l->builder, type, function, &value, 1, ""));
}

static void lift_xlat(struct lifter *l, const struct insn *insn) {
  LLVMValueRef index = LLVMBuildZExt(l->builder, gpr_read(l, GPR_EAX, 1), l->i32, "");
  LLVMValueRef offset = LLVMBuildAdd(l->builder, l->gpr[GPR_EBX], index, "");
  if (insn->form.attributes & INSN_ADDRESS16)
    offset = LLVMBuildAnd(l->builder, offset, lifter_const(l, 4, 0xFFFF), "");
  LLVMValueRef address = segment_add_base(l, implicit_segment(insn), offset, 1, false);
  gpr_write(l, GPR_EAX, 1, memory_load(l, l->i8, address));
}

/* nop, and hints that are nops to a program: endbr32, pause, prefetches. */
static void lift_nop(struct lifter *l, const struct insn *insn) {
  (void)l;
  (void)insn;
}

#define ALL_CONDITIONS(ROW)                                                                                  \
  ROW(O), ROW(NO), ROW(B), ROW(NB), ROW(Z), ROW(NZ), ROW(BE), ROW(NBE), ROW(S), ROW(NS), ROW(P), ROW(NP),     \
      ROW(L), ROW(NL), ROW(LE), ROW(NLE)
#define CMOV(cc) {ZYDIS_MNEMONIC_CMOV##cc, lift_cmov}
#define SET(cc) {ZYDIS_MNEMONIC_SET##cc, lift_setcc}
const struct lift_rule lift_rules_move[] = {
    {ZYDIS_MNEMONIC_MOV, lift_mov},
    {ZYDIS_MNEMONIC_LEA, lift_lea},
    {ZYDIS_MNEMONIC_MOVZX, lift_movzx},
    {ZYDIS_MNEMONIC_MOVSX, lift_movsx},
    {ZYDIS_MNEMONIC_PUSH, lift_push},
    {ZYDIS_MNEMONIC_POP, lift_pop},
    {ZYDIS_MNEMONIC_PUSHA, lift_pusha},
    {ZYDIS_MNEMONIC_PUSHAD, lift_pusha},
    {ZYDIS_MNEMONIC_POPA, lift_popa},
    {ZYDIS_MNEMONIC_POPAD, lift_popa},
    ALL_CONDITIONS(CMOV),
    ALL_CONDITIONS(SET),
    {ZYDIS_MNEMONIC_CBW, lift_cbw},
    {ZYDIS_MNEMONIC_CWDE, lift_cbw},
    {ZYDIS_MNEMONIC_CWD, lift_cwd},
    {ZYDIS_MNEMONIC_CDQ, lift_cwd},
    {ZYDIS_MNEMONIC_LEAVE, lift_leave},
    {ZYDIS_MNEMONIC_BSWAP, lift_bswap},
    {ZYDIS_MNEMONIC_XLAT, lift_xlat},
    {ZYDIS_MNEMONIC_NOP, lift_nop},
    {ZYDIS_MNEMONIC_PAUSE, lift_nop},
    {ZYDIS_MNEMONIC_ENDBR32, lift_nop},
    {ZYDIS_MNEMONIC_ENDBR64, lift_nop},
    {ZYDIS_MNEMONIC_RDSSPD, lift_nop}, /* without shadow stacks */
    {ZYDIS_MNEMONIC_BNDCL,
     lift_nop}, /* without bounds registers, as for the next ones: no access to memory */
    {ZYDIS_MNEMONIC_BNDCN, lift_nop},
    {ZYDIS_MNEMONIC_BNDCU, lift_nop},
    {ZYDIS_MNEMONIC_BNDLDX, lift_nop},
    {ZYDIS_MNEMONIC_BNDMK, lift_nop},
    {ZYDIS_MNEMONIC_BNDMOV, lift_nop},
    {ZYDIS_MNEMONIC_BNDSTX, lift_nop},
    {0, NULL},
};
