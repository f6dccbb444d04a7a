/* The emulator's own threads have nothing to do with the program's descriptors: open(2) returns the lowest
 * number that is free, whatever they open meanwhile, and they keep no copies of what the program closes.
 *
 * guest-test: levels=O2
 * guest-test: link=static */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS = 10000, OPEN = 8, HIGH = 900 /* where the emulator's log may be */ };

static void open_and_close(int fd[OPEN]) {
  for (int k = 0; k < OPEN; k++)
    fd[k] = open("/dev/null", O_RDONLY);
  for (int k = 0; k < OPEN; k++)
    close(fd[k]);
}

static int count_descriptors(const char *thread) {
  char path[64];
  int count = 0;
  snprintf(path, sizeof path, "/proc/self/task/%s/fd", thread);
  DIR *folder = opendir(path);
  for (struct dirent *entry; folder && (entry = readdir(folder));)
    count += entry->d_name[0] != '.' && atoi(entry->d_name) < HIGH;
  if (folder)
    closedir(folder);
  return count;
}

/* Of threads other than this one, which the program does not have. */
static int count_others_descriptors(void) {
  int count = 0;
  DIR *threads = opendir("/proc/self/task");
  for (struct dirent *entry; threads && (entry = readdir(threads));)
    if (entry->d_name[0] != '.' && atoi(entry->d_name) != getpid())
      count += count_descriptors(entry->d_name);
  if (threads)
    closedir(threads);
  return count;
}

int main(void) {
  int first[OPEN], others = 0;
  open_and_close(first);
  for (int i = 0; i < ROUNDS; i++) {
    int fd[OPEN];
    open_and_close(fd);
    for (int k = 0; k < OPEN; k++)
      others += fd[k] != first[k];
  }
  printf("taken by others: %d, kept by others: %d\n", others, count_others_descriptors());
  return 0;
}
