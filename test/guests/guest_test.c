/* guest_test: runs the builds of one guest program and compares what they did.
 *
 *     guest_test [OPTION…] PROGRAM…
 *       --emulator PATH    run under this; without it, on the CPU
 *       --option OPTION    handed to the emulator (repeatable)
 *       --expected BASE    recorded results: BASE.BUILD.txt if there is one, else BASE.txt
 *       --runs A|B|…       run once with each of these argument lists (blanks between arguments)
 *       --seconds N        time limit of one run (60)
 *       --needs FLAGS      skipped on a CPU without these flags of /proc/cpuinfo
 *       --record           write the recorded results from runs on the CPU, instead of comparing
 *
 * Under the emulator, the reference is a native run where the kernel runs i386 code, and the recorded
 * result elsewhere. Natively, the recorded result is the reference: so it never goes stale. Compared are
 * standard output, standard error, and how the program ended. Each run gets a fresh folder with a copy of
 * the program, named after its source, and an empty one to work in; the folder's path, which is new each
 * time, reads FOLDER in the results. The environment is small and always the same.
 *
 * Exit status: 0 all agree; 1 some do not; 77 (skipped) where there is nothing to compare with. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENT_LIMIT = 32, OPTION_LIMIT = 16, PATH_LENGTH = 4096 };

static struct {
  char *emulator;
  char *option[OPTION_LIMIT];
  int option_count;
  const char *expected, *runs, *needs;
  int seconds;
  bool record;
} settings = {.runs = "", .needs = "", .seconds = 60};

/* What a run left, as text: the form in which results are recorded and compared. */
struct outcome {
  char *text; /* malloc'd */
  bool exists;
  double seconds;
};

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where) {
  (void)status, (void)kind, (void)where;
  return remove(path);
}

static const char *build_of(const char *program) {
  const char *slash = strrchr(program, '/');
  return slash ? slash + 1 : program;
}

/* Writes `bytes` with every `path` in them replaced by FOLDER. */
static void write_without_path(FILE *stream, const char *bytes, size_t length, const char *path) {
  size_t path_length = strlen(path);
  const char *end = bytes + length, *found;
  while ((found = memmem(bytes, (size_t)(end - bytes), path, path_length))) {
    fwrite(bytes, 1, (size_t)(found - bytes), stream);
    fputs("FOLDER", stream);
    bytes = found + path_length;
  }
  fwrite(bytes, 1, (size_t)(end - bytes), stream);
}

/* "exit status 0", then both outputs, each under its own line and with a mark where the last line has no
 * end. */
static char *describe(const struct child_result *result, const char *folder) {
  char how[64];
  child_describe(result, how, sizeof how);
  char *text = NULL;
  size_t size;
  FILE *stream = open_memstream(&text, &size);
  fprintf(stream, "%s\n", how);
  const struct child_output *outputs[] = {&result->out, &result->err};
  static const char *const names[] = {"standard output", "standard error"};
  for (int i = 0; i < 2; i++) {
    fprintf(stream, "--- %s\n", names[i]);
    write_without_path(stream, outputs[i]->bytes, outputs[i]->length, folder);
    if (outputs[i]->length && outputs[i]->bytes[outputs[i]->length - 1] != '\n')
      fputs("\n--- (no newline)\n", stream);
    if (outputs[i]->cut)
      fputs("--- (more, not kept)\n", stream);
  }
  fclose(stream);
  return text;
}

static _Noreturn void die(const char *what, const char *name) {
  fprintf(stderr, "guest_test: %s %s: %s\n", what, name, strerror(errno));
  exit(2);
}

static void copy_program(const char *from, const char *to) {
  struct stat status;
  int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (in < 0 || out < 0 || fstat(in, &status) < 0)
    die("cannot copy", from);
  for (off_t left = status.st_size; left > 0;) {
    ssize_t copied = sendfile(out, in, NULL, (size_t)left);
    if (copied <= 0)
      die("cannot copy", from);
    left -= copied;
  }
  close(in);
  close(out);
}

/* The program's name: its builds lie in a folder of that name. */
static void name_of(const char *program, char name[NAME_MAX + 1]) {
  const char *end = build_of(program) - 1, *start = end;
  while (start > program && start[-1] != '/')
    start--;
  snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), start);
}

