/* Is an x87, MMX, SSE or AVX instruction lifted to itself?
 *
 * Every encoding of the opcode maps is decoded as guest code; those that the lifter implements by
 * the x87, SIMD and AVX tables are lifted and compiled, in one module. The host's code is then decoded
 * again and must hold the same instruction once: the same mnemonic (or one of equal effect, for the
 * moves and logic that are lifted to IR), with the guest's registers in their host registers, the
 * same memory operand in the same size, and the same constants. Beside it there may be only what
 * stores flags, and the jump to the next stencil: no spills, no copies. */
#include "Frontend/lift.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Object.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>

#include <Zydis/Zydis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CASE_LIMIT = 60000 };

struct test_case {
  uint8_t bytes[15];
  uint8_t length;
  const uint8_t *code; /* host */
  size_t code_size;
};

static struct test_case cases[CASE_LIMIT];
static unsigned case_count;
static struct lifter lifter;
static ZydisDecoder guest_decoder, host_decoder;
static unsigned failures;

/* --- Which encodings ----------------------------------------------------------------------------- */

static bool in_table(const struct lift_rule *rules, unsigned mnemonic) {
  for (; rules->mnemonic; rules++)
    if (rules->mnemonic == mnemonic)
      return true;
  return false;
}

static bool is_gather(const struct insn *insn) {
  return insn->form.op[1].kind == OPERAND_MEMORY && insn->form.op[1].vector_index;
}

static bool is_tested(const struct insn *insn) {
  if (insn->form.attributes & (INSN_STRING | INSN_LOCK) ||
      is_gather(insn)) /* a gather's base is computed first */
    return false;
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_MASKMOVQ: /* a loop */
  case ZYDIS_MNEMONIC_MASKMOVDQU:
  case ZYDIS_MNEMONIC_VMASKMOVDQU:
  case ZYDIS_MNEMONIC_FXSAVE: /* helpers */
  case ZYDIS_MNEMONIC_FXRSTOR:
  case ZYDIS_MNEMONIC_XSAVE:
  case ZYDIS_MNEMONIC_XSAVEOPT:
  case ZYDIS_MNEMONIC_XSAVEC:
  case ZYDIS_MNEMONIC_XRSTOR:
  case ZYDIS_MNEMONIC_VZEROALL: /* clears the guest's registers only */
    return false;
  default:
    return in_table(lift_rules_x87, insn->form.mnemonic) || in_table(lift_rules_simd, insn->form.mnemonic) ||
           in_table(lift_rules_avx, insn->form.mnemonic);
  }
}

static void try_encoding(const uint8_t *bytes, unsigned size) {
  struct insn insn;
  if (insn_decode(&insn, bytes, size, 0x1000) != INSN_OK || !is_tested(&insn))
    return;
  assert_true(case_count < CASE_LIMIT);
  struct test_case *test = &cases[case_count];
  memcpy(test->bytes, bytes, insn.length);
  test->length = insn.length;
  char name[16];
  snprintf(name, sizeof name, "case%u", case_count);
  if (!lifter_function(&lifter, name, &insn, 1, insn.flags_changed)) {
    failures++;
    print_error("%s: %s\n", insn_name(&insn.form), lifter.failure);
    return;
  }
  case_count++;
}

/* prefix and opcode, with every kind of operand behind them; for every `step`th register. */
static void try_opcode(const uint8_t *opcode, unsigned opcode_size, unsigned step) {
  uint8_t bytes[16];
  memset(bytes, 0x21, sizeof bytes); /* an immediate, where there is one */
  memcpy(bytes, opcode, opcode_size);
  for (unsigned reg = 0; reg < 8; reg += step) {
    unsigned rm = reg ^ 5;
    bytes[opcode_size] = (uint8_t)(0xC0 | reg << 3 | rm);
    try_encoding(bytes, sizeof bytes);
    bytes[opcode_size] = (uint8_t)(0xC0 | reg << 3 | reg);
    try_encoding(bytes, sizeof bytes);
    bytes[opcode_size] = (uint8_t)(reg << 3 | 6); /* [esi] */
    try_encoding(bytes, sizeof bytes);
    bytes[opcode_size] = (uint8_t)(0x80 | reg << 3 | 4); /* [ebx+edi*4+disp32] */
    bytes[opcode_size + 1] = 0xBB;
    try_encoding(bytes, sizeof bytes);
    memset(bytes + opcode_size, 0x21, sizeof bytes - opcode_size);
  }
}

