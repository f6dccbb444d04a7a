/* Discovery, in three passes: decode what direct control flow reaches, cut it into blocks at the
 * leaders, and let flag liveness flow backward over the blocks until it settles. */
#include "Frontend/discover.h"

#include "Frontend/decode_cache.h"
#include "Frontend/flag_record.h"

#include <stdlib.h>
#include <Zydis/Mnemonic.h>
#include <string.h>

enum { MAP_SIZE = 2048, NO_INSN = 0xFFFF, PEEK_LIMIT = 12 };

struct work {
  struct unit *unit;
  const struct discover_options *options;
  /* Instructions in the order they were decoded. */
  struct insn insn[UNIT_INSN_LIMIT];
  unsigned count;
  bool leader[UNIT_INSN_LIMIT]; /* of insn[] */
  uint16_t map[MAP_SIZE];       /* eip -> index into insn[]; only if jumps are followed */
  guest_addr pending[UNIT_BLOCK_LIMIT];
  unsigned pending_count;
  uint8_t block_in[UNIT_BLOCK_LIMIT]; /* flags that are read in a block before they are written */
  unsigned block_bound; /* there will be no more blocks than this, and one a pending stretch or two */
};

static unsigned map_slot(const struct work *work, guest_addr eip) {
  unsigned slot = (eip * 0x9E3779B1u) >> 21;
  while (work->map[slot] != NO_INSN && work->insn[work->map[slot]].eip != eip)
    slot = (slot + 1) % MAP_SIZE;
  return slot;
}

/* In what falls through from the entry instructions lie in the order of their addresses. */
static unsigned find_in_stretch(const struct work *work, guest_addr eip) {
  unsigned low = 0, high = work->count;
  if (eip < work->unit->low || eip >= work->unit->high)
    return NO_INSN;
  while (high - low > 1) {
    unsigned middle = (low + high) / 2;
    if (work->insn[middle].eip <= eip)
      low = middle;
    else
      high = middle;
  }
  return work->insn[low].eip == eip ? low : NO_INSN;
}

static unsigned find(const struct work *work, guest_addr eip) {
  return work->options->follow ? work->map[map_slot(work, eip)] : find_in_stretch(work, eip);
}

static bool in_span(const struct work *work, guest_addr eip) {
  guest_addr low = work->unit->low, high = work->unit->high;
  return (eip >= low ? eip - low : high - eip) < UNIT_SPAN_LIMIT - 16;
}

static void mark_leader(struct work *work, unsigned index) {
  if (!work->leader[index]) {
    work->leader[index] = true;
    work->block_bound++;
  }
}

/* Each pending stretch makes a block, and may cut a known one where it runs into it. */
static bool has_room(const struct work *work) {
  return work->block_bound + 2 * work->pending_count + 4 < UNIT_BLOCK_LIMIT;
}

/* The instruction at eip: one of the unit's, or decoded into *space. NULL if it cannot be had. */
static const struct insn *insn_at(const struct work *work, guest_addr eip, struct insn *space) {
  unsigned known = find(work, eip);
  if (known != NO_INSN)
    return &work->insn[known];
  const uint8_t *bytes;
  size_t size = work->options->fetch(work->options->context, eip, &bytes);
  return size && insn_decode_cached(space, bytes, size, eip) == INSN_OK ? space : NULL;
}

/* Does code at eip soon jump through a table? An interpreter's handlers end in a jump to such a place. Each
 * unit has its own copy: the CPU foretells indirect jumps better where there is one a handler. */
enum { COPY_LIMIT = 8 }; /* instructions */
static bool leads_to_table_jump(const struct work *work, guest_addr eip) {
  struct insn space;
  for (unsigned i = 0; i < COPY_LIMIT; i++) {
    const struct insn *insn = insn_at(work, eip, &space);
    if (!insn || insn->flow == FLOW_JUMP_INDIRECT)
      return insn != NULL;
    if (insn->flow != FLOW_NEXT && insn->flow != FLOW_CONDITIONAL && insn->flow != FLOW_JUMP)
      return false;
    eip = insn->flow == FLOW_JUMP ? insn->target : insn_next(insn);
  }
  return false;
}

