/* What selection's three files share: select.c goes over a unit, select_pieces.c finds stencils for an
 * instruction, select_late.c finds where flags are recorded. */
#ifndef UEMU_RUNTIME_SELECT_INTERNAL_H
#define UEMU_RUNTIME_SELECT_INTERNAL_H

#include "Runtime/engine.h"
#include "Runtime/select.h"

enum { MISSING_LIMIT = 128 };

/* The selection under way. One at a time: the engine lock is held. */
extern struct selecting {
  struct selection *out;
  int32_t stack;    /* bytes that guest ESP is above its register, where selection has come to */
  bool in_haste;    /* for code that may run once */
  bool has_records; /* of flags that a fault may show (flag_record.h) */
  struct {
    struct stencil_source source[MISSING_LIMIT];
    unsigned count;
    unsigned first; /* the first instruction of the unit that something is missing for */
  } missing;        /* stencils that are to be compiled */
} selecting;

/* Adds an instruction, or two to be fused, that keep the flags in `live`, with the stack pointer deferred
 * where that can be. */
void select_insns(const struct insn *insns, unsigned count, uint8_t live);
/* The stack pointer's register catches up, on behalf of the instruction at eip. */
void select_catch_up(guest_addr eip);
/* What a call does that only reads its own address (select_address_thunk), as push and pop. */
void select_thunk(const struct insn *call, unsigned reg);
/* A call or a return, which move the stack pointer, and what is deferred of it along. */
void select_transfer(const struct insn *insn);
bool select_mentions_esp(const struct insn *insn);

/* --- select_late.c ---------------------------------------------------------------------------------------
 * Pieces are by number, plus one; 0: none. */

void late_begin(void);
/* The piece's instruction sets flags; `unrecorded` is that piece if they have no record so far, else 0. */
void late_set(uint32_t unrecorded, enum flag_record record, struct selected *piece);
/* The instruction comes between that one and a late record. */
void late_pass(const struct insn *insn);
/* The host's flags are nobody's any more. */
void late_forget(void);
bool late_is_possible(void);
/* Adds a late record on one way of the jump that was selected last, for the case that it is needed; or it is.
 * Returns its piece. */
uint32_t late_add(bool is_taken, bool needed);
/* A jump, in that chain of blocks, has late records on both ways: if both are needed, `piece` is recorded
 * instead. */
void late_add_pair(uint32_t piece, const uint32_t way[2], uint16_t chain);
void late_unselect_chain(uint16_t chain);
/* All has been selected, and which records are needed is known: settles where they are, and leaves detours
 * that do something. */
void late_place(void);

#endif
