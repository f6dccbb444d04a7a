/* Shows translated code to tools that know nothing of it, under the names that the guest's symbol tables give
 * (docs/profiling.md): perf's map and jitdump files, GDB's JIT interface. What nobody asks for costs nothing.
 */
#ifndef UEMU_OBSERVE_OBSERVE_H
#define UEMU_OBSERVE_OBSERVE_H

#include "Runtime/observe.h"

#include <stdbool.h>

struct observe_options {
  bool perf_map;       /* write /tmp/perf-PID.map */
  const char *jitdump; /* write jit-PID.dump in this folder; NULL: do not */
  bool gdb_jit;        /* tell GDB */
  bool statistics;     /* Observe/statistics.h */
  void (*complain)(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one line */
};

/* The observer for the runtime; NULL if nothing is asked for. */
const struct runtime_observer *observe_start(const struct observe_options *options);

#endif