/* Is there code for eip that the unit should go to, rather than have its own? */
static bool has_code(const struct work *work, guest_addr eip) {
  return work->options->has_code && work->options->has_code(eip) &&
         !(work->options->follow && leads_to_table_jump(work, eip));
}

/* Wants `eip` decoded and to start a block; false if there is no room. */
static bool want_leader(struct work *work, guest_addr eip) {
  unsigned known = find(work, eip);
  if (!has_room(work))
    return false;
  if (known != NO_INSN) {
    mark_leader(work, known);
    return true;
  }
  if (!work->options->follow || has_code(work, eip) || !in_span(work, eip) ||
      work->count + 8 >= work->options->insn_limit)
    return false;
  work->pending[work->pending_count++] = eip;
  return true;
}

/* Decodes from eip on, until control leaves or known code is met. */
static void decode_stretch(struct work *work, guest_addr eip) {
  bool first = true;
  while (work->count < work->options->insn_limit) {
    unsigned known = find(work, eip);
    if (known != NO_INSN) {
      mark_leader(work, known);
      return;
    }
    if (!first && (!in_span(work, eip) || has_code(work, eip)))
      return;
    const uint8_t *bytes;
    size_t size = work->options->fetch(work->options->context, eip, &bytes);
    struct insn *insn = &work->insn[work->count];
    if (size == 0 || insn_decode_cached(insn, bytes, size, eip) == INSN_TRUNCATED) {
      work->unit->fetch_fault = true;
      work->unit->fetch_address = eip + (guest_addr)size;
      return;
    }
    if (work->options->follow)
      work->map[map_slot(work, eip)] = (uint16_t)work->count;
    if (first)
      mark_leader(work, work->count);
    first = false;
    work->count++;
    if (eip < work->unit->low)
      work->unit->low = eip;
    if (insn_next(insn) > work->unit->high)
      work->unit->high = insn_next(insn);
    switch (insn->flow) {
    case FLOW_CONDITIONAL:
      work->block_bound++;
      want_leader(work, insn->target);
      if (!has_room(work))
        return;
      break;
    case FLOW_JUMP:
      want_leader(work, insn->target);
      return;
    case FLOW_JUMP_INDIRECT:
    case FLOW_RETURN:
    case FLOW_TRAP:
      return;
    default:
      break;
    }
    eip = insn_next(insn);
  }
}

/* --- Blocks ------------------------------------------------------------------------------------- */

static int by_eip(const void *a, const void *b) {
  guest_addr x = ((const struct insn *)a)->eip, y = ((const struct insn *)b)->eip;
  return x < y ? -1 : x > y;
}

static bool ends_block(const struct insn *insn) {
  return insn->flow != FLOW_NEXT && !insn_is_call(insn);
}

bool unit_leads_to_table_jump(const struct unit *unit, int block) {
  for (unsigned count = 0; block >= 0;) {
    const struct block *at = &unit->block[block];
    const struct insn *last = &unit->insn[at->first + at->count - 1];
    count += at->count;
    if (count > COPY_LIMIT || last->flow == FLOW_JUMP_INDIRECT)
      return count <= COPY_LIMIT;
    if (last->flow != FLOW_NEXT && last->flow != FLOW_CONDITIONAL && last->flow != FLOW_JUMP)
      return false;
    block = last->flow == FLOW_JUMP ? at->taken : at->next;
  }
  return false;
}

static bool falls_through(const struct insn *insn) {
  return !ends_block(insn) || insn->flow == FLOW_CONDITIONAL;
}

int unit_block_at(const struct unit *unit, guest_addr eip) {
  unsigned low = 0, high = unit->block_count;
  while (low < high) {
    unsigned middle = (low + high) / 2;
    guest_addr at = unit->insn[unit->block[middle].first].eip;
    if (at == eip)
      return (int)middle;
    if (at < eip)
      low = middle + 1;
    else
      high = middle;
  }
  return -1;
}

/* False if they are too many: instructions that overlap, met by jumps into their middle, cut each other's
 * blocks where their bytes are sorted. */
