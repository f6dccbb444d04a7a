/* String instructions, by the host's own.
 *
 * The host's string instructions want esi and edi in rsi and rdi, where the guest's esp and ebx are
 * pinned. So the pairs are exchanged around the instruction: rsi with r9 (guest esi), rdi with r12
 * (guest edi). A fault in between is put right by the fault handler, which knows a host string
 * instruction when it sees one and exchanges the pairs back (Runtime/x86_64/signals.c); always both
 * pairs, so that it need not know which were used. The host's DF is the guest's.
 *
 * With repetition these are restartable in the middle, on the host as in the guest. */
#include "Frontend/lift.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

/* Which registers an instruction works on, in text and constraints. */
struct string_operation {
  uint16_t mnemonic;
  const char *name; /* of the host's instruction, AT&T */
  uint8_t size;
  bool source, destination; /* esi, edi advance */
  bool loads;               /* eax is written */
  bool stores;              /* eax is read */
  bool compares;            /* flags are written */
};

static const struct string_operation operations[] = {
    {ZYDIS_MNEMONIC_MOVSB, "movsb", 1, true, true, false, false, false},
    {ZYDIS_MNEMONIC_MOVSW, "movsw", 2, true, true, false, false, false},
    {ZYDIS_MNEMONIC_MOVSD, "movsl", 4, true, true, false, false, false},
    {ZYDIS_MNEMONIC_STOSB, "stosb", 1, false, true, false, true, false},
    {ZYDIS_MNEMONIC_STOSW, "stosw", 2, false, true, false, true, false},
    {ZYDIS_MNEMONIC_STOSD, "stosl", 4, false, true, false, true, false},
    {ZYDIS_MNEMONIC_LODSB, "lodsb", 1, true, false, true, false, false},
    {ZYDIS_MNEMONIC_LODSW, "lodsw", 2, true, false, true, false, false},
    {ZYDIS_MNEMONIC_LODSD, "lodsl", 4, true, false, true, false, false},
    {ZYDIS_MNEMONIC_SCASB, "scasb", 1, false, true, false, true, true},
    {ZYDIS_MNEMONIC_SCASW, "scasw", 2, false, true, false, true, true},
    {ZYDIS_MNEMONIC_SCASD, "scasl", 4, false, true, false, true, true},
    {ZYDIS_MNEMONIC_CMPSB, "cmpsb", 1, true, true, false, false, true},
    {ZYDIS_MNEMONIC_CMPSW, "cmpsw", 2, true, true, false, false, true},
    {ZYDIS_MNEMONIC_CMPSD, "cmpsl", 4, true, true, false, false, true},
};

static const struct string_operation *operation_of(const struct insn *insn) {
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
    if (operations[i].mnemonic == insn->form.mnemonic)
      return &operations[i];
  return NULL;
}

/* fs: or gs: before the source. */
static bool has_segment(const struct insn *insn) {
  for (unsigned i = 0; i < 4; i++)
    if (insn->form.op[i].kind == OPERAND_MEMORY && insn->form.op[i].segment)
      return true;
  return false;
}

enum { REGISTERS = 4 }; /* eax, ecx, esi, edi: results 0-3, then the six flags */

static const unsigned used[REGISTERS] = {GPR_EAX, GPR_ECX, GPR_ESI, GPR_EDI};

