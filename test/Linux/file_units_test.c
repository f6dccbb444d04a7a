/* What needs no guest: sysroot look-ups, status conversions, directory cookies, the ioctl table. */
#include "Linux/descriptor_table.h"
#include "Linux/host_syscall.h"
#include "Linux/ioctl_table.h"
#include "Linux/path.h"
#include "Linux/stat_convert.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

/* --- Paths ----------------------------------------------------------------------------------- */

static char root[64];

static void make(const char *name, const char *link) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", root, name);
  if (link)
    assert_int_equal(symlink(link, path), 0);
  else if (name[strlen(name) - 1] == '/')
    assert_int_equal(mkdir(path, 0755), 0);
  else
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0644)), 0);
}

static int make_sysroot(void **state) {
  (void)state;
  char name[] = "/tmp/uemu-sysroot-XXXXXX";
  if (!mkdtemp(name))
    return -1;
  strcpy(root, name);
  make("usr/", NULL);
  make("usr/lib/", NULL);
  make("usr/lib/libc.so", NULL);
  make("lib", "usr/lib");
  make("alternatives/", NULL);
  make("alternatives/cc", "/usr/lib/libc.so");
  make("cc", "/alternatives/cc");
  make("up", "../../../../usr");
  make("round", "about");
  make("about", "/round");
  make("dangling", "/usr/lib/none");
  make("empty/", NULL);
  make("tmp/", NULL);
  make("usr/bin/", NULL);
  return 0;
}

static int remove_sysroot(void **state) {
  (void)state;
  char command[sizeof root + 16];
  snprintf(command, sizeof command, "rm -r '%s'", root);
  return system(command);
}

static void expect_in_sysroot(const char *path, bool follow, const char *expected) {
  char got[PATH_MAX], whole[PATH_MAX];
  assert_int_equal(path_in_sysroot(root, path, follow, got), 0);
  snprintf(whole, sizeof whole, "%s%s", root, expected);
  assert_string_equal(got, whole);
}

static void sysroot_lookup(void **state) {
  (void)state;
  char got[PATH_MAX];
  expect_in_sysroot("/usr/lib/libc.so", true, "/usr/lib/libc.so");
  expect_in_sysroot("/lib/libc.so", true, "/usr/lib/libc.so");
  expect_in_sysroot("//lib/./../lib//libc.so", true, "/usr/lib/libc.so");
  expect_in_sysroot("/cc", true, "/usr/lib/libc.so");
  expect_in_sysroot("/cc", false, "/cc");
  expect_in_sysroot("/up/lib", true, "/usr/lib");
  expect_in_sysroot("/lib/", false, "/usr/lib");
  expect_in_sysroot("/../../usr", true, "/usr");
  expect_in_sysroot("/", true, "/");
  expect_in_sysroot("/dangling", false, "/dangling");
  assert_int_equal(path_in_sysroot(root, "/dangling", true, got), -ENOENT);
  assert_int_equal(path_in_sysroot(root, "/round", true, got), -ELOOP);
  assert_int_equal(path_in_sysroot(root, "/usr/lib/libc.so/x", true, got), -ENOTDIR);
  assert_int_equal(path_in_sysroot(root, "/missing", true, got), -ENOENT);
}

