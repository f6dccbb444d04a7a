/* Laying out a unit: its pieces end to end, block by block, loops on lines of their own, twice where jumps
 * ahead may be short. */
#include "Runtime/direct.h"
#include "Runtime/translate_internal.h"

#include <string.h>

/* As few as can be: CPUs take up to three prefixes before a nop. */
void translate_emit_nops(unsigned count) {
  enum { LONGEST = 11 };
  static const uint8_t nops[LONGEST][LONGEST] = {{0x90},
                                                 {0x66, 0x90},
                                                 {0x0F, 0x1F, 0x00},
                                                 {0x0F, 0x1F, 0x40},
                                                 {0x0F, 0x1F, 0x44},
                                                 {0x66, 0x0F, 0x1F, 0x44},
                                                 {0x0F, 0x1F, 0x80},
                                                 {0x0F, 0x1F, 0x84},
                                                 {0x66, 0x0F, 0x1F, 0x84},
                                                 {0x66, 0x2E, 0x0F, 0x1F, 0x84},
                                                 {0x66, 0x66, 0x2E, 0x0F, 0x1F, 0x84}};
  while (count) {
    unsigned size = count < LONGEST ? count : LONGEST;
    memcpy(translation.at, nops[size - 1], size);
    translation.at += size;
    count -= size;
  }
}

static void emit_piece(const struct selected *piece, const struct block *block) {
  if (piece->starts)
    translate_end_insn();
  uint8_t *const at = translation.at;
  const unsigned insn_count = translation.insn_count, fixup_count = translation.fixup_count;
  translate_copy_piece(piece, block);
  const unsigned gap = translate_gap_before_jumps(fixup_count);
  if (!gap)
    return;
  translation.at = at;
  translation.insn_count = insn_count;
  translation.fixup_count = fixup_count;
  translate_emit_nops(gap);
  translate_copy_piece(piece, block);
}

static bool falls_through(const struct insn *insn) {
  return insn->flow == FLOW_NEXT || insn_is_call(insn) || insn->flow == FLOW_CONDITIONAL;
}

/* The last block that jumps back to each; -1: it is no loop's head. */
static void find_loops(void) {
  translation.has_loops = false;
  for (unsigned b = 0; b < translation.unit.block_count; b++) {
    const struct block *block = &translation.unit.block[b];
    translation.loop_end[b] = -1;
    for (unsigned way = 0; way < 2; way++) {
      const int target = way ? block->next : block->taken;
      if (target < 0 || target > (int)b)
        continue;
      translation.loop_end[target] = (int16_t)b;
      translation.has_loops = true;
    }
  }
}

/* Is there no other loop in that of block b? */
static bool is_innermost(unsigned b) {
  for (int k = (int)b + 1; k <= translation.loop_end[b]; k++)
    if (translation.loop_end[k] >= 0)
      return false;
  return true;
}

/* The CPU fetches lines of 64 bytes, and a short loop that lies in two of them takes it twice as long. So a
 * short innermost loop that would lie in more lines than it must starts with one. (In a long one the nops
 * cost more: an interpreter's comes by them each time.) How long it is shows the first time. */
static void align_loop(unsigned b) {
  if (!translation.large || translation.loop_end[b] < 0 || !is_innermost(b))
    return;
  if (!translation.positions_known) {
    translation.slack += LINE - 1;
    return;
  }
  const unsigned size =
      translation.block_position[translation.loop_end[b] + 1].offset - translation.block_position[b].offset;
  const unsigned begin = (unsigned)(code_address(translation.at) % LINE);
  if (size <= 2 * LINE && (begin + size + LINE - 1) / LINE > (size + LINE - 1) / LINE)
    translate_emit_nops(LINE - begin);
}

static void note_position(struct position *position) {
  if (!translation.positions_known)
    *position = (struct position){(uint32_t)(translation.at - translation.code), translation.slack};
}

static void emit_block(unsigned b) {
  const struct block *block = &translation.unit.block[b];
  unsigned end = translation.selection.block_end[b];
  align_loop(b);
  translate_find_table_jump(block);
  translation.block = b;
  translation.block_code[b] = translation.at;
  note_position(&translation.block_position[b]);
  for (unsigned i = translation.selection.block_begin[b]; i < end; i++)
    emit_piece(&translation.selection.piece[i], block);
  translate_end_insn();
  const struct insn *last = &translation.unit.insn[block->first + block->count - 1];
  if (falls_through(last) && block->next != (int)b + 1)
    translate_emit_jump(block->next, insn_next(last), false, translation.selection.has_flags[b].next);
}

static void emit_detours(void) {
  for (unsigned d = 0; d < translation.selection.detour_count; d++) {
    const struct detour *detour = &translation.selection.detour[d];
    const struct block *block = &translation.unit.block[detour->block];
    translation.detour_code[d] = translation.at;
    note_position(&translation.detour_position[d]);
    if (detour->record)
      translation.at =
          flag_record_write_late(translation.at, translation.selection.piece[detour->record - 1].insn);
    translation.at = direct_write_save(translation.at, detour->save);
    const struct insn *branch = &translation.unit.insn[block->first + block->count - 1];
    translate_emit_jump(translate_block_for_jump(block->taken, branch), branch->target,
                        translate_jumps_back(branch), translation.selection.has_flags[detour->block].taken);
  }
}

static void emit_body(void) {
  translation.at = translation.code;
  translation.fixup_count = translation.insn_count = translation.slack = 0;
  for (unsigned b = 0; b < translation.unit.block_count; b++)
    emit_block(b);
  note_position(&translation.block_position[translation.unit.block_count]);
  translation.ordered_count = translation.insn_count;
  emit_detours();
}

/* How far a jump ahead goes, and how long a loop is, shows only behind it. So large units are emitted twice:
 * the second time loops are aligned, and jumps are short where the first time says that they reach. Should
 * one not reach after all, they are all long once more. */
void translate_emit_unit(void) {
  translation.positions_known = translation.has_short_jumps = false;
  if (translation.large)
    find_loops();
  emit_body();
  if (!translation.large || (!translate_has_near_jumps() && !translation.has_loops))
    return;
  translation.positions_known = translation.has_short_jumps = true;
  emit_body();
  if (translate_short_jumps_reach())
    return;
  translation.has_short_jumps = false;
  emit_body();
}
