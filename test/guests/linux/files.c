/* Descriptors and what is read and written through them. */
#include "scenario.h"

enum {
  LARGE = 0100000 /* O_LARGEFILE of i386 */,
  GETLK64 = 12,
  SETLK64 = 13,
  OFD_GETLK = 36,
  OFD_SETLK = 37
};
#define GIB (UINT64_C(1) << 30)

struct vec {
  uint32_t base, length;
};

static int32_t open_file(const char *what, const char *name, int flags) {
  return descriptor(what, CALL(__NR_open, low_string(name), flags, 0644));
}

static int64_t size_of(int fd) {
  int64_t *end = low(sizeof *end);
  return CALL(__NR__llseek, fd, 0, 0, end, SEEK_END) < 0 ? -1 : *end;
}

static void opening(void) {
  open_file("open of nothing", "missing", O_RDONLY);
  open_file("open of an empty name", "", O_RDONLY);
  answer("open of a bad address", CALL(__NR_open, 0xFFFFFFF0u, O_RDONLY));
  int fd = open_file("create", "file", O_RDWR | O_CREAT | O_EXCL | LARGE);
  open_file("create again", "file", O_RDWR | O_CREAT | O_EXCL | LARGE);
  open_file("file as a directory", "file", O_DIRECTORY);
  open_file("write a directory", ".", O_WRONLY);
  say("F_GETFL large: %#o", CALL(__NR_fcntl64, fd, F_GETFL));
  int small = open_file("open without O_LARGEFILE", "file", O_RDWR | O_APPEND);
  say("F_GETFL small: %#o", CALL(__NR_fcntl64, small, F_GETFL));
  int copy = CALL(__NR_dup, small);
  say("F_GETFL of a copy: %#o", CALL(__NR_fcntl, copy, F_GETFL));
  answer("F_SETFL", CALL(__NR_fcntl64, copy, F_SETFL, O_NONBLOCK));
  say("F_GETFL after F_SETFL: %#o", CALL(__NR_fcntl64, small, F_GETFL));
  int created = descriptor("creat", CALL(__NR_creat, low_string("created"), 0600));
  say("F_GETFL of creat: %#o", CALL(__NR_fcntl64, created, F_GETFL));
  int path = open_file("O_PATH", "file", O_PATH);
  say("F_GETFL of O_PATH: %#o", CALL(__NR_fcntl64, path, F_GETFL));
  answer("read of O_PATH", CALL(__NR_read, path, low(4), 4));
  uint64_t *how = low(24);
  how[0] = O_RDONLY;
  int how_fd = descriptor("openat2", CALL(__NR_openat2, AT_FDCWD, low_string("file"), how, 24));
  say("F_GETFL of openat2: %#o", CALL(__NR_fcntl64, how_fd, F_GETFL));
  answer("openat2 too small", CALL(__NR_openat2, AT_FDCWD, low_string("file"), how, 8));
  how[2] = 8; /* RESOLVE_BENEATH */
  answer("openat2 beneath", CALL(__NR_openat2, AT_FDCWD, low_string("/etc/passwd"), how, 24));
  answer("close", CALL(__NR_close, how_fd));
  answer("close again", CALL(__NR_close, how_fd));
  answer("close -1", CALL(__NR_close, -1));
  CALL(__NR_close, path);
  CALL(__NR_close, copy);
  CALL(__NR_close, small);
  CALL(__NR_close, created);
  CALL(__NR_close, fd);
}

