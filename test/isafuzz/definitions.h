/* The instruction definitions of Zydis, as far as they exist in 32-bit mode.
 *
 * Zydis' tables are not public, so they are found by decoding: every opcode of every map, under every prefix
 * that selects an instruction, with every ModRM byte that does. What decodes alike (mnemonic, opcode, and the
 * kinds, encodings and sizes of all operands) is one definition; register and memory forms are two. The
 * encodings that led to a definition are kept: programs are made from them. */
#ifndef UEMU_TEST_ISAFUZZ_DEFINITIONS_H
#define UEMU_TEST_ISAFUZZ_DEFINITIONS_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An instruction up to its ModRM byte. */
struct encoding {
  uint8_t prefix[2]; /* 66, f2, f3, 67; 0: none */
  uint8_t vex[2];    /* the bytes after c4; 0: no VEX */
  uint8_t map;       /* 0: one byte; 1: 0f; 2: 0f38; 3: 0f3a */
  uint8_t opcode;
  uint8_t has_modrm, modrm;
};

/* Writes the encoding up to its opcode; its length. */
size_t encoding_write(const struct encoding *e, uint8_t *code);

struct definition {
  uint64_t key;
  ZydisMnemonic mnemonic;
  ZydisISASet isa_set;
  char text[64];         /* "add m32, r32 (01)" */
  const char *exclusion; /* why programs do not contain it; NULL: they do */
  uint32_t first_encoding, encoding_count;
  uint64_t executed; /* how many executions contained it */
};

struct definitions {
  struct definition *at; /* sorted by key */
  size_t count;
  struct encoding *encoding;
  unsigned groups;
};

/* Instructions that programs contain only when asked for. */
enum definition_group {
  GROUP_SEGMENTS = 1 << 0,   /* far transfers; selectors loaded, stored, asked about */
  GROUP_TRAPS = 1 << 1,      /* what sets TF, AC, NT */
  GROUP_TRANSFER16 = 1 << 2, /* near transfers with a 16-bit operand */
  GROUP_VEX = 1 << 3,        /* AVX and all that came with its encoding, but for BMI */
  GROUP_XSAVE = 1 << 4,
};

void definitions_find(struct definitions *definitions, unsigned groups);

/* The definition of a decoded instruction, NULL if there is none. */
struct definition *definitions_lookup(const struct definitions *definitions,
                                      const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo);

/* Why programs may not contain this instruction; NULL: they may. */
const char *definitions_reason(unsigned groups, const ZydisDecodedInstruction *zi,
                               const ZydisDecodedOperand *zo);

/* Decodes for 32-bit mode, all operands. */
bool decode(const uint8_t *code, size_t length, ZydisDecodedInstruction *zi, ZydisDecodedOperand *zo);

#endif
