/* Small pieces of host code that are not the guest's: stubs, the jump-cache probe, exits.
 *
 * Registers as docs/guest-abi.md has them: r10 and r11 are free, r13d is eip. */
#include "Runtime/direct.h"
#include "Runtime/helpers.h"
#include "Runtime/x86_64/emit.h"

static uintptr_t stubs[STENCIL_HELPER + HELPER_COUNT];

uintptr_t stub_address(unsigned symbol) { return stubs[symbol]; }

/* jmp *[rip + to the next 8 bytes that are aligned]; the bytes. For targets out of a displacement's reach. */
static uint8_t *emit_far_jump(uint8_t *at, const void *target) {
  uint64_t address = (uint64_t)(uintptr_t)target;
  at = EMIT(at, 0xFF, 0x25);
  uint32_t gap = (uint32_t)(0 - (code_address(at) + 4)) % 8;
  at = emit32(at, gap) + gap;
  return emit(at, &address, 8);
}

static uint8_t *emit_near_jump(uint8_t *at, uintptr_t target) {
  at = EMIT(at, 0xE9);
  return emit32(at, (uint32_t)(target - code_address(at) - 4));
}

uint8_t *stub_write_jump(uint8_t *at, uintptr_t target) { return emit_near_jump(at, target); }

/* second_stub: the target's other places, by whether flags may be older. */
static uintptr_t slot_stub, miss_stub, second_stub[2], return_second_stub, flags_stub[2], table_stub[2];

uintptr_t stub_dispatch_miss(void) { return miss_stub; }

static uint8_t *emit_jump_if_not(uint8_t *at, uintptr_t target) {
  at = EMIT(at, 0x0F, 0x85); /* jne target */
  return emit32(at, (uint32_t)(target - code_address(at) - 4));
}

static uint8_t *emit_jump_to_entry(uint8_t *at, uint32_t table) {
  at = EMIT(at, 0x65, 0x41, 0xFF, 0xA2); /* jmp *%gs:table+8(%r10) */
  return emit32(at, table + offsetof(struct jump_cache_entry, host));
}

/* To the target if the jump cache's entry at r10 is eip's (cpu_state.h), and not one that reads flags which
 * may be older; else to miss. */
static uint8_t *write_entry_probe(uint8_t *at, enum probe_flags flags, uintptr_t miss) {
  const uint32_t table = offsetof(struct cpu_state, jump_cache);
  at = EMIT(at, 0x65, 0x45, 0x39, 0xAA); /* cmp %r13d,%gs:table(%r10) */
  at = emit_jump_if_not(emit32(at, table), miss);
  if (flags == PROBE_FLAGS_OLDER) {
    at = EMIT(at, 0x65, 0x41, 0x83, 0xBA); /* cmpl $0,%gs:table+4(%r10) */
    at = emit32(at, table + offsetof(struct jump_cache_entry, reads_flags));
    at = emit_jump_if_not(EMIT(at, 0), miss);
  }
  return emit_jump_to_entry(at, table);
}

static uint8_t *write_probe(uint8_t *at, enum probe_flags flags, uintptr_t second) {
  const uint32_t mask = (JUMP_CACHE_SIZE - 1) * sizeof(struct jump_cache_entry);
  at = EMIT(at, 0x47, 0x8D, 0x54, 0xED, 0);          /* lea (%r13,%r13,8),%r10d */
  at = emit32(EMIT(at, 0x41, 0x81, 0xE2), mask); /* and $mask,%r10d */
  return write_entry_probe(at, flags, second);
}

uint8_t *stub_write_probe(uint8_t *at, enum probe_flags flags) {
  return write_probe(at, flags, second_stub[flags]);
}