static void sizes(void) {
  int fd = open_file("create large", "large", O_RDWR | O_CREAT | LARGE);
  answer("ftruncate64 3 GiB", CALL(__NR_ftruncate64, fd, PAIR(3 * GIB)));
  say("size: %lld", (long long)size_of(fd));
  /* An x86-64 kernel cuts the offset off for a 32-bit process, where an i386 one says EOVERFLOW. */
  say("lseek end: %#x", CALL(__NR_lseek, fd, 0, SEEK_END));
  say("lseek back: %#x", CALL(__NR_lseek, fd, -1, SEEK_CUR));
  answer("_llseek 2 GiB", CALL(__NR__llseek, fd, 0, 0x80000000u, low(8), SEEK_SET));
  say("lseek there: %#x", CALL(__NR_lseek, fd, 0, SEEK_CUR));
  answer("lseek negative", CALL(__NR_lseek, fd, -1, SEEK_SET));
  answer("lseek whence", CALL(__NR_lseek, fd, 0, 99));
  int64_t *position = low(8);
  answer("_llseek", CALL(__NR__llseek, fd, 1, 2, position, SEEK_SET));
  say("at %#llx", (long long)*position);
  answer("_llseek to a bad address", CALL(__NR__llseek, fd, 0, 0, 8, SEEK_SET));
  open_file("open of 3 GiB without O_LARGEFILE", "large", O_RDWR);
  open_file("truncating open of the same", "large", O_RDWR | O_TRUNC);
  say("size still: %lld", (long long)size_of(fd));
  answer("truncate", CALL(__NR_truncate, low_string("large"), 0x7FFFFFFF));
  say("size: %lld", (long long)size_of(fd));
  answer("truncate negative", CALL(__NR_truncate, low_string("large"), -5));
  answer("ftruncate negative", CALL(__NR_ftruncate, fd, -5));
  answer("truncate64", CALL(__NR_truncate64, low_string("large"), PAIR(5 * GIB)));
  say("size: %lld", (long long)size_of(fd));
  answer("truncate64 negative", CALL(__NR_truncate64, low_string("large"), PAIR(-1)));
  answer("ftruncate", CALL(__NR_ftruncate, fd, 1000));
  answer("fallocate", CALL(__NR_fallocate, fd, 0, PAIR(4096), PAIR(8192)));
  say("size: %lld", (long long)size_of(fd));
  answer("fallocate nothing", CALL(__NR_fallocate, fd, 0, PAIR(0), PAIR(0)));
  answer("fsync", CALL(__NR_fsync, fd));
  answer("fdatasync", CALL(__NR_fdatasync, fd));
  answer("syncfs", CALL(__NR_syncfs, fd));
  answer("sync_file_range", CALL(__NR_sync_file_range, fd, PAIR(0), PAIR(4096), 2));
  answer("fadvise64", CALL(__NR_fadvise64, fd, PAIR(0), 4096, 3));
  answer("fadvise64 advice", CALL(__NR_fadvise64, fd, PAIR(0), 4096, 77));
  answer("fadvise64_64", CALL(__NR_fadvise64_64, fd, PAIR(5 * GIB), PAIR(GIB), 4));
  answer("readahead", CALL(__NR_readahead, fd, PAIR(0), 4096));
  answer("readahead of nothing", CALL(__NR_readahead, -1, PAIR(0), 4096));
  CALL(__NR_close, fd);
}

/* The end of a file that was opened small. */
static void small_end(void) {
  char *bytes = low(64);
  int fd = open_file("create small", "small", O_RDWR | O_CREAT);
  answer("lseek", CALL(__NR_lseek, fd, 0x7FFFFFFB, SEEK_SET));
  answer("write up to the end", CALL(__NR_write, fd, bytes, 10));
  answer("write behind the end", CALL(__NR_write, fd, bytes, 10));
  answer("write of nothing", CALL(__NR_write, fd, bytes, 0));
  answer("pwrite64 up to the end", CALL(__NR_pwrite64, fd, bytes, 10, PAIR(0x7FFFFFFE)));
  answer("pwrite64 behind it", CALL(__NR_pwrite64, fd, bytes, 10, PAIR(3 * GIB)));
  answer("pwrite64 before the start", CALL(__NR_pwrite64, fd, bytes, 10, PAIR(-1)));
  struct vec *vector = low(2 * sizeof *vector);
  vector[0] = (struct vec){WORD(bytes), 3};
  vector[1] = (struct vec){WORD(bytes), 30};
  answer("pwritev up to the end", CALL(__NR_pwritev, fd, vector, 2, PAIR(0x7FFFFFFA)));
  answer("lseek", CALL(__NR_lseek, fd, 0x7FFFFFFD, SEEK_SET));
  answer("writev up to the end", CALL(__NR_writev, fd, vector, 2));
  say("size: %lld", (long long)size_of(fd));
  int append = open_file("append", "small", O_WRONLY | O_APPEND);
  answer("append at the end", CALL(__NR_write, append, bytes, 1));
  int copy = CALL(__NR_fcntl64, append, F_DUPFD, 0);
  answer("append through a copy", CALL(__NR_write, copy, bytes, 1));
  int large = open_file("large", "small", O_WRONLY | O_APPEND | LARGE);
  answer("append large", CALL(__NR_write, large, bytes, 1));
  answer("dup2 large over small", CALL(__NR_dup2, large, copy) == copy);
  answer("append through that", CALL(__NR_write, copy, bytes, 1));
  CALL(__NR_ftruncate, fd, 0);
  CALL(__NR_close, large);
  CALL(__NR_close, copy);
  CALL(__NR_close, append);
  CALL(__NR_close, fd);
}

