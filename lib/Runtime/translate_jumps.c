/* What leads from one place of a unit to another, and out of it: displacements that are filled in when their
 * targets are known, jumps in the short form where it reaches, and the exits at the unit's end. */
#include "Runtime/translate_internal.h"

#include <string.h>

/* Opcodes before a displacement of 32 bits, and their twins before one of 8. */
enum {
  CALL = 0xE8,
  JUMP = 0xE9,
  SHORT_JUMP = 0xEB,
  ESCAPE = 0x0F,
  CONDITIONAL = 0x80,
  SHORT_CONDITIONAL = 0x70
};

/* --- Displacements ---------------------------------------------------------------------------------------- */

static void add_fixup(uint8_t *field, int32_t addend, int kind, uint32_t target) {
  if (translation.fixup_count == FIXUP_LIMIT)
    engine_fatal(translation.unit.entry, "a unit has too many jumps");
  translation.fixup[translation.fixup_count++] =
      (struct fixup){.field = field, .addend = addend, .kind = kind, .target = target};
}

bool translate_jumps_back(const struct insn *jump) { return jump->target <= jump->eip; }

unsigned translate_entry_block(void) {
  return (unsigned)unit_block_at(&translation.unit, translation.unit.entry);
}

/* Where the jump, or call, that leads to the unit's block goes; -1 for a way out. Where there are regions a
 * loop's jump back is a way out, too, though it leads in again: it is counted, and comes to lead to the
 * region, in the middle of the loop's run; but not to the unit's own copy of code that jumps through a
 * table. */
int translate_block_for_jump(int block, const struct insn *jump) {
  const bool gets_hot = !translation.large || (engine.options.tier == RUNTIME_TIER_REGION &&
                                               !unit_leads_to_table_jump(&translation.unit, block));
  return translate_jumps_back(jump) && gets_hot ? -1 : block;
}

/* Is it more than perhaps taken? Of jump and call, whose displacement is at `field`. */
static bool is_taken(const uint8_t *field) { return field[-1] == CALL || field[-1] == JUMP; }

/* A jump to guest address `eip`: inside the unit if it is there. `repeats`: it may be a loop's or a call,
 * by which code gets hot. What is reached in small units by going forward gets hot with what is before it.
 * In large units the jump goes straight to where its exit would: by two jumps short loops run at half their
 * speed, and each exit on the way is a line more for the CPU to fetch. */
void translate_add_jump_fixup(uint8_t *field, int32_t addend, int block, guest_addr eip, bool repeats,
                              bool has_flags) {
  if (block >= 0) {
    add_fixup(field, addend, TO_BLOCK, (uint32_t)block);
    return;
  }
  add_fixup(field, addend, TO_EXIT, eip);
  struct fixup *fixup = &translation.fixup[translation.fixup_count - 1];
  fixup->counts = repeats || translation.large;
  fixup->has_flags = has_flags;
  fixup->straight = translation.large;
  fixup->moves = translation.large && (repeats || is_taken(field));
}

void translate_add_table_miss_fixup(uint8_t *field, unsigned row) {
  add_fixup(field, -4, TO_TABLE_MISS, row);
}

void translate_store(uint8_t *field, unsigned kind, uint64_t value) {
  static const uint8_t sizes[] = {
      [RELOC_ABS8] = 1, [RELOC_ABS16] = 2, [RELOC_ABS32] = 4, [RELOC_PC32] = 4, [RELOC_DISP32] = 4};
  memcpy(field, &value, sizes[kind]);
}

void translate_store_pc32(uint8_t *field, int32_t addend, uintptr_t target) {
  translate_store(field, RELOC_PC32, target + (uint64_t)(int64_t)addend - code_address(field));
}

/* The detour that the conditional jump at the block's end takes; -1: it goes straight to its target. */
static int detour_of(const struct block *block) {
  const struct selection *selection = &translation.selection;
  for (unsigned d = 0; d < selection->detour_count; d++)
    if (&translation.unit.block[selection->detour[d].block] == block)
      return (int)d;
  return -1;
}

/* --- Jumps ------------------------------------------------------------------------------------------------ */

static bool is_conditional(const uint8_t *field) {
  return field[-2] == ESCAPE && (field[-1] & 0xF0) == CONDITIONAL;
}

/* How far it is at most from `end`, in the block being emitted, to what comes later; more than can be if that
 * is not known. */
static ptrdiff_t distance_ahead(const uint8_t *end, const struct position *target) {
  const struct position *begin = &translation.block_position[translation.block];
  const uint32_t most = target->offset - begin->offset + target->slack - begin->slack;
  return translation.has_short_jumps ? (ptrdiff_t)most - (end - translation.block_code[translation.block])
                                     : PTRDIFF_MAX;
}

