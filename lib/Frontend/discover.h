/* Discovery: from an entry address to the basic blocks that are translated together.
 *
 * A unit is, by the caller's choice, the code that falls through from its entry up to the first
 * unconditional transfer (cheap, for code that may run once), or the set of blocks that direct
 * jumps reach from it as far as a budget goes, about a function (for code known to run often).
 * Calls are followed by the code after them, not by their target. The blocks come in address
 * order, so that most fall-throughs need no jump.
 *
 * With the blocks comes, for each instruction, which arithmetic flags somebody may read after it.
 * What lies outside the unit is looked at a few instructions deep; where that does not settle it,
 * flags count as read. Two assumptions make flags cheap, and both are checked or switchable
 * (docs/flags.md):
 *   - flags are dead at a return, unless code after some call reads them: discovery sees that
 *     when it translates the call, before the callee can return (needs_return_flags);
 *   - flags are not looked at when an instruction faults, unless `precise` is set. */
#ifndef UEMU_FRONTEND_DISCOVER_H
#define UEMU_FRONTEND_DISCOVER_H

#include "Frontend/insn.h"

enum {
  UNIT_INSN_LIMIT = 384,   /* instructions in a unit */
  UNIT_BLOCK_LIMIT = 128,  /* blocks in a unit */
  UNIT_SPAN_LIMIT = 65536, /* bytes between its lowest and highest instruction */
};

struct block {
  uint16_t first, count; /* instructions, as indices into unit.insn */
  int16_t taken;         /* block of the branch target; -1: outside the unit */
  int16_t next;          /* block of the fall-through; -1: none or outside */
  bool leader;           /* may be entered from outside or by a jump */
  bool returns_by_jump;  /* it ends in a return that pops what the block has stored: a jump */
  bool changes_stack;    /* it gives ESP another value, and returns: perhaps a jump */
  bool shows_flags;      /* with options.records: a fault may show flags that were set before it */
  uint8_t live_taken, live_next; /* after a conditional jump: FLAGS_* that are read on each of its ways */
};

struct unit {
  guest_addr entry;
  guest_addr low, high; /* the instructions' bytes lie in [low, high) */
  unsigned insn_count, block_count;
  struct insn insn[UNIT_INSN_LIMIT];
  uint8_t live[UNIT_INSN_LIMIT]; /* FLAGS_* that are read after the instruction */
  uint8_t record[UNIT_INSN_LIMIT]; /* enum flag_record; with options.records */
  /* With options.records: at calls, code behind them reads flags, or leaves some as they were, which have to
   * be taken out of the record when the callee has returned. */
  bool reads_return[UNIT_INSN_LIMIT];
  struct block block[UNIT_BLOCK_LIMIT];
  uint8_t needs_return_flags; /* FLAGS_*: code after a call reads them, and return_flags lacks them */
  bool fetch_fault;        /* the last instruction of some block could not be fetched whole: at … */
  guest_addr fetch_address;
};

struct discover_options {
  /* The instruction bytes at eip: how many can be fetched (up to 16; 0: none) and where. */
  size_t (*fetch)(void *context, guest_addr eip, const uint8_t **bytes);
  void *context;
  /* Is there code for eip already, that this unit should go to rather than have its own? NULL: no. */
  bool (*has_code)(guest_addr eip);
  /* What the code reads of flags that a table of addresses in guest memory leads to; FLAGS_ALL if that cannot
   * be told, or the guest can change the table. NULL: it cannot. */
  uint8_t (*table_flags)(guest_addr table);
  uint8_t return_flags; /* FLAGS_* that are live at returns; without records */
  bool precise;      /* flags are live at every instruction that can fault */
  bool records;      /* what such an instruction shows of flags is in a record (flag_record.h) */
  unsigned insn_limit; /* at most UNIT_INSN_LIMIT */
  bool follow;         /* decode the targets of jumps too; else only what falls through */
};

/* Flags that must be there before instruction i of a unit, which was not discovered as `precise`. */
uint8_t unit_live_before(const struct unit *unit, unsigned i);

/* The number of the block that begins at eip; -1: none does. */
int unit_block_at(const struct unit *unit, guest_addr eip);

/* Flags that the code at eip may read before it writes them. */
uint8_t discover_live(guest_addr eip, const struct discover_options *options);

/* Flags that the code at eip reads before it writes them, as far as direct jumps and calls lead. Who comes by returns and indirect
 * jumps looks again. *is_cut: there was more than a look takes in. */
uint8_t discover_flags_read(guest_addr eip, const struct discover_options *options, bool *is_cut);

/* Has the flag record, where an instruction at eip is next, all flags? Else those that are read may be newer in the register file. */
bool discover_record_is_current(guest_addr eip, const struct discover_options *options);

/* Guest code has changed: what discovery remembers of code outside units is void. */
void discover_forget(void);

/* Does the block soon end in an indirect jump? Such code, the head of an interpreter's loop, each unit has a copy of. */
bool unit_leads_to_table_jump(const struct unit *unit, int block);

/* Fills *unit. Not thread-safe: callers hold the engine lock. False if not even the first instruction can be fetched (unit->fetch_address). */
bool discover(struct unit *unit, guest_addr entry, const struct discover_options *options);

#endif
