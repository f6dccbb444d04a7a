/* Pieces of code: a stencil copied, with its holes filled and its fields made as short as their values; an
 * instruction written as it is; what comes between them. */
#include "Runtime/direct.h"
#include "Runtime/helpers.h"
#include "Runtime/translate_internal.h"

#include <string.h>

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

/* The number of the unit's instruction at eip; insn_count if there is none. */
static unsigned insn_number(guest_addr eip) {
  unsigned low = 0, high = translation.unit.insn_count;
  while (high - low > 1) {
    unsigned middle = (low + high) / 2;
    if (translation.unit.insn[middle].eip <= eip)
      low = middle;
    else
      high = middle;
  }
  return translation.unit.insn[low].eip == eip ? low : translation.unit.insn_count;
}

/* At indirect jumps and calls. With records whoever came to the code before may have brought older flags. */
enum probe_flags translate_probe_flags(void) {
  return translation.options.records ? PROBE_FLAGS_OLDER : PROBE_FLAGS_KEPT;
}

static bool reads_return(const struct insn *call) {
  const unsigned i = translation.options.records ? insn_number(call->eip) : translation.unit.insn_count;
  return i < translation.unit.insn_count && translation.unit.reads_return[i];
}

static void note_insn(const struct selected *piece) {
  translation.insn[translation.insn_count++] =
      (struct unit_insn){.host = (uint16_t)(translation.at - translation.code),
                         .guest = (uint16_t)(piece->eip - translation.unit.low),
                         .stack = piece->stack,
                         .host_flags = piece->host_flags};
}

/* In a unit with records: what the instruction at the piece's start needs of them. */
static void emit_record(const struct selected *piece) {
  const unsigned i = insn_number(piece->eip);
  if (i == translation.unit.insn_count)
    return;
  if (translation.unit.record[i] == FLAG_RECORD_OPERANDS)
    translation.at = flag_record_write(translation.at, &translation.unit.insn[i], piece->stack);
  else if (translation.unit.record[i] == FLAG_RECORD_VOID)
    translation.at = flag_record_write_void(translation.at);
  translation.void_after = translation.unit.record[i] == FLAG_RECORD_VOID_AFTER;
}

/* The end of an instruction's code. */
void translate_end_insn(void) {
  if (translation.void_after)
    translation.at = flag_record_write_void(translation.at);
  if (translation.show_flags_after)
    translation.at = stub_write_helper_call(translation.at, HELPER_show_flags);
  translation.void_after = translation.show_flags_after = false;
}

/* A return that is a jump leaves the host's frames alone: the function that a lazy symbol's resolver goes to
 * by it returns to where the resolver was called from. */
static uint8_t *turn_return(uint8_t *end) {
  enum { RETURN = 0xC3 };
  return end[-1] == RETURN ? stub_write_probe(end - 1, translate_probe_flags()) : end;
}

static void write_direct(const struct insn *insn, const struct block *block) {
  static const struct stencil_reloc taken = {.kind = RELOC_PC32, .symbol = STENCIL_TAKEN, .addend = -4};
  translation.at = direct_write(translation.at, insn);
  if (insn->flow == FLOW_CONDITIONAL)
    translation.at = translate_patch_last_jump(&taken, translation.at - 4, insn, block);
}

/* An instruction whose memory operand is recorded with it, now or later: one access does for both. */
static void write_through_temporary(const struct selected *piece) {
  struct insn rest;
  translation.at = flag_record_write_access(translation.at, &rest, piece->insn);
  if (!piece->unrecorded)
    translation.at = flag_record_write(translation.at, &rest, 0);
  translation.at = direct_write(translation.at, &rest);
}

static void write_call(const struct selected *piece, const struct block *block) {
  const struct stencil_reloc to = {.kind = RELOC_PC32,
                                   .symbol =
                                       piece->insn->flow == FLOW_CALL ? STENCIL_CALLEE : STENCIL_DISPATCH,
                                   .addend = -4};
  uint8_t *callee;
  translation.at = direct_write_call(translation.at, piece->insn, piece->stack, &callee);
  translate_patch_jump(&to, callee, piece->insn, block);
  translation.show_flags_after = reads_return(piece->insn);
}

static void write_return(const struct selected *piece, const struct block *block) {
  const uint32_t released = piece->insn->form.op[0].kind == OPERAND_IMMEDIATE ? piece->insn->imm[0] : 0;
  translation.at = direct_write_return(translation.at, piece->stack, released);
  if (block->returns_by_jump)
    translation.at = turn_return(translation.at);
}

/* --- Jumps by tables --- */

/* The load of an address, or of what makes one, from a table, for the jump at the block's end. */
static struct {
  const struct insn *load; /* NULL: there is none */
  unsigned index;          /* the host's register that has the index, from before the load to the jump */
  bool is_kept;            /* that is another than the guest's, which is written */
} table_jump;

static const struct operand *table_operand(const struct insn *insn) {
  for (unsigned i = 0; i < 2; i++)
    if (insn->form.op[i].kind == OPERAND_MEMORY && insn->form.op[i].index != REGISTER_NONE &&
        insn->form.op[i].scale == 2 && insn->form.op[i].read && !insn->form.op[i].vector_index)
      return &insn->form.op[i];
  return NULL;
}

