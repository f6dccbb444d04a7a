/* Opening files: the same errno as execve(2) of this machine's kernel, and messages that help. */
#include "support.h"

#include "Loader/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const no_strings[] = {NULL};
static struct loader_error error;

static int open_errno(const char *path, const char *sysroot) {
  memset(&error, 0, sizeof error);
  struct loader_program *program = loader_open(path, (char *const[]){"zero", "one", NULL}, sysroot, &error);
  if (program) {
    loader_close(program);
    return 0;
  }
  assert_true(error.error > 0);
  assert_true(error.message[0] != '\0');
  assert_null(strchr(error.message, '\n'));
  return error.error;
}

/* The kernel agrees (where it can run i386 programs at all). */
static void same_as_kernel(const char *path, int expected) {
  const int ours = open_errno(path, NULL);
  if (ours != expected)
    fail_msg("%s: %s: %s, expected %s", path, strerror(ours), error.message, strerror(expected));
  if (!native_is_i386())
    return;
  const struct native_result native =
      native_exec(path, (char *const[]){"zero", "one", NULL}, no_strings, NULL);
  if (native.error != ours)
    fail_msg("%s: kernel says %s, here %s", path, strerror(native.error), strerror(ours));
}

static struct test_elf *good(void) {
  static struct test_elf elf;
  elf_reset(&elf, CODE_EXIT);
  return &elf;
}

static void test_files(void **state) {
  (void)state;
  same_as_kernel(test_elf_file("good", good()), 0);
  same_as_kernel(test_path("missing"), ENOENT);
  assert_int_equal(loader_exit_status(&error), 127);
  same_as_kernel("", ENOENT);
  same_as_kernel(test_directory(), EACCES);
  assert_int_equal(loader_exit_status(&error), 126);
  same_as_kernel("/dev/null", EACCES);
  same_as_kernel(test_path("good/x"), ENOTDIR);
  same_as_kernel(test_path("good/"), ENOTDIR);
  assert_int_equal(mkfifo(test_path("fifo"), 0755), 0);
  same_as_kernel(test_path("fifo"), EACCES);

  same_as_kernel(test_file("mode0644", good()->bytes, 4096, 0644), EACCES);
  assert_non_null(strstr(error.message, "execute"));
  same_as_kernel(test_file("mode0001", good()->bytes, 4096, 0445), geteuid() ? EACCES : 0);
  same_as_kernel(test_file("mode0100", good()->bytes, 4096, 0744), 0);

  assert_int_equal(symlink("good", test_path("link")), 0);
  same_as_kernel(test_path("link"), 0);
  assert_int_equal(symlink("loop", test_path("loop")), 0);
  same_as_kernel(test_path("loop"), ELOOP);
  char name[300];
  memset(name, 'n', sizeof name);
  name[299] = '\0';
  same_as_kernel(test_path(name), ENAMETOOLONG);
  static char longer[5000];
  for (size_t i = 0; i < sizeof longer - 1; i++)
    longer[i] = i % 2 ? '.' : '/';
  same_as_kernel(longer, ENAMETOOLONG);
}

static void test_busy(void **state) {
  (void)state;
  const char *path = test_elf_file("busy", good());
  if (!native_is_i386())
    skip();
  const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  const int native = native_exec(path, no_strings, no_strings, NULL).error;
  const int ours = open_errno(path, NULL);
  close(fd);
  if (native == ETXTBSY && ours == 0)
    skip(); /* a kernel without AT_EXECVE_CHECK cannot be asked */
  assert_int_equal(native, ours);
}

/* From here on this process has a kernel that knows neither AT_EXECVE_CHECK nor openat2. */
static void become_old_kernel(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 2, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
  const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
    _exit(98);
}

