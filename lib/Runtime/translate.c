/* Translation: discover a unit, select its stencils, lay them end to end, patch their holes. No LLVM is
 * needed unless a stencil is missing. */
#include "Runtime/direct.h"
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"
#include "Runtime/helpers.h"
#include "Runtime/select.h"

#include <string.h>

enum { FIXUP_LIMIT = 2048, CODE_ROOM = 1 << 17, EXIT_ROOM = 64 };
enum { LINE = 64 }; /* bytes that the CPU fetches at a time */

/* A displacement that is filled in when its target is known. */
struct fixup {
  uint8_t *field;
  int32_t addend;
  enum { TO_BLOCK, TO_DETOUR, TO_EXIT, TO_PROBE, FILLED } kind;
  uint32_t target; /* block or detour index, guest address, or enum probe_flags */
  bool counts;     /* an exit through which code gets hot */
  bool straight;   /* a jump that leads past its exit where it can */
  bool moves;      /* … for which it is moved, if need be */
  bool is_short;   /* the displacement has one byte */
};

/* Where something in the unit was when it was emitted before, and how many bytes more there may be up to it
 * the next time: padding. */
struct position {
  uint32_t offset, slack;
};

/* The translation under way. One at a time: the engine lock is held. */
static struct {
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
  unsigned block; /* being emitted, or the last one */
  bool void_after; /* behind the instruction being emitted there is no flag record any more */
  bool show_flags_after; /* behind it, a call, flags are taken out of the record */
  bool large;
} work;

/* --- Emitting ----------------------------------------------------------------------------------------------
 */

static void add_fixup(uint8_t *field, int32_t addend, int kind, uint32_t target) {
  if (work.fixup_count == FIXUP_LIMIT)
    engine_fatal(work.unit.entry, "a unit has too many jumps");
  work.fixup[work.fixup_count++] =
      (struct fixup){.field = field, .addend = addend, .kind = kind, .target = target};
}

/* Opcodes before a displacement of 32 bits, and their twins before one of 8. */
enum {
  CALL = 0xE8,
  JUMP = 0xE9,
  SHORT_JUMP = 0xEB,
  ESCAPE = 0x0F,
  CONDITIONAL = 0x80,
  SHORT_CONDITIONAL = 0x70
};

static bool jumps_back(const struct insn *jump) { return jump->target <= jump->eip; }

static int block_at(guest_addr eip) {
  for (unsigned b = 0; b < work.unit.block_count; b++)
    if (work.unit.insn[work.unit.block[b].first].eip == eip)
      return (int)b;
  return -1;
}

static unsigned entry_block(void) { return (unsigned)block_at(work.unit.entry); }

/* Where the jump, or call, that leads to the unit's block goes; -1 for a way out. Where there are regions a
 * loop's jump back is a way out, too, though it leads in again: it is counted, and comes to lead to the
 * region, in the middle of the loop's run; but not to the unit's own copy of code that jumps through a
 * table. */
static int block_for_jump(int block, const struct insn *jump) {
  const bool gets_hot =
      !work.large || (engine.options.tier == RUNTIME_TIER_REGION && !unit_leads_to_table_jump(&work.unit, block));
  return jumps_back(jump) && gets_hot ? -1 : block;
}

/* Is it more than perhaps taken? Of jump and call, whose displacement is at `field`. */
static bool is_taken(const uint8_t *field) { return field[-1] == CALL || field[-1] == JUMP; }

/* A jump to guest address `eip`: inside the unit if it is there. `repeats`: it may be a loop's or a call,
 * by which code gets hot. What is reached in small units by going forward gets hot with what is before it.
 * In large units the jump goes straight to where its exit would: by two jumps short loops run at half their
 * speed, and each exit on the way is a line more for the CPU to fetch. */
static void add_jump_fixup(uint8_t *field, int32_t addend, int block, guest_addr eip, bool repeats) {
  if (block >= 0) {
    add_fixup(field, addend, TO_BLOCK, (uint32_t)block);
    return;
  }
  add_fixup(field, addend, TO_EXIT, eip);
  struct fixup *fixup = &work.fixup[work.fixup_count - 1];
  fixup->counts = repeats || work.large;
  fixup->straight = work.large;
  fixup->moves = work.large && (repeats || is_taken(field));
}

