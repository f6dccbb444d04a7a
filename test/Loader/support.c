#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off */
static const uint8_t exit_code[] = {
    0xb8, 1, 0, 0, 0,             /* mov $1, %eax: exit */
    0x31, 0xdb,                   /* xor %ebx, %ebx */
    0xcd, 0x80};                  /* int $0x80 */
static const uint8_t pause_code[] = {
    0xb8, 29, 0, 0, 0,            /* mov $29, %eax: pause */
    0xcd, 0x80,
    0xeb, 0xf7};                  /* jmp to the mov */
static const uint8_t dump_code[] = {
    0x89, 0xe1,                   /* mov %esp, %ecx */
    0xba, 0x00, 0xe0, 0xff, 0xff, /* mov $0xffffe000, %edx */
    0x29, 0xca,                   /* sub %ecx, %edx */
    0xbb, 1, 0, 0, 0,             /* mov $1, %ebx */
    0xb8, 4, 0, 0, 0,             /* mov $4, %eax: write */
    0xcd, 0x80,
    0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80};
/* clang-format on */

void elf_reset(struct test_elf *elf, enum test_code code) {
  memset(elf, 0, sizeof *elf);
  for (size_t i = 4096; i < sizeof elf->bytes; i++)
    elf->bytes[i] = (uint8_t)(i * 7 + (i >> 8)); /* recognisable */
  elf->size = 4096;
  *elf_header(elf) = (Elf32_Ehdr){
      .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
      .e_type = ET_EXEC,
      .e_machine = EM_386,
      .e_version = EV_CURRENT,
      .e_entry = 0x08048000 + TEST_ELF_CODE,
      .e_phoff = sizeof(Elf32_Ehdr),
      .e_ehsize = sizeof(Elf32_Ehdr),
      .e_phentsize = sizeof(Elf32_Phdr),
  };
  elf_add_segment(elf, (Elf32_Phdr){.p_type = PT_LOAD,
                                    .p_vaddr = 0x08048000,
                                    .p_filesz = 4096,
                                    .p_memsz = 4096,
                                    .p_flags = PF_R | PF_X,
                                    .p_align = 4096});
  elf_add_segment(elf, (Elf32_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W});
  static const struct {
    const uint8_t *bytes;
    size_t length;
  } codes[] = {[CODE_EXIT] = {exit_code, sizeof exit_code},
               [CODE_PAUSE] = {pause_code, sizeof pause_code},
               [CODE_DUMP_STACK] = {dump_code, sizeof dump_code}};
  memcpy(elf->bytes + TEST_ELF_CODE, codes[code].bytes, codes[code].length);
}

Elf32_Phdr *elf_add_segment(struct test_elf *elf, Elf32_Phdr segment) {
  Elf32_Phdr *place = elf_segment(elf, elf_header(elf)->e_phnum++);
  *place = segment;
  return place;
}

void elf_add_interpreter(struct test_elf *elf, const char *path) {
  const uint32_t offset = 0x800, size = (uint32_t)strlen(path) + 1;
  memcpy(elf->bytes + offset, path, size);
  elf_add_segment(elf,
                  (Elf32_Phdr){.p_type = PT_INTERP, .p_offset = offset, .p_filesz = size, .p_memsz = size});
}

static char directory[64];
static pid_t directory_owner;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
  (void)status, (void)type, (void)walk;
  return remove(path);
}

static void remove_directory(void) {
  if (getpid() == directory_owner)
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *test_directory(void) {
  if (!directory[0]) {
    strcpy(directory, "/tmp/uemu-loader-XXXXXX");
    if (!mkdtemp(directory)) {
      perror("mkdtemp");
      abort();
    }
    chmod(directory, 0755);
    directory_owner = getpid();
    atexit(remove_directory);
  }
  return directory;
}

const char *test_path(const char *name) {
  static char buffers[8][PATH_MAX];
  static unsigned next;
  char *buffer = buffers[next++ % 8];
  snprintf(buffer, PATH_MAX, "%s/%s", test_directory(), name);
  return buffer;
}

const char *test_file(const char *name, const void *bytes, size_t length, mode_t mode) {
  const char *path = test_path(name);
  unlink(path);
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, bytes, length) != (ssize_t)length || fchmod(fd, mode) < 0 || close(fd) < 0) {
    perror(path);
    abort();
  }
  return path;
}

pid_t native_start(const char *path, char *const argv[], char *const envp[],
                   const struct native_options *options, int *error) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) < 0)
    abort();
  const pid_t child = fork();
  if (child == 0) {
    static const struct native_options none;
    if (!options)
      options = &none;
    personality(ADDR_NO_RANDOMIZE);
    signal(SIGALRM, SIG_DFL);
    alarm(20);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (options->output)
      dup2(options->output, 1);
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    if (options->stack_limit) {
      limit.rlim_cur = options->stack_limit;
      setrlimit(RLIMIT_STACK, &limit);
    }
    if (!options->directory || chdir(options->directory) == 0)
      execve(path, argv, envp);
    const int number = errno;
    ssize_t wrote = write(report[1], &number, sizeof number);
    _exit(wrote == sizeof number ? 0 : 1);
  }
  close(report[1]);
  *error = 0;
  if (read(report[0], error, sizeof *error) < 0)
    abort();
  close(report[0]);
  return child;
}

struct native_result native_exec(const char *path, char *const argv[], char *const envp[],
                                 const struct native_options *options) {
  struct native_result result = {0};
  const pid_t child = native_start(path, argv, envp, options, &result.error);
  int status;
  if (waitpid(child, &status, 0) != child)
    abort();
  if (WIFSIGNALED(status))
    result.signal = WTERMSIG(status);
  return result;
}

bool native_is_i386(void) {
  static int answer = -1;
  if (answer < 0) {
    struct test_elf elf;
    elf_reset(&elf, CODE_EXIT);
    const char *path = test_elf_file("probe", &elf);
    char *const none[] = {NULL};
    const struct native_result result = native_exec(path, (char *const[]){"probe", NULL}, none, NULL);
    answer = result.error == 0 && result.signal == 0;
    unlink(path);
  }
  return answer;
}
