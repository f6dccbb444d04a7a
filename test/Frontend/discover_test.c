/* Discovery: what is decoded, how it is cut into blocks, and which flags are live where. Code is written as
 * bytes at address BASE; what lies beyond it cannot be fetched. */
#include "Frontend/discover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BASE = 0x08048000 };

struct memory {
  const uint8_t *bytes;
  size_t size;
  guest_addr base;
};

static size_t fetch(void *context, guest_addr eip, const uint8_t **bytes) {
  const struct memory *memory = context;
  guest_addr offset = eip - memory->base;
  if (offset >= memory->size)
    return 0;
  *bytes = memory->bytes + offset;
  size_t left = memory->size - offset;
  return left < 16 ? left : 16;
}

static struct unit unit;

static bool discover_options_at(const struct memory *memory, guest_addr entry, struct discover_options options) {
  options.fetch = fetch;
  options.context = (void *)memory;
  if (!options.insn_limit)
    options.insn_limit = UNIT_INSN_LIMIT;
  memset(&unit, 0xA5, sizeof unit); /* nothing may depend on what was there */
  discover_forget(); /* every test has other code at the same address */
  return discover(&unit, entry, &options);
}

static bool discover_bytes(const uint8_t *bytes, size_t size, struct discover_options options) {
  struct memory memory = {.bytes = bytes, .size = size, .base = BASE};
  return discover_options_at(&memory, BASE, options);
}

#define FOLLOW ((struct discover_options){.follow = true})
#define DISCOVER(options, ...)                                                                               \
  do {                                                                                                       \
    const uint8_t bytes_[] = {__VA_ARGS__};                                                                    \
    assert_true(discover_bytes(bytes_, sizeof bytes_, options));                                                 \
  } while (0)

static int insn_index(unsigned offset) {
  for (unsigned i = 0; i < unit.insn_count; i++)
    if (unit.insn[i].eip == BASE + offset)
      return (int)i;
  fail_msg("no instruction at offset %u", offset);
  return -1;
}

/* Flags live after the instruction at offset. */
static uint8_t live_after(unsigned offset) { return unit.live[insn_index(offset)]; }

static const struct block *block_at(unsigned offset) {
  for (unsigned b = 0; b < unit.block_count; b++)
    if (unit.insn[unit.block[b].first].eip == BASE + offset)
      return &unit.block[b];
  fail_msg("no block at offset %u", offset);
  return NULL;
}

/* What holds of every unit, whatever the bytes. */
/* From instruction i on, do no flags matter up to a call or an indirect jump? Flags of address arithmetic
 * before one are left out on purpose. */
static bool leads_to_transfer(unsigned i, unsigned end) {
  for (; i < end; i++) {
    uint8_t flow = unit.insn[i].flow;
    if (flow == FLOW_CALL || flow == FLOW_CALL_INDIRECT || flow == FLOW_JUMP_INDIRECT)
      return true;
    if (flow != FLOW_NEXT || unit.insn[i].flags_changed || unit.insn[i].flags_read)
      return false;
  }
  return false;
}

