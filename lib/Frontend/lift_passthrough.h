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

/* An instruction given as text, without operands: sideeffect, touches no general register. */
void passthrough_text(struct lifter *l, const char *text);

/* An MMX register, in the low half of a <4 x float>. */
LLVMValueRef passthrough_mmx_read(struct lifter *l, unsigned reg);

#endif
