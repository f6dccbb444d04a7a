/* Flags that the manuals leave undefined, and that are therefore not compared: docs/isafuzz.md. */
#ifndef UEMU_TEST_ISAFUZZ_UNDEFINED_H
#define UEMU_TEST_ISAFUZZ_UNDEFINED_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

/* Bits of EFLAGS. */
enum {
  EFLAG_C = 1 << 0,
  EFLAG_P = 1 << 2,
  EFLAG_A = 1 << 4,
  EFLAG_Z = 1 << 6,
  EFLAG_S = 1 << 7,
  EFLAG_D = 1 << 10,
  EFLAG_O = 1 << 11,
  EFLAGS_ARITHMETIC = EFLAG_C | EFLAG_P | EFLAG_A | EFLAG_Z | EFLAG_S | EFLAG_O,
};

/* What is undefined along a program, instruction by instruction. */
struct flag_track {
  uint32_t undefined; /* perhaps, after what was added so far */
  uint32_t anywhere;  /* perhaps, after some of it */
  uint32_t at_exits;  /* where a transfer may have left the program */
  uint32_t sum;  /* ZydisRegister: where the last instruction to write flags left a sum; 0: it was another */
  bool branched; /* what comes may be skipped, and so defines nothing for sure */
};

/* Adds an instruction. False: it reads a flag that is undefined. */
bool flag_track_add(struct flag_track *track, const ZydisDecodedInstruction *zi,
                    const ZydisDecodedOperand *zo);

/* Prints the table, as docs/isafuzz.md has it. */
void flag_table_print(void);

#endif