static void check_invariants(guest_addr entry, struct discover_options options) {
  assert_true(unit.insn_count >= 1);
  assert_true(unit.insn_count <= (options.insn_limit ? options.insn_limit : UNIT_INSN_LIMIT));
  assert_true(unit.block_count >= 1 && unit.block_count <= UNIT_BLOCK_LIMIT);
  assert_int_equal(unit.entry, entry);
  assert_true(unit.high - unit.low <= UNIT_SPAN_LIMIT);
  bool entry_found = false;
  unsigned next = 0;
  for (unsigned b = 0; b < unit.block_count; b++) {
    const struct block *block = &unit.block[b];
    assert_int_equal(block->first, next); /* together, the blocks are all instructions, in order */
    assert_true(block->count >= 1);
    next = block->first + block->count;
    assert_true(block->taken < (int)unit.block_count && block->next < (int)unit.block_count);
    const struct insn *last = &unit.insn[next - 1];
    if (unit.insn[block->first].eip == entry)
      entry_found = block->leader;
    for (unsigned i = block->first; i < next; i++) {
      const struct insn *insn = &unit.insn[i];
      assert_true(insn->eip >= unit.low && insn_next(insn) <= unit.high && insn->length >= 1);
      assert_true(unit.live[i] <= FLAGS_ALL);
      if (i + 1 < next) { /* inside a block control only goes on */
        assert_int_equal(insn_next(insn), unit.insn[i + 1].eip);
        assert_true(insn->flow == FLOW_NEXT || insn->flow == FLOW_CALL || insn->flow == FLOW_CALL_INDIRECT);
      }
    }
    if (block->taken >= 0) {
      assert_int_equal(unit.insn[unit.block[block->taken].first].eip, last->target);
      assert_true(last->flow == FLOW_CONDITIONAL || last->flow == FLOW_JUMP);
    }
    if (block->next >= 0)
      assert_int_equal(unit.insn[unit.block[block->next].first].eip, insn_next(last));
  }
  assert_int_equal(next, unit.insn_count);
  assert_true(entry_found);
  /* Liveness is a fixed point: what a successor needs and this does not write is live here. */
  for (unsigned b = 0; b < unit.block_count; b++) {
    const struct block *block = &unit.block[b];
    unsigned end = block->first + block->count;
    const int successor[2] = {block->taken, block->next};
    for (unsigned s = 0; s < 2; s++) {
      if (successor[s] < 0)
        continue;
      unsigned first = unit.block[successor[s]].first;
      const struct insn *insn = &unit.insn[first];
      uint8_t in = (uint8_t)((unit.live[first] & ~insn->flags_written) | insn->flags_read);
      if (insn->flow != FLOW_CALL && insn->flow != FLOW_CALL_INDIRECT && unit.insn[end - 1].flow != FLOW_CALL &&
          unit.insn[end - 1].flow != FLOW_CALL_INDIRECT)
        assert_int_equal(in & ~unit.live[end - 1], 0);
    }
    for (unsigned i = block->first; i + 1 < end; i++) {
      const struct insn *after = &unit.insn[i + 1];
      if (unit.insn[i].flow != FLOW_NEXT)
        continue;
      uint8_t in = (uint8_t)((unit.live[i + 1] & ~after->flags_written) | after->flags_read);
      if (!(unit.live[i] == 0 && leads_to_transfer(i + 1, end)))
        assert_int_equal(in & ~unit.live[i], 0);
      if (options.precise && after->can_fault)
        assert_int_equal(unit.live[i], FLAGS_ALL);
    }
  }
}

/* --- Blocks ------------------------------------------------------------------------------------------ */

static void one_block(void **state) {
  (void)state;
  DISCOVER(FOLLOW, 0x40, 0x41, 0xC3); /* inc eax; inc ecx; ret */
  check_invariants(BASE, FOLLOW);
  assert_int_equal(unit.insn_count, 3);
  assert_int_equal(unit.block_count, 1);
  assert_int_equal(unit.low, BASE);
  assert_int_equal(unit.high, BASE + 3);
  assert_int_equal(unit.block[0].taken, -1);
  assert_int_equal(unit.block[0].next, -1);
  assert_false(unit.fetch_fault);
}

static void branch_and_join(void **state) {
  (void)state;
  /* 0: test eax,eax; 2: je 7; 4: inc ecx; 5: jmp 8; 7: inc edx; 8: ret */
  DISCOVER(FOLLOW, 0x85, 0xC0, 0x74, 0x03, 0x41, 0xEB, 0x01, 0x42, 0xC3);
  check_invariants(BASE, FOLLOW);
  assert_int_equal(unit.block_count, 4);
  const struct block *entry = block_at(0), *left = block_at(4), *right = block_at(7), *join = block_at(8);
  assert_ptr_equal(&unit.block[entry->taken], right);
  assert_ptr_equal(&unit.block[entry->next], left);
  assert_ptr_equal(&unit.block[left->taken], join);
  assert_ptr_equal(&unit.block[right->next], join);
  assert_int_equal(left->next, -1);
  assert_true(entry->leader && right->leader && join->leader);
}

