/* Units of translated code: where they are, what leads to them, and how they go.
 *
 * Code is never changed. A unit that is dropped (its guest code changed) loses its ways in: the map entry,
 * the exit slots linked to it, the jump caches. Other threads, which may be inside, are stopped at their next
 * instruction. It is freed with all others of its chunk (flush.c).
 *
 * What belongs to a chunk of code (its units in the order of their addresses, its slots, its units' records)
 * is in a share of each array of its own, so that it is freed without a look at the others. */
#include "Runtime/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Of a chunk. */
enum { UNIT_LIMIT = 1 << 18, RECORD_LIMIT = 2 * CODE_CHUNK_SIZE };

/* Reserved at full size, so that it never moves: signal handlers read it without a lock. */
static const struct code_unit **units;
static uint8_t *records;
static struct { uint32_t units, slots, record_bytes; } counts[CODE_CHUNK_LIMIT];
/* Those not dropped, in no order: code that changes for ever leaves ever more of the others behind. */
static struct code_unit **current;
static uint32_t current_count;

/* What is known of a guest address that has code, or had it: the code, and the exits that lead there. */
struct place {
  guest_addr eip;
  uint32_t host;            /* offset in the code cache; 0: not translated */
  uint32_t first_slot : 28; /* chain of exits to it; 0: none */
  uint32_t used : 1;        /* there is such a place; once set, it stays */
  uint32_t kind : 2;        /* enum place_kind, of its code */
  uint32_t loads_flags : 1; /* its code is what stub_write_entry writes */
};
static struct place *places; /* open addressing */
static uint32_t place_count, place_size;
/* A bit for some addresses each: may one of them have a place? Most questions end here, and those about
 * addresses close to each other in the same lines of the host's cache. */
enum { FILTER_BITS = 18 };
static uint64_t filter[(1 << FILTER_BITS) / 64];

/* Units by the guest code that they have: chains of the units with instructions in each line of guest
 * memory. */
enum { LINE_SHIFT = 9, CHUNK_LINES = UNIT_LIMIT / 4 };
struct line {
  const struct code_unit *unit;
  uint32_t next; /* 0: the last */
};
static struct line *lines;
static uint32_t line_limit, line_count = 1, free_line;
static uint32_t line_chain[(1ull << 32) >> LINE_SHIFT];

/* What translated code does not need of a slot. Offsets are in the code cache. */
enum { SLOT_LAST = UINT32_MAX };
struct exit_slot {
  uint32_t next; /* chain of the slots of one target, or SLOT_LAST; 0: not in it, for nobody came by so far */
  uint32_t entry;    /* the exit (stub_write_exit) */
  uint32_t indirect; /* its way through the slot */
  uint32_t counting; /* its way while the target is not hot; 0: it does not count */
  uint32_t first_jump; /* chain of the jumps that lead to the exit, and past it where they can; 0: none */
};
static struct exit_slot *slots;

/* A jump with its displacement at an offset in the code cache. */
struct exit_jump {
  uint32_t field;
  uint32_t next : 31;     /* 0: the last */
  uint32_t has_flags : 1; /* all of them are in EFLAGS there */
};
static struct exit_jump *exit_jumps;
static uint32_t exit_jump_limit, exit_jump_count = 1;

static void *map(size_t size, int flags) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static void *reserve(size_t size) { return map(size, MAP_NORESERVE); }

/* All of a hash table is going to be touched. */
static struct place *places_map(uint32_t count) { return map(count * sizeof(struct place), MAP_POPULATE); }

enum { FIRST_PLACES = 1 << 13 };

int units_init(void) {
  const uint32_t chunk_count = code_cache.chunk_count;
  exit_jump_limit = chunk_count * CODE_CHUNK_SLOTS;
  line_limit = chunk_count * CHUNK_LINES;
  units = reserve((size_t)chunk_count * UNIT_LIMIT * sizeof *units);
  current = reserve((size_t)chunk_count * UNIT_LIMIT * sizeof *current);
  records = reserve((size_t)chunk_count * RECORD_LIMIT);
  slots = reserve((size_t)chunk_count * CODE_CHUNK_SLOTS * sizeof *slots);
  exit_jumps = reserve((size_t)exit_jump_limit * sizeof *exit_jumps);
  lines = reserve((size_t)line_limit * sizeof *lines);
  places = places_map(FIRST_PLACES);
  place_size = FIRST_PLACES;
  return units && current && records && slots && exit_jumps && lines && places ? 0 : -ENOMEM;
}

