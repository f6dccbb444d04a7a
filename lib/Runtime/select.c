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
#include "Runtime/engine.h"

#include <Zydis/Mnemonic.h>
#include <string.h>

static struct selection *out;
static int32_t stack_offset; /* what guest ESP is above its register, where selection has come to */
static bool in_haste;        /* for code that may run once */

/* --- Finding a stencil ---------------------------------------------------------------------------- */

/* The stencil of just this shape, or better, the one for all addresses: *address gets the index of the
 * operand that goes into it then, or -1. */
static const struct stencil *find(const struct insn *insns, unsigned count, uint8_t live, int *address) {
  struct shape shape, general;
  shape_of(&shape, insns, count, live);
  general = shape;
  *address = shape_generalise(&general);
  if (*address >= 0) {
    const struct stencil *stencil = stencil_source_find(&general);
    if (stencil && stencil->memory.modrm)
      return stencil;
  }
  *address = -1;
  return stencil_source_find(&shape);
}

/* What was found before, by the patterns of the instructions: most look-ups end here, without a shape to make
 * or to compare. Stencils made on demand may move and are not kept. */
struct found {
  uint32_t stencil; /* in the built-in library (stencil_source_place); 0: nothing found yet */
  uint8_t live;
  int8_t address;
};

/* What a single instruction was last found for, by its pattern. */
static struct found last_found[PATTERN_LIMIT];

/* All that was found: in the order in which it was met, so that few pages of memory are touched; number 0 is
 * none. */
enum { MEMO_LIMIT = UINT16_MAX + 1, MEMO_CHAINS = 1 << 14 };
static struct memo {
  struct found found;
  uint32_t first, second; /* patterns; second 0: there is none */
  uint16_t next;          /* in its chain */
} memos[MEMO_LIMIT];
static uint16_t memo_chain[MEMO_CHAINS];
static unsigned memo_count = 1;

static uint16_t *memo_chain_of(const struct memo *memo) {
  uint32_t hash = (memo->first * 0x9E3779B1u ^ memo->second * 0x85EBCA6Bu) + memo->found.live * 0xC2B2AE35u;
  return &memo_chain[hash >> 18];
}

static const struct memo *memo_find(const struct memo *like) {
  for (unsigned number = *memo_chain_of(like); number; number = memos[number].next)
    if (memos[number].first == like->first && memos[number].second == like->second &&
        memos[number].found.live == like->found.live)
      return &memos[number];
  return NULL;
}

static void memo_add(struct memo *memo) {
  if (memo_count == MEMO_LIMIT)
    return;
  uint16_t *chain = memo_chain_of(memo);
  memo->next = *chain;
  *chain = (uint16_t)memo_count;
  memos[memo_count++] = *memo;
}

/* The stencil to use: the one that find() finds, or one that keeps more flags. */
static const struct stencil *choose(const struct insn *insns, unsigned count, uint8_t live, int *address) {
  uint8_t changed = insns[0].flags_changed | (count == 2 ? insns[1].flags_changed : 0);
  struct memo memo = {.found.live = shape_round_flags(live, changed),
                      .first = insns[0].pattern,
                      .second = count == 2 ? insns[1].pattern : 0};
  const bool is_known = memo.first && (memo.second || count == 1);
  struct found *last = count == 1 && memo.first < PATTERN_LIMIT ? &last_found[memo.first] : NULL;
  if (is_known) {
    const struct found *found = last;
    if (!last || !last->stencil || last->live != memo.found.live) {
      const struct memo *before = memo_find(&memo);
      found = before ? &before->found : NULL;
    }
    if (found) {
      if (last)
        *last = *found;
      *address = found->address;
      return stencil_source_at(found->stencil);
    }
  }
  const struct stencil *stencil = find(insns, count, live, address);
  if (!stencil && live != FLAGS_ALL)
    stencil = find(insns, count, FLAGS_ALL, address);
  memo.found.address = (int8_t)*address;
  memo.found.stencil = stencil_source_place(stencil);
  if (is_known && memo.found.stencil) {
    memo_add(&memo);
    if (last)
      *last = memo.found;
  }
  return stencil;
}

