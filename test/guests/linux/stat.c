/* File status in every layout, and what changes it. */
#include "scenario.h"

#include <sys/stat.h>

/* The layouts of the i386 kernel, as 32-bit words; what is not shown differs from run to run. */
struct old_stat {
  uint16_t dev, ino, mode, nlink, uid, gid, rdev, pad;
  uint32_t size, atime, mtime, ctime;
};
struct new_stat {
  uint32_t dev, ino;
  uint16_t mode, nlink, uid, gid;
  uint32_t rdev, size, blksize, blocks, atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec, unused[2];
};
struct large_stat {
  uint64_t dev;
  uint32_t pad, ino_low, mode, nlink, uid, gid;
  uint64_t rdev;
  uint32_t pad1;
  int64_t size;
  uint32_t blksize;
  uint64_t blocks;
  uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
  uint64_t ino;
} __attribute__((packed));

/* What depends on the file system is only compared between the layouts. */
static uint32_t last_blksize, last_blocks;
static uint32_t own_uid, own_gid;

static const char *owner(uint32_t id, uint32_t own) {
  static char text[4][16];
  static int next;
  char *to = text[next++ % 4];
  sprintf(to, id == own ? "own" : "%u", id);
  return to;
}

static void show_new(const char *what, int32_t result, const struct new_stat *s) {
  if (answer(what, result) < 0)
    return;
  say("  mode %#o nlink %u uid %s gid %s rdev %#x size %u", s->mode, s->nlink, owner(s->uid, own_uid),
      owner(s->gid, own_gid), s->rdev, s->size);
  last_blksize = s->blksize;
  last_blocks = s->blocks;
}
static void show_large(const char *what, int32_t result, const struct large_stat *s) {
  if (answer(what, result) == 0)
    say("  mode %#o nlink %u uid %s gid %s rdev %#llx size %lld ino %s", s->mode, s->nlink,
        owner(s->uid, own_uid), owner(s->gid, own_gid), (unsigned long long)s->rdev, (long long)s->size,
        s->ino_low == (uint32_t)s->ino ? "twice" : "different");
}

static void status(void) {
  own_uid = getuid();
  own_gid = getgid();
  char *file = low_string("file"), *link = low_string("link"), *null = low_string("/dev/null");
  int fd = CALL(__NR_open, file, O_RDWR | O_CREAT | 0100000, 0640);
  answer("write", CALL(__NR_write, fd, low_string("some text"), 9));
  CALL(__NR_symlink, file, link);
  struct old_stat *old = low(sizeof *old);
  struct new_stat *new = low(sizeof *new);
  struct large_stat *large = low(sizeof *large);

  /* Whether there is a kernel with these, and small inode numbers, is this machine's business. */
  answer("oldstat of nothing", CALL(__NR_oldstat, low_string("missing"), old));
  show_new("stat", CALL(__NR_stat, link, new), new);
  show_new("lstat", CALL(__NR_lstat, link, new), new);
  show_new("fstat", CALL(__NR_fstat, fd, new), new);
  show_new("stat of a device", CALL(__NR_stat, null, new), new);
  answer("stat of nothing", CALL(__NR_stat, low_string("missing"), new));
  answer("stat to a bad address", CALL(__NR_stat, file, 16));
  answer("stat from a bad address", CALL(__NR_stat, 16, new));
  answer("stat of a file as a directory", CALL(__NR_stat, low_string("file/x"), new));
  answer("fstat of a bad descriptor", CALL(__NR_fstat, -1, new));
  show_large("stat64", CALL(__NR_stat64, link, large), large);
  show_large("lstat64", CALL(__NR_lstat64, link, large), large);
  show_new("fstat", CALL(__NR_fstat, fd, new), new);
  show_large("fstat64", CALL(__NR_fstat64, fd, large), large);
  say("  the same blocks: %d", last_blksize == large->blksize && last_blocks == large->blocks);
  show_large("stat64 of a device", CALL(__NR_stat64, null, large), large);
  show_large("fstatat64", CALL(__NR_fstatat64, AT_FDCWD, link, large, 0), large);
  show_large("fstatat64 nofollow", CALL(__NR_fstatat64, AT_FDCWD, link, large, 0x100), large);
  show_large("fstatat64 of the descriptor", CALL(__NR_fstatat64, fd, low_string(""), large, 0x1000), large);
  answer("fstatat64 empty", CALL(__NR_fstatat64, fd, low_string(""), large, 0));
  answer("fstatat64 flags", CALL(__NR_fstatat64, fd, link, large, 1));

  answer("ftruncate64", CALL(__NR_ftruncate64, fd, PAIR(UINT64_C(0x7FFFFFFF))));
  show_new("stat of the largest", CALL(__NR_stat, file, new), new);
  answer("ftruncate64", CALL(__NR_ftruncate64, fd, PAIR(UINT64_C(0x80000000))));
  answer("stat of a larger one", CALL(__NR_stat, file, new));
  answer("fstat of it", CALL(__NR_fstat, fd, new));
  answer("oldfstat of it", CALL(__NR_oldfstat, fd, old));
  show_large("stat64 of it", CALL(__NR_stat64, file, large), large);
  CALL(__NR_ftruncate64, fd, PAIR(9));

  uint8_t *x = low(256);
  if (answer("statx", CALL(__NR_statx, AT_FDCWD, file, 0, 0x7FF, x)) == 0)
    say("  mode %#o size %llu", *(uint16_t *)(x + 28), *(unsigned long long *)(x + 40));
  answer("statx flags", CALL(__NR_statx, AT_FDCWD, file, 0x6000, 0x7FF, x));
  answer("statx of the descriptor", CALL(__NR_statx, fd, low_string(""), 0x1000, 0x7FF, x));
  answer("statx to a bad address", CALL(__NR_statx, AT_FDCWD, file, 0, 0x7FF, 16));

  answer("access", CALL(__NR_access, file, 4));
  answer("access of nothing", CALL(__NR_access, low_string("missing"), 0));
  answer("access mode", CALL(__NR_access, file, 64));
  answer("faccessat", CALL(__NR_faccessat, AT_FDCWD, file, 2));
  answer("faccessat2", CALL(__NR_faccessat2, AT_FDCWD, link, 0, 0x100));
  answer("faccessat2 flags", CALL(__NR_faccessat2, AT_FDCWD, link, 0, 0x8000));
  CALL(__NR_close, fd);
}

