/* Translation: discover a unit, choose a stencil for each instruction, lay them end to end, patch
 * their holes. No LLVM is needed unless a stencil is missing. */
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"
#include "Runtime/helpers.h"

#include <Zydis/Mnemonic.h>
#include <string.h>

enum { FIXUP_LIMIT = 2048, CODE_ROOM = 1 << 17 };

/* A chosen stencil: insn[first .. first+count). */
struct choice {
  uint16_t first;
  uint8_t count;
};

/* A displacement that is filled in when its target is known. */
struct fixup {
  uint8_t *field;
  int32_t addend;
  enum { TO_BLOCK, TO_EXIT, TO_PROBE, FILLED } kind;
  uint32_t target; /* block index, or guest address */
};

/* The translation under way. One at a time: the engine lock is held. */
static struct {
  struct unit unit;
  struct fetch fetch;
  struct fixup fixup[FIXUP_LIMIT];
  unsigned fixup_count;
  uint8_t *block_code[UNIT_BLOCK_LIMIT];
  struct unit_insn insn[UNIT_INSN_LIMIT];
  unsigned insn_count;
  guest_addr entry[UNIT_BLOCK_LIMIT];
  uint8_t *entry_code[UNIT_BLOCK_LIMIT];
  unsigned entry_count;
  uint8_t *code, *at;
  bool large;
} work;

/* --- Calls that are not calls --------------------------------------------------------------------------- */

/* A call to the next instruction, or to `mov (%esp),%reg; ret`, reads its own address: *reg gets the
 * register of the second form, GPR_COUNT for the first. */
static bool is_address_thunk(const struct insn *insn, unsigned *reg) {
  if (insn->flow != FLOW_CALL || insn->form.operand_width != 4)
    return false;
  if (insn->target == insn_next(insn)) {
    *reg = GPR_COUNT;
    return true;
  }
  const uint8_t *bytes;
  if (fetch_code(&work.fetch, insn->target, &bytes) < 4)
    return false;
  /* 8B /r with mod 0 and the SIB byte 24: mov reg,[esp]; C3: ret */
  if (bytes[0] != 0x8B || (bytes[1] & 0xC7) != 0x04 || bytes[2] != 0x24 || bytes[3] != 0xC3)
    return false;
  *reg = bytes[1] >> 3 & 7;
  return *reg != GPR_ESP;
}

/* What such a call does, as push and pop: the return address stays below the stack's top. */
static unsigned thunk_insns(const struct insn *call, unsigned reg, struct insn out[2]) {
  uint8_t push[5] = {0x68};
  guest_addr back = insn_next(call);
  memcpy(push + 1, &back, 4);
  insn_decode(&out[0], push, sizeof push, call->eip);
  if (reg == GPR_COUNT)
    return 1;
  uint8_t pop = (uint8_t)(0x58 + reg);
  insn_decode(&out[1], &pop, 1, call->eip);
  return 2;
}

/* --- Choosing -------------------------------------------------------------------------------------------- */

enum { MISSING_LIMIT = 128 };
static struct {
  struct stencil_source source[MISSING_LIMIT];
  unsigned count;
} missing;

static bool have(const struct insn *insns, unsigned count, uint8_t live, struct stencil_code *stencil) {
  struct shape shape;
  shape_of(&shape, insns, count, live);
  return stencil_source_find(&shape, stencil);
}

/* One stencil of a sequence that does what an instruction or a pair does. */
struct piece {
  struct insn insn[2];
  unsigned count;
  struct stencil_code stencil;
};
enum { PIECE_LIMIT = 4 };

static bool one_piece(const struct insn *insns, unsigned count, uint8_t live, struct piece *piece) {
  /* A stencil that keeps more flags than are needed will do. */
  if (!have(insns, count, live, &piece->stencil) && !have(insns, count, FLAGS_ALL, &piece->stencil))
    return false;
  if (count == 2 && piece->stencil.flags & STENCIL_REFUSED)
    return false;
  memcpy(piece->insn, insns, count * sizeof *insns);
  piece->count = count;
  return true;
}

/* The stencils for insns[0..count): one, or else those of a pair's instructions, or else address and
 * operation apart. The number of pieces; 0 if a stencil is missing. */
