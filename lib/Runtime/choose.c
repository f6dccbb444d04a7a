/* The choice of a stencil: that of the shape, or of the address taken out of it, or one that keeps more
 * flags; and a memory of what was found, by the patterns of the instructions. */
#include "Frontend/decode_cache.h"
#include "Runtime/engine.h"
#include "Runtime/select.h"

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

const struct stencil *stencil_choose(const struct insn *insns, unsigned count, uint8_t live, int *address) {
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
