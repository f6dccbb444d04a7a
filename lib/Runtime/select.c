/* Selecting stencils.
 *
 * Best is the stencil of an instruction or a fused pair that keeps just the flags that are read. If there is
 * an address in it, one stencil serves for all, and gets the address at hand; where that cannot be, there may
 * be one for the address. Where the library has none, others do the same work: one that keeps more flags; a
 * pair's instructions one by one; the address computed by one stencil and used by the next. Only when these
 * fail is a stencil compiled, for which LLVM must be loaded. */
#include "Runtime/select.h"
#include "Frontend/decode_cache.h"
#include "Frontend/flag_record.h"
#include "Frontend/stack_fold.h"
#include "Runtime/direct.h"
#include "Runtime/engine.h"

#include <Zydis/Mnemonic.h>
#include <string.h>

static struct selection *out;
static int32_t stack_offset; /* what guest ESP is above its register, where selection has come to */
static bool in_haste;        /* for code that may run once */
static bool has_records;     /* of flags that a fault may show (flag_record.h) */

/* --- Pieces ----------------------------------------------------------------------------------------- */

static bool add(const struct insn *insns, unsigned count, uint8_t live) {
  int address;
  const struct stencil *stencil = stencil_choose(insns, count, live, &address);
  if (!stencil)
    return false;
  __builtin_prefetch(stencil->reloc); /* to be copied soon, most of them from where nothing was read yet */
  if (count == 2 && stencil->flags & STENCIL_REFUSED)
    return false;
  out->piece[out->count++] = (struct selected){.insn = insns,
                                               .stencil = stencil,
                                               .address = address < 0 ? NULL : &insns[0].form.op[address],
                                               .kind = SELECTED_STENCIL,
                                               .eip = insns[0].eip,
                                               .stack = (int16_t)stack_offset,
                                               .count = (uint8_t)count};
  return true;
}

static bool add_split(const struct insn *insn, uint8_t live) {
  struct insn *parts = &out->extra[out->extra_count];
  unsigned count = out->count;
  if (out->extra_count + 2 > SELECTED_LIMIT || !shape_split_address(insn, parts))
    return false;
  if (!add(&parts[0], 1, 0) || !add(&parts[1], 1, live)) {
    out->count = count;
    return false;
  }
  out->extra_count += 2;
  return true;
}

static bool add_single(const struct insn *insn, uint8_t live) {
  return add(insn, 1, live) || add_split(insn, live);
}

static uint8_t live_between(const struct insn *second, uint8_t live) {
  return (uint8_t)((live & ~second->flags_written) | second->flags_read);
}

/* --- What is missing ------------------------------------------------------------------------------- */

enum { MISSING_LIMIT = 128 };
static struct {
  struct stencil_source source[MISSING_LIMIT];
  unsigned count;
  unsigned first; /* the first instruction of the unit that something is missing for */
} missing;

static void note_missing(const struct insn *insns, unsigned count, uint8_t live) {
  if (missing.count == MISSING_LIMIT)
    return; /* the next round asks again */
  struct stencil_source *source = &missing.source[missing.count++];
  memset(source, 0, sizeof *source);
  memcpy(source->insn, insns, count * sizeof *insns);
  source->count = (uint8_t)count;
  source->live = live;
}

/* Too many values for the host's registers are fewer with the address computed apart: what is refused as one
 * stencil may be two. */
static void split_refused(const struct insn *insn, uint8_t live, unsigned first) {
  struct insn *parts = &out->extra[out->extra_count];
  out->count = first;
  if (add_split(insn, live))
    return;
  if (out->extra_count + 2 <= SELECTED_LIMIT && shape_split_address(insn, parts)) {
    note_missing(&parts[0], 1, 0);
    note_missing(&parts[1], 1, live);
  }
  add(insn, 1, live);
}

