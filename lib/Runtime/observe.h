/* What the runtime shows to those who watch it: profilers, debuggers, statistics. Nothing of it costs
 * translated code anything.
 *
 * An observer is called with the engine lock held, on whatever thread translates: it must not call the
 * runtime, but may ask guest memory. */
#ifndef UEMU_RUNTIME_OBSERVE_H
#define UEMU_RUNTIME_OBSERVE_H

#include "Runtime/cpu_state.h"
#include "Runtime/helpers.h"

#include <stdbool.h>

/* Kinds of units (docs/engine.md, docs/orc-tier.md). */
enum unit_kind { UNIT_SMALL, UNIT_LARGE, UNIT_REGION, UNIT_BLOCK, UNIT_KIND_COUNT };
const char *unit_kind_name(enum unit_kind kind); /* "small", "large", "region", "block" */

struct observed_insn {
  uint32_t host; /* bytes from the unit's code */
  guest_addr eip;
};

struct observed_unit {
  const uint8_t *code;
  uint32_t size;
  enum unit_kind kind;
  /* The host's stack holds return addresses of guest calls and nothing else, whatever instruction it is at.
   */
  bool plain_frames;
  const struct observed_insn *insn; /* by host; what lies behind the last one belongs to it */
  unsigned insn_count;              /* not 0 */
};

struct runtime_observer {
  void (*unit_added)(const struct observed_unit *unit);
  void (*units_go)(
      void); /* from now on no unit that was added counts; runtime_code_at() knows them for the last time */
  void (*forked)(void); /* in the child of a fork, which shares its parent's units so far; may be NULL */
};

/* --- Statistics ------------------------------------------------------------------------------------------
 */

/* Units made of one kind. */
struct statistics_units {
  uint64_t count, insns;
  uint64_t guest_bytes, host_bytes; /* of instructions; of code with exits and constants */
  uint64_t nanoseconds;             /* making them; 0 unless the runtime measures */
  uint64_t dropped;
};

/* What brought threads from translated code to C. */
struct statistics_exits {
  uint64_t links;  /* exits taken for the first time */
  uint64_t hot;    /* counters that overflowed */
  uint64_t misses; /* of the jump cache */
  uint64_t stops;  /* faults, and interrupts by signals or other threads */
  uint64_t helper[HELPER_COUNT];
};

/* Since the process began, or was forked. */
struct statistics {
  struct statistics_units unit[UNIT_KIND_COUNT];
  struct statistics_exits exit;
  uint64_t drops;                             /* times that code changed or went */
  uint64_t flushes, freed_bytes;              /* of the code cache; of code */
  uint64_t stencils;                          /* put into units */
  uint64_t stencils_made;                     /* on demand */
  uint64_t compilations, compile_nanoseconds; /* by LLVM, with loading it; the time is part of the units' */
  uint64_t background_nanoseconds;            /* CPU time of the thread that compiles regions */
};
void runtime_statistics(struct statistics *statistics);

/* What a host address is in, for samples. For observers, when they are called, and for `look`, which is
 * called at once and with the engine lock held, too. */
void runtime_look(void (*look)(void));
enum code_place { CODE_NONE, CODE_IN_UNIT, CODE_ELSEWHERE /* stubs, exits that belong to no unit */ };
enum code_place runtime_code_at(uintptr_t pc, enum unit_kind *kind);

#endif
