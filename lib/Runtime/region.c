/* Regions: hot code, compiled as a whole by LLVM (docs/regions.md).
 *
 * A region is made of what direct jumps reach from an address that proved hot: a function's entry, or the
 * head of a loop, which is entered in the middle of its run. Inside, host registers mean nothing to anybody
 * else: there is one place where the guest's state is known, the first byte. As soon as the guest has a
 * handler that could look at a fault, regions commit: the register file has the state at each instruction
 * that can fault. And they are made only of pages that the guest cannot write to: what is written is not what
 * is running.
 *
 * A region is a unit like others to the map: exits lead to it and out of it. */
#include "Runtime/region.h"
#include "Runtime/guest_memory.h"
#include "Runtime/select.h"

#include <stdlib.h>
#include <string.h>

static bool ended, commits;

static void set_once(bool *what) {
  if (!*what)
    unit_drop_regions();
  *what = true;
}

void regions_end(void) { set_once(&ended); }
void regions_commit(void) { set_once(&commits); }

/* --- What to compile ---------------------------------------------------------------------------------------
 */

/* How often a counter has overflowed; addresses share these, as they share counters. */
enum { HEAT_BITS = 12 };
static uint8_t heat[1 << HEAT_BITS];

static bool is_hot(guest_addr eip) {
  uint8_t *rounds = &heat[(eip * 0x9E3779B1u) >> (32 - HEAT_BITS)];
  if (++*rounds < engine.region_rounds)
    return false;
  *rounds = 0;
  return true;
}

static void find_thunks(struct region_job *job, const struct discover_options *options) {
  const struct unit *unit = &job->source.unit;
  for (unsigned i = 0; i < unit->insn_count; i++) {
    unsigned reg;
    bool is_thunk = select_address_thunk(&unit->insn[i], options, &reg);
    job->source.thunk[i] = is_thunk ? (uint8_t)(1 + reg) : 0;
  }
}

/* Is there a jump back to the entry's own code? Not to the head of an interpreter's loop: stencils have a
 * copy of that behind each handler, from which the CPU foretells where it goes. Without a loop LLVM finds
 * little to save, and an interpreter's handlers, say, are many. With a count that only tests use, all code is
 * welcome. */
static bool is_worth_it(const struct unit *unit) {
  bool loops = engine.region_rounds == 1;
  for (unsigned b = 0; b < unit->block_count; b++) {
    const struct block *block = &unit->block[b];
    const struct insn *last = &unit->insn[block->first + block->count - 1];
    loops |= block->taken >= 0 && last->target <= last->eip && !unit_leads_to_table_jump(unit, block->taken);
  }
  return loops;
}

static bool pages_are_fixed(const struct fetch *fetch) {
  for (unsigned i = 0; i < fetch->page_count; i++)
    if (guest_memory_page(fetch->page[i] << GUEST_PAGE_SHIFT) & GUEST_PAGE_WRITE)
      return false;
  return true;
}

/* Fills the job for the code at eip. NULL, or why there cannot be a region. */
static const char *prepare(struct region_job *job, guest_addr eip) {
  const struct discover_options options = {.fetch = fetch_code,
                                           .context = &job->fetch,
                                           .return_flags = engine.return_flags,
                                           .records = engine.precise,
                                           .follow = true,
                                           .insn_limit = UNIT_INSN_LIMIT};
  job->fetch = (struct fetch){0};
  job->stale = false;
  job->source.commits = commits;
  /* Stencils have the state for nothing. Tests, which set a count, want regions that commit all the same. */
  if (commits && engine.region_rounds > 1)
    return "it would have to commit, which costs more than it saves";
  if (!discover(&job->source.unit, eip, &options))
    return "it cannot be fetched";
  if (job->source.unit.needs_return_flags)
    return "flags are returned in it";
  if (!is_worth_it(&job->source.unit))
    return "it has no loop";
  find_thunks(job, &options);
  return pages_are_fixed(&job->fetch) ? NULL : "its pages can be written";
}

