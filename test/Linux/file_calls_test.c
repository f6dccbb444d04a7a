/* Runs each scenario twice in this process, and compares the transcripts: once with int $0x80, by which a
 * 64-bit process reaches the kernel's own i386 system calls, and once with the functions of lib/Linux. */
#include "Linux/log.h"
#include "Linux/signal.h"
#include "Linux/strace.h"
#include "Linux/syscall.h"

#include "Runtime/guest_memory.h"

#include "../support/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

/* The rows of the areas under test. */
#define SYSCALL(number, name, ...) syscall_function sys_##name;
#include "Linux/attributes.def"
#include "Linux/descriptor.def"
#include "Linux/directory.def"
#include "Linux/event.def"
#include "Linux/files.def"
#include "Linux/ioctl.def"
#include "Linux/poll.def"
#include "Linux/stat.def"
#undef SYSCALL
#define SYSCALL(number, name, ...) [number] = sys_##name,
static syscall_function *const functions[SYSCALL_LIMIT] = {
#include "Linux/attributes.def"
#include "Linux/descriptor.def"
#include "Linux/directory.def"
#include "Linux/event.def"
#include "Linux/files.def"
#include "Linux/ioctl.def"
#include "Linux/poll.def"
#include "Linux/stat.def"
};

/* No signals arrive in this test. */
uint64_t signal_host_mask(uint64_t mask) { return mask; }
void signal_temporary_mask_begin(struct thread *thread, uint64_t mask) { (void)thread, (void)mask; }
void signal_temporary_mask_end(struct thread *thread, long result) { (void)thread, (void)result; }

static struct process process = {.self_fd = -1};
static struct cpu_state *cpu;
static struct thread thread;
static bool native;

static struct {
  uint8_t *start;
  size_t used;
} arena;
enum { ARENA_START = 0x10000000, ARENA_SIZE = 1 << 20 };

static struct {
  size_t length;
  char text[1 << 16];
} transcript;

/* --- What scenarios call --------------------------------------------------------------------- */

void *low(size_t length);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int32_t scenario_call(int number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f);

void *low(size_t length) {
  void *memory = arena.start + arena.used;
  arena.used += (length + 15) & ~(size_t)15;
  assert_true(arena.used <= ARENA_SIZE);
  return memory;
}

void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  transcript.length += (size_t)vsnprintf(transcript.text + transcript.length,
                                         sizeof transcript.text - transcript.length, format, arguments);
  va_end(arguments);
  assert_true(transcript.length + 2 < sizeof transcript.text);
  transcript.text[transcript.length++] = '\n';
  transcript.text[transcript.length] = '\0';
}

static int32_t native_call(int number, const uint32_t arg[6]) {
  int32_t result = number;
  __asm__ volatile("push %%rbp\n\t"
                   "mov %[last], %%ebp\n\t"
                   "int $0x80\n\t"
                   "pop %%rbp"
                   : "+a"(result)
                   : "b"(arg[0]), "c"(arg[1]), "d"(arg[2]), "S"(arg[3]), "D"(arg[4]), [last] "r"(arg[5])
                   : "memory", "cc", "r8", "r9", "r10", "r11");
  return result;
}

int32_t scenario_call(int number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f) {
  const uint32_t arg[6] = {a, b, c, d, e, f};
  if (native || !functions[number]) {
    assert_true(native || number == 359 /* socket, which is another area's */);
    return native_call(number, arg);
  }
  return functions[number](&thread, arg);
}

/* --- Around them ----------------------------------------------------------------------------- */

/* guest_copy_in and its kin need this of the runtime. */
static void on_fault(int signal, siginfo_t *info, void *opaque) {
  (void)info;
  greg_t *pc = &((ucontext_t *)opaque)->uc_mcontext.gregs[REG_RIP];
  const uintptr_t fixup = guest_copy_fixup((uintptr_t)*pc);
  if (!fixup) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
    return;
  }
  *pc = (greg_t)fixup;
}

