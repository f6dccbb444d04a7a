/* The lifter's frame: modules, functions, and the table of family functions. */
#include "Frontend/lift.h"
#include "Frontend/lift_internal.h"
#include "Frontend/lift_support.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 32-bit pointers, 64-bit host code (docs/guest-abi.md). */
const char lift_triple[] = "x86_64-unknown-nacl";
static const char data_layout[] =
    "e-m:e-p:32:32-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-n8:16:32:64-S128";

/* lock forms are true atomics, of a family of their own; movsd and cmpsd are two instructions each,
 * a string's and SSE's. */
static lift_function *table[ZYDIS_MNEMONIC_MAX_VALUE + 1], *locked[ZYDIS_MNEMONIC_MAX_VALUE + 1],
    *strings[ZYDIS_MNEMONIC_MAX_VALUE + 1];

__attribute__((constructor)) static void table_init(void) {
  static const struct lift_rule *const families[] = {
      lift_rules_move,   lift_rules_arith, lift_rules_shift,   lift_rules_bits,
      lift_rules_muldiv, lift_rules_bcd,   lift_rules_control, lift_rules_system,
      lift_rules_x87,    lift_rules_simd,  lift_rules_avx,     lift_rules_exchange};
  for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
    for (const struct lift_rule *rule = families[f]; rule->mnemonic; rule++)
      table[rule->mnemonic] = rule->lift;
  for (const struct lift_rule *rule = lift_rules_atomic; rule->mnemonic; rule++)
    locked[rule->mnemonic] = rule->lift;
  for (const struct lift_rule *rule = lift_rules_string; rule->mnemonic; rule++)
    strings[rule->mnemonic] = rule->lift;
}

static void start_module(struct lifter *l, const char *name) {
  l->module = LLVMModuleCreateWithNameInContext(name, l->context);
  LLVMSetTarget(l->module, lift_triple);
  LLVMSetDataLayout(l->module, data_layout);
  /* Host frames of guest calls are 8 bytes; nothing spilled needs more alignment. */
  LLVMMetadataRef eight = LLVMValueAsMetadata(LLVMConstInt(l->i32, 8, false));
  LLVMAddModuleFlag(l->module, LLVMModuleFlagBehaviorError, "override-stack-alignment", 24, eight);
}

void lifter_init(struct lifter *l, enum lift_setting setting) {
  memset(l, 0, sizeof *l);
  l->setting = setting;
  l->commits = setting == LIFT_BLOCK;
  l->context = LLVMContextCreate();
  l->builder = LLVMCreateBuilderInContext(l->context);
  l->i1 = LLVMInt1TypeInContext(l->context);
  l->i8 = LLVMInt8TypeInContext(l->context);
  l->i16 = LLVMInt16TypeInContext(l->context);
  l->i32 = LLVMInt32TypeInContext(l->context);
  l->i64 = LLVMInt64TypeInContext(l->context);
  l->pointer = LLVMPointerTypeInContext(l->context, 0);
  l->xmm_type = LLVMVectorType(LLVMFloatTypeInContext(l->context), 4);

  LLVMTypeRef parameters[ABI_PARAMETER_COUNT];
  for (unsigned i = 0; i < ABI_PARAMETER_COUNT; i++)
    parameters[i] = i < ABI_INT_COUNT ? l->i32 : l->xmm_type;
  l->guest_type = LLVMStructCreateNamed(l->context, "guest");
  LLVMStructSetBody(l->guest_type, parameters, ABI_PARAMETER_COUNT, false);
  l->function_type = LLVMFunctionType(l->guest_type, parameters, ABI_PARAMETER_COUNT, false);
  start_module(l, "lifted");
}

void lifter_dispose(struct lifter *l) {
  lifter_annotate_end(l);
  if (l->module)
    LLVMDisposeModule(l->module);
  LLVMDisposeBuilder(l->builder);
  LLVMContextDispose(l->context);
}

LLVMModuleRef lifter_take_module(struct lifter *l, const char *new_name) {
  LLVMModuleRef module = l->module;
  start_module(l, new_name);
  return module;
}

static LLVMAttributeRef attribute(struct lifter *l, const char *name) {
  return LLVMCreateEnumAttribute(l->context, LLVMGetEnumAttributeKindForName(name, strlen(name)), 0);
}

void abi_apply(struct lifter *l, LLVMValueRef function) {
  LLVMSetFunctionCallConv(function, LLVMX86RegCallCallConv);
  LLVMAttributeRef inreg = attribute(l, "inreg");
  for (unsigned i = 1; i <= ABI_PARAMETER_COUNT; i++)
    LLVMAddAttributeAtIndex(function, i, inreg);
  LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex, attribute(l, "nounwind"));
}

void abi_apply_call(struct lifter *l, LLVMValueRef call) {
  LLVMSetInstructionCallConv(call, LLVMX86RegCallCallConv);
  LLVMAttributeRef inreg = attribute(l, "inreg");
  for (unsigned i = 1; i <= ABI_PARAMETER_COUNT; i++)
    LLVMAddCallSiteAttribute(call, i, inreg);
}