static void store(uint8_t *field, unsigned kind, uint64_t value) {
  static const uint8_t sizes[] = {
      [RELOC_ABS8] = 1, [RELOC_ABS16] = 2, [RELOC_ABS32] = 4, [RELOC_PC32] = 4, [RELOC_DISP32] = 4};
  memcpy(field, &value, sizes[kind]);
}

static void store_pc32(uint8_t *field, int32_t addend, uintptr_t target) {
  store(field, RELOC_PC32, target + (uint64_t)(int64_t)addend - code_address(field));
}

/* The detour that the conditional jump at the block's end takes; -1: it goes straight to its target. */
static int detour_of(const struct block *block) {
  const struct selection *selection = &work.selection;
  for (unsigned d = 0; d < selection->detour_count; d++)
    if (&work.unit.block[selection->detour[d].block] == block)
      return (int)d;
  return -1;
}

/* The value of a hole that takes one; false for jumps. */
static bool hole_value(unsigned symbol, const struct insn *insns, unsigned count, uint32_t *value) {
  const struct insn *last = &insns[count - 1];
  switch (symbol) {
  case STENCIL_DISP:
    *value = insns[0].disp;
    return true;
  case STENCIL_IMM0:
    *value = insns[0].imm[0];
    return true;
  case STENCIL_IMM1:
    *value = insns[0].imm[1];
    return true;
  case STENCIL_IMM2:
    *value = last->imm[0];
    return true;
  case STENCIL_NEGATED:
    *value = 0 - insns[0].imm[0];
    return true;
  case STENCIL_EIP:
    *value = insns[0].eip;
    return true;
  case STENCIL_NEXT_EIP:
    *value = insn_next(last);
    return true;
  default:
    return false;
  }
}

/* Makes a field of 32 bits one byte long, or none at all, where the value allows it; what follows moves up.
 * `form` is the ModRM byte or opcode that says so. Returns how many bytes that saves. */
static unsigned shorten(const struct stencil_reloc *reloc, uint8_t *form, uint8_t *field, const uint8_t *end,
                        uint32_t value) {
  enum { BYTE_IMMEDIATE = 2, MOD = 0xC0, DISP8 = 0x40, RM = 7 };
  unsigned left = 1;
  if (!reloc->back || (int32_t)value != (int8_t)value)
    return 0;
  if (reloc->kind != RELOC_DISP32) {
    *form |= BYTE_IMMEDIATE;
  } else {
    unsigned base = (form[0] & RM) == RM_SIB ? form[1] : form[0];
    left = value == 0 && (base & RM) != RM_NO_BASE ? 0 : 1;
    *form = (uint8_t)((*form & ~MOD) | (left ? DISP8 : 0));
  }
  *field = (uint8_t)value;
  memmove(field + left, field + 4, (size_t)(end - (field + 4)));
  return 4 - left;
}

static bool is_conditional(const uint8_t *field) {
  return field[-2] == ESCAPE && (field[-1] & 0xF0) == CONDITIONAL;
}

/* How far it is at most from `end`, in the block being emitted, to what comes later; more than can be if that
 * is not known. */
static ptrdiff_t distance_ahead(const uint8_t *end, const struct position *target) {
  const struct position *begin = &work.block_position[work.block];
  const uint32_t most = target->offset - begin->offset + target->slack - begin->slack;
  return work.has_short_jumps ? (ptrdiff_t)most - (end - work.block_code[work.block]) : PTRDIFF_MAX;
}

/* The jump with its displacement at `field`, to the unit's detour, or to its block if that is -1: in the
 * short form, if it reaches. Returns its end; NULL: it does not, or leads out of the unit. */
static uint8_t *jump_short(uint8_t *field, int block, int detour) {
  if ((block < 0 && detour < 0) || (!is_conditional(field) && field[-1] != JUMP))
    return NULL;
  const bool is_back = detour < 0 && (unsigned)block <= work.block;
  uint8_t *const end = is_conditional(field) ? field : field + 1;
  const ptrdiff_t distance =
      is_back ? work.block_code[block] - end
              : distance_ahead(end, detour < 0 ? &work.block_position[block] : &work.detour_position[detour]);
  if (distance < INT8_MIN || distance > INT8_MAX)
    return NULL;
  end[-2] = is_conditional(field) ? (uint8_t)(SHORT_CONDITIONAL | (field[-1] & 15)) : SHORT_JUMP;
  end[-1] = (uint8_t)distance;
  if (!is_back) {
    add_fixup(end - 1, -1, detour < 0 ? TO_BLOCK : TO_DETOUR, (uint32_t)(detour < 0 ? block : detour));
    work.fixup[work.fixup_count - 1].is_short = true;
  }
  return end;
}