/* In the middle of a test, as cmocka has handlers of its own. */
static void catch_faults(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

static void remove_all(int parent, const char *name) {
  if (unlinkat(parent, name, 0) == 0)
    return;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  DIR *directory = fdopendir(fd);
  for (struct dirent *entry; directory && (entry = readdir(directory));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      remove_all(fd, entry->d_name);
  closedir(directory);
  unlinkat(parent, name, AT_REMOVEDIR);
}

/* The transcript, to be freed. */
static char *run(void (*scenario)(void), bool natively) {
  char directory[] = "/tmp/uemu-scenario-XXXXXX";
  assert_non_null(mkdtemp(directory));
  assert_int_equal(chdir(directory), 0);
  catch_faults();
  native = natively;
  memset(arena.start, 0, ARENA_SIZE);
  arena.used = 0;
  transcript.length = 0;
  scenario();
  assert_int_equal(chdir("/"), 0);
  remove_all(AT_FDCWD, directory);
  return strdup(transcript.text);
}

static void compare(void (*scenario)(void)) {
  char *expected = run(scenario, true), *got = run(scenario, false);
  char *line = expected, *other = got, *end;
  for (int number = 1; *line || *other; number++) {
    const size_t length = strcspn(line, "\n"), other_length = strcspn(other, "\n");
    if (length != other_length || memcmp(line, other, length) != 0)
      fail_msg("line %d: the kernel \"%.*s\", we \"%.*s\"", number, (int)length, line, (int)other_length,
               other);
    end = line + length;
    line = *end ? end + 1 : end;
    end = other + other_length;
    other = *end ? end + 1 : end;
  }
  free(expected);
  free(got);
}

void scenario_files(void);
void scenario_directory(void);
void scenario_stat(void);
void scenario_poll(void);
static void files(void **state) { (void)state, compare(scenario_files); }
static void directories(void **state) { (void)state, compare(scenario_directory); }
static void status(void **state) { (void)state, compare(scenario_stat); }
static void waiting(void **state) { (void)state, compare(scenario_poll); }

/* /proc/self/maps holds the guest's mappings and nothing else. */
static void maps(void **state) {
  (void)state;
  enum { FILE_START = 0x20000000, PAGES = 2 * GUEST_PAGE_SIZE };
  char name[] = "/tmp/uemu-maps-XXXXXX", expected[512], got[1024] = "";
  int fd = mkstemp(name);
  struct stat status;
  assert_int_equal(ftruncate(fd, 4 * GUEST_PAGE_SIZE), 0);
  assert_int_equal(fstat(fd, &status), 0);
  assert_int_equal(
      guest_memory_map(FILE_START, PAGES, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, GUEST_PAGE_SIZE),
      FILE_START);
  assert_int_equal(guest_memory_protect(FILE_START + GUEST_PAGE_SIZE, GUEST_PAGE_SIZE, PROT_NONE), 0);
  native = false;
  arena.used = 0;
  fd = scenario_call(5 /* open */, (uint32_t)(uintptr_t)strcpy(low(16), "/proc/self/maps"), O_RDONLY, 0, 0, 0,
                     0);
  assert_true(fd >= 0);
  assert_true(read(fd, got, sizeof got - 1) > 0);
  close(fd);
  snprintf(expected, sizeof expected,
           "10000000-10100000 rw-p 00000000 00:00 0 \n"
           "20000000-20001000 r-xs 00001000 %02x:%02x %-34lu %s\n"
           "20001000-20002000 ---s 00002000 %02x:%02x %-34lu %s\n",
           major(status.st_dev), minor(status.st_dev), (unsigned long)status.st_ino, name,
           major(status.st_dev), minor(status.st_dev), (unsigned long)status.st_ino, name);
  assert_string_equal(got, expected);
  assert_int_equal(guest_memory_unmap(FILE_START, PAGES), 0);
  unlink(name);
}

/* --- -strace --------------------------------------------------------------------------------- */

static void expect_line(const struct syscall_row *row, const uint32_t arg[6], int32_t result,
                        const char *call, const char *answer) {
  char got[512] = "", expected[512];
  const int log = log_descriptor();
  assert_int_equal(ftruncate(log, 0), 0);
  strace_call(&thread, 0, row, arg, result);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", log);
  const int fd = open(path, O_RDONLY);
  assert_true(read(fd, got, sizeof got - 1) > 0);
  close(fd);
  const int head = snprintf(expected, sizeof expected, "%d %-39s", thread.tid, call);
  snprintf(expected + head, sizeof expected - (size_t)head, " = %s\n", answer);
  assert_string_equal(got, expected);
}

static void strace_lines(void **state) {
  (void)state;
  char name[] = "/tmp/uemu-log-XXXXXX";
  close(mkstemp(name));
  assert_int_equal(log_open(name), 0);
  log_items = LOG_STRACE;
  catch_faults();
  const struct syscall_row read_row = {"read", NULL, 3, {FD, OUT_BUFFER, SIZE}};
  const struct syscall_row write_row = {"write", NULL, 3, {FD, IN_BUFFER, SIZE}};
  const struct syscall_row open_row = {"openat", NULL, 4, {FD, PATH, OPEN_FLAGS, OCTAL}};
  const struct syscall_row map_row = {"mmap2", NULL, 6, {PTR, SIZE, MAP_PROT, MAP_FLAGS, FD, HEX}};
  const struct syscall_row kill_row = {"kill", NULL, 2, {INT, SIGNAL}};
  arena.used = 0;
  const uint32_t bytes =
      (uint32_t)(uintptr_t)memcpy(low(64), "a\"\n\0011\0\377 the rest of a longer line, here", 40);
  const uint32_t path = (uint32_t)(uintptr_t)strcpy(low(32), "/etc/passwd");
  expect_line(&read_row, (uint32_t[6]){3, bytes, 100}, 8, "read(3, \"a\\\"\\n\\0011\\0\\377 \", 100)", "8");
  expect_line(&read_row, (uint32_t[6]){3, bytes, 100}, -9, "read(3, 0x10000000, 100)",
              "-1 EBADF (Bad file descriptor)");
  expect_line(&write_row, (uint32_t[6]){3, bytes, 40}, 40,
              "write(3, \"a\\\"\\n\\0011\\0\\377 the rest of a longer lin\"..., 40)", "40");
  expect_line(&write_row, (uint32_t[6]){3, 16, 40}, -14, "write(3, 0x10, 40)", "-1 EFAULT (Bad address)");
  expect_line(&open_row, (uint32_t[6]){(uint32_t)AT_FDCWD, path, 02000001 | 0100, 0644}, -2,
              "openat(AT_FDCWD, \"/etc/passwd\", O_WRONLY|O_CREAT|O_CLOEXEC, 0644)",
              "-1 ENOENT (No such file or directory)");
  expect_line(&open_row, (uint32_t[6]){5, 0, 0100000, 0}, -ERESTARTSYS,
              "openat(5, NULL, O_RDONLY|O_LARGEFILE, 0)",
              "? ERESTARTSYS (To be restarted if SA_RESTART is set)");
  expect_line(&map_row, (uint32_t[6]){0, 4096, 3, 0x22, (uint32_t)-1, 0}, (int32_t)0xF7FC0000u,
              "mmap2(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)", "0xf7fc0000");
  expect_line(&kill_row, (uint32_t[6]){(uint32_t)-1, 15}, 0, "kill(-1, SIGTERM)", "0");
  expect_line(&kill_row, (uint32_t[6]){1, 34}, 0, "kill(1, SIGRT_2)", "0");
  expect_line(NULL, (uint32_t[6]){1, 2, 3, 4, 5, 6}, -38, "syscall_0(0x1, 0x2, 0x3, 0x4, 0x5, 0x6)",
              "-1 ENOSYS (Function not implemented)");
  log_items = 0;
  unlink(name);
}

int main(void) {
  if (!host_runs_i386())
    return TEST_SKIPPED;
  cpu = aligned_alloc(16, (sizeof *cpu + 15) / 16 * 16);
  if (!cpu || guest_memory_init() != 0 ||
      guest_memory_map(ARENA_START, ARENA_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != ARENA_START)
    return 1;
  memset(cpu, 0, sizeof *cpu);
  arena.start = guest_to_host(ARENA_START);
  thread = (struct thread){.cpu = cpu, .process = &process, .tid = getpid()};
  cpu->owner = &thread;

  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files),   cmocka_unit_test(directories), cmocka_unit_test(status),
      cmocka_unit_test(waiting), cmocka_unit_test(maps),        cmocka_unit_test(strace_lines),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