static void loop_cuts_a_block(void **state) {
  (void)state;
  /* 0: mov ecx,5; 5: inc eax; 6: dec ecx; 7: jnz 5; 9: ret */
  DISCOVER(FOLLOW, 0xB9, 5, 0, 0, 0, 0x40, 0x49, 0x75, 0xFC, 0xC3);
  check_invariants(BASE, FOLLOW);
  assert_int_equal(unit.block_count, 3);
  assert_int_equal(block_at(0)->count, 1);
  assert_ptr_equal(&unit.block[block_at(5)->taken], block_at(5));
}

static void jump_backwards_before_the_entry(void **state) {
  (void)state;
  const uint8_t code[] = {0x40, 0xC3, 0xEB, 0xFC}; /* 0: inc eax; 1: ret; 2: jmp 0 */
  struct memory memory = {.bytes = code, .size = sizeof code, .base = BASE};
  assert_true(discover_options_at(&memory, BASE + 2, FOLLOW));
  check_invariants(BASE + 2, FOLLOW);
  assert_int_equal(unit.insn_count, 3);
  assert_int_equal(unit.low, BASE);
  assert_int_equal(unit.insn[0].eip, BASE); /* address order, not the order of execution */
}

static void overlapping_instructions(void **state) {
  (void)state;
  /* 0: jmp 3 into the immediate of 2: mov eax,0x…: both ways to read the bytes are blocks of their own */
  DISCOVER(FOLLOW, 0x74, 0x01, 0xB8, 0x40, 0x40, 0x40, 0xC3, 0xC3);
  check_invariants(BASE, FOLLOW);
  block_at(2);
  block_at(3);
}

static void only_what_falls_through(void **state) {
  (void)state;
  struct discover_options options = {.follow = false};
  DISCOVER(options, 0x85, 0xC0, 0x74, 0x03, 0x41, 0xEB, 0x01, 0x42, 0xC3);
  check_invariants(BASE, options);
  assert_int_equal(unit.insn_count, 4); /* up to the jmp; its target and je's are left out */
  assert_int_equal(block_at(0)->taken, -1);
  assert_int_equal(block_at(4)->taken, -1);
  /* A loop inside the stretch is seen. */
  DISCOVER(options, 0x40, 0x49, 0x75, 0xFC, 0xC3);
  check_invariants(BASE, options);
  assert_int_equal(block_at(0)->taken, 0);
}

static void calls_go_on_behind(void **state) {
  (void)state;
  DISCOVER(FOLLOW, 0xE8, 0x01, 0, 0, 0, 0xC3, 0x40, 0xC3); /* 0: call 6; 5: ret; 6: inc eax; 7: ret */
  assert_int_equal(unit.insn_count, 2); /* the callee is another unit */
  assert_int_equal(unit.block_count, 1);
  DISCOVER(FOLLOW, 0xFF, 0xD0, 0x40, 0xFF, 0xE0); /* call eax; inc eax; jmp eax */
  assert_int_equal(unit.insn_count, 3);
}

static void ends(void **state) {
  (void)state;
  static const uint8_t endings[][3] = {{0xC3}, {0xC2, 4, 0}, {0xFF, 0xE0}, {0x0F, 0x0B}, {0xF4}, {0xCB}, {0x0F, 0xFF, 0xC0}};
  for (unsigned i = 0; i < sizeof endings / sizeof endings[0]; i++) {
    uint8_t code[8] = {0x90};
    memcpy(code + 1, endings[i], 3);
    memset(code + 4, 0x40, 4);
    assert_true(discover_bytes(code, sizeof code, FOLLOW));
    check_invariants(BASE, FOLLOW);
    assert_int_equal(unit.insn_count, 2);
  }
}

