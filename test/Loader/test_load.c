/* Loading: the same program natively and here, both stopped, both seen through /proc: mappings, their
 * contents, the auxiliary vector and the record of the image must be equal. */
#include "support.h"

#include "Loader/loader.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 1 << 20, READ = 4, WRITE = 2, EXEC = 1, STACK_LIMIT = 8 << 20, NEXT_SIZE = 1 << 20 };
#define INFINITE_STACK UINT64_MAX

static char *const arguments[] = {"program", "one", NULL};
static char *const environment[] = {"A=b", NULL};

/* --- Programs as /proc shows them --- */

struct view {
  uint8_t pages[PAGES]; /* protections */
  uint64_t auxv[64];    /* by type */
  uint64_t stat[53];    /* by proc(5)'s numbers */
  unsigned personality;
  guest_addr vdso_start, vdso_end; /* vvar and vDSO */
};

static FILE *open_proc(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  FILE *file = fopen(path, "r");
  if (!file)
    fail_msg("%s: %s", path, strerror(errno));
  return file;
}

static void view_maps(struct view *view, pid_t pid) {
  char line[4500], permissions[5];
  FILE *file = open_proc(pid, "maps");
  while (fgets(line, sizeof line, file)) {
    uint64_t start, end;
    assert_int_equal(sscanf(line, "%lx-%lx %4s", &start, &end, permissions), 3);
    if (end > UINT64_C(1) << 32)
      break;
    const uint8_t bits = (permissions[0] == 'r' ? READ : 0) | (permissions[1] == 'w' ? WRITE : 0) |
                         (permissions[2] == 'x' ? EXEC : 0);
    if (strstr(line, "[vvar") || strstr(line, "[vdso]")) {
      if (!view->vdso_start)
        view->vdso_start = (guest_addr)start;
      view->vdso_end = (guest_addr)end;
      continue;
    }
    memset(view->pages + (start >> 12), bits, (end - start) >> 12);
  }
  fclose(file);
}

static void view_native(struct view *view, pid_t pid) {
  view_maps(view, pid);
  FILE *file = open_proc(pid, "auxv");
  uint32_t entry[2];
  while (fread(entry, sizeof entry, 1, file) == 1 && entry[0])
    view->auxv[entry[0]] = entry[1];
  fclose(file);
  char line[2000];
  file = open_proc(pid, "stat");
  assert_non_null(fgets(line, sizeof line, file));
  fclose(file);
  char *at = strrchr(line, ')') + 4;
  for (int field = 4; field < 53; field++)
    view->stat[field] = strtoull(at, &at, 10);
  file = open_proc(pid, "personality");
  assert_int_equal(fscanf(file, "%x", &view->personality), 1);
  fclose(file);
}

/* --- The loader, in a process of its own --- */

struct loaded {
  int result;
  struct loader_error error;
  struct loader_image image;
  int64_t next_free; /* where NEXT_SIZE bytes would go, if mapped anywhere */
};