static void vectors(void) {
  int fd = open_file("create", "vectors", O_RDWR | O_CREAT | LARGE);
  char *one = low_string("one,"), *two = low_string("two two"), *out = low(32);
  struct vec *vector = low(1100 * sizeof *vector);
  vector[0] = (struct vec){WORD(one), 4};
  vector[1] = (struct vec){0, 0};
  vector[2] = (struct vec){WORD(two), 7};
  answer("writev", CALL(__NR_writev, fd, vector, 3));
  answer("writev of none", CALL(__NR_writev, fd, vector, 0));
  answer("writev of too many", CALL(__NR_writev, fd, vector, 1025));
  answer("writev of -1", CALL(__NR_writev, fd, vector, -1));
  answer("writev of a bad vector", CALL(__NR_writev, fd, 0xFFFFF000u, 1));
  vector[1].length = 0x80000000u;
  answer("writev of a negative length", CALL(__NR_writev, fd, vector, 3));
  vector[1] = (struct vec){16, 5};
  answer("writev of a bad buffer in the middle", CALL(__NR_writev, fd, vector, 3));
  answer("writev of a bad descriptor", CALL(__NR_writev, -1, vector, 3));
  answer("pwritev", CALL(__NR_pwritev, fd, vector, 1, PAIR(5 * GIB)));
  say("size: %lld", (long long)size_of(fd));
  vector[0] = (struct vec){WORD(out), 2};
  vector[1] = (struct vec){WORD(out + 8), 20};
  answer("preadv", CALL(__NR_preadv, fd, vector, 2, PAIR(1)));
  say("\"%.2s\" \"%.9s\"", out, out + 8);
  memset(out, 0, 32);
  answer("preadv at 5 GiB", CALL(__NR_preadv, fd, vector, 2, PAIR(5 * GIB)));
  say("\"%.2s\" \"%.9s\"", out, out + 8);
  answer("preadv at -1", CALL(__NR_preadv, fd, vector, 2, PAIR(-1)));
  answer("lseek", CALL(__NR_lseek, fd, 4, SEEK_SET));
  memset(out, 0, 32);
  answer("preadv2 at -1", CALL(__NR_preadv2, fd, vector, 2, PAIR(-1), 0));
  say("\"%.2s\" \"%.3s\"", out, out + 8);
  answer("preadv2 of strange flags", CALL(__NR_preadv2, fd, vector, 2, PAIR(0), 0x40000000));
  answer("pwritev2", CALL(__NR_pwritev2, fd, vector, 1, PAIR(0), 2));
  answer("lseek", CALL(__NR_lseek, fd, 0, SEEK_SET));
  answer("readv", CALL(__NR_readv, fd, vector, 1));
  answer("pread64", CALL(__NR_pread64, fd, out, 6, PAIR(5 * GIB)));
  say("\"%.4s\"", out);
  answer("read to a bad address", CALL(__NR_read, fd, 16, 4));
  answer("read of nothing", CALL(__NR_read, fd, 16, 0));
  answer("write from a bad address", CALL(__NR_write, fd, 16, 4));
  CALL(__NR_ftruncate, fd, 0);
  CALL(__NR_close, fd);
}

