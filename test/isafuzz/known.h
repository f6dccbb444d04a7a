/* Differences that are known and not reported: docs/isafuzz.md has a reason for each. */
#ifndef UEMU_TEST_ISAFUZZ_KNOWN_H
#define UEMU_TEST_ISAFUZZ_KNOWN_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

/* Parts of a result that are not compared. */
enum known_part {
  KNOWN_ALL = 1 << 0,
  KNOWN_ADDRESS = 1 << 1,   /* of a page fault */
  KNOWN_CODE = 1 << 2,      /* si_code and error code */
  KNOWN_REGISTERS = 1 << 3, /* general registers */
  KNOWN_EIP = 1 << 4,       /* and the address that is the same */
};

/* What not to compare if the CPU raised `trap` at this instruction. */
unsigned known_parts(uint32_t trap, const ZydisDecodedInstruction *zi);

/* From now on everything is compared. */
void known_ignore(void);

void known_table_print(void);

#endif