static void paths_of_the_guest(void **state) {
  (void)state;
  struct process process = {.sysroot = root, .exe_path = "/bin/guest"};
  char got[PATH_MAX], expected[PATH_MAX];
  assert_int_equal(host_path(&process, "/cc", true, got), 0);
  snprintf(expected, sizeof expected, "%s/usr/lib/libc.so", root);
  assert_string_equal(got, expected);
  /* Not in the sysroot, relative, empty there, and always the host's. */
  static const char *const as_they_are[] = {"/missing/file", "usr/lib", "/tmp", "/proc/cpuinfo", "/dev/null"};
  for (size_t i = 0; i < sizeof as_they_are / sizeof as_they_are[0]; i++) {
    assert_int_equal(host_path(&process, as_they_are[i], true, got), 0);
    assert_string_equal(got, as_they_are[i]);
  }
  /* Empty there, but the host has none. */
  assert_int_equal(host_path(&process, "/empty", true, got), 0);
  snprintf(expected, sizeof expected, "%s/empty", root);
  assert_string_equal(got, expected);
  /* Empty there, and below the top. */
  assert_int_equal(host_path(&process, "/usr/bin", true, got), 0);
  snprintf(expected, sizeof expected, "%s/usr/bin", root);
  assert_string_equal(got, expected);
  assert_int_equal(host_path(&process, "", true, got), -ENOENT);

  assert_int_equal(host_path(&process, "/proc/self/exe", true, got), 0);
  assert_string_equal(got, "/bin/guest");
  assert_int_equal(host_path(&process, "/proc/self/exe", false, got), 0);
  assert_string_equal(got, "/proc/self/exe");
  snprintf(expected, sizeof expected, "/proc/%d/exe", getpid());
  assert_int_equal(host_path(&process, expected, true, got), 0);
  assert_string_equal(got, "/bin/guest");
  assert_int_equal(host_path(&process, "/proc/1/exe", true, got), 0);
  assert_string_equal(got, "/proc/1/exe");

  snprintf(got, sizeof got, "%s/usr/lib", root);
  path_strip_sysroot(&process, got);
  assert_string_equal(got, "/usr/lib");
  strcpy(got, root);
  path_strip_sysroot(&process, got);
  assert_string_equal(got, "/");
  strcpy(got, "/elsewhere");
  path_strip_sysroot(&process, got);
  assert_string_equal(got, "/elsewhere");
}

/* --- Status ---------------------------------------------------------------------------------- */

static void status_overflow(void **state) {
  (void)state;
  const struct stat fits = {.st_dev = makedev(8, 1),
                            .st_ino = 12,
                            .st_mode = S_IFREG | 0644,
                            .st_nlink = 1,
                            .st_uid = 70000,
                            .st_gid = 5,
                            .st_size = 0x7FFFFFFF,
                            .st_blocks = 3};
  struct guest_old_stat old;
  struct guest_stat status;
  struct guest_stat64 large;
  assert_int_equal(stat_convert_old(&fits, &old), 0);
  assert_int_equal(stat_convert(&fits, &status), 0);
  assert_int_equal(old.uid, 65534);
  assert_int_equal(status.uid, 65534);
  assert_int_equal(status.gid, 5);
  assert_int_equal(old.dev, 0x801);

  struct stat host = fits;
  host.st_ino = 0x10000;
  assert_int_equal(stat_convert_old(&host, &old), -EOVERFLOW);
  assert_int_equal(stat_convert(&host, &status), 0);
  host.st_ino = UINT64_C(0x100000001);
  assert_int_equal(stat_convert(&host, &status), -EOVERFLOW);
  assert_int_equal(stat_convert_64(&host, &large), 0);
  assert_true(large.ino == host.st_ino && large.ino_low == 1);
  host = fits;
  host.st_nlink = 65536;
  assert_int_equal(stat_convert(&host, &status), -EOVERFLOW);
  host = fits;
  host.st_size++;
  assert_int_equal(stat_convert(&host, &status), -EOVERFLOW);
  host = fits;
  host.st_rdev = makedev(300, 0);
  assert_int_equal(stat_convert_old(&host, &old), -EOVERFLOW);
}

static void file_system_overflow(void **state) {
  (void)state;
  struct statfs host = {.f_type = 0xEF53, .f_bsize = 4096, .f_blocks = UINT32_MAX, .f_files = UINT64_MAX};
  struct guest_statfs status;
  struct guest_statfs64 large;
  assert_int_equal(statfs_convert(&host, &status), 0);
  assert_int_equal(status.files, UINT32_MAX);
  host.f_blocks++;
  assert_int_equal(statfs_convert(&host, &status), -EOVERFLOW);
  assert_int_equal(statfs_convert_64(&host, &large), 0);
  assert_true(large.blocks == UINT64_C(0x100000000));
  host.f_bsize = INT64_C(0x100000000);
  assert_int_equal(statfs_convert_64(&host, &large), -EOVERFLOW);
}