static bool make_blocks(struct work *work) {
  struct unit *unit = work->unit;
  memcpy(unit->insn, work->insn, work->count * sizeof work->insn[0]);
  bool sorted = true;
  for (unsigned i = 1; i < work->count; i++)
    sorted &= unit->insn[i - 1].eip < unit->insn[i].eip;
  if (!sorted)
    qsort(unit->insn, work->count, sizeof unit->insn[0], by_eip);
  unit->insn_count = work->count;
  unit->block_count = 0;
  struct block *block = NULL;
  for (unsigned i = 0; i < unit->insn_count; i++) {
    bool leader = work->leader[sorted ? i : find(work, unit->insn[i].eip)];
    bool follows = i > 0 && insn_next(&unit->insn[i - 1]) == unit->insn[i].eip;
    if (!block || leader || !follows) {
      if (unit->block_count == UNIT_BLOCK_LIMIT)
        return false;
      block = &unit->block[unit->block_count++];
      *block = (struct block){.first = (uint16_t)i, .leader = leader};
    }
    block->count++;
    if (ends_block(&unit->insn[i]))
      block = NULL;
  }
  for (unsigned b = 0; b < unit->block_count; b++) {
    const struct insn *last = &unit->insn[unit->block[b].first + unit->block[b].count - 1];
    bool branches = last->flow == FLOW_CONDITIONAL || last->flow == FLOW_JUMP;
    unit->block[b].taken = branches ? (int16_t)unit_block_at(unit, last->target) : -1;
    unit->block[b].next = falls_through(last) ? (int16_t)unit_block_at(unit, insn_next(last)) : -1;
  }
  return true;
}

/* --- Liveness ----------------------------------------------------------------------------------- */

/* With records whoever is returned to asks for flags (reads_return). */
static uint8_t live_at_return(const struct discover_options *options) {
  return options->records ? 0 : options->return_flags;
}

/* At an indirect jump or call. With records nothing has to be in the register file there: who reads flags
 * gets them from the record. */
static uint8_t live_at_indirect(const struct work *work) { return work->options->records ? 0 : FLAGS_ALL; }

/* Looks a few instructions deep from eip: the flags that are read there before they are written;
 * *unknown gets those that are neither as far as it looked, *last the last instruction seen. */
static uint8_t peek_reads(const struct work *work, guest_addr eip, uint8_t *unknown, guest_addr *last) {
  struct insn space;
  uint8_t read = 0;
  *unknown = FLAGS_ALL;
  for (unsigned i = 0; i < PEEK_LIMIT && *unknown; i++) {
    const struct insn *insn = insn_at(work, eip, &space);
    if (!insn || (work->options->precise && insn->can_fault))
      break;
    *last = eip;
    read |= insn->flags_read & *unknown;
    if (work->options->records && flag_record_is_void(flag_record_kind(insn))) {
      read |= *unknown & flag_record_kept(insn);
      *unknown = 0;
      break;
    }
    *unknown &= (uint8_t)~insn->flags_written;
    if (insn->flow == FLOW_JUMP || insn->flow == FLOW_CALL) {
      eip = insn->target;
    } else if (insn->flow == FLOW_NEXT) {
      eip = insn_next(insn);
    } else {
      if (insn->flow == FLOW_RETURN)
        *unknown &= live_at_return(work->options);
      else if (insn->flow == FLOW_JUMP_INDIRECT || insn->flow == FLOW_CALL_INDIRECT)
        *unknown &= live_at_indirect(work);
      break;
    }
  }
  return read;
}

/* What looking ahead found, by address: most code is jumped to from several places. */
enum { PEEK_MEMORY = 4096 };
static struct peeked {
  guest_addr eip, last; /* where it began, and the last instruction it looked at */
  uint32_t read : 6, unknown : 6, return_flags : 6, known : 1, precise : 1, records : 1;
} peeked[PEEK_MEMORY];

void discover_forget(void) { memset(peeked, 0, sizeof peeked); }

