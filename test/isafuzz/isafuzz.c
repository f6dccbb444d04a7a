/* isafuzz: executes random programs on the CPU and under the emulator, and compares every bit that the
 * manuals define. docs/isafuzz.md says how, and how to use it.
 *
 *     isafuzz [OPTION…] RUNNER EMULATOR [EMULATOR'S OPTION…]
 *
 * Exit status: 0 no difference; 1 differences; 2 it could not run; 77 this host does not run i386 code. */
#include "child.h"
#include "fuzzer.h"
#include "known.h"
#include "undefined.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  ONLY_LIMIT = 64,
  SIGNATURE_LIMIT = 256,
  FAILURES_A_BATCH = 4,
  TURNS_A_SEED = 1009,
  TARGET_BATCHES = 1000
};

struct options {
  uint64_t seed, batch, count; /* batch: the first one; count: executions of programs */
  double seconds;       /* 0: no limit */
  unsigned programs, states, pages, modes, groups, failures;
  ZydisMnemonic only[ONLY_LIMIT];
  size_t only_count;
  const char *replay, *cases;
  bool coverage, exact_flags;
};

struct totals {
  uint64_t executions, instructions, faults, endless, differences;
  unsigned signature_count, printed;
  uint16_t signature[SIGNATURE_LIMIT][INSN_LIMIT]; /* the mnemonics of what was found, ended by 0 */
  double seconds;
};

/* Asked to end (SIGINT, SIGTERM): after the batch at hand, with what it has to say. */
static volatile sig_atomic_t asked_to_end;

static void ask_to_end(int signal) {
  (void)signal;
  asked_to_end = 1;
}

static double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- A batch -------------------------------------------------------------------------------------------- */

static void make_batch(struct fuzzer *fuzzer, const struct options *options, uint64_t number,
                       struct program programs[PROGRAM_LIMIT]) {
  struct random random = {.state = options->seed * 0x100000001b3u + number};
  struct wishes wishes = {.modes = options->modes, .only = options->only, .only_count = options->only_count};
  struct job *job = fuzzer->job;
  for (unsigned i = 0; i < options->pages; i++)
    page_make(&random, job->page[i]);
  for (unsigned i = 0; i < options->states; i++) {
    state_make(&random, &job->state[i]);
    job->state[i].page = i % options->pages;
  }
  for (unsigned i = 0, edges = 0; i < options->programs; i++) {
    wishes.turn = number * options->programs + i + options->seed * TURNS_A_SEED;
    wishes.no_page_end = edges == EDGE_PAGES;
    program_make(&random, &fuzzer->definitions, &wishes, &programs[i]);
    edges += programs[i].at_page_end;
    job->program[i].first_state = 0;
    job->program[i].state_count = options->states;
  }
  job->keep_exit = 1;
  job->keep_memory = 0;
}

/* Is it likely to be a failure that was printed: are the mnemonics of one all in this program? */
static bool is_known(const struct totals *totals, const struct program *program) {
  for (unsigned s = 0; s < totals->signature_count; s++) {
    bool all = true;
    for (const uint16_t *mnemonic = totals->signature[s]; *mnemonic && all; mnemonic++) {
      bool has = false;
      for (unsigned i = 0; i < program->insn_count; i++)
        has |= program->definition[i] && program->definition[i]->mnemonic == *mnemonic;
      all = has;
    }
    if (all)
      return true;
  }
  return false;
}

static void remember(struct totals *totals, const struct program *program) {
  if (totals->signature_count == SIGNATURE_LIMIT)
    return;
  uint16_t *mnemonics = totals->signature[totals->signature_count];
  unsigned length = 0;
  for (unsigned i = 0; i < program->insn_count; i++)
    if (program->definition[i])
      mnemonics[length++] = (uint16_t)program->definition[i]->mnemonic;
  totals->signature_count += length > 0;
}

struct failure {
  struct fuzz_case c;
  unsigned program, state;
  bool may_be_switch; /* of processes, which loses what fnstenv stores (compare.c) */
  char difference[DIFFERENCE_LIMIT];
};

static void report(struct fuzzer *fuzzer, const struct options *options, struct totals *totals,
                   uint64_t batch, struct failure *failure) {
  struct fuzz_case original = failure->c;
  bool again = case_shrink(fuzzer, &failure->c);
  if (!again && failure->may_be_switch) {
    totals->differences--;
    return;
  }
  totals->printed++;
  printf("\n# seed %llu batch %llu program %u state %u:%s\n", (unsigned long long)options->seed,
         (unsigned long long)batch, failure->program, failure->state, failure->difference);
  if (!again) {
    printf("# not reproduced by itself:\n");
    failure->c = original;
  }
  case_print(fuzzer, &failure->c);
  remember(totals, &failure->c.program);
}