/* The number of the unit's instruction at eip; insn_count if there is none. */
static unsigned insn_number(guest_addr eip) {
  unsigned low = 0, high = work.unit.insn_count;
  while (high - low > 1) {
    unsigned middle = (low + high) / 2;
    if (work.unit.insn[middle].eip <= eip)
      low = middle;
    else
      high = middle;
  }
  return work.unit.insn[low].eip == eip ? low : work.unit.insn_count;
}

/* At indirect jumps and calls. With records whoever came to the code before may have brought older flags. */
static enum probe_flags probe_flags(void) {
  return work.options.records ? PROBE_FLAGS_OLDER : PROBE_FLAGS_KEPT;
}

/* A jump of the stencil's: to the branch's target, a callee, a stub. */
static void patch_jump(const struct stencil_reloc *reloc, uint8_t *field, const struct insn *last,
                       const struct block *block) {
  switch (reloc->symbol) {
  case STENCIL_TAKEN:
    if (detour_of(block) >= 0)
      add_fixup(field, reloc->addend, TO_DETOUR, (uint32_t)detour_of(block));
    else
      add_jump_fixup(field, reloc->addend, block_for_jump(block->taken, last), last->target,
                     jumps_back(last));
    return;
  case STENCIL_CALLEE:
    /* In a small unit even a call to itself is counted: recursion makes code hot as loops do. */
    add_jump_fixup(field, reloc->addend, work.large ? block_for_jump(block_at(last->target), last) : -1,
                   last->target, true);
    return;
  case STENCIL_DISPATCH:
    add_fixup(field, reloc->addend, TO_PROBE, probe_flags());
    return;
  default:
    store_pc32(field, reloc->addend, stub_address(reloc->symbol));
    return;
  }
}

static bool reads_return(const struct insn *call) {
  const unsigned i = work.options.records ? insn_number(call->eip) : work.unit.insn_count;
  return i < work.unit.insn_count && work.unit.reads_return[i];
}

static void note_insn(const struct selected *piece) {
  work.insn[work.insn_count++] = (struct unit_insn){.host = (uint16_t)(work.at - work.code),
                                                    .guest = (uint16_t)(piece->eip - work.unit.low),
                                                    .stack = piece->stack,
                                                    .host_flags = piece->host_flags};
}

/* In a unit with records: what the instruction at the piece's start needs of them. */
static void emit_record(const struct selected *piece) {
  const unsigned i = insn_number(piece->eip);
  if (i == work.unit.insn_count)
    return;
  if (work.unit.record[i] == FLAG_RECORD_OPERANDS)
    work.at = flag_record_write(work.at, &work.unit.insn[i], piece->stack);
  else if (work.unit.record[i] == FLAG_RECORD_VOID)
    work.at = flag_record_write_void(work.at);
  work.void_after = work.unit.record[i] == FLAG_RECORD_VOID_AFTER;
}

/* The end of an instruction's code. */
static void end_insn(void) {
  if (work.void_after)
    work.at = flag_record_write_void(work.at);
  if (work.show_flags_after)
    work.at = stub_write_helper_call(work.at, HELPER_show_flags);
  work.void_after = work.show_flags_after = false;
}

/* A return that is a jump leaves the host's frames alone: the function that a lazy symbol's resolver goes to by it returns to
 * where the resolver was called from. */
static uint8_t *turn_return(uint8_t *end) {
  enum { RETURN = 0xC3 };
  return end[-1] == RETURN ? stub_write_probe(end - 1, probe_flags()) : end;
}

/* The jump at the end of a piece, whose displacement is the last thing; the piece's end. */
static uint8_t *patch_last_jump(const struct stencil_reloc *reloc, uint8_t *field, const struct insn *last,
                                const struct block *block) {
  uint8_t *short_end = reloc->symbol == STENCIL_TAKEN
                           ? jump_short(field, block_for_jump(block->taken, last), detour_of(block))
                           : NULL;
  if (!short_end)
    patch_jump(reloc, field, last, block);
  return short_end ? short_end : field + 4;
}