static void owners(void) {
  char *file = low_string("file"), *link = low_string("link");
  struct new_stat *new = low(sizeof *new);
  struct large_stat *large = low(sizeof *large);
  answer("chmod", CALL(__NR_chmod, file, 04711));
  show_new("stat", CALL(__NR_stat, file, new), new);
  int fd = CALL(__NR_open, file, O_RDONLY);
  answer("fchmod", CALL(__NR_fchmod, fd, 0600));
  answer("fchmodat", CALL(__NR_fchmodat, AT_FDCWD, link, 0644));
  answer("fchmodat2 of a link", CALL(__NR_fchmodat2, AT_FDCWD, link, 0600, 0x100));
  answer("fchmodat2", CALL(__NR_fchmodat2, AT_FDCWD, file, 0604, 0x100));
  show_new("stat", CALL(__NR_stat, file, new), new);
  answer("chmod of nothing", CALL(__NR_chmod, low_string("missing"), 0600));
  answer("chown to nobody else", CALL(__NR_chown, file, 0xFFFF, 0xFFFF));
  answer("chown32 to nobody else", CALL(__NR_chown32, file, -1, -1));
  answer("chown32", CALL(__NR_chown32, file, 70000, 80000));
  show_new("stat", CALL(__NR_stat, file, new), new);
  show_large("stat64", CALL(__NR_stat64, file, large), large);
  answer("chown", CALL(__NR_chown, file, 1234, 0xFFFF));
  show_large("stat64", CALL(__NR_stat64, file, large), large);
  answer("chown of wide ids", CALL(__NR_chown, file, 0x50005, 0x6FFFF));
  show_large("stat64", CALL(__NR_stat64, file, large), large);
  answer("lchown", CALL(__NR_lchown, link, 7, 8));
  answer("lchown32", CALL(__NR_lchown32, link, 70007, -1));
  show_new("lstat", CALL(__NR_lstat, link, new), new);
  answer("fchown", CALL(__NR_fchown, fd, 9, 0xFFFF));
  answer("fchown32", CALL(__NR_fchown32, fd, -1, 90000));
  show_large("fstat64", CALL(__NR_fstat64, fd, large), large);
  answer("fchownat", CALL(__NR_fchownat, AT_FDCWD, link, 3, 4, 0));
  show_large("stat64", CALL(__NR_stat64, file, large), large);
  answer("fchownat flags", CALL(__NR_fchownat, AT_FDCWD, link, 3, 4, 1));
  CALL(__NR_close, fd);
}