static void add_or_note(const struct insn *insns, unsigned count, uint8_t live) {
  unsigned first = out->count;
  if (count == 1) {
    if (!add_single(insns, live))
      note_missing(insns, 1, live);
    else if (out->count == first + 1 && out->piece[first].stencil->flags & STENCIL_REFUSED)
      split_refused(insns, live, first);
  } else if (!add(insns, 2, live)) {
    int address;
    bool refused = stencil_choose(insns, 2, live, &address);
    bool both = add_single(&insns[0], live_between(&insns[1], live));
    if (!both && refused)
      note_missing(&insns[0], 1, live_between(&insns[1], live));
    if (!add_single(&insns[1], live)) {
      both = false;
      if (refused)
        note_missing(&insns[1], 1, live);
    }
    if (!both && !refused)
      note_missing(insns, 2, live);
  }
  if (out->count > first)
    out->piece[first].starts = true;
}

/* --- The stack pointer --------------------------------------------------------------------------- */

/* Here the register of ESP catches up: by the instruction at eip it is right. */
static void catch_up(guest_addr eip) {
  if (stack_offset)
    out->piece[out->count++] = (struct selected){.kind = SELECTED_ADJUST,
                                                 .eip = eip,
                                                 .stack = (int16_t)stack_offset,
                                                 .adjust = (int16_t)stack_offset,
                                                 .starts = true};
  stack_offset = 0;
}

/* Helpers look at the guest's registers. */
static bool calls_helper(unsigned first) {
  for (unsigned p = first; p < out->count; p++) {
    const struct stencil *stencil = out->piece[p].stencil;
    if (stencil->flags & STENCIL_REFUSED)
      return true;
    for (unsigned r = 0; r < stencil->reloc_count; r++)
      if (stencil->reloc[r].symbol >= STENCIL_HELPER)
        return true;
  }
  return false;
}

/* Selects for what stands for one or two instructions; false if the library has not got it. */
static bool add_folded(const struct stack_fold *fold, const struct insn *insns, unsigned count,
                       uint8_t live) {
  unsigned first = out->count, extra = out->extra_count;
  if (fold->count == 0) {
    out->piece[out->count++] = (struct selected){
        .kind = SELECTED_ADJUST, .eip = insns[0].eip, .stack = (int16_t)stack_offset, .starts = true};
    return true;
  }
  struct insn *folded = &out->extra[out->extra_count];
  memcpy(folded, fold->insn, fold->count * sizeof *folded);
  if (count == 2)
    folded[1] = insns[1];
  out->extra_count += count == 2 ? 2 : fold->count;
  bool added;
  if (count == 2)
    added = add(folded, 2, live) ||
            (add_single(&folded[0], live_between(&folded[1], live)) && add_single(&folded[1], live));
  else
    added = add_single(&folded[0], live) && (fold->count == 1 || add_single(&folded[1], live));
  if (!added || (stack_offset && calls_helper(first))) {
    out->count = first;
    out->extra_count = extra;
    return false;
  }
  out->piece[first].starts = true;
  return true;
}

static bool mentions_esp(const struct insn *insn) {
  for (unsigned i = 0; i < 4; i++)
    if (insn->form.op[i].kind == OPERAND_GPR && insn->form.op[i].reg == GPR_ESP)
      return true;
  return false;
}

/* An instruction, or two to be fused, with the stack pointer deferred where that can be. */
static void select_insns(const struct insn *insns, unsigned count, uint8_t live) {
  struct stack_fold fold;
  enum stack_use use = STACK_NEEDED;
  if (in_haste)
    use = STACK_NEEDED; /* and never behind: folding takes longer than it saves */
  else if (count == 1)
    use = stack_fold(&fold, insns, live, stack_offset);
  else if (insns[1].flow == FLOW_NEXT && !mentions_esp(&insns[1]))
    use = stack_fold(&fold, insns, FLAGS_ALL, stack_offset);
  if (use == STACK_FOLDED && add_folded(&fold, insns, count, live)) {
    stack_offset = fold.after;
    return;
  }
  if (use == STACK_FOLDED || use == STACK_NEEDED)
    catch_up(insns[0].eip);
  unsigned first = out->count;
  add_or_note(insns, count, live);
  if (stack_offset && calls_helper(first)) {
    out->count = first;
    catch_up(insns[0].eip);
    add_or_note(insns, count, live);
  }
  if (use == STACK_REPLACED)
    stack_offset = 0;
}