/* Counts an execution of the program for coverage: every instruction before the one that a fault came at. */
static uint64_t count_executed(const struct program *program, const struct job_program *entry,
                               const struct result *result) {
  uint64_t executed = 0;
  uint32_t end = result->signal ? result->eip - entry->entry : program->length;
  for (unsigned i = 0; i < program->insn_count; i++) {
    if (program->start[i] > end || program->random_bytes)
      break;
    executed++;
    if (program->definition[i])
      program->definition[i]->executed++;
  }
  return executed;
}

static bool run_batch(struct fuzzer *fuzzer, const struct options *options, uint64_t number,
                      struct totals *totals) {
  static struct program programs[PROGRAM_LIMIT];
  static struct failure failures[FAILURES_A_BATCH];
  unsigned failure_count = 0;
  uint32_t exit = target_exit_routine(&fuzzer->native);
  if (!exit)
    return false;
  make_batch(fuzzer, options, number, programs);
  batch_lay_out(fuzzer->job, programs, options->programs, exit);
  if (!batch_run(fuzzer))
    return false;
  const struct result *native = fuzzer->native.results->result, *emulated = fuzzer->emulated.results->result;
  for (unsigned p = 0, at = 0; p < options->programs; p++) {
    struct masks masks;
    bool failed = false;
    program_analyse(&fuzzer->definitions, &programs[p], &masks);
    if (options->exact_flags)
      masks = (struct masks){0};
    for (unsigned s = 0; s < options->states; s++, at++) {
      char difference[DIFFERENCE_LIMIT];
      totals->executions++;
      totals->faults += native[at].signal != 0;
      totals->endless += native[at].signal == SIGALRM;
      totals->instructions += count_executed(&programs[p], &fuzzer->job->program[p], &native[at]);
      if (compare_results(&native[at], &emulated[at], &programs[p], fuzzer->job->program[p].entry, &masks,
                          difference))
        continue;
      totals->differences++;
      if (failed || failure_count == FAILURES_A_BATCH || is_known(totals, &programs[p]))
        continue;
      failed = true;
      struct failure *failure = &failures[failure_count++];
      case_of_execution(fuzzer->job, &programs[p], p, s, &failure->c);
      failure->program = p;
      failure->state = s;
      failure->may_be_switch = masks.stores_environment && !strcmp(difference, " memory");
      memcpy(failure->difference, difference, sizeof difference);
    }
  }
  for (unsigned i = 0; i < failure_count; i++)
    if (!is_known(totals, &failures[i].c.program))
      report(fuzzer, options, totals, number, &failures[i]);
  return true;
}

/* --- Summary -------------------------------------------------------------------------------------------- */

static void print_coverage(const struct definitions *definitions, bool all) {
  size_t wanted = 0, reached = 0;
  for (size_t i = 0; i < definitions->count; i++) {
    const struct definition *d = &definitions->at[i];
    wanted += !d->exclusion;
    reached += !d->exclusion && d->executed;
    if (all && d->exclusion)
      printf("left out       %-40s %s\n", d->text, d->exclusion);
    else if (all && !d->executed)
      printf("never executed %s\n", d->text);
  }
  printf("coverage: %zu of %zu definitions executed; %zu are left out\n", reached, wanted,
         definitions->count - wanted);
}

static void print_totals(const struct totals *totals, const struct options *options) {
  printf("%llu executions of programs, %llu of instructions; %llu ended in a fault, %llu did not end; %.0f "
         "executions/s\n",
         (unsigned long long)totals->executions, (unsigned long long)totals->instructions,
         (unsigned long long)totals->faults, (unsigned long long)totals->endless,
         (double)totals->executions / totals->seconds);
  printf("seed %llu: %llu differences, %u printed\n", (unsigned long long)options->seed,
         (unsigned long long)totals->differences, totals->printed);
}

