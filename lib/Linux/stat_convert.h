/* The i386 layouts of file and file-system status, and the conversions from the host's.
 *
 * A conversion returns 0, or -EOVERFLOW where a field of the old layouts cannot hold its value, with the
 * kernel's own exceptions: user and group ids become 65534, times and block counts are cut off. */
#ifndef UEMU_LINUX_STAT_CONVERT_H
#define UEMU_LINUX_STAT_CONVERT_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* oldstat(2): struct __old_kernel_stat. */
struct guest_old_stat {
  uint16_t dev, ino, mode, nlink, uid, gid, rdev, pad;
  uint32_t size, atime, mtime, ctime;
};

/* stat(2): struct stat. */
struct guest_stat {
  uint32_t dev, ino;
  uint16_t mode, nlink, uid, gid;
  uint32_t rdev, size, blksize, blocks;
  uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
  uint32_t unused[2];
};

/* stat64(2): struct stat64, where 64-bit fields are aligned to 4 bytes. */
struct guest_stat64 {
  uint64_t dev;
  uint8_t pad0[4];
  uint32_t ino_low;
  uint32_t mode, nlink, uid, gid;
  uint64_t rdev;
  uint8_t pad1[4];
  int64_t size;
  uint32_t blksize;
  uint64_t blocks;
  uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
  uint64_t ino;
} __attribute__((packed));

/* statfs(2). */
struct guest_statfs {
  uint32_t type, bsize, blocks, bfree, bavail, files, ffree;
  int32_t fsid[2];
  uint32_t namelen, frsize, flags, spare[4];
};

/* statfs64(2). */
struct guest_statfs64 {
  uint32_t type, bsize;
  uint64_t blocks, bfree, bavail, files, ffree;
  int32_t fsid[2];
  uint32_t namelen, frsize, flags, spare[4];
} __attribute__((packed));

_Static_assert(sizeof(struct guest_old_stat) == 32, "__old_kernel_stat");
_Static_assert(sizeof(struct guest_stat) == 64, "stat");
_Static_assert(sizeof(struct guest_stat64) == 96, "stat64");
_Static_assert(sizeof(struct guest_statfs) == 64, "statfs");
_Static_assert(sizeof(struct guest_statfs64) == 84, "statfs64");

int stat_convert_old(const struct stat *host, struct guest_old_stat *guest);
int stat_convert(const struct stat *host, struct guest_stat *guest);
int stat_convert_64(const struct stat *host, struct guest_stat64 *guest);
int statfs_convert(const struct statfs *host, struct guest_statfs *guest);
int statfs_convert_64(const struct statfs *host, struct guest_statfs64 *guest);

#endif