/* All of the maps that VEX has: 128 and 256 bits, both values of W, with and without a third register. */
static void try_vex(void) {
  enum { VEX3 = 0xC4, MAPS = 3, NO_REGISTER = 15, FORMS = 4 * 2 * 2 };
  for (unsigned map = 1; map <= MAPS; map++)
    for (unsigned form = 0; form < FORMS; form++)
      for (unsigned opcode = 0; opcode < 256; opcode++) {
        static const unsigned third[] = {NO_REGISTER, NO_REGISTER - 2, NO_REGISTER - 5};
        for (unsigned v = 0; v < 3; v++)
          try_opcode((uint8_t[]){VEX3, (uint8_t)(0xE0 | map),
                                 (uint8_t)((form & 8) << 4 | third[v] << 3 | (form & 7)), (uint8_t)opcode},
                     4, 5);
      }
}

static void try_all(void) {
  static const uint8_t prefixes[] = {0, 0x66, 0xF3, 0xF2}, escapes[] = {0, 0x38, 0x3A};
  uint8_t bytes[16];
  memset(bytes, 0x21, sizeof bytes);
  for (unsigned opcode = 0xD8; opcode <= 0xDF; opcode++) {
    try_opcode((uint8_t[]){(uint8_t)opcode}, 1, 1);
    try_opcode((uint8_t[]){0x66, (uint8_t)opcode}, 2, 1);
    bytes[0] = (uint8_t)opcode;
    for (unsigned modrm = 0xC0; modrm <= 0xFF; modrm++) {
      bytes[1] = (uint8_t)modrm;
      try_encoding(bytes, sizeof bytes);
    }
  }
  bytes[0] = 0x9B;
  try_encoding(bytes, sizeof bytes);
  for (unsigned e = 0; e < 3; e++)
    for (unsigned p = 0; p < 4; p++)
      for (unsigned opcode = 0; opcode < 256; opcode++) {
        uint8_t all[4];
        unsigned size = 0;
        if (prefixes[p])
          all[size++] = prefixes[p];
        all[size++] = 0x0F;
        if (escapes[e])
          all[size++] = escapes[e];
        all[size++] = (uint8_t)opcode;
        try_opcode(all, size, 1);
      }
  try_vex();
}

/* --- Compiling ------------------------------------------------------------------------------------- */

static LLVMBinaryRef compile(LLVMModuleRef module) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeX86AsmParser();
  char *error = NULL;
  if (LLVMVerifyModule(module, LLVMReturnStatusAction, &error))
    fail_msg("invalid IR: %s", error);
  LLVMDisposeMessage(error);
  LLVMTargetRef target;
  if (LLVMGetTargetFromTriple(LLVMGetTarget(module), &target, &error))
    fail_msg("%s", error);
  LLVMTargetMachineRef machine =
      LLVMCreateTargetMachine(target, LLVMGetTarget(module), "x86-64", "", LLVMCodeGenLevelDefault,
                              LLVMRelocStatic, LLVMCodeModelDefault);
  LLVMMemoryBufferRef object;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMObjectFile, &error, &object))
    fail_msg("%s", error);
  LLVMDisposeTargetMachine(machine);
  LLVMBinaryRef binary = LLVMCreateBinary(object, NULL, &error);
  if (!binary)
    fail_msg("%s", error);
  return binary;
}

static void find_code(LLVMBinaryRef binary) {
  LLVMSectionIteratorRef section = LLVMObjectFileCopySectionIterator(binary);
  LLVMSymbolIteratorRef symbol = LLVMObjectFileCopySymbolIterator(binary);
  for (; !LLVMObjectFileIsSymbolIteratorAtEnd(binary, symbol); LLVMMoveToNextSymbol(symbol)) {
    const char *name = LLVMGetSymbolName(symbol);
    unsigned number;
    if (sscanf(name, "case%u", &number) != 1 || number >= case_count)
      continue;
    LLVMMoveToContainingSection(section, symbol);
    cases[number].code = (const uint8_t *)LLVMGetSectionContents(section) + LLVMGetSymbolAddress(symbol);
    cases[number].code_size = LLVMGetSymbolSize(symbol);
  }
  LLVMDisposeSectionIterator(section);
  LLVMDisposeSymbolIterator(symbol);
}

