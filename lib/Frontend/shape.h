/* Shapes: what a stencil is a translation of.
 *
 * A shape is one instruction, or a fused pair (a flag setter and the jcc, setcc or cmovcc that
 * reads its flags), with every immediate, displacement and target left open, and the set of flags
 * that must be kept. Instructions of one shape share one stencil. */
#ifndef UEMU_FRONTEND_SHAPE_H
#define UEMU_FRONTEND_SHAPE_H

#include "Frontend/insn.h"

struct shape {
  struct insn_form first;
  struct insn_form second; /* mnemonic 0: not fused */
  uint32_t flags_live;     /* FLAGS_* kept for later, among those the shape changes */
  uint32_t unused;
};
_Static_assert(sizeof(struct shape) == 56, "shapes are compared as bytes");

/* The shape of insns[0..count), count 1 or 2, of which `live` is needed afterwards. */
void shape_of(struct shape *shape, const struct insn *insns, unsigned count, uint8_t live);

/* May `second` be fused to `first`? */
bool shape_can_fuse(const struct insn *first, const struct insn *second);

/* The set of flags that is kept for `live` when `changed` are written: live ones rounded up to one
 * of a few sets, so that there are fewer shapes. */
uint8_t shape_round_flags(uint8_t live, uint8_t changed);

/* Takes the address out of an instruction with a memory operand: parts[0] computes it into the
 * temporary, parts[1] is the instruction on what lies there. Together they mean the same, through
 * fewer shapes. False if the instruction has no memory operand or cannot be split. */
bool shape_split_address(const struct insn *insn, struct insn parts[2]);

/* Puts the temporary in place of the first instruction's address, if registers and a displacement make it:
 * where such a stencil's operand can be replaced (struct stencil_memory), it serves for all addresses. The
 * operand's index, or -1, and nothing has changed. */
int shape_generalise(struct shape *shape);

uint64_t shape_hash(const struct shape *shape);

#endif
