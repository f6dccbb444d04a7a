/* Flag records where they are needed (docs/flags.md, "late").
 *
 * Where only one way of a jump needs the record of flags that were set before it, as an error path that calls
 * or the way out of a loop does, it is made there, from what the instruction left behind. Which ways need it
 * shows when all of the unit has been selected for: till then both have a place for it. */
#include "Frontend/flag_record.h"
#include "Runtime/select_internal.h"

#include <Zydis/Mnemonic.h>

/* The instruction that set the host's flags, while it can be recorded late. */
static struct {
  uint32_t piece;  /* plus one; 0: none that can */
  uint8_t gpr;     /* 1 << the registers that its record is made of */
  bool has_memory; /* and of the temporary one, which nearly everything uses */
} late;

/* A jump with a late record on either way. */
static struct late_pair {
  uint32_t piece; /* what is recorded instead if both are needed, … */
  uint32_t way[2];
  uint16_t chain;
} late_pair[UNIT_BLOCK_LIMIT];
static unsigned late_pair_count;

void late_begin(void) { late_pair_count = 0; }

void late_forget(void) { late.piece = 0; }

void late_set(uint32_t unrecorded, enum flag_record record, struct selected *piece) {
  const struct insn *insn = piece->insn;
  late.piece = 0;
  if (record != FLAG_RECORD_OPERANDS || !flag_record_can_be_late(insn))
    return;
  late.piece = unrecorded;
  late.gpr = 0;
  late.has_memory = false;
  for (unsigned i = 0; i < 2; i++) {
    const struct operand *op = &insn->form.op[i];
    late.has_memory |= op->kind == OPERAND_MEMORY;
    late.gpr |= (uint8_t)(op->kind == OPERAND_GPR ? 1 << operand_whole_register(op) : 0);
  }
  piece->through_temporary = late.has_memory;
}

/* Does the instruction write but what is visible of it? */
static bool writes_operands_only(const struct insn *insn) {
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_MOV:
  case ZYDIS_MNEMONIC_MOVZX:
  case ZYDIS_MNEMONIC_MOVSX:
  case ZYDIS_MNEMONIC_LEA:
    return true;
  default:
    return insn->condition != CONDITION_NONE;
  }
}

void late_pass(const struct insn *insn) {
  const bool is_jump = insn->flow == FLOW_CONDITIONAL;
  const bool changes_others = !is_jump && (late.has_memory || !writes_operands_only(insn));
  if (changes_others || late.gpr & insn_written_registers(insn))
    late.piece = 0;
}

uint32_t late_add(bool is_taken, bool needed) {
  const struct insn *insn = selecting.out->piece[late.piece - 1].insn;
  selecting.out->piece[selecting.out->count++] = (struct selected){
      .kind = SELECTED_RECORD, .insn = insn, .eip = insn->eip, .is_taken = is_taken, .unrecorded = !needed};
  return selecting.out->count;
}

bool late_is_possible(void) { return late.piece; }

void late_add_pair(uint32_t piece, const uint32_t way[2], uint16_t chain) {
  late_pair[late_pair_count++] = (struct late_pair){piece, {way[0], way[1]}, chain};
}

void late_unselect_chain(uint16_t chain) {
  unsigned kept = 0;
  for (unsigned l = 0; l < late_pair_count; l++)
    if (late_pair[l].chain != chain)
      late_pair[kept++] = late_pair[l];
  late_pair_count = kept;
}

/* The last jump first, for what it has recorded may be on a way of another. */
static void merge_pairs(struct selected *piece) {
  for (unsigned l = late_pair_count; l-- > 0;) {
    const struct late_pair *pair = &late_pair[l];
    if (piece[pair->way[0] - 1].unrecorded || piece[pair->way[1] - 1].unrecorded)
      continue;
    piece[pair->way[0] - 1].unrecorded = piece[pair->way[1] - 1].unrecorded = true;
    piece[pair->piece - 1].unrecorded = false;
  }
}

static void drop_empty_detours(const struct selected *piece) {
  unsigned kept = 0;
  for (unsigned d = 0; d < selecting.out->detour_count; d++) {
    struct detour detour = selecting.out->detour[d];
    if (detour.record && piece[detour.record - 1].unrecorded)
      detour.record = 0;
    if (detour.record || detour.save)
      selecting.out->detour[kept++] = detour;
  }
  selecting.out->detour_count = kept;
}

/* What is recorded of a memory operand, now or later, is what was accessed. */
static void find_accesses(struct selected *piece) {
  struct selected *setter = NULL;
  for (unsigned p = 0; p < selecting.out->count; p++) {
    if (piece[p].through_temporary) {
      setter = &piece[p];
      setter->through_temporary = !setter->unrecorded;
    } else if (piece[p].kind == SELECTED_RECORD && setter && setter->insn == piece[p].insn) {
      setter->through_temporary |= !piece[p].unrecorded;
    }
  }
}

void late_place(void) {
  merge_pairs(selecting.out->piece);
  drop_empty_detours(selecting.out->piece);
  find_accesses(selecting.out->piece);
}