LLVMValueRef lifter_symbol(struct lifter *l, const char *name) {
  LLVMValueRef function = LLVMGetNamedFunction(l->module, name);
  if (function)
    return function;
  function = LLVMAddFunction(l->module, name, l->function_type);
  abi_apply(l, function);
  /* Within reach of a 32-bit displacement: a call through the GOT does not exist here. */
  LLVMSetVisibility(function, LLVMHiddenVisibility);
  return function;
}

void lifter_set_attribute(struct lifter *l, const char *name) {
  LLVMAddAttributeAtIndex(l->function, LLVMAttributeFunctionIndex, attribute(l, name));
}

void lifter_set_call_attribute(struct lifter *l, LLVMValueRef call, const char *name) {
  LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, attribute(l, name));
}

void lifter_set_string_attribute(struct lifter *l, const char *key, const char *value) {
  LLVMAddAttributeAtIndex(l->function, LLVMAttributeFunctionIndex,
                          LLVMCreateStringAttribute(l->context, key, (unsigned)strlen(key), value,
                                                    (unsigned)strlen(value)));
}

void lifter_start_function(struct lifter *l, const char *name) {
  l->function = LLVMAddFunction(l->module, name, l->function_type);
  abi_apply(l, l->function);
  lifter_set_string_attribute(l, "no-jump-tables", "true");
  LLVMPositionBuilderAtEnd(l->builder, LLVMAppendBasicBlockInContext(l->context, l->function, "entry"));
  static const char *const names[GPR_COUNT] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  for (unsigned i = 0; i < GPR_COUNT; i++) {
    l->gpr[i] = LLVMGetParam(l->function, i);
    LLVMSetValueName2(l->gpr[i], names[i], 3);
  }
  for (unsigned i = 0; i < GUEST_XMM_COUNT; i++) {
    char xmm[8];
    int length = snprintf(xmm, sizeof xmm, "xmm%u", i);
    l->xmm[i] = LLVMGetParam(l->function, ABI_INT_COUNT + i);
    LLVMSetValueName2(l->xmm[i], xmm, (size_t)length);
  }
  l->temporary = LLVMGetParam(l->function, ABI_TEMPORARY);
  l->temporary_written = false;
  l->zero = LLVMGetParam(l->function, ABI_ZERO);
  memset(l->flag, 0, sizeof l->flag);
  memset(l->compare, 0, sizeof l->compare);
  l->above = NULL;
  l->flags_dirty = l->gpr_dirty = l->xmm_dirty = 0;
  l->position = 0;
  l->ended = l->helped = false;
  l->failure = NULL;
  if (l->annotate)
    lifter_annotate_function(l, name);
}

void lift_fail(struct lifter *l, const char *why) { l->failure = why; }

static bool is_beyond(const struct insn *insn) {
  for (unsigned i = 0; i < 4; i++)
    if (insn->form.op[i].segment == SEGMENT_BEYOND)
      return true;
  return false;
}

static lift_function *find_family(const struct insn *insn) {
  if (insn->form.attributes & INSN_LOCK)
    return locked[insn->form.mnemonic];
  if (insn->form.attributes & INSN_STRING)
    return strings[insn->form.mnemonic];
  return table[insn->form.mnemonic];
}

lift_function *lifter_family(const struct insn *insn) {
  lift_function *lift = find_family(insn);
  return lift && is_beyond(insn) ? lift_privileged : lift;
}

bool lift_is_implemented(const struct insn *insn) { return lifter_family(insn) != NULL; }

LLVMValueRef lifter_function(struct lifter *l, const char *name, const struct insn *insns, unsigned count,
                             uint8_t live) {
  lifter_start_function(l, name);
  l->last = &insns[count - 1];
  l->flags_live = live;
  for (unsigned i = 0; i < count && !l->failure && !l->ended; i++) {
    l->insn = &insns[i];
    l->limit_checked = false;
    l->position = i;
    if (l->annotate)
      lifter_annotate(l, insns[i].eip);
    lift_function *lift = lifter_family(&insns[i]);
    if (!lift) {
      lift_fail(l, "instruction is not implemented");
      break;
    }
    if (l->commits && insns[i].can_fault)
      control_commit(l, &insns[i]);
    memcpy(l->gpr_before, l->gpr, sizeof l->gpr);
    memcpy(l->xmm_before, l->xmm, sizeof l->xmm);
    lift(l, &insns[i]);
    /* A helper may have changed the code that follows. */
    if (l->setting == LIFT_BLOCK && l->helped && !l->ended)
      control_dispatch(l, insn_next_value(l, &insns[i]));
  }
  if (!l->failure && !l->ended)
    control_next(l);
  if (l->failure) {
    /* The block under construction may lack its end; that is all right for a function that goes. */
    LLVMDeleteFunction(l->function);
    return NULL;
  }
  return l->function;
}