/* --- Descriptors ----------------------------------------------------------------------------- */

static const struct process parent;

/* A vfork child shares the memory, not the descriptors. */
static void vfork_child(void **state) {
  (void)state;
  static const struct process child;
  const uint64_t big = UINT64_C(0x1234567800000000);
  descriptor_opened(&parent, 900, DESCRIPTOR_SMALL);
  const int64_t cookie = descriptor_cookie(&parent, 900, 0, big);
  descriptor_closing(&child, 900);
  descriptor_opened(&child, 901, DESCRIPTOR_SMALL);
  assert_int_equal(descriptor_flags(&child, 900), 0);
  assert_int_equal(descriptor_flags(&parent, 901), 0);
  assert_int_equal(descriptor_flags(&parent, 900), DESCRIPTOR_SMALL | DESCRIPTOR_COOKIES);
  assert_true(descriptor_offset(&parent, 900, (uint32_t)cookie) == (int64_t)big);
  descriptor_closing(&parent, 900);
}

static void cookies(void **state) {
  (void)state;
  enum { FIRST = 700, COPY = 701 };
  const uint64_t big = UINT64_C(0x1234567800000000);
  assert_int_equal(descriptor_cookie(&parent, FIRST, 0, 5), 5);
  const int64_t first = descriptor_cookie(&parent, FIRST, 5, big);
  const int64_t second = descriptor_cookie(&parent, FIRST, (uint32_t)first, big + 1);
  assert_true(first > 0 && second > first && second <= INT32_MAX);
  assert_true(descriptor_offset(&parent, FIRST, (uint32_t)first) == (int64_t)big);
  assert_int_equal(descriptor_offset(&parent, FIRST, 5), 5);
  assert_int_equal(descriptor_offset(&parent, FIRST, (uint32_t)second + 1), -EINVAL);
  assert_int_equal(descriptor_cookie_of(&parent, FIRST, big + 1), second);
  assert_int_equal(descriptor_cookie_of(&parent, FIRST, big + 2), -ENOENT);
  /* The same way once more gives the same cookies. */
  assert_int_equal(descriptor_cookie(&parent, FIRST, 5, big), first);
  assert_int_equal(descriptor_cookie(&parent, FIRST, (uint32_t)first, big + 1), second);

  descriptor_duplicated(&parent, FIRST, COPY);
  descriptor_closing(&parent, FIRST);
  assert_int_equal(descriptor_offset(&parent, FIRST, (uint32_t)first), -EINVAL);
  assert_true(descriptor_offset(&parent, COPY, (uint32_t)second) == (int64_t)big + 1);
  descriptor_cookies_forget(&parent, COPY);
  assert_int_equal(descriptor_offset(&parent, COPY, (uint32_t)first), -EINVAL);
  descriptor_closing(&parent, COPY);
  assert_int_equal(descriptor_flags(&parent, COPY), 0);
}

static void small_files(void **state) {
  (void)state;
  descriptor_opened(&parent, 800, DESCRIPTOR_SMALL | DESCRIPTOR_LIMITED);
  descriptor_duplicated(&parent, 800, 801);
  assert_int_equal(descriptor_flags(&parent, 801), DESCRIPTOR_SMALL | DESCRIPTOR_LIMITED);
  descriptor_closing(&parent, 800);
  assert_int_equal(descriptor_flags(&parent, 800), 0);
  assert_int_equal(descriptor_flags(&parent, 801), DESCRIPTOR_SMALL | DESCRIPTOR_LIMITED);
  descriptor_closing(&parent, 801);
  assert_int_equal(descriptor_flags(&parent, -1), 0);
  assert_int_equal(descriptor_flags(&parent, 1 << 20), 0);
}

