/* String instructions: movs, stos, lods, scas, cmps, with and without rep (SDM vol. 2, REP).
 *
 * Two ways:
 *
 * - By the host's own instruction, the usual one. Guest esi and edi live in the host's r9 and r12
 *   (docs/guest-abi.md), so the assembly exchanges rsi with r9 and rdi with r12 before the
 *   instruction, and again after it. ecx and eax are in their own places, and the host's DF always
 *   equals the guest's. A fault in the middle of a rep leaves the counts as the CPU has them: the
 *   runtime finds a string instruction at the host PC and exchanges both pairs back, always both,
 *   whichever the instruction uses. A repeated comparison also leaves its flags so far: r10 has the
 *   count that it began with, so that the runtime knows whether there was any.
 *
 * - One element at a time in IR, for what the host cannot do in 64-bit mode: 16-bit addresses, and
 *   sources in fs or gs, whose bases are in the register file; and for a CPU that traps after each turn. A rep then does one element and
 *   dispatches to itself, as the manual's pseudo-code has it; faults and signals between elements
 *   find the exact state. */
#include "Frontend/lift_support.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

enum string_kind { STRING_MOVS, STRING_STOS, STRING_LODS, STRING_SCAS, STRING_CMPS };

/* What the mnemonic says. */
struct string_insn {
  enum string_kind kind;
  unsigned bytes;
  bool repeats;     /* rep, repe, repne */
  bool compares;    /* scas, cmps: sets flags, and stops at … */
  bool while_equal; /* … the first unequal (repe) or equal (repne) element */
  bool reads_esi, uses_edi, writes_eax;
};

static struct string_insn string_insn_of(const struct insn *insn) {
  static const struct {
    uint16_t byte, word, dword;
  } mnemonics[] = {
      [STRING_MOVS] = {ZYDIS_MNEMONIC_MOVSB, ZYDIS_MNEMONIC_MOVSW, ZYDIS_MNEMONIC_MOVSD},
      [STRING_STOS] = {ZYDIS_MNEMONIC_STOSB, ZYDIS_MNEMONIC_STOSW, ZYDIS_MNEMONIC_STOSD},
      [STRING_LODS] = {ZYDIS_MNEMONIC_LODSB, ZYDIS_MNEMONIC_LODSW, ZYDIS_MNEMONIC_LODSD},
      [STRING_SCAS] = {ZYDIS_MNEMONIC_SCASB, ZYDIS_MNEMONIC_SCASW, ZYDIS_MNEMONIC_SCASD},
      [STRING_CMPS] = {ZYDIS_MNEMONIC_CMPSB, ZYDIS_MNEMONIC_CMPSW, ZYDIS_MNEMONIC_CMPSD},
  };
  struct string_insn s = {.kind = STRING_MOVS};
  for (unsigned k = 0; k < sizeof mnemonics / sizeof mnemonics[0]; k++) {
    unsigned mnemonic = insn->form.mnemonic;
    unsigned bytes = mnemonic == mnemonics[k].byte    ? 1
                     : mnemonic == mnemonics[k].word  ? 2
                     : mnemonic == mnemonics[k].dword ? 4
                                                      : 0;
    if (bytes) {
      s.kind = (enum string_kind)k;
      s.bytes = bytes;
    }
  }
  s.compares = s.kind == STRING_SCAS || s.kind == STRING_CMPS;
  /* Without a comparison repne is rep. */
  s.repeats = insn->form.attributes & (INSN_REP | INSN_REPNE);
  s.while_equal = insn->form.attributes & INSN_REP;
  s.reads_esi = s.kind == STRING_MOVS || s.kind == STRING_LODS || s.kind == STRING_CMPS;
  s.uses_edi = s.kind != STRING_LODS;
  s.writes_eax = s.kind == STRING_LODS;
  return s;
}

/* --- The host's instruction -------------------------------------------------------------------- */