/* Code that reads flags which may be older is in no row. */
uint8_t *stub_write_table_probe(uint8_t *at, unsigned index, unsigned row, uint8_t **miss) {
  enum { ENTRY = sizeof(struct jump_cache_entry), ENTRY_SHIFT = 4 };
  _Static_assert(ENTRY == 1 << ENTRY_SHIFT, "the index is shifted");
  const uint32_t table = (uint32_t)(offsetof(struct cpu_state, table_jumps) + row * TABLE_ROW_SIZE * ENTRY);
  at = direct_write_move(at, R10, index);
  at = EMIT(at, 0x41, 0xC1, 0xE2, ENTRY_SHIFT);                          /* shl $4,%r10d */
  at = emit32(EMIT(at, 0x41, 0x81, 0xE2), (TABLE_ROW_SIZE - 1) * ENTRY); /* and $…,%r10d */
  at = emit32(EMIT(at, 0x65, 0x45, 0x39, 0xAA), table);                  /* cmp %r13d,%gs:table(%r10) */
  at = EMIT(at, 0x0F, 0x85);                                             /* jne miss */
  *miss = at;
  return emit_jump_to_entry(emit32(at, 0), table);
}

uint8_t *stub_write_table_miss(uint8_t *at, unsigned row, enum probe_flags flags) {
  at = EMIT(at, 0x41, 0x81, 0xC2); /* add $row,%r10d */
  at = emit32(at, (uint32_t)(row * TABLE_ROW_SIZE * sizeof(struct jump_cache_entry)));
  return emit_near_jump(at, table_stub[flags]);
}

/* With the offset of the entry in r10d: if it is empty, C fills it; else it is another's. */
static uint8_t *write_table_stub(uint8_t *at, enum probe_flags flags) {
  at = EMIT(at, 0x65, 0x41, 0x83, 0xBA); /* cmpl $0,%gs:table_jumps(%r10) */
  at = EMIT(emit32(at, offsetof(struct cpu_state, table_jumps)), 0);
  uint8_t *const not_empty = EMIT(at, 0x75, 0);                            /* jne */
  at = emit_far_jump(EMIT(not_empty, 0x45, 0x89, 0xD3), enter_table_miss); /* mov %r10d,%r11d */
  not_empty[-1] = (uint8_t)(at - not_empty);
  return write_probe(at, flags, second_stub[flags]);
}

uint8_t *stub_write_comparison(uint8_t *at, guest_addr eip) {
  at = emit32(EMIT(at, 0x41, 0x81, 0xFD), eip); /* cmp $eip,%r13d */
  return emit32(EMIT(at, 0x0F, 0x84), 0);       /* je */
}

/* From a probe that failed, with its entry at r10: the others of the set, the last one written first. *start gets where the first
 * of them is looked at. */
static uint8_t *write_other_probes(uint8_t *at, enum probe_flags flags, uintptr_t miss, uintptr_t *start) {
  enum { ENTRY = sizeof(struct jump_cache_entry) };
  *start = miss;
  for (unsigned way = JUMP_CACHE_WAYS - 1; way > 0; way--) {
    const uintptr_t next = *start;
    *start = code_address(at);
    at = EMIT(at, 0x41, 0x83, 0xF2, (uint8_t)((way ^ (way - 1)) * ENTRY)); /* xor $…,%r10d */
    at = write_entry_probe(at, flags, next);
  }
  return at;
}

static uint8_t *emit_rip32(uint8_t *at, const void *target) {
  return emit32(at, (uint32_t)((uintptr_t)target - code_address(at) - 4));
}

static uint8_t *emit_jump_with_slot(uint8_t *at, uint32_t slot, uintptr_t stub) {
  at = EMIT(at, 0x41, 0xBB); /* mov $slot,%r11d */
  at = emit32(at, slot);
  return emit_near_jump(at, stub);
}

uint8_t *stub_write_frame_probe(uint8_t *at, uint32_t frame_size) {
  at = EMIT(at, 0x85, 0x84, 0x24); /* test %eax,-frame_size(%rsp) */
  return emit32(at, 0 - frame_size);
}

uint8_t *stub_write_exit(uint8_t *at, uint32_t slot, bool counts) {
  uint8_t *entry = at, *indirect = at + 5, *counting = NULL;
  at = emit_near_jump(at, code_address(indirect));
  at = emit_jump_with_slot(at, slot, slot_stub);
  if (counts) {
    const uint32_t *counter = &code_cache.counter[counter_of(slot_target(slot))];
    counting = at;
    at = EMIT(at, 0x81, 0x05); /* addl $step,counter(%rip) */
    at = emit32(at, (uint32_t)((uintptr_t)counter - code_address(at) - 8));
    at = emit32(at, UINT32_MAX / engine.hot_count);
    at = EMIT(at, 0x72, 0x0B); /* jc hot */
    at = emit_near_jump(at, code_address(at) + 5);
    at = emit_rip32(EMIT(at, 0xFF, 0x25), &code_cache.target[slot].host); /* jmp *host(%rip) */
    at = emit_jump_with_slot(at, slot | SLOT_IS_HOT, code_cache.link);
  }
  slot_set_code(slot, code_address(entry), code_address(indirect), counting ? code_address(counting) : 0);
  return at;
}