static void moving(void) {
  char *text = low_string("0123456789abcdefghij"), *out = low(64);
  int from = open_file("from", "from", O_RDWR | O_CREAT | LARGE);
  int to = open_file("to", "to", O_RDWR | O_CREAT | LARGE);
  answer("write", CALL(__NR_write, from, text, 20));
  int32_t *offset = low(8);
  int64_t *offset64 = low(8);
  *offset = 4;
  answer("sendfile", CALL(__NR_sendfile, to, from, offset, 6));
  say("offset %d", *offset);
  answer("lseek", CALL(__NR_lseek, from, 18, SEEK_SET));
  answer("sendfile from the position", CALL(__NR_sendfile, to, from, 0, 100));
  *offset = -3;
  answer("sendfile from before", CALL(__NR_sendfile, to, from, offset, 6));
  *offset64 = 10;
  answer("sendfile64", CALL(__NR_sendfile64, to, from, offset64, 3));
  say("offset %lld", (long long)*offset64);
  answer("sendfile, bad offset", CALL(__NR_sendfile, to, from, 16, 3));
  answer("pread64", CALL(__NR_pread64, to, out, 63, PAIR(0)));
  say("\"%s\"", out);
  *offset64 = 0;
  int64_t *there = low(8);
  *there = 5 * GIB;
  answer("copy_file_range", CALL(__NR_copy_file_range, from, offset64, to, there, 10, 0));
  say("%lld -> %lld, size %lld", (long long)*offset64, (long long)*there - 5 * (long long)GIB,
      (long long)size_of(to) - 5 * (long long)GIB);
  answer("copy_file_range flags", CALL(__NR_copy_file_range, from, offset64, to, there, 10, 1));

  int32_t *pipe_a = low(8), *pipe_b = low(8);
  answer("pipe", CALL(__NR_pipe, pipe_a));
  answer("pipe2", CALL(__NR_pipe2, pipe_b, O_CLOEXEC | O_NONBLOCK));
  answer("pipe2 flags", CALL(__NR_pipe2, pipe_b + 100, 1));
  answer("pipe to a bad address", CALL(__NR_pipe, 16));
  say("pipe flags: %#o %#o, %d %d", CALL(__NR_fcntl64, pipe_b[0], F_GETFL),
      CALL(__NR_fcntl64, pipe_b[1], F_GETFL), CALL(__NR_fcntl64, pipe_a[0], F_GETFD),
      CALL(__NR_fcntl64, pipe_b[0], F_GETFD));
  answer("read of an empty pipe", CALL(__NR_read, pipe_b[0], out, 4));
  *offset64 = 2;
  answer("splice in", CALL(__NR_splice, from, offset64, pipe_a[1], 0, 8, 0));
  answer("tee", CALL(__NR_tee, pipe_a[0], pipe_b[1], 8, 0));
  *there = 1;
  answer("splice out", CALL(__NR_splice, pipe_a[0], 0, to, there, 8, 0));
  say("offsets %lld %lld", (long long)*offset64, (long long)*there);
  struct vec *vector = low(sizeof *vector);
  *vector = (struct vec){WORD(text), 5};
  answer("vmsplice", CALL(__NR_vmsplice, pipe_b[1], vector, 1, 0));
  memset(out, 0, 64);
  answer("read of the pipe", CALL(__NR_read, pipe_b[0], out, 60));
  say("\"%s\"", out);
  answer("F_GETPIPE_SZ", CALL(__NR_fcntl64, pipe_b[0], 1032));
  answer("F_SETPIPE_SZ", CALL(__NR_fcntl64, pipe_b[0], 1031, 4096));
  answer("lseek of a pipe", CALL(__NR_lseek, pipe_b[0], 0, SEEK_SET));
  int64_t *end = low(8);
  answer("_llseek of a pipe", CALL(__NR__llseek, pipe_b[0], 0, 0, end, SEEK_SET));
  for (int i = 0; i < 2; i++) {
    CALL(__NR_close, pipe_a[i]);
    CALL(__NR_close, pipe_b[i]);
  }
  CALL(__NR_close, from);
  CALL(__NR_close, to);
}

