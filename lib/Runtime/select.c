/* Selecting for a unit: which instructions are written as they are, and which by stencils (select_pieces.c),
 * and where flags are between them. */
#include "Frontend/flag_record.h"
#include "Frontend/stack_fold.h"
#include "Runtime/direct.h"
#include "Runtime/engine.h"
#include "Runtime/select_internal.h"

#include <string.h>

/* --- Flags in the host's register ------------------------------------------------------------------------
 * Where flags are read, the instructions that set and read them are taken as they are (direct.h), and
 * selection keeps account of which flags the host's register has. A place where it has some that are read
 * later is no entry. */

/* For `unrecorded`: what has set them comes before the blocks being selected for. */
enum { SET_BEFORE = UINT32_MAX };

static struct {
  uint8_t valid;  /* FLAGS_* that it has, and somebody may look at */
  uint8_t dirty;  /* those of them that the register file has not */
  uint8_t shown;  /* those that a fault shows, though nobody reads them, and no record has (flag_record.h) */
  bool inherited; /* they are as the first of the blocks being selected for was entered with them */
  uint32_t unrecorded; /* the piece that has set them, all of them, and has no record, or is to be their
                          record, plus one; 0: there is none */
} host_flags;
static bool goes_on; /* they are good for the next block, which is nobody's but this one's */

static void forget_host_flags(void) {
  memset(&host_flags, 0, sizeof host_flags);
  late_forget();
}

/* Of the flags that it has those are left that somebody may look at, when `live` are read: with records, all
 * if it has all, for a block that comes may need them there. */
static void keep_host_flags(uint8_t live) {
  if (!selecting.has_records || host_flags.valid != FLAGS_ALL)
    host_flags.valid &= live | host_flags.shown;
  host_flags.dirty &= live | host_flags.shown;
}

/* --- … from block to block ---
 *
 * A block that is jumped to may find its flags in the host's register as well: it is carried to, if each jump
 * and fall-through to it leaves there what is wanted. That is taken for granted of every block at first, and
 * given up where one comes otherwise; then what has been selected on that assumption is selected anew. With
 * records there is a second question, which is answered in the end: do the flags need a record too, because
 * the host's register will be used for something else while a fault may still show them? */

/* A way to a block that is carried to. */
struct edge {
  uint16_t from; /* the chain of blocks (below) */
  uint16_t to;
  uint32_t unrecorded; /* as above */
  bool is_unsaved;     /* it leaves out to save flags that are read */
  bool inherited;      /* it hands on what came to its own block */
};
static struct {
  struct edge edge[2 * UNIT_BLOCK_LIMIT];
  unsigned count;
  bool needs_record[UNIT_BLOCK_LIMIT]; /* what was set before the block needs a record */
  uint16_t chain;                      /* the one being selected for */
} edges;

/* FLAGS_* that are read from the block's start on, and those that must be somewhere then. */
static uint8_t flags_read_from(const struct unit *unit, int block) {
  return unit_live_before(unit, unit->block[block].first);
}
static uint8_t flags_wanted(const struct unit *unit, int block) {
  return unit->block[block].shows_flags ? FLAGS_ALL : flags_read_from(unit, block);
}

/* Is there nothing to be saved or recorded on the way to the block? */
static bool carries(const struct unit *unit, int block) {
  if (block < 0 || !selecting.out->carried[block])
    return block >= 0 && !selecting.in_haste && !flags_wanted(unit, block);
  if (host_flags.shown || flags_wanted(unit, block) & (uint8_t)~host_flags.valid) {
    selecting.out->carried[block] = false;
    return false;
  }
  edges.edge[edges.count++] = (struct edge){.from = edges.chain,
                                            .to = (uint16_t)block,
                                            .unrecorded = host_flags.unrecorded,
                                            .inherited = host_flags.inherited,
                                            .is_unsaved = host_flags.dirty & flags_read_from(unit, block)};
  return true;
}

/* A fault could not find them in the host's register any more: they are recorded after all. */
static void record_flags(uint32_t unrecorded, uint16_t chain) {
  if (unrecorded == SET_BEFORE)
    edges.needs_record[chain] = true;
  else if (unrecorded)
    selecting.out->piece[unrecorded - 1].unrecorded = false;
}

static void record_host_flags(void) {
  record_flags(host_flags.unrecorded, edges.chain);
  host_flags.unrecorded = 0;
}

