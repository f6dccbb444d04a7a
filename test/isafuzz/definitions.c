/* Finding definitions, and which of them are left out. */
#include "definitions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Exclusions ----------------------------------------------------------------------------------------- */

/* A group of 0 is never run. */
struct exclusion {
  ZydisMnemonic mnemonic;
  unsigned group;
  const char *reason;
};

static const char varies[] = "its result differs from one execution to the next";
static const char kernel[] = "a system call";
static const char hypervisor[] = "answered by the hypervisor, if there is one";
static const char virtualization[] = "#UD or #GP, as the host's virtualization is switched on or not";
static const char not_reported[] = "not reported by the emulator's CPUID, so #UD there";
static const char avx512[] = "AVX-512 is not reported by the emulator's CPUID";
static const char segments[] = "group segments was not asked for";
static const char traps[] = "group traps was not asked for";
static const char transfer16[] = "group transfer16 was not asked for";
static const char vex[] = "group vex was not asked for, or the host has no AVX";
static const char xsave[] =
    "group xsave was not asked for: with AVX-512 the host's area and components are others";

#define M(name) ZYDIS_MNEMONIC_##name
static const struct exclusion exclusions[] = {
    {M(CPUID), 0, "the emulator's is another CPU"},
    {M(RDTSC), 0, varies},
    {M(RDTSCP), 0, varies},
    {M(RDPMC), 0, varies},
    {M(RDRAND), 0, varies},
    {M(RDSEED), 0, varies},
    {M(RDPRU), 0, varies},
    {M(RDPID), 0, varies},
    {M(SYSRET), 0, "#GP on AMD's CPUs, #UD on Intel's"},
    {M(SYSENTER), 0, kernel},
    {M(SYSCALL), 0, kernel},
    {M(VMCALL), 0, hypervisor},
    {M(VMMCALL), 0, hypervisor},
    {M(MONITORX), 0, not_reported},
    {M(MWAITX), 0, not_reported},
    {M(CLZERO), 0, not_reported},
    {M(INVPCID), 0, not_reported},
    {M(MCOMMIT), 0, not_reported},
    {M(POPF), GROUP_TRAPS, traps},
    {M(POPFD), GROUP_TRAPS, traps},
    {M(IRET), GROUP_TRAPS, traps},
    {M(IRETD), GROUP_TRAPS, traps},
    {M(LDS), GROUP_SEGMENTS, segments},
    {M(LES), GROUP_SEGMENTS, segments},
    {M(LFS), GROUP_SEGMENTS, segments},
    {M(LGS), GROUP_SEGMENTS, segments},
    {M(LSS), GROUP_SEGMENTS, segments},
    {M(LAR), GROUP_SEGMENTS, segments},
    {M(LSL), GROUP_SEGMENTS, segments},
    {M(VERR), GROUP_SEGMENTS, segments},
    {M(VERW), GROUP_SEGMENTS, segments},
    {M(XGETBV), 0, "the emulator's XCR0 is without AVX-512"},
    {M(XSAVE), GROUP_XSAVE, xsave},
    {M(XSAVEC), GROUP_XSAVE, xsave},
    {M(XSAVEOPT), 0, "what it need not write is the CPU's choice (SDM vol. 1, 13.9)"},
    {M(XRSTOR), GROUP_XSAVE, xsave},
    {M(XSAVES), GROUP_XSAVE, xsave},
    {M(XRSTORS), GROUP_XSAVE, xsave},
};
#undef M

static bool is_near_transfer(const ZydisDecodedInstruction *zi) {
  return zi->meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR || zi->meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT ||
         zi->mnemonic == ZYDIS_MNEMONIC_RET;
}

