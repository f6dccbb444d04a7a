/* Decoding: from bytes, through Zydis, to struct insn. */
#include "Frontend/insn.h"
#include "Frontend/insn_layout.h"
#include "Frontend/isa_features.h"

#include <Zydis/Zydis.h>
#include <cpuid.h>
#include <string.h>

/* Zydis' register numbers run in encoding order within a class. */
static bool register_operand(struct operand *op, ZydisRegister reg) {
  static const struct {
    ZydisRegister first, last;
    uint8_t kind, base;
  } classes[] = {
      {ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_EDI, OPERAND_GPR, 0},
      {ZYDIS_REGISTER_AL, ZYDIS_REGISTER_BH, OPERAND_GPR, 0},
      {ZYDIS_REGISTER_AX, ZYDIS_REGISTER_DI, OPERAND_GPR, 0},
      {ZYDIS_REGISTER_XMM0, ZYDIS_REGISTER_XMM7, OPERAND_XMM, 0},
      {ZYDIS_REGISTER_ST0, ZYDIS_REGISTER_ST7, OPERAND_X87, 0},
      {ZYDIS_REGISTER_MM0, ZYDIS_REGISTER_MM7, OPERAND_MMX, 0},
      {ZYDIS_REGISTER_YMM0, ZYDIS_REGISTER_YMM7, OPERAND_YMM, 0},
      {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_GS, OPERAND_SEGMENT, 0},
  };
  for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
    if (reg >= classes[i].first && reg <= classes[i].last) {
      op->kind = classes[i].kind;
      op->reg = (uint32_t)(reg - classes[i].first);
      return true;
    }
  op->kind = OPERAND_OTHER;
  return false;
}

static uint32_t address_register(ZydisRegister reg) {
  if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_EDI)
    return (uint32_t)(reg - ZYDIS_REGISTER_EAX);
  if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_DI)
    return (uint32_t)(reg - ZYDIS_REGISTER_AX);
  return REGISTER_NONE;
}

/* Gathers: an address for each element of an xmm or ymm register. */
static void vector_index(struct operand *op, ZydisRegister reg) {
  op->vector_index = 1;
  op->hole = reg >= ZYDIS_REGISTER_YMM0;
  op->index = (uint32_t)(reg - (op->hole ? ZYDIS_REGISTER_YMM0 : ZYDIS_REGISTER_XMM0));
}

static void memory_operand(struct operand *op, const ZydisDecodedOperandMem *mem, struct insn *insn, unsigned width,
                           uint32_t mode) {
  op->kind = OPERAND_MEMORY;
  op->reg = address_register(mem->base);
  op->index = address_register(mem->index);
  for (unsigned factor = mem->scale; factor > 1; factor >>= 1)
    op->scale++;
  /* es, cs, ss and ds are flat; the lifter adds the base of fs and gs. */
  const bool is_flat = mem->segment != ZYDIS_REGISTER_FS && mem->segment != ZYDIS_REGISTER_GS;
  if (!is_flat || (mode & MODE_SEGMENTS && mem->segment != ZYDIS_REGISTER_NONE))
    op->segment = 1 + (uint32_t)(mem->segment - ZYDIS_REGISTER_ES);
  bool no_register = op->reg == REGISTER_NONE && op->index == REGISTER_NONE;
  if (mem->disp.has_displacement && (mem->disp.value != 0 || no_register)) {
    op->has_disp = 1;
    insn->disp = (uint32_t)mem->disp.value & (width == 16 && no_register ? 0xFFFF : ~0u);
  } else if (no_register) {
    op->has_disp = 1;
  }
  if (mem->type == ZYDIS_MEMOP_TYPE_VSIB)
    vector_index(op, mem->index);
}

/* Does the address depend on registers? A bit string's does by its offset. */
static bool is_computed(const ZydisDecodedOperandMem *mem, ZydisMnemonic mnemonic) {
  switch (mnemonic) {
  case ZYDIS_MNEMONIC_BT:
  case ZYDIS_MNEMONIC_BTC:
  case ZYDIS_MNEMONIC_BTR:
  case ZYDIS_MNEMONIC_BTS:
    return true;
  default:
    return mem->base != ZYDIS_REGISTER_NONE || mem->index != ZYDIS_REGISTER_NONE;
  }
}

/* Immediates that select an operation, or that no host instruction can take from a hole, are part
 * of the form. */
