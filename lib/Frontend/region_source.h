/* What a region is made from: for those who have no LLVM, too. */
#ifndef UEMU_FRONTEND_REGION_SOURCE_H
#define UEMU_FRONTEND_REGION_SOURCE_H

#include "Frontend/discover.h"

struct lift_region_source {
  struct unit unit; /* with records, if flags at faults are to be exact */
  bool commits;     /* the register file is exact at each instruction that can fault */
  /* Of calls that read their own address and nothing else: 1 + the register that gets it, or 1 + GPR_COUNT
   * for none, where it stays on the stack; else 0. */
  uint8_t thunk[UNIT_INSN_LIMIT];
};

#endif
