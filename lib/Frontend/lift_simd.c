/* MMX and SSE up to SSE4.2, AES, PCLMULQDQ and SHA.
 *
 * Nearly all are the host's own instructions (lift_passthrough.c). Moves, logic and integer sums are
 * in IR, for readers of the IR and for optimisation across instructions, where LLVM makes the same
 * single instruction of them. Memory operands of legacy SSE must be 16-byte aligned or fault: their
 * loads and stores say align 16, so that LLVM picks instructions that check. Floating-point
 * arithmetic stays as it is: NaN operands, MXCSR and its exceptions are the host's business.
 *
 * Mnemonics that MMX and SSE share pass MMX operands on to the pass-through. */
#include "Frontend/lift_passthrough.h"
#include "Frontend/lift_support.h"
#include "Runtime/helpers.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

static LLVMTypeRef vector(struct lifter *l, unsigned element_bytes) {
  return LLVMVectorType(lifter_int(l, element_bytes), 16 / element_bytes);
}

static LLVMValueRef element(struct lifter *l, unsigned index) { return lifter_const(l, 4, index); }

/* Operand i, xmm or memory of 16 bytes, as `type`. */
static LLVMValueRef vector_read(struct lifter *l, const struct insn *insn, unsigned i, LLVMTypeRef type,
                                unsigned alignment) {
  if (operand_is(insn, i, OPERAND_XMM))
    return xmm_read(l, insn->form.op[i].reg, type);
  LLVMValueRef load = memory_load(l, type, operand_address(l, insn, i));
  LLVMSetAlignment(load, alignment);
  return load;
}

static bool touches_mmx(const struct insn *insn) {
  return operand_is(insn, 0, OPERAND_MMX) || operand_is(insn, 1, OPERAND_MMX);
}

/* --- Moves ------------------------------------------------------------------------------------ */

static void move_vector(struct lifter *l, const struct insn *insn, unsigned alignment) {
  LLVMValueRef value = vector_read(l, insn, 1, l->xmm_type, alignment);
  if (operand_is(insn, 0, OPERAND_XMM)) {
    xmm_write(l, insn->form.op[0].reg, value);
    return;
  }
  LLVMValueRef store = LLVMBuildStore(l->builder, value, guest_pointer(l, operand_address(l, insn, 0)));
  LLVMSetVolatile(store, true);
  LLVMSetAlignment(store, alignment);
}

static void lift_mov_aligned(struct lifter *l, const struct insn *insn) { move_vector(l, insn, 16); }
static void lift_mov_unaligned(struct lifter *l, const struct insn *insn) { move_vector(l, insn, 1); }

/* movss, movsd, movd, movq: element 0 of a vector of `count`. The other elements become zero, but
 * movss and movsd between xmm registers keep them. */
static void move_scalar(struct lifter *l, const struct insn *insn, LLVMTypeRef scalar, unsigned count,
                        bool keeps_rest) {
  if (operand_is(insn, 0, OPERAND_XMM) && operand_is(insn, 1, OPERAND_MEMORY)) {
    lift_passthrough(l, insn); /* LLVM takes two instructions for a volatile load into a zeroed vector */
    return;
  }
  LLVMTypeRef type = LLVMVectorType(scalar, count);
  LLVMValueRef value;
  if (operand_is(insn, 1, OPERAND_XMM))
    value = LLVMBuildExtractElement(l->builder, xmm_read(l, insn->form.op[1].reg, type), element(l, 0), "");
  else
    value = operand_read(l, insn, 1);

  if (!operand_is(insn, 0, OPERAND_XMM)) {
    if (operand_is(insn, 0, OPERAND_GPR))
      operand_write(l, insn, 0, value);
    else
      memory_store(l, operand_address(l, insn, 0), value);
    return;
  }
  LLVMValueRef rest = LLVMConstNull(type);
  if (keeps_rest && operand_is(insn, 1, OPERAND_XMM))
    rest = xmm_read(l, insn->form.op[0].reg, type);
  xmm_write(l, insn->form.op[0].reg, LLVMBuildInsertElement(l->builder, rest, value, element(l, 0), ""));
}