static const struct peeked *look_ahead(const struct work *work, guest_addr eip) {
  const struct discover_options *options = work->options;
  struct peeked *memory = &peeked[(eip * 0x9E3779B1u) >> 20];
  const uint8_t *bytes;
  if (memory->known && memory->eip == eip && memory->precise == options->precise &&
      memory->records == options->records && memory->return_flags == options->return_flags) {
    /* The unit depends on these bytes all the same: fetching says so. */
    options->fetch(options->context, eip, &bytes);
    options->fetch(options->context, memory->last, &bytes);
    return memory;
  }
  guest_addr last = eip;
  uint8_t unknown, read = peek_reads(work, eip, &unknown, &last);
  *memory = (struct peeked){.eip = eip,
                            .last = last,
                            .read = read,
                            .unknown = unknown,
                            .known = true,
                            .precise = options->precise,
                            .records = options->records,
                            .return_flags = options->return_flags};
  return memory;
}

/* Flags that the code at eip may read before it writes them. */
static uint8_t peek(const struct work *work, guest_addr eip) {
  const struct peeked *found = look_ahead(work, eip);
  return found->read | found->unknown;
}

/* A survey: all that code at an address leads to, for as long as flags from before it are there. Unlike a look ahead it follows
 * both ways of branches, and what it does not see is no reader. */
enum { SURVEY_LIMIT = 64 };
struct survey {
  const struct work *work;
  unsigned left; /* instructions that may be looked at yet */
  uint8_t read;
  bool is_cut;
};

/* What an instruction reads, or leaves as it was where a fault shows it. */
static uint8_t read_or_kept(const struct work *work, const struct insn *insn) {
  if (!work->options->records || !flag_record_is_void(flag_record_kind(insn)))
    return insn->flags_read;
  return insn->flags_read | (flag_record_kept(insn) & (uint8_t)~insn->flags_undefined);
}

static void survey_from(struct survey *survey, guest_addr eip, uint8_t flags) {
  struct insn space;
  for (flags &= (uint8_t)~survey->read; flags;) {
    const struct insn *insn = survey->left ? insn_at(survey->work, eip, &space) : NULL;
    survey->is_cut |= !survey->left;
    if (!insn)
      return;
    survey->left--;
    survey->read |= flags & read_or_kept(survey->work, insn);
    flags &= (uint8_t)~(survey->read | insn->flags_written);
    eip = insn_next(insn);
    switch (insn->flow) {
    case FLOW_NEXT:
      break;
    case FLOW_CONDITIONAL:
      survey_from(survey, insn->target, flags);
      flags &= (uint8_t)~survey->read;
      break;
    case FLOW_JUMP:
    case FLOW_CALL:
      eip = insn->target;
      break;
    default:
      return;
    }
  }
}

static uint8_t survey(const struct work *work, guest_addr eip, bool *is_cut) {
  struct survey survey = {.work = work, .left = SURVEY_LIMIT};
  survey_from(&survey, eip, FLAGS_ALL);
  *is_cut = survey.is_cut;
  return survey.read;
}

/* For looks at code that no unit is made of. */
static const struct work *work_alone(const struct discover_options *options) {
  static struct work work;
  static struct unit unit; /* without instructions */
  static struct discover_options alone;
  alone = (struct discover_options){.fetch = options->fetch,
                                    .context = options->context,
                                    .return_flags = options->return_flags,
                                    .precise = options->precise,
                                    .records = options->records};
  work.unit = &unit;
  work.options = &alone;
  return &work;
}

uint8_t discover_live(guest_addr eip, const struct discover_options *options) {
  uint8_t unknown;
  guest_addr last;
  uint8_t live = peek_reads(work_alone(options), eip, &unknown, &last); /* not remembered: no unit depends on it */
  return live | unknown;
}

uint8_t discover_flags_read(guest_addr eip, const struct discover_options *options, bool *is_cut) {
  return survey(work_alone(options), eip, is_cut);
}

/* At eip, is the flag record that of the last instruction to set flags? An instruction has none if others set them again before
 * anything can fault (find_records). */