static pid_t start_loader(const char *path, uint64_t stack_limit, struct loaded *loaded) {
  int report[2];
  assert_int_equal(pipe(report), 0);
  const pid_t child = fork();
  if (child == 0) {
    memset(loaded, 0, sizeof *loaded);
    signal(SIGSEGV, SIG_DFL); /* cmocka's otherwise */
    alarm(20);
    loaded->result = guest_memory_init();
    struct loader_program *program = loader_open(path, arguments, NULL, &loaded->error);
    const struct loader_options options = {.stack_limit = stack_limit, .personality = ADDR_NO_RANDOMIZE};
    if (!program)
      loaded->result = -loaded->error.error;
    if (loaded->result == 0)
      loaded->result = loader_load(program, environment, &options, &loaded->image, &loaded->error);
    loader_close(program);
    if (loaded->result == 0) {
      loaded->next_free = guest_memory_map(0, NEXT_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      guest_memory_unmap((guest_addr)loaded->next_free, NEXT_SIZE);
    }
    const ssize_t wrote = write(report[1], loaded, sizeof *loaded);
    close(report[1]);
    while (wrote == sizeof *loaded)
      pause();
    _exit(1);
  }
  close(report[1]);
  size_t length = 0;
  for (ssize_t got; length < sizeof *loaded &&
                    (got = read(report[0], (char *)loaded + length, sizeof *loaded - length)) > 0;)
    length += (size_t)got;
  close(report[0]);
  assert_int_equal(length, sizeof *loaded);
  return child;
}

static void end(pid_t pid) {
  kill(pid, SIGKILL);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int open_memory(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  return fd;
}

static void compare_contents(pid_t native, pid_t ours, const struct view *view) {
  const int native_memory = open_memory(native), our_memory = open_memory(ours);
  for (uint32_t page = 0; page < (GUEST_TASK_SIZE - (1 << 20)) >> 12; page++) {
    uint8_t expected[4096], got[4096];
    if (!(view->pages[page] & READ))
      continue;
    const ssize_t expected_length = pread(native_memory, expected, sizeof expected, (off_t)page << 12);
    const ssize_t length = pread(our_memory, got, sizeof got, (off_t)page << 12);
    if (length != expected_length || (length > 0 && memcmp(got, expected, (size_t)length) != 0))
      fail_msg("page 0x%08x: contents differ from the kernel's", page << 12);
  }
  close(native_memory);
  close(our_memory);
}

static void same_as_kernel(const char *label, const struct test_elf *elf, uint64_t stack_limit) {
  static struct view native, ours;
  memset(&native, 0, sizeof native);
  memset(&ours, 0, sizeof ours);
  const char *path = test_elf_file("program", elf);
  int error;
  const struct native_options options = {.stack_limit = stack_limit};
  const pid_t native_pid = native_start(path, arguments, environment, &options, &error);
  assert_int_equal(error, 0);
  struct loaded loaded;
  const pid_t our_pid = start_loader(path, stack_limit, &loaded);
  if (loaded.result != 0)
    fail_msg("%s: %s", label, loaded.error.message);
  /* The kernel's execve has not quite returned when the pipe closes. */
  for (int wait = 0; wait < 2000; wait++) {
    char state[32] = "";
    FILE *file = open_proc(native_pid, "syscall");
    if (fscanf(file, "%31s", state) != 1)
      state[0] = '\0';
    fclose(file);
    if (strcmp(state, "29") == 0) /* pause */
      break;
    usleep(1000);
  }
  view_native(&native, native_pid);
  view_maps(&ours, our_pid);
  const struct loader_image *image = &loaded.image;

  assert_true(native.vdso_start != 0);
  assert_true(image->sigreturn_trampoline >= native.vdso_start &&
              image->sigreturn_trampoline < native.vdso_end);
  if (native.vdso_end - native.vdso_start == 8 * 4096) /* as the kernels have it that this was made after */
    if (loaded.next_free != native.vdso_start - NEXT_SIZE && !strstr(label, "2 MiB"))
      fail_msg("%s: next mapping at %#lx, below the vDSO at %#x expected", label, loaded.next_free,
               native.vdso_start);
  for (uint32_t page = 0; page < PAGES; page++)
    if (native.pages[page] != ours.pages[page] &&
        !(page >= native.vdso_start >> 12 && page < native.vdso_end >> 12))
      fail_msg("%s: page 0x%08x: kernel %u, here %u (r=4 w=2 x=1)", label, page << 12, native.pages[page],
               ours.pages[page]);
  compare_contents(native_pid, our_pid, &native);

  const struct {
    const char *name;
    uint64_t expected, got;
  } rows[] = {
      {"AT_PHDR", native.auxv[AT_PHDR], image->header_address},
      {"AT_PHNUM", native.auxv[AT_PHNUM], image->header_count},
      {"AT_BASE", native.auxv[AT_BASE], image->interpreter_base},
      {"AT_ENTRY", native.auxv[AT_ENTRY], image->program_entry},
      {"start_code", native.stat[26], image->start_code},
      {"end_code", native.stat[27], image->end_code},
      {"start_data", native.stat[45], image->start_data},
      {"end_data", native.stat[46], image->end_data},
      {"start_brk", native.stat[47], image->start_brk},
      {"arg_start", native.stat[48], image->arg_start},
      {"arg_end", native.stat[49], image->arg_end},
      {"env_start", native.stat[50], image->env_start},
      {"env_end", native.stat[51], image->env_end},
      {"personality", native.personality, image->personality},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].expected != rows[i].got)
      fail_msg("%s: %s: kernel %#lx, here %#lx", label, rows[i].name, rows[i].expected, rows[i].got);
  end(native_pid);
  end(our_pid);
  print_message("%s\n", label);
}

/* --- Programs --- */

static struct test_elf elf;

static struct test_elf *program(uint16_t type) {
  elf_reset(&elf, CODE_PAUSE);
  elf.size = TEST_ELF_SIZE;
  elf_header(&elf)->e_type = type;
  if (type == ET_DYN) {
    elf_header(&elf)->e_entry = TEST_ELF_CODE;
    elf_segment(&elf, 0)->p_vaddr = 0;
  }
  return &elf;
}

/* A data segment with bss, as linkers make it, `distance` after the first. */
static Elf32_Phdr *add_data(uint32_t distance, uint32_t memory_size) {
  return elf_add_segment(&elf, (Elf32_Phdr){.p_type = PT_LOAD,
                                            .p_offset = 0x1e30,
                                            .p_vaddr = elf_segment(&elf, 0)->p_vaddr + distance + 0xe30,
                                            .p_filesz = 0x456,
                                            .p_memsz = memory_size,
                                            .p_flags = PF_R | PF_W,
                                            .p_align = 4096});
}

static const char *interpreter(uint16_t type, uint32_t address) {
  static char path[128];
  struct test_elf saved = elf;
  program(type);
  elf_segment(&elf, 0)->p_vaddr = address;
  elf_header(&elf)->e_entry = address + TEST_ELF_CODE;
  add_data(0x3000, 0x2345);
  snprintf(path, sizeof path, "%s", test_elf_file("interpreter", &elf));
  elf = saved;
  return path;
}

static void test_fixed(void **state) {
  (void)state;
  if (!native_is_i386())
    skip();
  same_as_kernel("one page", program(ET_EXEC), STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x1000, 0x456);
  same_as_kernel("data without bss: the page's rest is the file's", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x1000, 0x500);
  same_as_kernel("bss within the page", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x9000, 0x5678);
  same_as_kernel("bss of pages, and a hole before", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x1000, 0x5678)->p_flags = PF_R;
  same_as_kernel("bss of a read-only segment", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x1000, 0x5678)->p_flags = PF_R | PF_W | PF_X;
  same_as_kernel("bss of an executable segment", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x1000, 0x5678)->p_filesz = 0;
  same_as_kernel("only bss", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0, 0x1456);
  elf_segment(&elf, 0)->p_filesz = elf_segment(&elf, 0)->p_memsz = 0x800;
  elf_segment(&elf, 2)->p_offset = 0xe30; /* the same page of the file again, writable */
  elf_segment(&elf, 2)->p_flags |= PF_X;
  same_as_kernel("overlapping segments: the later wins", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x3000, 0x1000);
  add_data(0x1000, 0x4000)->p_flags = PF_R | PF_W | PF_X;
  same_as_kernel("bss over an earlier segment", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data((uint32_t)-0x20000, 0x1234);
  same_as_kernel("descending segments", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x1000, 0x456)->p_offset = TEST_ELF_SIZE + 0xe30;
  same_as_kernel("a segment beyond the file's end", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x1000, 0)->p_filesz = 0;
  same_as_kernel("an empty segment", &elf, STACK_LIMIT);
}

static void test_stack_flags(void **state) {
  (void)state;
  if (!native_is_i386())
    skip();
  program(ET_EXEC);
  add_data(0x1000, 0x3000);
  elf_segment(&elf, 1)->p_type = PT_NULL;
  same_as_kernel("no PT_GNU_STACK: READ_IMPLIES_EXEC", &elf, STACK_LIMIT);
  program(ET_EXEC);
  add_data(0x1000, 0x3000);
  elf_segment(&elf, 1)->p_flags |= PF_X;
  same_as_kernel("an executable stack", &elf, STACK_LIMIT);
}

static void test_position_independent(void **state) {
  (void)state;
  if (!native_is_i386())
    skip();
  program(ET_DYN);
  add_data(0x3000, 0x5678);
  same_as_kernel("static-pie", &elf, STACK_LIMIT);
  elf_segment(&elf, 0)->p_align = 0x200000;
  same_as_kernel("static-pie, aligned to 2 MiB", &elf, STACK_LIMIT);
  program(ET_DYN);
  add_data(0x3000, 0x5678);
  elf_add_interpreter(&elf, interpreter(ET_DYN, 0));
  same_as_kernel("pie", &elf, STACK_LIMIT);
  elf_segment(&elf, 0)->p_align = 0x10000;
  same_as_kernel("pie, aligned to 64 KiB", &elf, STACK_LIMIT);
  elf_segment(&elf, 0)->p_align = 0x200000;
  same_as_kernel("pie, aligned to 2 MiB", &elf, STACK_LIMIT);
  elf_segment(&elf, 0)->p_align = 0x18000;
  same_as_kernel("pie, a p_align that is no power of two", &elf, STACK_LIMIT);
  program(ET_DYN);
  elf_segment(&elf, 0)->p_vaddr = 0x12345000;
  elf_header(&elf)->e_entry = 0x12345000 + TEST_ELF_CODE;
  add_data(0x3000, 0x5678);
  elf_add_interpreter(&elf, interpreter(ET_DYN, 0));
  same_as_kernel("pie linked for an address", &elf, STACK_LIMIT);
}

static void test_interpreter(void **state) {
  (void)state;
  if (!native_is_i386())
    skip();
  const struct {
    const char *label;
    uint16_t type, interpreter_type;
    uint32_t address;
  } rows[] = {
      {"fixed program, movable interpreter", ET_EXEC, ET_DYN, 0},
      {"fixed program, interpreter with a wish", ET_EXEC, ET_DYN, 0x41000000},
      {"fixed program, interpreter whose wish is taken", ET_EXEC, ET_DYN, 0x08048000},
      {"pie, interpreter with a wish", ET_DYN, ET_DYN, 0x41000000},
      {"fixed program, fixed interpreter", ET_EXEC, ET_EXEC, 0x41000000},
      {"pie, fixed interpreter", ET_DYN, ET_EXEC, 0x41000000},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    program(rows[i].type);
    add_data(0x3000, 0x5678);
    elf_add_interpreter(&elf, interpreter(rows[i].interpreter_type, rows[i].address));
    same_as_kernel(rows[i].label, &elf, STACK_LIMIT);
  }
}

static void test_stack_limits(void **state) {
  (void)state;
  if (!native_is_i386())
    skip();
  static const uint64_t limits[] = {64 << 10,          (64 << 10) + 100, 200 << 10, 1 << 20,
                                    120 << 20,         128 << 20,        200 << 20, UINT64_C(2) << 30,
                                    UINT64_C(5) << 30, INFINITE_STACK};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    char label[64];
    snprintf(label, sizeof label, "stack limit %#lx", limits[i]);
    program(ET_DYN);
    add_data(0x3000, 0x5678);
    elf_add_interpreter(&elf, interpreter(ET_DYN, 0));
    same_as_kernel(label, &elf, limits[i]);
  }
}

/* What natively kills the new process is an error here. */
static void refused(const char *label, int number, const char *word) {
  struct loaded loaded;
  const char *path = test_elf_file("program", &elf);
  end(start_loader(path, STACK_LIMIT, &loaded));
  print_message("%s: %s\n", label, loaded.error.message);
  assert_int_equal(loaded.result, -number);
  assert_int_equal(loaded.error.error, number);
  assert_non_null(strstr(loaded.error.message, word));
  if (native_is_i386())
    assert_int_equal(native_exec(path, arguments, environment, NULL).signal, SIGSEGV);
}

static void test_refused(void **state) {
  (void)state;
  program(ET_EXEC);
  add_data(0x1000, 0x456 + 1)->p_offset = TEST_ELF_SIZE + 0xe30;
  refused("bss in a page beyond the file's end", EFAULT, "program header 2");
  program(ET_EXEC);
  elf_segment(&elf, 0)->p_vaddr = GUEST_TASK_SIZE - 0x1000;
  refused("where the stack is", EEXIST, "stack");
  program(ET_DYN);
  elf_segment(&elf, 0)->p_memsz = 0xf0000000;
  elf_add_interpreter(&elf, interpreter(ET_DYN, 0));
  refused("too large to be moved", ENOMEM, "room");
}

static void test_trampolines(void **state) {
  (void)state;
  struct loaded loaded;
  const pid_t pid = start_loader(test_elf_file("program", program(ET_EXEC)), STACK_LIMIT, &loaded);
  assert_int_equal(loaded.result, 0);
  static const uint8_t plain[] = {0x90, 0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80};
  static const uint8_t real_time[] = {0x90, 0xb8, 173, 0, 0, 0, 0xcd, 0x80};
  uint8_t bytes[16];
  const int memory = open_memory(pid);
  assert_int_equal(pread(memory, bytes, sizeof plain, loaded.image.sigreturn_trampoline - 1), sizeof plain);
  assert_memory_equal(bytes, plain, sizeof plain);
  assert_int_equal(pread(memory, bytes, sizeof real_time, loaded.image.rt_sigreturn_trampoline - 1),
                   sizeof real_time);
  assert_memory_equal(bytes, real_time, sizeof real_time);
  close(memory);
  static struct view view;
  memset(&view, 0, sizeof view);
  view_maps(&view, pid);
  assert_int_equal(view.pages[loaded.image.sigreturn_trampoline >> 12], READ | EXEC);
  assert_int_equal(loaded.image.vdso >> 12, loaded.image.sigreturn_trampoline >> 12);
  end(pid);
}

/* The stack grows as far as RLIMIT_STACK, but not further: in a child, touches `depth` bytes below the
 * top. */
static bool may_touch(uint64_t depth) {
  const pid_t child = fork();
  if (child == 0) {
    struct loader_error error;
    struct loader_image image;
    struct rlimit limit = {0};
    signal(SIGSEGV, SIG_DFL); /* cmocka's otherwise */
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = STACK_LIMIT;
    setrlimit(RLIMIT_STACK, &limit);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    const struct loader_options options = {.stack_limit = STACK_LIMIT};
    struct loader_program *opened =
        guest_memory_init() == 0 ? loader_open(test_path("program"), arguments, NULL, &error) : NULL;
    if (!opened || loader_load(opened, environment, &options, &image, &error) < 0)
      _exit(2);
    *(volatile uint8_t *)guest_to_host((guest_addr)(GUEST_TASK_SIZE - depth)) = 1;
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV));
  return status == 0;
}