static void write_direct(const struct insn *insn, const struct block *block) {
  static const struct stencil_reloc taken = {.kind = RELOC_PC32, .symbol = STENCIL_TAKEN, .addend = -4};
  work.at = direct_write(work.at, insn);
  if (insn->flow == FLOW_CONDITIONAL)
    work.at = patch_last_jump(&taken, work.at - 4, insn, block);
}

static void write_call(const struct selected *piece, const struct block *block) {
  const struct stencil_reloc to = {.kind = RELOC_PC32,
                                   .symbol =
                                       piece->insn->flow == FLOW_CALL ? STENCIL_CALLEE : STENCIL_DISPATCH,
                                   .addend = -4};
  uint8_t *callee;
  work.at = direct_write_call(work.at, piece->insn, piece->stack, &callee);
  patch_jump(&to, callee, piece->insn, block);
  work.show_flags_after = reads_return(piece->insn);
}

static void write_return(const struct selected *piece, const struct block *block) {
  const uint32_t released = piece->insn->form.op[0].kind == OPERAND_IMMEDIATE ? piece->insn->imm[0] : 0;
  work.at = direct_write_return(work.at, piece->stack, released);
  if (block->returns_by_jump)
    work.at = turn_return(work.at);
}

/* To eip in r13d: by the jump cache, but for where it is likely to lead. */
static uint8_t *write_indirect_jump(uint8_t *at, const struct insn *jump) {
  if (work.guess && jump->flow == FLOW_JUMP_INDIRECT && work.block == entry_block()) {
    at = stub_write_comparison(at, work.guess);
    add_jump_fixup(at - 4, -4, -1, work.guess, true);
  }
  return stub_write_probe(at, probe_flags());
}

static void copy_stencil(const struct selected *piece, const struct block *block) {
  const struct stencil *stencil = piece->stencil;
  if (stencil->flags & STENCIL_REFUSED) {
    work.at = stub_write_helper_jump(work.at, piece->insn->eip, HELPER_uncompiled);
    return;
  }
  uint8_t *code = work.at, *end = code + stencil->size;
  struct shift shift = {0};
  if (piece->address) {
    shift = stencil_copy_with_address(code, stencil, piece->address, piece->insn->disp);
    end += shift.operand;
  } else {
    memcpy(code, stencil_code_bytes(stencil), stencil->size);
  }
  bool probe = stencil->flags & STENCIL_TAIL_DISPATCH, jumps_to_end = false;
  /* Up to which offset in the stencil how many bytes have been saved; an instruction may have two such
   * fields. */
  unsigned saved = 0, saved_before = 0, saved_at = 0;
  for (unsigned r = 0; r < stencil->reloc_count; r++) {
    const struct stencil_reloc *reloc = &stencil->reloc[r];
    uint8_t *field = code + stencil_shifted(stencil, shift, reloc->offset) - saved;
    uint32_t value;
    if (hole_value(reloc->symbol, piece->insn, piece->count, &value)) {
      unsigned form = reloc->offset - reloc->back;
      uint8_t *form_at =
          code + stencil_shifted(stencil, shift, form) - (form > saved_at ? saved : saved_before);
      value += (uint32_t)reloc->addend;
      unsigned less = shorten(reloc, form_at, field, end, value);
      if (less) {
        saved_at = reloc->offset;
        saved_before = saved;
        saved += less;
        end -= less;
      } else {
        store(field, reloc->kind, value);
      }
    } else if (reloc->symbol == STENCIL_NEXT) {
      jumps_to_end = true;
    } else if (field + 4 != end) {
      patch_jump(reloc, field, &piece->insn[piece->count - 1], block);
    } else if (!probe) {
      end = patch_last_jump(reloc, field, &piece->insn[piece->count - 1], block);
    }
  }
  /* Jumps to the end, which is known only now. Stencils with one have no fields to shorten. */
  for (unsigned r = 0; jumps_to_end && r < stencil->reloc_count; r++) {
    const struct stencil_reloc *reloc = &stencil->reloc[r];
    if (reloc->symbol == STENCIL_NEXT)
      store_pc32(code + stencil_shifted(stencil, shift, reloc->offset), reloc->addend, code_address(end));
  }
  const struct insn *last = &piece->insn[piece->count - 1];
  if (insn_is_call(last))
    work.show_flags_after = reads_return(last);
  if (last->flow == FLOW_RETURN && block->returns_by_jump)
    end = turn_return(end);
  work.at = probe ? write_indirect_jump(end - 5, last) : end;
}