/* What the pieces from number `first` on find in the host's register. */
static void note_flags(unsigned first, uint8_t flags, bool inherits) {
  for (unsigned p = first; p < selecting.out->count; p++) {
    selecting.out->piece[p].host_flags = flags;
    selecting.out->piece[p].inherits = inherits;
  }
}
static void note_host_flags(unsigned first) { note_flags(first, host_flags.valid, host_flags.inherited); }

/* The same of a way out that may be taken for one with flags in EFLAGS (`ways`): who has none is not to come
 * in there. */
static void note_way_out(unsigned first, const struct ways *ways) {
  note_flags(first, FLAGS_ALL, ways->inherits);
}

static void add_save(uint8_t flags) {
  if (flags)
    selecting.out->piece[selecting.out->count++] = (struct selected){.kind = SELECTED_SAVE, .save = flags};
}

/* Does the host's register have all flags, and still has when these have been saved? */
static bool has_all_behind(uint8_t saved) {
  return host_flags.valid == FLAGS_ALL && direct_save_keeps(saved);
}

/* Puts the saving of all that is dirty before piece number `at`: behind the instruction before it. */
static void save_before(unsigned at) {
  record_host_flags();
  if (!host_flags.dirty)
    return;
  const unsigned count = selecting.out->count - at;
  selecting.out->count = at;
  memmove(&selecting.out->piece[at + 1], &selecting.out->piece[at], count * sizeof *selecting.out->piece);
  add_save(host_flags.dirty);
  selecting.out->count += count;
}

/* The instruction has been selected for by stencils, from piece `first` on: they find flags in the register
 * file, and most of them change the host's. */
static void account_for_stencils(unsigned first, const struct insn *insn, bool leaves) {
  const bool is_partial = insn->flags_changed && insn->flags_written != FLAGS_ALL;
  bool is_neutral = !leaves && !is_partial && !(insn->flags_read & host_flags.dirty);
  for (unsigned p = first; p < selecting.out->count && is_neutral; p++)
    is_neutral = !selecting.out->piece[p].stencil || selecting.out->piece[p].stencil->flags & STENCIL_NEUTRAL;
  if (!is_neutral) {
    save_before(first);
    forget_host_flags();
  }
  note_host_flags(first);
  if (insn->flags_changed)
    forget_host_flags(); /* they were another's */
}

/* Flags that must be the host's before it. */
static uint8_t host_flags_needed(const struct insn *insn, uint8_t live) {
  return insn->flags_read | (insn->flags_changed & (uint8_t)~insn->flags_written & live);
}

/* All that can be is, but for what the stack pointer's deferral makes nothing of: what LLVM makes of the
 * others is as good at best. */
static bool is_wanted_directly(const struct insn *insn, uint8_t live) {
  if (selecting.in_haste || !direct_can(insn))
    return false;
  const uint8_t lacking = host_flags_needed(insn, live) & (uint8_t)~host_flags.valid;
  if (lacking)
    return lacking == FLAGS_C && insn->condition == CONDITION_NONE && insn->flags_read == FLAGS_C;
  return insn->flags_read || host_flags.dirty || (insn->flags_changed & live) || !select_mentions_esp(insn);
}

static void load_carry(void) {
  save_before(selecting.out->count);
  selecting.out->piece[selecting.out->count++] = (struct selected){.kind = SELECTED_LOAD_CARRY};
  host_flags.valid = FLAGS_C;
  host_flags.dirty = 0;
}

/* The instruction as it is, with the stack pointer's register left behind where that can be. */
static void add_direct(const struct insn *insn, uint8_t live, enum flag_record record) {
  struct stack_fold fold;
  const unsigned first = selecting.out->count;
  if (host_flags_needed(insn, live) & (uint8_t)~host_flags.valid)
    load_carry();
  enum stack_use use = stack_fold(&fold, insn, FLAGS_ALL, selecting.stack);
  if (use == STACK_FOLDED && fold.count == 1 && direct_can(&fold.insn[0]))
    insn = memcpy(&selecting.out->extra[selecting.out->extra_count++], &fold.insn[0], sizeof *insn);
  else if (use != STACK_UNUSED)
    select_catch_up(insn->eip);
  selecting.out->piece[selecting.out->count++] = (struct selected){.kind = SELECTED_DIRECT,
                                                                   .insn = insn,
                                                                   .eip = insn->eip,
                                                                   .stack = (int16_t)selecting.stack,
                                                                   .count = 1,
                                                                   .starts = true};
  note_host_flags(first);
  host_flags.valid |= insn->flags_written;
  host_flags.dirty = (uint8_t)((host_flags.dirty & ~insn->flags_changed) | (insn->flags_changed & live));
  if (!insn->flags_changed)
    return;
  host_flags.inherited = false;
  if (flag_record_is_void(record))
    host_flags.shown = FLAGS_ALL;
  else
    host_flags.shown &= record == FLAG_RECORD_NONE ? (uint8_t)~insn->flags_changed : 0;
  host_flags.unrecorded =
      record != FLAG_RECORD_NONE && host_flags.valid == FLAGS_ALL ? selecting.out->count : 0;
  selecting.out->piece[selecting.out->count - 1].unrecorded = host_flags.unrecorded;
  late_set(host_flags.unrecorded, record, &selecting.out->piece[selecting.out->count - 1]);
}

