/* Where code may go whose path is not known: random bytes. */
#ifndef UEMU_TEST_ISAFUZZ_PATHS_H
#define UEMU_TEST_ISAFUZZ_PATHS_H

#include "definitions.h"

enum { PATHS_LIMIT = 256 }; /* bytes of code */

struct paths {
  bool excluded;           /* some way leads to an instruction that programs may not contain */
  bool reads_undefined;    /* some way leads to one that reads a flag that is undefined there */
  uint32_t undefined;      /* flags perhaps undefined somewhere */
  bool stores_environment; /* some way leads to one that paths_stores_environment() */
};

/* fnstenv, fnsave: what they store of the last x87 instruction a switch of processes may have lost. */
bool paths_stores_environment(const ZydisDecodedInstruction *zi);

/* Follows the code from its first byte as far as its own branches lead; `length` at most PATHS_LIMIT. */
struct paths paths_find(const struct definitions *definitions, const uint8_t *code, size_t length);

#endif