static void times(void) {
  char *file = low_string("file"), *link = low_string("link");
  struct large_stat *s = low(sizeof *s);
  int32_t *t = low(32);
#define SHOW_TIMES(of)                                                                                       \
  CALL(__NR_stat64, of, s);                                                                                  \
  say("  %d.%09u %d.%09u", (int32_t)s->atime, s->atime_nsec, (int32_t)s->mtime, s->mtime_nsec)
  t[0] = 1000000000, t[1] = -5;
  answer("utime", CALL(__NR_utime, file, t));
  SHOW_TIMES(file);
  answer("utime now", CALL(__NR_utime, file, 0));
  t[0] = 1, t[1] = 999999, t[2] = 0x7FFFFFFF, t[3] = 1;
  answer("utimes", CALL(__NR_utimes, file, t));
  SHOW_TIMES(file);
  t[1] = 1000000;
  answer("utimes of too much", CALL(__NR_utimes, file, t));
  t[1] = -1;
  answer("futimesat of too little", CALL(__NR_futimesat, AT_FDCWD, file, t));
  t[1] = 123;
  answer("futimesat", CALL(__NR_futimesat, AT_FDCWD, link, t));
  SHOW_TIMES(file);
  t[0] = -1, t[1] = 999999999, t[2] = 5, t[3] = (1 << 30) - 2; /* UTIME_OMIT */
  answer("utimensat", CALL(__NR_utimensat, AT_FDCWD, file, t, 0));
  SHOW_TIMES(file);
  t[1] = (1 << 30) - 2;
  answer("utimensat of nothing to do", CALL(__NR_utimensat, AT_FDCWD, low_string("missing"), t, 0));
  t[1] = 1000000000;
  answer("utimensat of too much", CALL(__NR_utimensat, AT_FDCWD, file, t, 0));
  answer("utimensat flags", CALL(__NR_utimensat, AT_FDCWD, file, 0, 0x4000));
  answer("utimensat no path", CALL(__NR_utimensat, AT_FDCWD, 0, 0, 0));
  int fd = CALL(__NR_open, file, O_RDONLY);
  int64_t *wide = low(32);
  wide[0] = INT64_C(3000000000), wide[1] = (INT64_C(0xABCD) << 32) | 17; /* the upper half is padding */
  wide[2] = 44, wide[3] = 55;
  answer("utimensat_time64 of a descriptor", CALL(__NR_utimensat_time64, fd, 0, wide, 0));
  SHOW_TIMES(file);
  answer("utimensat_time64 of a link", CALL(__NR_utimensat_time64, AT_FDCWD, link, wide, 0x100));
  answer("utimensat_time64 from a bad address", CALL(__NR_utimensat_time64, AT_FDCWD, link, 16, 0));
  CALL(__NR_close, fd);
}

static void extended(void) {
  char *file = low_string("file"), *name = low_string("user.color"), *out = low(64);
  int fd = CALL(__NR_open, file, O_RDONLY);
  answer("getxattr of none", CALL(__NR_getxattr, file, name, out, 64));
  answer("setxattr", CALL(__NR_setxattr, file, name, low_string("blue"), 4, 0));
  answer("setxattr create", CALL(__NR_setxattr, file, name, low_string("red"), 3, 1));
  answer("fsetxattr", CALL(__NR_fsetxattr, fd, low_string("user.shape"), low_string("round"), 5, 0));
  answer("getxattr", CALL(__NR_getxattr, file, name, out, 64));
  answer("getxattr size", CALL(__NR_getxattr, file, name, 0, 0));
  answer("getxattr short", CALL(__NR_getxattr, file, name, out, 2));
  say("\"%s\"", out);
  answer("lgetxattr of a link", CALL(__NR_lgetxattr, low_string("link"), name, out, 64));
  answer("lsetxattr of a link", CALL(__NR_lsetxattr, low_string("link"), name, out, 4, 0));
  answer("fgetxattr", CALL(__NR_fgetxattr, fd, low_string("user.shape"), out, 64));
  answer("listxattr", CALL(__NR_listxattr, file, out, 64));
  answer("llistxattr", CALL(__NR_llistxattr, low_string("link"), out, 64));
  answer("flistxattr", CALL(__NR_flistxattr, fd, 0, 0));
  answer("removexattr", CALL(__NR_removexattr, file, name));
  answer("removexattr again", CALL(__NR_removexattr, file, name));
  answer("lremovexattr", CALL(__NR_lremovexattr, file, name));
  answer("fremovexattr", CALL(__NR_fremovexattr, fd, low_string("user.shape")));
  CALL(__NR_close, fd);
}