/* What is recorded late on either way of a jump (0: nothing) stands for what was recorded before. */
static void record_ways(const uint32_t way[2], unsigned taken_edge, unsigned next_edge) {
  if (taken_edge < next_edge)
    edges.edge[taken_edge].unrecorded = way[0];
  if (next_edge < edges.count)
    edges.edge[next_edge].unrecorded = way[1];
  if (way[0] && way[1])
    late_add_pair(host_flags.unrecorded, way, edges.chain);
  host_flags.unrecorded = way[1];
}

/* The conditional jump at the block's end. What is read on both ways is saved before it; the flag that spoils
 * the others is not. */
static void add_direct_branch(const struct unit *unit, const struct block *block, const struct insn *jump) {
  const struct block *next = block + 1;
  const unsigned taken_edge = edges.count;
  goes_on = block->next == next - unit->block && !next->leader;
  const bool taken_carries = carries(unit, block->taken);
  const unsigned next_edge = edges.count;
  const bool next_carries = goes_on || carries(unit, block->next);
  const bool is_late = host_flags.unrecorded && late_is_possible() && (taken_carries || next_carries);
  if (!is_late && (!taken_carries || !next_carries))
    record_host_flags();
  const uint8_t taken = taken_carries ? 0 : host_flags.dirty & (block->live_taken | host_flags.shown);
  const uint8_t fallen = next_carries ? 0 : host_flags.dirty & (block->live_next | host_flags.shown);
  const uint8_t both = taken & fallen & (uint8_t)~FLAGS_A;
  add_save(both);
  host_flags.dirty &= (uint8_t)~both;
  add_direct(jump, 0, FLAG_RECORD_NONE);
  uint32_t way[2] = {0};
  if (is_late && (!taken_carries || taken_edge < next_edge))
    way[0] = late_add(true, !taken_carries);
  if (is_late && (!next_carries || goes_on || next_edge < edges.count))
    way[1] = late_add(false, !next_carries);
  if (taken & ~both || way[0])
    selecting.out->detour[selecting.out->detour_count++] = (struct detour){
        .save = taken & (uint8_t)~both, .record = (uint16_t)way[0], .block = (uint16_t)(block - unit->block)};
  selecting.out->has_flags[block - unit->block] =
      (struct ways){.taken = has_all_behind(taken & (uint8_t)~both),
                    .next = has_all_behind(fallen & (uint8_t)~both),
                    .inherits = host_flags.inherited};
  if (is_late)
    record_ways(way, taken_edge, next_edge);
  add_save(fallen & (uint8_t)~both);
  if (!goes_on)
    forget_host_flags();
}

/* --- A unit ---------------------------------------------------------------------------------------- */

static bool is_fused(const struct unit *unit, const struct block *block, unsigned i) {
  return i + 1 < (unsigned)block->first + block->count && unit->record[i + 1] == FLAG_RECORD_NONE &&
         unit->record[i] != FLAG_RECORD_VOID_AFTER && shape_can_fuse(&unit->insn[i], &unit->insn[i + 1]);
}

/* Blocks may be carried to that are jumped to from within the unit, by jumps that stay there. */
static void find_carried(const struct unit *unit, bool may_carry) {
  may_carry = may_carry && !selecting.in_haste && engine.options.tier != RUNTIME_TIER_REGION;
  memset(selecting.out->carried, 0, sizeof selecting.out->carried);
  for (unsigned b = 0; b < unit->block_count; b++)
    for (unsigned way = 0; way < 2; way++) {
      const int to = way ? unit->block[b].next : unit->block[b].taken;
      if (to >= 0 && may_carry && unit->block[to].leader && flags_wanted(unit, to))
        selecting.out->carried[to] = true;
    }
  for (unsigned i = 0; may_carry && i < unit->insn_count; i++) {
    const int callee = unit->insn[i].flow == FLOW_CALL ? unit_block_at(unit, unit->insn[i].target) : -1;
    if (callee >= 0)
      selecting.out->carried[callee] = false;
  }
}

