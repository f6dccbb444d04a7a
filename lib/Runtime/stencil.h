/* Stencils: precompiled host code for instruction shapes, and libraries of them.
 *
 * A library is one block of memory that can be mapped from anywhere: a header, a hash table from
 * shape to stencil, and the stencils, those expected to be used most first. The build makes the main one
 * (tools/uemu-stencils); shapes it lacks are compiled on demand and kept in the user's cache
 * directory in the same format. All integers are little-endian, sizes and offsets bytes.
 *
 * A stencil's code is position-independent but for its relocations. If it falls through, it does
 * so at its end: the jump to the next stencil has been cut off. */
#ifndef UEMU_RUNTIME_STENCIL_H
#define UEMU_RUNTIME_STENCIL_H

#include "Frontend/shape.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a relocation is filled with. */
enum stencil_symbol {
  STENCIL_DISP,      /* displacement of the first instruction */
  STENCIL_IMM0,      /* immediates of the first instruction */
  STENCIL_IMM1,
  STENCIL_IMM2,      /* immediate of the second of a pair */
  STENCIL_NEGATED,   /* minus STENCIL_IMM0 */
  STENCIL_EIP,       /* address of the first instruction */
  STENCIL_NEXT_EIP,  /* address after the last */
  STENCIL_NEXT,      /* host address after this stencil */
  STENCIL_TAKEN,     /* host address of the branch target */
  STENCIL_CALLEE,    /* host address of a call's target */
  STENCIL_DISPATCH,  /* host address of the dispatcher: go on at eip in r13d */
  STENCIL_MISPAIRED, /* host address of the stub for calls that came back elsewhere */
  STENCIL_LEAVE,     /* host address of the stub that has C say what follows eip in r13d */
  STENCIL_HELPER,    /* the first of HELPER_COUNT helper stubs */
};

/* RELOC_DISP32 is RELOC_ABS32 in a displacement. */
enum stencil_reloc_kind { RELOC_ABS8, RELOC_ABS16, RELOC_ABS32, RELOC_PC32, RELOC_DISP32 };

struct stencil_reloc {
  uint16_t offset;  /* in the code; ascending */
  uint8_t kind : 4; /* enum stencil_reloc_kind */
  /* A 32-bit field that may be one byte long, sign-extended, or a displacement left out if it is 0: how far before
   * it the byte is that says so, the ModRM byte or the opcode. 0: it is always 32 bits. */
  uint8_t back : 4;
  uint8_t symbol;  /* enum stencil_symbol */
  int32_t addend;
};

enum {
  STENCIL_FALLS_THROUGH = 1, /* its end goes on at the next stencil */
  STENCIL_TAIL_DISPATCH = 2, /* its last five bytes are a jump to the dispatcher */
  STENCIL_REFUSED = 4,       /* there is no code: the shape cannot be compiled */
  STENCIL_REX_MAY_GO = 8,    /* the prefix at memory.rex is a REX that nothing needs if it has no bit set */
  STENCIL_NEUTRAL = 16,      /* the host's flags are behind it as they were before */
};

/* The one host instruction whose memory operand is the temporary, (%r14d): its REX prefix, or the second
 * byte of its VEX prefix, and its ModRM byte, as offsets in the code; modrm 0: there is none. The stitcher
 * can put any other address in its place, so one stencil serves all addressing forms of an instruction
 * (translate_pieces.c). */
struct stencil_memory {
  uint16_t rex, modrm;
};

/* A record of a library: this, the relocations, the code; padded to 4 bytes. What the translator
 * reads of a stencil so lies together. */
struct stencil {
  struct shape shape;
  uint16_t size; /* bytes of code */
  uint8_t reloc_count;
  uint8_t flags;
  struct stencil_memory memory;
  struct stencil_reloc reloc[];
};

/* One compiled stencil, before it is in a library. */
struct stencil_code {
  struct shape shape;
  const uint8_t *code;
  const struct stencil_reloc *reloc;
  uint16_t size;
  uint8_t reloc_count;
  uint8_t flags;
  struct stencil_memory memory;
};

enum { STENCIL_BUILD_ID_SIZE = 20 };

struct stencil_library_header {
  char magic[8]; /* "uemustn6" */
  uint8_t build_id[STENCIL_BUILD_ID_SIZE];
  uint32_t total;    /* bytes, header included */
  uint32_t checksum; /* crc32 of everything, with 0 in this place */
  uint32_t stencil_count;
  uint32_t table_size, table_offset;   /* uint32_t each: a record's offset / 4 + 1, under 8 bits of its hash; 0 empty; a power of two */
  uint32_t record_size, record_offset; /* the records, one after the other */
};

/* Is this a whole library of build `id`? `check_sum`: read it all to be sure. */
bool stencil_library_valid(const void *library, size_t size, const uint8_t id[STENCIL_BUILD_ID_SIZE],
                           bool check_sum);

/* NULL if the library has no stencil of that shape. */
const struct stencil *stencil_find(const struct stencil_library_header *library, const struct shape *shape,
                                   uint64_t hash);

static inline const uint8_t *stencil_code_bytes(const struct stencil *stencil) {
  return (const uint8_t *)(stencil->reloc + stencil->reloc_count);
}

/* The record as a struct stencil_code that points into it. */
static inline struct stencil_code stencil_open(const struct stencil *stencil) {
  return (struct stencil_code){.shape = stencil->shape,
                               .code = stencil_code_bytes(stencil),
                               .reloc = stencil->reloc,
                               .size = stencil->size,
                               .reloc_count = stencil->reloc_count,
                               .flags = stencil->flags,
                               .memory = stencil->memory};
}

/* Collects stencils and makes a library of them. One thread at a time. */
struct stencil_collection;
struct stencil_collection *stencil_collection_new(void);
void stencil_collection_free(struct stencil_collection *collection);
/* Copies. False when memory is short. A shape that is already there is kept. */
bool stencil_collection_add(struct stencil_collection *collection, const struct stencil_code *stencil);
/* The stencil points into the collection: good until the next addition. */
const struct stencil *stencil_collection_find(const struct stencil_collection *collection,
                                              const struct shape *shape);
size_t stencil_collection_count(const struct stencil_collection *collection);
/* Lays the library out in memory from malloc; *size gets its size. NULL when memory is short. */
void *stencil_collection_library(const struct stencil_collection *collection,
                                 const uint8_t id[STENCIL_BUILD_ID_SIZE], size_t *size);
/* Adds every stencil of a collection or a library. */
bool stencil_collection_add_collection(struct stencil_collection *collection,
                                       const struct stencil_collection *other);
bool stencil_collection_add_library(struct stencil_collection *collection,
                                    const struct stencil_library_header *library);

#endif
