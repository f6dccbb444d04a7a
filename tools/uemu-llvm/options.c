/* Options: one row each, with its long form and its environment variable. */
#include "options.h"

#include "Linux/syscall.h"
#include "Observe/dump_ir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char message[256];

static const char *complain(const char *format, const char *what) {
  snprintf(message, sizeof message, format, what);
  return message;
}

/* --- What each option does: NULL, or a complaint ----------------------------------------------------- */

static const char *set_sysroot(struct options *o, const char *value) {
  struct stat status;
  if (stat(value, &status) != 0 || !S_ISDIR(status.st_mode))
    return complain("sysroot '%s' is not a folder", value);
  o->sysroot = value;
  return NULL;
}

static const char *set_argv0(struct options *o, const char *value) {
  o->argv0 = value;
  return NULL;
}

/* A number of bytes, which K, M or G may follow, below 4 GiB; 0: it is none. */
static uint64_t read_size(const char *value) {
  char *end;
  unsigned long long size = strtoull(value, &end, 0);
  unsigned shift = *end == 'k' || *end == 'K' ? 10 : *end == 'm' || *end == 'M' ? 20 : *end == 'g' || *end == 'G' ? 30 : 0;
  return end == value || end[shift != 0] != '\0' || size > UINT32_MAX >> shift ? 0 : size << shift;
}

static const char *set_stack(struct options *o, const char *value) {
  o->stack_size = read_size(value);
  return o->stack_size ? NULL : complain("stack size '%s' is not a number of bytes below 4 GiB (K, M and G may follow)", value);
}

static const char *set_code_cache(struct options *o, const char *value) {
  const uint64_t size = read_size(value);
  if (size < CODE_CACHE_LEAST || size > CODE_CACHE_MOST)
    return complain("code cache '%s' is not a number of bytes from 128K to 512M (K, M and G may follow)", value);
  o->code_cache_size = (size_t)size;
  return NULL;
}

static const struct {
  const char *name, *what;
  uint32_t item;
} items[] = {
    {"unimp", "system calls and instructions that are not implemented", LOG_UNIMPLEMENTED},
    {"strace", "system calls", LOG_STRACE},
    {"exec", "programs that are started", LOG_EXEC},
    {"signal", "signals that are delivered", LOG_SIGNAL},
    {"jit", "stencils made on demand, units dropped", LOG_JIT},
    {"page", "mappings of guest memory", LOG_PAGE},
    {"stats", "what was translated and where time went, at the end", LOG_STATS},
};
enum { ITEM_COUNT = sizeof items / sizeof items[0] };

static const char *set_log_items(struct options *o, const char *value) {
  while (*value) {
    size_t length = strcspn(value, ","), i = 0;
    while (i < ITEM_COUNT && (strlen(items[i].name) != length || strncmp(items[i].name, value, length) != 0))
      i++;
    if (i == ITEM_COUNT)
      return complain("-d does not know '%s' (it knows unimp, strace, exec, signal, jit, page, stats)", value);
    o->log_items |= items[i].item;
    value += length + (value[length] == ',');
  }
  return NULL;
}

static const char *set_log_file(struct options *o, const char *value) {
  o->log_file = value;
  return NULL;
}

static const char *set_strace(struct options *o, const char *value) {
  (void)value;
  o->strace = true;
  o->log_items |= LOG_STRACE;
  return NULL;
}

static const char *set_tier(struct options *o, const char *value) {
  static const char *const names[] = {
      [RUNTIME_TIER_STENCIL] = "stencil", [RUNTIME_TIER_REGION] = "region", [RUNTIME_TIER_LLVM] = "llvm"};
  for (unsigned tier = 0; tier < sizeof names / sizeof names[0]; tier++)
    if (strcmp(value, names[tier]) == 0) {
      o->tier = (enum runtime_tier)tier;
      return NULL;
    }
  return complain("tier '%s' is none of stencil, region and llvm", value);
}

static const char *set_number(const char *value, unsigned least, unsigned most, unsigned *number) {
  char *end;
  unsigned long read = strtoul(value, &end, 10);
  if (value[0] < '0' || value[0] > '9' || *end || read < least || read > most)
    return complain("'%s' is not a number in its range", value);
  *number = (unsigned)read;
  return NULL;
}