static void processes(void) {
  char *text = low_string("of this process"), *out = low(32);
  struct vec *local = low(2 * sizeof *local), *remote = low(2 * sizeof *remote);
  local[0] = (struct vec){WORD(out), 3};
  local[1] = (struct vec){WORD(out + 10), 20};
  remote[0] = (struct vec){WORD(text), 15};
  answer("process_vm_readv", CALL(__NR_process_vm_readv, getpid(), local, 2, remote, 1, 0));
  say("\"%.3s\" \"%.12s\"", out, out + 10);
  answer("process_vm_writev", CALL(__NR_process_vm_writev, getpid(), local, 1, remote, 1, 0));
  remote[0].base = 16;
  answer("process_vm_readv of a bad address", CALL(__NR_process_vm_readv, getpid(), local, 2, remote, 1, 0));
  answer("process_vm_readv of too many", CALL(__NR_process_vm_readv, getpid(), local, 2000, remote, 1, 0));
  answer("process_vm_readv flags", CALL(__NR_process_vm_readv, getpid(), local, 2, remote, 1, 1));
  answer("process_vm_readv of no process", CALL(__NR_process_vm_readv, -7, local, 2, remote, 1, 0));
}

static void copies(void) {
  int fd = open_file("create", "copies", O_RDWR | O_CREAT | LARGE);
  answer("dup2 of itself", CALL(__NR_dup2, fd, fd) == fd);
  answer("dup3 of itself", CALL(__NR_dup3, fd, fd, 0));
  answer("dup3 flags", CALL(__NR_dup3, fd, 200, 1));
  answer("dup3", CALL(__NR_dup3, fd, 200, O_CLOEXEC));
  answer("F_GETFD", CALL(__NR_fcntl64, 200, F_GETFD));
  answer("F_DUPFD", CALL(__NR_fcntl64, fd, F_DUPFD, 201));
  answer("F_DUPFD_CLOEXEC", CALL(__NR_fcntl64, fd, F_DUPFD_CLOEXEC, 201));
  answer("F_DUPFD too high", CALL(__NR_fcntl64, fd, F_DUPFD, 0x7FFFFFFF));
  answer("dup2 too high", CALL(__NR_dup2, fd, 0x7FFFFFFF));
  answer("dup2 of a bad one", CALL(__NR_dup2, -1, 202));
  answer("202 is still open", CALL(__NR_fcntl64, 202, F_GETFD));
  answer("close_range cloexec", CALL(__NR_close_range, 200, 201, 4));
  answer("F_GETFD", CALL(__NR_fcntl64, 201, F_GETFD));
  answer("close_range", CALL(__NR_close_range, 200, 202, 0));
  answer("202 is closed", CALL(__NR_fcntl64, 202, F_GETFD));
  answer("close_range backwards", CALL(__NR_close_range, 202, 200, 0));
  answer("close_range flags", CALL(__NR_close_range, 200, 202, 64));
  answer("fcntl command", CALL(__NR_fcntl64, fd, 999));
  answer("fcntl of a bad one", CALL(__NR_fcntl64, -1, F_GETFD));
  CALL(__NR_close, fd);
}