static unsigned resolve(const struct insn *insns, unsigned count, uint8_t live, struct piece pieces[]) {
  if (one_piece(insns, count, live, pieces))
    return 1;
  if (count == 2) {
    unsigned first = resolve(&insns[0], 1, (uint8_t)((live & ~insns[1].flags_written) | insns[1].flags_read), pieces);
    unsigned second = first ? resolve(&insns[1], 1, live, pieces + first) : 0;
    return second ? first + second : 0;
  }
  struct insn parts[2];
  if (shape_split_address(insns, parts) && one_piece(&parts[0], 1, 0, &pieces[0]) &&
      one_piece(&parts[1], 1, live, &pieces[1]))
    return 2;
  return 0;
}

static void note_missing(const struct insn *insns, unsigned count, uint8_t live) {
  if (missing.count == MISSING_LIMIT)
    return; /* the rest is made when it is met */
  struct stencil_source *source = &missing.source[missing.count++];
  memset(source, 0, sizeof *source);
  memcpy(source->insn, insns, count * sizeof *insns);
  source->count = (uint8_t)count;
  source->live = live;
}

static void make_missing(void) {
  if (missing.count)
    stencil_source_make(missing.source, missing.count);
  missing.count = 0;
}

/* The same, made now if something is missing. A pair whose stencil is refused falls back to its parts, which
 * may be missing in turn. */
static unsigned get(const struct insn *insns, unsigned count, uint8_t live, struct piece pieces[]) {
  unsigned n = resolve(insns, count, live, pieces);
  for (unsigned tries = 0; !n && tries < 2; tries++) {
    note_missing(insns, count, live);
    for (unsigned i = 0; tries && count == 2 && i < 2; i++)
      note_missing(&insns[i], 1, FLAGS_ALL);
    make_missing();
    n = resolve(insns, count, live, pieces);
  }
  if (!n)
    engine_fatal(insns[0].eip, "no stencil for '%s'", insn_name(&insns[0].form));
  return n;
}

static bool can_pair(const struct block *block, unsigned i) {
  return i + 1u < (unsigned)block->first + block->count &&
         shape_can_fuse(&work.unit.insn[i], &work.unit.insn[i + 1]);
}

/* Asks for everything that is missing at once: LLVM compiles many shapes faster than one by one. */
static void make_unit_stencils(void) {
  const struct unit *unit = &work.unit;
  struct piece pieces[PIECE_LIMIT];
  for (unsigned b = 0; b < unit->block_count; b++)
    for (unsigned i = unit->block[b].first, end = i + unit->block[b].count; i < end; i++) {
      unsigned count = can_pair(&unit->block[b], i) ? 2 : 1;
      if (!resolve(&unit->insn[i], count, unit->live[i + count - 1], pieces))
        note_missing(&unit->insn[i], count, unit->live[i + count - 1]);
      i += count - 1;
    }
  make_missing();
}

/* --- Emitting ---------------------------------------------------------------------------------------------- */

static void add_fixup(uint8_t *field, int32_t addend, int kind, uint32_t target) {
  if (work.fixup_count == FIXUP_LIMIT)
    engine_fatal(work.unit.entry, "a unit has too many jumps");
  work.fixup[work.fixup_count++] = (struct fixup){field, addend, kind, target};
}

/* A jump to guest address `eip`: inside the unit if it is there. */
static void add_jump_fixup(uint8_t *field, int32_t addend, int block, guest_addr eip) {
  if (block >= 0)
    add_fixup(field, addend, TO_BLOCK, (uint32_t)block);
  else
    add_fixup(field, addend, TO_EXIT, eip);
}

static int block_at(guest_addr eip) {
  for (unsigned b = 0; b < work.unit.block_count; b++)
    if (work.unit.insn[work.unit.block[b].first].eip == eip)
      return (int)b;
  return -1;
}

static void store(uint8_t *field, unsigned kind, uint64_t value) {
  static const uint8_t sizes[] = {[RELOC_ABS8] = 1, [RELOC_ABS16] = 2, [RELOC_ABS32] = 4, [RELOC_PC32] = 4};
  memcpy(field, &value, sizes[kind]);
}

static void store_pc32(uint8_t *field, int32_t addend, uintptr_t target) {
  store(field, RELOC_PC32, target + (uint64_t)(int64_t)addend - code_address(field));
}