static const char *set_hot_count(struct options *o, const char *value) {
  return set_number(value, 1, 1000000, &o->hot_count);
}

static const char *set_region_count(struct options *o, const char *value) {
  return set_number(value, 1, 1000000, &o->region_count);
}

static const char *set_compile_threads(struct options *o, const char *value) {
  return set_number(value, 0, 1, &o->compile_threads);
}

static const char *set_cpu(struct options *o, const char *value) {
  o->cpu = value;
  return NULL;
}

/* Without items, or switched on by its variable, to the log. */
static const char *set_dump_ir(struct options *o, const char *value) {
  if (!value || strcmp(value, "1") == 0) {
    o->dump_ir = true;
    o->tier = RUNTIME_TIER_LLVM;
    return NULL;
  }
  o->dump_files = true;
  return dump_ir_parse(&o->dump, value);
}

static const char *set_dump_dir(struct options *o, const char *value) {
  o->dump_dir = value;
  return NULL;
}

static const char *set_stats(struct options *o, const char *value) {
  (void)value;
  o->log_items |= LOG_STATS;
  return NULL;
}

static const char *set_perf_map(struct options *o, const char *value) {
  (void)value;
  o->perf_map = true;
  return NULL;
}

static const char *set_jitdump(struct options *o, const char *value) {
  o->jitdump = value;
  return NULL;
}

static const char *set_gdb_jit(struct options *o, const char *value) {
  (void)value;
  o->gdb_jit = true;
  return NULL;
}

static const char *set_lift(struct options *o, const char *value) {
  (void)value;
  o->lift = true;
  return NULL;
}

static const char *set_functions(struct options *o, const char *value) {
  o->functions = value;
  return NULL;
}

static const char *set_output(struct options *o, const char *value) {
  o->output = value;
  return NULL;
}

static const char *set_version(struct options *o, const char *value) {
  (void)value;
  o->version = true;
  return NULL;
}

static const char *set_help(struct options *o, const char *value) {
  (void)value;
  o->help = true;
  return NULL;
}

/* The guest's environment is a copy of ours, changed in order. */
static const char *unset_variable(struct options *o, const char *name) {
  size_t length = strlen(name);
  char **to = o->environment;
  if (length == 0 || strchr(name, '='))
    return complain("-U wants a variable's name, not '%s'", name);
  for (char **from = to; *from; from++)
    if (strncmp(*from, name, length) != 0 || (*from)[length] != '=')
      *to++ = *from;
  *to = NULL;
  return NULL;
}

static const char *set_variable(struct options *o, const char *assignment) {
  const char *equals = strchr(assignment, '=');
  if (!equals || equals == assignment)
    return complain("-E wants VAR=VALUE, not '%s'", assignment);
  char *name = strndup(assignment, (size_t)(equals - assignment));
  if (!name)
    return "out of memory";
  unset_variable(o, name);
  free(name);
  size_t count = 0;
  while (o->environment[count])
    count++;
  o->environment[count] = (char *)assignment; /* room for every -E is there */
  o->environment[count + 1] = NULL;
  return NULL;
}

/* Several at once, as one variable holds them: by commas. */
static const char *each(struct options *o, const char *list, const char *(*set)(struct options *, const char *)) {
  char *copy = strdup(list); /* kept: the environment points into it */
  const char *complaint = NULL;
  for (char *rest = copy, *item; !complaint && (item = strsep(&rest, ","));)
    if (*item)
      complaint = set(o, item);
  return complaint;
}
static const char *set_variables(struct options *o, const char *list) { return each(o, list, set_variable); }
static const char *unset_variables(struct options *o, const char *list) { return each(o, list, unset_variable); }

/* --- The table ----------------------------------------------------------------------------------------- */

struct option_row {
  const char *name, *long_name, *variable, *argument, *help;
  const char *(*set)(struct options *, const char *);
  const char *(*set_from_variable)(struct options *, const char *); /* if another */
  bool handed_on; /* to programs that execve starts */
};