/* --- Where bytes end ------------------------------------------------------------------------------------- */

static void truncated(void **state) {
  (void)state;
  const uint8_t code[] = {0x40, 0xB8, 1, 2}; /* inc eax; mov eax,… cut short */
  assert_true(discover_bytes(code, sizeof code, FOLLOW));
  check_invariants(BASE, FOLLOW);
  assert_int_equal(unit.insn_count, 1);
  assert_true(unit.fetch_fault);
  assert_int_equal(unit.fetch_address, BASE + 4); /* the first byte that is missing */
  /* The first instruction itself cannot be had. */
  assert_false(discover_bytes(code + 1, sizeof code - 1, FOLLOW));
  assert_int_equal(unit.fetch_address, BASE + 3);
  assert_false(discover_bytes(code, 0, FOLLOW));
  assert_int_equal(unit.fetch_address, BASE);
  /* A branch to where nothing is: an exit, and the fault is its own. */
  DISCOVER(FOLLOW, 0x74, 0x40, 0xC3);
  check_invariants(BASE, FOLLOW);
  assert_int_equal(block_at(0)->taken, -1);
  assert_int_equal(unit.insn_count, 2);
}

static void at_the_end_of_memory(void **state) {
  (void)state;
  const uint8_t code[] = {0x90, 0x40, 0x75, 0xFD};
  struct memory memory = {.bytes = code, .size = sizeof code, .base = (guest_addr)-4};
  assert_true(discover_options_at(&memory, (guest_addr)-4, FOLLOW));
  assert_int_equal(unit.insn_count, 3);
}

static void undecodable(void **state) {
  (void)state;
  DISCOVER(FOLLOW, 0x40, 0xFF, 0xFF, 0xC3); /* ff /7 */
  check_invariants(BASE, FOLLOW);
  assert_int_equal(unit.insn_count, 2);
  assert_int_equal(unit.insn[1].flow, FLOW_TRAP);
  assert_false(unit.fetch_fault);
}

/* --- Budgets ------------------------------------------------------------------------------------------------ */

static void limits(void **state) {
  (void)state;
  enum { SIZE = 1 << 17 };
  uint8_t *code = malloc(SIZE);
  memset(code, 0x40, SIZE); /* inc eax for ever */
  assert_true(discover_bytes(code, SIZE, FOLLOW));
  check_invariants(BASE, FOLLOW);
  assert_int_equal(unit.insn_count, UNIT_INSN_LIMIT);
  struct discover_options few = {.follow = true, .insn_limit = 8};
  assert_true(discover_bytes(code, SIZE, few));
  assert_int_equal(unit.insn_count, 8);
  /* A conditional jump everywhere, to everywhere. */
  for (unsigned i = 0; i < SIZE; i += 2)
    code[i] = (uint8_t)(0x70 + i / 2 % 16), code[i + 1] = (uint8_t)(2 * (i * 7 % 60));
  assert_true(discover_bytes(code, SIZE, FOLLOW));
  check_invariants(BASE, FOLLOW);
  /* Far jumps: 0f 84 rel32, each 8000 bytes on; the span holds a few. */
  memset(code, 0xC3, SIZE);
  for (unsigned i = 0; i + 9000 < SIZE; i += 9000) {
    const uint8_t jump[6] = {0x0F, 0x84, 0x22, 0x23, 0, 0}; /* +0x2322 = 9000 - 6 */
    memcpy(code + i, jump, 6);
  }
  assert_true(discover_bytes(code, SIZE, FOLLOW));
  check_invariants(BASE, FOLLOW);
  assert_true(unit.block_count > 6);
  free(code);
}

/* --- Liveness -------------------------------------------------------------------------------------------------- */

static void dead_flags(void **state) {
  (void)state;
  DISCOVER(FOLLOW, 0x01, 0xC8, 0x29, 0xC8, 0xC3); /* add eax,ecx; sub eax,ecx; ret */
  assert_int_equal(live_after(0), 0);
  assert_int_equal(live_after(2), 0);
}