static void lift_movss(struct lifter *l, const struct insn *insn) {
  move_scalar(l, insn, LLVMFloatTypeInContext(l->context), 4, true);
}

static void lift_movsd(struct lifter *l, const struct insn *insn) {
  move_scalar(l, insn, LLVMDoubleTypeInContext(l->context), 2, true);
}

static void lift_movd(struct lifter *l, const struct insn *insn) {
  if (touches_mmx(insn))
    lift_passthrough(l, insn);
  else
    move_scalar(l, insn, l->i32, 4, false);
}

static void lift_movq(struct lifter *l, const struct insn *insn) {
  if (touches_mmx(insn))
    lift_passthrough(l, insn);
  else
    move_scalar(l, insn, l->i64, 2, false);
}

/* maskmovq, maskmovdqu, vmaskmovdqu: the bytes of operand 0 whose mask byte is negative, to [edi].
 *
 * By the host's own instruction: which bytes fault, and whether any do under a mask of zero, is each CPU's affair. The
 * assembly puts the address where it wants it: edi by the exchanges that string instructions have
 * (lift_string.c); what is more than edi (fs, gs, 16 bits) from r11, and the host's instruction has no address-size prefix then,
 * which tells the fault handler (Runtime/x86_64/signals.c). */
static void masked_store(struct lifter *l, const struct insn *insn, bool is_edi) {
  static const char *const into_place[2] = {"xchgq %rdi, %r11\n", "xchgq %rsi, %r9\nxchgq %rdi, %r12\naddr32 "};
  static const char *const back[2] = {"xchgq %rdi, %r11", "xchgq %rdi, %r12\nxchgq %rsi, %r9"};
  unsigned data = insn->form.op[0].reg, mask = insn->form.op[1].reg, count = is_edi ? 2 : 1;
  LLVMValueRef arguments[4] = {l->gpr[GPR_ESI], l->gpr[GPR_EDI]};
  if (!is_edi)
    arguments[0] = LLVMBuildZExt(l->builder, operand_address(l, insn, 2), l->i64, "");
  char text[160], store[40], inputs[64];
  const bool is_mmx = touches_mmx(insn);
  if (is_mmx)
    snprintf(store, sizeof store, "maskmovq %%mm%u, %%mm%u", mask, data);
  else
    snprintf(store, sizeof store, "maskmovdqu @%u, @%u", count + 1, count);
  snprintf(text, sizeof text, "%s%s\n%s", into_place[is_edi], store, back[is_edi]);
  snprintf(inputs, sizeof inputs, "%s%s,~{memory}", is_edi ? "{r9},{r12}" : "{r11}", is_mmx ? "" : ",x,x");
  if (!is_mmx) {
    arguments[count++] = l->xmm[data];
    arguments[count++] = l->xmm[mask];
  }
  struct host_asm code = {.text = text, .inputs = inputs, .effects = true};
  host_asm(l, &code, arguments, count);
}

void lift_maskmov(struct lifter *l, const struct insn *insn) {
  const unsigned segment = insn->form.op[2].segment;
  if (segment && touches_mmx(insn)) { /* it can be #GP, but the MMX registers are in use by then */
    struct host_asm use = {.text = "movd %mm0, $0", .outputs = "=r", .result = {l->i32}, .effects = true};
    host_asm(l, &use, NULL, 0);
  }
  if (segment == 1 + SEG_CS && !(l->mode & MODE_SEGMENTS)) {
    control_trap(l, HELPER_trap_gp, insn_eip_value(l, insn));
    return;
  }
  masked_store(l, insn, !segment && !(insn->form.attributes & INSN_ADDRESS16));
}

/* --- Logic and integer sums ------------------------------------------------------------------- */

/* A prefetch never faults, so where the base of a segment may not be there it is left out. */
static void lift_prefetch(struct lifter *l, const struct insn *insn) {
  if (!insn->form.op[0].segment)
    lift_passthrough(l, insn);
}