/* --- Publishing --------------------------------------------------------------------------------------------
 */

static void relocate(uint8_t *field, int32_t addend, uintptr_t target) {
  const int32_t value = (int32_t)(target + (uint64_t)(int64_t)addend - code_address(field));
  memcpy(field, &value, sizeof value);
}

/* Where the region has come out to this place's address, or by this place's stub, before; 0: nowhere. */
static uintptr_t find_way_out(const struct jit_region *region, const uintptr_t *target, unsigned i) {
  for (unsigned k = 0; k < i; k++)
    if (region->reloc[k].symbol == region->reloc[i].symbol && region->reloc[k].eip == region->reloc[i].eip)
      return target[k];
  return 0;
}

static void add_stop(struct region_stops *stops, uint32_t at, uint32_t out, uint8_t byte) {
  uint32_t i = stops->count;
  for (; i && stops->stop[i - 1].at >= at; i--)
    if (stops->stop[i - 1].at == at)
      return;
  memmove(&stops->stop[i + 1], &stops->stop[i], (stops->count - i) * sizeof stops->stop[0]);
  stops->stop[i] = (struct region_stop){at, out, byte};
  stops->count++;
}

/* What the region's places refer to, to target[]: a probe for each dispatch, an exit for each address and a
 * jump to each stub, which may be named often. Each is a stop. Returns the end of what it writes. */
static uint8_t *write_ways_out(uint8_t *at, const uint8_t *start, const struct jit_region *region,
                               uintptr_t *target, struct region_stops *stops) {
  for (unsigned i = 0; i < region->reloc_count; i++) {
    const struct jit_region_reloc *reloc = &region->reloc[i];
    uint8_t *entry = at;
    uint32_t slot;
    const bool dispatches = reloc->symbol == STENCIL_DISPATCH;
    if (!dispatches && (target[i] = find_way_out(region, target, i)))
      continue;
    if (dispatches)
      at = stub_write_probe(at, engine.precise ? PROBE_FLAGS_OLDER : PROBE_FLAGS_KEPT);
    else if (reloc->symbol == STENCIL_TAKEN)
      at = translate_write_exit(at, reloc->eip, true, &entry, &slot);
    else
      at = stub_write_jump(at, stub_address(reloc->symbol));
    target[i] = code_address(entry);
    add_stop(stops, (uint32_t)(entry - start), 0, *entry);
  }
  return at;
}

static struct region_stops *make_stops(const struct jit_region *region) {
  const size_t limit = region->stop_count + region->reloc_count;
  struct region_stops *stops = unit_record(sizeof *stops + (limit + 1) * sizeof stops->stop[0]);
  stops->wanted = stops->count = 0;
  for (unsigned i = 0; i < region->stop_count; i++) {
    const struct jit_region_stop *stop = &region->stop[i];
    add_stop(stops, FRAME_PROBE_SIZE + stop->at, stop->out ? FRAME_PROBE_SIZE + stop->out : 0,
             region->code[stop->at]);
  }
  return stops;
}

/* The unit's rows: the entry, and the x87 instructions, for those who ask where the last one was. Returns
 * how many. */
static unsigned make_rows(struct unit_insn *row, const struct unit *unit, const struct jit_region *region) {
  unsigned count = 0;
  row[count++] = (struct unit_insn){0, (uint16_t)(unit->entry - unit->low), 0};
  for (unsigned i = 0; i < region->x87_count; i++) {
    const uint32_t host = FRAME_PROBE_SIZE + region->x87[i].host;
    if (host <= UINT16_MAX)
      row[count++] = (struct unit_insn){(uint16_t)host, (uint16_t)(region->x87[i].guest - unit->low), 0};
  }
  return count;
}

