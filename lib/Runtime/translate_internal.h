/* The translation under way, for the files that make one: translate.c discovers and selects, translate_emit.c
 * lays pieces of code end to end in blocks, translate_pieces.c copies them and fills their holes,
 * translate_jumps.c has what leads from one to another and out. The engine lock is held throughout. */
#ifndef UEMU_RUNTIME_TRANSLATE_INTERNAL_H
#define UEMU_RUNTIME_TRANSLATE_INTERNAL_H

#include "Runtime/engine.h"
#include "Runtime/select.h"

enum { FIXUP_LIMIT = 2048 };
enum { LINE = 64 };     /* bytes that the CPU fetches at a time */
enum { GAP_LIMIT = 3 }; /* bytes that a jump is moved by at most (translate_gap_before) */

/* A displacement that is filled in when its target is known. */
struct fixup {
  uint8_t *field;
  int32_t addend;
  enum { TO_BLOCK, TO_DETOUR, TO_EXIT, TO_PROBE, TO_TABLE_MISS, FILLED } kind;
  uint32_t target; /* block or detour index, guest address, enum probe_flags, row of table jumps */
  bool counts;     /* an exit through which code gets hot */
  bool has_flags;  /* all of them are in EFLAGS */
  bool straight;   /* a jump that leads past its exit where it can */
  bool moves;      /* … for which it is moved, if need be */
  bool is_short;   /* the displacement has one byte */
};

/* Where something in the unit was when it was emitted before, and how many bytes more there may be up to it
 * the next time: padding. */
struct position {
  uint32_t offset, slack;
};

extern struct translation {
  struct unit unit;
  struct fetch fetch;
  struct discover_options options;
  struct selection selection;
  struct fixup fixup[FIXUP_LIMIT];
  unsigned fixup_count;
  uint8_t *block_code[UNIT_BLOCK_LIMIT], *detour_code[UNIT_BLOCK_LIMIT];
  uint8_t *entry_code[UNIT_BLOCK_LIMIT]; /* where those go that come to a block from outside */
  struct position block_position[UNIT_BLOCK_LIMIT + 1], detour_position[UNIT_BLOCK_LIMIT];
  bool positions_known; /* of all, and the blocks' end */
  bool has_short_jumps; /* ahead, by those positions */
  bool has_loops;
  int16_t loop_end[UNIT_BLOCK_LIMIT];
  uint32_t slack;
  struct unit_insn insn[SELECTED_LIMIT];
  unsigned insn_count, ordered_count;
  guest_addr guess; /* where the indirect jump leads that the unit begins with; 0: none, or unknown */
  uint8_t *code, *at;
  unsigned block;        /* being emitted, or the last one */
  bool void_after;       /* behind the instruction being emitted there is no flag record any more */
  bool show_flags_after; /* behind it, a call, flags are taken out of the record */
  bool large;
} translation;

/* --- translate_emit.c ------------------------------------------------------------------------------------
 */

/* All blocks of the unit, at translation.code. */
void translate_emit_unit(void);
/* As few as can be: CPUs take up to three prefixes before a nop. */
void translate_emit_nops(unsigned count);

/* --- translate_pieces.c ----------------------------------------------------------------------------------
 */

/* The piece's code at translation.at; `block` is its own. */
void translate_copy_piece(const struct selected *piece, const struct block *block);
/* The end of an instruction's code. */
void translate_end_insn(void);
/* Before a block's pieces: does it end in a jump by a table? */
void translate_find_table_jump(const struct block *block);
/* At indirect jumps and calls. */
enum probe_flags translate_probe_flags(void);

/* --- translate_jumps.c -----------------------------------------------------------------------------------
 */

void translate_store(uint8_t *field, unsigned kind, uint64_t value);
void translate_store_pc32(uint8_t *field, int32_t addend, uintptr_t target);

bool translate_jumps_back(const struct insn *jump);
unsigned translate_entry_block(void);
/* Where the jump, or call, that leads to the unit's block goes; -1 for a way out. */
int translate_block_for_jump(int block, const struct insn *jump);

/* A jump to guest address `eip`, with its displacement at `field`: inside the unit, to the block, if that is
 * not -1. `repeats`: it may be a loop's or a call, by which code gets hot. `has_flags`: all of them are in
 * EFLAGS. */
void translate_add_jump_fixup(uint8_t *field, int32_t addend, int block, guest_addr eip, bool repeats,
                              bool has_flags);
/* A jump of a stencil's: to the branch's target, a callee, a stub. */
void translate_patch_jump(const struct stencil_reloc *reloc, uint8_t *field, const struct insn *last,
                          const struct block *block);
/* The jump at the end of a piece, whose displacement is the last thing; the piece's end. */
uint8_t *translate_patch_last_jump(const struct stencil_reloc *reloc, uint8_t *field, const struct insn *last,
                                   const struct block *block);
/* A jump of its own, at translation.at. */
void translate_emit_jump(int block, guest_addr eip, bool repeats, bool has_flags);
/* The jump for who is not found in the row of table jumps. */
void translate_add_table_miss_fixup(uint8_t *field, unsigned row);
/* How far a displacement at `field` must move so that it can be changed at once. */
unsigned translate_gap_before(const uint8_t *field);
/* Has one of the jumps from number `first` on need of that? */
unsigned translate_gap_before_jumps(unsigned first);

/* Are there jumps that the short form would do for? Do all those reach that have it? */
bool translate_has_near_jumps(void);
bool translate_short_jumps_reach(void);

/* What follows the blocks: one exit for each target outside, one probe for each indirect call, and the
 * entries of blocks that begin with flags in the host's register. */
void translate_emit_exits(void);
void translate_emit_entries(void);
uint8_t *translate_emit_exit(guest_addr target, bool counts, uint32_t *slot);

#endif