static bool is_record_current(const struct work *work, guest_addr eip, unsigned limit) {
  struct insn space;
  while (limit--) {
    const struct insn *insn = insn_at(work, eip, &space);
    if (!insn || insn->can_fault || insn->flow == FLOW_JUMP_INDIRECT)
      return true;
    if (flag_record_kind(insn) != FLAG_RECORD_NONE)
      return false;
    const guest_addr target = insn->target, next = insn_next(insn);
    if (insn->flow == FLOW_CONDITIONAL && is_record_current(work, target, limit / 2))
      return true;
    eip = insn->flow == FLOW_JUMP ? target : next;
  }
  return false;
}

bool discover_record_is_current(guest_addr eip, const struct discover_options *options) {
  enum { LIMIT = 64 };
  return is_record_current(work_alone(options), eip, LIMIT);
}

static uint8_t live_into(const struct work *work, const uint8_t *block_in, int block, guest_addr eip) {
  return block >= 0 ? block_in[block] : peek(work, eip);
}

/* --- Returns that are jumps --- */

/* What a block has put on the stack, and ESP, counted from where ESP was at first. */
enum { STACK_SLOTS = 8 };
struct stack {
  int32_t esp, slot[STACK_SLOTS];
  unsigned slot_count;
  bool is_other; /* ESP has been given another value */
};

static void stack_store(struct stack *stack, int32_t offset) { stack->slot[stack->slot_count++ % STACK_SLOTS] = offset; }

static bool is_esp(const struct operand *op) { return op->kind == OPERAND_GPR && op->size == 4 && op->reg == GPR_ESP; }

static void change_esp(struct stack *stack, const struct insn *insn) {
  const struct operand *from = &insn->form.op[1];
  const unsigned mnemonic = insn->form.mnemonic;
  if (from->kind == OPERAND_IMMEDIATE && mnemonic == ZYDIS_MNEMONIC_ADD)
    stack->esp += (int32_t)insn->imm[0];
  else if (from->kind == OPERAND_IMMEDIATE && mnemonic == ZYDIS_MNEMONIC_SUB)
    stack->esp -= (int32_t)insn->imm[0];
  else if (mnemonic == ZYDIS_MNEMONIC_LEA && from->reg == GPR_ESP && from->index == REGISTER_NONE)
    stack->esp += from->has_disp ? (int32_t)insn->disp : 0;
  else /* to the frame, or aligned: the same stack; else another */
    *stack = (struct stack){.is_other = from->reg != GPR_EBP && mnemonic != ZYDIS_MNEMONIC_AND};
}

static void stack_follow(struct stack *stack, const struct insn *insn) {
  const struct operand *op = insn->form.op;
  const int32_t width = insn->form.operand_width;
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_PUSH:
  case ZYDIS_MNEMONIC_PUSHF:
  case ZYDIS_MNEMONIC_PUSHFD:
    stack->esp -= width;
    stack_store(stack, stack->esp);
    return;
  case ZYDIS_MNEMONIC_POP:
  case ZYDIS_MNEMONIC_POPF:
  case ZYDIS_MNEMONIC_POPFD:
    stack->esp += width;
    stack->is_other |= is_esp(&op[0]);
    return;
  case ZYDIS_MNEMONIC_LEAVE:
  case ZYDIS_MNEMONIC_CALL: /* which may pop its arguments */
    *stack = (struct stack){0};
    return;
  default:
    break;
  }
  if (op[0].kind == OPERAND_MEMORY && op[0].reg == GPR_ESP && op[0].index == REGISTER_NONE && op[0].written)
    stack_store(stack, stack->esp + (op[0].has_disp ? (int32_t)insn->disp : 0));
  if ((is_esp(&op[0]) && op[0].written) || (is_esp(&op[1]) && op[1].written))
    change_esp(stack, insn);
}

/* Does the block's return pop what the block has stored there? That is no return from a call, and flags may be meant to live across it.
 * The same holds for one from a stack that the block has changed to; but mostly that is the old one, behind an array of variable size. */
static void look_at_return(const struct unit *unit, struct block *block) {
  struct stack stack = {0};
  block->returns_by_jump = block->changes_stack = false;
  if (unit->insn[block->first + block->count - 1].flow != FLOW_RETURN)
    return;
  for (unsigned i = 0; i + 1 < block->count; i++)
    stack_follow(&stack, &unit->insn[block->first + i]);
  for (unsigned k = 0; k < stack.slot_count && k < STACK_SLOTS; k++)
    block->returns_by_jump |= stack.slot[k] == stack.esp;
  block->changes_stack = stack.is_other;
}

