/* Runs the sequence in the guest-memory module and compares it with what the kernel printed.
 *
 *   sequence_test NATIVE RECORDED directed|random|placement [SEED STEPS | STACK-LIMIT LAYOUT]
 *
 * NATIVE is the i386 program that runs the same sequence under the kernel; where the host cannot run it,
 * the file RECORDED holds what it printed on a host that could (made with --record as a last argument).
 * The first lines are the address space that the program started with; it is rebuilt here first. */
#include "calls.h"
#include "child.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- The calls, by the module ------------------------------------------------------------------ */

int32_t call_map(uint32_t a, uint32_t length, int prot, int flags, int fd, uint32_t page_offset) {
  return (int32_t)guest_memory_map(a, length, prot, flags, fd, (uint64_t)page_offset << GUEST_PAGE_SHIFT);
}
int32_t call_unmap(uint32_t a, uint32_t length) { return guest_memory_unmap(a, length); }
int32_t call_protect(uint32_t a, uint32_t length, int prot) { return guest_memory_protect(a, length, prot); }
int32_t call_remap(uint32_t old, uint32_t old_length, uint32_t new_length, int flags, uint32_t new) {
  return (int32_t)guest_memory_remap(old, old_length, new_length, flags, new);
}
int32_t call_brk(uint32_t wanted) { return (int32_t)guest_memory_brk(wanted); }
int32_t call_advise(uint32_t a, uint32_t length, int advice) {
  return guest_memory_advise(a, length, advice);
}
int32_t call_sync(uint32_t a, uint32_t length, int flags) { return guest_memory_sync(a, length, flags); }
int32_t call_in_core(uint32_t a, uint32_t length, uint8_t *vector) {
  return guest_memory_in_core(a, length, vector);
}
int32_t call_remap_file(uint32_t a, uint32_t length, int prot, uint32_t page_offset, int flags) {
  return guest_memory_remap_file(a, length, prot, page_offset, flags);
}
int32_t call_lock(uint32_t a, uint32_t length, int flags) { return guest_memory_lock(a, length, flags); }
int32_t call_unlock(uint32_t a, uint32_t length) { return guest_memory_unlock(a, length); }
int32_t call_lock_all(int flags) { return guest_memory_lock_all(flags); }
int32_t call_unlock_all(void) { return guest_memory_unlock_all(); }
int32_t call_attach(int shmid, uint32_t a, int flags) {
  return (int32_t)guest_memory_attach(shmid, a, flags);
}
int32_t call_detach(uint32_t a) { return guest_memory_detach(a); }
void call_limit(int resource, uint64_t bytes) {
  uint64_t address_space, data;
  guest_memory_limits(&address_space, &data);
  guest_memory_set_limits(resource == RLIMIT_AS ? bytes : address_space,
                          resource == RLIMIT_DATA ? bytes : data);
}

int fault_code(uint32_t address, int host_code) {
  (void)host_code; /* the reservation makes every page of the guest's range look mapped */
  return guest_memory_page(address) & GUEST_PAGE_MAPPED ? SEGV_ACCERR : SEGV_MAPERR;
}

static bool everything_is_code;
int fault_is_retried(uint32_t address) { return guest_memory_write_fault(address); }

void print_runs(void) {
  guest_addr start = 0, run_start = 0, run_end = 0;
  uint32_t length;
  uint8_t bits, run_bits = 0;
  const uint8_t shown = GUEST_PAGE_READ | GUEST_PAGE_WRITE | GUEST_PAGE_EXEC | GUEST_PAGE_SHARED;
  for (bool more = true; more; start += length) {
    more = guest_memory_next_run(&start, &length, &bits);
    if (more && start == run_end && (bits & shown) == run_bits) {
      run_end += length;
      continue;
    }
    if (run_end > run_start)
      print("%08x-%08x %c%c%c%c\n", run_start, run_end, run_bits & GUEST_PAGE_READ ? 'r' : '-',
            run_bits & GUEST_PAGE_WRITE ? 'w' : '-', run_bits & GUEST_PAGE_EXEC ? 'x' : '-',
            run_bits & GUEST_PAGE_SHARED ? 's' : 'p');
    run_start = start, run_end = start + length, run_bits = bits & shown;
  }
}

/* --- Comparing --------------------------------------------------------------------------------- */

static const char *expected;     /* what is left of the kernel's output */
static unsigned line_number = 1; /* of it */
static char history[16][512];    /* the last lines, for the report */
static char current[512];
static unsigned lines;

static _Noreturn void mismatch(const char *wanted, size_t length) {
  for (unsigned i = lines < 16 ? 0 : lines - 15; i < lines; i++)
    fprintf(stderr, "    %s", history[i % 16]);
  fprintf(stderr, "line %u differs\n  kernel: %.*s\n  module: %s", line_number, (int)length, wanted, current);
  exit(1);
}