/* --- Comparing ------------------------------------------------------------------------------------- */

struct decoded {
  ZydisDecodedInstruction insn;
  ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

/* Mnemonics of equal effect, that LLVM may choose among. */
static ZydisMnemonic representative(ZydisMnemonic mnemonic, bool has_mmx) {
  if (has_mmx)
    return mnemonic;
  switch (mnemonic) {
  case ZYDIS_MNEMONIC_MOVAPD:
  case ZYDIS_MNEMONIC_MOVDQA:
    return ZYDIS_MNEMONIC_MOVAPS;
  case ZYDIS_MNEMONIC_MOVUPD:
  case ZYDIS_MNEMONIC_MOVDQU:
  case ZYDIS_MNEMONIC_LDDQU:
    return ZYDIS_MNEMONIC_MOVUPS;
  case ZYDIS_MNEMONIC_PAND:
  case ZYDIS_MNEMONIC_ANDPD:
    return ZYDIS_MNEMONIC_ANDPS;
  case ZYDIS_MNEMONIC_PANDN:
  case ZYDIS_MNEMONIC_ANDNPD:
    return ZYDIS_MNEMONIC_ANDNPS;
  case ZYDIS_MNEMONIC_POR:
  case ZYDIS_MNEMONIC_ORPD:
    return ZYDIS_MNEMONIC_ORPS;
  case ZYDIS_MNEMONIC_PXOR:
  case ZYDIS_MNEMONIC_XORPD:
    return ZYDIS_MNEMONIC_XORPS;
  default:
    return mnemonic;
  }
}

static bool has_mmx(const struct decoded *d) {
  for (unsigned i = 0; i < d->insn.operand_count_visible; i++)
    if (d->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && d->op[i].reg.value >= ZYDIS_REGISTER_MM0 &&
        d->op[i].reg.value <= ZYDIS_REGISTER_MM7)
      return true;
  return false;
}

static bool same_mnemonic(const struct decoded *guest, const struct decoded *host) {
  ZydisMnemonic a = representative(guest->insn.mnemonic, has_mmx(guest));
  ZydisMnemonic b = representative(host->insn.mnemonic, has_mmx(host));
  if (a == b)
    return true;
  if (a == ZYDIS_MNEMONIC_MOVUPS && b == ZYDIS_MNEMONIC_MOVAPS)
    return host->op[0].type == host->op[1].type; /* between registers they are one */
  /* Stores of the low half of a vector. */
  bool stores = host->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  if (stores && b == ZYDIS_MNEMONIC_MOVLPS)
    return a == ZYDIS_MNEMONIC_MOVSD || (a == ZYDIS_MNEMONIC_MOVQ && !has_mmx(guest));
  if (stores && b == ZYDIS_MNEMONIC_MOVSS)
    return a == ZYDIS_MNEMONIC_MOVD && !has_mmx(guest);
  return false;
}

/* The host register that holds a guest register (docs/guest-abi.md). */
static ZydisRegister host_register(ZydisRegister reg) {
  static const ZydisRegister wide[] = {ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_ECX, ZYDIS_REGISTER_EDX,
                                       ZYDIS_REGISTER_EDI, ZYDIS_REGISTER_ESI, ZYDIS_REGISTER_R8D,
                                       ZYDIS_REGISTER_R9D, ZYDIS_REGISTER_R12D};
  static const ZydisRegister half[] = {ZYDIS_REGISTER_AX,  ZYDIS_REGISTER_CX,  ZYDIS_REGISTER_DX,
                                       ZYDIS_REGISTER_DI,  ZYDIS_REGISTER_SI,  ZYDIS_REGISTER_R8W,
                                       ZYDIS_REGISTER_R9W, ZYDIS_REGISTER_R12W};
  static const ZydisRegister byte[] = {ZYDIS_REGISTER_AL, ZYDIS_REGISTER_CL, ZYDIS_REGISTER_DL,
                                       ZYDIS_REGISTER_DIL};
  if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_EDI)
    return wide[reg - ZYDIS_REGISTER_EAX];
  if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_DI)
    return half[reg - ZYDIS_REGISTER_AX];
  if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
    return byte[reg - ZYDIS_REGISTER_AL];
  return reg; /* xmm, mm, st; ah-bh are moved first */
}

