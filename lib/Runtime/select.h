/* Selection: which stencils a unit is made of. */
#ifndef UEMU_RUNTIME_SELECT_H
#define UEMU_RUNTIME_SELECT_H

#include "Frontend/discover.h"
#include "Runtime/stencil.h"

enum selected_kind {
  SELECTED_STENCIL,
  SELECTED_ADJUST,     /* the stack pointer's register catches up (stack_fold.h), perhaps by nothing */
  SELECTED_DIRECT,     /* the instruction itself (direct.h) */
  SELECTED_SAVE,       /* flags go from the host's to the register file */
  SELECTED_LOAD_CARRY, /* the carry comes from there */
  SELECTED_CALL,       /* a call, with the stack pointer's register catching up on the way … */
  SELECTED_RETURN,     /* … and a return */
  SELECTED_RECORD,     /* the flag record of an instruction before, if it is not `unrecorded` */
};

/* A piece of code in the unit's order, and the one or two instructions whose values fill a stencil's holes.
 */
struct selected {
  const struct insn *insn;
  const struct stencil *stencil;
  const struct operand *address; /* goes in place of the stencil's own (struct stencil_memory); NULL */
  guest_addr eip;                /* the instruction that it belongs to */
  int16_t stack;                 /* bytes that guest ESP is above the register, at its start */
  int16_t adjust;                /* SELECTED_ADJUST: bytes to add to the register */
  uint8_t count;
  uint8_t kind;       /* enum selected_kind */
  uint8_t host_flags; /* FLAGS_* that are the host's at its start, and are read later */
  uint8_t save;       /* SELECTED_SAVE: FLAGS_* */
  bool starts; /* the first of its instruction */
  bool inherits;   /* … as the block was entered with them */
  bool unrecorded; /* SELECTED_DIRECT: the instruction has no flag record, as the host's flags are its own
                      till others are set, or it is recorded late */
  bool is_taken;   /* SELECTED_RECORD: on the taken way of a jump, in its detour */
  bool through_temporary; /* SELECTED_DIRECT: its memory operand's value goes there first, to be recorded */
};

/* What comes between a conditional jump and its target: flags that are read there are saved, those that a
 * fault there may show are recorded. */
struct detour {
  uint8_t save;    /* FLAGS_* */
  uint16_t record; /* the SELECTED_RECORD, plus one; 0: none */
  uint16_t block; /* that ends in the jump */
};

enum {
  SELECTED_PER_INSN = 6,                                   /* pieces for an instruction at most */
  SELECTED_LIMIT = 2 * SELECTED_PER_INSN * UNIT_INSN_LIMIT /* a block may be selected for more than once */
};

struct selection {
  struct selected piece[SELECTED_LIMIT];
  unsigned count;
  uint16_t block_begin[UNIT_BLOCK_LIMIT], block_end[UNIT_BLOCK_LIMIT]; /* each block's pieces */
  bool carried[UNIT_BLOCK_LIMIT]; /* the block must find flags in the host's register: who comes from
                                     elsewhere loads them */
  struct ways {
    bool taken, next; /* all flags are in the host's register there … */
    bool inherits;    /* … as the block was entered with them */
  } has_flags[UNIT_BLOCK_LIMIT];
  struct detour detour[UNIT_BLOCK_LIMIT];
  unsigned detour_count;
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

/* choose.c: the stencil to use for one or two instructions that keep the flags in `live`, or one that keeps
 * more; NULL: there is none. *address gets the index of the operand whose address goes into it, or -1. Engine
 * lock held. */
const struct stencil *stencil_choose(const struct insn *insns, unsigned count, uint8_t live, int *address);

#endif
