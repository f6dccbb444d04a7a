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
 *   leave          C is to say what comes next: an interrupt is asked for, and one of the region's loops is left.
 * An instruction that calls a helper, and one that the lifter does not know, are left to the code outside. */
#ifndef UEMU_FRONTEND_LIFT_REGION_H
#define UEMU_FRONTEND_LIFT_REGION_H

#include "Frontend/lift.h"
#include "Frontend/region_source.h"

/* The name of the code of a guest address outside; and the address, if it is such a name. */
enum { REGION_EXIT_NAME = sizeof "exit_XXXXXXXX" };
void region_exit_name(char name[REGION_EXIT_NAME], guest_addr eip);
bool region_exit_address(const char *name, guest_addr *eip);

/* Lifts the unit, entered at unit.entry, to the function `name` in a lifter of setting LIFT_REGION. NULL, with
 * l->failure set and nothing left in the module, if the first instruction must be left to the code outside. */
LLVMValueRef lifter_region(struct lifter *l, const char *name, const struct lift_region_source *source);

#endif