/* Looks at the block's last instructions. To be wrong costs time only: where the jump leads is compared. */
void translate_find_table_jump(const struct block *block) {
  enum { DISTANCE = 4, KEPT = 11 };
  const struct insn *first = &translation.unit.insn[block->first], *jump = first + block->count - 1;
  table_jump.load = NULL;
  if (!translation.large || jump->flow != FLOW_JUMP_INDIRECT)
    return;
  for (const struct insn *insn = jump; insn >= first && jump - insn < DISTANCE; insn--) {
    const struct operand *table = table_operand(insn);
    if (!table)
      continue;
    table_jump.load = insn;
    table_jump.is_kept = false;
    for (const struct insn *k = insn; k < jump; k++)
      table_jump.is_kept |= insn_written_registers(k) >> table->index & 1;
    table_jump.index = table_jump.is_kept ? KEPT : host_register[table->index];
    return;
  }
}

/* Tables that have no address of their own are each instruction's. */
static unsigned table_row(void) {
  const struct insn *load = table_jump.load;
  return engine_table_row(load->disp ? load->disp : load->eip);
}

static void keep_index(void) {
  const unsigned guest = table_operand(table_jump.load)->index;
  translation.at = direct_write_move(translation.at, table_jump.index, host_register[guest]);
}

/* To eip in r13d: by the jump cache, but for where it is likely to lead. */
static uint8_t *write_indirect_jump(uint8_t *at, const struct insn *jump) {
  if (table_jump.load && jump->flow == FLOW_JUMP_INDIRECT) {
    uint8_t *miss;
    const unsigned row = table_row();
    at = stub_write_table_probe(at, table_jump.index, row, &miss);
    translate_add_table_miss_fixup(miss, row);
    return at;
  }
  if (translation.guess && jump->flow == FLOW_JUMP_INDIRECT && translation.block == translate_entry_block()) {
    at = stub_write_comparison(at, translation.guess);
    translate_add_jump_fixup(at - 4, -4, -1, translation.guess, true, false);
  }
  return stub_write_probe(at, translate_probe_flags());
}

static void copy_stencil(const struct selected *piece, const struct block *block) {
  const struct stencil *stencil = piece->stencil;
  if (stencil->flags & STENCIL_REFUSED) {
    translation.at = stub_write_helper_jump(translation.at, piece->insn->eip, HELPER_uncompiled);
    return;
  }
  uint8_t *code = translation.at, *end = code + stencil->size;
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
        translate_store(field, reloc->kind, value);
      }
    } else if (reloc->symbol == STENCIL_NEXT) {
      jumps_to_end = true;
    } else if (field + 4 != end) {
      translate_patch_jump(reloc, field, &piece->insn[piece->count - 1], block);
    } else if (!probe) {
      end = translate_patch_last_jump(reloc, field, &piece->insn[piece->count - 1], block);
    }
  }
  /* Jumps to the end, which is known only now. Stencils with one have no fields to shorten. */
  for (unsigned r = 0; jumps_to_end && r < stencil->reloc_count; r++) {
    const struct stencil_reloc *reloc = &stencil->reloc[r];
    if (reloc->symbol == STENCIL_NEXT)
      translate_store_pc32(code + stencil_shifted(stencil, shift, reloc->offset), reloc->addend,
                           code_address(end));
  }
  const struct insn *last = &piece->insn[piece->count - 1];
  if (insn_is_call(last))
    translation.show_flags_after = reads_return(last);
  if (last->flow == FLOW_RETURN && block->returns_by_jump)
    end = turn_return(end);
  translation.at = probe ? write_indirect_jump(end - 5, last) : end;
}

void translate_copy_piece(const struct selected *piece, const struct block *block) {
  if (piece->starts)
    note_insn(piece);
  if (piece->starts && table_jump.is_kept && table_jump.load && piece->eip == table_jump.load->eip)
    keep_index();
  if (piece->starts && translation.options.records && !piece->adjust && !piece->unrecorded &&
      !piece->through_temporary)
    emit_record(piece);
  switch ((enum selected_kind)piece->kind) {
  case SELECTED_STENCIL:
    copy_stencil(piece, block);
    break;
  case SELECTED_ADJUST:
    if (piece->adjust)
      translation.at = direct_write_adjustment(translation.at, piece->adjust);
    break;
  case SELECTED_DIRECT:
    if (piece->through_temporary)
      write_through_temporary(piece);
    else
      write_direct(piece->insn, block);
    break;
  case SELECTED_SAVE:
    translation.at = direct_write_save(translation.at, piece->save);
    break;
  case SELECTED_LOAD_CARRY:
    translation.at = direct_write_load_carry(translation.at);
    break;
  case SELECTED_CALL:
    write_call(piece, block);
    break;
  case SELECTED_RETURN:
    write_return(piece, block);
    break;
  case SELECTED_RECORD:
    if (!piece->is_taken && !piece->unrecorded)
      translation.at = flag_record_write_late(translation.at, piece->insn);
    break;
  }
}