static void live_to_a_reader(void **state) {
  (void)state;
  /* 0: cmp eax,ecx; 2: mov edx,ebx; 4: jb 7; 6: ret; 7: ret */
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x89, 0xDA, 0x72, 0x01, 0xC3, 0xC3);
  assert_int_equal(live_after(0), FLAGS_C);
  assert_int_equal(live_after(2), FLAGS_C);
  assert_int_equal(live_after(4), 0);
  /* inc keeps the carry: 0: add; 2: inc; 3: adc; ret */
  DISCOVER(FOLLOW, 0x01, 0xC8, 0x40, 0x11, 0xC8, 0xC3);
  assert_int_equal(live_after(0), FLAGS_C);
  assert_int_equal(live_after(2), FLAGS_C);
  assert_int_equal(live_after(3), 0);
  /* A shift by cl may leave the flags alone: 0: cmp; 2: shl eax,cl; 4: setz al; 7: ret */
  DISCOVER(FOLLOW, 0x39, 0xC8, 0xD3, 0xE0, 0x0F, 0x94, 0xC0, 0xC3);
  assert_int_equal(live_after(0) & FLAGS_Z, FLAGS_Z);
  /* pushf reads them all. */
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x9C, 0xC3);
  assert_int_equal(live_after(0), FLAGS_ALL);
}

static void live_round_a_loop(void **state) {
  (void)state;
  /* 0: clc; 1: rcr eax,1; 3: dec ecx; 4: jnz 1; 6: adc eax,0; 9: ret */
  DISCOVER(FOLLOW, 0xF8, 0xD1, 0xD8, 0x49, 0x75, 0xFB, 0x83, 0xD0, 0x00, 0xC3);
  check_invariants(BASE, FOLLOW);
  assert_int_equal(live_after(0), FLAGS_C);
  assert_int_equal(live_after(1), FLAGS_C);
  assert_int_equal(live_after(3), FLAGS_C | FLAGS_Z);
  assert_int_equal(live_after(4), FLAGS_C);
}

static void live_out_of_the_unit(void **state) {
  (void)state;
  DISCOVER(FOLLOW, 0x39, 0xC8, 0xFF, 0xE0); /* cmp; jmp eax: who knows */
  assert_int_equal(live_after(0), FLAGS_ALL);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x0F, 0x0B); /* cmp; ud2: a handler may look */
  assert_int_equal(live_after(0), FLAGS_ALL);
  /* The target is beyond what can be fetched. */
  DISCOVER(FOLLOW, 0x39, 0xC8, 0xE9, 0, 0x10, 0, 0);
  assert_int_equal(live_after(0), FLAGS_ALL);
  /* A jump that is not followed is looked behind: 0: cmp; 2: jmp 5; 4: nop; 5: seto al; 8: test; 10: ret */
  struct discover_options stretch = {.follow = false};
  DISCOVER(stretch, 0x39, 0xC8, 0xEB, 0x01, 0x90, 0x0F, 0x90, 0xC0, 0x85, 0xC0, 0xC3);
  assert_int_equal(unit.insn_count, 2);
  assert_int_equal(live_after(0), FLAGS_O);
}

static void live_into_a_call(void **state) {
  (void)state;
  /* 0: cmp; 2: call 8; 7: ret; 8: jc 8; ret: the callee reads the carry */
  DISCOVER(FOLLOW, 0x39, 0xC8, 0xE8, 0x01, 0, 0, 0, 0xC3, 0x72, 0xFE, 0xC3);
  assert_int_equal(live_after(0) & FLAGS_C, FLAGS_C);
  /* It writes them first. */
  DISCOVER(FOLLOW, 0x39, 0xC8, 0xE8, 0x01, 0, 0, 0, 0xC3, 0x01, 0xC0, 0xC3);
  assert_int_equal(live_after(0), 0);
  /* Called through a register: anybody. */
  DISCOVER(FOLLOW, 0x39, 0xC8, 0xFF, 0xD0, 0xC3);
  assert_int_equal(live_after(0), FLAGS_ALL);
}

