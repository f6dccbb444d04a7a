/* Makes the stencil library.
 *
 *     uemu-stencils -o OUT [-j N] [-s SHAPES] [-v] [ELF-FILE …]
 *
 * Shapes come from three sources: a list of instruction bytes with live flags (-s; one shape a
 * line), the code of i386 ELF files that are given, and systematic variation of what was found
 * (all registers). Each is compiled once; the work is spread over N processes. */
#include "Frontend/discover.h"
#include "Runtime/jit.h"
#include "shapes.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

static struct {
  const char *output, *build_id_text;
  unsigned jobs;
  bool verbose;
} options = {.jobs = 1};

static void die(const char *what, const char *name) {
  fprintf(stderr, "uemu-stencils: %s: %s\n", name, what);
  exit(1);
}

/* --- One worker's part ------------------------------------------------------------------------------ */

struct worker {
  struct stencil_collection *collection;
  unsigned refused;
};

static void made(void *context, const struct stencil_code *code) {
  struct worker *worker = context;
  if (!stencil_collection_add(worker->collection, code))
    die("out of memory", "collection");
}

static void refused(void *context, const struct stencil_source *source, const char *why) {
  struct worker *worker = context;
  worker->refused++;
  /* So that a program that has it, but does not run it, need not load LLVM to learn the same. */
  struct stencil_code none = {.flags = STENCIL_REFUSED};
  shape_of(&none.shape, source->insn, source->count, source->live);
  made(context, &none);
  if (options.verbose) {
    char text[160];
    shape_source_print(source, text, sizeof text);
    fprintf(stderr, "uemu-stencils: %s: %s\n", text, why);
  }
}

static void write_all(int fd, const void *data, size_t size) {
  for (const char *p = data; size;) {
    ssize_t n = write(fd, p, size);
    if (n < 0)
      die(strerror(errno), "write");
    p += n;
    size -= (size_t)n;
  }
}

/* The linker's hash of this program (the note of type NT_GNU_BUILD_ID). */
static int find_build_id(struct dl_phdr_info *info, size_t size, void *id) {
  (void)size;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_NOTE)
      continue;
    const char *at = (const char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    const char *end = at + info->dlpi_phdr[i].p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
      const char *name = at + sizeof *note, *description = name + (note->n_namesz + 3) / 4 * 4;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0 &&
          note->n_descsz >= STENCIL_BUILD_ID_SIZE) {
        memcpy(id, description, STENCIL_BUILD_ID_SIZE);
        return 1;
      }
      at = description + (note->n_descsz + 3) / 4 * 4;
    }
  }
  return -1; /* the first object is the program itself; no other will do */
}

/* Stencils that one build of the lifter made are no use to another. The lifter is linked into this
 * program, so the program's own hash stands for it. */
static void build_id(uint8_t id[STENCIL_BUILD_ID_SIZE]) {
  if (options.build_id_text) {
    memset(id, 0, STENCIL_BUILD_ID_SIZE);
    snprintf((char *)id, STENCIL_BUILD_ID_SIZE, "%s", options.build_id_text);
  } else if (dl_iterate_phdr(find_build_id, id) != 1) {
    die("has no build id", "uemu-stencils");
  }
}

/* What is to be made: stencils for all addresses, and where the operand of such a one cannot be replaced,
 * those for the addresses that were seen. */
struct plan {
  struct shape_set general, exact;
  size_t *general_of; /* by index into exact */
};

static bool serves_all_addresses(const struct worker *worker, const struct stencil_source *source) {
  struct shape shape;
  shape_of(&shape, source->insn, source->count, source->live);
  const struct stencil *stencil = stencil_collection_find(worker->collection, &shape);
  return stencil && stencil->memory.modrm;
}

static bool is_general(const struct stencil_source *source) {
  struct shape shape;
  shape_of(&shape, source->insn, source->count, source->live);
  return shape_generalise(&shape) < 0;
}