static void lift_by_host(struct lifter *l, const struct string_insn *s) {
  static const char *const stems[] = {"movs", "stos", "lods", "scas", "cmps"};
  char text[160];
  const char *prefix = !s->repeats ? "" : !s->compares ? "rep " : s->while_equal ? "repe " : "repne ";
  const bool counts = s->compares && s->repeats;
  snprintf(text, sizeof text,
           "%sxchgq %%rsi, %%r9\nxchgq %%rdi, %%r12\naddr32 %s%s%c\nxchgq %%rdi, %%r12\nxchgq %%rsi, %%r9",
           counts ? "movl %ecx, %r10d\n" : "", prefix, stems[s->kind], operand_suffix(s->bytes));
  /* All four registers are arguments, so that each is in its place when the instruction faults;
   * those that change are results too. */
  const struct {
    unsigned reg;
    const char *host;
    bool changes;
  } registers[4] = {
      {GPR_ESI, "{r9}", s->reads_esi},
      {GPR_EDI, "{r12}", s->uses_edi},
      {GPR_ECX, "{ecx}", s->repeats},
      {GPR_EAX, "{eax}", s->writes_eax},
  };
  LLVMValueRef arguments[4];
  char outputs[64] = "", inputs[64] = "";
  struct host_asm code = {.text = text, .outputs = outputs, .inputs = inputs, .effects = true};
  code.flags = s->compares ? FLAGS_ALL : FLAGS_NONE;
  unsigned changed = 0;
  for (unsigned i = 0; i < 4; i++) {
    arguments[i] = l->gpr[registers[i].reg];
    size_t in = strlen(inputs), out = strlen(outputs);
    if (registers[i].changes) {
      snprintf(outputs + out, sizeof outputs - out, "%s=%s", changed ? "," : "", registers[i].host);
      snprintf(inputs + in, sizeof inputs - in, "%u,", changed);
      code.result[changed++] = l->i32;
    } else {
      snprintf(inputs + in, sizeof inputs - in, "%s,", registers[i].host);
    }
  }
  snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), "~{memory}");
  if (counts) {
    size_t out = strlen(outputs);
    snprintf(outputs + out, sizeof outputs - out, ",=&{r10}");
    code.result[changed] = l->i32;
  }
  host_asm(l, &code, arguments, 4);
  changed = 0;
  for (unsigned i = 0; i < 4; i++)
    if (registers[i].changes)
      gpr_write(l, registers[i].reg, 4, code.value[changed++]);

  if (counts) {
    /* Nothing compared: the flags stay. */
    LLVMValueRef any = LLVMBuildNot(l->builder, value_is_zero(l, code.value[changed]), "");
    struct flags_guard guard;
    flags_guard_begin(l, &guard, any);
    host_asm_write_flags(l, &code);
    flags_guard_end(l, &guard);
  } else {
    host_asm_write_flags(l, &code);
  }
}

/* --- One element ------------------------------------------------------------------------------- */

static LLVMValueRef element_address(struct lifter *l, const struct insn *insn, unsigned reg, bool is_source,
                                    unsigned bytes, bool write) {
  LLVMValueRef offset = l->gpr[reg];
  if (insn->form.attributes & INSN_ADDRESS16)
    offset = LLVMBuildAnd(l->builder, offset, lifter_const(l, 4, 0xFFFF), "");
  unsigned destination = l->mode & MODE_SEGMENTS ? 1 + SEG_ES : 0;
  return segment_add_base(l, is_source ? implicit_segment(insn) : destination, offset, bytes, write);
}

/* Moves esi or edi on; all accesses are done. */
static void advance(struct lifter *l, unsigned reg, unsigned register_bytes, LLVMValueRef step) {
  LLVMValueRef old = value_resize(l, value_after_accesses(l, l->gpr[reg]), register_bytes);
  gpr_write(l, reg, register_bytes, LLVMBuildAdd(l->builder, old, value_resize(l, step, register_bytes), ""));
}

/* The host's cmp gives all flags in one register; computed one by one they would need more than there
 * are beside the pinned ones. */
static void compare_elements(struct lifter *l, LLVMValueRef source, LLVMValueRef other) {
  char text[16];
  snprintf(text, sizeof text, "cmp%c @1, @0", operand_suffix(value_bits(source) / 8));
  struct host_asm code = {.text = text, .inputs = "r,r", .effects = true, .flags = FLAGS_ALL};
  host_asm(l, &code, (LLVMValueRef[]){source, other}, 2);
  host_asm_write_flags(l, &code);
}