static void file_systems(void) {
  struct {
    uint32_t type, bsize, blocks, bfree, bavail, files, ffree;
    int32_t fsid[2];
    uint32_t namelen, frsize, flags, spare[4];
  } *s = low(sizeof *s);
  struct {
    uint32_t type, bsize;
    uint64_t blocks, bfree, bavail, files, ffree;
    int32_t fsid[2];
    uint32_t namelen, frsize, flags, spare[4];
  } __attribute__((packed)) *l = low(sizeof *l);
  char *here = low_string("."), *proc = low_string("/proc");
  if (answer("statfs of /proc", CALL(__NR_statfs, proc, s)) == 0)
    say("  type %#x bsize %u blocks %u files %u namelen %u frsize %u", s->type, s->bsize, s->blocks, s->files,
        s->namelen, s->frsize);
  if (answer("statfs64 of /proc", CALL(__NR_statfs64, proc, 84, l)) == 0)
    say("  type %#x bsize %u blocks %llu files %llu namelen %u frsize %u", l->type, l->bsize,
        (unsigned long long)l->blocks, (unsigned long long)l->files, l->namelen, l->frsize);
  answer("statfs64 here", CALL(__NR_statfs64, here, 84, l));
  if (l->blocks <= UINT32_MAX) { /* else EOVERFLOW */
    answer("statfs here", CALL(__NR_statfs, here, s));
    say("  the same: %d", s->type == l->type && s->bsize == l->bsize && s->blocks == l->blocks &&
                              s->files == (uint32_t)l->files && s->namelen == l->namelen &&
                              s->frsize == l->frsize && s->flags == l->flags &&
                              memcmp(s->fsid, l->fsid, 8) == 0);
  }
  answer("statfs64 size 88", CALL(__NR_statfs64, here, 88, l));
  answer("statfs64 size 64", CALL(__NR_statfs64, here, 64, l));
  answer("statfs of nothing", CALL(__NR_statfs, low_string("missing"), s));
  answer("statfs to a bad address", CALL(__NR_statfs, here, 16));
  int fd = CALL(__NR_open, here, O_RDONLY);
  answer("fstatfs", CALL(__NR_fstatfs, fd, s));
  answer("fstatfs64", CALL(__NR_fstatfs64, fd, 84, l));
  answer("fstatfs64 of a bad one", CALL(__NR_fstatfs64, -1, 84, l));
  answer("ustat of nothing", CALL(__NR_ustat, 0xFFFF, low(20)));
  CALL(__NR_close, fd);
}

void scenario(void) {
  status();
  owners();
  times();
  extended();
  file_systems();
}

#ifndef SCENARIO_IN_PROCESS
#include <sys/statvfs.h>
static void with_libc(void) {
  struct stat s;
  utimensat(AT_FDCWD, "file", NULL, 0); /* times that 32 bits hold */
  int result = stat("file", &s);
  say("stat: %d, size %ld, mode %#o", result, (long)s.st_size, s.st_mode);
  int fd = open64("file", O_RDWR);
  ftruncate64(fd, 3LL << 30);
  struct stat64 s64;
  result = stat("file", &s);
  say("stat of a large file: %s", result ? strerrorname_np(errno) : "fits");
  result = stat64("file", &s64);
  say("stat64: %d, size %lld", result, (long long)s64.st_size);
  result = open("file", O_RDONLY);
  say("open: %s", result < 0 ? strerrorname_np(errno) : "opened");
  close(fd);
  struct timespec now[2] = {{12345, 678}, {0, UTIME_OMIT}};
  result = utimensat(AT_FDCWD, "link", now, AT_SYMLINK_NOFOLLOW);
  lstat("link", &s);
  say("utimensat: %d, time %ld.%09ld", result, (long)s.st_atim.tv_sec, s.st_atim.tv_nsec);
  struct statvfs v;
  result = statvfs("/proc", &v);
  say("statvfs: %d, name length %lu", result, v.f_namemax);
  result = access("file", F_OK);
  say("access: %d, euidaccess: %d", result, euidaccess("/", X_OK));
}
#endif
