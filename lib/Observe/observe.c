#include "Observe/observe.h"
#include "Observe/guest_names.h"
#include "Observe/span.h"
#include "Observe/statistics.h"

#include <stdio.h>
#include <string.h>

static struct observe_options options;

unsigned span_split(const struct observed_unit *unit, const struct span **spans) {
  static struct span list[SPAN_LIMIT];
  struct guest_name current = {0};
  unsigned count = 0;
  for (unsigned i = 0; i < unit->insn_count; i++) {
    const guest_addr eip = unit->insn[i].eip;
    const struct guest_name name = guest_name_of(eip);
    if (count && ((name.function == current.function && name.start == current.start) || count == SPAN_LIMIT))
      continue;
    char text[SPAN_NAME_SIZE - 16];
    guest_name_format(&name, eip, text, sizeof text);
    const uint8_t *code = unit->code + (i ? unit->insn[i].host : 0);
    if (!count || list[count - 1].code != code) /* an instruction without code of its own (nop) */
      count++;
    struct span *span = &list[count - 1];
    *span = (struct span){.code = code, .eip = eip, .plain_frames = unit->plain_frames};
    span->name_length = (unsigned)strlen(text);
    snprintf(span->name, sizeof span->name, "%s [%s]", text, unit_kind_name(unit->kind));
    current = name;
  }
  for (unsigned i = 0; i < count; i++)
    list[i].size = (uint32_t)((i + 1 < count ? list[i + 1].code : unit->code + unit->size) - list[i].code);
  *spans = list;
  return count;
}

static void unit_added(const struct observed_unit *unit) {
  const struct span *spans;
  if (options.statistics)
    statistics_drain();
  if (!options.perf_map && !options.jitdump && !options.gdb_jit)
    return;
  const unsigned count = span_split(unit, &spans);
  if (options.perf_map)
    perf_map_add(spans, count);
  if (options.jitdump)
    jitdump_add(spans, count);
  if (options.gdb_jit)
    gdb_jit_add(spans, count);
}

static void units_go(void) {
  if (options.statistics)
    statistics_drain();
  if (options.gdb_jit)
    gdb_jit_forget();
}

static void forked(void) {
  guest_names_forked();
  if (options.perf_map)
    perf_map_forked();
  if (options.jitdump)
    jitdump_forked();
  if (options.statistics)
    statistics_forked();
}

const struct runtime_observer *observe_start(const struct observe_options *wanted) {
  static const struct runtime_observer observer = {
      .unit_added = unit_added, .units_go = units_go, .forked = forked};
  options = *wanted;
  int error = options.perf_map ? perf_map_start() : 0;
  if (error < 0) {
    options.complain("the map for perf cannot be written: %s", strerror(-error));
    options.perf_map = false;
  }
  error = options.jitdump ? jitdump_start(options.jitdump) : 0;
  if (error < 0) {
    options.complain("%s: the jitdump cannot be written: %s", options.jitdump, strerror(-error));
    options.jitdump = NULL;
  }
  if (options.statistics)
    statistics_start();
  return options.perf_map || options.jitdump || options.gdb_jit || options.statistics ? &observer : NULL;
}