/* What the block begins with. */
static void enter_block(const struct unit *unit, unsigned b) {
  forget_host_flags();
  if (!selecting.out->carried[b])
    return;
  host_flags.inherited = true;
  host_flags.valid = flags_wanted(unit, (int)b);
  host_flags.dirty = flags_read_from(unit, (int)b);
  host_flags.unrecorded = unit->block[b].shows_flags ? SET_BEFORE : 0;
}

/* The end of a block that does not end in a direct branch. */
static void leave_block(const struct unit *unit, const struct block *block) {
  struct ways *has_flags = &selecting.out->has_flags[block - unit->block];
  has_flags->next = has_all_behind(host_flags.dirty);
  has_flags->inherits |= has_flags->next && host_flags.inherited;
  const struct insn *last = &unit->insn[block->first + block->count - 1];
  const unsigned first = selecting.out->count;
  const bool taken_carries = block->taken < 0 || carries(unit, block->taken);
  const bool next_carries = carries(unit, block->next);
  if (!taken_carries || !next_carries) {
    save_before(selecting.out->count);
    forget_host_flags();
  }
  select_catch_up(insn_next(last));
  note_host_flags(first);
  if (has_flags->next)
    note_way_out(first, has_flags);
  forget_host_flags();
}

static void select_block(const struct unit *unit, const struct block *block,
                         const struct discover_options *options) {
  unsigned end = (unsigned)block->first + block->count, reg;
  goes_on = false;
  selecting.out->has_flags[block - unit->block] = (struct ways){0};
  for (unsigned i = block->first; i < end; i++) {
    const struct insn *insn = &unit->insn[i];
    const unsigned first = selecting.out->count;
    keep_host_flags(unit_live_before(unit, i));
    late_pass(insn);
    if (!selecting.missing.count)
      selecting.missing.first = i;
    if (is_wanted_directly(insn, unit->live[i])) {
      if (insn->flow != FLOW_CONDITIONAL) {
        add_direct(insn, unit->live[i], (enum flag_record)unit->record[i]);
        continue;
      }
      add_direct_branch(unit, block, insn);
      return;
    }
    selecting.out->has_flags[block - unit->block] =
        (struct ways){.taken = insn->flow == FLOW_JUMP && has_all_behind(host_flags.dirty),
                      .inherits = host_flags.inherited};
    if (insn->flow == FLOW_JUMP && carries(unit, block->taken)) {
      select_insns(insn, 1, 0);
      note_host_flags(first);
      forget_host_flags();
      return;
    }
    if (select_address_thunk(insn, options, &reg)) {
      select_thunk(insn, reg);
    } else if (!selecting.in_haste && direct_can_transfer(insn)) {
      select_transfer(insn);
    } else if (is_fused(unit, block, i)) {
      i++;
      select_insns(insn, 2, unit->record[i - 1] == FLAG_RECORD_VOID ? FLAGS_ALL : unit->live[i]);
    } else {
      select_insns(insn, 1, unit->live[i]);
    }
    account_for_stencils(first, insn, unit->insn[i].flow != FLOW_NEXT);
    if (selecting.out->has_flags[block - unit->block].taken)
      note_way_out(first, &selecting.out->has_flags[block - unit->block]);
  }
  leave_block(unit, block);
}

/* A chain is a block and those behind it that nobody else jumps to: flags may go from one to the next. */
static unsigned chain_end(const struct unit *unit, unsigned b) {
  for (b++; b < unit->block_count && !unit->block[b].leader; b++)
    ;
  return b;
}

static void select_chain(const struct unit *unit, unsigned b, const struct discover_options *options) {
  const unsigned end = chain_end(unit, b);
  edges.chain = (uint16_t)b;
  edges.needs_record[b] = false;
  enter_block(unit, b);
  for (; b < end; b++) {
    selecting.out->block_begin[b] = (uint16_t)selecting.out->count;
    select_block(unit, &unit->block[b], options);
    selecting.out->block_end[b] = (uint16_t)selecting.out->count;
  }
  goes_on = false;
}

/* Forgets what was selected for the chain; its pieces stay where they are. */
static void unselect_chain(unsigned begin, unsigned end) {
  unsigned kept = 0;
  for (unsigned e = 0; e < edges.count; e++)
    if (edges.edge[e].from != begin)
      edges.edge[kept++] = edges.edge[e];
  edges.count = kept;
  kept = 0;
  for (unsigned d = 0; d < selecting.out->detour_count; d++)
    if (selecting.out->detour[d].block < begin || selecting.out->detour[d].block >= end)
      selecting.out->detour[kept++] = selecting.out->detour[d];
  selecting.out->detour_count = kept;
  late_unselect_chain((uint16_t)begin);
}