static void copy_piece(const struct selected *piece, const struct block *block) {
  if (piece->starts)
    note_insn(piece);
  if (piece->starts && work.options.records && !piece->adjust && !piece->unrecorded)
    emit_record(piece);
  switch ((enum selected_kind)piece->kind) {
  case SELECTED_STENCIL:
    copy_stencil(piece, block);
    break;
  case SELECTED_ADJUST:
    if (piece->adjust)
      work.at = direct_write_adjustment(work.at, piece->adjust);
    break;
  case SELECTED_DIRECT:
    write_direct(piece->insn, block);
    break;
  case SELECTED_SAVE:
    work.at = direct_write_save(work.at, piece->save);
    break;
  case SELECTED_LOAD_CARRY:
    work.at = direct_write_load_carry(work.at);
    break;
  case SELECTED_CALL:
    write_call(piece, block);
    break;
  case SELECTED_RETURN:
    write_return(piece, block);
    break;
  }
}

/* As few as can be: CPUs take up to three prefixes before a nop. */
static void emit_nops(unsigned count) {
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
    memcpy(work.at, nops[size - 1], size);
    work.at += size;
    count -= size;
  }
}

/* How far a displacement at `field` must move so that it can be changed at once: not out of 8 bytes that are
 * aligned (APM vol. 2, 7.6.1). */
static unsigned gap_before(const uint8_t *field) {
  enum { WORD = 8, DISPLACEMENT = 4 };
  const unsigned offset = (unsigned)(code_address(field) % WORD);
  return offset + DISPLACEMENT <= WORD ? 0 : WORD - offset;
}

enum { GAP_LIMIT = 3 };

/* Has one of the jumps from number `first` on need of that? */
static unsigned gap_before_jumps(unsigned first) {
  for (unsigned i = first; i < work.fixup_count; i++) {
    work.slack += work.fixup[i].moves ? GAP_LIMIT : 0;
    if (work.fixup[i].moves && gap_before(work.fixup[i].field))
      return gap_before(work.fixup[i].field);
  }
  return 0;
}

static void emit_piece(const struct selected *piece, const struct block *block) {
  if (piece->starts)
    end_insn();
  uint8_t *const at = work.at;
  const unsigned insn_count = work.insn_count, fixup_count = work.fixup_count;
  copy_piece(piece, block);
  const unsigned gap = gap_before_jumps(fixup_count);
  if (!gap)
    return;
  work.at = at;
  work.insn_count = insn_count;
  work.fixup_count = fixup_count;
  emit_nops(gap);
  copy_piece(piece, block);
}

static void emit_jump(int block, guest_addr eip, bool repeats) {
  if (block < 0 && work.large) {
    emit_nops(gap_before(work.at + 1));
    work.slack += GAP_LIMIT;
  }
  *work.at++ = JUMP;
  uint8_t *short_end = jump_short(work.at, block, -1);
  if (!short_end)
    add_jump_fixup(work.at, -4, block, eip, repeats);
  work.at = short_end ? short_end : work.at + 4;
}

static bool falls_through(const struct insn *insn) {
  return insn->flow == FLOW_NEXT || insn_is_call(insn) ||
         insn->flow == FLOW_CONDITIONAL;
}

/* The last block that jumps back to each; -1: it is no loop's head. */
static void find_loops(void) {
  work.has_loops = false;
  for (unsigned b = 0; b < work.unit.block_count; b++) {
    const struct block *block = &work.unit.block[b];
    work.loop_end[b] = -1;
    for (unsigned way = 0; way < 2; way++) {
      const int target = way ? block->next : block->taken;
      if (target < 0 || target > (int)b)
        continue;
      work.loop_end[target] = (int16_t)b;
      work.has_loops = true;
    }
  }
}

/* Is there no other loop in that of block b? */
static bool is_innermost(unsigned b) {
  for (int k = (int)b + 1; k <= work.loop_end[b]; k++)
    if (work.loop_end[k] >= 0)
      return false;
  return true;
}

