/* Instructions that are the host's own: x87, MMX and SSE. The idea is in lift_passthrough.c. */
#ifndef UEMU_FRONTEND_LIFT_PASSTHROUGH_H
#define UEMU_FRONTEND_LIFT_PASSTHROUGH_H

#include "Frontend/lift.h"

/* Emits the instruction itself around the guest's operands. */
void lift_passthrough(struct lifter *l, const struct insn *insn);

/* vgatherdps and its kin. */
void lift_gather(struct lifter *l, const struct insn *insn);

/* maskmovq, maskmovdqu, vmaskmovdqu (lift_simd.c). */
void lift_maskmov(struct lifter *l, const struct insn *insn);

/* What the FPU remembers of the last x87 instruction is its host address. So that it can be told which of the
 * guest's that was, each leaves a row in the section .x87 of a region's object (struct x87_row in Runtime/jit.h): its
 * offset from the function, and the guest's address, 32 bits each. This is the text of inline assembly for that, to stand
 * before and behind the instruction; empty for others, and where nobody asks. */
struct x87_note {
  char before[16], behind[112];
};
void x87_note_make(const struct lifter *l, struct x87_note *note);
/* Is the instruction one of lift_x87.c's? */
bool lift_is_x87(const struct insn *insn);

/* An instruction given as text, without operands: sideeffect, touches no general register. */
void passthrough_text(struct lifter *l, const char *text);

#endif