/* --- Live flags --- */

/* An entry of a table of addresses at a constant place, which a register counts: where it begins; 0 for other
 * operands. */
static guest_addr table_of(const struct insn *insn, unsigned i) {
  enum { WORD = 2 };
  const struct operand *op = &insn->form.op[i];
  const bool is_entry = op->kind == OPERAND_MEMORY && op->size == 4 && op->reg == REGISTER_NONE &&
                        !op->segment && op->index != REGISTER_NONE && !op->vector_index &&
                        op->scale == WORD && !(insn->form.attributes & INSN_ADDRESS16);
  return is_entry ? insn->disp : 0;
}

static bool mentions(const struct operand *op, unsigned reg) {
  return op->kind == OPERAND_GPR && operand_whole_register(op) == reg;
}

/* Does it leave the register alone, as far as its operands tell, and do they tell all? */
static bool leaves_alone(const struct insn *insn, unsigned reg) {
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_ADD:
  case ZYDIS_MNEMONIC_AND:
  case ZYDIS_MNEMONIC_CMP:
  case ZYDIS_MNEMONIC_DEC:
  case ZYDIS_MNEMONIC_INC:
  case ZYDIS_MNEMONIC_LEA:
  case ZYDIS_MNEMONIC_MOV:
  case ZYDIS_MNEMONIC_MOVSX:
  case ZYDIS_MNEMONIC_MOVZX:
  case ZYDIS_MNEMONIC_NOP:
  case ZYDIS_MNEMONIC_OR:
  case ZYDIS_MNEMONIC_SUB:
  case ZYDIS_MNEMONIC_TEST:
  case ZYDIS_MNEMONIC_XOR:
    return !(mentions(&insn->form.op[0], reg) && insn->form.op[0].written);
  default:
    return false;
  }
}

/* At a jump by such a table, `jmp *table(,%reg,4)` or `mov table(,%reg,4),%to; jmp *%to`, it can be seen who
 * reads flags. */
static uint8_t live_at_jump(const struct work *work, const struct block *block) {
  const struct insn *first = &work->unit->insn[block->first], *jump = first + block->count - 1;
  const struct operand *to = &jump->form.op[0];
  guest_addr table = table_of(jump, 0);
  if (to->kind == OPERAND_GPR) {
    const struct insn *load = jump;
    while (load > first && leaves_alone(load - 1, to->reg))
      load--;
    if (load > first && load[-1].form.mnemonic == ZYDIS_MNEMONIC_MOV &&
        mentions(&load[-1].form.op[0], to->reg))
      table = table_of(&load[-1], 1);
  }
  const bool is_seen = !work->options->records && work->options->table_flags && table;
  return is_seen ? work->options->table_flags(table) : live_at_indirect(work);
}

/* What is live after the last instruction of a block, by the way it leaves. */
static uint8_t live_out_of(const struct work *work, const uint8_t *block_in, const struct block *block) {
  const struct insn *last = &work->unit->insn[block->first + block->count - 1];
  switch (last->flow) {
  case FLOW_CONDITIONAL:
    return live_into(work, block_in, block->taken, last->target) |
           live_into(work, block_in, block->next, insn_next(last));
  case FLOW_JUMP:
    return live_into(work, block_in, block->taken, last->target);
  case FLOW_RETURN:
    return block->returns_by_jump || block->changes_stack ? FLAGS_ALL : live_at_return(work->options);
  case FLOW_JUMP_INDIRECT:
    return live_at_jump(work, block);
  case FLOW_TRAP:
    return FLAGS_ALL;
  default:
    return live_into(work, block_in, block->next, insn_next(last));
  }
}

uint8_t unit_live_before(const struct unit *unit, unsigned i) {
  const struct insn *insn = &unit->insn[i];
  if (flag_record_is_void(unit->record[i]))
    return flag_record_kept(insn) | insn->flags_read;
  return (uint8_t)((unit->live[i] & ~insn->flags_written) | insn->flags_read);
}