/* Loads a selector, or writes through CS. */
static bool touches_segment(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo) {
  for (unsigned i = 0; i < zi->operand_count_visible; i++)
    if (zo[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
        ((zo[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
          ZydisRegisterGetClass(zo[i].reg.value) == ZYDIS_REGCLASS_SEGMENT) ||
         (zo[i].type == ZYDIS_OPERAND_TYPE_MEMORY && zo[i].mem.segment == ZYDIS_REGISTER_CS)))
      return true;
  return false;
}

static bool has_repeat_prefix(const ZydisDecodedInstruction *zi) {
  for (unsigned i = 0; i < zi->raw.prefix_count; i++)
    if (zi->raw.prefixes[i].value == 0xf2 || zi->raw.prefixes[i].value == 0xf3)
      return true;
  return false;
}

enum { PREFETCHES = 0x0d, SYSTEM_CALL = 0x80 };

const char *definitions_reason(unsigned groups, const ZydisDecodedInstruction *zi,
                               const ZydisDecodedOperand *zo) {
  for (size_t i = 0; i < sizeof exclusions / sizeof exclusions[0]; i++)
    if (exclusions[i].mnemonic == zi->mnemonic && !(exclusions[i].group & groups))
      return exclusions[i].reason;
  if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX || zi->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
      zi->meta.isa_ext == ZYDIS_ISA_EXT_AVX512VEX)
    return avx512;
  if (zi->meta.isa_set == ZYDIS_ISA_SET_SVM || zi->meta.isa_set == ZYDIS_ISA_SET_SNP ||
      zi->meta.isa_set == ZYDIS_ISA_SET_AMD_INVLPGB)
    return virtualization;
  bool bmi = zi->meta.isa_set == ZYDIS_ISA_SET_BMI1 || zi->meta.isa_set == ZYDIS_ISA_SET_BMI2;
  if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && !bmi && !(groups & GROUP_VEX))
    return vex;
  if (zi->meta.isa_set == ZYDIS_ISA_SET_GFNI && !(groups & GROUP_VEX))
    return vex;
  if (zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR && !(groups & GROUP_SEGMENTS))
    return segments;
  if (zi->mnemonic == ZYDIS_MNEMONIC_INT && zo[0].imm.value.u == SYSTEM_CALL)
    return kernel;
  if ((zi->mnemonic == ZYDIS_MNEMONIC_VPINSRD || zi->mnemonic == ZYDIS_MNEMONIC_VPEXTRD) && zi->raw.vex.W)
    return "VEX.W of a general register is ignored by Intel's CPUs, #UD on AMD's";
  enum { LARGEST_VALUE = 80 }; /* bits */
  bool is_state = (zi->meta.isa_ext == ZYDIS_ISA_EXT_X87 || zi->mnemonic == ZYDIS_MNEMONIC_FXSAVE ||
                   zi->mnemonic == ZYDIS_MNEMONIC_FXRSTOR) &&
                  zo[0].type == ZYDIS_OPERAND_TYPE_MEMORY && zo[0].size > LARGEST_VALUE;
  bool by_element = zi->mnemonic == ZYDIS_MNEMONIC_VMASKMOVPS || zi->mnemonic == ZYDIS_MNEMONIC_VMASKMOVPD ||
                    zi->mnemonic == ZYDIS_MNEMONIC_VPMASKMOVD || zi->mnemonic == ZYDIS_MNEMONIC_VPMASKMOVQ;
  bool by_fs_or_gs = zi->attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS),
       ten_bytes = false;
  for (unsigned i = 0; i < 2 && i < zi->operand_count; i++)
    ten_bytes |= by_fs_or_gs && zo[i].type == ZYDIS_OPERAND_TYPE_MEMORY && zo[i].size == LARGEST_VALUE;
  if (zi->address_width == 16 && (is_state || by_element || ten_bytes))
    return "a 16-bit address that wraps within a state, or ten bytes by FS or GS, does not in the emulator";
  if ((zi->mnemonic == ZYDIS_MNEMONIC_FNSTENV || zi->mnemonic == ZYDIS_MNEMONIC_FNSAVE) &&
      zi->operand_width == 16)
    return "in 16-bit format FIP is the host's (docs/fpu.md)";
  if ((zi->mnemonic == ZYDIS_MNEMONIC_LOOPE || zi->mnemonic == ZYDIS_MNEMONIC_LOOPNE) &&
      has_repeat_prefix(zi))
    return "AMD's CPUs take the condition from the prefix";
  if (zi->mnemonic == ZYDIS_MNEMONIC_NOP && zi->opcode == PREFETCHES && zi->raw.modrm.mod == 3)
    return "a reserved NOP on Intel's CPUs, #UD on AMD's";
  if (touches_segment(zi, zo) && !(groups & GROUP_SEGMENTS))
    return segments;
  if (is_near_transfer(zi) && zi->operand_width == 16 && !(groups & GROUP_TRANSFER16))
    return transfer16;
  return NULL;
}