/* The CPU fetches lines of 64 bytes, and a short loop that lies in two of them takes it twice as long. So a
 * short innermost loop that would lie in more lines than it must starts with one. (In a long one the nops
 * cost more: an interpreter's comes by them each time.) How long it is shows the first time. */
static void align_loop(unsigned b) {
  if (!work.large || work.loop_end[b] < 0 || !is_innermost(b))
    return;
  if (!work.positions_known) {
    work.slack += LINE - 1;
    return;
  }
  const unsigned size = work.block_position[work.loop_end[b] + 1].offset - work.block_position[b].offset;
  const unsigned begin = (unsigned)(code_address(work.at) % LINE);
  if (size <= 2 * LINE && (begin + size + LINE - 1) / LINE > (size + LINE - 1) / LINE)
    emit_nops(LINE - begin);
}

static void note_position(struct position *position) {
  if (!work.positions_known)
    *position = (struct position){(uint32_t)(work.at - work.code), work.slack};
}

static void emit_block(unsigned b) {
  const struct block *block = &work.unit.block[b];
  unsigned end = work.selection.block_end[b];
  align_loop(b);
  work.block = b;
  work.block_code[b] = work.at;
  note_position(&work.block_position[b]);
  for (unsigned i = work.selection.block_begin[b]; i < end; i++)
    emit_piece(&work.selection.piece[i], block);
  end_insn();
  const struct insn *last = &work.unit.insn[block->first + block->count - 1];
  if (falls_through(last) && block->next != (int)b + 1)
    emit_jump(block->next, insn_next(last), false);
}

static void emit_detours(void) {
  for (unsigned d = 0; d < work.selection.detour_count; d++) {
    const struct detour *detour = &work.selection.detour[d];
    const struct block *block = &work.unit.block[detour->block];
    work.detour_code[d] = work.at;
    note_position(&work.detour_position[d]);
    work.at = direct_write_save(work.at, detour->save);
    const struct insn *branch = &work.unit.insn[block->first + block->count - 1];
    emit_jump(block_for_jump(block->taken, branch), branch->target, jumps_back(branch));
  }
}

static void emit_body(void) {
  work.at = work.code;
  work.fixup_count = work.insn_count = work.slack = 0;
  for (unsigned b = 0; b < work.unit.block_count; b++)
    emit_block(b);
  note_position(&work.block_position[work.unit.block_count]);
  work.ordered_count = work.insn_count;
  emit_detours();
}

/* The place in the unit that the jump leads to; NULL: it leads out. */
static const uint8_t *target_inside(const struct fixup *fixup) {
  return fixup->kind == TO_BLOCK    ? work.block_code[fixup->target]
         : fixup->kind == TO_DETOUR ? work.detour_code[fixup->target]
                                    : NULL;
}

/* Can a byte say how far the jump goes ahead? */
static bool is_near(const struct fixup *fixup) {
  const uint8_t *target = target_inside(fixup);
  return target && target > fixup->field && target - (fixup->field + 1) <= INT8_MAX;
}

static bool has_near_jumps(void) {
  for (unsigned i = 0; i < work.fixup_count; i++)
    if (is_near(&work.fixup[i]))
      return true;
  return false;
}

static bool short_jumps_reach(void) {
  for (unsigned i = 0; i < work.fixup_count; i++)
    if (work.fixup[i].is_short && !is_near(&work.fixup[i]))
      return false;
  return true;
}

/* How far a jump ahead goes, and how long a loop is, shows only behind it. So large units are emitted twice:
 * the second time loops are aligned, and jumps are short where the first time says that they reach. Should
 * one not reach after all, they are all long once more. */
static void emit_unit(void) {
  work.positions_known = work.has_short_jumps = false;
  if (work.large)
    find_loops();
  emit_body();
  if (!work.large || (!has_near_jumps() && !work.has_loops))
    return;
  work.positions_known = work.has_short_jumps = true;
  emit_body();
  if (short_jumps_reach())
    return;
  work.has_short_jumps = false;
  emit_body();
}

uint8_t *translate_write_exit(uint8_t *at, guest_addr eip, bool counts, uint8_t **entry, uint32_t *slot) {
  while ((code_address(at) + 1) % 4) /* its displacement is changed while others run */
    *at++ = 0xCC;
  *entry = at;
  *slot = slot_new(eip);
  return stub_write_exit(at, *slot, counts);
}