static uint8_t live_before(const struct work *work, unsigned i) {
  return work->options->precise && work->unit->insn[i].can_fault ? FLAGS_ALL : unit_live_before(work->unit, i);
}

/* After a call, the callee's entry decides what is live. Whether the return site reads flags is
 * seen here, before the call can return. */
static void find_call_liveness(struct work *work) {
  struct unit *unit = work->unit;
  for (unsigned i = 0; i < unit->insn_count; i++) {
    const struct insn *insn = &unit->insn[i];
    if (!insn_is_call(insn))
      continue;
    unit->live[i] = insn->flow == FLOW_CALL ? peek(work, insn->target) : live_at_indirect(work);
    bool is_cut;
    const uint8_t read = survey(work, insn_next(insn), &is_cut);
    if (work->options->records)
      unit->reads_return[i] = read || is_cut;
    else
      unit->needs_return_flags |= read & (uint8_t)~work->options->return_flags;
  }
}

static bool adds(const struct insn *insn) {
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_ADD:
  case ZYDIS_MNEMONIC_SUB:
  case ZYDIS_MNEMONIC_AND:
    return true;
  default:
    return false;
  }
}

/* Flags of address arithmetic mean nothing to the code that it leads to: those of the instruction that
 * computes an indirect jump's target, and of the stack pointer's adjustment before a call. Where nobody
 * in sight reads them, they are not kept across the transfer (docs/flags.md). */
static bool is_address_arithmetic(const struct insn *writer, const struct insn *transfer) {
  const struct operand *result = &writer->form.op[0], *target = &transfer->form.op[0];
  if (!adds(writer))
    return false;
  if (result->kind != OPERAND_GPR || result->size != 4 || !result->written)
    return false;
  return result->reg == GPR_ESP || (target->kind == OPERAND_GPR && target->reg == result->reg);
}

static bool leads_out_of_sight(const struct work *work, const struct insn *insn) {
  bool is_cut = false;
  return insn->flow != FLOW_CALL ||
         (!survey(work, insn->target, &is_cut) && !(is_cut && work->options->records));
}

static void forget_address_flags(struct work *work) {
  struct unit *unit = work->unit;
  for (unsigned b = 0; b < unit->block_count; b++) {
    const struct block *block = &unit->block[b];
    for (unsigned i = block->first + 1u; i < (unsigned)block->first + block->count; i++) {
      const bool jumps = insn_is_call(&unit->insn[i]) || unit->insn[i].flow == FLOW_JUMP_INDIRECT;
      const bool may_jump = unit->insn[i].flow == FLOW_RETURN && block->changes_stack && !work->options->records;
      if (!jumps && !may_jump)
        continue;
      const struct operand *target = &unit->insn[i].form.op[0];
      unsigned writer = i - 1;
      while (writer > block->first && !unit->insn[writer].flags_changed && !unit->insn[writer].flags_read &&
             unit->insn[writer].flow == FLOW_NEXT &&
             !(target->kind == OPERAND_GPR && !leaves_alone(&unit->insn[writer], target->reg)) &&
             !(work->options->precise && unit->insn[writer].can_fault))
        writer--;
      if (unit->live[writer] && unit->insn[writer].flags_written == FLAGS_ALL &&
          !flag_record_is_void(unit->record[writer]) &&
          is_address_arithmetic(&unit->insn[writer], &unit->insn[i]) &&
          !(work->options->precise && unit->insn[i].can_fault) && leads_out_of_sight(work, &unit->insn[i]))
        memset(&unit->live[writer], 0, i - writer);
    }
  }
}

static bool leaves_unit(const struct insn *last, const struct block *block) {
  switch (last->flow) {
  case FLOW_CONDITIONAL:
    return block->taken < 0 || block->next < 0;
  case FLOW_JUMP:
    return block->taken < 0;
  case FLOW_JUMP_INDIRECT:
  case FLOW_RETURN:
  case FLOW_TRAP:
    return true;
  default:
    return block->next < 0;
  }
}