static bool is_high_byte(const ZydisDecodedOperand *op) {
  return op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value >= ZYDIS_REGISTER_AH &&
         op->reg.value <= ZYDIS_REGISTER_BH;
}

static bool same_operand(const ZydisDecodedOperand *guest, const ZydisDecodedOperand *host) {
  if (guest->type != host->type)
    return false;
  switch (guest->type) {
  case ZYDIS_OPERAND_TYPE_REGISTER:
    return is_high_byte(guest) || host_register(guest->reg.value) == host->reg.value;
  case ZYDIS_OPERAND_TYPE_MEMORY:
    return host_register(guest->mem.base) == host->mem.base && guest->size == host->size &&
           host_register(guest->mem.index) == host->mem.index && guest->mem.scale == host->mem.scale &&
           (guest->mem.disp.value != 0) == (bool)host->mem.disp.has_displacement;
  default:
    return guest->imm.value.u == host->imm.value.u;
  }
}

static bool same_register_twice(const struct decoded *d) {
  return d->insn.operand_count_visible == 2 && d->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
         d->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER && d->op[0].reg.value == d->op[1].reg.value;
}

/* All bits zero or all one, whatever was in the register: psubb x, x is xorps x, x. */
static bool same_constant(const struct decoded *guest, const struct decoded *host) {
  if (!same_register_twice(guest) || !same_register_twice(host) ||
      guest->op[0].reg.value != host->op[0].reg.value)
    return false;
  switch (guest->insn.mnemonic) {
  case ZYDIS_MNEMONIC_PCMPEQB:
  case ZYDIS_MNEMONIC_PCMPEQW:
    return host->insn.mnemonic == ZYDIS_MNEMONIC_PCMPEQD;
  case ZYDIS_MNEMONIC_ANDNPS:
  case ZYDIS_MNEMONIC_ANDNPD:
  case ZYDIS_MNEMONIC_PANDN:
  case ZYDIS_MNEMONIC_PSUBB:
  case ZYDIS_MNEMONIC_PSUBW:
  case ZYDIS_MNEMONIC_PSUBD:
  case ZYDIS_MNEMONIC_PSUBQ:
  case ZYDIS_MNEMONIC_PCMPGTB:
  case ZYDIS_MNEMONIC_PCMPGTW:
  case ZYDIS_MNEMONIC_PCMPGTD:
    return host->insn.mnemonic == ZYDIS_MNEMONIC_XORPS;
  default:
    return false;
  }
}

static bool same_instruction(const struct decoded *guest, const struct decoded *host) {
  if (same_constant(guest, host))
    return true;
  if (!same_mnemonic(guest, host))
    return false;
  if (guest->insn.operand_count_visible != host->insn.operand_count_visible)
    return false;
  for (unsigned i = 0; i < guest->insn.operand_count_visible; i++)
    if (!same_operand(&guest->op[i], &host->op[i]))
      return false;
  return true;
}

