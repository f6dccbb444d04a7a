/* Selection: which stencils a unit is made of. */
#ifndef UEMU_RUNTIME_SELECT_H
#define UEMU_RUNTIME_SELECT_H

#include "Frontend/discover.h"
#include "Runtime/stencil.h"

/* A stencil in the unit's order, and the one or two instructions whose values fill its holes. Without a
 * stencil, a place where the stack pointer's register catches up (stack_fold.h), perhaps by nothing. */
struct selected {
  const struct insn *insn;
  const struct stencil *stencil;
  const struct operand *address; /* goes in place of the stencil's own (struct stencil_memory); NULL */
  guest_addr eip;                /* the instruction that it belongs to */
  int16_t stack;                 /* bytes that guest ESP is above the register, at its start */
  int16_t adjust;                /* without a stencil: bytes to add to the register */
  uint8_t count;
  bool starts; /* the first of its instruction */
};

/* What comes between a conditional jump and its target: the comparison once more, for its flags. */
struct detour {
  const struct insn *insn;
  uint8_t live;
  uint16_t block;      /* that ends in the jump */
  uint16_t first, end; /* pieces */
};

enum { SELECTED_LIMIT = 3 * UNIT_INSN_LIMIT };

struct selection {
  struct selected piece[SELECTED_LIMIT];
  unsigned count;
  uint16_t block_end[UNIT_BLOCK_LIMIT]; /* index after the last piece of each block */
  struct detour detour[UNIT_BLOCK_LIMIT];
  unsigned detour_count;
  struct insn *repeated;             /* a comparison and the jump that the next block consists of; NULL */
  struct insn extra[SELECTED_LIMIT]; /* instructions that are not the unit's own */
  unsigned extra_count;
};

/* Selects for every instruction of *unit; stencils that are missing and that no others can stand in for
 * are compiled. But code that merely falls through (!options->follow) may never come to what lacks a stencil:
 * then the selection is void, and the result is how many instructions could do without; else all. Engine lock
 * held; good until the next call. */
unsigned select_stencils(struct selection *selection, const struct unit *unit,
                         const struct discover_options *options);

/* Does the call do nothing but read its own address? *reg gets the register that has it then, or GPR_COUNT if it
 * stays on the stack. */
bool select_address_thunk(const struct insn *insn, const struct discover_options *options, unsigned *reg);

#endif