/* As somebody who is not root: permission bits of owner, group and others. */
static void check_permissions(bool old_kernel) {
  if (geteuid() != 0 || !native_is_i386())
    skip();
  static const struct {
    uid_t uid;
    gid_t gid;
    mode_t mode;
  } rows[] = {{1000, 1000, 0755}, {1000, 1000, 0655}, {1000, 1000, 0677}, {0, 1000, 0745},
              {0, 1000, 0754},    {0, 1000, 0747},    {0, 0, 0754},       {0, 0, 0745},
              {0, 0, 0774},       {0, 0, 0644},       {0, 2000, 0754},    {0, 2000, 0745}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const char *path = test_elf_file("owned", good());
    assert_int_equal(chown(path, rows[i].uid, rows[i].gid), 0);
    assert_int_equal(chmod(path, rows[i].mode), 0);
    const pid_t child = fork();
    if (child == 0) {
      const gid_t group = 2000;
      if (setgroups(1, &group) || setgid(1000) || setuid(1000))
        _exit(99);
      const struct native_result native = native_exec(path, no_strings, no_strings, NULL);
      if (old_kernel)
        become_old_kernel();
      _exit(native.error == open_errno(path, NULL) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
      fail_msg("row %zu: differs from the kernel (status %#x)", i, status);
  }
}

static void test_permissions(void **state) {
  (void)state;
  check_permissions(false);
}

static void test_permissions_on_old_kernel(void **state) {
  (void)state;
  check_permissions(true);
}

/* Without openat2 the sysroot still works, but for absolute links. */
static void test_sysroot_on_old_kernel(void **state) {
  (void)state;
  char root[128];
  snprintf(root, sizeof root, "%s", test_path("old_root"));
  assert_int_equal(mkdir(root, 0755), 0);
  test_elf_file("old_root/program", good());
  const pid_t child = fork();
  if (child == 0) {
    become_old_kernel();
    _exit(open_errno("/program", root) == 0 && open_errno("/missing", root) == ENOENT ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void test_formats(void **state) {
  (void)state;
  same_as_kernel(test_file("empty", "", 0, 0755), ENOEXEC);
  same_as_kernel(test_file("text", "echo hello\n", 11, 0755), ENOEXEC);
  same_as_kernel(test_file("zeros", (char[300]){0}, 300, 0755), ENOEXEC);
  for (size_t length = 1; length < 52; length++)
    same_as_kernel(test_file("short", good()->bytes, length, 0755), ENOEXEC);
  same_as_kernel(test_file("headless", good()->bytes, 100, 0755), ENOEXEC);
  assert_non_null(strstr(error.message, "headless"));

  struct test_elf *elf = good();
#define BAD(change)                                                                                          \
  elf = good();                                                                                              \
  change;                                                                                                    \
  same_as_kernel(test_elf_file("bad", elf), ENOEXEC)
  BAD(elf_header(elf)->e_type = ET_REL);
  BAD(elf_header(elf)->e_machine = EM_ARM);
  BAD(elf_header(elf)->e_phentsize = 31);
  BAD(elf_header(elf)->e_phnum = 0);
  BAD(elf_header(elf)->e_phnum = 2049);
  BAD(elf_header(elf)->e_phnum = 0xffff);
  BAD(elf_header(elf)->e_phoff = 4090);
  BAD(elf_header(elf)->e_phoff = UINT32_MAX);
#undef BAD
  elf = good();
  elf_header(elf)->e_machine = 6;
  same_as_kernel(test_elf_file("em486", elf), 0);
}

/* What the kernel only finds after the point of no return, it answers with SIGSEGV. Here it is an
 * error that the caller survives; what runs for the kernel must be good here, and the other way round. */
static void test_doomed(void **state) {
  (void)state;
  if (!native_is_i386())
    skip();
  for (int i = 0; i < 6; i++) {
    struct test_elf *elf = good();
    Elf32_Phdr *segment = elf_segment(elf, 0);
    switch (i) {
    case 0:
      segment->p_filesz = 8192, elf->size = 8192;
      break;
    case 1:
      segment->p_vaddr = 0xfffff000;
      break;
    case 2:
      segment->p_memsz = 0xfff00000;
      break;
    case 3:
      segment->p_offset = 0x10;
      break;
    case 4:
      elf_header(elf)->e_entry = 0xfffff000;
      break;
    case 5:
      elf_header(elf)->e_type = ET_DYN;
      segment->p_type = PT_NULL;
      break;
    }
    const char *path = test_elf_file("doomed", elf);
    assert_int_equal(native_exec(path, no_strings, no_strings, NULL).signal, SIGSEGV);
    assert_int_equal(open_errno(path, NULL), ENOEXEC);
  }
}

static void test_interpreters(void **state) {
  (void)state;
  struct test_elf *elf = good();
  elf_add_interpreter(elf, "/nonexistent/ld.so");
  same_as_kernel(test_elf_file("orphan", elf), ENOENT);
  assert_non_null(strstr(error.message, "orphan"));
  assert_non_null(strstr(error.message, "/nonexistent/ld.so"));
  static const struct {
    const char *name, *content;
    size_t length;
    mode_t mode;
    int expected;
  } rows[] = {
      {"i_text", "this is a text, and one that is longer than an ELF header is", 60, 0755, ELIBBAD},
      {"i_short", "\177ELF", 4, 0755, EIO},
      {"i_empty", "", 0, 0755, EIO},
      {"i_mode", "x", 1, 0644, EACCES},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const char *path = test_file(rows[i].name, rows[i].content, rows[i].length, rows[i].mode);
    elf = good();
    elf_add_interpreter(elf, path);
    same_as_kernel(test_elf_file("main", elf), rows[i].expected);
  }
  struct test_elf interpreter;
  char path[128];
  snprintf(path, sizeof path, "%s", test_path("i_elf"));
#define INTERPRETER(change, expected)                                                                        \
  elf_reset(&interpreter, CODE_EXIT);                                                                        \
  elf_segment(&interpreter, 0)->p_vaddr = 0x10000000;                                                        \
  elf_header(&interpreter)->e_entry = 0x10000000 + TEST_ELF_CODE;                                            \
  change;                                                                                                    \
  test_elf_file("i_elf", &interpreter);                                                                      \
  elf = good();                                                                                              \
  elf_add_interpreter(elf, path);                                                                            \
  same_as_kernel(test_elf_file("main", elf), expected)
  INTERPRETER((void)0, 0);
  INTERPRETER(elf_header(&interpreter)->e_type = ET_DYN, 0);
  INTERPRETER(elf_header(&interpreter)->e_machine = EM_X86_64, ELIBBAD);
  INTERPRETER(elf_header(&interpreter)->e_phnum = 0, ELIBBAD);
  INTERPRETER(elf_header(&interpreter)->e_phentsize = 33, ELIBBAD);
  INTERPRETER(elf_header(&interpreter)->e_phoff = 5000, ELIBBAD);
#undef INTERPRETER
  /* Bad PT_INTERPs. */
  for (int i = 0; i < 5; i++) {
    elf = good();
    elf_add_interpreter(elf, path);
    Elf32_Phdr *header = elf_segment(elf, 2);
    static const int expected[] = {ENOEXEC, ENOEXEC, EIO, ENOEXEC, EACCES};
    if (i == 0)
      header->p_filesz = 1;
    else if (i == 1)
      header->p_filesz = 4097, elf->size = 8192;
    else if (i == 2)
      header->p_offset = 4095;
    else if (i == 3)
      header->p_filesz--;
    else
      elf->bytes[header->p_offset] = '\0'; /* an empty name */
    same_as_kernel(test_elf_file("main", elf), expected[i]);
  }
}

static void test_scripts(void **state) {
  (void)state;
  char good_path[128], text[256];
  snprintf(good_path, sizeof good_path, "%s", test_elf_file("good", good()));
#define SCRIPT(name, content, mode) test_file(name, content, strlen(content), mode)
  same_as_kernel(SCRIPT("s_missing", "#!/nonexistent/sh\n", 0755), ENOENT);
  assert_non_null(strstr(error.message, "s_missing"));
  assert_non_null(strstr(error.message, "/nonexistent/sh"));
  same_as_kernel(SCRIPT("s_empty", "#!\n", 0755), ENOEXEC);
  same_as_kernel(SCRIPT("s_blank", "#! \t\n", 0755), ENOEXEC);
  same_as_kernel(SCRIPT("s_bare", "#!", 0755), EACCES);
  same_as_kernel(SCRIPT("s_directory", "#!/\n", 0755), EACCES);
  same_as_kernel(SCRIPT("s_mode", "#!/bin/sh\n", 0644), EACCES);
  same_as_kernel(SCRIPT("s_under_file", "#!/etc/passwd/x\n", 0755), ENOTDIR);
  snprintf(text, sizeof text, "#!%s\n", test_path("s_blank"));
  same_as_kernel(SCRIPT("s_bad_inner", text, 0755), ENOEXEC);
  snprintf(text, sizeof text, "#! %s -x\n", good_path);
  same_as_kernel(SCRIPT("s0", text, 0755), 0);
  for (int depth = 1; depth < 8; depth++) {
    char name[16], inner[16];
    snprintf(name, sizeof name, "s%d", depth);
    snprintf(inner, sizeof inner, "s%d", depth - 1);
    snprintf(text, sizeof text, "#!%s %d\n", test_path(inner), depth);
    same_as_kernel(SCRIPT(name, text, 0755), depth < 5 ? 0 : ELOOP);
  }
  /* Itself. */
  snprintf(text, sizeof text, "#!%s\n", test_path("s_self"));
  same_as_kernel(SCRIPT("s_self", text, 0755), ELOOP);

  struct loader_program *program =
      loader_open(test_path("s1"), (char *const[]){"zero", "one", "two", NULL}, NULL, &error);
  assert_non_null(program);
  char *const *argv = loader_argv(program);
  assert_string_equal(argv[0], good_path);
  assert_string_equal(argv[1], "-x");
  assert_string_equal(argv[2], test_path("s0"));
  assert_string_equal(argv[3], "1");
  assert_string_equal(argv[4], test_path("s1"));
  assert_string_equal(argv[5], "one");
  assert_string_equal(argv[6], "two");
  assert_null(argv[7]);
  assert_string_equal(loader_path(program), good_path);
  assert_string_equal(loader_filename(program), test_path("s1"));
  loader_close(program);

  program = loader_open(good_path, no_strings, NULL, &error);
  assert_non_null(program);
  assert_string_equal(loader_argv(program)[0], "");
  assert_null(loader_argv(program)[1]);
  loader_close(program);
}

static void test_host_program(void **state) {
  (void)state;
  struct loader_program *program = loader_open("/proc/self/exe", no_strings, NULL, &error);
  assert_non_null(program);
  assert_true(loader_is_host_program(program));
  loader_close(program);
  char text[4096] = "#!";
  assert_true(readlink("/proc/self/exe", text + 2, sizeof text - 4) > 0);
  program = loader_open(SCRIPT("s_host", strcat(text, "\n"), 0755), (char *const[]){"x", NULL}, NULL, &error);
  assert_non_null(program);
  assert_true(loader_is_host_program(program));
  assert_int_equal(strncmp(text + 2, loader_argv(program)[0], strlen(loader_argv(program)[0])), 0);
  assert_string_equal(loader_argv(program)[1], test_path("s_host"));
  loader_close(program);
}

static void test_sysroot(void **state) {
  (void)state;
  char root[128];
  snprintf(root, sizeof root, "%s", test_path("root"));
  assert_int_equal(mkdir(root, 0755), 0);
  assert_int_equal(mkdir(test_path("root/opt"), 0755), 0);
  assert_int_equal(mkdir(test_path("root/opt/real"), 0755), 0);
  struct test_elf *elf = good();
  test_elf_file("root/opt/real/ld.so", elf);
  assert_int_equal(symlink("/opt/real", test_path("root/lib9")), 0);                /* absolute, inside */
  assert_int_equal(symlink("../../../../opt/real/ld.so", test_path("root/up")), 0); /* out of the top */
  elf_add_interpreter(elf, "/lib9/ld.so");
  test_elf_file("root/program", elf);
  elf = good();
  elf_add_interpreter(elf, "/up");
  test_elf_file("root/opt/upward", elf);
  test_file("root/script", "#!/program a\n", 13, 0755);

  assert_int_equal(open_errno("/program", root), 0);
  assert_int_equal(open_errno("/program", NULL), ENOENT);
  assert_int_equal(open_errno("/opt/upward", root), 0);
  assert_int_equal(open_errno(test_path("root/program"), root), 0); /* a path of the host */
  assert_int_equal(open_errno(test_path("root/program"), NULL), ENOENT);
  assert_non_null(strstr(error.message, "/lib9/ld.so"));
  elf = good();
  elf_add_interpreter(elf, "/nonexistent/ld.so");
  assert_int_equal(open_errno(test_elf_file("root/orphan", elf), root), ENOENT);
  assert_non_null(strstr(error.message, root));

  struct loader_program *program = loader_open("/script", (char *const[]){"s", "b", NULL}, root, &error);
  assert_non_null(program);
  assert_string_equal(loader_argv(program)[0], "/program");
  assert_string_equal(loader_argv(program)[2], "/script"); /* the guest's name for it */
  assert_string_equal(loader_path(program), test_path("root/program"));
  loader_close(program);
}

/* E2BIG at the same byte as the kernel. */
static void same_limit_as_kernel(const char *path, uint64_t stack_limit, int strings, size_t from,
                                 size_t to) {
  enum { STRING_MAX = 128 * 1024 };
  static char filler[STRING_MAX], last[STRING_MAX + 64];
  memset(filler, 'f', sizeof filler - 1);
  char **envp = calloc((size_t)strings + 2, sizeof *envp);
  for (int i = 0; i < strings; i++)
    envp[i] = filler;
  envp[strings] = last;
  const struct native_options options = {.stack_limit = stack_limit};
  int changes = 0, before = 0;
  for (size_t length = from; length <= to; length++) {
    memset(last, 'l', length);
    last[length] = '\0';
    char *const argv[] = {"zero, a rather long one", "one", NULL};
    struct loader_program *program = loader_open(path, argv, NULL, &error);
    assert_non_null(program);
    const int ours = -loader_check_arguments(program, envp, stack_limit, &error);
    loader_close(program);
    if (ours != before)
      changes++;
    before = ours;
    assert_int_equal(ours, native_exec(path, argv, envp, &options).error);
  }
  assert_int_equal(changes, 1);
  free(envp);
}

static void test_argument_limits(void **state) {
  (void)state;
  if (!native_is_i386())
    skip();
  char path[128], text[256];
  snprintf(path, sizeof path, "%s", test_elf_file("limits", good()));
  const size_t small = strlen(path) + 1 + 24 + 4 + 8 * 3 /* what else there is */;
  /* One string: 128 KiB with its NUL; the stack's limit is not in the way. */
  same_limit_as_kernel(path, 8 << 20, 0, 131068, 131075);
  /* A quarter of 1 MiB, and a small stack, which still means 128 KiB. */
  same_limit_as_kernel(path, 1 << 20, 1, 262144 - 131072 - small - 8 - 8, 262144 - 131072 - small);
  same_limit_as_kernel(path, 256 << 10, 0, 131072 - small - 8 - 4, 131072 - small + 4);
  /* A script's line takes room, and gives argv[0]'s back. */
  snprintf(text, sizeof text, "#!%s with an argument\n", path);
  char script[128];
  snprintf(script, sizeof script, "%s", SCRIPT("limits_script", text, 0755));
  same_limit_as_kernel(script, 1 << 20, 1, 262144 - 131072 - small - 160, 262144 - 131072 - small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_busy),
      cmocka_unit_test(test_permissions),
      cmocka_unit_test(test_formats),
      cmocka_unit_test(test_permissions_on_old_kernel),
      cmocka_unit_test(test_sysroot_on_old_kernel),
      cmocka_unit_test(test_doomed),
      cmocka_unit_test(test_interpreters),
      cmocka_unit_test(test_scripts),
      cmocka_unit_test(test_host_program),
      cmocka_unit_test(test_sysroot),
      cmocka_unit_test(test_argument_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
