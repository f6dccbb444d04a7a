/* The x87 instructions: the host's own (lift_passthrough.c), but for the few below.
 *
 * Zydis decodes the undocumented encodings (dc d0, de d0, df d0 …) as what they alias, and so do we.
 * fstpnce (d9 d8+i) and ffreep (df c0+i) are mnemonics of their own. */
#include "Frontend/lift_passthrough.h"
#include "Frontend/lift_support.h"
#include "Runtime/helpers.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

/* fnstsw ax changes half of eax; with all of eax as operand it stays one instruction. */
static void lift_fnstsw(struct lifter *l, const struct insn *insn) {
  if (!operand_is(insn, 0, OPERAND_GPR)) {
    lift_passthrough(l, insn);
    return;
  }
  static const char text[] = "fnstsw ax";
  LLVMTypeRef type = LLVMFunctionType(l->i32, &l->i32, 1, false);
  LLVMValueRef assembly = LLVMGetInlineAsm(type, text, sizeof text - 1, "={eax},0", 8, true, false,
                                           LLVMInlineAsmDialectIntel, false);
  gpr_write(l, GPR_EAX, 4, LLVMBuildCall2(l->builder, type, assembly, &l->gpr[GPR_EAX], 1, ""));
}

bool lift_is_x87(const struct insn *insn) {
  for (const struct lift_rule *rule = lift_rules_x87; rule->mnemonic; rule++)
    if (rule->mnemonic == insn->form.mnemonic)
      return true;
  return false;
}

void x87_note_make(const struct lifter *l, struct x87_note *note) {
  *note = (struct x87_note){.before = "", .behind = ""};
  if (!l->notes_x87 || !lift_is_x87(l->insn))
    return;
  size_t length;
  const char *function = LLVMGetValueName2(l->function, &length);
  snprintf(note->before, sizeof note->before, ".L${:uid}:\n\t");
  snprintf(note->behind, sizeof note->behind,
           "\n\t.pushsection .x87,\"\",@progbits\n\t.long .L${:uid} - %s, %u\n\t.popsection", function,
           l->insn->eip);
}

/* fcmovcc reads flags that are not in the host's EFLAGS: the condition becomes ZF first. */
static void lift_fcmov(struct lifter *l, const struct insn *insn) {
  static const struct {
    ZydisMnemonic mnemonic;
    uint8_t condition;
  } conditions[] = {
      {ZYDIS_MNEMONIC_FCMOVB, 2},  {ZYDIS_MNEMONIC_FCMOVNB, 3},  {ZYDIS_MNEMONIC_FCMOVE, 4},
      {ZYDIS_MNEMONIC_FCMOVNE, 5}, {ZYDIS_MNEMONIC_FCMOVBE, 6},  {ZYDIS_MNEMONIC_FCMOVNBE, 7},
      {ZYDIS_MNEMONIC_FCMOVU, 10}, {ZYDIS_MNEMONIC_FCMOVNU, 11},
  };
  unsigned i = 0;
  while (conditions[i].mnemonic != insn->form.mnemonic)
    i++;
  LLVMValueRef condition = LLVMBuildZExt(l->builder, condition_value(l, conditions[i].condition), l->i8, "");
  struct x87_note note;
  x87_note_make(l, &note);
  char text[64 + sizeof note];
  int length = snprintf(text, sizeof text, "test $0, $0\n\t%sfcmovne st(0), st(%u)%s", note.before,
                        insn->form.op[1].reg, note.behind);
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(l->context), &l->i8, 1, false);
  LLVMValueRef assembly = LLVMGetInlineAsm(type, text, (size_t)length, "r,~{flags}", 10, true, false,
                                           LLVMInlineAsmDialectIntel, false);
  LLVMBuildCall2(l->builder, type, assembly, &condition, 1, "");
}

/* What they store of the last x87 instruction's address is the host's, and is corrected afterwards
 * (docs/fpu.md). Not in 16-bit format, where half of it is missing. */
static void lift_fnstenv(struct lifter *l, const struct insn *insn) {
  enum { ENVIRONMENT_SIZE = 28 };
  lift_passthrough(l, insn);
  if (insn->form.op[0].size < ENVIRONMENT_SIZE || insn->form.op[0].size == 94)
    return;
  state_store(l, offsetof(struct cpu_state, helper_argument), operand_address(l, insn, 0));
  control_helper(l, HELPER_fpu_pointers, insn_eip_value(l, insn));
}

/* What it has loaded of the last operand's address is noted: nothing else tells whose it is. */
static void lift_fldenv(struct lifter *l, const struct insn *insn) {
  const unsigned size = insn->form.op[0].size;
  lift_passthrough(l, insn);
  state_store(l, offsetof(struct cpu_state, helper_argument), operand_address(l, insn, 0));
  control_helper(l, size == 14 || size == 94 ? HELPER_fpu_loaded16 : HELPER_fpu_loaded, insn_eip_value(l, insn));
}

/* Ten bytes go as eight and two. The first must be there before it matters where the others are in the
 * segment. */
static void check_rest(struct lifter *l, const struct insn *insn, unsigned i, LLVMValueRef address) {
  const enum segment segment = (enum segment)(insn->form.op[i].segment - 1);
  const unsigned unit = insn_access_unit(&insn->form, i), rest = insn->form.op[i].size - unit;
  if (!rest || segment < SEG_FS || l->is_foreign || rest > unit || insn->form.attributes & INSN_ADDRESS16)
    return;
  if (insn->form.op[i].written)
    memory_touch(l, address);
  else
    memory_load(l, l->i64, address);
  LLVMValueRef offset = LLVMBuildAdd(l->builder, operand_offset(l, insn, i), lifter_const(l, 4, unit), "");
  segment_check(l, segment, offset, rest);
}