/* What may stand beside the instruction. */
static bool is_incidental(const struct decoded *host, const struct decoded *guest) {
  bool fcmov = guest->insn.meta.isa_set == ZYDIS_ISA_SET_FCMOV;
  /* A helper corrects what these stored, or notes what they loaded. */
  const ZydisMnemonic mnemonic = guest->insn.mnemonic;
  bool corrected = mnemonic == ZYDIS_MNEMONIC_FNSTENV || mnemonic == ZYDIS_MNEMONIC_FNSAVE ||
                   mnemonic == ZYDIS_MNEMONIC_FLDENV || mnemonic == ZYDIS_MNEMONIC_FRSTOR;
  switch (host->insn.mnemonic) {
  case ZYDIS_MNEMONIC_JMP:
    return true;
  case ZYDIS_MNEMONIC_CALL:
  case ZYDIS_MNEMONIC_LEA:
  case ZYDIS_MNEMONIC_ADD:
    return corrected;
  case ZYDIS_MNEMONIC_SETB:
  case ZYDIS_MNEMONIC_SETZ:
  case ZYDIS_MNEMONIC_SETP:
  case ZYDIS_MNEMONIC_SETS:
  case ZYDIS_MNEMONIC_SETO:
    return guest->insn.cpu_flags->modified != 0 || (fcmov && host->insn.mnemonic == ZYDIS_MNEMONIC_SETZ);
  case ZYDIS_MNEMONIC_MOV:
    return (host->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY && host->op[0].mem.segment == ZYDIS_REGISTER_GS) ||
           corrected || is_high_byte(&guest->op[1]);
  case ZYDIS_MNEMONIC_SHR:
    return is_high_byte(&guest->op[1]);
  case ZYDIS_MNEMONIC_CMP:
  case ZYDIS_MNEMONIC_OR:
  case ZYDIS_MNEMONIC_XOR:
  case ZYDIS_MNEMONIC_TEST:
  case ZYDIS_MNEMONIC_MOVZX:
  case ZYDIS_MNEMONIC_SETNZ:
    return fcmov;
  default:
    return false;
  }
}

static bool decode(const ZydisDecoder *decoder, struct decoded *d, const uint8_t *code, size_t size) {
  return ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, code, size, &d->insn, d->op));
}

static void print_case(const struct test_case *test) {
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  char text[128];
  struct decoded d;
  decode(&guest_decoder, &d, test->bytes, test->length);
  ZydisFormatterFormatInstruction(&formatter, &d.insn, d.op, d.insn.operand_count_visible, text, sizeof text,
                                  0, NULL);
  print_error("%s ->", text);
  for (size_t at = 0; at < test->code_size; at += d.insn.length) {
    if (!decode(&host_decoder, &d, test->code + at, test->code_size - at))
      break;
    ZydisFormatterFormatInstruction(&formatter, &d.insn, d.op, d.insn.operand_count_visible, text,
                                    sizeof text, 0, NULL);
    print_error("  %s;", text);
  }
  print_error("\n");
}

/* movaps x, x; and, or of x with x. */
static bool moves_nothing(const struct decoded *guest) {
  if (!same_register_twice(guest) || has_mmx(guest))
    return false;
  switch (representative(guest->insn.mnemonic, false)) {
  case ZYDIS_MNEMONIC_MOVAPS:
  case ZYDIS_MNEMONIC_MOVUPS:
  case ZYDIS_MNEMONIC_MOVSS:
  case ZYDIS_MNEMONIC_MOVSD:
  case ZYDIS_MNEMONIC_ANDPS:
  case ZYDIS_MNEMONIC_ORPS:
    return true;
  default:
    return false;
  }
}

static bool case_passes(const struct test_case *test) {
  struct decoded guest, host;
  decode(&guest_decoder, &guest, test->bytes, test->length);
  if (guest.insn.meta.isa_set == ZYDIS_ISA_SET_FCMOV)
    guest.insn.mnemonic = ZYDIS_MNEMONIC_FCMOVNE; /* of a condition computed before */
  unsigned matches = 0;
  for (size_t at = 0; at < test->code_size; at += host.insn.length) {
    if (!decode(&host_decoder, &host, test->code + at, test->code_size - at))
      return false;
    if (same_instruction(&guest, &host))
      matches++;
    else if (!is_incidental(&host, &guest))
      return false;
  }
  return matches == 1 || (matches == 0 && moves_nothing(&guest));
}

static void each_encoding_is_lifted_to_itself(void **state) {
  (void)state;
  ZydisDecoderInit(&guest_decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  ZydisDecoderInit(&host_decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  lifter_init(&lifter, LIFT_STENCIL);
  try_all();
  assert_true(case_count > 4000); /* the tables have not become empty */
  LLVMBinaryRef binary = compile(lifter.module);
  find_code(binary);
  for (unsigned i = 0; i < case_count; i++)
    if (!case_passes(&cases[i])) {
      failures++;
      print_case(&cases[i]);
    }
  print_message("%u encodings\n", case_count);
  LLVMDisposeBinary(binary);
  lifter_dispose(&lifter);
  assert_int_equal(failures, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_encoding_is_lifted_to_itself)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
