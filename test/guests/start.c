/* What a program is given: arguments, environment, auxiliary vector, alignment, descriptors.
 * guest-test: runs=|one|one two three|--flag=value -x */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;
int main(int argc, char *argv[]) {
  printf("%d arguments:", argc);
  for (int i = 1; i < argc; i++)
    printf(" [%s]", argv[i]);
  printf(" end %d\n", argv[argc] == NULL);
  for (char **e = environ; *e; e++)
    printf("%s\n", *e);
  printf("page %lu, clock %lu, phent %lu, secure %lu\n", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK), getauxval(AT_PHENT), getauxval(AT_SECURE));
  printf("uid %d, gid %d\n", getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid(), getauxval(AT_GID) == getgid());
  printf("platform %s\n", (const char *)getauxval(AT_PLATFORM));
  printf("random %d, phdr %d, entry %d\n", getauxval(AT_RANDOM) != 0, getauxval(AT_PHDR) != 0, getauxval(AT_ENTRY) != 0);
  const char *name = (const char *)getauxval(AT_EXECFN);
  printf("execfn %d, invocation %d\n", name && !strcmp(name, argv[0]), !strcmp(program_invocation_name, argv[0]));
  printf("errno %d, stack above all %d\n", errno, (uintptr_t)&argc > 0xf0000000u && (uintptr_t)argv > (uintptr_t)&argc - 4096);
  double aligned __attribute__((aligned(16)));
  printf("aligned %d\n", (uintptr_t)&aligned % 16 == 0);
  unsigned short control;
  unsigned mxcsr = 0x1f80, flags;
  __asm__("fnstcw %0" : "=m"(control));
  __asm__("pushf; pop %0" : "=r"(flags));
  printf("fcw %x, direction %d\n", control, flags >> 10 & 1);
  for (int fd = 3; fd < 20; fd++)
    if (fcntl(fd, F_GETFD) >= 0)
      printf("descriptor %d is open\n", fd);
  char link[4096];
  ssize_t length = readlink("/proc/self/exe", link, sizeof link - 1);
  link[length > 0 ? length : 0] = 0;
  printf("exe %d\n", !strcmp(link, argv[0]));
  return argc;
}
