/* Showing units to an observer, and counting what the engine does. All of it happens where C code runs
 * anyway, and under the engine lock, but for the exits, which each thread counts for itself. */
#include "Runtime/observe.h"
#include "Runtime/engine.h"
#include "Runtime/region.h"

#include <string.h>
#include <time.h>

struct statistics engine_statistics;

const char *unit_kind_name(enum unit_kind kind) {
  static const char *const names[UNIT_KIND_COUNT] = {
      [UNIT_SMALL] = "small", [UNIT_LARGE] = "large", [UNIT_REGION] = "region", [UNIT_BLOCK] = "block"};
  return names[kind];
}

enum unit_kind unit_kind(const struct code_unit *unit) {
  return unit->region ? UNIT_REGION : unit->commits ? UNIT_BLOCK : unit->large ? UNIT_LARGE : UNIT_SMALL;
}

void observe_unit(const struct code_unit *unit) {
  struct statistics_units *made = &engine_statistics.unit[unit_kind(unit)];
  made->count++;
  made->host_bytes += unit->code_size;
  if (!engine.options.observer || !unit->insn_count)
    return;
  static struct observed_insn insn[UINT16_MAX];
  for (unsigned i = 0; i < unit->insn_count; i++)
    insn[i] = (struct observed_insn){unit->insn[i].host, unit->low + unit->insn[i].guest};
  const struct observed_unit shown = {.code = unit->code,
                                      .size = unit->code_size,
                                      .kind = unit_kind(unit),
                                      .plain_frames = !unit->commits && !unit->region,
                                      .insn = insn,
                                      .insn_count = unit->insn_count};
  engine.options.observer->unit_added(&shown);
}

void observe_flush(void) {
  if (engine.options.observer)
    engine.options.observer->units_go();
}

uint64_t observe_clock(void) {
  struct timespec now;
  if (!engine.options.measure)
    return 0;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void observe_compiled(uint64_t began) {
  engine_statistics.compilations++;
  engine_statistics.compile_nanoseconds += observe_clock() - began;
}

void observe_translated(enum unit_kind kind, const struct insn *insns, unsigned count, uint64_t began) {
  struct statistics_units *made = &engine_statistics.unit[kind];
  made->insns += count;
  for (unsigned i = 0; i < count; i++)
    made->guest_bytes += insns[i].length;
  made->nanoseconds += observe_clock() - began;
}

static void add_exits(struct statistics_exits *to, const struct statistics_exits *from) {
  to->links += from->links;
  to->hot += from->hot;
  to->misses += from->misses;
  to->stops += from->stops;
  for (unsigned h = 0; h < HELPER_COUNT; h++)
    to->helper[h] += from->helper[h];
}

void observe_thread_ended(const struct engine_thread *thread) {
  add_exits(&engine_statistics.exit, &thread->exits);
}

void observe_forked(struct engine_thread *self) {
  memset(&engine_statistics, 0, sizeof engine_statistics);
  if (self)
    memset(&self->exits, 0, sizeof self->exits);
  if (engine.options.observer && engine.options.observer->forked)
    engine.options.observer->forked();
}

void runtime_statistics(struct statistics *statistics) {
  engine_lock();
  *statistics = engine_statistics;
  statistics->background_nanoseconds = region_queue_cpu_time();
  for (const struct engine_thread *thread = engine.threads; thread; thread = thread->next)
    add_exits(&statistics->exit, &thread->exits);
  engine_unlock();
}

void runtime_look(void (*look)(void)) {
  engine_lock();
  look();
  engine_unlock();
}

enum code_place runtime_code_at(uintptr_t pc, enum unit_kind *kind) {
  if (!code_cache_contains(pc))
    return CODE_NONE;
  const struct code_unit *unit = unit_of_pc(pc);
  if (unit)
    *kind = unit_kind(unit);
  return unit ? CODE_IN_UNIT : CODE_ELSEWHERE;
}
