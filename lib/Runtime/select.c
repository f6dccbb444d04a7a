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

static struct {
  uint8_t valid; /* FLAGS_* that it has */
  uint8_t dirty; /* those of them that the register file has not */
  uint8_t shown; /* those that a fault shows, though nobody reads them, and no record has (flag_record.h) */
  unsigned unrecorded; /* the piece that has set them, all of them, and has no record, plus one; 0: there is
                          none */
} host_flags;
static bool goes_on; /* they are good for the next block, which is nobody's but this one's */

static void forget_host_flags(void) { memset(&host_flags, 0, sizeof host_flags); }

/* Of the flags that it has those are left that somebody may look at, when `live` are read. */
static void keep_host_flags(uint8_t live) {
  if (!host_flags.unrecorded)
    host_flags.valid &= live | host_flags.shown;
  host_flags.dirty &= live | host_flags.shown;
}

/* A fault could not find them in the host's register any more: they are recorded after all. */
static void record_host_flags(void) {
  if (host_flags.unrecorded)
    out->piece[host_flags.unrecorded - 1].unrecorded = false;
  host_flags.unrecorded = 0;
}

/* What the pieces from number `first` on find in the host's register. */
static void note_host_flags(unsigned first) {
  for (unsigned p = first; p < out->count; p++)
    out->piece[p].host_flags = host_flags.valid;
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
  host_flags.valid = FLAGS_C;
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
  host_flags.valid |= insn->flags_written;
  host_flags.dirty = (uint8_t)((host_flags.dirty & ~insn->flags_changed) | (insn->flags_changed & live));
  if (!insn->flags_changed)
    return;
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
  record_host_flags();
  const uint8_t taken = host_flags.dirty & (block->live_taken | host_flags.shown);
  const uint8_t fallen = goes_on ? 0 : host_flags.dirty & (block->live_next | host_flags.shown);
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

static void select_block(const struct unit *unit, const struct block *block,
                         const struct discover_options *options) {
  unsigned end = (unsigned)block->first + block->count, reg;
  if (!goes_on)
    forget_host_flags();
  goes_on = false;
  for (unsigned i = block->first; i < end; i++) {
    const struct insn *insn = &unit->insn[i];
    const unsigned first = out->count;
    keep_host_flags(unit_live_before(unit, i));
    if (!missing.count)
      missing.first = i;
    if (is_wanted_directly(insn, unit->live[i])) {
      if (insn->flow == FLOW_CONDITIONAL)
        add_direct_branch(unit, block, insn);
      else
        add_direct(insn, unit->live[i], (enum flag_record)unit->record[i]);
      continue;
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
  if (!goes_on) {
    save_before(out->count);
    forget_host_flags();
  }
  catch_up(insn_next(&unit->insn[end - 1]));
}

unsigned select_stencils(struct selection *selection, const struct unit *unit,
                         const struct discover_options *options) {
  /* The second round finds what the first had made; a refused pair needs a third for its parts. */
  enum { ROUNDS = 6 };
  out = selection;
  in_haste = !options->follow;
  for (unsigned round = 0; round < ROUNDS; round++) {
    missing.count = out->count = out->extra_count = out->detour_count = 0;
    goes_on = false;
    for (unsigned b = 0; b < unit->block_count; b++) {
      select_block(unit, &unit->block[b], options);
      out->block_end[b] = (uint16_t)out->count;
    }
    if (!missing.count)
      return unit->insn_count;
    if (!options->follow && missing.first)
      return missing.first;
    stencil_source_make(missing.source, missing.count);
  }
  engine_fatal(missing.source[0].insn[0].eip, "no stencil for '%s'",
               insn_name(&missing.source[0].insn[0].form));
}