uint8_t *stub_write_entry(uint8_t *at, uintptr_t target, bool recorded) {
  at = EMIT(at, 0x4C, 0x8D, 0x1D); /* lea target(%rip),%r11 */
  at = emit_rip32(at, (const void *)target);
  return emit_near_jump(at, flags_stub[recorded]);
}

uintptr_t stub_entry_target(uintptr_t entry) {
  enum { DISPLACEMENT = 3, LEA_SIZE = 7 };
  int32_t displacement;
  memcpy(&displacement, (const uint8_t *)entry + DISPLACEMENT, sizeof displacement);
  return entry + LEA_SIZE + (uintptr_t)(intptr_t)displacement;
}

uint8_t *stub_write_helper_jump(uint8_t *at, guest_addr eip, unsigned helper) {
  at = EMIT(at, 0x41, 0xBD); /* mov $eip,%r13d */
  at = emit32(at, eip);
  return emit_near_jump(at, stubs[STENCIL_HELPER + helper]);
}

uint8_t *stub_write_helper_call(uint8_t *at, unsigned helper) {
  at = EMIT(at, 0xE8);
  return emit32(at, (uint32_t)(stubs[STENCIL_HELPER + helper] - code_address(at) - 4));
}

void stubs_init(void) {
  uint8_t *at = code_cache_open(4096);
  code_cache.link = code_address(at);
  at = emit_far_jump(at, enter_link);
  slot_stub = code_address(at);
  at = EMIT(at, 0x4C, 0x8D, 0x15); /* lea slots(%rip),%r10 */
  at = emit_rip32(at, code_cache.slot);
  at = EMIT(at, 0x43, 0xFF, 0x24, 0xDA); /* jmp *(%r10,%r11,8) */
  miss_stub = code_address(at);
  at = emit_far_jump(at, enter_dispatch_miss);
  stubs[STENCIL_LEAVE] = code_address(at);
  at = emit_far_jump(at, enter_leave);
  flags_stub[false] = code_address(at);
  at = emit_far_jump(at, enter_with_flags);
  flags_stub[true] = code_address(at);
  at = emit_far_jump(at, enter_with_record);
  const uintptr_t return_miss = code_address(at);
  at = emit_far_jump(at, enter_return_miss);
  for (unsigned flags = 0; flags < 2; flags++)
    at = write_other_probes(at, (enum probe_flags)flags, miss_stub, &second_stub[flags]);
  for (unsigned flags = 0; flags < 2; flags++) {
    table_stub[flags] = code_address(at);
    at = write_table_stub(at, (enum probe_flags)flags);
  }
  at = write_other_probes(at, PROBE_FLAGS_OLDER, return_miss, &return_second_stub);
  uintptr_t helper_stub = code_address(at);
  at = emit_far_jump(at, enter_helper);
  stubs[STENCIL_DISPATCH] = code_address(at);
  at = stub_write_probe(at, PROBE_FLAGS_KEPT);
  stubs[STENCIL_MISPAIRED] = code_address(at);
  at = EMIT(at, 0x65, 0x48, 0x8B, 0x24, 0x25); /* mov %gs:frame_base,%rsp */
  at = emit32(at, offsetof(struct cpu_state, frame_base));
  at = write_probe(at, PROBE_FLAGS_OLDER, return_second_stub);
  for (unsigned h = 0; h < HELPER_COUNT; h++) {
    stubs[STENCIL_HELPER + h] = code_address(at);
    at = EMIT(at, 0x41, 0xBB); /* mov $h,%r11d */
    at = emit32(at, h);
    at = emit_near_jump(at, helper_stub);
  }
  code_cache_close(at);
}