static void work(const struct plan *plan, unsigned part, int fd) {
  struct worker worker = {.collection = stencil_collection_new()};
  struct stencil_sink sink = {.context = &worker, .made = made, .refused = refused};
  size_t count = plan->general.count;
  size_t first = count * part / options.jobs, end = count * (part + 1) / options.jobs;
  jit_compile_stencils(plan->general.source + first, (unsigned)(end - first), &sink);
  struct stencil_source *more = malloc((plan->exact.count + 1) * sizeof *more);
  unsigned more_count = 0;
  if (!more)
    die("out of memory", "sources");
  for (size_t i = 0; i < plan->exact.count; i++) {
    size_t general = plan->general_of[i];
    if (general >= first && general < end && !is_general(&plan->exact.source[i]) &&
        !serves_all_addresses(&worker, &plan->general.source[general]))
      more[more_count++] = plan->exact.source[i];
  }
  jit_compile_stencils(more, more_count, &sink);
  uint8_t id[STENCIL_BUILD_ID_SIZE];
  build_id(id);
  size_t size;
  void *library = stencil_collection_library(worker.collection, id, &size);
  write_all(fd, library, size);
  close(fd);
  fprintf(stderr, "uemu-stencils: part %u: %zu stencils, %u of them for one address, %u refused\n", part,
          stencil_collection_count(worker.collection), more_count, worker.refused);
  exit(0);
}

/* --- Putting the parts together ------------------------------------------------------------------------ */

static void *read_all(int fd, size_t *size) {
  size_t capacity = 1 << 20, used = 0;
  char *data = malloc(capacity);
  for (;;) {
    if (used == capacity)
      data = realloc(data, capacity *= 2);
    ssize_t n = read(fd, data + used, capacity - used);
    if (n <= 0)
      break;
    used += (size_t)n;
  }
  *size = used;
  return data;
}

int main(int argc, char **argv) {
  struct plan plan = {0};
  for (int option; (option = getopt(argc, argv, "o:j:s:i:v")) != -1;) {
    switch (option) {
    case 'o':
      options.output = optarg;
      break;
    case 'j':
      options.jobs = (unsigned)atoi(optarg);
      break;
    case 's':
      if (!shape_set_add_list(&plan.exact, optarg))
        die("cannot be read as a list of shapes", optarg);
      break;
    case 'i':
      options.build_id_text = optarg;
      break;
    case 'v':
      options.verbose = true;
      break;
    default:
      return 2;
    }
  }
  if (!options.output || options.jobs == 0) {
    fprintf(stderr, "usage: uemu-stencils -o OUT [-i BUILD-ID] [-j N] [-s SHAPES] [-v] [ELF-FILE ...]\n");
    return 2;
  }
  for (int i = optind; i < argc; i++) {
    size_t before = plan.exact.count;
    if (!shape_set_add_elf(&plan.exact, argv[i]))
      fprintf(stderr, "uemu-stencils: %s: not an i386 ELF file that can be read, skipped\n", argv[i]);
    else if (options.verbose)
      fprintf(stderr, "uemu-stencils: %s: %zu shapes, %zu of them new\n", argv[i], plan.exact.count,
              plan.exact.count - before);
  }
  if (strcmp(options.output, "-") == 0) { /* only the list of shapes */
    shape_set_sort(&plan.exact);
    for (size_t i = 0; i < plan.exact.count; i++)
      shape_source_write(&plan.exact.source[i], stdout);
    return 0;
  }
  shape_set_complete(&plan.exact);
  plan.general_of = shape_set_generalise(&plan.exact, &plan.general);
  if (options.jobs > plan.general.count / 16 + 1)
    options.jobs = (unsigned)(plan.general.count / 16 + 1);
  enum { JOB_LIMIT = 64 };
  int pipes[JOB_LIMIT][2];
  if (options.jobs > JOB_LIMIT)
    die("too many jobs", "-j");
  for (unsigned i = 0; i < options.jobs; i++) {
    if (pipe(pipes[i]) < 0)
      die(strerror(errno), "pipe");
    pid_t pid = fork();
    if (pid < 0)
      die(strerror(errno), "fork");
    if (pid == 0) {
      close(pipes[i][0]);
      work(&plan, i, pipes[i][1]);
    }
    close(pipes[i][1]);
  }
  uint8_t id[STENCIL_BUILD_ID_SIZE];
  build_id(id);
  struct stencil_collection *whole = stencil_collection_new();
  for (unsigned i = 0; i < options.jobs; i++) {
    size_t size;
    void *part = read_all(pipes[i][0], &size);
    if (!stencil_library_valid(part, size, id, true) || !stencil_collection_add_library(whole, part))
      die("a worker failed", "stencils");
    free(part);
  }
  for (int status; wait(&status) > 0;)
    if (status)
      die("a worker failed", "stencils");
  size_t size;
  void *library = stencil_collection_library(whole, id, &size);
  int fd = open(options.output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0)
    die(strerror(errno), options.output);
  write_all(fd, library, size);
  close(fd);
  fprintf(stderr, "uemu-stencils: %s: %zu stencils of %zu shapes, %zu bytes\n", options.output,
          stencil_collection_count(whole), plan.exact.count, size);
  return 0;
}
