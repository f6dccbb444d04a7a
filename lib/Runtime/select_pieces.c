/* Selecting stencils for one instruction, or two to be fused.
 *
 * Best is the stencil of an instruction or a fused pair that keeps just the flags that are read. If there is
 * an address in it, one stencil serves for all, and gets the address at hand; where that cannot be, there may
 * be one for the address. Where the library has none, others do the same work: one that keeps more flags; a
 * pair's instructions one by one; the address computed by one stencil and used by the next. Only when these
 * fail is a stencil compiled, for which LLVM must be loaded. */
#include "Frontend/decode_cache.h"
#include "Frontend/stack_fold.h"
#include "Runtime/select_internal.h"

#include <string.h>

struct selecting selecting;

/* --- Pieces ----------------------------------------------------------------------------------------- */

static bool add(const struct insn *insns, unsigned count, uint8_t live) {
  int address;
  const struct stencil *stencil = stencil_choose(insns, count, live, &address);
  if (!stencil)
    return false;
  __builtin_prefetch(stencil->reloc); /* to be copied soon, most of them from where nothing was read yet */
  if (count == 2 && stencil->flags & STENCIL_REFUSED)
    return false;
  selecting.out->piece[selecting.out->count++] =
      (struct selected){.insn = insns,
                        .stencil = stencil,
                        .address = address < 0 ? NULL : &insns[0].form.op[address],
                        .kind = SELECTED_STENCIL,
                        .eip = insns[0].eip,
                        .stack = (int16_t)selecting.stack,
                        .count = (uint8_t)count};
  return true;
}

static bool add_split(const struct insn *insn, uint8_t live) {
  struct insn *parts = &selecting.out->extra[selecting.out->extra_count];
  unsigned count = selecting.out->count;
  if (selecting.out->extra_count + 2 > SELECTED_LIMIT || !shape_split_address(insn, parts))
    return false;
  if (!add(&parts[0], 1, 0) || !add(&parts[1], 1, live)) {
    selecting.out->count = count;
    return false;
  }
  selecting.out->extra_count += 2;
  return true;
}

static bool add_single(const struct insn *insn, uint8_t live) {
  return add(insn, 1, live) || add_split(insn, live);
}

static uint8_t live_between(const struct insn *second, uint8_t live) {
  return (uint8_t)((live & ~second->flags_written) | second->flags_read);
}

/* --- What is missing ------------------------------------------------------------------------------- */

static void note_missing(const struct insn *insns, unsigned count, uint8_t live) {
  if (selecting.missing.count == MISSING_LIMIT)
    return; /* the next round asks again */
  struct stencil_source *source = &selecting.missing.source[selecting.missing.count++];
  memset(source, 0, sizeof *source);
  memcpy(source->insn, insns, count * sizeof *insns);
  source->count = (uint8_t)count;
  source->live = live;
}

/* Too many values for the host's registers are fewer with the address computed apart: what is refused as one
 * stencil may be two. */
static void split_refused(const struct insn *insn, uint8_t live, unsigned first) {
  struct insn *parts = &selecting.out->extra[selecting.out->extra_count];
  selecting.out->count = first;
  if (add_split(insn, live))
    return;
  if (selecting.out->extra_count + 2 <= SELECTED_LIMIT && shape_split_address(insn, parts)) {
    note_missing(&parts[0], 1, 0);
    note_missing(&parts[1], 1, live);
  }
  add(insn, 1, live);
}