static void ioctl_requests(void **state) {
  (void)state;
  assert_non_null(ioctl_find(0x5401));
  assert_int_equal(ioctl_find(0x5401)->written, 36);
  assert_int_equal(ioctl_find(0x80046601)->host_request, 0x80086601);
  assert_non_null(ioctl_find(0x81004506)); /* EVIOCGNAME(256) */
  assert_null(ioctl_find(0x12345678));
}

/* --- Calls that block ------------------------------------------------------------------------- */

static struct cpu_state waiting_cpu;
static struct thread waiting_thread = {.cpu = &waiting_cpu};
static volatile int steps_left;       /* until the signal "arrives" */
static volatile uintptr_t arrived_at; /* 0: it did not, before the call was done */
static volatile bool entered;

/* Single-steps through host_syscall(), and after so many steps does what the signal layer's handler would. */
static void on_step(int signal, siginfo_t *info, void *opaque) {
  (void)signal, (void)info;
  greg_t *registers = ((ucontext_t *)opaque)->uc_mcontext.gregs;
  const uintptr_t pc = (uintptr_t)registers[REG_RIP];
  if (pc < (uintptr_t)host_syscall || pc > (uintptr_t)host_syscall_interrupted) {
    if (entered)
      registers[REG_EFL] &= ~(greg_t)EFLAGS_TF;
    return;
  }
  entered = true;
  if (steps_left-- > 0)
    return;
  arrived_at = pc;
  waiting_cpu.interrupt = 1;
  if (pc >= (uintptr_t)host_syscall_start && pc < (uintptr_t)host_syscall_end)
    registers[REG_RIP] = (greg_t)(uintptr_t)host_syscall_interrupted;
  registers[REG_EFL] &= ~(greg_t)EFLAGS_TF;
}

/* Wherever a signal arrives, the call either does not begin, or is done and keeps its result. */
static void no_lost_wakeup(void **state) {
  (void)state;
  int fds[2], waiting;
  char byte;
  struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, before;
  assert_int_equal(pipe(fds), 0);

  waiting_cpu.interrupt = 1;
  assert_int_equal(HOST_CALL_BLOCKING(&waiting_thread, SYS_read, fds[0], &byte, 1), -ERESTARTSYS);
  waiting_cpu.interrupt = 0;
  assert_int_equal(HOST_CALL_BLOCKING(&waiting_thread, SYS_read, -1, &byte, 1), -EBADF);

  assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
  bool in_window = false, done = false;
  for (int step = 0; !done; step++) {
    assert_int_equal(write(fds[1], "x", 1), 1);
    waiting_cpu.interrupt = 0;
    steps_left = step;
    arrived_at = 0;
    entered = false;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "pushfq\n\t"
                     "orl $0x100, (%%rsp)\n\t"
                     "popfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
    const long result = HOST_CALL_BLOCKING(&waiting_thread, SYS_read, fds[0], &byte, 1);
    done = arrived_at == 0 || arrived_at == (uintptr_t)host_syscall_end;
    in_window |= arrived_at > (uintptr_t)host_syscall_start && arrived_at < (uintptr_t)host_syscall_end;
    assert_int_equal(ioctl(fds[0], FIONREAD, &waiting), 0);
    assert_int_equal(result, done ? 1 : -ERESTARTSYS);
    assert_int_equal(waiting, done ? 0 : 1);
    if (waiting)
      assert_int_equal(read(fds[0], &byte, 1), 1);
  }
  assert_true(in_window);
  sigaction(SIGTRAP, &before, NULL);
  close(fds[0]);
  close(fds[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sysroot_lookup),  cmocka_unit_test(paths_of_the_guest),
      cmocka_unit_test(status_overflow), cmocka_unit_test(file_system_overflow),
      cmocka_unit_test(cookies),         cmocka_unit_test(small_files),
      cmocka_unit_test(ioctl_requests),  cmocka_unit_test(vfork_child),
      cmocka_unit_test(no_lost_wakeup),
  };
  return cmocka_run_group_tests(tests, make_sysroot, remove_sysroot);
}