static const struct option_row rows[] = {
    {"-L", "--sysroot", "UEMU_LD_PREFIX", "DIR", "look for absolute paths under DIR first", set_sysroot, NULL, true},
    {"-E", "--set-env", "UEMU_SET_ENV", "VAR=VALUE", "set a variable of the guest (may be given more than once)", set_variable,
     set_variables, false},
    {"-U", "--unset-env", "UEMU_UNSET_ENV", "VAR", "unset a variable of the guest", unset_variable, unset_variables, false},
    {"-0", "--argv0", "UEMU_ARGV0", "ARGV0", "make the program's argv[0] ARGV0", set_argv0, NULL, false},
    {"-s", "--stack-size", "UEMU_STACK_SIZE", "SIZE", "limit the guest's stack to SIZE bytes (K, M, G)", set_stack, NULL, true},
    {"-d", "--log", "UEMU_LOG", "ITEMS", "log ITEMS: unimp,strace,exec,signal,jit,page,stats", set_log_items, NULL, true},
    {"-D", "--log-file", "UEMU_LOG_FILENAME", "FILE", "append the log to FILE instead of stderr", set_log_file, NULL, true},
    {"-strace", "--strace", "UEMU_STRACE", NULL, "log system calls", set_strace, NULL, true},
    {"-cpu", "--cpu", "UEMU_CPU", "MODEL", "be a CPU of this model, then ,+FEATURE or ,-FEATURE; 'help' lists them", set_cpu, NULL, true},
    {NULL, "--tier", "UEMU_TIER", "TIER", "translate with 'stencil' (default), 'region' or 'llvm'", set_tier, NULL, true},
    {NULL, "--hot-count", "UEMU_HOT_COUNT", "N", "translate code that has run N times about a function at a time", set_hot_count, NULL, true},
    {NULL, "--region-count", "UEMU_REGION_COUNT", "N", "tier 'region': compile code that has run N times", set_region_count, NULL, true},
    {NULL, "--compile-threads", "UEMU_COMPILE_THREADS", "N", "tier 'region': compile in N threads; 0: while the program waits", set_compile_threads, NULL, true},
    {NULL, "--code-cache", "UEMU_CODE_CACHE", "SIZE", "free all translated code when there are SIZE bytes of it (K, M, G; 256M)", set_code_cache, NULL, true},
    {NULL, "--dump-ir", "UEMU_DUMP_IR", "[=ITEMS]", "log the LLVM IR of every block run (implies --tier=llvm); with ITEMS, files",
     set_dump_ir, NULL, true},
    {NULL, "--dump-dir", "UEMU_DUMP_DIR", "DIR", "where --dump-ir=lifted,optimized,asm writes a file for each", set_dump_dir, NULL,
     true},
    {NULL, "--stats", "UEMU_STATS", NULL, "log statistics when the program ends (as -d stats)", set_stats, NULL, true},
    {NULL, "--perf-map", "UEMU_PERF_MAP", NULL, "name translated code for perf in /tmp/perf-PID.map", set_perf_map, NULL, true},
    {NULL, "--jitdump", "UEMU_JITDUMP", "DIR", "give perf inject the code, too: DIR/jit-PID.dump", set_jitdump, NULL, true},
    {NULL, "--gdb-jit", "UEMU_GDB_JIT", NULL, "tell GDB the names of translated code", set_gdb_jit, NULL, true},
    {NULL, "--lift", NULL, NULL, "write PROGRAM as LLVM IR, and do not run it", set_lift, NULL, false},
    {NULL, "--function", NULL, "NAME,...", "of --lift: only these functions, and what they reach", set_functions, NULL, false},
    {"-o", "--output", NULL, "FILE", "of --lift: write FILE (.ll, or .bc for bitcode)", set_output, NULL, false},
    {"-version", "--version", NULL, NULL, "print the version and exit", set_version, NULL, false},
    {"-h", "--help", NULL, NULL, "print this help and exit", set_help, NULL, false},
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

void options_help(void) {
  printf("usage: uemu-llvm [OPTION...] PROGRAM [ARGUMENT...]\n"
         "Runs a 32-bit x86 Linux program.\n\n");
  for (unsigned i = 0; i < ROW_COUNT; i++) {
    char name[64];
    snprintf(name, sizeof name, "%s%s%s%s%s", rows[i].name ? rows[i].name : "", rows[i].name ? ", " : "",
             rows[i].long_name, rows[i].argument && rows[i].argument[0] != '[' ? " " : "", rows[i].argument ? rows[i].argument : "");
    printf("  %-28s %s", name, rows[i].help);
    printf(rows[i].variable ? "  [%s]\n" : "\n", rows[i].variable);
  }
  printf("\nItems of -d:\n");
  for (unsigned i = 0; i < ITEM_COUNT; i++)
    printf("  %-28s %s\n", items[i].name, items[i].what);
  printf("\nThe exit status and the signal are the program's; 127: not found, 126: cannot be run, 2: usage.\n");
}

/* The row that `argument` names; *value gets what follows '=' in a long form. */
static const struct option_row *find_row(const char *argument, const char **value) {
  *value = NULL;
  for (unsigned i = 0; i < ROW_COUNT; i++) {
    size_t length = strlen(rows[i].long_name);
    if (rows[i].name && strcmp(argument, rows[i].name) == 0)
      return &rows[i];
    if (strcmp(argument, rows[i].long_name) == 0)
      return &rows[i];
    if (rows[i].argument && strncmp(argument, rows[i].long_name, length) == 0 && argument[length] == '=') {
      *value = argument + length + 1;
      return &rows[i];
    }
  }
  return NULL;
}

static const char *from_variables(struct options *o, char **environment) {
  for (unsigned i = 0; i < ROW_COUNT; i++) {
    size_t length = rows[i].variable ? strlen(rows[i].variable) : 0;
    for (char **e = environment; length && *e; e++)
      if (strncmp(*e, rows[i].variable, length) == 0 && (*e)[length] == '=' && (*e)[length + 1]) {
        const char *value = *e + length + 1;
        const char *complaint = (rows[i].set_from_variable ? rows[i].set_from_variable : rows[i].set)(o, value);
        if (complaint)
          return complaint;
      }
  }
  return NULL;
}

bool options_cpu_help(const struct options *o) { return o->cpu && strcmp(o->cpu, "help") == 0; }

const char *options_parse(struct options *o, int argc, char **argv, char **environment) {
  memset(o, 0, sizeof *o);
  o->compile_threads = 1;
  size_t variables = 0, extra = 0;
  while (environment[variables])
    extra += strlen(environment[variables++]) / 2 + 1; /* more than UEMU_SET_ENV can add */
  o->environment = calloc(variables + extra + (size_t)argc + 2, sizeof(char *));
  o->handed_on = calloc(2 * (size_t)argc + 2, sizeof(char *));
  if (!o->environment || !o->handed_on)
    return "out of memory";
  memcpy(o->environment, environment, variables * sizeof(char *));
  const char *complaint = from_variables(o, environment);
  size_t handed_on = 0;
  int i = 1;
  for (; !complaint && i < argc && argv[i][0] == '-'; i++) {
    if (strcmp(argv[i], "--") == 0) {
      i++;
      break;
    }
    const char *value;
    const struct option_row *row = find_row(argv[i], &value);
    if (!row)
      return complain("there is no option '%s' (see -h)", argv[i]);
    char *word = argv[i];
    bool separate = row->argument && row->argument[0] != '[' && !value;
    if (separate && i + 1 == argc)
      return complain("option '%s' wants an argument (see -h)", argv[i]);
    if (separate)
      value = argv[++i];
    complaint = row->set(o, value);
    if (row->handed_on) {
      o->handed_on[handed_on++] = word;
      if (separate)
        o->handed_on[handed_on++] = (char *)value;
    }
  }
  o->program = argv + i;
  if (!complaint && o->dump_files && !o->dump_dir)
    return "--dump-ir with items wants to be told where to write: --dump-dir DIR (see -h)";
  if (!complaint && (o->functions || o->output) && !o->lift)
    return "-o and --function go with --lift (see -h)";
  if (!complaint && o->lift && !o->output)
    return "--lift wants to be told where to write: -o FILE (see -h)";
  if (!complaint && !*o->program && !o->version && !o->help && !options_cpu_help(o))
    return "no program given (see -h)";
  return complaint;
}