static bool immediate_is_constant(const ZydisDecodedInstruction *zi) {
  switch (zi->mnemonic) {
  case ZYDIS_MNEMONIC_SHL:
  case ZYDIS_MNEMONIC_SHR:
  case ZYDIS_MNEMONIC_SAR:
  case ZYDIS_MNEMONIC_ROL:
  case ZYDIS_MNEMONIC_ROR:
  case ZYDIS_MNEMONIC_RCL:
  case ZYDIS_MNEMONIC_RCR:
  case ZYDIS_MNEMONIC_SHLD:
  case ZYDIS_MNEMONIC_SHRD:
  case ZYDIS_MNEMONIC_BT:
  case ZYDIS_MNEMONIC_BTS:
  case ZYDIS_MNEMONIC_BTR:
  case ZYDIS_MNEMONIC_BTC:
  case ZYDIS_MNEMONIC_ENTER:
  case ZYDIS_MNEMONIC_AAM:
  case ZYDIS_MNEMONIC_AAD:
  case ZYDIS_MNEMONIC_INT:
    return true;
  default:
    break;
  }
  switch (zi->meta.isa_ext) {
  case ZYDIS_ISA_EXT_BASE:
  case ZYDIS_ISA_EXT_X87:
    return false;
  default:
    return true; /* pshufd, cmpps, roundps … */
  }
}

static void immediate_operand(struct operand *op, const ZydisDecodedOperand *zo, const ZydisDecodedInstruction *zi,
                              struct insn *insn, unsigned *count) {
  uint32_t value = (uint32_t)zo->imm.value.u;
  if (zo->imm.is_relative) {
    op->kind = OPERAND_RELATIVE;
    op->size = 0; /* near and short branches mean the same */
    insn->target = insn->eip + zi->length + value;
    if (zi->operand_width == 16)
      insn->target &= 0xFFFF;
    return;
  }
  unsigned hole = *count < 2 ? (*count)++ : 1;
  op->hole = hole & 1;
  if (immediate_is_constant(zi)) {
    op->kind = OPERAND_CONSTANT;
    insn->form.constant |= (value & 0xFFFF) << 16 * hole;
  } else {
    op->kind = OPERAND_IMMEDIATE;
    insn->imm[hole] = value;
  }
}

static uint8_t flag_mask(uint32_t zydis_flags) {
  return (uint8_t)((zydis_flags & ZYDIS_CPUFLAG_CF ? FLAGS_C : 0) | (zydis_flags & ZYDIS_CPUFLAG_PF ? FLAGS_P : 0) |
                   (zydis_flags & ZYDIS_CPUFLAG_AF ? FLAGS_A : 0) | (zydis_flags & ZYDIS_CPUFLAG_ZF ? FLAGS_Z : 0) |
                   (zydis_flags & ZYDIS_CPUFLAG_SF ? FLAGS_S : 0) | (zydis_flags & ZYDIS_CPUFLAG_OF ? FLAGS_O : 0));
}

/* Does the instruction leave flags alone under conditions that only run time knows? */
static bool flags_are_conditional(const struct insn *insn) {
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_SHL:
  case ZYDIS_MNEMONIC_SHR:
  case ZYDIS_MNEMONIC_SAR:
  case ZYDIS_MNEMONIC_ROL:
  case ZYDIS_MNEMONIC_ROR:
  case ZYDIS_MNEMONIC_RCL:
  case ZYDIS_MNEMONIC_RCR:
    return insn->form.op[1].kind == OPERAND_GPR ||
           (insn->form.op[1].kind == OPERAND_CONSTANT && (insn->form.constant & 31) == 0);
  case ZYDIS_MNEMONIC_SHLD:
  case ZYDIS_MNEMONIC_SHRD:
    return insn->form.op[2].kind == OPERAND_GPR ||
           (insn->form.op[2].kind == OPERAND_CONSTANT && (insn->form.constant & 31) == 0);
  default:
    return (insn->form.attributes & INSN_STRING) && (insn->form.attributes & (INSN_REP | INSN_REPNE));
  }
}

/* Flags that the manual calls undefined after the instruction, and the CPU leaves as they were. (The
 * others are set to something: the lifter's families say to what.) */
static uint8_t undefined_flags_kept(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
  case ZYDIS_MNEMONIC_BT:
  case ZYDIS_MNEMONIC_BTC:
  case ZYDIS_MNEMONIC_BTR:
  case ZYDIS_MNEMONIC_BTS:
    return FLAGS_ALL & ~FLAGS_C;
  case ZYDIS_MNEMONIC_MUL:
  case ZYDIS_MNEMONIC_IMUL:
    return FLAGS_ALL & ~(FLAGS_C | FLAGS_O);
  case ZYDIS_MNEMONIC_DIV:
  case ZYDIS_MNEMONIC_IDIV:
    return FLAGS_C | FLAGS_O;
  case ZYDIS_MNEMONIC_LZCNT:
  case ZYDIS_MNEMONIC_TZCNT:
    return FLAGS_O;
  default:
    return FLAGS_NONE;
  }
}

