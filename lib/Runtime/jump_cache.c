/* Where indirect jumps lead: each thread's tables from guest addresses to host code.
 *
 * Most jumps look their target up by its address. But the CPU guesses where a jump of a `switch` leads, is
 * often wrong, and knows only when the jump itself is done: each instruction between the load from the
 * guest's table and the jump makes that later. So these look it up by the index that they load by, at the
 * same time as they load, and compare when they have both: a table jump has a row of entries, by a hash of
 * where the guest's table lies, and an index has one of the row's. What an entry says is checked against the
 * target, so that rows may be shared, and indexes be wrong. An empty entry leads to C. */
#include "Runtime/engine.h"

#include <string.h>

/* --- By the target ----------------------------------------------------------------------------------------
 */

struct jump_cache_entry *engine_cached_jump(struct cpu_state *cpu, guest_addr eip) {
  const unsigned first = jump_cache_index(eip);
  for (unsigned way = 0; way < JUMP_CACHE_WAYS; way++)
    if (eip && cpu->jump_cache[first ^ way].eip == eip)
      return &cpu->jump_cache[first ^ way];
  return NULL;
}

static void forget_jump(struct cpu_state *cpu, struct jump_cache_entry *entry) {
  const bool is_of_zero =
      entry < cpu->jump_cache + JUMP_CACHE_WAYS; /* eip 0 is looked up there, and is never found */
  __atomic_store_n(&entry->eip, is_of_zero ? JUMP_CACHE_NOBODY : 0, __ATOMIC_RELEASE);
}

static bool is_at_home(const struct cpu_state *cpu, unsigned place) {
  const guest_addr eip = cpu->jump_cache[place].eip;
  return eip != 0 && eip != JUMP_CACHE_NOBODY && jump_cache_index(eip) == place;
}

/* The entry that eip has or, as the first to be looked at, gets. Who is there moves on to another of the set,
 * to one that is no other's first if there is any: else those that are at home would drive each other out by
 * way of some that nobody asks for any more. */
struct jump_cache_entry *engine_room_for_jump(struct cpu_state *cpu, guest_addr eip) {
  const unsigned first = jump_cache_index(eip);
  struct jump_cache_entry *found = engine_cached_jump(cpu, eip), *cache = cpu->jump_cache;
  if (found)
    return found;
  unsigned way = 1;
  while (way < JUMP_CACHE_WAYS - 1 && is_at_home(cpu, first ^ way))
    way++;
  if (cache[first].eip > JUMP_CACHE_NOBODY)
    cache[first ^ way] = cache[first];
  return &cache[first];
}

/* --- By the index -----------------------------------------------------------------------------------------
 */

static uint32_t used_rows; /* 1 << the rows that translated code looks into */

/* First it leads to C, and then it is nobody's: who is between the comparison and the jump comes to C, too.
 */
static void empty(struct jump_cache_entry *entry) {
  __atomic_store_n(&entry->host, stub_dispatch_miss(), __ATOMIC_RELEASE);
  __atomic_store_n(&entry->eip, 0, __ATOMIC_RELEASE);
}

static void empty_row(struct cpu_state *cpu, unsigned row) {
  for (unsigned i = 0; i < TABLE_ROW_SIZE; i++)
    empty(&cpu->table_jumps[row][i]);
}

static void empty_rows(struct cpu_state *cpu) {
  struct engine_thread *thread = engine_thread_of(cpu);
  for (unsigned row = 0; row < TABLE_ROWS; row++)
    if (used_rows >> row & 1)
      empty_row(cpu, row);
  if (thread->passing.count)
    memset(&thread->passing, 0, sizeof thread->passing);
}

unsigned engine_table_row(uint32_t table) {
  const unsigned row = (table * 0x9E3779B1u) >> (32 - TABLE_ROW_BITS);
  if (!(used_rows >> row & 1)) {
    used_rows |= 1u << row;
    for (struct engine_thread *thread = engine.threads; thread; thread = thread->next)
      empty_row(thread->cpu, row);
  }
  return row;
}

static unsigned filter_bit(guest_addr eip) { return (eip ^ eip >> 14) % (64 * PASSING_FILTER_WORDS); }

/* Of code that is to be replaced by hotter code it is noted who leads there. */
static void note_passing(struct cpu_state *cpu, const struct jump_cache_entry *entry, guest_addr eip) {
  struct engine_thread *thread = engine_thread_of(cpu);
  if (thread->passing.count == PASSING_LIMIT)
    empty_rows(cpu);
  thread->passing.entry[thread->passing.count++] = (uint16_t)(entry - &cpu->table_jumps[0][0]);
  thread->passing.filter[filter_bit(eip) / 64] |= (uint64_t)1 << filter_bit(eip) % 64;
}

void engine_cache_table_jump(struct cpu_state *cpu, uint32_t offset, guest_addr eip) {
  const struct jump_cache_entry *known = engine_cached_jump(cpu, eip);
  struct jump_cache_entry *entry = &cpu->table_jumps[0][0] + offset / sizeof *entry;
  if (!known || (engine.precise && known->reads_flags))
    return;
  if (!unit_is_settled(eip))
    note_passing(cpu, entry, eip);
  *entry = *known;
}

static void forget_passing(struct engine_thread *thread, guest_addr eip) {
  if (!(thread->passing.filter[filter_bit(eip) / 64] >> filter_bit(eip) % 64 & 1))
    return;
  for (unsigned i = 0; i < thread->passing.count;) {
    struct jump_cache_entry *entry = &thread->cpu->table_jumps[0][0] + thread->passing.entry[i];
    if (entry->eip == eip) {
      empty(entry);
      thread->passing.entry[i] = thread->passing.entry[--thread->passing.count];
    } else {
      i++;
    }
  }
}

/* --- Both -------------------------------------------------------------------------------------------------
 */

void engine_begin_jumps(struct cpu_state *cpu) {
  for (unsigned i = 0; i < JUMP_CACHE_WAYS; i++)
    forget_jump(cpu, &cpu->jump_cache[i]);
  empty_rows(cpu);
}

void engine_forget_jumps_to(guest_addr eip) {
  for (struct engine_thread *thread = engine.threads; thread; thread = thread->next) {
    struct jump_cache_entry *entry = engine_cached_jump(thread->cpu, eip);
    if (entry)
      forget_jump(thread->cpu, entry);
    forget_passing(thread, eip);
  }
}

void engine_forget_jumps(void) {
  for (struct engine_thread *thread = engine.threads; thread; thread = thread->next)
    for (unsigned i = 0; i < JUMP_CACHE_SIZE; i++)
      if (thread->cpu->jump_cache[i].eip)
        forget_jump(thread->cpu, &thread->cpu->jump_cache[i]);
  for (struct engine_thread *thread = engine.threads; thread; thread = thread->next)
    empty_rows(thread->cpu);
}
