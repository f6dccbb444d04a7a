/* Directories: reading them in every way, and changing what they name. */
#include "scenario.h"

#include <sys/stat.h>

enum { FILES = 400 };

struct entry64 {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
} __attribute__((packed));

struct entry {
  uint32_t inode, offset;
  uint16_t length;
  char name[];
} __attribute__((packed));

struct seen {
  char name[32];
  int64_t offset; /* where the next one is */
};

static int32_t open_directory(void) { return CALL(__NR_open, low_string("many"), O_RDONLY | O_DIRECTORY); }

/* Reads all entries, in pieces of `size` bytes; how many. */
static int read_all(int fd, int number, uint32_t size, struct seen *seen, bool *small_offsets) {
  char *buffer = low(size);
  int count = 0, got;
  *small_offsets = true;
  while ((got = CALL(number, fd, buffer, size)) > 0)
    for (int at = 0; at < got && count < FILES + 2; count++) {
      const struct entry64 *entry64 = (void *)(buffer + at);
      const struct entry *entry = (void *)(buffer + at);
      const bool wide = number == __NR_getdents64;
      snprintf(seen[count].name, sizeof seen[count].name, "%s", wide ? entry64->name : entry->name);
      seen[count].offset = wide ? entry64->offset : (int64_t)entry->offset;
      if (seen[count].offset < 0 || seen[count].offset > INT32_MAX)
        *small_offsets = false;
      at += wide ? entry64->length : entry->length;
    }
  if (got < 0)
    answer("getdents", got);
  return count;
}

/* Going back to the offset of any entry finds the one after it again. */
static int count_found_again(int fd, int number, const struct seen *seen, int count) {
  char *buffer = low(512);
  int found = 0;
  for (int i = count - 2; i >= 0; i -= 7) {
    if (CALL(__NR_lseek, fd, (uint32_t)seen[i].offset, SEEK_SET) < 0 || CALL(number, fd, buffer, 512) <= 0)
      continue;
    const char *name = number == __NR_getdents64 ? ((struct entry64 *)(void *)buffer)->name
                                                 : ((struct entry *)(void *)buffer)->name;
    found += strcmp(name, seen[i + 1].name) == 0;
  }
  return found;
}

static void reading(void) {
  answer("mkdir", CALL(__NR_mkdir, low_string("many"), 0755));
  char *name = low(32);
  for (int i = 0; i < FILES; i++) {
    sprintf(name, "many/file-%d", i);
    close_descriptor(CALL(__NR_creat, name, 0644));
  }
  struct seen *seen = low((FILES + 2) * sizeof *seen), *again = low((FILES + 2) * sizeof *again);
  static const uint32_t sizes[] = {32768, 1000, 300};
  for (int wide = 0; wide < 2; wide++)
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      const int number = wide ? __NR_getdents64 : __NR_getdents;
      bool small_offsets, small_again;
      int fd = open_directory();
      int count = read_all(fd, number, sizes[i], seen, &small_offsets);
      say("%s by %u: %d entries, offsets %s", wide ? "getdents64" : "getdents", sizes[i], count,
          small_offsets ? "fit" : "do not fit");
      answer("at the end", CALL(number, fd, low(512), 512));
      say("found again: %d", count_found_again(fd, number, seen, count));
      answer("rewind", CALL(__NR_lseek, fd, 0, SEEK_SET));
      int second = read_all(fd, number, sizes[i], again, &small_again);
      int same = 0;
      for (int j = 0; j < second && j < count; j++)
        same += strcmp(seen[j].name, again[j].name) == 0;
      say("second time: %d, %d the same", second, same);
      int copy = CALL(__NR_dup, fd);
      answer("lseek of a copy", CALL(__NR_lseek, copy, (uint32_t)again[3].offset, SEEK_SET) >= 0);
      char *buffer = low(512);
      answer("through the first", CALL(number, fd, buffer, 512) > 0);
      const char *next =
          wide ? ((struct entry64 *)(void *)buffer)->name : ((struct entry *)(void *)buffer)->name;
      say("the right one: %d", strcmp(next, again[4].name) == 0);
      CALL(__NR_close, copy);
      CALL(__NR_close, fd);
    }

  int fd = open_directory();
  answer("getdents64 too short", CALL(__NR_getdents64, fd, low(16), 16));
  answer("getdents too short", CALL(__NR_getdents, fd, low(8), 8));
  answer("getdents64 to a bad address", CALL(__NR_getdents64, fd, 16, 4096));
  answer("getdents64 of a bad descriptor", CALL(__NR_getdents64, -1, low(512), 512));
  struct {
    uint32_t inode, offset;
    uint16_t length;
    char name[256];
  } *old = low(sizeof *old);
  int count = 0, wrong = 0;
  while (CALL(__NR_readdir, fd, old, 1) == 1) {
    count++;
    wrong += strlen(old->name) != old->length;
  }
  say("readdir: %d entries, %d wrong", count, wrong);
  CALL(__NR_close, fd);
  int file = CALL(__NR_open, low_string("many/file-0"), O_RDONLY);
  answer("getdents of a file", CALL(__NR_getdents, file, low(512), 512));
  CALL(__NR_close, file);
}