/* Fills one hole. insns are those of the stencil, block the one it ends, if it does. */
static void patch(const struct stencil_reloc *reloc, uint8_t *code, uint8_t *end, const struct insn *insns,
                  unsigned count, const struct block *block) {
  uint8_t *field = code + reloc->offset;
  const struct insn *last = &insns[count - 1];
  uint32_t value;
  switch (reloc->symbol) {
  case STENCIL_DISP:
    value = insns[0].disp;
    break;
  case STENCIL_IMM0:
    value = insns[0].imm[0];
    break;
  case STENCIL_IMM1:
    value = insns[0].imm[1];
    break;
  case STENCIL_IMM2:
    value = last->imm[0];
    break;
  case STENCIL_EIP:
    value = insns[0].eip;
    break;
  case STENCIL_NEXT_EIP:
    value = insn_next(last);
    break;
  case STENCIL_NEXT:
    store_pc32(field, reloc->addend, code_address(end));
    return;
  case STENCIL_TAKEN:
    add_jump_fixup(field, reloc->addend, block ? block->taken : -1, last->target);
    return;
  case STENCIL_CALLEE:
    add_jump_fixup(field, reloc->addend, block_at(last->target), last->target);
    return;
  case STENCIL_DISPATCH:
    add_fixup(field, reloc->addend, TO_PROBE, 0);
    return;
  default:
    store_pc32(field, reloc->addend, stub_address(reloc->symbol));
    return;
  }
  store(field, reloc->kind, (uint64_t)value + (uint64_t)(int64_t)reloc->addend);
}

static void note_insn(guest_addr eip) {
  work.insn[work.insn_count++] =
      (struct unit_insn){(uint16_t)(work.at - work.code), (uint16_t)(eip - work.unit.low)};
}

static void emit_piece(const struct piece *piece, const struct block *block) {
  const struct stencil_code *stencil = &piece->stencil;
  if (stencil->flags & STENCIL_REFUSED) {
    work.at = stub_write_helper_jump(work.at, piece->insn[0].eip, HELPER_uncompiled);
    return;
  }
  uint8_t *code = work.at, *end = code + stencil->size;
  memcpy(code, stencil->code, stencil->size);
  bool probe = stencil->flags & STENCIL_TAIL_DISPATCH;
  for (unsigned r = 0; r < stencil->reloc_count; r++)
    if (!probe || stencil->reloc[r].offset + 4 != stencil->size)
      patch(&stencil->reloc[r], code, end, piece->insn, piece->count, block);
  work.at = probe ? stub_write_probe(end - 5) : end;
}

static void emit(const struct insn *insns, unsigned count, uint8_t live, const struct block *block) {
  struct piece pieces[PIECE_LIMIT];
  unsigned n = get(insns, count, live, pieces);
  for (unsigned i = 0; i < n; i++)
    emit_piece(&pieces[i], i + 1 == n ? block : NULL);
}

static void emit_jump(int block, guest_addr eip) {
  *work.at++ = 0xE9;
  add_jump_fixup(work.at, -4, block, eip);
  work.at += 4;
}

static void emit_insns(const struct block *block, bool last_block_insn, unsigned i, unsigned count) {
  const struct unit *unit = &work.unit;
  const struct insn *insn = &unit->insn[i];
  unsigned reg;
  note_insn(insn->eip);
  if (count == 1 && is_address_thunk(insn, &reg)) {
    struct insn thunk[2];
    unsigned n = thunk_insns(insn, reg, thunk);
    for (unsigned k = 0; k < n; k++)
      emit(&thunk[k], 1, 0, NULL);
    return;
  }
  emit(insn, count, unit->live[i + count - 1], last_block_insn ? block : NULL);
}

static bool falls_through(const struct insn *insn) {
  return insn->flow == FLOW_NEXT || insn->flow == FLOW_CALL || insn->flow == FLOW_CALL_INDIRECT ||
         insn->flow == FLOW_CONDITIONAL;
}

static void emit_block(unsigned b) {
  const struct unit *unit = &work.unit;
  const struct block *block = &unit->block[b];
  unsigned end = block->first + block->count;
  work.block_code[b] = work.at;
  for (unsigned i = block->first; i < end;) {
    unsigned count = can_pair(block, i) ? 2 : 1;
    emit_insns(block, i + count == end, i, count);
    i += count;
  }
  const struct insn *last = &unit->insn[end - 1];
  if (falls_through(last) && block->next != (int)b + 1)
    emit_jump(block->next, insn_next(last));
}