/* Has the chain been selected for on an assumption that was given up? */
static bool is_outdated(unsigned chain, bool was_carried) {
  if (was_carried != selecting.out->carried[chain])
    return true;
  for (unsigned e = 0; e < edges.count; e++)
    if (edges.edge[e].from == chain && edges.edge[e].is_unsaved && !selecting.out->carried[edges.edge[e].to])
      return true;
  return false;
}

/* Which flags that are carried need a record, too. */
static void find_needed_records(void) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (unsigned e = 0; e < edges.count; e++) {
      struct edge *edge = &edges.edge[e];
      if (!edge->unrecorded || (selecting.out->carried[edge->to] && !edges.needs_record[edge->to]))
        continue;
      record_flags(edge->unrecorded, edge->from);
      edge->unrecorded = 0;
      changed = true;
    }
  }
}

/* Blocks that were carried to, but do without: what a fault shows has a record, and nothing is read. Nobody
 * need load flags for them. */
static void find_independent(const struct unit *unit) {
  bool needs[UNIT_BLOCK_LIMIT], changed = true;
  for (unsigned b = 0; b < unit->block_count; b++)
    needs[b] = selecting.out->carried[b] && (flags_read_from(unit, (int)b) || !edges.needs_record[b]);
  while (changed) {
    changed = false;
    for (unsigned e = 0; e < edges.count; e++) {
      const struct edge *edge = &edges.edge[e];
      if (!edge->inherited || !needs[edge->to] || needs[edge->from])
        continue;
      needs[edge->from] = changed = true;
    }
  }
  for (unsigned b = 0, end; b < unit->block_count; b = end) {
    end = chain_end(unit, b);
    if (!selecting.out->carried[b] || needs[b])
      continue;
    selecting.out->carried[b] = false;
    for (unsigned k = b; k < end; k++)
      if (selecting.out->has_flags[k].inherits)
        selecting.out->has_flags[k] = (struct ways){0};
    for (unsigned p = selecting.out->block_begin[b]; p < selecting.out->block_end[end - 1]; p++)
      if (selecting.out->piece[p].inherits)
        selecting.out->piece[p].host_flags = 0;
  }
}

/* Does selecting once more for all of the unit fit behind what there is? */
static bool has_room(const struct unit *unit) {
  const unsigned most = SELECTED_PER_INSN * unit->insn_count;
  return selecting.out->count + most <= SELECTED_LIMIT && selecting.out->extra_count + most <= SELECTED_LIMIT;
}

static void select_unit(const struct unit *unit, const struct discover_options *options, bool may_carry) {
  bool was_carried[UNIT_BLOCK_LIMIT], outdated = true;
  struct selection *out = selecting.out;
  out->count = out->extra_count = out->detour_count = 0;
  selecting.missing.count = edges.count = 0;
  late_begin();
  find_carried(unit, may_carry);
  for (bool again = false; outdated; again = true) {
    outdated = false;
    for (unsigned b = 0, end; b < unit->block_count; b = end) {
      end = chain_end(unit, b);
      if (again && !is_outdated(b, was_carried[b]))
        continue;
      if (again && !has_room(unit)) {
        select_unit(unit, options, false);
        return;
      }
      unselect_chain(b, end);
      was_carried[b] = selecting.out->carried[b];
      select_chain(unit, b, options);
      outdated = true;
    }
  }
  find_needed_records();
  late_place();
  find_independent(unit);
}

unsigned select_stencils(struct selection *selection, const struct unit *unit,
                         const struct discover_options *options) {
  /* The second round finds what the first had made; a refused pair needs a third for its parts. */
  enum { ROUNDS = 6 };
  selecting.out = selection;
  selecting.in_haste = !options->follow;
  selecting.has_records = options->records;
  for (unsigned round = 0; round < ROUNDS; round++) {
    select_unit(unit, options, true);
    if (!selecting.missing.count)
      return unit->insn_count;
    if (!options->follow && selecting.missing.first)
      return selecting.missing.first;
    stencil_source_make(selecting.missing.source, selecting.missing.count);
  }
  engine_fatal(selecting.missing.source[0].insn[0].eip, "no stencil for '%s'",
               insn_name(&selecting.missing.source[0].insn[0].form));
}
