/* uemu-llvm --lift: all functions of an i386 program or library as LLVM IR, without running it
 * (docs/lifted-ir.md). */
#ifndef UEMU_LIFT_PROGRAM_H
#define UEMU_LIFT_PROGRAM_H

#include <stdio.h>

struct lift_options {
  const char *program; /* the file */
  const char *output;  /* where the module goes: bitcode if it ends in .bc, else text */
  const char
      *functions; /* only these and what they reach: names of symbols or 0xADDRESSES, by commas; NULL: all */
};

/* Writes the module, and to `report` what is in it. 0; or a negative errno, with one line in `why`. */
int lift_program(const struct lift_options *options, FILE *report, char *why, size_t size);

#endif