/* Flags that are cleared, which Zydis 4.0 does not say. */
static uint8_t flags_not_listed(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
  case ZYDIS_MNEMONIC_VPTEST:
  case ZYDIS_MNEMONIC_VTESTPS:
  case ZYDIS_MNEMONIC_VTESTPD:
    return FLAGS_P | FLAGS_A | FLAGS_S | FLAGS_O;
  default:
    return FLAGS_NONE;
  }
}

static void flags_of(struct insn *insn, const ZydisDecodedInstruction *zi) {
  const ZydisAccessedFlags *flags = zi->cpu_flags;
  if (!flags)
    return;
  /* What repe and repne test is the result of their own comparison. */
  insn->flags_read = insn->form.attributes & INSN_STRING ? FLAGS_NONE : flag_mask(flags->tested);
  insn->flags_changed = flag_mask(flags->modified | flags->set_0 | flags->set_1 | flags->undefined);
  insn->flags_changed |= flags_not_listed(zi->mnemonic);
  insn->flags_changed &= (uint8_t)~undefined_flags_kept(zi->mnemonic);
  insn->flags_written = flags_are_conditional(insn) ? 0 : insn->flags_changed;
  insn->flags_undefined = flag_mask(flags->undefined) & (uint8_t)~insn->flags_changed;
}