static void return_flags_are_noticed(void **state) {
  (void)state;
  /* 0: call 8; 5: jc 5; 7: ret; 8: stc; ret */
  static const uint8_t reads[] = {0xE8, 0x03, 0, 0, 0, 0x72, 0xFE, 0xC3, 0xF9, 0xC3};
  struct discover_options with = {.follow = true, .return_flags = FLAGS_ALL};
  assert_true(discover_bytes(reads, sizeof reads, FOLLOW));
  assert_int_equal(unit.needs_return_flags, FLAGS_C);
  assert_true(discover_bytes(reads, sizeof reads, with));
  assert_int_equal(unit.needs_return_flags, FLAGS_NONE);
  /* call 7; inc eax; ret; ret: inc keeps CF, which a fault behind it may show. */
  static const uint8_t keeps[] = {0xE8, 0x02, 0, 0, 0, 0x40, 0xC3, 0xC3};
  struct discover_options records = {.follow = true, .records = true};
  assert_true(discover_bytes(keeps, sizeof keeps, FOLLOW));
  assert_int_equal(unit.needs_return_flags, FLAGS_NONE);
  assert_false(unit.reads_return[0]);
  assert_true(discover_bytes(keeps, sizeof keeps, records));
  assert_true(unit.reads_return[0]); /* it is this call's affair: nobody else keeps them */
  assert_int_equal(unit.needs_return_flags, FLAGS_NONE);
  records.return_flags = FLAGS_ALL;
  DISCOVER(records, 0x39, 0xC8, 0xC3); /* cmp; ret */
  assert_int_equal(live_after(0), 0);
  /* The same behind an indirect call, and a few instructions on. */
  DISCOVER(FOLLOW, 0xFF, 0xD0, 0x89, 0xC1, 0x8D, 0x40, 0x01, 0x0F, 0x92, 0xC1, 0xC3);
  assert_true(unit.needs_return_flags);
  /* Flags that are written before they are read are nobody's result. */
  DISCOVER(FOLLOW, 0xE8, 0x05, 0, 0, 0, 0x85, 0xC0, 0x75, 0xFC, 0xC3, 0xC3);
  assert_false(unit.needs_return_flags);
  /* With return flags, they live on at a ret. */
  DISCOVER(with, 0x39, 0xC8, 0xC3);
  assert_int_equal(live_after(0), FLAGS_ALL);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0xC3);
  assert_int_equal(live_after(0), 0);
}

/* Flags returned to a reader on one way of a branch, and behind many instructions. */
static void return_flags_are_looked_for(void **state) {
  (void)state;
  /* 0: call eax; 2: jecxz 6; 4: test; ret; 7: jc 7; ret */
  DISCOVER(FOLLOW, 0xFF, 0xD0, 0xE3, 0x03, 0x85, 0xC0, 0xC3, 0x72, 0xFE, 0xC3);
  assert_int_equal(unit.needs_return_flags, FLAGS_C);
  uint8_t nops[64] = {0xFF, 0xD0};
  memset(nops + 2, 0x90, 40);
  memcpy(nops + 42, (uint8_t[]){0x78, 0xFE, 0xC3}, 3); /* js */
  assert_true(discover_bytes(nops, 45, FOLLOW));
  assert_int_equal(unit.needs_return_flags, FLAGS_S);
  /* Who comes by an indirect jump looks for himself. */
  DISCOVER(FOLLOW, 0xFF, 0xD0, 0xFF, 0xE1, 0x72, 0xFE, 0xC3);
  assert_int_equal(unit.needs_return_flags, 0);
}

