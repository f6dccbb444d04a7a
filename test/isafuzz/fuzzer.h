/* What the parts of the fuzzer share. */
#ifndef UEMU_TEST_ISAFUZZ_FUZZER_H
#define UEMU_TEST_ISAFUZZ_FUZZER_H

#include "generate.h"
#include "target.h"

struct fuzzer {
  struct definitions definitions;
  struct job *job;
  struct target native, emulated;
};

/* One program with one state: what a failure is shrunk to, and printed as. */
struct fuzz_case {
  struct program program;
  struct masks masks;
  struct machine state;
  uint8_t ymm_high[8][16]; /* which the text of cases does not have */
  bool replayed;           /* asked for: whatever its instructions are */
};

/* --- batch.c: jobs ------------------------------------------------------------------------------------- */

/* Writes the programs' code into the job, and where it begins. `exit`: the runner's exit routine. */
void batch_lay_out(struct job *job, const struct program *programs, unsigned count, uint32_t exit);

/* Executes the job natively, then, but for what did not end there, under the emulator. False: a target does
 * not start. */
bool batch_run(struct fuzzer *fuzzer);

/* --- forms.c -------------------------------------------------------------------------------------------- */

/* Prints the rows of test/guests/checksums.c: those that every CPU has, or the others. */
void forms_print(const struct definitions *definitions, bool basic);

/* --- compare.c ----------------------------------------------------------------------------------------- */

enum { DIFFERENCE_LIMIT = 400 };

/* Compares two results of a program whose code is at `entry`. The text names the fields that differ, and both
 * values. */
bool compare_results(const struct result *native, const struct result *emulated,
                     const struct program *program, uint32_t entry, const struct masks *masks,
                     char text[DIFFERENCE_LIMIT]);

/* --- shrink.c ------------------------------------------------------------------------------------------- */

/* The case of an execution of the job, as it stands. */
void case_of_execution(const struct job *job, const struct program *program, unsigned number, unsigned state,
                       struct fuzz_case *c);

/* Executes one case on both. True: they differ. */
bool case_fails(struct fuzzer *fuzzer, struct fuzz_case *c, char difference[DIFFERENCE_LIMIT]);

/* Leaves out whatever the difference does not need. False: the case alone does not fail. */
bool case_shrink(struct fuzzer *fuzzer, struct fuzz_case *c);

/* Prints the case as test/isa has them, with the CPU's result, and what the emulator made of it. */
void case_print(struct fuzzer *fuzzer, struct fuzz_case *c);

/* Reads "BYTES NAME=VALUE…". */
bool case_parse(struct fuzzer *fuzzer, const char *text, struct fuzz_case *c);

#endif