/* The condition field plus one, by mnemonic; 0 for those without a condition. */
#define CONDITION(cc, number)                                                                                \
  [ZYDIS_MNEMONIC_J##cc] = (number) + 1, [ZYDIS_MNEMONIC_SET##cc] = (number) + 1,                            \
  [ZYDIS_MNEMONIC_CMOV##cc] = (number) + 1
static const uint8_t conditions[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
    CONDITION(O, 0), CONDITION(NO, 1), CONDITION(B, 2), CONDITION(NB, 3),
    CONDITION(Z, 4), CONDITION(NZ, 5), CONDITION(BE, 6), CONDITION(NBE, 7),
    CONDITION(S, 8), CONDITION(NS, 9), CONDITION(P, 10), CONDITION(NP, 11),
    CONDITION(L, 12), CONDITION(NL, 13), CONDITION(LE, 14), CONDITION(NLE, 15),
};

static uint8_t condition_of(ZydisMnemonic mnemonic) { return (uint8_t)(conditions[mnemonic] - 1); }

static uint8_t flow_of(const ZydisDecodedInstruction *zi, const struct insn *insn) {
  bool relative = insn->form.op[0].kind == OPERAND_RELATIVE;
  bool near = zi->meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR || zi->meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT;
  switch (zi->meta.category) {
  case ZYDIS_CATEGORY_COND_BR:
    return FLOW_CONDITIONAL;
  case ZYDIS_CATEGORY_UNCOND_BR:
    return relative ? FLOW_JUMP : near ? FLOW_JUMP_INDIRECT : FLOW_TRAP;
  case ZYDIS_CATEGORY_CALL:
    return relative ? FLOW_CALL : near ? FLOW_CALL_INDIRECT : FLOW_TRAP;
  case ZYDIS_CATEGORY_RET:
    return zi->mnemonic == ZYDIS_MNEMONIC_RET && near ? FLOW_RETURN : FLOW_TRAP;
  default:
    break;
  }
  switch (zi->mnemonic) {
  case ZYDIS_MNEMONIC_UD0:
  case ZYDIS_MNEMONIC_UD1:
  case ZYDIS_MNEMONIC_UD2:
  case ZYDIS_MNEMONIC_HLT:
    return FLOW_TRAP;
  default:
    return FLOW_NEXT;
  }
}

static bool is_string(const ZydisDecodedInstruction *zi) {
  return zi->meta.category == ZYDIS_CATEGORY_STRINGOP || zi->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* Memory operands that are not visible, and can be overridden: by segment and by address size. */
static bool has_implicit_memory(const ZydisDecodedInstruction *zi) {
  return is_string(zi) || zi->mnemonic == ZYDIS_MNEMONIC_XLAT;
}

static uint8_t attributes_of(const ZydisDecodedInstruction *zi) {
  uint8_t attributes = 0;
  if (zi->attributes & ZYDIS_ATTRIB_HAS_LOCK)
    attributes |= INSN_LOCK;
  if (is_string(zi)) {
    attributes |= INSN_STRING;
    if (zi->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
      attributes |= INSN_REP;
    if (zi->attributes & ZYDIS_ATTRIB_HAS_REPNE)
      attributes |= INSN_REPNE;
  }
  if (has_implicit_memory(zi)) {
    if (zi->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
      attributes |= INSN_SEGMENT_FS;
    if (zi->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
      attributes |= INSN_SEGMENT_GS;
  }
  if (zi->attributes & ZYDIS_ATTRIB_HAS_VEX)
    attributes |= INSN_VEX;
  return attributes;
}

/* As ud2, or as hlt, for what is #GP. */
static void make_invalid(struct insn *insn, guest_addr eip, size_t length, bool is_protection) {
  memset(insn, 0, sizeof *insn);
  insn->eip = eip;
  insn->length = (uint8_t)length;
  insn->form.mnemonic = is_protection ? ZYDIS_MNEMONIC_HLT : ZYDIS_MNEMONIC_UD2;
  insn->form.operand_width = 4;
  insn->flow = FLOW_TRAP;
  insn->condition = CONDITION_NONE;
  insn->can_fault = true;
}

/* Instructions without a memory operand that cannot fault. */
static bool is_harmless(const ZydisDecodedInstruction *zi, const struct insn *insn) {
  switch (zi->meta.category) {
  case ZYDIS_CATEGORY_FLAGOP:
    return zi->mnemonic != ZYDIS_MNEMONIC_CLI && zi->mnemonic != ZYDIS_MNEMONIC_STI;
  case ZYDIS_CATEGORY_BINARY:
    return zi->mnemonic != ZYDIS_MNEMONIC_DIV && zi->mnemonic != ZYDIS_MNEMONIC_IDIV;
  case ZYDIS_CATEGORY_DATAXFER:
    /* movd from an MMX register waits for pending x87 exceptions. */
    return insn->form.op[0].kind == OPERAND_GPR && insn->form.op[1].kind != OPERAND_OTHER &&
           insn->form.op[1].kind != OPERAND_MMX;
  case ZYDIS_CATEGORY_COND_BR:
  case ZYDIS_CATEGORY_UNCOND_BR:
    return insn->flow != FLOW_TRAP;
  case ZYDIS_CATEGORY_LOGICAL:
  case ZYDIS_CATEGORY_SHIFT:
  case ZYDIS_CATEGORY_ROTATE:
  case ZYDIS_CATEGORY_CMOV:
  case ZYDIS_CATEGORY_SETCC:
  case ZYDIS_CATEGORY_BITBYTE:
  case ZYDIS_CATEGORY_CONVERT:
  case ZYDIS_CATEGORY_NOP:
  case ZYDIS_CATEGORY_WIDENOP:
    return zi->meta.isa_ext == ZYDIS_ISA_EXT_BASE;
  default:
    return zi->mnemonic == ZYDIS_MNEMONIC_LEA;
  }
}

/* The segment of a string instruction's source and of xlat's table. */
static uint8_t implicit_segment_of(const ZydisDecodedInstruction *zi) {
  static const struct {
    ZydisInstructionAttributes attribute;
    enum segment segment;
  } overrides[] = {{ZYDIS_ATTRIB_HAS_SEGMENT_CS, SEG_CS}, {ZYDIS_ATTRIB_HAS_SEGMENT_SS, SEG_SS},
                   {ZYDIS_ATTRIB_HAS_SEGMENT_ES, SEG_ES}, {ZYDIS_ATTRIB_HAS_SEGMENT_FS, SEG_FS},
                   {ZYDIS_ATTRIB_HAS_SEGMENT_GS, SEG_GS}};
  for (size_t i = 0; i < sizeof overrides / sizeof overrides[0]; i++)
    if (zi->attributes & overrides[i].attribute)
      return (uint8_t)(1 + overrides[i].segment);
  return 1 + SEG_DS;
}

static ZydisDecoder decoder, decoder16;

static bool lock_names_cr8;

__attribute__((constructor)) static void decoder_init(void) {
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  ZydisDecoderInit(&decoder16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
  ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE); /* reserved NOPs, as without MPX */
  ZydisDecoderEnableMode(&decoder16, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
  enum { EXTENDED_FEATURES = 0x80000001, CR8_LEGACY = 1 << 4 };
  unsigned eax, ebx, ecx = 0, edx;
  lock_names_cr8 = __get_cpuid(EXTENDED_FEATURES, &eax, &ebx, &ecx, &edx) && ecx & CR8_LEGACY;
}

/* How many operands a form lists: the visible ones, and what maskmovq and maskmovdqu store to. */
static unsigned operands_listed(const ZydisDecodedInstruction *zi) {
  bool is_masked = zi->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || zi->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
                   zi->mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
  return is_masked ? zi->operand_count : zi->operand_count_visible;
}

/* The value's place, if there is one and reading it there gives `value`. */
static bool place_value(struct value_layout *layout, unsigned offset, unsigned bits, bool is_signed, const uint8_t *bytes,
                        uint32_t value) {
  *layout = (struct value_layout){.offset = (uint8_t)offset, .size = (uint8_t)(bits / 8), .is_signed = is_signed};
  return layout->size <= 4 && insn_value_at(bytes, layout) == value;
}

/* Is the displacement a 16-bit address by itself, which is not sign-extended? */
static bool is_address_alone(const ZydisDecodedInstruction *zi, const struct insn *insn) {
  for (unsigned i = 0; i < 4; i++) {
    const struct operand *op = &insn->form.op[i];
    if (op->kind == OPERAND_MEMORY && (op->reg != REGISTER_NONE || op->index != REGISTER_NONE))
      return false;
  }
  return zi->address_width == 16;
}

static void layout_of(struct insn_layout *layout, const struct insn *insn, const ZydisDecodedInstruction *zi,
                      const uint8_t *bytes) {
  memset(layout, 0, sizeof *layout);
  layout->simple = true;
  layout->last_disp = UINT32_MAX;
  if (zi->raw.disp.size && insn->disp)
    layout->simple &= place_value(&layout->disp, zi->raw.disp.offset, zi->raw.disp.size, !is_address_alone(zi, insn),
                                  bytes, insn->disp);
  for (unsigned i = 0, raw = 0; i < 4; i++) {
    const struct operand *op = &insn->form.op[i];
    if (op->kind == OPERAND_RELATIVE)
      layout->simple &= zi->operand_width != 16 &&
                        place_value(&layout->target, zi->raw.imm[raw].offset, zi->raw.imm[raw].size, true, bytes,
                                    insn->target - insn_next(insn));
    else if (op->kind == OPERAND_IMMEDIATE)
      layout->simple &= place_value(&layout->imm[op->hole], zi->raw.imm[raw].offset, zi->raw.imm[raw].size,
                                    zi->raw.imm[raw].is_signed, bytes, insn->imm[op->hole]);
    else if (op->kind == OPERAND_FAR || op->segment == SEGMENT_BEYOND)
      layout->simple = false;
    else if (op->segment && op->reg == REGISTER_NONE && op->index == REGISTER_NONE &&
             insn_limit_unit(&insn->form, i))
      layout->last_disp = (uint32_t)-insn_limit_unit(&insn->form, i);
    raw += (op->kind == OPERAND_IMMEDIATE || op->kind == OPERAND_CONSTANT || op->kind == OPERAND_RELATIVE) && raw == 0;
  }
}

/* How many bytes ModRM, SIB and displacement take at bytes[at..size); past `size` if they are cut off. */
static size_t modrm_length(const uint8_t *bytes, size_t size, size_t at, bool short_address) {
  enum { DISP_ALONE = 5, DISP16_ALONE = 6, SIB = 4 };
  if (at >= size)
    return 1;
  const unsigned mod = bytes[at] >> 6, rm = bytes[at] & 7;
  if (mod == 3)
    return 1;
  if (short_address)
    return 1u + (mod == 1 ? 1 : mod == 2 || rm == DISP16_ALONE ? 2 : 0);
  const bool sib = rm == SIB, alone = mod == 0 && (sib ? at + 1 < size && (bytes[at + 1] & 7) == DISP_ALONE : rm == DISP_ALONE);
  return 1u + sib + (mod == 1 ? 1 : mod == 2 || alone ? 4 : 0);
}

/* --- Instructions that are none -------------------------------------------------------------------
 * They have a length, too, by the map that their opcode is in: the CPU fetches all of it before it finds that there
 * is no such instruction, as shows at a page's end. Measured on AMD's CPUs, for all opcodes of all maps. */

static const uint8_t prefix_bytes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3};

enum undefined_kind {
  UNDEFINED_NEVER,     /* not known to be one */
  UNDEFINED_PERHAPS,   /* if Zydis says so */
  UNDEFINED_CERTAINLY, /* whatever Zydis says */
};

/* Opcodes of the map behind 0f that have no ModRM byte, there or behind VEX. */
static bool has_modrm(uint8_t opcode) {
  static const uint8_t without[][2] = {{0x04, 0x0C}, {0x0E, 0x0E}, {0x24, 0x27}, {0x30, 0x3F}, {0x77, 0x77}, {0x7A, 0x7B},
                                       {0x80, 0x8F}, {0xA0, 0xA2}, {0xA6, 0xAA}, {0xB9, 0xB9}, {0xC8, 0xCF}, {0xFF, 0xFF}};
  for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
    if (opcode >= without[i][0] && opcode <= without[i][1])
      return false;
  return true;
}

/* Moves to and from control and debug registers: mod is taken to be 3. */
static bool has_register_only(uint8_t opcode) { return (opcode & 0xFC) == 0x20; }

/* Bytes of the immediate behind an opcode of that map. */
static unsigned immediate_length(uint8_t opcode) {
  static const uint8_t bytes[] = {0x0F, 0x70, 0x71, 0x72, 0x73, 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6};
  enum { EXTRQ = 0x78 };
  return memchr(bytes, opcode, sizeof bytes) ? 1 : opcode == EXTRQ ? 2 : (opcode & 0xF0) == 0x80 ? 4 : 0;
}

/* The same of opcodes without an escape, of which some forms are undefined: *immediate gets its bytes. */
static bool is_undefined_group(uint8_t opcode, unsigned operand_width, unsigned *immediate) {
  static const uint8_t groups[] = {0xC6, 0xC7, 0xD9, 0xDB, 0xDD, 0xFE, 0xFF};
  *immediate = opcode == 0xC6 ? 1 : opcode == 0xC7 ? operand_width : 0;
  return memchr(groups, opcode, sizeof groups);
}

/* What may be undefined at `bytes`; *cut: there are fewer bytes than it has. */
static enum undefined_kind undefined_at(const uint8_t *bytes, size_t size, bool is_short, bool *cut) {
  enum { OPERAND_SIZE = 0x66, ADDRESS_SIZE = 0x67, ESCAPE = 0x0F, VEX3 = 0xC4, VEX2 = 0xC5, XOP = 0x8F, REGISTER = 0xC0 };
  enum { XOP_NO_POP = 0x38, XOP_WITH_IMMEDIATE = 10 };
  bool short_address = is_short, short_operand = is_short;
  size_t at = 0;
  for (; at < size && memchr(prefix_bytes, bytes[at], sizeof prefix_bytes); at++) {
    short_address = bytes[at] == ADDRESS_SIZE ? !is_short : short_address;
    short_operand = bytes[at] == OPERAND_SIZE ? !is_short : short_operand;
  }
  if (at + 1 >= size)
    return UNDEFINED_NEVER;
  const uint8_t first = bytes[at], second = bytes[at + 1];
  unsigned map, immediate = 0; /* map 0: no map that Zydis knows */
  bool exists = true;
  if (first == ESCAPE) {
    map = second == 0x38 ? 2 : second == 0x3A ? 3 : 1;
    at += map == 1 ? 1 : 2;
    exists = map != 1 || (second != 0xA6 && second != 0xA7 && second != 0xB9 && second != 0xFF);
  } else if ((first == VEX3 || first == VEX2) && second >= REGISTER) {
    map = first == VEX2 ? 1 : second & 31;
    exists = map >= 1 && map <= 3;
    at += first == VEX2 ? 2 : 3;
  } else if (first == XOP && second & XOP_NO_POP) {
    map = 0;
    immediate = (second & 31) == XOP_WITH_IMMEDIATE ? 4 : 0;
    exists = false;
    at += 3;
  } else if (is_undefined_group(first, short_operand ? 2 : 4, &immediate)) {
    map = 0;
  } else {
    return UNDEFINED_NEVER;
  }
  *cut = true;
  if (at < size) {
    size_t modrm = modrm_length(bytes, size, at + 1, short_address);
    if (map == 1) {
      modrm = !has_modrm(bytes[at]) ? 0 : has_register_only(bytes[at]) ? 1 : modrm;
      immediate = immediate_length(bytes[at]);
    } else if (map == 3) {
      immediate = 1;
    }
    *cut = at + 1 + modrm + immediate > size;
  }
  return exists ? UNDEFINED_PERHAPS : UNDEFINED_CERTAINLY;
}

/* `lock mov cr0` is `mov cr8` on AMD's CPUs, so it is refused as that is. */
static bool is_move_of_cr8(const uint8_t *bytes, size_t size) {
  enum { LOCK = 0xF0, ESCAPE = 0x0F, FROM = 0x20, TO = 0x22, WHICH = 0x38 };
  size_t at = 0;
  bool locked = false;
  for (; at < size && memchr(prefix_bytes, bytes[at], sizeof prefix_bytes); at++)
    locked |= bytes[at] == LOCK;
  return lock_names_cr8 && locked && at + 2 < size && bytes[at] == ESCAPE && (bytes[at + 1] == FROM || bytes[at + 1] == TO) &&
         (bytes[at + 2] & WHICH) == 0;
}

/* Instructions that the kernel emulates (UMIP), without a look at segments, and arpl. */
static bool may_write_code(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
  case ZYDIS_MNEMONIC_SGDT:
  case ZYDIS_MNEMONIC_SIDT:
  case ZYDIS_MNEMONIC_SLDT:
  case ZYDIS_MNEMONIC_SMSW:
  case ZYDIS_MNEMONIC_STR:
  case ZYDIS_MNEMONIC_ARPL: /* writes only what it changes */
    return true;
  default:
    return false;
  }
}

static bool accesses_operand(const ZydisDecodedInstruction *zi) {
  return zi->mnemonic != ZYDIS_MNEMONIC_UD0 && zi->mnemonic != ZYDIS_MNEMONIC_UD1 &&
         zi->meta.category != ZYDIS_CATEGORY_PREFETCH && zi->meta.category != ZYDIS_CATEGORY_NOP &&
         zi->meta.category != ZYDIS_CATEGORY_WIDENOP && zi->meta.isa_set != ZYDIS_ISA_SET_MPX &&
         !isa_set_left_out(zi->meta.isa_set);
}

/* Does an operand in FS or GS, to be accessed in units of so many bytes, go beyond the segment's end wherever
 * registers point? */
static bool goes_beyond_limit(const ZydisDecodedInstruction *zi, const ZydisDecodedOperandMem *mem,
                              unsigned unit) {
  return mem->type == ZYDIS_MEMOP_TYPE_MEM && !is_computed(mem, zi->mnemonic) && zi->address_width == 32 &&
         unit > 1 && (uint32_t)mem->disp.value > (uint32_t)-unit;
}

static enum insn_status decode(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip, uint32_t mode,
                               struct insn_layout *layout) {
  const ZydisDecoder *by = mode & MODE_CODE16 ? &decoder16 : &decoder;
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  ZydisDecoderContext context;
  ZyanStatus status = ZydisDecoderDecodeInstruction(by, &context, bytes, size, &zi);
  /* vmread shares its opcode with extrq, and has the length of that. */
  if ((!ZYAN_SUCCESS(status) || zi.mnemonic == ZYDIS_MNEMONIC_VMREAD) && status != ZYDIS_STATUS_INSTRUCTION_TOO_LONG) {
    const bool is_whole = size >= ZYDIS_MAX_INSTRUCTION_LENGTH;
    bool cut = false;
    const enum undefined_kind undefined =
        undefined_at(bytes, is_whole ? ZYDIS_MAX_INSTRUCTION_LENGTH : size, mode & MODE_CODE16, &cut);
    const bool is_known = undefined == UNDEFINED_CERTAINLY ||
                          (undefined == UNDEFINED_PERHAPS && status != ZYDIS_STATUS_NO_MORE_DATA);
    const bool is_cut = is_known ? cut : status == ZYDIS_STATUS_NO_MORE_DATA;
    if (is_cut && !is_whole)
      return INSN_TRUNCATED;
    if (is_known)
      status = is_cut ? ZYDIS_STATUS_INSTRUCTION_TOO_LONG : ZYDIS_STATUS_DECODING_ERROR;
  }
  unsigned listed = ZYAN_SUCCESS(status) ? operands_listed(&zi) : 0;
  /* AVX-512 shares mnemonics with AVX, but is not implemented. */
  bool is_evex = ZYAN_SUCCESS(status) && zi.attributes & (ZYDIS_ATTRIB_HAS_EVEX | ZYDIS_ATTRIB_HAS_MVEX);
  const bool is_missing = ZYAN_SUCCESS(status) && isa_is_excluded(zi.meta.isa_set, zi.mnemonic);
  if (!ZYAN_SUCCESS(status) || listed > 4 || is_evex || is_missing ||
      !ZYAN_SUCCESS(ZydisDecoderDecodeOperands(by, &context, &zi, zo, (ZyanU8)listed))) {
    /* More than 15 bytes are #GP, whatever they would be. */
    make_invalid(insn, eip, 1,
                 status == ZYDIS_STATUS_NO_MORE_DATA || status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ||
                     is_move_of_cr8(bytes, size));
    return INSN_INVALID;
  }

  memset(insn, 0, sizeof *insn);
  insn->eip = eip;
  insn->length = zi.length;
  insn->form.mnemonic = (uint16_t)zi.mnemonic;
  insn->form.attributes = attributes_of(&zi);
  insn->form.operand_width = (uint8_t)(zi.operand_width / 8);
  insn->accesses = accesses_operand(&zi);
  bool memory = false, computed = false; /* computed: an address is, of registers */
  unsigned immediates = 0;
  for (unsigned i = 0; i < listed; i++) {
    struct operand *op = &insn->form.op[i];
    op->size = zo[i].size / 8;
    op->read = (zo[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
    op->written = (zo[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    switch (zo[i].type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
      register_operand(op, zo[i].reg.value);
      break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
      memory_operand(op, &zo[i].mem, insn, zi.address_width, mode);
      computed |= is_computed(&zo[i].mem, zi.mnemonic);
      memory |= zo[i].mem.type != ZYDIS_MEMOP_TYPE_AGEN;
      if (op->segment && insn->accesses && !(mode & MODE_SEGMENTS) &&
          goes_beyond_limit(&zi, &zo[i].mem, insn_limit_unit(&insn->form, i)))
        op->segment = SEGMENT_BEYOND;
      if (zo[i].mem.segment == ZYDIS_REGISTER_CS && zi.meta.isa_ext == ZYDIS_ISA_EXT_X87)
        op->segment = 1 + SEG_CS; /* which the FPU remembers */
      if (zo[i].mem.segment != ZYDIS_REGISTER_CS || !op->written || mode & MODE_SEGMENTS || may_write_code(zi.mnemonic))
        break;
      if (zi.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ) { /* the lifter does the rest */
        op->segment = 1 + SEG_CS;
        break;
      }
      make_invalid(insn, eip, zi.length, true); /* nobody writes through CS */
      memset(layout, 0, sizeof *layout);
      return INSN_OK;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
      immediate_operand(op, &zo[i], &zi, insn, &immediates);
      break;
    case ZYDIS_OPERAND_TYPE_POINTER:
      op->kind = OPERAND_FAR;
      insn->imm[0] = zo[i].ptr.offset;
      insn->imm[1] = zo[i].ptr.segment;
      break;
    default:
      op->kind = OPERAND_OTHER;
    }
  }
  if (zi.address_width == 16 &&
      (computed || has_implicit_memory(&zi) || zi.meta.category == ZYDIS_CATEGORY_COND_BR))
    insn->form.attributes |= INSN_ADDRESS16;
  /* A far return is another form than a near one. */
  if (zi.mnemonic == ZYDIS_MNEMONIC_RET && zi.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
    insn->form.op[1].kind = OPERAND_FAR;
  if (mode & MODE_SEGMENTS && has_implicit_memory(&zi))
    insn->segment = implicit_segment_of(&zi);
  insn->condition = condition_of(zi.mnemonic);
  insn->flow = flow_of(&zi, insn);
  flags_of(insn, &zi);
  insn->can_fault = memory || !is_harmless(&zi, insn) || isa_set_left_out(zi.meta.isa_set);
  layout_of(layout, insn, &zi, bytes);
  return INSN_OK;
}

enum insn_status insn_decode(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip) {
  struct insn_layout layout;
  return insn_decode_layout(insn, bytes, size, eip, &layout);
}

enum insn_status insn_decode_layout(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip,
                                    struct insn_layout *layout) {
  return decode(insn, bytes, size, eip, 0, layout);
}

enum insn_status insn_decode_mode(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip, uint32_t mode) {
  struct insn_layout layout;
  return decode(insn, bytes, size, eip, mode, &layout);
}

/* CPUs without them take lzcnt and tzcnt for bsr and bsf, with a prefix that means nothing. */
void insn_decode_without(bool lzcnt, bool tzcnt) {
  ZydisDecoder *const all[] = {&decoder, &decoder16};
  for (unsigned i = 0; i < 2; i++) {
    if (lzcnt)
      ZydisDecoderEnableMode(all[i], ZYDIS_DECODER_MODE_LZCNT, ZYAN_FALSE);
    if (tzcnt)
      ZydisDecoderEnableMode(all[i], ZYDIS_DECODER_MODE_TZCNT, ZYAN_FALSE);
  }
}

void insn_make_protected(struct insn *insn, guest_addr eip) { make_invalid(insn, eip, 1, true); }

const char *insn_name(const struct insn_form *form) {
  const char *name = ZydisMnemonicGetString((ZydisMnemonic)form->mnemonic);
  return name ? name : "?";
}