static uint8_t *emit_exit(guest_addr target, bool counts, uint32_t *slot) {
  uint8_t *entry;
  work.at = translate_write_exit(work.at, target, counts, &entry, slot);
  return entry;
}

static bool shares_exit(const struct fixup *fixup, guest_addr target) {
  return fixup->kind == TO_EXIT && fixup->target == target;
}

/* Has the jump lead to the exit, and past it where the slot's target is known: a stencil with two of them may
 * have been moved for one alone. */
static void fill_exit(struct fixup *fixup, const uint8_t *exit, uint32_t slot) {
  store_pc32(fixup->field, fixup->addend, code_address(exit));
  if (fixup->straight && !gap_before(fixup->field))
    slot_add_jump(slot, code_address(fixup->field));
}

/* The exits at the unit's end: one for each target outside, one probe for each indirect call. */
static void emit_exits(void) {
  for (unsigned i = 0; i < work.fixup_count; i++) {
    struct fixup *fixup = &work.fixup[i];
    uint8_t *target;
    switch (fixup->kind) {
    case TO_BLOCK:
    case TO_DETOUR:
      if (fixup->is_short)
        *fixup->field = (uint8_t)(target_inside(fixup) - (fixup->field + 1));
      else
        store_pc32(fixup->field, fixup->addend, code_address(target_inside(fixup)));
      continue;
    case TO_PROBE:
      target = work.at;
      work.at = stub_write_probe(work.at, (enum probe_flags)fixup->target);
      store_pc32(fixup->field, fixup->addend, code_address(target));
      continue;
    case FILLED:
      continue;
    case TO_EXIT:
      break;
    }
    uint32_t slot;
    bool counts = false;
    for (unsigned k = i; k < work.fixup_count; k++)
      counts |= shares_exit(&work.fixup[k], fixup->target) && work.fixup[k].counts;
    target = emit_exit(fixup->target, counts, &slot);
    for (unsigned k = i; k < work.fixup_count; k++)
      if (shares_exit(&work.fixup[k], fixup->target)) {
        fill_exit(&work.fixup[k], target, slot);
        work.fixup[k].kind = k > i ? FILLED : TO_EXIT;
      }
  }
}

/* Where blocks are carried to, execution that comes from elsewhere first loads their flags. */
static void emit_entries(void) {
  const struct unit *unit = &work.unit;
  for (unsigned b = 0; b < unit->block_count; b++) {
    work.entry_code[b] = work.block_code[b];
    if (!work.selection.carried[b])
      continue;
    work.entry_code[b] = work.at;
    work.at = stub_write_entry(work.at, code_address(work.block_code[b]), unit->block[b].shows_flags);
  }
}

/* Large units are in the map with all leaders: execution may come to them from elsewhere. Small ones only
 * with their entry; where else they are entered shows when it is asked for (enter_known). */
static enum place_kind place_kind_of(bool large) {
  if (!large)
    return PLACE_SMALL;
  return engine.options.tier == RUNTIME_TIER_REGION ? PLACE_LARGE : PLACE_SETTLED;
}

static void map_entries(guest_addr eip) {
  const struct unit *unit = &work.unit;
  if (!work.large)
    unit_map_insert(eip, code_address(work.code), place_kind_of(false));
  for (unsigned b = 0; work.large && b < unit->block_count; b++) {
    guest_addr leader = unit->insn[unit->block[b].first].eip;
    if (unit->block[b].leader && !unit_lookup_large(leader))
      unit_map_insert(leader, code_address(work.entry_code[b]), place_kind_of(true));
  }
}

/* Code for eip in the middle of a unit that is there already: all of the guest's state is in its place
 * between two instructions. */
static uintptr_t enter_known(guest_addr eip) {
  unsigned insn;
  const struct code_unit *unit = unit_of_eip(eip, &insn);
  if (!unit)
    return 0;
  uintptr_t host = (uintptr_t)unit->code + unit->insn[insn].host;
  unit_map_insert(eip, host, place_kind_of(unit->large));
  return host;
}

static uint8_t table_flags(guest_addr address) { return jump_table_flags(address, &work.fetch); }

/* A stretch of code that runs perhaps once should cost little. */
enum { SMALL_UNIT = 32 };