static void returns_that_are_jumps(void **state) {
  (void)state;
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x51, 0xC3); /* cmp; push ecx; ret */
  assert_int_equal(live_after(0), FLAGS_ALL);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x51, 0x59, 0xC3); /* push ecx; pop ecx; ret */
  assert_int_equal(live_after(0), 0);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x89, 0x0C, 0x24, 0xC3); /* mov [esp],ecx; ret */
  assert_int_equal(live_after(0), FLAGS_ALL);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x89, 0x4C, 0x24, 0x04, 0xC3); /* mov [esp+4],ecx; ret */
  assert_int_equal(live_after(0), 0);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x89, 0x4C, 0x24, 0x04, 0x59, 0xC3); /* mov [esp+4],ecx; pop ecx; ret */
  assert_int_equal(live_after(0), FLAGS_ALL);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x89, 0xCC, 0x5D, 0xC3); /* mov esp,ecx; pop ebp; ret */
  assert_int_equal(live_after(0), FLAGS_ALL);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x94, 0xC3); /* xchg eax,esp; ret */
  assert_int_equal(live_after(0), FLAGS_ALL);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x51, 0x89, 0xEC, 0x5D, 0xC3); /* push ecx; mov esp,ebp; pop ebp; ret */
  assert_int_equal(live_after(0), 0);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x51, 0xC9, 0xC3); /* push ecx; leave; ret */
  assert_int_equal(live_after(0), 0);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x8D, 0x65, 0xF4, 0x5B, 0xC3); /* lea esp,[ebp-12]; pop ebx; ret */
  assert_int_equal(live_after(0), 0);
  DISCOVER(FOLLOW, 0x39, 0xC8, 0x8D, 0x61, 0xFC, 0xC3); /* lea esp,[ecx-4]; ret */
  assert_int_equal(live_after(0), FLAGS_ALL);
}

/* With records nothing is kept for indirect jumps and calls: who reads flags there gets them from the record. */
static void older_flags(void **state) {
  (void)state;
  struct discover_options records = {.follow = true, .records = true};
  DISCOVER(records, 0x39, 0xC8, 0xFF, 0xE1); /* cmp; jmp ecx */
  assert_int_equal(live_after(0), 0);
  DISCOVER(records, 0xD3, 0xE8, 0xFF, 0xE1); /* shr eax,cl; jmp ecx: no record */
  assert_int_equal(live_after(0), FLAGS_ALL);
  DISCOVER(records, 0x83, 0xEC, 0x0C, 0xFF, 0xD1, 0xC3); /* sub esp,12; call ecx */
  assert_int_equal(live_after(0), 0);
  DISCOVER(records, 0x85, 0xC0, 0x75, 0x02, 0xFF, 0xE1, 0x0F, 0x92, 0xC0,
           0xC3); /* test; jne 6; jmp ecx; 6: setc al; ret */
  assert_int_equal(live_after(0), FLAGS_C | FLAGS_Z);
}

static bool all_is_there(guest_addr eip) { return eip == BASE + 7; }

static void code_that_is_there(void **state) {
  (void)state;
  /* 0: test eax,eax; 2: je 7; 4: inc ecx; 5: jmp 8; 7: inc edx; 8: ret; there is code for 7 already */
  struct discover_options options = {.follow = true, .has_code = all_is_there};
  DISCOVER(options, 0x85, 0xC0, 0x74, 0x03, 0x41, 0xEB, 0x01, 0x42, 0xC3);
  check_invariants(BASE, options);
  assert_int_equal(unit.insn_count, 5);
  assert_int_equal(block_at(0)->taken, -1);
}

static void precise(void **state) {
  (void)state;
  struct discover_options options = {.follow = true, .precise = true};
  /* 0: add eax,ecx; 2: mov eax,[ecx]; 4: sub eax,ecx; 6: add eax,edx; 8: ret */
  static const uint8_t code[] = {0x01, 0xC8, 0x8B, 0x01, 0x29, 0xC8, 0x01, 0xD0, 0xC3};
  assert_true(discover_bytes(code, sizeof code, options));
  check_invariants(BASE, options);
  assert_int_equal(live_after(0), FLAGS_ALL); /* the load may fault */
  assert_int_equal(live_after(2), 0);
  assert_int_equal(live_after(4), 0);
  assert_int_equal(live_after(6), FLAGS_ALL); /* so may ret */
  assert_true(discover_bytes(code, sizeof code, FOLLOW));
  assert_int_equal(live_after(0), 0);
}