/* Whose flags a fault may show: the last setters before anything that can fault, or before the unit is left. */
static void find_records(struct work *work) {
  struct unit *unit = work->unit;
  bool changed = true;
  while (changed) {
    changed = false;
    for (unsigned b = unit->block_count; b-- > 0;) {
      struct block *block = &unit->block[b];
      const struct insn *last = &unit->insn[block->first + block->count - 1];
      bool seen = leaves_unit(last, block);
      if (block->taken >= 0)
        seen |= unit->block[block->taken].shows_flags;
      if (block->next >= 0)
        seen |= unit->block[block->next].shows_flags;
      for (unsigned i = block->first + block->count; i-- > block->first;) {
        const struct insn *insn = &unit->insn[i];
        enum flag_record kind = flag_record_kind(insn);
        unit->record[i] = seen || flag_record_leaves_early(insn) ? kind : FLAG_RECORD_NONE;
        if (kind != FLAG_RECORD_NONE)
          seen = false;
        seen |= insn->can_fault;
      }
      changed |= seen != block->shows_flags;
      block->shows_flags = seen;
    }
  }
}

static void find_liveness(struct work *work) {
  struct unit *unit = work->unit;
  uint8_t *block_in = work->block_in;
  memset(block_in, 0, unit->block_count);
  /* What lies outside never changes: ask once a block, then iterate inside. */
  uint8_t outside[UNIT_BLOCK_LIMIT];
  uint8_t none[UNIT_BLOCK_LIMIT] = {0};
  for (unsigned b = 0; b < unit->block_count; b++)
    outside[b] = live_out_of(work, none, &unit->block[b]);
  find_call_liveness(work);
  bool changed = true;
  while (changed) {
    changed = false;
    for (unsigned b = unit->block_count; b-- > 0;) {
      const struct block *block = &unit->block[b];
      uint8_t live = outside[b];
      if (block->taken >= 0)
        live |= block_in[block->taken];
      if (block->next >= 0)
        live |= block_in[block->next];
      for (unsigned i = block->first + block->count; i-- > block->first;) {
        const struct insn *insn = &unit->insn[i];
        if (insn_is_call(insn))
          live = unit->live[i]; /* what the callee reads */
        else
          unit->live[i] = live = flag_record_is_void(unit->record[i]) ? FLAGS_ALL : live;
        live = live_before(work, i);
      }
      if (live != block_in[b]) {
        block_in[b] = live;
        changed = true;
      }
    }
  }
}

/* What each way of a conditional jump needs; unit.live has both. */
static void find_branch_liveness(struct work *work) {
  struct unit *unit = work->unit;
  for (unsigned b = 0; b < unit->block_count; b++) {
    struct block *block = &unit->block[b];
    const struct insn *last = &unit->insn[block->first + block->count - 1];
    if (last->flow != FLOW_CONDITIONAL)
      continue;
    block->live_taken = live_into(work, work->block_in, block->taken, last->target);
    block->live_next = live_into(work, work->block_in, block->next, insn_next(last));
  }
}

bool discover(struct unit *unit, guest_addr entry, const struct discover_options *options) {
  static _Thread_local struct work work;
  work.unit = unit;
  work.options = options;
  work.count = work.pending_count = work.block_bound = 0;
  if (options->follow)
    memset(work.map, 0xFF, sizeof work.map);
  memset(work.leader, 0, options->insn_limit);
  unit->entry = unit->low = unit->high = entry;
  unit->needs_return_flags = 0;
  unit->fetch_fault = false;
  decode_stretch(&work, entry);
  while (work.pending_count)
    decode_stretch(&work, work.pending[--work.pending_count]);
  if (find(&work, entry) == NO_INSN)
    return false;
  memset(unit->live, 0, work.count);
  memset(unit->record, FLAG_RECORD_NONE, work.count);
  memset(unit->reads_return, 0, work.count);
  if (!make_blocks(&work)) {
    struct discover_options stretch = *options;
    stretch.follow = false; /* one stretch does not overlap itself */
    return discover(unit, entry, &stretch);
  }
  if (options->records)
    find_records(&work);
  for (unsigned b = 0; b < unit->block_count; b++)
    look_at_return(unit, &unit->block[b]);
  find_liveness(&work);
  find_branch_liveness(&work);
  forget_address_flags(&work);
  return true;
}