static bool discover_unit(guest_addr eip, unsigned limit, guest_addr *fault) {
  work.options = (struct discover_options){.fetch = fetch_code,
                                           .context = &work.fetch,
                                           .has_code = work.large ? unit_lookup_large : unit_has_code,
                                           .table_flags = work.large ? table_flags : NULL,
                                           .return_flags = engine.return_flags,
                                           .records = engine.precise,
                                           .follow = work.large,
                                           .insn_limit = limit};
  work.fetch.page_count = 0;
  if (!discover(&work.unit, eip, &work.options)) {
    *fault = work.unit.fetch_address;
    return false;
  }
  return true;
}

uint8_t translate_newer_flags(guest_addr eip) {
  struct fetch fetch = {.unprotected = true};
  struct discover_options options = {
      .fetch = fetch_code, .context = &fetch, .return_flags = engine.return_flags, .records = engine.precise};
  return discover_record_is_current(eip, &options) ? 0 : discover_live(eip, &options);
}

uint8_t translate_flags_read(guest_addr eip, bool *is_cut) {
  struct fetch fetch = {.unprotected = true};
  const struct discover_options options = {.fetch = fetch_code, .context = &fetch, .records = engine.precise};
  return discover_flags_read(eip, &options, is_cut);
}

/* Where the unit's code begins: with a line, if it is about a function. */
static uint8_t *open_code(void) {
  enum { BREAKPOINT = 0xCC };
  uint8_t *at = code_cache_open(CODE_ROOM);
  while (work.large && code_address(at) % LINE)
    *at++ = BREAKPOINT;
  return at;
}

uintptr_t translate(const struct cpu_state *cpu, bool hot, guest_addr *fault) {
  const guest_addr eip = cpu->eip;
  uintptr_t known = unit_lookup(eip);
  if (engine.regions_at_once && !(known && unit_is_settled(eip)))
    hot = true;
  hot |= engine.hot_count == 1;
  if (known && hot && unit_lookup_large(eip) && !unit_is_settled(eip)) {
    region_want(eip);
    known = unit_lookup(eip);
  }
  if (known && (!hot || unit_lookup_large(eip)))
    return known;
  if (engine.options.tier == RUNTIME_TIER_LLVM)
    return known ? known : translate_block(eip, fault);
  if (!hot && (known = enter_known(eip)))
    return known;
  const uint64_t began = observe_clock();
  work.large = hot;
  unsigned limit = hot ? UNIT_INSN_LIMIT : SMALL_UNIT;
  do {
    if (!discover_unit(eip, limit, fault))
      return 0;
    if (work.unit.needs_return_flags) {
      engine.return_flags |= work.unit.needs_return_flags;
      unit_drop_all();
      if (!discover_unit(eip, limit, fault))
        return 0;
    }
    limit = select_stencils(&work.selection, &work.unit, &work.options);
  } while (limit < work.unit.insn_count);
  work.guess = work.large ? jump_guess(&work.unit, cpu) : 0;
  work.code = open_code();
  emit_unit();
  uint8_t *body_end = work.at;
  emit_exits();
  emit_entries();
  code_cache_close(work.at);
  struct code_unit unit = {.code = (const uint8_t *)code_address(work.code),
                           .code_size = (uint32_t)(work.at - work.code),
                           .body_size = (uint32_t)(body_end - work.code),
                           .low = work.unit.low,
                           .large = work.large,
                           .insn_count = (uint16_t)work.insn_count,
                           .ordered_count = (uint16_t)work.ordered_count,
                           .page_count = (uint16_t)work.fetch.page_count,
                           .insn = work.insn,
                           .page = work.fetch.page};
  unit_share(unit_add(&unit));
  map_entries(eip);
  engine_statistics.stencils += work.selection.count;
  observe_translated(unit_kind(&unit), work.unit.insn, work.unit.insn_count, began);
  if (engine.regions_at_once)
    region_want(eip);
  return unit_lookup(eip);
}

uintptr_t translate_exit(guest_addr eip) {
  uintptr_t known = slot_entry(eip);
  if (known)
    return known;
  work.at = code_cache_open(EXIT_ROOM);
  uint32_t slot;
  uint8_t *entry = emit_exit(eip, true, &slot);
  code_cache_close(work.at);
  return code_address(entry);
}
