/* Direct instructions: those that the host executes as they are, but for the numbers of the registers, and
 * whose flags are then in the host's EFLAGS.
 *
 * A stencil that keeps flags computes each, and stores it in the register file; one that reads a flag loads
 * it from there. Where a flag goes from one instruction to the next this takes ten times as long as what is
 * done with it. So where flags are read, selection (select.c) takes the instruction that sets them and those
 * that read them for what they are. Between them may be stencils that change no host flags (STENCIL_NEUTRAL).
 * Before anything else, and where the block ends, the flags that are still read are saved to the register
 * file. */
#ifndef UEMU_RUNTIME_DIRECT_H
#define UEMU_RUNTIME_DIRECT_H

#include "Frontend/insn.h"

enum { DIRECT_SIZE_LIMIT = 24 }; /* bytes of code, with the base of a segment */

/* Can it be written? Its flags, undefined ones included, are then what the guest's CPU would set. It accesses
 * memory once, by one host instruction, before anything is changed. */
bool direct_can(const struct insn *insn);

/* Writes it; the end. A conditional jump is jcc with 32 bits of displacement, left open, at its end. */
uint8_t *direct_write(uint8_t *at, const struct insn *insn);

/* Saves the flags (FLAGS_*) to the register file; the end. It may change the temporary register. */
uint8_t *direct_write_save(uint8_t *at, uint8_t flags);
/* Are the host's flags the same behind that? Always, without FLAGS_A. */
bool direct_save_keeps(uint8_t flags);

/* From one of the host's registers to another; the end. */
uint8_t *direct_write_move(uint8_t *at, unsigned to, unsigned from);

/* The carry, and no other flag, from the register file to the host's; the end. */
uint8_t *direct_write_load_carry(uint8_t *at);

/* --- Calls and returns, with guest ESP `stack` bytes above its register
 * ---------------------------------------- */

/* Adds to the register of guest ESP, and leaves the host's flags as they are; the end. */
uint8_t *direct_write_adjustment(uint8_t *at, int32_t by);

/* Can the call or return be written? */
bool direct_can_transfer(const struct insn *insn);

/* A call, and the check that it comes back to the address behind it; the end. *callee gets where its
 * displacement is, which is left open; an indirect call's is that of the probe, which finds eip in r13d. */
uint8_t *direct_write_call(uint8_t *at, const struct insn *insn, int32_t stack, uint8_t **callee);

/* A return that takes `released` bytes of arguments along; its last byte is the host's. */
uint8_t *direct_write_return(uint8_t *at, int32_t stack, uint32_t released);

#endif