/* The exits at the unit's end: one for each target outside, one probe for each indirect call. */
static void emit_exits(void) {
  for (unsigned i = 0; i < work.fixup_count; i++) {
    struct fixup *fixup = &work.fixup[i];
    uint8_t *target;
    switch (fixup->kind) {
    case TO_BLOCK:
      store_pc32(fixup->field, fixup->addend, code_address(work.block_code[fixup->target]));
      continue;
    case TO_PROBE:
      target = work.at;
      work.at = stub_write_probe(work.at);
      store_pc32(fixup->field, fixup->addend, code_address(target));
      continue;
    case FILLED:
      continue;
    case TO_EXIT:
      break;
    }
    uint32_t slot = slot_new(fixup->target);
    if (!slot)
      engine_fatal(work.unit.entry, "the code cache has no more exits");
    target = work.at;
    work.at = stub_write_exit(work.at, slot);
    for (unsigned k = i; k < work.fixup_count; k++)
      if (work.fixup[k].kind == TO_EXIT && work.fixup[k].target == fixup->target) {
        store_pc32(work.fixup[k].field, work.fixup[k].addend, code_address(target));
        work.fixup[k].kind = k > i ? FILLED : TO_EXIT;
      }
  }
}

/* Leaders are in the map: execution may come to them from elsewhere. */
static void find_entries(void) {
  const struct unit *unit = &work.unit;
  for (unsigned b = 0; b < unit->block_count; b++) {
    guest_addr eip = unit->insn[unit->block[b].first].eip;
    if (unit->block[b].leader && (work.large ? !unit_lookup_large(eip) : !unit_lookup(eip))) {
      work.entry_code[work.entry_count] = work.block_code[b];
      work.entry[work.entry_count++] = eip;
    }
  }
}

/* A stretch of code that runs perhaps once should cost little. */
enum { SMALL_UNIT = 32 };

static bool discover_unit(guest_addr eip, guest_addr *fault) {
  struct discover_options options = {.fetch = fetch_code,
                                     .context = &work.fetch,
                                     .return_flags = engine.return_flags,
                                     .precise = engine.precise,
                                     .follow = work.large,
                                     .insn_limit = work.large ? UNIT_INSN_LIMIT : SMALL_UNIT};
  work.fetch.page_count = 0;
  if (!discover(&work.unit, eip, &options)) {
    *fault = work.unit.fetch_address;
    return false;
  }
  return true;
}

uintptr_t translate(guest_addr eip, bool hot, guest_addr *fault) {
  uintptr_t known = unit_lookup(eip);
  if (known && (!hot || unit_lookup_large(eip)))
    return known;
  if (engine.options.tier == RUNTIME_TIER_LLVM)
    return known ? known : translate_block(eip, fault);
  work.large = hot;
  if (!discover_unit(eip, fault))
    return 0;
  if (work.unit.needs_return_flags && !engine.return_flags) {
    engine.return_flags = true;
    unit_drop_all();
    if (!discover_unit(eip, fault))
      return 0;
  }
  make_unit_stencils();
  work.fixup_count = work.insn_count = work.entry_count = 0;
  work.code = work.at = code_cache_open(CODE_ROOM);
  if (!work.code)
    engine_fatal(eip, "the code cache is full");
  for (unsigned b = 0; b < work.unit.block_count; b++)
    emit_block(b);
  uint8_t *body_end = work.at;
  emit_exits();
  code_cache_close(work.at);
  struct code_unit unit = {.code = (const uint8_t *)code_address(work.code),
                           .code_size = (uint32_t)(work.at - work.code),
                           .body_size = (uint32_t)(body_end - work.code),
                           .low = work.unit.low,
                           .large = work.large,
                           .insn_count = (uint16_t)work.insn_count,
                           .page_count = (uint16_t)work.fetch.page_count,
                           .insn = work.insn,
                           .entry = work.entry,
                           .page = work.fetch.page};
  find_entries();
  unit.entry_count = (uint16_t)work.entry_count;
  unit_add(&unit);
  for (unsigned i = 0; i < work.entry_count; i++)
    unit_map_insert(work.entry[i], code_address(work.entry_code[i]), work.large);
  return unit_lookup(eip);
}
