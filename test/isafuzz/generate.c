/* Programs are made instruction by instruction: a definition is drawn, one of the encodings that led to it,
 * and everything that is left open (address forms, displacements, immediates, harmless prefixes). Each
 * definition is as likely as any other, so the rare ones come up.
 *
 * A program assigns each register a role, and the states have a value for each role: so most addresses point
 * into the scratch page, most counts are small, and the others are any number. Branches lead forward,
 * inside the program. An instruction that would read a flag that is undefined there is drawn again. */
#include "generate.h"
#include "paths.h"
#include "undefined.h"

#include <string.h>

uint64_t random_next(struct random *random) {
  uint64_t z = random->state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

uint32_t random_below(struct random *random, uint32_t limit) {
  return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

#define PICK(random, table) ((table)[random_below((random), sizeof(table) / sizeof((table)[0]))])

/* --- Values --------------------------------------------------------------------------------------------- */

static uint32_t interesting32(struct random *random) {
  static const uint32_t corners[] = {0,          1,          2,          3,          0x7f,       0x80,
                                     0xff,       0x100,      0x7fff,     0x8000,     0xffff,     0x10000,
                                     0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 0xffff8000,
                                     0xffffff80, 31,         32};
  switch (random_below(random, 4)) {
  case 0:
    return PICK(random, corners);
  case 1:
    return 1u << random_below(random, 32);
  case 2:
    return random_below(random, 0x10000) >> random_below(random, 16);
  default:
    return (uint32_t)random_next(random);
  }
}

static uint32_t float32(struct random *random) {
  static const uint32_t corners[] = {0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                     0x7fc00000, 0xffc00000, 0x7f800001, 0xff812345, 0x7fabcdef, 0x00000001,
                                     0x807fffff, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f7fffff,
                                     0x3fffffff, 0x4effffff, 0x4f000000, 0xcf000000, 0x4b800000, 0x3f000000};
  switch (random_below(random, 3)) {
  case 0:
    return PICK(random, corners);
  case 1: /* near one */
    return 0x3f000000 + random_below(random, 0x2000000);
  default:
    return (uint32_t)random_next(random);
  }
}

static uint64_t float64(struct random *random) {
  static const uint64_t corners[] = {
      0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
      0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001, 0xfff4567812345678,
      0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0xffefffffffffffff,
      0x3fefffffffffffff, 0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000, 0x43e0000000000000,
      0x4340000000000000, 0x36a0000000000000, 0x380fffffffffffff, 0x47efffffffffffff};
  switch (random_below(random, 3)) {
  case 0:
    return PICK(random, corners);
  case 1:
    return 0x3fe0000000000000u + (random_next(random) >> 9);
  default:
    return random_next(random);
  }
}

/* Sign and exponent, significand: zeros, denormals, pseudo-denormals, unnormals, infinities,
 * pseudo-infinities, NaNs quiet and signalling, pseudo-NaNs (SDM vol. 1, table 8-3). */
static void float80(struct random *random, uint8_t bytes[10]) {
  static const uint16_t exponents[] = {0x0000, 0x0001, 0x3fff, 0x3ffe, 0x4000, 0x401e, 0x403e,
                                       0x3f81, 0x3c01, 0x407e, 0x43fe, 0x7ffe, 0x7fff};
  static const uint64_t significands[] = {
      0x0000000000000000, 0x8000000000000000, 0xc000000000000000, 0x0000000000000001, 0x7fffffffffffffff,
      0xffffffffffffffff, 0x8000000000000001, 0xa000000000000000, 0x4000000000000000, 0xffffff0000000000,
      0xfffffffffffff800, 0x8000008000000000, 0x8000000000000400, 0xc90fdaa22168c235};
  uint16_t exponent = random_chance(random, 60)   ? PICK(random, exponents)
                      : random_chance(random, 70) ? (uint16_t)(0x3fff - 70 + (int)random_below(random, 140))
                                                  : (uint16_t)random_next(random);
  uint64_t significand = random_chance(random, 50) ? PICK(random, significands) : random_next(random);
  if (random_chance(random, 60) && (exponent & 0x7fff) != 0)
    significand |= 1ull << 63;
  exponent = (uint16_t)(exponent ^ random_below(random, 2) << 15);
  memcpy(bytes, &significand, 8);
  memcpy(bytes + 8, &exponent, 2);
}

/* Eight bytes of anything. */
static uint64_t anything64(struct random *random) {
  switch (random_below(random, 5)) {
  case 0:
    return random_next(random);
  case 1:
    return float64(random);
  case 2:
    return float32(random) | (uint64_t)float32(random) << 32;
  case 3:
    return interesting32(random) | (uint64_t)interesting32(random) << 32;
  default: { /* bytes and words at the ends of their ranges */
    static const uint8_t ends[] = {0, 0, 1, 0x7f, 0x80, 0xff, 0xff, 0x81};
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
      value = value << 8 | PICK(random, ends);
    return value;
  }
  }
}

void page_make(struct random *random, uint8_t page[CASE_PAGE]) {
  for (unsigned at = 0; at < CASE_PAGE;) {
    if (random_chance(random, 20) && at + 16 <= CASE_PAGE) {
      float80(random, page + at);
      memset(page + at + 10, 0, 6);
      at += 16;
    } else if (random_chance(random, 10)) { /* an address, for what chases pointers */
      uint32_t pointer = CASE_SCRATCH + random_below(random, CASE_PAGE);
      memcpy(page + at, &pointer, 4);
      memset(page + at + 4, 0, 4);
      at += 8;
    } else {
      uint64_t value = anything64(random);
      memcpy(page + at, &value, 8);
      at += 8;
    }
  }
}

static uint32_t pointer_value(struct random *random) {
  uint32_t in_page = random_below(random, CASE_PAGE / 16) * 16;
  switch (random_below(random, 20)) {
  case 0: /* about the end */
    return CASE_SCRATCH + CASE_PAGE - random_below(random, 20);
  case 1: /* about the beginning */
    return CASE_SCRATCH + random_below(random, 40) - 20;
  case 2:
    return READ_ONLY_ADDRESS + in_page;
  case 3:
    return interesting32(random);
  case 4:
  case 5:
  case 6:
  case 7:
    return CASE_SCRATCH + 0x100 + random_below(random, 0xe00);
  case 8: /* where the program's end is noted */
    return CASE_SCRATCH + EXIT_OFFSET;
  default:
    return CASE_SCRATCH + 0x100 + in_page * 0xe / 16 / 16 * 16;
  }
}

static uint32_t index_value(struct random *random) {
  switch (random_below(random, 8)) {
  case 0:
    return 0u - random_below(random, 40);
  case 1:
    return interesting32(random);
  case 2:
    return random_below(random, 40);
  case 3:
    return random_below(random, 0x400) | random_below(random, 2) << 31;
  default:
    return random_below(random, 16);
  }
}

static void fpu_make(struct random *random, struct fpu_image *fpu) {
  memset(fpu, 0, sizeof *fpu);
  fpu->fcw = 0x37f;
  if (random_chance(random, 50)) /* precision and rounding */
    fpu->fcw = (uint16_t)(0x7f | random_below(random, 16) << 8);
  if (random_chance(random, 15)) /* unmasked exceptions */
    fpu->fcw = (uint16_t)((fpu->fcw & ~63) | random_below(random, 64));
  fpu->fsw = (uint16_t)(random_below(random, 8) << 11);
  if (random_chance(random, 30)) /* condition codes */
    fpu->fsw |= (uint16_t)(random_next(random) & 0x4700);
  if (random_chance(random, 10)) /* exceptions that were, pending ones among them */
    fpu->fsw |= (uint16_t)(random_next(random) & 0x7f);
  fpu->tags = random_chance(random, 60) ? 0xff : random_chance(random, 40) ? 0 : (uint8_t)random_next(random);
  bool mmx = random_chance(random, 25);
  for (int i = 0; i < 8; i++) {
    if (mmx) {
      uint64_t value = anything64(random);
      memcpy(fpu->st[i].bytes, &value, 8);
      fpu->st[i].bytes[8] = fpu->st[i].bytes[9] = 0xff;
    } else {
      float80(random, fpu->st[i].bytes);
    }
  }
  fpu->mxcsr = 0x1f80;
  if (random_chance(random, 50)) /* rounding, flush to zero, denormals are zeros, exceptions that were */
    fpu->mxcsr |= (uint32_t)random_next(random) & 0xe07f;
  if (random_chance(random, 15))
    fpu->mxcsr &= ~((uint32_t)random_next(random) & 0x1f80);
  for (int i = 0; i < 8; i++)
    for (int half = 0; half < 16; half += 8) {
      uint64_t value = anything64(random);
      memcpy(fpu->xmm[i] + half, &value, 8);
    }
}

void state_make(struct random *random, struct job_state *state) {
  fpu_make(random, &state->fpu);
  for (int i = 0; i < 8; i++)
    for (int half = 0; half < 16; half += 8) {
      uint64_t value = anything64(random);
      memcpy(state->ymm_high[i] + half, &value, 8);
    }
  for (int i = 0; i < 8; i++) {
    state->gpr[ROLE_DATA][i] = interesting32(random);
    state->gpr[ROLE_POINTER][i] = pointer_value(random);
    state->gpr[ROLE_INDEX][i] = index_value(random);
  }
  enum { SETTABLE = 0xcd5, ALWAYS = 0x202, DIRECTION = 0x400 };
  state->eflags = ALWAYS | ((uint32_t)random_next(random) & (SETTABLE & ~DIRECTION));
  if (random_chance(random, 20))
    state->eflags |= DIRECTION;
}

/* --- Roles ---------------------------------------------------------------------------------------------- */

static void roles_make(struct random *random, uint8_t role[8]) {
  enum { ECX = 1, ESP = 4 };
  for (unsigned i = 0; i < 8; i++) {
    uint32_t pointer_chance = i >= ESP ? 85 : 15; /* esp, ebp, esi, edi */
    uint32_t index_chance = i == ECX ? 70 : 25;
    role[i] = random_chance(random, pointer_chance) ? ROLE_POINTER
              : random_chance(random, index_chance) ? ROLE_INDEX
              : random_chance(random, 8)            ? ROLE_EXIT
                                                    : ROLE_DATA;
  }
}

/* A register with the role, if there is one. */
static unsigned register_with(struct random *random, const uint8_t roles[8], enum role role) {
  unsigned reg = random_below(random, 8);
  for (unsigned i = 0; i < 8 && roles[reg] != role; i++)
    reg = (reg + 1) & 7;
  return reg;
}

/* --- Instructions --------------------------------------------------------------------------------------- */

struct writer {
  uint8_t code[40];
  size_t length;
};

static void put(struct writer *writer, uint8_t byte) { writer->code[writer->length++] = byte; }

static void put32(struct writer *writer, uint32_t value) {
  memcpy(writer->code + writer->length, &value, 4);
  writer->length += 4;
}

/* ModRM, SIB and displacement of a 32-bit address; relative to a segment that begins at the scratch page, or
 * to none. */
static void put_address32(struct random *random, struct writer *writer, unsigned reg, const uint8_t roles[8],
                          bool segment) {
  enum { NO_BASE = 5, SIB = 4, NO_INDEX = 4 };
  enum role base_role = segment ? ROLE_INDEX : ROLE_POINTER;
  bool sensible = random_chance(random, 90);
  unsigned base = sensible ? register_with(random, roles, base_role) : random_below(random, 8);
  unsigned index = sensible ? register_with(random, roles, ROLE_INDEX) : random_below(random, 8);
  unsigned mod = random_below(random, 3);
  if (random_chance(random, 15)) { /* an address without register */
    put(writer, (uint8_t)(reg << 3 | NO_BASE));
    put32(writer, random_chance(random, 95) ? (segment ? 0 : CASE_SCRATCH) + random_below(random, CASE_PAGE)
                                            : interesting32(random));
    return;
  }
  bool sib = base == SIB || random_chance(random, 35);
  if (mod == 0 && base == NO_BASE)
    mod = 1;
  put(writer, (uint8_t)(mod << 6 | reg << 3 | (sib ? SIB : base)));
  if (sib) {
    if (random_chance(random, 30))
      index = NO_INDEX;
    put(writer, (uint8_t)(random_below(random, 4) << 6 | index << 3 | base));
  }
  if (mod == 1)
    put(writer, (uint8_t)random_next(random));
  else if (mod == 2)
    put32(writer, sensible ? random_below(random, 0x200) - 0x100 : interesting32(random));
}

/* Only reaches memory by a segment that begins at the scratch page. */
static void put_address16(struct random *random, struct writer *writer, unsigned reg) {
  unsigned mod = random_below(random, 3), rm = random_below(random, 8);
  put(writer, (uint8_t)(mod << 6 | reg << 3 | rm));
  uint16_t displacement = (uint16_t)random_below(random, CASE_PAGE);
  if (mod == 1)
    put(writer, (uint8_t)displacement);
  if (mod == 2 || (mod == 0 && rm == 6)) {
    put(writer, (uint8_t)displacement);
    put(writer, (uint8_t)(displacement >> 8));
  }
}

static void put_prefixes(struct random *random, struct writer *writer, const struct encoding *encoding,
                         bool *segment, bool *address16) {
  static const uint8_t segments[] = {0x64, 0x65, 0x2e, 0x36, 0x3e, 0x26};
  enum { LOCK = 0xf0, ADDRESS = 0x67 };
  if (random_chance(random, 8)) {
    uint8_t prefix = PICK(random, segments);
    *segment = prefix <= 0x65 && prefix >= 0x64;
    put(writer, prefix);
  }
  if (random_chance(random, *segment ? 30 : 1)) {
    *address16 = true;
    put(writer, ADDRESS);
  }
  if (random_chance(random, 4))
    put(writer, LOCK);
  for (unsigned i = 0; i < 2; i++)
    if (encoding->prefix[i] && !(encoding->prefix[i] == ADDRESS && *address16))
      put(writer, encoding->prefix[i]);
  if (encoding->prefix[0] == ADDRESS)
    *address16 = true;
}

static void put_opcode(struct random *random, struct writer *writer, const struct encoding *encoding) {
  if (encoding->vex[0]) {
    uint8_t last = encoding->vex[1];
    if (!(last & 8)) /* vvvv is a register */
      last = (uint8_t)((last & ~0x38) | random_below(random, 8) << 3);
    if (encoding->map == 1 && !(last & 0x80) && random_chance(random, 50)) {
      put(writer, 0xc5);
      put(writer, last | 0x80);
    } else {
      put(writer, 0xc4);
      put(writer, encoding->vex[0]);
      put(writer, last);
    }
  } else if (encoding->map) {
    put(writer, 0x0f);
    if (encoding->map > 1)
      put(writer, encoding->map == 2 ? 0x38 : 0x3a);
  }
  put(writer, encoding->opcode);
}

/* Immediates: corners as often as anything. Whatever follows the opcode may be one, so 8 bytes are written.
 */
static void put_immediates(struct random *random, struct writer *writer) {
  put32(writer, interesting32(random));
  put32(writer, interesting32(random));
}

/* One instruction of the definition, into `code`; its length, or 0 if what came out is something else. */
static size_t insn_make(struct random *random, const struct definitions *definitions, const uint8_t roles[8],
                        struct definition *definition, uint8_t *code, ZydisDecodedInstruction *zi,
                        ZydisDecodedOperand *zo) {
  const struct encoding *encoding =
      &definitions->encoding[definition->first_encoding + random_below(random, definition->encoding_count)];
  struct writer writer = {.length = 0};
  bool segment = false, address16 = false;
  put_prefixes(random, &writer, encoding, &segment, &address16);
  put_opcode(random, &writer, encoding);
  if (encoding->has_modrm) {
    unsigned reg = encoding->modrm >> 3 & 7;
    if (encoding->modrm >> 6 == 3)
      put(&writer, encoding->modrm);
    else if (address16)
      put_address16(random, &writer, reg);
    else
      put_address32(random, &writer, reg, roles, segment);
  }
  put_immediates(random, &writer);
  memcpy(code, writer.code, 16);
  if (!decode(code, 15, zi, zo) || definitions_lookup(definitions, zi, zo) != definition)
    return 0;
  return definitions_reason(definitions->groups, zi, zo) ? 0 : zi->length;
}

/* --- Programs ------------------------------------------------------------------------------------------- */

static bool is_relative(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo) {
  return zi->operand_count_visible && zo[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && zo[0].imm.is_relative;
}

/* Points the branches of a finished program forward: at the beginning of a later instruction, or the end. */
static void aim_branches(struct random *random, struct program *program) {
  for (unsigned i = 0; i < program->insn_count; i++) {
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
    unsigned start = program->start[i], next = program->start[i + 1];
    if (!decode(program->code + start, next - start, &zi, zo) || !is_relative(&zi, zo))
      continue;
    unsigned later = i + 1 + random_below(random, program->insn_count - i);
    uint32_t distance = (uint32_t)(program->start[later] - next);
    memcpy(program->code + start + zi.raw.imm[0].offset, &distance, zi.raw.imm[0].size / 8);
  }
}

/* How often an instruction of one definition is tried: some encodings of it may be of another. */
enum { PATIENCE = 100 };

static bool is_wanted(const struct wishes *wishes, const struct definition *definition) {
  bool wanted = wishes->only_count == 0;
  for (size_t i = 0; i < wishes->only_count; i++)
    wanted |= definition->mnemonic == wishes->only[i];
  return wanted && !definition->exclusion;
}

/* The definition whose turn it is, or one at random. */
static struct definition *draw_definition(struct random *random, const struct definitions *definitions,
                                          const struct wishes *wishes, bool in_turn) {
  uint32_t count = (uint32_t)definitions->count, at = random_below(random, count);
  if (in_turn)
    at = (uint32_t)(wishes->turn % count);
  while (!is_wanted(wishes, &definitions->at[at]))
    at = in_turn ? (at + 1) % count : random_below(random, count);
  return &definitions->at[at];
}

static void make_instructions(struct random *random, const struct definitions *definitions,
                              const struct wishes *wishes, unsigned count, struct program *program) {
  unsigned attempts = 0;
  struct flag_track track = {0};
  while (program->insn_count < count) {
    uint8_t code[40];
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
    struct definition *definition =
        draw_definition(random, definitions, wishes, program->insn_count == 0 && attempts++ < PATIENCE);
    size_t length = insn_make(random, definitions, program->role, definition, code, &zi, zo);
    if (!length)
      continue;
    struct flag_track after = track;
    if (!flag_track_add(&after, &zi, zo))
      continue;
    track = after;
    memcpy(program->code + program->length, code, length);
    program->definition[program->insn_count++] = definition;
    program->length = (uint8_t)(program->length + length);
    program->start[program->insn_count] = program->length;
  }
  aim_branches(random, program);
}

void program_make(struct random *random, const struct definitions *definitions, const struct wishes *wishes,
                  struct program *program) {
  enum { LONGEST = 8 };
  unsigned mode;
  do
    mode = 1u << random_below(random, 3);
  while (!(mode & wishes->modes));
  for (;;) {
    *program = (struct program){.random_bytes = mode == MODE_BYTES,
                                .at_page_end = random_chance(random, 3) && !wishes->no_page_end};
    roles_make(random, program->role);
    if (mode == MODE_BYTES) {
      program->at_page_end = random_chance(random, 10) && !wishes->no_page_end;
      program->length = RANDOM_BYTES;
      for (unsigned i = 0; i < RANDOM_BYTES; i++)
        program->code[i] = (uint8_t)random_next(random);
      memset(program->code + RANDOM_BYTES, NOP, NOP_COUNT);
    } else {
      unsigned count = mode == MODE_SINGLE ? 1 : 2 + random_below(random, LONGEST - 1);
      make_instructions(random, definitions, wishes, count, program);
      if (program->at_page_end && random_chance(random, 50)) /* cut the last instruction */
        program->length = (uint8_t)(program->length - random_below(random, 3));
    }
    struct masks masks;
    if (program->length && program_analyse(definitions, program, &masks))
      return;
  }
}

bool program_analyse(const struct definitions *definitions, struct program *program, struct masks *masks) {
  struct flag_track track = {0};
  bool good = true, stores_environment = false;
  program->insn_count = 0;
  for (unsigned at = 0; at < program->length && program->insn_count < INSN_LIMIT;) {
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
    program->start[program->insn_count] = (uint8_t)at;
    program->definition[program->insn_count] = NULL;
    if (decode(program->code + at, program->length - at, &zi, zo)) {
      good &= flag_track_add(&track, &zi, zo);
      stores_environment |= paths_stores_environment(&zi);
      program->definition[program->insn_count] = definitions_lookup(definitions, &zi, zo);
      at += zi.length;
    } else {
      at = program->length;
    }
    program->start[++program->insn_count] = (uint8_t)at;
  }
  *masks = (struct masks){track.undefined | track.at_exits, track.anywhere, stores_environment};
  if (program->random_bytes) {
    struct paths paths = paths_find(definitions, program->code, (size_t)program->length + NOP_COUNT);
    *masks = (struct masks){paths.undefined, paths.undefined, paths.stores_environment};
    good = !paths.excluded && !paths.reads_undefined;
  }
  return good;
}