static void naming(void) {
  char *out = low(256);
  answer("mkdir", CALL(__NR_mkdir, low_string("d"), 0700));
  answer("mkdir again", CALL(__NR_mkdir, low_string("d"), 0700));
  answer("mkdirat", CALL(__NR_mkdirat, AT_FDCWD, low_string("d/e"), 0700));
  int d = CALL(__NR_open, low_string("d"), O_RDONLY | O_DIRECTORY);
  answer("mkdirat of a descriptor", CALL(__NR_mkdirat, d, low_string("f"), 0700));
  answer("rmdir of a full one", CALL(__NR_rmdir, low_string("d")));
  answer("rmdir", CALL(__NR_rmdir, low_string("d/f")));
  answer("unlinkat", CALL(__NR_unlinkat, d, low_string("e"), 0));
  answer("unlinkat AT_REMOVEDIR", CALL(__NR_unlinkat, d, low_string("e"), 0x200));
  close_descriptor(CALL(__NR_creat, low_string("d/a"), 0644));
  answer("link", CALL(__NR_link, low_string("d/a"), low_string("d/b")));
  answer("link again", CALL(__NR_link, low_string("d/a"), low_string("d/b")));
  answer("linkat", CALL(__NR_linkat, d, low_string("a"), d, low_string("c"), 0));
  answer("symlink", CALL(__NR_symlink, low_string("a"), low_string("d/s")));
  answer("symlinkat", CALL(__NR_symlinkat, low_string("/nowhere/at/all"), d, low_string("t")));
  answer("readlink", CALL(__NR_readlink, low_string("d/t"), out, 256));
  say("\"%.15s\"", out);
  memset(out, 0, 256);
  answer("readlink short", CALL(__NR_readlink, low_string("d/t"), out, 4));
  say("\"%s\"", out);
  answer("readlink of no bytes", CALL(__NR_readlink, low_string("d/t"), out, 0));
  answer("readlink of a file", CALL(__NR_readlink, low_string("d/a"), out, 10));
  answer("readlinkat", CALL(__NR_readlinkat, d, low_string("s"), out, 10));
  int link = CALL(__NR_openat, d, low_string("s"), O_PATH | O_NOFOLLOW);
  answer("readlinkat of a descriptor", CALL(__NR_readlinkat, link, low_string(""), out, 10));
  CALL(__NR_close, link);
  answer("open O_NOFOLLOW", CALL(__NR_openat, d, low_string("s"), O_NOFOLLOW));
  answer("open of a dangling link", CALL(__NR_openat, d, low_string("t"), O_RDONLY));
  answer("create through O_EXCL", CALL(__NR_openat, d, low_string("t"), O_CREAT | O_EXCL, 0600));
  answer("rename", CALL(__NR_rename, low_string("d/b"), low_string("d/bb")));
  answer("renameat", CALL(__NR_renameat, d, low_string("bb"), d, low_string("b")));
  answer("renameat2 noreplace", CALL(__NR_renameat2, d, low_string("a"), d, low_string("b"), 1));
  answer("renameat2 exchange", CALL(__NR_renameat2, d, low_string("a"), d, low_string("t"), 2));
  answer("readlink of the exchanged", CALL(__NR_readlink, low_string("d/a"), out, 20));
  answer("unlink", CALL(__NR_unlink, low_string("d/a")));
  answer("unlink again", CALL(__NR_unlink, low_string("d/a")));
  answer("unlink of a directory", CALL(__NR_unlink, low_string("d")));
  answer("mknod fifo", CALL(__NR_mknod, low_string("d/fifo"), 010644, 0));
  answer("mknodat file", CALL(__NR_mknodat, d, low_string("plain"), 0100600, 0));
  answer("mknod of no kind", CALL(__NR_mknod, low_string("d/what"), 0170000, 0));
  answer("name too long", CALL(__NR_mkdir, memset(low(400), 'x', 300), 0700));
  answer("path too long", CALL(__NR_mkdir, memset(low(5001), 'x', 5000), 0700));
  answer("bad address", CALL(__NR_mkdir, 16, 0700));
  answer("umask", CALL(__NR_umask, 077) >= 0);
  answer("umask again", CALL(__NR_umask, 022));

  int32_t length = CALL(__NR_getcwd, out, 256);
  say("getcwd counts its NUL: %d", length == (int32_t)strlen(out) + 1);
  answer("getcwd short", CALL(__NR_getcwd, out, 2));
  answer("chdir", CALL(__NR_chdir, low_string("d")));
  char *inner = low(256);
  say("getcwd is longer by %d", CALL(__NR_getcwd, inner, 256) - length);
  answer("chdir to a file", CALL(__NR_chdir, low_string("plain")));
  answer("chdir ..", CALL(__NR_chdir, low_string("..")));
  answer("fchdir", CALL(__NR_fchdir, d));
  answer("chdir back", CALL(__NR_chdir, low_string("..")));
  answer("fchdir of a bad one", CALL(__NR_fchdir, -1));
  CALL(__NR_close, d);
}

void scenario(void) {
  reading();
  naming();
}

#ifndef SCENARIO_IN_PROCESS
static void with_libc(void) {
  DIR *directory = opendir("many");
  long where[FILES + 2];
  char names[FILES + 2][32];
  int count = 0, again = 0;
  for (struct dirent *entry; count < FILES + 2; count++) {
    where[count] = telldir(directory);
    errno = 0;
    if (!(entry = readdir(directory)))
      break;
    snprintf(names[count], sizeof names[count], "%s", entry->d_name);
  }
  say("readdir: %d entries, %s", count, errno ? strerrorname_np(errno) : "no error");
  for (int i = count - 1; i >= 0; i -= 13) {
    seekdir(directory, where[i]);
    struct dirent *entry = readdir(directory);
    again += entry && strcmp(entry->d_name, names[i]) == 0;
  }
  say("seekdir: %d found again", again);
  rewinddir(directory);
  for (count = 0; readdir64(directory);)
    count++;
  say("after rewinddir: %d", count);
  closedir(directory);
  struct dirent **list;
  count = scandir("d", &list, NULL, alphasort);
  for (int i = 0; i < count; i++)
    say("scandir: %s", list[i]->d_name);
}
#endif