static void lift_vector_logic(struct lifter *l, const struct insn *insn) {
  if (touches_mmx(insn)) {
    lift_passthrough(l, insn);
    return;
  }
  LLVMTypeRef type = vector(l, 8);
  LLVMValueRef a = vector_read(l, insn, 0, type, 16), b = vector_read(l, insn, 1, type, 16), result;
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_PAND:
  case ZYDIS_MNEMONIC_ANDPS:
  case ZYDIS_MNEMONIC_ANDPD:
    result = LLVMBuildAnd(l->builder, a, b, "");
    break;
  case ZYDIS_MNEMONIC_PANDN:
  case ZYDIS_MNEMONIC_ANDNPS:
  case ZYDIS_MNEMONIC_ANDNPD:
    result = LLVMBuildAnd(l->builder, LLVMBuildNot(l->builder, a, ""), b, "");
    break;
  case ZYDIS_MNEMONIC_POR:
  case ZYDIS_MNEMONIC_ORPS:
  case ZYDIS_MNEMONIC_ORPD:
    result = LLVMBuildOr(l->builder, a, b, "");
    break;
  default:
    result = LLVMBuildXor(l->builder, a, b, "");
  }
  xmm_write(l, insn->form.op[0].reg, result);
}

enum vector_operation { VECTOR_ADD, VECTOR_SUB, VECTOR_EQUAL, VECTOR_GREATER };

static void vector_arithmetic(struct lifter *l, const struct insn *insn, unsigned element_bytes,
                              enum vector_operation operation) {
  if (touches_mmx(insn)) {
    lift_passthrough(l, insn);
    return;
  }
  LLVMTypeRef type = vector(l, element_bytes);
  LLVMValueRef a = vector_read(l, insn, 0, type, 16), b = vector_read(l, insn, 1, type, 16), result;
  switch (operation) {
  case VECTOR_ADD:
    result = LLVMBuildAdd(l->builder, a, b, "");
    break;
  case VECTOR_SUB:
    result = LLVMBuildSub(l->builder, a, b, "");
    break;
  case VECTOR_EQUAL:
    result = LLVMBuildSExt(l->builder, LLVMBuildICmp(l->builder, LLVMIntEQ, a, b, ""), type, "");
    break;
  default:
    result = LLVMBuildSExt(l->builder, LLVMBuildICmp(l->builder, LLVMIntSGT, a, b, ""), type, "");
  }
  xmm_write(l, insn->form.op[0].reg, result);
}

#define VECTOR_FAMILY(name, bytes, operation)                                                                \
  static void name(struct lifter *l, const struct insn *insn) {                                              \
    vector_arithmetic(l, insn, bytes, operation);                                                            \
  }
VECTOR_FAMILY(lift_paddb, 1, VECTOR_ADD)
VECTOR_FAMILY(lift_paddw, 2, VECTOR_ADD)
VECTOR_FAMILY(lift_paddd, 4, VECTOR_ADD)
VECTOR_FAMILY(lift_paddq, 8, VECTOR_ADD)
VECTOR_FAMILY(lift_psubb, 1, VECTOR_SUB)
VECTOR_FAMILY(lift_psubw, 2, VECTOR_SUB)
VECTOR_FAMILY(lift_psubd, 4, VECTOR_SUB)
VECTOR_FAMILY(lift_psubq, 8, VECTOR_SUB)
VECTOR_FAMILY(lift_pcmpeqb, 1, VECTOR_EQUAL)
VECTOR_FAMILY(lift_pcmpeqw, 2, VECTOR_EQUAL)
VECTOR_FAMILY(lift_pcmpeqd, 4, VECTOR_EQUAL)
VECTOR_FAMILY(lift_pcmpgtb, 1, VECTOR_GREATER)
VECTOR_FAMILY(lift_pcmpgtw, 2, VECTOR_GREATER)
VECTOR_FAMILY(lift_pcmpgtd, 4, VECTOR_GREATER)

/* --- State ------------------------------------------------------------------------------------ */

/* The 64-bit host's forms of these also move xmm8-15 (docs/fpu.md). */
static void state_image(struct lifter *l, const struct insn *insn, unsigned helper) {
  state_store(l, offsetof(struct cpu_state, helper_argument), operand_address(l, insn, 0));
  control_helper(l, helper, insn_eip_value(l, insn));
}