static void test_growth(void **state) {
  (void)state;
  test_elf_file("program", program(ET_EXEC));
  assert_true(may_touch(100 << 10));
  assert_true(may_touch(200 << 10));
  assert_true(may_touch(STACK_LIMIT));
  assert_false(may_touch(STACK_LIMIT + 1));
  assert_false(may_touch(STACK_LIMIT + (1 << 20)));
}

/* AT_RANDOM is random, AT_EXECFN the path; PER_SVR4 for System V's interpreter. */
static void test_stack_contents(void **state) {
  (void)state;
  uint8_t random[2][16];
  for (int i = 0; i < 2; i++) {
    struct loaded loaded;
    const char *path = test_elf_file("program", program(ET_EXEC));
    const pid_t pid = start_loader(path, STACK_LIMIT, &loaded);
    assert_int_equal(loaded.result, 0);
    const int memory = open_memory(pid);
    uint32_t entry[2];
    char name[256] = "";
    for (guest_addr at = loaded.image.auxv_start;; at += sizeof entry) {
      assert_int_equal(pread(memory, entry, sizeof entry, at), sizeof entry);
      if (entry[0] == AT_NULL) {
        assert_int_equal(at + 8 - loaded.image.auxv_start, loaded.image.auxv_length);
        break;
      }
      if (entry[0] == AT_RANDOM)
        assert_int_equal(pread(memory, random[i], 16, entry[1]), 16);
      if (entry[0] == AT_EXECFN)
        assert_true(pread(memory, name, strlen(path) + 1, entry[1]) > 0);
      if (entry[0] == AT_SYSINFO)
        assert_int_equal(entry[1], loaded.image.vsyscall);
      if (entry[0] == AT_SYSINFO_EHDR)
        assert_int_equal(entry[1], loaded.image.vdso);
      assert_int_not_equal(entry[0], AT_MINSIGSTKSZ);
      if (entry[0] == AT_SECURE)
        assert_int_equal(entry[1], 0);
    }
    assert_string_equal(name, path);
    assert_string_equal(loaded.image.exe_path, path);
    uint32_t argc;
    assert_int_equal(pread(memory, &argc, 4, loaded.image.stack), 4);
    assert_int_equal(argc, 2);
    close(memory);
    end(pid);
  }
  assert_memory_not_equal(random[0], random[1], 16);
}