/* The jump with its displacement at `field`, to the unit's detour, or to its block if that is -1: in the
 * short form, if it reaches. Returns its end; NULL: it does not, or leads out of the unit. */
static uint8_t *jump_short(uint8_t *field, int block, int detour) {
  if ((block < 0 && detour < 0) || (!is_conditional(field) && field[-1] != JUMP))
    return NULL;
  const bool is_back = detour < 0 && (unsigned)block <= translation.block;
  uint8_t *const end = is_conditional(field) ? field : field + 1;
  const ptrdiff_t distance = is_back ? translation.block_code[block] - end
                                     : distance_ahead(end, detour < 0 ? &translation.block_position[block]
                                                                      : &translation.detour_position[detour]);
  if (distance < INT8_MIN || distance > INT8_MAX)
    return NULL;
  end[-2] = is_conditional(field) ? (uint8_t)(SHORT_CONDITIONAL | (field[-1] & 15)) : SHORT_JUMP;
  end[-1] = (uint8_t)distance;
  if (!is_back) {
    add_fixup(end - 1, -1, detour < 0 ? TO_BLOCK : TO_DETOUR,
                        (uint32_t)(detour < 0 ? block : detour));
    translation.fixup[translation.fixup_count - 1].is_short = true;
  }
  return end;
}

/* A jump of the stencil's: to the branch's target, a callee, a stub. */
void translate_patch_jump(const struct stencil_reloc *reloc, uint8_t *field, const struct insn *last,
                          const struct block *block) {
  switch (reloc->symbol) {
  case STENCIL_TAKEN:
    if (detour_of(block) >= 0)
      add_fixup(field, reloc->addend, TO_DETOUR, (uint32_t)detour_of(block));
    else
      translate_add_jump_fixup(field, reloc->addend, translate_block_for_jump(block->taken, last),
                               last->target, translate_jumps_back(last),
                               translation.selection.has_flags[translation.block].taken);
    return;
  case STENCIL_CALLEE:
    /* In a small unit even a call to itself is counted: recursion makes code hot as loops do. */
    translate_add_jump_fixup(
        field, reloc->addend,
        translation.large ? translate_block_for_jump(unit_block_at(&translation.unit, last->target), last)
                          : -1,
        last->target, true, false);
    return;
  case STENCIL_DISPATCH:
    add_fixup(field, reloc->addend, TO_PROBE, translate_probe_flags());
    return;
  default:
    translate_store_pc32(field, reloc->addend, stub_address(reloc->symbol));
    return;
  }
}

/* The jump at the end of a piece, whose displacement is the last thing; the piece's end. */
uint8_t *translate_patch_last_jump(const struct stencil_reloc *reloc, uint8_t *field, const struct insn *last,
                                   const struct block *block) {
  uint8_t *short_end = reloc->symbol == STENCIL_TAKEN
                           ? jump_short(field, translate_block_for_jump(block->taken, last),
                                                  detour_of(block))
                           : NULL;
  if (!short_end)
    translate_patch_jump(reloc, field, last, block);
  return short_end ? short_end : field + 4;
}

/* How far a displacement at `field` must move so that it can be changed at once: not out of 8 bytes that are
 * aligned (APM vol. 2, 7.6.1). */
unsigned translate_gap_before(const uint8_t *field) {
  enum { WORD = 8, DISPLACEMENT = 4 };
  const unsigned offset = (unsigned)(code_address(field) % WORD);
  return offset + DISPLACEMENT <= WORD ? 0 : WORD - offset;
}

/* Has one of the jumps from number `first` on need of that? */
unsigned translate_gap_before_jumps(unsigned first) {
  for (unsigned i = first; i < translation.fixup_count; i++) {
    translation.slack += translation.fixup[i].moves ? GAP_LIMIT : 0;
    if (translation.fixup[i].moves && translate_gap_before(translation.fixup[i].field))
      return translate_gap_before(translation.fixup[i].field);
  }
  return 0;
}

void translate_emit_jump(int block, guest_addr eip, bool repeats, bool has_flags) {
  if (block < 0 && translation.large) {
    translate_emit_nops(translate_gap_before(translation.at + 1));
    translation.slack += GAP_LIMIT;
  }
  *translation.at++ = JUMP;
  uint8_t *short_end = jump_short(translation.at, block, -1);
  if (!short_end)
    translate_add_jump_fixup(translation.at, -4, block, eip, repeats, has_flags);
  translation.at = short_end ? short_end : translation.at + 4;
}