/* --- Units -------------------------------------------------------------------------------------------- */

static uint32_t line_of(const struct code_unit *unit, unsigned insn) {
  return (unit->low + unit->insn[insn].guest) >> LINE_SHIFT;
}

static void line_add(const struct code_unit *unit, uint32_t line) {
  uint32_t at = free_line;
  if (at)
    free_line = lines[at].next;
  else if (line_count < line_limit)
    at = line_count++;
  else
    return; /* its instructions will be translated again where they are entered */
  lines[at] = (struct line){unit, line_chain[line]};
  line_chain[line] = at;
}

static void line_remove(const struct code_unit *unit, uint32_t line) {
  for (uint32_t *link = &line_chain[line], at; (at = *link); link = &lines[at].next)
    if (lines[at].unit == unit) {
      *link = lines[at].next;
      lines[at].next = free_line;
      free_line = at;
      return;
    }
}

void unit_share(const struct code_unit *unit) {
  for (unsigned i = 0; i < unit->ordered_count; i++)
    if (i == 0 || line_of(unit, i) != line_of(unit, i - 1))
      line_add(unit, line_of(unit, i));
}

static void unshare(const struct code_unit *unit) {
  for (unsigned i = 0; i < unit->ordered_count; i++)
    if (i == 0 || line_of(unit, i) != line_of(unit, i - 1))
      line_remove(unit, line_of(unit, i));
}

/* Several rows may have an address: in the first ones the stack pointer's register may be behind. */
static bool insn_of_eip(const struct code_unit *unit, guest_addr eip, unsigned *insn) {
  unsigned low = 0, high = unit->ordered_count;
  guest_addr offset = eip - unit->low;
  if (offset > UINT16_MAX)
    return false;
  while (low < high) {
    unsigned middle = (low + high) / 2;
    if (unit->insn[middle].guest < offset)
      low = middle + 1;
    else
      high = middle;
  }
  for (; low < unit->ordered_count && unit->insn[low].guest == offset; low++)
    if (unit->insn[low].stack == 0 && unit->insn[low].host_flags == 0) {
      *insn = low;
      return true;
    }
  return false;
}

const struct code_unit *unit_of_eip(guest_addr eip, unsigned *insn) {
  for (uint32_t at = line_chain[eip >> LINE_SHIFT]; at; at = lines[at].next)
    if (insn_of_eip(lines[at].unit, eip, insn))
      return lines[at].unit;
  return NULL;
}

enum { RECORD_SIZE_LIMIT = 1 << 20 };

bool units_have_room(void) {
  enum { UNITS_AT_ONCE = 64, SLOTS_AT_ONCE = 1 << 12, RECORD_BYTES_AT_ONCE = 2 * RECORD_SIZE_LIMIT };
  const uint32_t chunk = code_cache.chunk;
  return counts[chunk].units + UNITS_AT_ONCE <= UNIT_LIMIT &&
         counts[chunk].slots + SLOTS_AT_ONCE <= CODE_CHUNK_SLOTS &&
         counts[chunk].record_bytes + RECORD_BYTES_AT_ONCE <= RECORD_LIMIT;
}

