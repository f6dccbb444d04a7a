/* What selection's two files share: select.c goes over a unit, select_pieces.c finds stencils for an
 * instruction. */
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

#endif
