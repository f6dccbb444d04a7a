/* The command line of uemu-llvm (docs/command-line.md). */
#ifndef UEMU_TOOL_OPTIONS_H
#define UEMU_TOOL_OPTIONS_H

#include "Runtime/jit_dump.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "Runtime/runtime.h"

struct options {
  const char *sysroot;     /* -L; NULL */
  const char *argv0;       /* -0; NULL */
  uint64_t stack_size;     /* -s, bytes; 0: RLIMIT_STACK's */
  uint32_t log_items;      /* -d, enum log_item */
  const char *log_file;    /* -D; NULL: stderr */
  bool strace;             /* -strace */
  const char *cpu;         /* -cpu; NULL: the host's */
  enum runtime_tier tier;  /* --tier */
  uint32_t hot_count;      /* --hot-count; 0: the runtime knows best */
  uint32_t region_count;   /* --region-count; 0: the runtime knows best */
  size_t code_cache_size;  /* --code-cache, bytes; 0: the runtime knows best */
  unsigned compile_threads; /* --compile-threads */
  bool dump_ir;            /* --dump-ir: to the log */
  bool dump_files;         /* --dump-ir=…: to files */
  struct jit_dump dump;    /* what of it */
  const char *dump_dir;    /* --dump-dir; NULL */
  bool perf_map;           /* --perf-map */
  const char *jitdump;     /* --jitdump; NULL */
  bool gdb_jit;            /* --gdb-jit */
  bool lift;               /* --lift */
  const char *functions;   /* --function; NULL */
  const char *output;      /* -o; NULL */
  bool version, help;
  char **environment;      /* the guest's, -E and -U applied; NULL-terminated; from malloc */
  char **handed_on;        /* what an emulator that execve starts gets; NULL-terminated; from malloc */
  char **program;          /* PROGRAM ARGS…, in argv */
};

/* Reads UEMU_ variables, then argv, which wins. NULL, or one line that says what is wrong. The
 * strings point into argv and environ. */
const char *options_parse(struct options *options, int argc, char **argv, char **environment);

/* Does -cpu ask for a list? */
bool options_cpu_help(const struct options *options);

void options_help(void);

#endif