/* --- Calls that are not calls ---------------------------------------------------------------------- */

/* A call to the next instruction, or to `mov (%esp),%reg; ret`. */
bool select_address_thunk(const struct insn *insn, const struct discover_options *options, unsigned *reg) {
  if (insn->flow != FLOW_CALL || insn->form.operand_width != 4)
    return false;
  if (insn->target == insn_next(insn)) {
    *reg = GPR_COUNT;
    return true;
  }
  const uint8_t *bytes;
  if (options->fetch(options->context, insn->target, &bytes) < 4)
    return false;
  /* 8B /r with mod 0 and the SIB byte 24: mov reg,[esp]; C3: ret */
  if (bytes[0] != 0x8B || (bytes[1] & 0xC7) != 0x04 || bytes[2] != 0x24 || bytes[3] != 0xC3)
    return false;
  *reg = bytes[1] >> 3 & 7;
  return *reg != GPR_ESP;
}

/* What such a call does, as push and pop: the return address stays below the stack's top. */
static void add_thunk(const struct insn *call, unsigned reg) {
  struct insn *insn = &out->extra[out->extra_count];
  uint8_t push[16] = {0x68}, pop[16] = {(uint8_t)(0x58 + reg)};
  guest_addr back = insn_next(call);
  memcpy(push + 1, &back, 4);
  insn_decode_cached(&insn[0], push, sizeof push, call->eip);
  out->extra_count++;
  select_insns(&insn[0], 1, 0);
  if (reg == GPR_COUNT)
    return;
  insn = &out->extra[out->extra_count++];
  insn_decode_cached(insn, pop, sizeof pop, call->eip);
  unsigned first = out->count;
  select_insns(insn, 1, 0);
  for (unsigned p = first; p < out->count; p++)
    out->piece[p].starts = false;
}

/* --- Calls and returns ------------------------------------------------------------------------------
 * Both move the stack pointer, and what is deferred of it goes along. */

static void add_transfer(const struct insn *insn) {
  const bool is_call = insn_is_call(insn);
  out->piece[out->count++] = (struct selected){.kind = is_call ? SELECTED_CALL : SELECTED_RETURN,
                                               .insn = insn,
                                               .eip = insn->eip,
                                               .stack = (int16_t)stack_offset,
                                               .count = 1,
                                               .starts = true};
  stack_offset = 0;
}

/* --- Flags in the host's register ------------------------------------------------------------------------
 * Where flags are read, the instructions that set and read them are taken as they are (direct.h), and
 * selection keeps account of which flags the host's register has. A place where it has some that are read
 * later is no entry. */

/* For `unrecorded`: what has set them comes before the blocks being selected for. */
enum { SET_BEFORE = UINT32_MAX };

static struct {
  uint8_t held;  /* FLAGS_* that it has */
  uint8_t valid; /* those of them that somebody may look at */
  uint8_t dirty; /* those of them that the register file has not */
  uint8_t shown; /* those that a fault shows, though nobody reads them, and no record has (flag_record.h) */
  bool inherited;      /* they are as the first of the blocks being selected for was entered with them */
  uint32_t unrecorded; /* the piece that has set them, all of them, and has no record, plus one; 0: there is
                          none */
} host_flags;
static bool goes_on; /* they are good for the next block, which is nobody's but this one's */

static void forget_host_flags(void) { memset(&host_flags, 0, sizeof host_flags); }

/* Of the flags that it has those are left that somebody may look at, when `live` are read: with records, all
 * if it has all, for a block that comes may need them there. */