/* --- Anything at all -------------------------------------------------------------------------------------------- */

static void random_bytes(void **state) {
  (void)state;
  enum { SIZE = 3000, ROUNDS = 4000 };
  static uint8_t code[SIZE];
  /* What makes blocks is more frequent than in plain noise. */
  static const uint8_t frequent[] = {0x74, 0x75, 0x72, 0xEB, 0xE8, 0xC3, 0x0F, 0x40, 0x39, 0x8B, 0xFF, 0x66, 0x90, 0xE2, 0x11};
  uint32_t random = 12345;
  for (unsigned round = 0; round < ROUNDS; round++) {
    for (unsigned i = 0; i < SIZE; i++) {
      random = random * 1664525 + 1013904223;
      code[i] = random >> 31 ? frequent[(random >> 16 & 0x7FFF) % sizeof frequent] : (uint8_t)(random >> 20);
    }
    struct discover_options options = {.follow = round % 4 != 0,
                                       .precise = round % 3 == 0,
                                       .return_flags = round % 5 ? FLAGS_NONE : FLAGS_ALL,
                                       .insn_limit = round % 7 ? UNIT_INSN_LIMIT : 1 + round % 40};
    struct memory memory = {.bytes = code, .size = SIZE, .base = round % 2 ? BASE : (guest_addr)-SIZE};
    guest_addr entry = memory.base + (random >> 8) % SIZE;
    if (!discover_options_at(&memory, entry, options)) {
      assert_true(unit.fetch_address - entry < 16);
      continue;
    }
    if (unit.high >= unit.low) /* what runs over the end of memory is ordered as numbers are */
      check_invariants(entry, options);
    /* Twice the same, with what the first time found. */
    struct unit *first = malloc(sizeof *first);
    *first = unit;
    if (!options.insn_limit)
      options.insn_limit = UNIT_INSN_LIMIT;
    options.fetch = fetch;
    options.context = &memory;
    assert_true(discover(&unit, entry, &options));
    assert_int_equal(first->insn_count, unit.insn_count);
    for (unsigned i = 0; i < unit.insn_count; i++)
      first->insn[i].pattern = unit.insn[i].pattern; /* how it was decoded, not what it is */
    assert_memory_equal(first->insn, unit.insn, unit.insn_count * sizeof unit.insn[0]);
    assert_memory_equal(first->live, unit.live, unit.insn_count);
    assert_memory_equal(first->block, unit.block, unit.block_count * sizeof unit.block[0]);
    free(first);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_block),
      cmocka_unit_test(branch_and_join),
      cmocka_unit_test(loop_cuts_a_block),
      cmocka_unit_test(jump_backwards_before_the_entry),
      cmocka_unit_test(overlapping_instructions),
      cmocka_unit_test(only_what_falls_through),
      cmocka_unit_test(calls_go_on_behind),
      cmocka_unit_test(ends),
      cmocka_unit_test(truncated),
      cmocka_unit_test(at_the_end_of_memory),
      cmocka_unit_test(undecodable),
      cmocka_unit_test(limits),
      cmocka_unit_test(dead_flags),
      cmocka_unit_test(live_to_a_reader),
      cmocka_unit_test(live_round_a_loop),
      cmocka_unit_test(live_out_of_the_unit),
      cmocka_unit_test(live_into_a_call),
      cmocka_unit_test(return_flags_are_noticed),
      cmocka_unit_test(return_flags_are_looked_for),
      cmocka_unit_test(returns_that_are_jumps),
      cmocka_unit_test(older_flags),
      cmocka_unit_test(code_that_is_there),
      cmocka_unit_test(precise),
      cmocka_unit_test(random_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