static bool add(const struct insn *insns, unsigned count, uint8_t live) {
  int address;
  const struct stencil *stencil = choose(insns, count, live, &address);
  if (!stencil)
    return false;
  __builtin_prefetch(stencil->reloc); /* to be copied soon, most of them from where nothing was read yet */
  if (count == 2 && stencil->flags & STENCIL_REFUSED)
    return false;
  out->piece[out->count++] = (struct selected){.insn = insns,
                                               .stencil = stencil,
                                               .address = address < 0 ? NULL : &insns[0].form.op[address],
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
    bool refused = choose(insns, 2, live, &address);
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
    out->piece[out->count++] = (struct selected){
        .eip = eip, .stack = (int16_t)stack_offset, .adjust = (int16_t)stack_offset, .starts = true};
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
    out->piece[out->count++] =
        (struct selected){.eip = insns[0].eip, .stack = (int16_t)stack_offset, .starts = true};
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

/* --- Flags that one way of a branch needs ------------------------------------------------------------
 * Often flags are read on one way of a branch only, or cannot be seen not to be, on a way out of the unit
 * that is seldom taken. The branch then does without them, and the way that needs them compares once more: a
 * comparison changes nothing else, and its operands are still there. Where that way begins with another
 * branch, the two are fused. */

static bool can_be_repeated(const struct insn *insn) {
  return insn->form.mnemonic == ZYDIS_MNEMONIC_CMP || insn->form.mnemonic == ZYDIS_MNEMONIC_TEST;
}

/* The jump that the branch's fall-through consists of, if it reads the same comparison; else NULL. */
static const struct insn *second_branch(const struct insn *insns, const struct unit *unit,
                                        const struct block *block) {
  const struct block *next = block + 1;
  if (block->next != next - unit->block || next->leader || next->count != 1)
    return NULL;
  const struct insn *jump = &unit->insn[next->first];
  return jump->flow == FLOW_CONDITIONAL && shape_can_fuse(insns, jump) ? jump : NULL;
}

static void select_branch(const struct insn *insns, const struct unit *unit, const struct block *block) {
  uint8_t changed = insns[0].flags_changed;
  const struct insn *second = NULL;
  if (in_haste || !can_be_repeated(insns) || out->detour_count == UNIT_BLOCK_LIMIT) {
    select_insns(insns, 2, block->live_taken | block->live_next);
    return;
  }
  if (out->extra_count + 2 <= SELECTED_LIMIT)
    second = second_branch(insns, unit, block);
  uint8_t taken = shape_round_flags(block->live_taken, changed);
  uint8_t next = second ? 0 : shape_round_flags(block->live_next, changed);
  uint8_t both = shape_round_flags(taken & next, changed);
  select_insns(insns, 2, both);
  if (next & ~both)
    add_or_note(insns, 1, next);
  if (taken & ~both)
    out->detour[out->detour_count++] =
        (struct detour){.insn = insns, .live = taken, .block = (uint16_t)(block - unit->block)};
  if (second) {
    out->repeated = &out->extra[out->extra_count];
    out->extra_count += 2;
    out->repeated[0] = insns[0];
    out->repeated[1] = *second;
  }
}

/* The detours' pieces come after all blocks'. */
static void select_detours(void) {
  for (unsigned d = 0; d < out->detour_count; d++) {
    struct detour *detour = &out->detour[d];
    detour->first = (uint16_t)out->count;
    add_or_note(detour->insn, 1, detour->live);
    detour->end = (uint16_t)out->count;
  }
}

/* An instruction that reads the flags of a comparison further up compares once more, and is fused with that:
 * the flags are in the register file, but come from there late. False if it cannot be. */
static bool select_repeated(const struct unit *unit, const struct block *block, unsigned i) {
  const struct insn *insn = &unit->insn[i];
  const struct insn *setter = shape_repeatable_setter(&unit->insn[block->first], i - block->first);
  if (!setter || unit->record[i] != FLAG_RECORD_NONE || mentions_esp(setter) || mentions_esp(insn) ||
      out->extra_count + 2 > SELECTED_LIMIT)
    return false;
  struct insn *pair = &out->extra[out->extra_count];
  pair[0] = *setter;
  pair[0].eip = insn->eip;
  pair[1] = *insn;
  int address;
  uint8_t live = unit->live[i] & insn->flags_changed; /* the others have been kept already */
  const struct stencil *stencil = find(pair, 2, live, &address);
  if (!stencil || stencil->flags & STENCIL_REFUSED)
    return false;
  out->extra_count += 2;
  unsigned first = out->count;
  select_insns(pair, 2, live);
  /* Nobody enters here, for others may come with other flags. */
  for (unsigned p = first; p < out->count; p++)
    if (out->piece[p].stencil)
      out->piece[p].starts = false;
  return true;
}

/* --- A unit ---------------------------------------------------------------------------------------- */

static void select_block(const struct unit *unit, const struct block *block,
                         const struct discover_options *options) {
  unsigned end = (unsigned)block->first + block->count, reg;
  if (out->repeated) {
    const struct insn *pair = out->repeated;
    out->repeated = NULL;
    select_branch(pair, unit, block);
    return;
  }
  for (unsigned i = block->first; i < end; i++) {
    const struct insn *insn = &unit->insn[i];
    if (!missing.count)
      missing.first = i;
    if (select_address_thunk(insn, options, &reg)) {
      add_thunk(insn, reg);
    } else if (i + 1 < end && unit->record[i + 1] == FLAG_RECORD_NONE && unit->record[i] != FLAG_RECORD_VOID_AFTER &&
               shape_can_fuse(insn, insn + 1)) {
      if (unit->record[i] == FLAG_RECORD_VOID)
        select_insns(insn, 2, FLAGS_ALL);
      else if (insn[1].flow == FLOW_CONDITIONAL)
        select_branch(insn, unit, block);
      else
        select_insns(insn, 2, unit->live[i + 1]);
      i++;
    } else if (in_haste || !select_repeated(unit, block, i)) {
      select_insns(insn, 1, unit->live[i]);
    }
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
    out->repeated = NULL;
    for (unsigned b = 0; b < unit->block_count; b++) {
      select_block(unit, &unit->block[b], options);
      out->block_end[b] = (uint16_t)out->count;
    }
    select_detours();
    if (!missing.count)
      return unit->insn_count;
    if (!options->follow && missing.first)
      return missing.first;
    stencil_source_make(missing.source, missing.count);
  }
  engine_fatal(missing.source[0].insn[0].eip, "no stencil for '%s'",
               insn_name(&missing.source[0].insn[0].form));
}
