#include "Linux/stat_convert.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/sysmacros.h>

#define LARGEST_SMALL_FILE 0x7FFFFFFF

/* What a 16-bit field shows for an id that it cannot hold (/proc/sys/kernel/overflowuid). */
static uint16_t short_id(uint32_t id) { return id > UINT16_MAX ? 65534 : (uint16_t)id; }

/* Device numbers of the 16-bit kind: 8 bits of major, 8 of minor. */
static bool is_old_device(dev_t device) { return major(device) < 256 && minor(device) < 256; }
static uint16_t old_device(dev_t device) { return (uint16_t)(major(device) << 8 | minor(device)); }

int stat_convert_old(const struct stat *host, struct guest_old_stat *guest) {
  if (!is_old_device(host->st_dev) || !is_old_device(host->st_rdev))
    return -EOVERFLOW;
  *guest = (struct guest_old_stat){
      .dev = old_device(host->st_dev),
      .ino = (uint16_t)host->st_ino,
      .mode = (uint16_t)host->st_mode,
      .nlink = (uint16_t)host->st_nlink,
      .uid = short_id(host->st_uid),
      .gid = short_id(host->st_gid),
      .rdev = old_device(host->st_rdev),
      .size = (uint32_t)host->st_size,
      .atime = (uint32_t)host->st_atime,
      .mtime = (uint32_t)host->st_mtime,
      .ctime = (uint32_t)host->st_ctime,
  };
  if (guest->ino != host->st_ino || guest->nlink != host->st_nlink || host->st_size > LARGEST_SMALL_FILE)
    return -EOVERFLOW;
  return 0;
}

int stat_convert(const struct stat *host, struct guest_stat *guest) {
  *guest = (struct guest_stat){
      .dev = (uint32_t)host->st_dev,
      .ino = (uint32_t)host->st_ino,
      .mode = (uint16_t)host->st_mode,
      .nlink = (uint16_t)host->st_nlink,
      .uid = short_id(host->st_uid),
      .gid = short_id(host->st_gid),
      .rdev = (uint32_t)host->st_rdev,
      .size = (uint32_t)host->st_size,
      .blksize = (uint32_t)host->st_blksize,
      .blocks = (uint32_t)host->st_blocks,
      .atime = (uint32_t)host->st_atime,
      .atime_nsec = (uint32_t)host->st_atim.tv_nsec,
      .mtime = (uint32_t)host->st_mtime,
      .mtime_nsec = (uint32_t)host->st_mtim.tv_nsec,
      .ctime = (uint32_t)host->st_ctime,
      .ctime_nsec = (uint32_t)host->st_ctim.tv_nsec,
  };
  if (guest->ino != host->st_ino || guest->nlink != host->st_nlink || host->st_size > LARGEST_SMALL_FILE)
    return -EOVERFLOW;
  return 0;
}

int stat_convert_64(const struct stat *host, struct guest_stat64 *guest) {
  *guest = (struct guest_stat64){
      .dev = host->st_dev,
      .ino_low = (uint32_t)host->st_ino,
      .mode = host->st_mode,
      .nlink = (uint32_t)host->st_nlink,
      .uid = host->st_uid,
      .gid = host->st_gid,
      .rdev = host->st_rdev,
      .size = host->st_size,
      .blksize = (uint32_t)host->st_blksize,
      .blocks = (uint64_t)host->st_blocks,
      .atime = (uint32_t)host->st_atime,
      .atime_nsec = (uint32_t)host->st_atim.tv_nsec,
      .mtime = (uint32_t)host->st_mtime,
      .mtime_nsec = (uint32_t)host->st_mtim.tv_nsec,
      .ctime = (uint32_t)host->st_ctime,
      .ctime_nsec = (uint32_t)host->st_ctim.tv_nsec,
      .ino = host->st_ino,
  };
  return 0;
}

/* All ones is what file systems without a fixed number of inodes say; it stays all ones. */
static bool count_fits(uint64_t count) { return count <= UINT32_MAX || count == UINT64_MAX; }

int statfs_convert(const struct statfs *host, struct guest_statfs *guest) {
  const uint64_t sizes = (uint64_t)(host->f_blocks | host->f_bfree | host->f_bavail) |
                         (uint64_t)host->f_bsize | (uint64_t)host->f_frsize;
  if (sizes > UINT32_MAX || !count_fits(host->f_files) || !count_fits(host->f_ffree))
    return -EOVERFLOW;
  *guest = (struct guest_statfs){
      .type = (uint32_t)host->f_type,
      .bsize = (uint32_t)host->f_bsize,
      .blocks = (uint32_t)host->f_blocks,
      .bfree = (uint32_t)host->f_bfree,
      .bavail = (uint32_t)host->f_bavail,
      .files = (uint32_t)host->f_files,
      .ffree = (uint32_t)host->f_ffree,
      .namelen = (uint32_t)host->f_namelen,
      .frsize = (uint32_t)host->f_frsize,
      .flags = (uint32_t)host->f_flags,
  };
  memcpy(guest->fsid, &host->f_fsid, sizeof guest->fsid);
  return 0;
}

int statfs_convert_64(const struct statfs *host, struct guest_statfs64 *guest) {
  if (((uint64_t)host->f_bsize | (uint64_t)host->f_frsize) > UINT32_MAX)
    return -EOVERFLOW;
  *guest = (struct guest_statfs64){
      .type = (uint32_t)host->f_type,
      .bsize = (uint32_t)host->f_bsize,
      .blocks = host->f_blocks,
      .bfree = host->f_bfree,
      .bavail = host->f_bavail,
      .files = host->f_files,
      .ffree = host->f_ffree,
      .namelen = (uint32_t)host->f_namelen,
      .frsize = (uint32_t)host->f_frsize,
      .flags = (uint32_t)host->f_flags,
  };
  memcpy(guest->fsid, &host->f_fsid, sizeof guest->fsid);
  return 0;
}
