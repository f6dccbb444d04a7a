/* Regions: a unit lifted to one LLVM function, with the jumps inside it.
 *
 * Registers, xmm and flags are SSA values from the region's entry to where it is left; the register file is
 * not touched in between, but for flags, which are there when anybody else runs. So the guest's state is in
 * its place only at the entry and where control leaves, and a region may be used only while nobody can look
 * in between (docs/regions.md).
 *
 * Beside what blocks and stencils name, a region names
 *   exit_XXXXXXXX  the code of guest address XXXXXXXX, outside: jumped to and called;
 *   dispatch       each use is a jump or call of its own through the jump cache;
 *   leave          C is to say what comes next: an interrupt is asked for. Loops look once a turn.
 * An instruction that calls a helper, and one that the lifter does not know, are left to the code outside. */
#ifndef UEMU_FRONTEND_LIFT_REGION_H
#define UEMU_FRONTEND_LIFT_REGION_H

#include "Frontend/discover.h"
#include "Frontend/lift.h"

/* What a region is made from. */
struct lift_region_source {
  struct unit unit;
  /* Of calls that read their own address and nothing else: 1 + the register that gets it, or 1 + GPR_COUNT
   * for none, where it stays on the stack; else 0. */
  uint8_t thunk[UNIT_INSN_LIMIT];
};

/* Lifts the unit, entered at unit.entry, to the function `name` in a lifter of setting LIFT_REGION. */
LLVMValueRef lifter_region(struct lifter *l, const char *name, const struct lift_region_source *source);

#endif