#define STATE_IMAGE(name)                                                                                    \
  static void lift_##name(struct lifter *l, const struct insn *insn) { state_image(l, insn, HELPER_##name); }
STATE_IMAGE(fxsave)
STATE_IMAGE(fxrstor)
STATE_IMAGE(xsave)
STATE_IMAGE(xsaveopt)
STATE_IMAGE(xsavec)
STATE_IMAGE(xrstor)

/* --- The table -------------------------------------------------------------------------------- */

#define ROW(name, function)                                                                                  \
  { ZYDIS_MNEMONIC_##name, function }
#define PASS(name)                                                                                           \
  { ZYDIS_MNEMONIC_##name, lift_passthrough }
const struct lift_rule lift_rules_simd[] = {
    /* Moves of whole registers. */
    ROW(MOVAPS, lift_mov_aligned),
    ROW(MOVAPD, lift_mov_aligned),
    ROW(MOVDQA, lift_mov_aligned),
    ROW(MOVUPS, lift_mov_unaligned),
    ROW(MOVUPD, lift_mov_unaligned),
    ROW(MOVDQU, lift_mov_unaligned),
    ROW(LDDQU, lift_mov_unaligned),
    PASS(MOVNTPS),
    PASS(MOVNTPD),
    PASS(MOVNTDQ),
    PASS(MOVNTQ),
    PASS(MOVNTDQA),
    PASS(MOVNTI),
    ROW(MASKMOVQ, lift_maskmov),
    ROW(MASKMOVDQU, lift_maskmov),
    /* Moves of parts. */
    ROW(MOVSS, lift_movss),
    ROW(MOVSD, lift_movsd),
    ROW(MOVD, lift_movd),
    ROW(MOVQ, lift_movq),
    PASS(MOVLPS),
    PASS(MOVLPD),
    PASS(MOVHPS),
    PASS(MOVHPD),
    PASS(MOVHLPS),
    PASS(MOVLHPS),
    PASS(MOVDDUP),
    PASS(MOVSHDUP),
    PASS(MOVSLDUP),
    PASS(MOVDQ2Q),
    PASS(MOVQ2DQ),
    PASS(MOVMSKPS),
    PASS(MOVMSKPD),
    PASS(PMOVMSKB),
    PASS(PINSRB),
    PASS(PINSRW),
    PASS(PINSRD),
    PASS(PEXTRB),
    PASS(PEXTRW),
    PASS(PEXTRD),
    PASS(INSERTPS),
    PASS(EXTRACTPS),
    PASS(PMOVSXBW),
    PASS(PMOVSXBD),
    PASS(PMOVSXBQ),
    PASS(PMOVSXWD),
    PASS(PMOVSXWQ),
    PASS(PMOVSXDQ),
    PASS(PMOVZXBW),
    PASS(PMOVZXBD),
    PASS(PMOVZXBQ),
    PASS(PMOVZXWD),
    PASS(PMOVZXWQ),
    PASS(PMOVZXDQ),
    /* Shuffles. */
    PASS(SHUFPS),
    PASS(SHUFPD),
    PASS(UNPCKLPS),
    PASS(UNPCKHPS),
    PASS(UNPCKLPD),
    PASS(UNPCKHPD),
    PASS(PSHUFW),
    PASS(PSHUFD),
    PASS(PSHUFLW),
    PASS(PSHUFHW),
    PASS(PSHUFB),
    PASS(PALIGNR),
    PASS(PUNPCKLBW),
    PASS(PUNPCKLWD),
    PASS(PUNPCKLDQ),
    PASS(PUNPCKLQDQ),
    PASS(PUNPCKHBW),
    PASS(PUNPCKHWD),
    PASS(PUNPCKHDQ),
    PASS(PUNPCKHQDQ),
    PASS(PACKSSWB),
    PASS(PACKSSDW),
    PASS(PACKUSWB),
    PASS(PACKUSDW),
    PASS(BLENDPS),
    PASS(BLENDPD),
    PASS(BLENDVPS),
    PASS(BLENDVPD),
    PASS(PBLENDW),
    PASS(PBLENDVB),
    /* Logic. */
    ROW(ANDPS, lift_vector_logic),
    ROW(ANDPD, lift_vector_logic),
    ROW(PAND, lift_vector_logic),
    ROW(ANDNPS, lift_vector_logic),
    ROW(ANDNPD, lift_vector_logic),
    ROW(PANDN, lift_vector_logic),
    ROW(ORPS, lift_vector_logic),
    ROW(ORPD, lift_vector_logic),
    ROW(POR, lift_vector_logic),
    ROW(XORPS, lift_vector_logic),
    ROW(XORPD, lift_vector_logic),
    ROW(PXOR, lift_vector_logic),
    PASS(PTEST),
    /* Floating-point arithmetic. */
    PASS(ADDPS),
    PASS(ADDPD),
    PASS(ADDSS),
    PASS(ADDSD),
    PASS(SUBPS),
    PASS(SUBPD),
    PASS(SUBSS),
    PASS(SUBSD),
    PASS(MULPS),
    PASS(MULPD),
    PASS(MULSS),
    PASS(MULSD),
    PASS(DIVPS),
    PASS(DIVPD),
    PASS(DIVSS),
    PASS(DIVSD),
    PASS(SQRTPS),
    PASS(SQRTPD),
    PASS(SQRTSS),
    PASS(SQRTSD),
    PASS(MINPS),
    PASS(MINPD),
    PASS(MINSS),
    PASS(MINSD),
    PASS(MAXPS),
    PASS(MAXPD),
    PASS(MAXSS),
    PASS(MAXSD),
    PASS(RCPPS),
    PASS(RCPSS),
    PASS(RSQRTPS),
    PASS(RSQRTSS),
    PASS(ADDSUBPS),
    PASS(ADDSUBPD),
    PASS(HADDPS),
    PASS(HADDPD),
    PASS(HSUBPS),
    PASS(HSUBPD),
    PASS(DPPS),
    PASS(DPPD),
    PASS(ROUNDPS),
    PASS(ROUNDPD),
    PASS(ROUNDSS),
    PASS(ROUNDSD),
    PASS(CMPPS),
    PASS(CMPPD),
    PASS(CMPSS),
    PASS(CMPSD),
    PASS(COMISS),
    PASS(COMISD),
    PASS(UCOMISS),
    PASS(UCOMISD),
    /* Conversions. */
    PASS(CVTPI2PS),
    PASS(CVTPI2PD),
    PASS(CVTPS2PI),
    PASS(CVTPD2PI),
    PASS(CVTTPS2PI),
    PASS(CVTTPD2PI),
    PASS(CVTSI2SS),
    PASS(CVTSI2SD),
    PASS(CVTSS2SI),
    PASS(CVTSD2SI),
    PASS(CVTTSS2SI),
    PASS(CVTTSD2SI),
    PASS(CVTSS2SD),
    PASS(CVTSD2SS),
    PASS(CVTPS2PD),
    PASS(CVTPD2PS),
    PASS(CVTDQ2PS),
    PASS(CVTDQ2PD),
    PASS(CVTPS2DQ),
    PASS(CVTPD2DQ),
    PASS(CVTTPS2DQ),
    PASS(CVTTPD2DQ),
    /* Integer arithmetic. */
    ROW(PADDB, lift_paddb),
    ROW(PADDW, lift_paddw),
    ROW(PADDD, lift_paddd),
    ROW(PADDQ, lift_paddq),
    ROW(PSUBB, lift_psubb),
    ROW(PSUBW, lift_psubw),
    ROW(PSUBD, lift_psubd),
    ROW(PSUBQ, lift_psubq),
    PASS(PADDSB),
    PASS(PADDSW),
    PASS(PADDUSB),
    PASS(PADDUSW),
    PASS(PSUBSB),
    PASS(PSUBSW),
    PASS(PSUBUSB),
    PASS(PSUBUSW),
    PASS(PHADDW),
    PASS(PHADDD),
    PASS(PHADDSW),
    PASS(PHSUBW),
    PASS(PHSUBD),
    PASS(PHSUBSW),
    PASS(PMULLW),
    PASS(PMULHW),
    PASS(PMULHUW),
    PASS(PMULHRSW),
    PASS(PMULLD),
    PASS(PMULUDQ),
    PASS(PMULDQ),
    PASS(PMADDWD),
    PASS(PMADDUBSW),
    PASS(PSADBW),
    PASS(MPSADBW),
    PASS(PHMINPOSUW),
    PASS(PAVGB),
    PASS(PAVGW),
    PASS(PABSB),
    PASS(PABSW),
    PASS(PABSD),
    PASS(PSIGNB),
    PASS(PSIGNW),
    PASS(PSIGND),
    PASS(PMINUB),
    PASS(PMINUW),
    PASS(PMINUD),
    PASS(PMINSB),
    PASS(PMINSW),
    PASS(PMINSD),
    PASS(PMAXUB),
    PASS(PMAXUW),
    PASS(PMAXUD),
    PASS(PMAXSB),
    PASS(PMAXSW),
    PASS(PMAXSD),
    /* Integer comparison. */
    ROW(PCMPEQB, lift_pcmpeqb),
    ROW(PCMPEQW, lift_pcmpeqw),
    ROW(PCMPEQD, lift_pcmpeqd),
    PASS(PCMPEQQ),
    ROW(PCMPGTB, lift_pcmpgtb),
    ROW(PCMPGTW, lift_pcmpgtw),
    ROW(PCMPGTD, lift_pcmpgtd),
    PASS(PCMPGTQ),
    PASS(PCMPISTRI),
    PASS(PCMPISTRM),
    PASS(PCMPESTRI),
    PASS(PCMPESTRM),
    /* Shifts. */
    PASS(PSLLW),
    PASS(PSLLD),
    PASS(PSLLQ),
    PASS(PSLLDQ),
    PASS(PSRLW),
    PASS(PSRLD),
    PASS(PSRLQ),
    PASS(PSRLDQ),
    PASS(PSRAW),
    PASS(PSRAD),
    /* Cryptography and checksums. */
    PASS(AESENC),
    PASS(AESENCLAST),
    PASS(AESDEC),
    PASS(AESDECLAST),
    PASS(AESIMC),
    PASS(AESKEYGENASSIST),
    PASS(PCLMULQDQ),
    PASS(SHA1MSG1),
    PASS(SHA1MSG2),
    PASS(SHA1NEXTE),
    PASS(SHA1RNDS4),
    PASS(SHA256MSG1),
    PASS(SHA256MSG2),
    PASS(SHA256RNDS2),
    PASS(CRC32),
    PASS(GF2P8AFFINEINVQB),
    PASS(GF2P8AFFINEQB),
    PASS(GF2P8MULB),
    /* SSE4a. */
    PASS(EXTRQ),
    PASS(INSERTQ),
    PASS(MOVNTSS),
    PASS(MOVNTSD),
    /* State, caches and order. */
    PASS(EMMS),
    PASS(LDMXCSR),
    PASS(STMXCSR),
    ROW(FXSAVE, lift_fxsave),
    ROW(FXRSTOR, lift_fxrstor),
    ROW(XSAVE, lift_xsave),
    ROW(XSAVEOPT, lift_xsaveopt),
    ROW(XSAVEC, lift_xsavec),
    ROW(XRSTOR, lift_xrstor),
    {ZYDIS_MNEMONIC_PREFETCHNTA, lift_prefetch},
    {ZYDIS_MNEMONIC_PREFETCHT0, lift_prefetch},
    {ZYDIS_MNEMONIC_PREFETCHT1, lift_prefetch},
    {ZYDIS_MNEMONIC_PREFETCHT2, lift_prefetch},
    {ZYDIS_MNEMONIC_PREFETCH, lift_prefetch},
    {ZYDIS_MNEMONIC_PREFETCHW, lift_prefetch},
    {ZYDIS_MNEMONIC_PREFETCHWT1, lift_prefetch},
    PASS(CLFLUSH),
    PASS(CLFLUSHOPT),
    PASS(CLWB),
    PASS(CLDEMOTE),
    PASS(SFENCE),
    PASS(LFENCE),
    PASS(MFENCE),
    {0, NULL},
};