static void locks(void) {
  struct small_lock {
    int16_t type, whence;
    int32_t start, length, pid;
  } *small = low(sizeof *small);
  struct large_lock {
    int16_t type, whence;
    int64_t start, length;
    int32_t pid;
  } __attribute__((packed)) *large = low(sizeof *large);

  int a = open_file("create", "locks", O_RDWR | O_CREAT | LARGE),
      b = open_file("again", "locks", O_RDWR | LARGE);
  *small = (struct small_lock){F_WRLCK, SEEK_SET, 10, 20, 0};
  answer("F_SETLK", CALL(__NR_fcntl, a, F_SETLK, small));
  answer("F_SETLKW", CALL(__NR_fcntl64, a, F_SETLKW, small));
  *large = (struct large_lock){F_RDLCK, SEEK_SET, 0, 0, 0};
  answer("OFD_GETLK", CALL(__NR_fcntl64, b, OFD_GETLK, large));
  say("type %d start %lld length %lld", large->type, (long long)large->start, (long long)large->length);
  small->type = F_UNLCK;
  answer("F_UNLCK", CALL(__NR_fcntl, a, F_SETLK, small));
  *large = (struct large_lock){F_WRLCK, SEEK_SET, 3 * GIB, GIB, 0};
  answer("OFD_SETLK", CALL(__NR_fcntl64, a, OFD_SETLK, large));
  answer("OFD_SETLK through the old call", CALL(__NR_fcntl, a, OFD_SETLK, large));
  answer("OFD_SETLK against it", CALL(__NR_fcntl64, b, OFD_SETLK, large));
  *small = (struct small_lock){F_RDLCK, SEEK_SET, 0, 0, 0};
  answer("F_GETLK of a lock beyond 2 GiB", CALL(__NR_fcntl, b, F_GETLK, small));
  *large = (struct large_lock){F_RDLCK, SEEK_SET, 0, 0, 0};
  answer("F_GETLK64 of it", CALL(__NR_fcntl64, b, GETLK64, large));
  say("type %d start %lld length %lld pid %d", large->type, (long long)large->start, (long long)large->length,
      large->pid);
  answer("F_GETLK64 through the old call", CALL(__NR_fcntl, b, GETLK64, large));
  *large = (struct large_lock){F_WRLCK, SEEK_SET, 100, 5 * GIB, 0};
  answer("OFD_SETLK long", CALL(__NR_fcntl64, a, OFD_SETLK, large));
  *small = (struct small_lock){F_RDLCK, SEEK_SET, 0, 0, 0};
  answer("F_GETLK of a long lock", CALL(__NR_fcntl64, b, F_GETLK, small));
  say("type %d start %d length %d pid %d", small->type, small->start, small->length, small->pid);
  *large = (struct large_lock){F_WRLCK, SEEK_SET, -1, 0, 0};
  answer("F_SETLK64 before the start", CALL(__NR_fcntl64, a, SETLK64, large));
  answer("F_SETLK from a bad address", CALL(__NR_fcntl64, a, F_SETLK, 16));
  small->type = 77;
  answer("F_SETLK of no type", CALL(__NR_fcntl64, a, F_SETLK, small));
  answer("flock", CALL(__NR_flock, a, 2));
  answer("flock against it", CALL(__NR_flock, b, 2 | 4));
  answer("flock of nothing", CALL(__NR_flock, b, 0));
  CALL(__NR_close, a);
  CALL(__NR_close, b);
}

void scenario(void) {
  opening();
  sizes();
  small_end();
  vectors();
  moving();
  processes();
  copies();
  locks();
}

#ifndef SCENARIO_IN_PROCESS
#include <sys/mman.h>

static void with_libc(void) {
  int lowest = open("/dev/null", O_RDONLY);
  say("the lowest descriptor: %d", lowest);
  close(lowest);
  FILE *file = fopen("stream", "w+");
  for (int i = 0; i < 1000; i++)
    fprintf(file, "line %d\n", i);
  fseeko(file, 0, SEEK_SET);
  char line[32];
  int lines = 0;
  while (fgets(line, sizeof line, file))
    lines++;
  say("stdio: %d lines, last %s", lines, strtok(line, "\n"));
  int result = fseek(file, -9, SEEK_END);
  say("fseek: %d, ftell: %ld", result, ftell(file));
  fclose(file);
  say("fopen of nothing: %s", fopen("missing", "r") ? "?" : strerrorname_np(errno));
  char own[4096] = "";
  ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
  const char *name = strrchr(own, '/');
  int self = open("/proc/self/exe", O_RDONLY);
  unsigned char magic[20] = {0};
  read(self, magic, sizeof magic);
  say("own program: %s, %s, class %d, machine %d", length > 0 ? "a link" : "no link",
      name && strlen(name) > 1 ? "named" : "?", magic[4], magic[18]);
  close(self);
  self = open("/proc/self/cmdline", O_RDONLY);
  length = read(self, own, sizeof own - 1);
  close(self);
  say("own command line: %d", length > 0 && strcmp(own, program_invocation_name) == 0);
  /* A result that is the most negative number. */
  char *middle = mmap((void *)0x80000000u, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  say("mapped at %p", (void *)middle);
  int fds[2];
  if (pipe(fds) == 0) {
    write(fds[1], "through a pipe", 14);
    close(fds[1]);
    ssize_t got = read(fds[0], own, sizeof own);
    say("pipe: %.*s", (int)got, own);
    say("then %zd", read(fds[0], own, sizeof own));
    close(fds[0]);
  }
}
#endif