static void add_or_note(const struct insn *insns, unsigned count, uint8_t live) {
  unsigned first = selecting.out->count;
  if (count == 1) {
    if (!add_single(insns, live))
      note_missing(insns, 1, live);
    else if (selecting.out->count == first + 1 &&
             selecting.out->piece[first].stencil->flags & STENCIL_REFUSED)
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
  if (selecting.out->count > first)
    selecting.out->piece[first].starts = true;
}

/* --- The stack pointer --------------------------------------------------------------------------- */

/* Here the register of ESP catches up: by the instruction at eip it is right. */
void select_catch_up(guest_addr eip) {
  if (selecting.stack)
    selecting.out->piece[selecting.out->count++] = (struct selected){.kind = SELECTED_ADJUST,
                                                                     .eip = eip,
                                                                     .stack = (int16_t)selecting.stack,
                                                                     .adjust = (int16_t)selecting.stack,
                                                                     .starts = true};
  selecting.stack = 0;
}

/* Helpers look at the guest's registers. */
static bool calls_helper(unsigned first) {
  for (unsigned p = first; p < selecting.out->count; p++) {
    const struct stencil *stencil = selecting.out->piece[p].stencil;
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
  unsigned first = selecting.out->count, extra = selecting.out->extra_count;
  if (fold->count == 0) {
    selecting.out->piece[selecting.out->count++] = (struct selected){
        .kind = SELECTED_ADJUST, .eip = insns[0].eip, .stack = (int16_t)selecting.stack, .starts = true};
    return true;
  }
  struct insn *folded = &selecting.out->extra[selecting.out->extra_count];
  memcpy(folded, fold->insn, fold->count * sizeof *folded);
  if (count == 2)
    folded[1] = insns[1];
  selecting.out->extra_count += count == 2 ? 2 : fold->count;
  bool added;
  if (count == 2)
    added = add(folded, 2, live) ||
            (add_single(&folded[0], live_between(&folded[1], live)) && add_single(&folded[1], live));
  else
    added = add_single(&folded[0], live) && (fold->count == 1 || add_single(&folded[1], live));
  if (!added || (selecting.stack && calls_helper(first))) {
    selecting.out->count = first;
    selecting.out->extra_count = extra;
    return false;
  }
  selecting.out->piece[first].starts = true;
  return true;
}

bool select_mentions_esp(const struct insn *insn) {
  for (unsigned i = 0; i < 4; i++)
    if (insn->form.op[i].kind == OPERAND_GPR && insn->form.op[i].reg == GPR_ESP)
      return true;
  return false;
}

/* An instruction, or two to be fused, with the stack pointer deferred where that can be. */
void select_insns(const struct insn *insns, unsigned count, uint8_t live) {
  struct stack_fold fold;
  enum stack_use use = STACK_NEEDED;
  if (selecting.in_haste)
    use = STACK_NEEDED; /* and never behind: folding takes longer than it saves */
  else if (count == 1)
    use = stack_fold(&fold, insns, live, selecting.stack);
  else if (insns[1].flow == FLOW_NEXT && !select_mentions_esp(&insns[1]))
    use = stack_fold(&fold, insns, FLAGS_ALL, selecting.stack);
  if (use == STACK_FOLDED && add_folded(&fold, insns, count, live)) {
    selecting.stack = fold.after;
    return;
  }
  if (use == STACK_FOLDED || use == STACK_NEEDED)
    select_catch_up(insns[0].eip);
  unsigned first = selecting.out->count;
  add_or_note(insns, count, live);
  if (selecting.stack && calls_helper(first)) {
    selecting.out->count = first;
    select_catch_up(insns[0].eip);
    add_or_note(insns, count, live);
  }
  if (use == STACK_REPLACED)
    selecting.stack = 0;
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
void select_thunk(const struct insn *call, unsigned reg) {
  struct insn *insn = &selecting.out->extra[selecting.out->extra_count];
  uint8_t push[16] = {0x68}, pop[16] = {(uint8_t)(0x58 + reg)};
  guest_addr back = insn_next(call);
  memcpy(push + 1, &back, 4);
  insn_decode_cached(&insn[0], push, sizeof push, call->eip);
  selecting.out->extra_count++;
  select_insns(&insn[0], 1, 0);
  if (reg == GPR_COUNT)
    return;
  insn = &selecting.out->extra[selecting.out->extra_count++];
  insn_decode_cached(insn, pop, sizeof pop, call->eip);
  unsigned first = selecting.out->count;
  select_insns(insn, 1, 0);
  for (unsigned p = first; p < selecting.out->count; p++)
    selecting.out->piece[p].starts = false;
}

/* --- Calls and returns ------------------------------------------------------------------------------
 * Both move the stack pointer, and what is deferred of it goes along. */

void select_transfer(const struct insn *insn) {
  const bool is_call = insn_is_call(insn);
  selecting.out->piece[selecting.out->count++] =
      (struct selected){.kind = is_call ? SELECTED_CALL : SELECTED_RETURN,
                        .insn = insn,
                        .eip = insn->eip,
                        .stack = (int16_t)selecting.stack,
                        .count = 1,
                        .starts = true};
  selecting.stack = 0;
}