/* -0 stands for the argv[0] that was given, and a script drops that one. */
static void test_argv0(void **state) {
  (void)state;
  const char *path = test_elf_file("program", program(ET_EXEC));
  char text[256];
  snprintf(text, sizeof text, "#!%s\n", path);
  test_file("script", text, strlen(text), 0755);
  for (int script = 0; script < 2; script++) {
    const pid_t child = fork();
    if (child == 0) {
      struct loader_error error;
      struct loader_image image;
      const struct loader_options options = {.stack_limit = STACK_LIMIT, .argv0 = "another"};
      struct loader_program *opened =
          guest_memory_init() == 0
              ? loader_open(test_path(script ? "script" : "program"), arguments, NULL, &error)
              : NULL;
      if (!opened || loader_load(opened, environment, &options, &image, &error) < 0)
        _exit(2);
      const char *argv0 = guest_to_host(*(const uint32_t *)guest_to_host(image.stack + 4));
      _exit(strcmp(argv0, script ? path : "another") == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
  }
}

static void test_set_user_id(void **state) {
  (void)state;
  if (geteuid() != 0)
    skip();
  static const struct {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    bool expected;
  } rows[] = {{04755, 0, 0, false},
              {04755, 1000, 0, true},
              {02755, 0, 1000, true},
              {02745, 0, 1000, false},
              {0755, 1000, 1000, false}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const char *path = test_elf_file("program", program(ET_EXEC));
    assert_int_equal(chown(path, rows[i].uid, rows[i].gid), 0);
    assert_int_equal(chmod(path, rows[i].mode), 0);
    struct loaded loaded;
    end(start_loader(path, STACK_LIMIT, &loaded));
    assert_int_equal(loaded.result, 0);
    assert_int_equal(loaded.image.secure, rows[i].expected);
    assert_int_equal(loaded.image.sets_ids, rows[i].expected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fixed),
      cmocka_unit_test(test_stack_flags),
      cmocka_unit_test(test_position_independent),
      cmocka_unit_test(test_interpreter),
      cmocka_unit_test(test_stack_limits),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_trampolines),
      cmocka_unit_test(test_growth),
      cmocka_unit_test(test_stack_contents),
      cmocka_unit_test(test_set_user_id),
      cmocka_unit_test(test_argv0),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
