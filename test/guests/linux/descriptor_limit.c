/* Every descriptor number up to RLIMIT_NOFILE is the program's own: none is taken, none is missing, and with one
 * left an execve still works. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void show_open(const char *when) {
  printf("%s:", when);
  for (int fd = 0; fd < getdtablesize(); fd++)
    if (fcntl(fd, F_GETFD) >= 0 || fstat(fd, &(struct stat){0}) == 0)
      printf(" %d", fd);
  printf("\n");
  fflush(stdout);
}

static void set_limit(unsigned soft) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = soft;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    printf("setrlimit: %s\n", strerror(errno));
}

static void fill(void) {
  int last = -1, fd;
  while ((fd = dup(0)) >= 0)
    last = fd;
  printf("last %d, then %s\n", last, strerror(errno));
}

int main(int argc, char **argv) {
  if (argc > 1) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    printf("limit %u\n", (unsigned)limit.rlim_cur);
    show_open("executed");
    fill();
    return 0;
  }
  set_limit(512);
  close_range(3, ~0u, 0);
  show_open("at first");
  set_limit(20);
  fill();
  show_open("full");
  if (fork() == 0) {
    close(19);
    execl("/proc/self/exe", argv[0], "again", NULL);
    printf("execl: %s\n", strerror(errno));
    _exit(1);
  }
  int status;
  wait(&status);
  printf("status %#x\n", status);
  return 0;
}