void print(const char *format, ...) {
  const size_t used = strlen(current);
  va_list list;
  va_start(list, format);
  vsnprintf(current + used, sizeof current - used, format, list);
  va_end(list);
  const size_t length = strlen(current);
  if (length == 0 || current[length - 1] != '\n')
    return;
  if (strncmp(expected, current, length) != 0)
    mismatch(expected, strcspn(expected, "\n"));
  expected += length;
  strcpy(history[lines++ % 16], current);
  line_number++;
  current[0] = 0;
  if (everything_is_code) { /* each mapping is full of translations, all the time */
    guest_addr start = 0;
    uint32_t run;
    for (uint8_t bits; guest_memory_next_run(&start, &run, &bits); start += run)
      if (bits & GUEST_PAGE_EXEC)
        guest_memory_code_translated(start, run);
  }
}

/* Rebuilds what the i386 program had when it started. */
static void rebuild(void) {
  for (;; line_number++) {
    unsigned start, end;
    char perms[8], name[64];
    if (sscanf(expected, "start %x %x %7s %63s", &start, &end, perms, name) == 4) {
      const int prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
                       (perms[2] == 'x' ? PROT_EXEC : 0);
      const int grows = strcmp(name, "[stack]") == 0 ? MAP_GROWSDOWN : 0;
      if (guest_memory_map(start, end - start, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | grows, -1, 0) <
          0)
        exit(2);
    } else if (sscanf(expected, "break %x %x", &start, &end) == 2) {
      guest_memory_unmap(start, end - start);
      guest_memory_set_brk_start(start);
      if (guest_memory_brk(end) != end)
        exit(2);
    } else {
      return;
    }
    expected = strchr(expected, '\n') + 1;
  }
}

/* What the kernel said: from the i386 program, else from the file. */
static char *kernel_output(char **argv, const char *recorded, unsigned long persona, uint64_t stack) {
  char *text = NULL;
  size_t length = 0;
  int pipes[2];
  if (access(argv[0], X_OK) == 0 && host_runs_i386() && pipe(pipes) == 0) {
    const pid_t pid = fork();
    if (pid == 0) {
      const struct rlimit limit = {stack, RLIM_INFINITY};
      setrlimit(RLIMIT_STACK, &limit);
      personality(persona | ADDR_NO_RANDOMIZE);
      dup2(pipes[1], 1);
      execv(argv[0], argv);
      _exit(127);
    }
    close(pipes[1]);
    for (ssize_t got = 1; got > 0; length += (size_t)got) {
      text = realloc(text, length + (1 << 20));
      got = read(pipes[0], text + length, (1 << 20) - 1);
      if (got <= 0)
        break;
    }
    text[length] = 0;
    int status;
    waitpid(pid, &status, 0);
    if (status != 0) {
      fprintf(stderr, "%s: status %#x\n", argv[0], status);
      exit(2);
    }
    return text;
  }
  FILE *file = fopen(recorded, "r");
  if (!file) {
    fprintf(stderr, "%s cannot run here, and %s is not there\n", argv[0], recorded);
    exit(TEST_SKIPPED);
  }
  text = malloc(16 << 20);
  length = fread(text, 1, (16 << 20) - 1, file);
  fclose(file);
  text[length] = 0;
  return text;
}

static void no_drop(guest_addr address, uint32_t length) {
  (void)address;
  (void)length;
}

int main(int argc, char **argv) {
  if (argc < 4)
    return 2;
  const bool record = strcmp(argv[argc - 1], "--record") == 0;
  everything_is_code = strcmp(argv[argc - 1], "--code") == 0;
  const char *mode = argv[3], *first = argc > 4 ? argv[4] : "", *second = argc > 5 ? argv[5] : "";
  const bool placement = strcmp(mode, "placement") == 0;
  const uint64_t stack = placement ? strtoull(first, NULL, 0) : 8u << 20;
  const unsigned long persona = placement && strcmp(second, "legacy") == 0 ? ADDR_COMPAT_LAYOUT : 0;

  char directory[] = "/tmp/uemu-memory-XXXXXX";
  if (!mkdtemp(directory))
    return 2;
  char *child[] = {argv[1], (char *)mode, directory, (char *)first, (char *)second, NULL};
  char *output = kernel_output(child, argv[2], persona, stack);
  if (record) {
    FILE *file = fopen(argv[2], "w");
    if (!file || fputs(output, file) < 0 || fclose(file) != 0)
      return 2;
  }

  const struct rlimit limit = {stack, RLIM_INFINITY};
  setrlimit(RLIMIT_STACK, &limit);
  personality(persona | (unsigned long)personality(0xFFFFFFFF));
  int result = guest_memory_init();
  if (result != 0) {
    fprintf(stderr, "guest_memory_init: %s\n", strerror(-result));
    return 2;
  }
  guest_memory_set_stack_limit(stack);
  guest_memory_set_code_dropper(no_drop);
  expected = output;
  rebuild();
  if (placement)
    sequence_placement();
  else if (strcmp(mode, "directed") == 0)
    sequence_directed(directory);
  else
    sequence_random(directory, (uint32_t)atoi(first), atoi(second));
  if (*expected)
    mismatch(expected, strcspn(expected, "\n"));
  printf("%u lines equal\n", lines);

  char path[64];
  snprintf(path, sizeof path, "%s/file", directory);
  unlink(path);
  rmdir(directory);
  free(output);
  return 0;
}
