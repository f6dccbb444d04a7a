/* Translation: discover a unit, select its stencils, lay them end to end, patch their holes. No LLVM is
 * needed unless a stencil is missing. */
#include "Runtime/guest_memory.h"
#include "Runtime/translate_internal.h"

#include <string.h>

enum { CODE_ROOM = 1 << 17, EXIT_ROOM = 64 };

struct translation translation;

/* Large units are in the map with all leaders: execution may come to them from elsewhere. Small ones only
 * with their entry; where else they are entered shows when it is asked for (enter_known). */
static enum place_kind place_kind_of(bool large) {
  if (!large)
    return PLACE_SMALL;
  return engine.options.tier == RUNTIME_TIER_REGION ? PLACE_LARGE : PLACE_SETTLED;
}

static void map_entries(guest_addr eip) {
  const struct unit *unit = &translation.unit;
  if (!translation.large)
    unit_map_insert(eip, code_address(translation.code), place_kind_of(false), false);
  for (unsigned b = 0; translation.large && b < unit->block_count; b++) {
    guest_addr leader = unit->insn[unit->block[b].first].eip;
    if (unit->block[b].leader && !unit_lookup_large(leader))
      unit_map_insert(leader, code_address(translation.entry_code[b]), place_kind_of(true),
                      translation.selection.carried[b]);
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
  unit_map_insert(eip, host, place_kind_of(unit->large), false);
  return host;
}

static uint8_t table_flags(guest_addr address) { return jump_table_flags(address, &translation.fetch); }

/* A stretch of code that runs perhaps once should cost little. */
enum { SMALL_UNIT = 32 };

static bool discover_unit(guest_addr eip, unsigned limit, guest_addr *fault) {
  translation.options =
      (struct discover_options){.fetch = fetch_code,
                                .context = &translation.fetch,
                                .has_code = translation.large ? unit_lookup_large : unit_has_code,
                                .table_flags = translation.large ? table_flags : NULL,
                                .return_flags = engine.return_flags,
                                .records = engine.precise,
                                .follow = translation.large,
                                .insn_limit = limit};
  translation.fetch.page_count = 0;
  if (!discover(&translation.unit, eip, &translation.options)) {
    *fault = translation.unit.fetch_address;
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
  while (translation.large && code_address(at) % LINE)
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
  engine.hot_places += hot;
  hot |= engine.hot_places >= HOT_PLACES_ENOUGH;
  const uint64_t began = observe_clock();
  translation.large = hot;
  unsigned limit = hot ? UNIT_INSN_LIMIT : SMALL_UNIT;
  do {
    if (!discover_unit(eip, limit, fault))
      return 0;
    if (translation.unit.needs_return_flags) {
      engine.return_flags |= translation.unit.needs_return_flags;
      unit_drop_all();
      if (!discover_unit(eip, limit, fault))
        return 0;
    }
    limit = select_stencils(&translation.selection, &translation.unit, &translation.options);
  } while (limit < translation.unit.insn_count);
  translation.guess = translation.large ? jump_guess(&translation.unit, cpu) : 0;
  translation.code = open_code();
  translate_emit_unit();
  uint8_t *body_end = translation.at;
  translate_emit_exits();
  translate_emit_entries();
  code_cache_close(translation.at);
  struct code_unit unit = {.code = (const uint8_t *)code_address(translation.code),
                           .code_size = (uint32_t)(translation.at - translation.code),
                           .body_size = (uint32_t)(body_end - translation.code),
                           .low = translation.unit.low,
                           .large = translation.large,
                           .insn_count = (uint16_t)translation.insn_count,
                           .ordered_count = (uint16_t)translation.ordered_count,
                           .page_count = (uint16_t)translation.fetch.page_count,
                           .insn = translation.insn,
                           .page = translation.fetch.page};
  unit_share(unit_add(&unit));
  map_entries(eip);
  engine_statistics.stencils += translation.selection.count;
  observe_translated(unit_kind(&unit), translation.unit.insn, translation.unit.insn_count, began);
  if (engine.regions_at_once)
    region_want(eip);
  return unit_lookup(eip);
}

uintptr_t translate_exit(guest_addr eip) {
  uintptr_t known = slot_entry(eip);
  if (known)
    return known;
  translation.at = code_cache_open(EXIT_ROOM);
  uint32_t slot;
  uint8_t *entry = translate_emit_exit(eip, true, &slot);
  code_cache_close(translation.at);
  return code_address(entry);
}