/* Runs the program with the arguments (blanks between them) of one --runs entry. */
static struct outcome run(const char *program, const char *arguments, bool emulated) {
  char *command[OPTION_LIMIT + ARGUMENT_LIMIT + 3], words[1024], folder[] = "/tmp/guest_test.XXXXXX";
  char name[NAME_MAX + 1], copy[PATH_LENGTH], work[PATH_LENGTH];
  if (!mkdtemp(folder))
    die("cannot make", folder);
  name_of(program, name);
  snprintf(copy, sizeof copy, "%s/%s", folder, name);
  snprintf(work, sizeof work, "%s/work.folder", folder);
  copy_program(program, copy);
  if (mkdir(work, 0755) < 0)
    die("cannot make", work);

  int count = 0;
  if (emulated) {
    command[count++] = settings.emulator;
    for (int i = 0; i < settings.option_count; i++)
      command[count++] = settings.option[i];
  }
  command[count++] = copy;
  snprintf(words, sizeof words, "%s", arguments);
  for (char *word = strtok(words, " "); word && count < OPTION_LIMIT + ARGUMENT_LIMIT;
       word = strtok(NULL, " "))
    command[count++] = word;
  command[count] = NULL;

  char *environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=/", "TZ=UTC0", NULL};
  struct child_result result;
  int error = child_run(command, work, environment, settings.seconds, &result);
  if (error) {
    errno = -error;
    die("cannot run", command[0]);
  }
  struct outcome outcome = {.text = describe(&result, folder), .exists = true, .seconds = result.seconds};
  child_result_free(&result);
  nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  return outcome;
}

/* All --runs of one build, one after the other. */
static struct outcome run_all(char *program, bool emulated) {
  struct outcome all = {.exists = true};
  char *list = strdup(settings.runs), *rest = list, *arguments, *text = NULL;
  size_t size;
  FILE *stream = open_memstream(&text, &size);
  while ((arguments = strsep(&rest, "|"))) {
    struct outcome one = run(program, arguments, emulated);
    if (*arguments)
      fprintf(stream, "=== %s\n", arguments);
    fputs(one.text, stream);
    all.seconds += one.seconds;
    free(one.text);
  }
  fclose(stream);
  free(list);
  all.text = text;
  return all;
}

static void expected_path(char *path, const char *build) {
  if (build)
    snprintf(path, PATH_LENGTH, "%s.%s.txt", settings.expected, build);
  else
    snprintf(path, PATH_LENGTH, "%s.txt", settings.expected);
}

static struct outcome read_expected(const char *build) {
  char path[PATH_LENGTH];
  struct outcome outcome = {0};
  size_t size = 0;
  if (!settings.expected)
    return outcome;
  expected_path(path, build);
  FILE *file = fopen(path, "r");
  if (!file) {
    expected_path(path, NULL);
    file = fopen(path, "r");
  }
  if (!file)
    return outcome;
  outcome.exists = getdelim(&outcome.text, &size, 0, file) > 0;
  fclose(file);
  return outcome;
}

/* Shows where two texts part: the lines before, then both sides. */
static void show_difference(const char *expected, const char *got) {
  enum { CONTEXT = 3, SHOWN = 8 };
  const char *starts[CONTEXT + 1] = {expected};
  int line = 1;
  size_t at = 0, line_start = 0;
  while (expected[at] && expected[at] == got[at]) {
    if (expected[at] == '\n') {
      line++;
      line_start = at + 1;
      memmove(starts + 1, starts, CONTEXT * sizeof *starts);
      starts[0] = expected + line_start;
    }
    at++;
  }
  int before = CONTEXT;
  while (before > 0 && !starts[before])
    before--;
  printf("    first difference in line %d:\n", line);
  const char *context = starts[before];
  while (context < expected + line_start) {
    int length = (int)strcspn(context, "\n");
    printf("      %.*s\n", length, context);
    context += length + 1;
  }
  const char *sides[] = {expected + line_start, got + line_start};
  for (int side = 0; side < 2; side++) {
    const char *text = sides[side];
    for (int i = 0; i < SHOWN && *text; i++) {
      int length = (int)strcspn(text, "\n");
      printf("    %c %.200s\n", side ? '+' : '-', length < 200 ? strndupa(text, (size_t)length) : text);
      text += length + (text[length] == '\n');
    }
    if (*text)
      printf("    %c …\n", side ? '+' : '-');
  }
}