/* --- Keys ----------------------------------------------------------------------------------------------- */

static ZydisDecoder decoder;

bool decode(const uint8_t *code, size_t length, ZydisDecodedInstruction *zi, ZydisDecodedOperand *zo) {
  if (decoder.machine_mode != ZYDIS_MACHINE_MODE_LEGACY_32) {
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE); /* no CPU has it any more */
  }
  return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, length, zi, zo));
}

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 29;
}

static uint64_t operand_key(const ZydisDecodedOperand *op) {
  uint64_t key = mix((uint64_t)op->type << 32 | op->encoding, (uint64_t)op->visibility << 32 | op->size);
  key = mix(key, (uint64_t)op->element_type << 32 | op->actions);
  if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
    key = mix(key, ZydisRegisterGetClass(op->reg.value));
    if (op->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
      key = mix(key, op->reg.value);
  }
  return key;
}

static uint64_t definition_key(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo) {
  uint8_t opcode = zi->opcode;
  for (unsigned i = 0; i < zi->operand_count; i++)
    if (zo[i].encoding == ZYDIS_OPERAND_ENCODING_OPCODE)
      opcode &= 0xf8; /* its low bits are a register */
  uint64_t key = mix((uint64_t)zi->mnemonic << 32 | zi->encoding, (uint64_t)zi->opcode_map << 8 | opcode);
  for (unsigned i = 0; i < zi->operand_count; i++)
    key = mix(key, operand_key(&zo[i]));
  return key;
}

static void append(char *text, size_t size, const char *part) {
  size_t used = strlen(text);
  snprintf(text + used, size - used, "%s", part);
}

static void describe(char *text, size_t size, const ZydisDecodedInstruction *zi,
                     const ZydisDecodedOperand *zo) {
  snprintf(text, size, "%s", ZydisMnemonicGetString(zi->mnemonic));
  for (unsigned i = 0; i < zi->operand_count_visible; i++) {
    char part[24] = "?";
    switch (zo[i].type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
      if (zo[i].encoding == ZYDIS_OPERAND_ENCODING_NONE)
        snprintf(part, sizeof part, "%s", ZydisRegisterGetString(zo[i].reg.value));
      else
        snprintf(part, sizeof part, "r%u", zo[i].size);
      break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
      snprintf(part, sizeof part, "m%u", zo[i].size);
      break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
      snprintf(part, sizeof part, "%s%u", zo[i].imm.is_relative ? "rel" : "imm", zo[i].size);
      break;
    default:
      snprintf(part, sizeof part, "far");
    }
    append(text, size, i ? ", " : " ");
    append(text, size, part);
  }
  char opcode[16];
  snprintf(opcode, sizeof opcode, " (%02x)", zi->opcode);
  append(text, size, opcode);
}

/* --- The search ----------------------------------------------------------------------------------------- */

struct found {
  uint64_t key;
  struct encoding encoding;
};

struct search {
  struct found *at;
  size_t count, capacity;
};

size_t encoding_write(const struct encoding *e, uint8_t *code) {
  size_t n = 0;
  for (unsigned i = 0; i < 2; i++)
    if (e->prefix[i])
      code[n++] = e->prefix[i];
  if (e->vex[0]) {
    code[n++] = 0xc4;
    code[n++] = e->vex[0];
    code[n++] = e->vex[1];
  } else if (e->map) {
    code[n++] = 0x0f;
    if (e->map > 1)
      code[n++] = e->map == 2 ? 0x38 : 0x3a;
  }
  code[n++] = e->opcode;
  return n;
}

