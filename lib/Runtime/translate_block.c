/* Translation in the llvm tier: a unit is one basic block, compiled by LLVM (jit_block.c).
 *
 * Its code keeps guest registers wherever LLVM likes, so the register file is the state: the block
 * writes back what it changed before each instruction that can fault, and when it ends (docs/orc-tier.md).
 * The unit therefore has one instruction boundary, its entry, and is marked `commits`; its table of
 * instructions has the entry and the x87 instructions, for those who ask where the last one was. */
#include "Runtime/engine.h"
#include "Runtime/helpers.h"

#include <errno.h>
#include <string.h>

enum { HELPER_JUMP_SIZE = 16 };

/* The translation under way. One at a time: the engine lock is held. */
static struct {
  struct fetch fetch;
  guest_addr code_base; /* of the code segment, which eip is an offset in */
  struct insn insn[JIT_BLOCK_LIMIT];
  unsigned count;
  struct jit_block block;
  struct unit_insn row[1 + JIT_BLOCK_LIMIT]; /* the entry, then x87 instructions */
} work;

/* The instruction at eip, of which `room` bytes lie within the code segment's limit: beyond it is #GP. False, with
 * *fault set to the linear address, if it cannot be fetched. */
static bool decode_one(struct insn *insn, guest_addr eip, uint64_t room, const struct block_mode *mode, guest_addr *fault) {
  const guest_addr linear = eip + mode->code_base;
  const uint8_t *bytes;
  size_t size = room ? fetch_code(&work.fetch, linear, &bytes) : 0;
  const bool is_cut = size > room || room == 0;
  if (size > room)
    size = (size_t)room;
  if (size && insn_decode_mode(insn, bytes, size, eip, mode->bits) != INSN_TRUNCATED)
    return true;
  *fault = linear + (guest_addr)size;
  if (is_cut)
    insn_make_protected(insn, eip);
  return is_cut;
}

/* The instructions from eip up to one that does not just go on to the next. */
static bool decode_block(guest_addr eip, unsigned limit, const struct block_mode *mode, guest_addr *fault) {
  work.fetch.mode = mode->bits;
  work.code_base = mode->code_base;
  for (work.count = 0; work.count < limit;) {
    struct insn *insn = &work.insn[work.count];
    const uint64_t room = eip > mode->code_high ? 0 : (uint64_t)mode->code_high - eip + 1;
    if (!decode_one(insn, eip, room, mode, fault))
      break;
    work.count++;
    if (insn_uses_ymm(&insn->form))
      runtime_use_ymm();
    if (insn->flow != FLOW_NEXT)
      break;
    eip = insn_next(insn);
  }
  return work.count > 0;
}

/* The pages of the instructions that were compiled; decoding may have looked further. */
static unsigned keep_pages(const struct insn *last) {
  guest_addr low = (work.insn[0].eip + work.code_base) & ~(guest_addr)(4096 - 1);
  guest_addr high = insn_next(last) + work.code_base - 1;
  unsigned kept = 0;
  for (unsigned i = 0; i < work.fetch.page_count; i++)
    if ((work.fetch.page[i] << 12) - low <= high - low)
      work.fetch.page[kept++] = work.fetch.page[i];
  return kept;
}

/* `linked`: jumps may lead to it. */
static const struct code_unit *add_unit(struct code_unit *unit, bool linked) {
  guest_addr entry = work.insn[0].eip;
  work.row[0] = (struct unit_insn){0};
  unit->low = entry;
  unit->insn_count++;
  unit->insn = work.row;
  unit->page = work.fetch.page;
  const struct code_unit *added = unit_add(unit);
  if (linked)
    unit_map_insert(entry, (uintptr_t)unit->code, PLACE_SMALL, false);
  return added;
}

/* The unit of an instruction that cannot be compiled: a jump to the helper that says so. */
static const struct code_unit *add_uncompiled(bool linked) {
  uint8_t *code = code_cache_open(HELPER_JUMP_SIZE);
  uint8_t *end = stub_write_helper_jump(code, work.insn[0].eip, HELPER_uncompiled);
  code_cache_close(end);
  struct code_unit unit = {.code = (const uint8_t *)code_address(code),
                           .code_size = (uint32_t)(end - code),
                           .body_size = (uint32_t)(end - code),
                           .page_count = (uint16_t)keep_pages(&work.insn[0])};
  return add_unit(&unit, linked);
}

static const struct code_unit *compile(bool linked, const struct block_mode *mode) {
  static const struct jit_host host = {code_cache_open_in_place, code_cache_close, stub_address, NULL};
  struct jit_host with_dump = host;
  struct jit_block *block = &work.block;
  struct compiler_fpu fpu;
  guest_addr eip = work.insn[0].eip;
  const uint64_t began = observe_clock();
  if (engine.options.dump_ir)
    with_dump.dump = engine.options.dump;
  int status = compiler_enter(eip, &fpu)->compile_block(&with_dump, work.insn, work.count, mode, block);
  compiler_leave(&fpu);
  if (status < 0) {
    engine_log("0x%08x: '%s' cannot be compiled: %s", eip, insn_name(&work.insn[0].form), block->why);
    return add_uncompiled(linked);
  }
  for (unsigned i = 0; i < block->x87_count; i++)
    work.row[1 + i] =
        (struct unit_insn){block->x87[i].host, (uint16_t)(work.insn[block->x87[i].insn].eip - eip), 0};
  struct code_unit unit = {.code = block->code,
                           .code_size = block->size,
                           .body_size = block->code_size,
                           .commits = true,
                           .insn_count = (uint16_t)block->x87_count,
                           .page_count = (uint16_t)keep_pages(&work.insn[block->insn_count - 1])};
  observe_translated(UNIT_BLOCK, work.insn, block->insn_count, began);
  return add_unit(&unit, linked);
}

static const struct block_mode usual = {.code_high = UINT32_MAX};

uintptr_t translate_block(guest_addr eip, guest_addr *fault) {
  work.fetch.page_count = 0;
  work.fetch.unprotected = false;
  return decode_block(eip, JIT_BLOCK_LIMIT, &usual, fault) ? (uintptr_t)compile(true, &usual)->code : 0;
}

const struct code_unit *translate_careful(guest_addr eip, const struct block_mode *mode, guest_addr *fault) {
  work.fetch.page_count = 0;
  work.fetch.unprotected = false;
  unsigned limit = mode->bits & MODE_SINGLE ? 1 : JIT_BLOCK_LIMIT;
  return decode_block(eip, limit, mode, fault) ? compile(false, mode) : NULL;
}

uintptr_t translate_once(guest_addr eip, const struct block_mode *mode, guest_addr *fault) {
  work.fetch.page_count = 0;
  work.fetch.unprotected = true;
  if (!mode)
    mode = &usual;
  return decode_block(eip, 1, mode, fault) ? (uintptr_t)compile(false, mode)->code : 0;
}