/* --- Options -------------------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: isafuzz [OPTION…] RUNNER EMULATOR [OPTION…]\n"
    "  --seed N             (1) the same seed makes the same programs\n"
    "  --batch N            (0) begin with this one: where a failure was, say\n"
    "  --count N            (1000000) executions of programs\n"
    "  --seconds N          stop after this time; or when SIGINT or SIGTERM comes, after the batch at hand\n"
    "  --programs N         (128) programs a batch; each runs from every state of the batch\n"
    "  --states N           (64) states a batch\n"
    "  --mode LIST          of single, sequence, bytes (all)\n"
    "  --only LIST          only these mnemonics\n"
    "  --with LIST          also instructions of these groups: segments, traps, transfer16, xsave\n"
    "  --without LIST       not those of these groups: vex\n"
    "  --exact-flags        compare undefined flags, too\n"
    "  --known              compare what is known to differ, too\n"
    "  --failures N         (20) stop after so many different ones\n"
    "  --coverage           name the definitions that were left out or never executed\n"
    "  --replay CASE        one case, as printed: \"BYTES NAME=VALUE…\"\n"
    "  --cases FILE         the same, for each of its lines that does not begin with #\n"
    "  --forms basic|others  print the rows of test/guests/checksums.c\n"
    "  --tables             print the tables of undefined flags and of known differences\n";

static _Noreturn void fail_usage(const char *what, const char *which) {
  if (what)
    fprintf(stderr, "isafuzz: %s %s\n", what, which);
  fputs(usage, stderr);
  exit(2);
}

static unsigned read_list(char *list, const char *const *names, size_t count, const char *what) {
  unsigned set = 0;
  for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
    size_t i = 0;
    while (i < count && strcmp(names[i], name) != 0)
      i++;
    if (i == count)
      fail_usage(what, name);
    set |= 1u << i;
  }
  return set;
}

static void read_mnemonics(char *list, struct options *options) {
  for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
    ZydisMnemonic m = 1;
    while (m <= ZYDIS_MNEMONIC_MAX_VALUE && strcmp(ZydisMnemonicGetString(m), name) != 0)
      m++;
    if (m > ZYDIS_MNEMONIC_MAX_VALUE || options->only_count == ONLY_LIMIT)
      fail_usage("no such mnemonic:", name);
    options->only[options->only_count++] = m;
  }
}

static unsigned read_limited(const char *text, unsigned limit, const char *what) {
  unsigned long value = strtoul(text, NULL, 0);
  if (value == 0 || value > limit)
    fail_usage(what, text);
  return (unsigned)value;
}

static void read_options(int argc, char *argv[], struct options *options) {
  static const char *const modes[] = {"single", "sequence", "bytes"};
  static const char *const groups[] = {"segments", "traps", "transfer16", "vex", "xsave"};
  enum {
    SEED = 1,
    COUNT,
    SECONDS,
    PROGRAMS,
    STATES,
    MODE,
    ONLY,
    WITH,
    WITHOUT,
    EXACT,
    KNOWN,
    FAILURES,
    COVERAGE,
    REPLAY,
    CASES,
    BATCH,
    FORMS,
    TABLE
  };
  static const struct option names[] = {
      {"seed", 1, NULL, SEED},         {"count", 1, NULL, COUNT},   {"seconds", 1, NULL, SECONDS},
      {"programs", 1, NULL, PROGRAMS}, {"states", 1, NULL, STATES}, {"mode", 1, NULL, MODE},
      {"only", 1, NULL, ONLY},         {"with", 1, NULL, WITH},     {"without", 1, NULL, WITHOUT},
      {"exact-flags", 0, NULL, EXACT}, {"known", 0, NULL, KNOWN},   {"failures", 1, NULL, FAILURES},
      {"coverage", 0, NULL, COVERAGE}, {"forms", 1, NULL, FORMS},   {"replay", 1, NULL, REPLAY},
      {"cases", 1, NULL, CASES},       {"tables", 0, NULL, TABLE},   {"batch", 1, NULL, BATCH},
      {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, "+", names, NULL)) != -1)
    switch (option) {
    case SEED:
      options->seed = strtoull(optarg, NULL, 0);
      break;
    case BATCH:
      options->batch = strtoull(optarg, NULL, 0);
      break;
    case COUNT:
      options->count = strtoull(optarg, NULL, 0);
      break;
    case SECONDS:
      options->seconds = strtod(optarg, NULL);
      break;
    case PROGRAMS:
      options->programs = read_limited(optarg, PROGRAM_LIMIT, "too many programs:");
      break;
    case STATES:
      options->states = read_limited(optarg, STATE_LIMIT, "too many states:");
      break;
    case MODE:
      options->modes = read_list(optarg, modes, sizeof modes / sizeof modes[0], "no such mode:");
      break;
    case ONLY:
      read_mnemonics(optarg, options);
      break;
    case WITH:
      options->groups |= read_list(optarg, groups, sizeof groups / sizeof groups[0], "no such group:");
      break;
    case WITHOUT:
      options->groups &= ~read_list(optarg, groups, sizeof groups / sizeof groups[0], "no such group:");
      break;
    case EXACT:
      options->exact_flags = true;
      break;
    case KNOWN:
      known_ignore();
      break;
    case FAILURES:
      options->failures = read_limited(optarg, 1u << 30, "no number of failures:");
      break;
    case COVERAGE:
      options->coverage = true;
      break;
    case REPLAY:
      options->replay = optarg;
      break;
    case CASES:
      options->cases = optarg;
      break;
    case FORMS: {
      static struct definitions definitions;
      definitions_find(&definitions, options->groups);
      forms_print(&definitions, !strcmp(optarg, "basic"));
      exit(0);
    }
    case TABLE:
      flag_table_print();
      putchar('\n');
      known_table_print();
      exit(0);
    default:
      fail_usage(NULL, NULL);
    }
  if (argc - optind < 2)
    fail_usage(NULL, NULL);
  if (options->programs * options->states > EXECUTION_LIMIT)
    fail_usage("too many programs and states for a batch", "");
}

static int replay(struct fuzzer *fuzzer, const char *text) {
  static struct fuzz_case c;
  char difference[DIFFERENCE_LIMIT];
  if (!case_parse(fuzzer, text, &c))
    fail_usage("cannot read the case", text);
  bool fails = case_fails(fuzzer, &c, difference);
  case_print(fuzzer, &c);
  return fails;
}

static int replay_file(struct fuzzer *fuzzer, const char *path) {
  FILE *file = fopen(path, "r");
  char line[1024];
  int status = 0;
  unsigned count = 0;
  if (!file)
    fail_usage("cannot open", path);
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = '\0';
    if (!line[0] || line[0] == '#')
      continue;
    status |= replay(fuzzer, line);
    count++;
  }
  fclose(file);
  printf("%u cases\n", count);
  return count ? status : 2;
}

int main(int argc, char *argv[]) {
  struct options options = {.seed = 1,
                            .count = 1000000,
                            .programs = 128,
                            .states = 64,
                            .pages = 8,
                            /* The emulator reports what the host has. */
                            .groups = __builtin_cpu_supports("avx") ? GROUP_VEX : 0,
                            .modes = MODE_SINGLE | MODE_SEQUENCE | MODE_BYTES,
                            .failures = 20};
  read_options(argc, argv, &options);
  if (!host_runs_i386()) {
    puts("skipped: this kernel runs no i386 code, so there is no CPU to compare with");
    return TEST_SKIPPED;
  }
  signal(SIGPIPE, SIG_IGN);
  static struct fuzzer fuzzer;
  static struct totals totals;
  int job_fd;
  definitions_find(&fuzzer.definitions, options.groups);
  fuzzer.job = job_new(&job_fd);
  fuzzer.job->use_ymm = (options.groups & GROUP_VEX) != 0;
  char *runner[] = {argv[optind], NULL}, **emulator = argv + optind + 1;
  char **command = calloc((size_t)argc + 2, sizeof *command);
  for (int i = 0; emulator[i]; i++)
    command[i] = emulator[i];
  command[argc - optind - 1] = runner[0];
  enum { CPU_PATIENCE_MS = 30, EMULATOR_PATIENCE_MS = 10000 };
  target_init(&fuzzer.native, "CPU", runner, fuzzer.job, job_fd, CPU_PATIENCE_MS);
  target_init(&fuzzer.emulated, "emulator", command, fuzzer.job, job_fd, EMULATOR_PATIENCE_MS);
  if (options.replay)
    return replay(&fuzzer, options.replay);
  if (options.cases)
    return replay_file(&fuzzer, options.cases);

  signal(SIGINT, ask_to_end);
  signal(SIGTERM, ask_to_end);
  double start = now_seconds();
  bool running = true;
  for (uint64_t batch = options.batch;
       running && !asked_to_end && totals.executions < options.count && totals.printed < options.failures &&
       (options.seconds == 0 || totals.seconds < options.seconds);
       batch++) {
    running = run_batch(&fuzzer, &options, batch, &totals);
    if (batch % TARGET_BATCHES == TARGET_BATCHES - 1) /* the emulator keeps all code that it has made */
      target_stop(&fuzzer.emulated);
    totals.seconds = now_seconds() - start;
  }
  target_stop(&fuzzer.native);
  target_stop(&fuzzer.emulated);
  if (!running)
    return 2;
  print_coverage(&fuzzer.definitions, options.coverage);
  print_totals(&totals, &options);
  return totals.differences != 0;
}