/* Tries one encoding. False: the ModRM byte has no influence, other values are the same. */
static bool try_encoding(struct search *search, struct encoding *e) {
  uint8_t code[16] = {0};
  size_t at = encoding_write(e, code);
  code[at] = e->modrm;
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  if (!decode(code, sizeof code, &zi, zo))
    return true;
  e->has_modrm = (zi.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
  if (e->has_modrm && zi.raw.modrm.offset != at)
    return true; /* a byte of what was to be the opcode is a prefix */
  if (!e->has_modrm && zi.opcode != e->opcode)
    return false;
  if (search->count == search->capacity) {
    search->capacity = search->capacity ? search->capacity * 2 : 1 << 16;
    search->at = realloc(search->at, search->capacity * sizeof *search->at);
    if (!search->at)
      abort();
  }
  search->at[search->count++] = (struct found){definition_key(&zi, zo), *e};
  return e->has_modrm;
}

/* All register forms; of the memory forms one for each reg field: address forms come later. */
static void try_modrm(struct search *search, struct encoding e) {
  for (unsigned reg = 0; reg < 8; reg++) {
    e.modrm = (uint8_t)(reg << 3 | 3);
    if (!try_encoding(search, &e))
      return;
  }
  for (unsigned modrm = 0xc0; modrm < 0x100; modrm++) {
    e.modrm = (uint8_t)modrm;
    try_encoding(search, &e);
  }
}

static void search_legacy(struct search *search) {
  static const uint8_t prefixes[][2] = {{0}, {0x66}, {0xf2}, {0xf3}, {0x66, 0xf2}, {0x66, 0xf3}, {0x67}};
  for (unsigned map = 0; map < 4; map++)
    for (unsigned p = 0; p < sizeof prefixes / sizeof prefixes[0]; p++)
      for (unsigned opcode = 0; opcode < 256; opcode++) {
        struct encoding e = {.map = (uint8_t)map, .opcode = (uint8_t)opcode};
        memcpy(e.prefix, prefixes[p], 2);
        try_modrm(search, e);
      }
}

/* vvvv is 1111 where it is not used, else a register: 1110 stands for all. */
static void search_vex(struct search *search) {
  for (unsigned map = 1; map < 4; map++)
    for (unsigned low = 0; low < 32; low++) /* W, one bit of vvvv, L, pp */
      for (unsigned opcode = 0; opcode < 256; opcode++) {
        struct encoding e = {.map = (uint8_t)map, .opcode = (uint8_t)opcode};
        e.vex[0] = (uint8_t)(0xe0 | map);
        e.vex[1] = (uint8_t)(0x70 | (low & 16) << 3 | (low & 8) | (low & 7));
        try_modrm(search, e);
      }
}

static int compare_found(const void *a, const void *b) {
  const struct found *x = a, *y = b;
  return x->key != y->key ? (x->key < y->key ? -1 : 1)
                          : memcmp(&x->encoding, &y->encoding, sizeof x->encoding);
}

void definitions_find(struct definitions *d, unsigned groups) {
  struct search search = {0};
  search_legacy(&search);
  search_vex(&search);
  qsort(search.at, search.count, sizeof *search.at, compare_found);
  d->groups = groups;
  d->count = 0;
  d->encoding = calloc(search.count, sizeof *d->encoding);
  d->at = calloc(search.count, sizeof *d->at);
  for (size_t i = 0; i < search.count; i++) {
    d->encoding[i] = search.at[i].encoding;
    if (i == 0 || search.at[i].key != search.at[i - 1].key) {
      uint8_t code[16] = {0};
      code[encoding_write(&d->encoding[i], code)] = d->encoding[i].modrm;
      ZydisDecodedInstruction zi;
      ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
      decode(code, sizeof code, &zi, zo);
      struct definition *definition = &d->at[d->count++];
      definition->key = search.at[i].key;
      definition->mnemonic = zi.mnemonic;
      definition->isa_set = zi.meta.isa_set;
      definition->exclusion = definitions_reason(groups, &zi, zo);
      definition->first_encoding = (uint32_t)i;
      describe(definition->text, sizeof definition->text, &zi, zo);
    }
    d->at[d->count - 1].encoding_count++;
  }
  free(search.at);
}

struct definition *definitions_lookup(const struct definitions *d, const ZydisDecodedInstruction *zi,
                                      const ZydisDecodedOperand *zo) {
  uint64_t key = definition_key(zi, zo);
  size_t low = 0, high = d->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (d->at[middle].key < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low < d->count && d->at[low].key == key ? &d->at[low] : NULL;
}