static bool compare(const char *program, const char *reference, const struct outcome *expected,
                    const struct outcome *got) {
  bool same = !strcmp(expected->text, got->text);
  printf("%s %s (%.2f s)\n", same ? "ok  " : "FAIL", build_of(program), got->seconds);
  if (!same) {
    printf("  %s\n  against %s (-expected, +got):\n", program, reference);
    show_difference(expected->text, got->text);
  }
  return same;
}

static void write_expected(const char *build, const char *text) {
  char path[PATH_LENGTH];
  expected_path(path, build);
  FILE *file = fopen(path, "w");
  if (!file || fputs(text, file) < 0 || fclose(file) != 0)
    die("cannot write", path);
}

/* One file if all builds agree, one a build otherwise. */
static void record(char *programs[], int count) {
  struct outcome *outcomes = calloc((size_t)count, sizeof *outcomes);
  bool agree = true;
  for (int i = 0; i < count; i++) {
    char path[PATH_LENGTH];
    outcomes[i] = run_all(programs[i], false);
    agree = agree && !strcmp(outcomes[i].text, outcomes[0].text);
    expected_path(path, build_of(programs[i]));
    unlink(path);
    expected_path(path, NULL);
    unlink(path);
  }
  for (int i = 0; i < (agree ? 1 : count); i++)
    write_expected(agree ? NULL : build_of(programs[i]), outcomes[i].text);
  for (int i = 0; i < count; i++)
    free(outcomes[i].text);
  free(outcomes);
}

static void read_settings(int argc, char *argv[]) {
  enum { EMULATOR = 1, OPTION, EXPECTED, RUNS, SECONDS, NEEDS, RECORD };
  static const struct option options[] = {
      {"emulator", required_argument, NULL, EMULATOR}, {"option", required_argument, NULL, OPTION},
      {"expected", required_argument, NULL, EXPECTED}, {"runs", required_argument, NULL, RUNS},
      {"seconds", required_argument, NULL, SECONDS},   {"needs", required_argument, NULL, NEEDS},
      {"record", no_argument, NULL, RECORD},           {0},
  };
  for (int option; (option = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
    if (option == EMULATOR)
      settings.emulator = optarg;
    else if (option == OPTION && settings.option_count < OPTION_LIMIT)
      settings.option[settings.option_count++] = optarg;
    else if (option == EXPECTED)
      settings.expected = optarg;
    else if (option == RUNS)
      settings.runs = optarg;
    else if (option == SECONDS)
      settings.seconds = atoi(optarg);
    else if (option == NEEDS)
      settings.needs = optarg;
    else if (option == RECORD)
      settings.record = true;
    else
      exit(2);
  }
}

int main(int argc, char *argv[]) {
  read_settings(argc, argv);
  char **programs = argv + optind;
  int count = argc - optind, compared = 0, failed = 0;
  /* Programs that die by a signal shall not fill the disk. */
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  const char *lacking = host_cpu_lacks(settings.needs);
  if (lacking) {
    printf("skipped: this CPU has no %s\n", lacking);
    return TEST_SKIPPED;
  }
  bool native = host_runs_i386();
  if (!native && (settings.record || !settings.emulator)) {
    puts("skipped: this kernel runs no i386 code");
    return settings.record ? 2 : TEST_SKIPPED;
  }
  if (settings.record) {
    record(programs, count);
    return 0;
  }
  for (int i = 0; i < count; i++) {
    bool run_natively = settings.emulator && native;
    struct outcome expected =
        run_natively ? run_all(programs[i], false) : read_expected(build_of(programs[i]));
    if (!expected.exists) {
      printf("skip %s: no result is recorded\n", build_of(programs[i]));
      continue;
    }
    struct outcome got = run_all(programs[i], settings.emulator != NULL);
    compared++;
    failed += !compare(programs[i], run_natively ? "a native run" : "the recorded result", &expected, &got);
    free(expected.text);
    free(got.text);
  }
  if (!compared)
    return TEST_SKIPPED;
  printf("%d of %d agree\n", compared - failed, compared);
  return failed > 0;
}