static void keep_host_flags(uint8_t live) {
  if (!has_records || host_flags.held != FLAGS_ALL)
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

/* FLAGS_* that must be somewhere when the block begins. */
static uint8_t flags_wanted(const struct unit *unit, int block) {
  return unit->block[block].shows_flags ? FLAGS_ALL : unit_live_before(unit, unit->block[block].first);
}

/* Is there nothing to be saved or recorded on the way to the block? */
static bool carries(const struct unit *unit, int block) {
  if (block < 0 || !out->carried[block])
    return block >= 0 && !in_haste && !flags_wanted(unit, block);
  if (host_flags.shown || flags_wanted(unit, block) & (uint8_t)~host_flags.held) {
    out->carried[block] = false;
    return false;
  }
  const uint8_t live = unit_live_before(unit, unit->block[block].first);
  edges.edge[edges.count++] = (struct edge){.from = edges.chain,
                                            .to = (uint16_t)block,
                                            .unrecorded = host_flags.unrecorded,
                                            .inherited = host_flags.inherited,
                                            .is_unsaved = host_flags.dirty & live};
  return true;
}

/* A fault could not find them in the host's register any more: they are recorded after all. */
static void record_flags(uint32_t unrecorded, uint16_t chain) {
  if (unrecorded == SET_BEFORE)
    edges.needs_record[chain] = true;
  else if (unrecorded)
    out->piece[unrecorded - 1].unrecorded = false;
}

static void record_host_flags(void) {
  record_flags(host_flags.unrecorded, edges.chain);
  host_flags.unrecorded = 0;
}

/* What the pieces from number `first` on find in the host's register. */
static void note_host_flags(unsigned first) {
  for (unsigned p = first; p < out->count; p++)
    out->piece[p].host_flags = host_flags.valid, out->piece[p].inherits = host_flags.inherited;
}

static void add_save(uint8_t flags) {
  if (flags)
    out->piece[out->count++] = (struct selected){.kind = SELECTED_SAVE, .save = flags};
}

/* Puts the saving of all that is dirty before piece number `at`: behind the instruction before it. */
static void save_before(unsigned at) {
  record_host_flags();
  if (!host_flags.dirty)
    return;
  const unsigned count = out->count - at;
  out->count = at;
  memmove(&out->piece[at + 1], &out->piece[at], count * sizeof *out->piece);
  add_save(host_flags.dirty);
  out->count += count;
}

/* The instruction has been selected for by stencils, from piece `first` on: they find flags in the register
 * file, and most of them change the host's. */
static void account_for_stencils(unsigned first, const struct insn *insn, bool leaves) {
  const bool is_partial = insn->flags_changed && insn->flags_written != FLAGS_ALL;
  bool is_neutral = !leaves && !is_partial && !(insn->flags_read & host_flags.dirty);
  for (unsigned p = first; p < out->count && is_neutral; p++)
    is_neutral = !out->piece[p].stencil || out->piece[p].stencil->flags & STENCIL_NEUTRAL;
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
  if (in_haste || !direct_can(insn))
    return false;
  const uint8_t lacking = host_flags_needed(insn, live) & (uint8_t)~host_flags.valid;
  if (lacking)
    return lacking == FLAGS_C && insn->condition == CONDITION_NONE && insn->flags_read == FLAGS_C;
  return insn->flags_read || host_flags.dirty || (insn->flags_changed & live) || !mentions_esp(insn);
}

static void load_carry(void) {
  save_before(out->count);
  out->piece[out->count++] = (struct selected){.kind = SELECTED_LOAD_CARRY};
  host_flags.held = host_flags.valid = FLAGS_C;
  host_flags.dirty = 0;
}

/* The instruction as it is, with the stack pointer's register left behind where that can be. */
static void add_direct(const struct insn *insn, uint8_t live, enum flag_record record) {
  struct stack_fold fold;
  const unsigned first = out->count;
  if (host_flags_needed(insn, live) & (uint8_t)~host_flags.valid)
    load_carry();
  enum stack_use use = stack_fold(&fold, insn, FLAGS_ALL, stack_offset);
  if (use == STACK_FOLDED && fold.count == 1 && direct_can(&fold.insn[0]))
    insn = memcpy(&out->extra[out->extra_count++], &fold.insn[0], sizeof *insn);
  else if (use != STACK_UNUSED)
    catch_up(insn->eip);
  out->piece[out->count++] = (struct selected){.kind = SELECTED_DIRECT,
                                               .insn = insn,
                                               .eip = insn->eip,
                                               .stack = (int16_t)stack_offset,
                                               .count = 1,
                                               .starts = true};
  note_host_flags(first);
  host_flags.held |= insn->flags_written;
  host_flags.valid |= insn->flags_written;
  host_flags.dirty = (uint8_t)((host_flags.dirty & ~insn->flags_changed) | (insn->flags_changed & live));
  if (!insn->flags_changed)
    return;
  host_flags.inherited = false;
  if (flag_record_is_void(record))
    host_flags.shown = FLAGS_ALL;
  else
    host_flags.shown &= record == FLAG_RECORD_NONE ? (uint8_t)~insn->flags_changed : 0;
  host_flags.unrecorded = record != FLAG_RECORD_NONE && host_flags.valid == FLAGS_ALL ? out->count : 0;
  out->piece[out->count - 1].unrecorded = host_flags.unrecorded;
}

/* The conditional jump at the block's end. What is read on both ways is saved before it; the flag that spoils
 * the others is not. */
static void add_direct_branch(const struct unit *unit, const struct block *block, const struct insn *jump) {
  const struct block *next = block + 1;
  goes_on = block->next == next - unit->block && !next->leader;
  const bool taken_carries = carries(unit, block->taken),
             next_carries = goes_on || carries(unit, block->next);
  if (!taken_carries || !next_carries)
    record_host_flags();
  const uint8_t taken = taken_carries ? 0 : host_flags.dirty & (block->live_taken | host_flags.shown);
  const uint8_t fallen = next_carries ? 0 : host_flags.dirty & (block->live_next | host_flags.shown);
  const uint8_t both = taken & fallen & (uint8_t)~FLAGS_A;
  add_save(both);
  host_flags.dirty &= (uint8_t)~both;
  add_direct(jump, 0, FLAG_RECORD_NONE);
  if (taken & ~both)
    out->detour[out->detour_count++] =
        (struct detour){.save = taken & (uint8_t)~both, .block = (uint16_t)(block - unit->block)};
  add_save(fallen & (uint8_t)~both);
  if (!goes_on)
    forget_host_flags();
}

/* --- A unit ---------------------------------------------------------------------------------------- */

static bool is_fused(const struct unit *unit, const struct block *block, unsigned i) {
  return i + 1 < (unsigned)block->first + block->count && unit->record[i + 1] == FLAG_RECORD_NONE &&
         unit->record[i] != FLAG_RECORD_VOID_AFTER && shape_can_fuse(&unit->insn[i], &unit->insn[i + 1]);
}

/* Blocks may be carried to that are jumped to from within the unit only, by jumps that stay there. */
static void find_carried(const struct unit *unit, bool may_carry) {
  may_carry = may_carry && !in_haste && engine.options.tier != RUNTIME_TIER_REGION;
  for (unsigned b = 0; b < unit->block_count; b++) {
    const struct block *block = &unit->block[b];
    out->carried[b] = may_carry && block->leader && unit->insn[block->first].eip != unit->entry &&
                      flags_wanted(unit, (int)b);
  }
  for (unsigned i = 0; may_carry && i < unit->insn_count; i++)
    for (unsigned b = 0; unit->insn[i].flow == FLOW_CALL && b < unit->block_count; b++)
      if (unit->insn[unit->block[b].first].eip == unit->insn[i].target)
        out->carried[b] = false;
}

/* What the block begins with. */
static void enter_block(const struct unit *unit, unsigned b) {
  forget_host_flags();
  if (!out->carried[b])
    return;
  host_flags.inherited = true;
  host_flags.held = host_flags.valid = flags_wanted(unit, (int)b);
  host_flags.dirty = unit_live_before(unit, unit->block[b].first);
  host_flags.unrecorded = unit->block[b].shows_flags ? SET_BEFORE : 0;
}

/* The end of a block that does not end in a direct branch. */
static void leave_block(const struct unit *unit, const struct block *block) {
  const struct insn *last = &unit->insn[block->first + block->count - 1];
  const unsigned first = out->count;
  const bool taken_carries = block->taken < 0 || carries(unit, block->taken);
  const bool next_carries = carries(unit, block->next);
  if (!taken_carries || !next_carries) {
    save_before(out->count);
    forget_host_flags();
  }
  catch_up(insn_next(last));
  note_host_flags(first);
  forget_host_flags();
}

static void select_block(const struct unit *unit, const struct block *block,
                         const struct discover_options *options) {
  unsigned end = (unsigned)block->first + block->count, reg;
  goes_on = false;
  for (unsigned i = block->first; i < end; i++) {
    const struct insn *insn = &unit->insn[i];
    const unsigned first = out->count;
    keep_host_flags(unit_live_before(unit, i));
    if (!missing.count)
      missing.first = i;
    if (is_wanted_directly(insn, unit->live[i])) {
      if (insn->flow != FLOW_CONDITIONAL) {
        add_direct(insn, unit->live[i], (enum flag_record)unit->record[i]);
        continue;
      }
      add_direct_branch(unit, block, insn);
      return;
    }
    if (insn->flow == FLOW_JUMP && carries(unit, block->taken)) {
      select_insns(insn, 1, 0);
      note_host_flags(first);
      forget_host_flags();
      return;
    }
    if (select_address_thunk(insn, options, &reg)) {
      add_thunk(insn, reg);
    } else if (!in_haste && direct_can_transfer(insn)) {
      add_transfer(insn);
    } else if (is_fused(unit, block, i)) {
      i++;
      select_insns(insn, 2, unit->record[i - 1] == FLAG_RECORD_VOID ? FLAGS_ALL : unit->live[i]);
    } else {
      select_insns(insn, 1, unit->live[i]);
    }
    account_for_stencils(first, insn, unit->insn[i].flow != FLOW_NEXT);
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
    out->block_begin[b] = (uint16_t)out->count;
    select_block(unit, &unit->block[b], options);
    out->block_end[b] = (uint16_t)out->count;
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
  for (unsigned d = 0; d < out->detour_count; d++)
    if (out->detour[d].block < begin || out->detour[d].block >= end)
      out->detour[kept++] = out->detour[d];
  out->detour_count = kept;
}

/* Has the chain been selected for on an assumption that was given up? */
static bool is_outdated(unsigned chain, bool was_carried) {
  if (was_carried != out->carried[chain])
    return true;
  for (unsigned e = 0; e < edges.count; e++)
    if (edges.edge[e].from == chain && edges.edge[e].is_unsaved && !out->carried[edges.edge[e].to])
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
      if (!edge->unrecorded || (out->carried[edge->to] && !edges.needs_record[edge->to]))
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
    needs[b] = out->carried[b] && (unit_live_before(unit, unit->block[b].first) || !edges.needs_record[b]);
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
    if (!out->carried[b] || needs[b])
      continue;
    out->carried[b] = false;
    for (unsigned p = out->block_begin[b]; p < out->block_end[end - 1]; p++)
      if (out->piece[p].inherits)
        out->piece[p].host_flags = 0;
  }
}

/* Does selecting once more for all of the unit fit behind what there is? */
static bool has_room(const struct unit *unit) {
  const unsigned most = SELECTED_PER_INSN * unit->insn_count;
  return out->count + most <= SELECTED_LIMIT && out->extra_count + most <= SELECTED_LIMIT;
}

static void select_unit(const struct unit *unit, const struct discover_options *options, bool may_carry) {
  bool was_carried[UNIT_BLOCK_LIMIT], outdated = true;
  missing.count = out->count = out->extra_count = out->detour_count = 0;
  edges.count = 0;
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
      was_carried[b] = out->carried[b];
      select_chain(unit, b, options);
      outdated = true;
    }
  }
  find_needed_records();
  find_independent(unit);
}

unsigned select_stencils(struct selection *selection, const struct unit *unit,
                         const struct discover_options *options) {
  /* The second round finds what the first had made; a refused pair needs a third for its parts. */
  enum { ROUNDS = 6 };
  out = selection;
  in_haste = !options->follow;
  has_records = options->records;
  for (unsigned round = 0; round < ROUNDS; round++) {
    select_unit(unit, options, true);
    if (!missing.count)
      return unit->insn_count;
    if (!options->follow && missing.first)
      return missing.first;
    stencil_source_make(missing.source, missing.count);
  }
  engine_fatal(missing.source[0].insn[0].eip, "no stencil for '%s'",
               insn_name(&missing.source[0].insn[0].form));
}
