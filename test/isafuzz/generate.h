/* Programs and states, made at random from a seed. */
#ifndef UEMU_TEST_ISAFUZZ_GENERATE_H
#define UEMU_TEST_ISAFUZZ_GENERATE_H

#include "definitions.h"
#include "protocol.h"

/* A small random number generator (splitmix64), so that a seed means the same everywhere. */
struct random {
  uint64_t state;
};
uint64_t random_next(struct random *random);
uint32_t random_below(struct random *random, uint32_t limit);
static inline bool random_chance(struct random *random, uint32_t percent) {
  return random_below(random, 100) < percent;
}

enum { CODE_LIMIT = 128, INSN_LIMIT = 24, RANDOM_BYTES = 64 };
/* So many NOPs follow random bytes, so that an instruction that they leave unfinished is one that was looked
 * at. */
enum { NOP = 0x90, NOP_COUNT = 15 };

struct program {
  uint8_t code[CODE_LIMIT];
  uint8_t length;
  bool random_bytes; /* not made of known instructions */
  bool at_page_end;  /* the last bytes before an unmapped page; nothing ends it but a fault */
  uint8_t insn_count;
  uint8_t start[INSN_LIMIT + 1];             /* of each instruction, and the end */
  struct definition *definition[INSN_LIMIT]; /* NULL in random bytes: unknown */
  uint8_t role[8];                           /* enum role, by register */
};

/* Flags that are not compared: if the program reached its end, and if it did not. */
struct masks {
  uint32_t at_end, anywhere;
  bool stores_environment; /* of the x87: fnstenv, fnsave */
};

enum generate_mode { MODE_SINGLE = 1 << 0, MODE_SEQUENCE = 1 << 1, MODE_BYTES = 1 << 2 };

/* What programs are made of. */
struct wishes {
  unsigned modes;            /* enum generate_mode */
  const ZydisMnemonic *only; /* if there are any: only these */
  size_t only_count;
  bool no_page_end; /* there is no page left that a program could lie at the end of */
  uint64_t turn;    /* counts programs: each definition has its turn to come first in one */
};

void program_make(struct random *random, const struct definitions *definitions, const struct wishes *wishes,
                  struct program *program);

/* Splits the code into instructions (as far as it decodes), finds their definitions and the flags that are
 * undefined after them. False: an instruction reads an undefined flag. */
bool program_analyse(const struct definitions *definitions, struct program *program, struct masks *masks);

void state_make(struct random *random, struct job_state *state);
void page_make(struct random *random, uint8_t page[CASE_PAGE]);

#endif