/* Returns whether two elements were equal, i1; NULL if none were compared. */
static LLVMValueRef lift_element(struct lifter *l, const struct insn *insn, const struct string_insn *s) {
  LLVMTypeRef type = lifter_int(l, s->bytes);
  /* cmps reads [edi] first, but `repe cmpsb` on AMD's CPUs [esi]: that is the fault, if both are. */
  const bool both = s->compares && s->reads_esi;
  const bool source_first = both && s->repeats && s->while_equal && s->bytes == 1;
  LLVMValueRef source = NULL, other = NULL, address = NULL;
  if (s->reads_esi && (!both || source_first))
    source = element_address(l, insn, GPR_ESI, true, s->bytes, false);
  if (source_first)
    source = value_in_temporary(l, memory_load(l, type, source), "r14");
  if (s->uses_edi)
    address = element_address(l, insn, GPR_EDI, false, s->bytes, !s->compares);
  if (s->compares)
    other = memory_load(l, type, address);
  if (both && !source_first) {
    other = value_in_temporary(l, other, "r14");
    source = element_address(l, insn, GPR_ESI, true, s->bytes, false);
  }
  if (!source_first)
    source = s->reads_esi ? memory_load(l, type, source) : gpr_read(l, GPR_EAX, s->bytes);
  if (s->kind == STRING_MOVS || s->kind == STRING_STOS)
    memory_store(l, address, source);
  for (unsigned reg = 0; reg < GPR_COUNT; reg++)
    gpr_keep(l, reg);
  LLVMValueRef down = value_resize(l, state_load(l, offsetof(struct cpu_state, df), l->i8), 4);
  LLVMValueRef step = LLVMBuildSub(l->builder, lifter_const(l, 4, s->bytes),
                                   LLVMBuildMul(l->builder, down, lifter_const(l, 4, 2 * s->bytes), ""), "");
  unsigned register_bytes = insn->form.attributes & INSN_ADDRESS16 ? 2 : 4;
  if (s->reads_esi)
    advance(l, GPR_ESI, register_bytes, step);
  if (s->uses_edi)
    advance(l, GPR_EDI, register_bytes, step);
  if (s->writes_eax)
    gpr_write(l, GPR_EAX, s->bytes, source);
  if (!s->compares)
    return NULL;
  compare_elements(l, source, other);
  return LLVMBuildICmp(l->builder, LLVMIntEQ, source, other, "");
}

static void lift_repeated_element(struct lifter *l, const struct insn *insn, const struct string_insn *s) {
  unsigned register_bytes = insn->form.attributes & INSN_ADDRESS16 ? 2 : 4;
  LLVMValueRef count = gpr_read(l, GPR_ECX, register_bytes);
  LLVMBasicBlockRef done = control_block(l, "done"), element = control_block(l, "element");
  LLVMBuildCondBr(l->builder, value_is_zero(l, count), done, element);
  LLVMPositionBuilderAtEnd(l->builder, done);
  control_after(l, insn);

  LLVMPositionBuilderAtEnd(l->builder, element);
  LLVMValueRef equal = lift_element(l, insn, s);
  count = LLVMBuildSub(l->builder, count, value_const(count, 1), "");
  gpr_write(l, GPR_ECX, register_bytes, count);
  LLVMValueRef more = LLVMBuildNot(l->builder, value_is_zero(l, count), "");
  if (equal)
    more = LLVMBuildAnd(l->builder, more, s->while_equal ? equal : LLVMBuildNot(l->builder, equal, ""), "");
  LLVMBasicBlockRef again = control_block(l, "again"), last = control_block(l, "last");
  LLVMBuildCondBr(l->builder, more, again, last);
  LLVMPositionBuilderAtEnd(l->builder, again);
  control_dispatch(l, insn_eip_value(l, insn));
  LLVMPositionBuilderAtEnd(l->builder, last);
  control_after(l, insn);
}

static void lift_string(struct lifter *l, const struct insn *insn) {
  struct string_insn s = string_insn_of(insn);
  bool other_segment = s.reads_esi && implicit_segment(insn);
  if (!other_segment && !(insn->form.attributes & INSN_ADDRESS16) && !(s.repeats && l->mode) &&
      !(l->mode & MODE_SEGMENTS))
    lift_by_host(l, &s);
  else if (s.repeats)
    lift_repeated_element(l, insn, &s);
  else
    lift_element(l, insn, &s);
}

#define STRING(name, function)                                                                               \
  {ZYDIS_MNEMONIC_##name##B, function}, {ZYDIS_MNEMONIC_##name##W, function}, {                              \
    ZYDIS_MNEMONIC_##name##D, function                                                                       \
  }
const struct lift_rule lift_rules_string[] = {
    STRING(CMPS, lift_string),     STRING(INS, lift_privileged),
    STRING(LODS, lift_string),     STRING(MOVS, lift_string),
    STRING(OUTS, lift_privileged), STRING(SCAS, lift_string),
    STRING(STOS, lift_string),     {0, NULL},
};
