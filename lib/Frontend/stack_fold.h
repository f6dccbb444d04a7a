/* The deferred stack pointer.
 *
 * Code for i386 moves ESP all the time: pushes of arguments, pops of saved registers, `sub $12,%esp`.
 * Done one by one, each waits for the one before. But most of it is arithmetic on constants, so a
 * translation can leave the register where it is and count along: guest ESP is the register plus an
 * offset known at each instruction. `push %ebx` becomes `mov %ebx,-4(%esp)` and an offset of -4; what
 * follows addresses the stack by so much less. The register catches up (in one addition) where somebody
 * may look: at the end of a block, at a call, at whatever uses ESP otherwise. A fault in between adds the
 * offset of its instruction (unit_insn.stack). */
#ifndef UEMU_FRONTEND_STACK_FOLD_H
#define UEMU_FRONTEND_STACK_FOLD_H

#include "Frontend/insn.h"

enum stack_use {
  STACK_UNUSED,   /* the instruction is as good with the register behind */
  STACK_FOLDED,   /* others do its work, if there is any left to do */
  STACK_REPLACED, /* it gives ESP a new value, and does not need the old one: the offset is zero after it */
  STACK_NEEDED,   /* the register must be right */
};

struct stack_fold {
  struct insn insn[2]; /* in place of the instruction */
  unsigned count;
  int32_t after; /* the offset behind it */
};

enum { STACK_OFFSET_LIMIT = 1 << 14 }; /* offsets stay below, either way */

/* How the instruction goes with guest ESP at the register + `offset`, if `live` flags are read after it.
 * *fold is set for STACK_FOLDED; what is in it has the instruction's address and length. Of several, only the
 * last one changes anything but REGISTER_TEMPORARY. Pure; the offset is in bytes. */
enum stack_use stack_fold(struct stack_fold *fold, const struct insn *insn, uint8_t live, int32_t offset);

#endif