/* An x87 instruction with an operand by fs, gs or cs, of which the FPU remembers the linear address. */
static void lift_in_segment(struct lifter *l, const struct insn *insn) {
  const struct operand *op = insn->form.op;
  for (unsigned i = 0; i < 2 && !(l->mode & MODE_SEGMENTS); i++)
    if (op[i].kind == OPERAND_MEMORY && op[i].segment) {
      const size_t note = offsetof(struct cpu_state, fpu_operand);
      LLVMValueRef address = operand_address(l, insn, i);
      check_rest(l, insn, i, address);
      state_store(l, note + 4, lifter_const(l, 4, op[i].segment));
      state_store(l, note, address);
    }
  lift_passthrough(l, insn);
}

/* fstp that leaves an empty register empty: no assembler knows it. */
static void lift_fstpnce(struct lifter *l, const struct insn *insn) {
  char text[32];
  snprintf(text, sizeof text, ".byte 0xd9, %#x", 0xd8u + insn->form.op[0].reg);
  passthrough_text(l, text);
}

/* What the 8087 and the 80287 had; since then fnop under another name. */
static void lift_fnop_8087(struct lifter *l, const struct insn *insn) {
  static const char *const texts[] = {".byte 0xdb, 0xe0", ".byte 0xdb, 0xe1", ".byte 0xdb, 0xe4"};
  passthrough_text(l, texts[insn->form.mnemonic == ZYDIS_MNEMONIC_FDISI8087_NOP   ? 1
                            : insn->form.mnemonic == ZYDIS_MNEMONIC_FSETPM287_NOP ? 2
                                                                                  : 0]);
}

#define PASS(name)                                                                                           \
  { ZYDIS_MNEMONIC_##name, lift_passthrough }
#define OPERAND(name)                                                                                        \
  { ZYDIS_MNEMONIC_##name, lift_in_segment }
#define FCMOV(cc)                                                                                            \
  { ZYDIS_MNEMONIC_FCMOV##cc, lift_fcmov }
/* In the order of SDM vol. 1, chapter 8.3. */
const struct lift_rule lift_rules_x87[] = {
    OPERAND(FLD),
    OPERAND(FST),
    OPERAND(FSTP),
    OPERAND(FILD),
    OPERAND(FIST),
    OPERAND(FISTP),
    OPERAND(FISTTP),
    OPERAND(FBLD),
    OPERAND(FBSTP),
    PASS(FXCH),
    FCMOV(B),
    FCMOV(NB),
    FCMOV(E),
    FCMOV(NE),
    FCMOV(BE),
    FCMOV(NBE),
    FCMOV(U),
    FCMOV(NU),
    {ZYDIS_MNEMONIC_FSTPNCE, lift_fstpnce},
    /* Constants. */
    PASS(FLD1),
    PASS(FLDZ),
    PASS(FLDPI),
    PASS(FLDL2T),
    PASS(FLDL2E),
    PASS(FLDLG2),
    PASS(FLDLN2),
    /* Arithmetic. */
    OPERAND(FADD),
    PASS(FADDP),
    OPERAND(FIADD),
    OPERAND(FSUB),
    PASS(FSUBP),
    OPERAND(FISUB),
    OPERAND(FSUBR),
    PASS(FSUBRP),
    OPERAND(FISUBR),
    OPERAND(FMUL),
    PASS(FMULP),
    OPERAND(FIMUL),
    OPERAND(FDIV),
    PASS(FDIVP),
    OPERAND(FIDIV),
    OPERAND(FDIVR),
    PASS(FDIVRP),
    OPERAND(FIDIVR),
    PASS(FABS),
    PASS(FCHS),
    PASS(FSQRT),
    PASS(FPREM),
    PASS(FPREM1),
    PASS(FRNDINT),
    PASS(FXTRACT),
    PASS(FSCALE),
    /* Comparison. */
    OPERAND(FCOM),
    OPERAND(FCOMP),
    PASS(FCOMPP),
    PASS(FUCOM),
    PASS(FUCOMP),
    PASS(FUCOMPP),
    OPERAND(FICOM),
    OPERAND(FICOMP),
    PASS(FCOMI),
    PASS(FCOMIP),
    PASS(FUCOMI),
    PASS(FUCOMIP),
    PASS(FTST),
    PASS(FXAM),
    /* Transcendental. */
    PASS(FSIN),
    PASS(FCOS),
    PASS(FSINCOS),
    PASS(FPTAN),
    PASS(FPATAN),
    PASS(F2XM1),
    PASS(FYL2X),
    PASS(FYL2XP1),
    /* Control. */
    PASS(FNINIT),
    PASS(FLDCW),
    PASS(FNSTCW),
    PASS(FNCLEX),
    {ZYDIS_MNEMONIC_FLDENV, lift_fldenv},
    {ZYDIS_MNEMONIC_FNSTENV, lift_fnstenv},
    {ZYDIS_MNEMONIC_FRSTOR, lift_fldenv},
    {ZYDIS_MNEMONIC_FNSAVE, lift_fnstenv},
    {ZYDIS_MNEMONIC_FNSTSW, lift_fnstsw},
    PASS(FINCSTP),
    PASS(FDECSTP),
    PASS(FFREE),
    PASS(FFREEP),
    PASS(FNOP),
    PASS(FWAIT),
    {ZYDIS_MNEMONIC_FENI8087_NOP, lift_fnop_8087},
    {ZYDIS_MNEMONIC_FDISI8087_NOP, lift_fnop_8087},
    {ZYDIS_MNEMONIC_FSETPM287_NOP, lift_fnop_8087},
    {0, NULL},
};
