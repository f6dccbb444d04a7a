/* The sequence under the kernel, in a static i386 program: prints the address space that it starts with,
 * then what the calls give.
 *
 *   native directed DIRECTORY | native random DIRECTORY SEED STEPS | native placement
 *
 * Must run without address-space randomisation. Output is kept in one buffer and written at the end, as
 * printing must not map anything. */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static char output[8 << 20];
static size_t used;

static void flush(void) {
  for (size_t done = 0; done < used;) {
    const ssize_t wrote = write(1, output + done, used - done);
    if (wrote <= 0)
      _exit(2);
    done += (size_t)wrote;
  }
  used = 0;
}

void print(const char *format, ...) {
  va_list list;
  va_start(list, format);
  if (sizeof output - used < 512)
    flush();
  used += (size_t)vsnprintf(output + used, sizeof output - used, format, list);
  va_end(list);
}

static int32_t answer(long result) { return result == -1 ? -errno : (int32_t)result; }

int32_t call_map(uint32_t a, uint32_t length, int prot, int flags, int fd, uint32_t page_offset) {
  return answer(syscall(SYS_mmap2, a, length, prot, flags, fd, page_offset));
}
int32_t call_unmap(uint32_t a, uint32_t length) { return answer(syscall(SYS_munmap, a, length)); }
int32_t call_protect(uint32_t a, uint32_t length, int prot) {
  return answer(syscall(SYS_mprotect, a, length, prot));
}
int32_t call_remap(uint32_t old, uint32_t old_length, uint32_t new_length, int flags, uint32_t new) {
  return answer(syscall(SYS_mremap, old, old_length, new_length, flags, new));
}
int32_t call_brk(uint32_t wanted) { return (int32_t)syscall(SYS_brk, wanted); }
int32_t call_advise(uint32_t a, uint32_t length, int advice) {
  return answer(syscall(SYS_madvise, a, length, advice));
}
int32_t call_sync(uint32_t a, uint32_t length, int flags) {
  return answer(syscall(SYS_msync, a, length, flags));
}
int32_t call_in_core(uint32_t a, uint32_t length, uint8_t *vector) {
  return answer(syscall(SYS_mincore, a, length, vector));
}
int32_t call_remap_file(uint32_t a, uint32_t length, int prot, uint32_t page_offset, int flags) {
  return answer(syscall(SYS_remap_file_pages, a, length, prot, page_offset, flags));
}
int32_t call_lock(uint32_t a, uint32_t length, int flags) {
  return answer(syscall(SYS_mlock2, a, length, flags));
}
int32_t call_unlock(uint32_t a, uint32_t length) { return answer(syscall(SYS_munlock, a, length)); }
int32_t call_lock_all(int flags) { return answer(syscall(SYS_mlockall, flags)); }
int32_t call_unlock_all(void) { return answer(syscall(SYS_munlockall)); }
int32_t call_attach(int shmid, uint32_t a, int flags) { return answer(syscall(397, shmid, a, flags)); }
int32_t call_detach(uint32_t a) { return answer(syscall(398, a)); }
void call_limit(int resource, uint64_t bytes) {
  struct rlimit64 limit = {.rlim_cur = bytes, .rlim_max = RLIM64_INFINITY};
  if (setrlimit64(resource, &limit) != 0)
    print("setrlimit: %d\n", errno);
}

int fault_code(uint32_t address, int host_code) {
  (void)address;
  return host_code;
}
int fault_is_retried(uint32_t address) {
  (void)address;
  return 0;
}

/* Calls `each` for every line of /proc/self/maps. */
static void each_mapping(void (*each)(uint32_t start, uint32_t end, const char *perms, const char *line)) {
  static char text[1 << 20];
  const int fd = open("/proc/self/maps", O_RDONLY);
  size_t length = 0;
  for (ssize_t got; (got = read(fd, text + length, sizeof text - 1 - length)) > 0;)
    length += (size_t)got;
  close(fd);
  text[length] = 0;
  for (char *line = text, *next; *line; line = next) {
    next = strchr(line, '\n');
    *next++ = 0;
    unsigned long long start, end;
    char perms[8];
    if (sscanf(line, "%llx-%llx %7s", &start, &end, perms) == 3)
      each((uint32_t)start, (uint32_t)end, perms, line);
  }
}

static uint32_t run_start, run_end;
static char run_perms[8];
static void print_run(void) {
  if (run_end > run_start)
    print("%08x-%08x %s\n", run_start, run_end, run_perms);
}
static void add_to_run(uint32_t start, uint32_t end, const char *perms, const char *line) {
  (void)line;
  if (start == run_end && strcmp(perms, run_perms) == 0) {
    run_end = end;
    return;
  }
  print_run();
  run_start = start, run_end = end;
  strcpy(run_perms, perms);
}
void print_runs(void) {
  run_start = run_end = 0;
  each_mapping(add_to_run);
  print_run();
}

static uint32_t heap;
static void print_mapping(uint32_t start, uint32_t end, const char *perms, const char *line) {
  const char *name = strchr(line, '[');
  if (name && strcmp(name, "[heap]") == 0)
    heap = start;
  print("start %x %x %s %s\n", start, end, perms, name ? name : "-");
}

int main(int argc, char **argv) {
  alarm(60);
  each_mapping(print_mapping);
  print("break %x %x\n", heap ? heap : (uint32_t)syscall(SYS_brk, 0), (uint32_t)syscall(SYS_brk, 0));
  if (argc > 2 && strcmp(argv[1], "directed") == 0)
    sequence_directed(argv[2]);
  else if (argc > 4 && strcmp(argv[1], "random") == 0)
    sequence_random(argv[2], (uint32_t)atoi(argv[3]), atoi(argv[4]));
  else
    sequence_placement();
  flush();
  _exit(0);
}