static void lift_string(struct lifter *l, const struct insn *insn) {
  const struct string_operation *operation = operation_of(insn);
  if (!operation || insn->form.attributes & INSN_ADDRESS16 || has_segment(insn)) {
    lift_fail(l, "string instruction with 16-bit addresses or a segment override");
    return;
  }
  bool repeats = insn->form.attributes & (INSN_REP | INSN_REPNE);
  const char *prefix = insn->form.attributes & INSN_REPNE ? "repne " : repeats ? "rep " : "";
  char text[160], constraints[256];
  snprintf(text, sizeof text,
           "xchgq %%rsi, %%r9\n\txchgq %%rdi, %%r12\n\taddr32 %s%s\n\txchgq %%rdi, %%r12\n\txchgq %%rsi, %%r9", prefix,
           operation->name);
  static const char *const flag_outputs[FLAG_COUNT] = {"={@ccc}", "={@ccp}", NULL, "={@ccz}", "={@ccs}", "={@cco}"};
  LLVMTypeRef results[REGISTERS + FLAG_COUNT];
  unsigned result_count = 0;
  strcpy(constraints, "={eax},={ecx},={r9d},={r12d}");
  for (unsigned i = 0; i < REGISTERS; i++)
    results[result_count++] = l->i32;
  for (unsigned f = 0; operation->compares && f < FLAG_COUNT; f++)
    if (flag_outputs[f]) {
      strcat(constraints, ",");
      strcat(constraints, flag_outputs[f]);
      results[result_count++] = l->i32;
    }
  strcat(constraints, ",{eax},{ecx},{r9d},{r12d},~{memory},~{flags}");
  LLVMTypeRef arguments[REGISTERS] = {l->i32, l->i32, l->i32, l->i32};
  LLVMTypeRef type =
      LLVMFunctionType(LLVMStructTypeInContext(l->context, results, result_count, false), arguments, REGISTERS, false);
  LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), true, false,
                                       LLVMInlineAsmDialectATT, false);
  LLVMValueRef values[REGISTERS];
  for (unsigned i = 0; i < REGISTERS; i++)
    values[i] = l->gpr[used[i]];
  LLVMValueRef count = values[1];
  LLVMValueRef result = LLVMBuildCall2(l->builder, type, code, values, REGISTERS, "");
  bool written[REGISTERS] = {operation->loads, repeats, operation->source, operation->destination};
  for (unsigned i = 0; i < REGISTERS; i++)
    if (written[i])
      gpr_write(l, used[i], 4, LLVMBuildExtractValue(l->builder, result, i, ""));
  if (!operation->compares)
    return;
  /* A repetition of no times leaves the flags. AF has no output constraint: it comes from the
   * operands, which are gone; it is computed for single compares only. */
  LLVMValueRef none = repeats ? LLVMBuildICmp(l->builder, LLVMIntEQ, count, lifter_const(l, 4, 0), "") : NULL;
  unsigned next = REGISTERS;
  for (unsigned f = 0; f < FLAG_COUNT; f++) {
    if (!flag_outputs[f])
      continue;
    LLVMValueRef set = LLVMBuildTrunc(l->builder, LLVMBuildExtractValue(l->builder, result, next++, ""), l->i1, "");
    flag_write(l, (enum flag)f, none ? LLVMBuildSelect(l->builder, none, flag_read(l, (enum flag)f), set, "") : set);
  }
}

const struct lift_rule lift_rules_string[] = {
    {ZYDIS_MNEMONIC_MOVSB, lift_string}, {ZYDIS_MNEMONIC_MOVSW, lift_string}, {ZYDIS_MNEMONIC_STOSB, lift_string},
    {ZYDIS_MNEMONIC_STOSW, lift_string}, {ZYDIS_MNEMONIC_STOSD, lift_string}, {ZYDIS_MNEMONIC_LODSB, lift_string},
    {ZYDIS_MNEMONIC_LODSW, lift_string}, {ZYDIS_MNEMONIC_LODSD, lift_string}, {ZYDIS_MNEMONIC_SCASB, lift_string},
    {ZYDIS_MNEMONIC_SCASW, lift_string}, {ZYDIS_MNEMONIC_SCASD, lift_string}, {ZYDIS_MNEMONIC_CMPSB, lift_string},
    {ZYDIS_MNEMONIC_CMPSW, lift_string}, {ZYDIS_MNEMONIC_MOVSD, lift_string}, {ZYDIS_MNEMONIC_CMPSD, lift_string},
    {0, NULL},
};