/* The place in the unit that the jump leads to; NULL: it leads out. */
static const uint8_t *target_inside(const struct fixup *fixup) {
  return fixup->kind == TO_BLOCK    ? translation.block_code[fixup->target]
         : fixup->kind == TO_DETOUR ? translation.detour_code[fixup->target]
                                    : NULL;
}

/* Can a byte say how far the jump goes ahead? */
static bool is_near(const struct fixup *fixup) {
  const uint8_t *target = target_inside(fixup);
  return target && target > fixup->field && target - (fixup->field + 1) <= INT8_MAX;
}

bool translate_has_near_jumps(void) {
  for (unsigned i = 0; i < translation.fixup_count; i++)
    if (is_near(&translation.fixup[i]))
      return true;
  return false;
}

bool translate_short_jumps_reach(void) {
  for (unsigned i = 0; i < translation.fixup_count; i++)
    if (translation.fixup[i].is_short && !is_near(&translation.fixup[i]))
      return false;
  return true;
}

/* --- Exits and entries ------------------------------------------------------------------------------------ */

uint8_t *translate_write_exit(uint8_t *at, guest_addr eip, bool counts, uint8_t **entry, uint32_t *slot) {
  while ((code_address(at) + 1) % 4) /* its displacement is changed while others run */
    *at++ = 0xCC;
  *entry = at;
  *slot = slot_new(eip);
  return stub_write_exit(at, *slot, counts);
}

uint8_t *translate_emit_exit(guest_addr target, bool counts, uint32_t *slot) {
  uint8_t *entry;
  translation.at = translate_write_exit(translation.at, target, counts, &entry, slot);
  return entry;
}

static bool shares_exit(const struct fixup *fixup, guest_addr target) {
  return fixup->kind == TO_EXIT && fixup->target == target;
}

/* Has the jump lead to the exit, and past it where the slot's target is known: a stencil with two of them may
 * have been moved for one alone. */
static void fill_exit(struct fixup *fixup, const uint8_t *exit, uint32_t slot) {
  translate_store_pc32(fixup->field, fixup->addend, code_address(exit));
  if (fixup->straight && !translate_gap_before(fixup->field))
    slot_add_jump(slot, code_address(fixup->field), fixup->has_flags);
}

/* The exits at the unit's end: one for each target outside, one probe for each indirect call. */
void translate_emit_exits(void) {
  for (unsigned i = 0; i < translation.fixup_count; i++) {
    struct fixup *fixup = &translation.fixup[i];
    uint8_t *target;
    switch (fixup->kind) {
    case TO_BLOCK:
    case TO_DETOUR:
      if (fixup->is_short)
        *fixup->field = (uint8_t)(target_inside(fixup) - (fixup->field + 1));
      else
        translate_store_pc32(fixup->field, fixup->addend, code_address(target_inside(fixup)));
      continue;
    case TO_PROBE:
      target = translation.at;
      translation.at = stub_write_probe(translation.at, (enum probe_flags)fixup->target);
      translate_store_pc32(fixup->field, fixup->addend, code_address(target));
      continue;
    case TO_TABLE_MISS:
      target = translation.at;
      translation.at = stub_write_table_miss(translation.at, fixup->target, translate_probe_flags());
      translate_store_pc32(fixup->field, fixup->addend, code_address(target));
      continue;
    case FILLED:
      continue;
    case TO_EXIT:
      break;
    }
    uint32_t slot;
    bool counts = false;
    for (unsigned k = i; k < translation.fixup_count; k++)
      counts |= shares_exit(&translation.fixup[k], fixup->target) && translation.fixup[k].counts;
    target = translate_emit_exit(fixup->target, counts, &slot);
    for (unsigned k = i; k < translation.fixup_count; k++)
      if (shares_exit(&translation.fixup[k], fixup->target)) {
        fill_exit(&translation.fixup[k], target, slot);
        translation.fixup[k].kind = k > i ? FILLED : TO_EXIT;
      }
  }
}

/* Where blocks are carried to, execution that comes from elsewhere first loads their flags. */
void translate_emit_entries(void) {
  const struct unit *unit = &translation.unit;
  for (unsigned b = 0; b < unit->block_count; b++) {
    translation.entry_code[b] = translation.block_code[b];
    if (!translation.selection.carried[b])
      continue;
    translation.entry_code[b] = translation.at;
    translation.at =
        stub_write_entry(translation.at, code_address(translation.block_code[b]), unit->block[b].shows_flags);
  }
}