/* Puts the compiled region into the code cache and into the map. */
static void publish(const struct region_job *job, const struct jit_region *region) {
  enum { WAY_OUT_ROOM = 80 };
  const guest_addr entry = job->source.unit.entry;
  const size_t room = 2 * (size_t)region->alignment + FRAME_PROBE_SIZE + region->size +
                      (size_t)region->reloc_count * WAY_OUT_ROOM;
  uint8_t *start = code_cache_open(room);
  uint8_t *code = start + FRAME_PROBE_SIZE;
  code += (0 - code_address(code)) % region->alignment;
  start = code - FRAME_PROBE_SIZE;
  stub_write_frame_probe(start, region->frame_size);
  memcpy(code, region->code, region->size);
  uintptr_t *target = malloc((region->reloc_count + 1) * sizeof *target);
  struct region_stops *stops = make_stops(region);
  if (!target)
    engine_fatal(entry, "out of memory for a region's exits");
  uint8_t *end = write_ways_out(code + region->size, start, region, target, stops);
  for (unsigned i = 0; i < region->reloc_count; i++)
    relocate(code + region->reloc[i].offset, region->reloc[i].addend, target[i]);
  free(target);
  code_cache_close(end);
  struct unit_insn *row = malloc((1 + region->x87_count) * sizeof *row);
  if (!row)
    engine_fatal(entry, "out of memory for a region's rows");
  struct code_unit unit = {.code = (const uint8_t *)code_address(start),
                           .code_size = (uint32_t)(end - start),
                           .body_size = FRAME_PROBE_SIZE + region->code_size,
                           .low = job->source.unit.low,
                           .large = true,
                           .region = true,
                           .commits = job->source.commits,
                           .stops = stops,
                           .insn_count = (uint16_t)make_rows(row, &job->source.unit, region),
                           .page_count = (uint16_t)job->fetch.page_count,
                           .insn = row,
                           .page = (uint32_t *)job->fetch.page};
  unit_map_insert(entry, (uintptr_t)unit_add(&unit)->code, PLACE_SETTLED, false);
  free(row);
}

/* --- Making them -------------------------------------------------------------------------------------------
 */

static void refuse(guest_addr eip, const char *why) {
  engine_log("0x%08x: no region: %s", eip, why);
  unit_settle(eip);
}

int region_compile(const struct jit_interface *compiler, struct region_job *job, struct jit_region *region) {
  job->began = observe_clock();
  return compiler->compile_region(&job->source, engine.options.dump_ir ? engine.options.dump : NULL, region);
}

void region_finish(const struct jit_interface *compiler, const struct region_job *job, int status,
                   struct jit_region *region) {
  const struct unit *unit = &job->source.unit;
  if (status < 0) {
    refuse(unit->entry, region->why);
    return;
  }
  if (!job->stale && !ended) {
    engine_log("0x%08x: a region of %u instructions, %u bytes", unit->entry, unit->insn_count,
               region->code_size);
    publish(job, region);
    observe_translated(UNIT_REGION, unit->insn, unit->insn_count, job->began);
  }
  compiler->free_region(region);
}

static void make_now(struct region_job *job) {
  struct jit_region region;
  struct compiler_fpu fpu;
  const struct jit_interface *compiler = compiler_enter(job->source.unit.entry, &fpu);
  int status = region_compile(compiler, job, &region);
  compiler_leave(&fpu);
  region_finish(compiler, job, status, &region);
}

void region_want(guest_addr eip) {
  if (ended) {
    unit_settle(eip);
    return;
  }
  if (!is_hot(eip))
    return;
  /* Who waits for the head of a loop is often in an outer loop, too, and will stay in the region that is
   * coming. */
  if (region_queue_has(eip))
    return;
  struct region_job *job = region_queue_room() ? malloc(sizeof *job) : NULL;
  if (!job)
    return; /* it will be asked for again */
  const char *why = prepare(job, eip);
  if (why) {
    refuse(eip, why);
    free(job);
  } else if (engine.options.compile_threads) {
    region_queue_add(job);
    unit_settle(eip); /* meanwhile nobody need count */
  } else {
    make_now(job);
    free(job);
  }
}