void *unit_record(size_t size) {
  enum { ALIGNMENT = 8 };
  const uint32_t chunk = code_cache.chunk;
  uint8_t *record = records + (size_t)chunk * RECORD_LIMIT + counts[chunk].record_bytes;
  if (size > RECORD_SIZE_LIMIT || size > RECORD_LIMIT - counts[chunk].record_bytes)
    engine_fatal(0, "out of memory for translations");
  counts[chunk].record_bytes += (uint32_t)((size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  return record;
}

const struct code_unit *unit_add(const struct code_unit *unit) {
  const uint32_t chunk = code_cache.chunk;
  size_t insns = unit->insn_count * sizeof *unit->insn, pages = unit->page_count * sizeof *unit->page;
  char *memory = unit_record(sizeof *unit + insns + pages);
  if (counts[chunk].units == UNIT_LIMIT)
    engine_fatal(unit->low, "out of memory for translations");
  struct code_unit *copy = (struct code_unit *)memory;
  *copy = *unit;
  copy->page = memcpy(memory + sizeof *unit, unit->page, pages);
  copy->insn = memcpy(memory + sizeof *unit + pages, unit->insn, insns);
  current[current_count++] = copy;
  units[(size_t)chunk * UNIT_LIMIT + counts[chunk].units] = copy;
  __atomic_store_n(&counts[chunk].units, counts[chunk].units + 1, __ATOMIC_RELEASE);
  observe_unit(copy);
  return copy;
}

const struct code_unit *unit_of_pc(uintptr_t pc) {
  if (!code_cache_contains(pc))
    return NULL;
  const uint32_t chunk = code_chunk_of(pc);
  const struct code_unit *const *of_chunk = units + (size_t)chunk * UNIT_LIMIT;
  uint32_t low = 0, high = __atomic_load_n(&counts[chunk].units, __ATOMIC_ACQUIRE);
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const struct code_unit *unit = of_chunk[middle];
    if (pc < (uintptr_t)unit->code)
      high = middle;
    else if (pc >= (uintptr_t)unit->code + unit->code_size)
      low = middle + 1;
    else
      return unit;
  }
  return NULL;
}

int unit_insn_of_pc(const struct code_unit *unit, uintptr_t pc, bool *exact) {
  uintptr_t offset = pc - (uintptr_t)unit->code;
  if (offset >= unit->body_size || unit->insn_count == 0)
    return -1;
  /* The last one that starts at or before pc: instructions without host code (nops) share their place
   * with the one behind them, which is what runs there and may fault. */
  unsigned low = 0, high = unit->insn_count;
  while (high - low > 1) {
    unsigned middle = (low + high) / 2;
    if (unit->insn[middle].host <= offset)
      low = middle;
    else
      high = middle;
  }
  *exact = unit->insn[low].host == offset;
  return (int)low;
}

/* --- The map ----------------------------------------------------------------------------------------------
 */

static struct place *place_find(guest_addr eip) {
  uint32_t mask = place_size - 1, at = (eip * 0x9E3779B1u) >> 7 & mask;
  while (places[at].used && places[at].eip != eip)
    at = (at + 1) & mask;
  return &places[at];
}

static void places_grow(void) {
  struct place *old = places;
  uint32_t old_size = place_size;
  places = places_map(place_size * 2);
  if (!places)
    engine_fatal(0, "out of memory for translations");
  place_size *= 2;
  place_count = 0;
  for (uint32_t i = 0; i < old_size; i++)
    if (old[i].host || old[i].first_slot) {
      *place_find(old[i].eip) = old[i];
      place_count++;
    }
  munmap(old, old_size * sizeof *old);
}

static uint32_t filter_bit(guest_addr eip) { return (eip ^ eip >> FILTER_BITS << 4) % (1 << FILTER_BITS); }

static struct place *place_make(guest_addr eip) {
  if (place_count * 2 >= place_size)
    places_grow();
  struct place *place = place_find(eip);
  if (!place->used) {
    *place = (struct place){.eip = eip, .used = true};
    place_count++;
    filter[filter_bit(eip) / 64] |= (uint64_t)1 << filter_bit(eip) % 64;
  }
  return place;
}

/* The place, if it has code; else NULL. */
static struct place *place_with_code(guest_addr eip) {
  if (!(filter[filter_bit(eip) / 64] >> filter_bit(eip) % 64 & 1))
    return NULL;
  struct place *place = place_find(eip);
  return place->host ? place : NULL;
}

static uintptr_t host_address(uint32_t offset) { return (uintptr_t)code_cache.code + offset; }
static uint32_t host_offset(uintptr_t host) { return (uint32_t)(host - (uintptr_t)code_cache.code); }

/* Has the jump with this displacement, which need not be aligned, go to `offset`. */
static void aim(uint32_t jump, uint32_t offset) {
  int32_t *field = code_cache_field(jump), displacement = (int32_t)(offset - (jump + 4));
  if (memcmp(field, &displacement, sizeof displacement) != 0)
    __atomic_store_n(field, displacement, __ATOMIC_RELEASE);
}

/* Points the slot, the exit, its way that counts, and the jumps to it, at the place's code: straight if that
 * is settled or if the slot never counts. Where other processes run the exit's code too, it goes through the
 * slot, which is each one's own. */
static void slot_link(uint32_t slot, const struct place *place) {
  const struct exit_slot *out = &slots[slot];
  uint32_t target = place->kind == PLACE_SETTLED || !out->counting ? place->host : out->counting;
  uintptr_t indirect = place->host ? host_address(target) : code_cache.link;
  if (place->host) /* else who is counting may still go to the old code */
    __atomic_store_n(&code_cache.target[slot].host, host_address(place->host), __ATOMIC_RELEASE);
  __atomic_store_n(&code_cache.slot[slot], indirect, __ATOMIC_RELEASE);
  const bool straight = place->host && !code_cache_is_shared(out->entry);
  aim(out->entry + 1, straight ? target : out->indirect);
  if (out->counting && place->host)
    aim(out->counting + EXIT_COUNTED_JUMP, straight ? place->host : out->counting + EXIT_COUNTED_INDIRECT);
  const bool may_pass = straight && target == place->host && place->loads_flags;
  const uint32_t inside = may_pass ? host_offset(stub_entry_target(host_address(target))) : target;
  for (uint32_t at = out->first_jump; at; at = exit_jumps[at].next)
    aim(exit_jumps[at].field, !straight ? out->entry : exit_jumps[at].has_flags ? inside : target);
}

static void slots_link(const struct place *place) {
  if (place->first_slot)
    for (uint32_t slot = place->first_slot; slot != SLOT_LAST; slot = slots[slot].next)
      slot_link(slot, place);
}

bool unit_has_code(guest_addr eip) { return place_with_code(eip); }

uintptr_t unit_lookup(guest_addr eip) {
  const struct place *place = place_with_code(eip);
  return place ? host_address(place->host) : 0;
}

bool unit_lookup_large(guest_addr eip) {
  const struct place *place = place_with_code(eip);
  return place && place->kind != PLACE_SMALL;
}

bool unit_is_settled(guest_addr eip) {
  const struct place *place = place_with_code(eip);
  return place && place->kind == PLACE_SETTLED;
}

void unit_map_insert(guest_addr eip, uintptr_t host, enum place_kind kind, bool loads_flags) {
  struct place *place = place_make(eip);
  if (place->host)
    engine_forget_jumps_to(eip);
  place->host = host_offset(host);
  place->kind = kind;
  place->loads_flags = loads_flags;
  slots_link(place);
}

void unit_settle(guest_addr eip) {
  struct place *place = place_with_code(eip);
  if (!place || place->kind == PLACE_SETTLED)
    return;
  engine_forget_jumps_to(eip); /* which may go there by an exit that counts */
  place->kind = PLACE_SETTLED;
  slots_link(place);
}

uint32_t slot_new(guest_addr target) {
  const uint32_t chunk = code_cache.chunk, slot = chunk * CODE_CHUNK_SLOTS + counts[chunk].slots;
  if (counts[chunk].slots++ == CODE_CHUNK_SLOTS)
    engine_fatal(target, "the code cache has no more exits");
  slots[slot].next = slots[slot].first_jump = 0;
  code_cache.target[slot] = (struct slot_target){.eip = target};
  code_cache.slot[slot] = code_cache.link;
  return slot;
}

void slot_set_code(uint32_t slot, uintptr_t entry, uintptr_t indirect, uintptr_t counting) {
  slots[slot].entry = host_offset(entry);
  slots[slot].indirect = host_offset(indirect);
  slots[slot].counting = counting ? host_offset(counting) : 0;
  slot_used(slot);
}

void slot_add_jump(uint32_t slot, uintptr_t field, bool has_flags) {
  const struct place *place = place_with_code(code_cache.target[slot].eip);
  if (exit_jump_count == exit_jump_limit)
    return; /* it goes by the exit */
  exit_jumps[exit_jump_count] = (struct exit_jump){host_offset(field), slots[slot].first_jump, has_flags};
  slots[slot].first_jump = exit_jump_count++;
  if (place)
    slot_link(slot, place);
}

void slot_used(uint32_t slot) {
  struct place *place = place_with_code(code_cache.target[slot].eip);
  if (slots[slot].next || !place)
    return;
  slots[slot].next = place->first_slot ? place->first_slot : SLOT_LAST;
  place->first_slot = slot & ((1u << 28) - 1);
  slot_link(slot, place);
}

uintptr_t slot_entry(guest_addr target) {
  const struct place *place = place_with_code(target);
  if (place && place->first_slot)
    for (uint32_t slot = place->first_slot; slot != SLOT_LAST; slot = slots[slot].next)
      if (slots[slot].counting)
        return host_address(slots[slot].entry);
  return 0;
}

guest_addr slot_target(uint32_t slot) { return code_cache.target[slot].eip; }

/* --- Dropping ---------------------------------------------------------------------------------------------
 */

/* Its slots stay with the place, for the code that will be made anew. */
static void forget_place(guest_addr eip) {
  struct place *place = place_find(eip);
  place->host = 0;
  slots_link(place);
}

/* Takes the unit's ways in out of the map. */
static void forget_entries(const struct code_unit *unit) {
  for (unsigned i = 0; i < unit->insn_count; i++) {
    guest_addr eip = unit->low + unit->insn[i].guest;
    if (unit_lookup(eip) - (uintptr_t)unit->code < unit->code_size)
      forget_place(eip);
  }
}

static bool depends_on(const struct code_unit *unit, uint32_t first_page, uint32_t last_page) {
  for (unsigned i = 0; i < unit->page_count; i++)
    if (unit->page[i] >= first_page && unit->page[i] <= last_page)
      return true;
  return false;
}

static bool is_region(const struct code_unit *unit) { return unit->region; }

/* Nothing says any more when the code changes that was looked at. */
static void forget_guest_code(void) {
  engine.code_changes++;
  discover_forget();
}

/* Drops units of these pages; of them, those that `which` names, unless it is NULL. */
static void drop_pages(uint32_t first_page, uint32_t last_page, bool (*which)(const struct code_unit *)) {
  bool any = false;
  regions_drop_pages(first_page, last_page);
  for (uint32_t i = 0; i < current_count;) {
    struct code_unit *unit = current[i];
    if (!depends_on(unit, first_page, last_page) || (which && !which(unit))) {
      i++;
      continue;
    }
    unit->dropped = any = true;
    engine_statistics.unit[unit_kind(unit)].dropped++;
    forget_entries(unit);
    unshare(unit);
    current[i] = current[--current_count];
  }
  if (any) {
    engine_statistics.drops++;
    forget_guest_code();
    engine_forget_jumps();
    engine_frames_stale();
    engine_interrupt_others();
  }
}

void unit_drop(guest_addr address, uint32_t length) {
  if (length)
    drop_pages(address >> 12, (address + length - 1) >> 12, NULL);
}

void unit_drop_all(void) { drop_pages(0, UINT32_MAX, NULL); }
void unit_drop_regions(void) { drop_pages(0, UINT32_MAX, is_region); }

/* --- Flushing ---------------------------------------------------------------------------------------------
 */

static void release(void *memory, size_t size) { madvise(memory, size, MADV_DONTNEED); }

void units_forget(void) {
  forget_guest_code();
  for (uint32_t i = 0; i < current_count; i++)
    for (unsigned k = 0; k < current[i]->ordered_count; k++)
      line_chain[line_of(current[i], k)] = 0;
  release(lines, line_count * sizeof *lines);
  release(exit_jumps, exit_jump_count * sizeof *exit_jumps);
  release(current, current_count * sizeof *current);
  line_count = exit_jump_count = 1;
  current_count = free_line = 0;
  munmap(places, place_size * sizeof *places);
  places = places_map(FIRST_PLACES);
  if (!places)
    engine_fatal(0, "out of memory for translations");
  place_size = FIRST_PLACES;
  place_count = 0;
  memset(filter, 0, sizeof filter);
}

void units_free(uint32_t chunk) {
  release(units + (size_t)chunk * UNIT_LIMIT, counts[chunk].units * sizeof *units);
  release(records + (size_t)chunk * RECORD_LIMIT, counts[chunk].record_bytes);
  release(slots + (size_t)chunk * CODE_CHUNK_SLOTS, counts[chunk].slots * sizeof *slots);
  memset(&counts[chunk], 0, sizeof counts[chunk]);
}
