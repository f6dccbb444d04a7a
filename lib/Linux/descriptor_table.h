/* What the host's kernel does not know about the guest's descriptors.
 *
 * - A 32-bit process may open files without O_LARGEFILE: F_GETFL says so, and writes stop at 2 GiB
 *   (open(2)). For a 64-bit process like ours every file is large.
 * - Directory offsets of a 64-bit process are 64-bit hashes on some file systems; the guest gets
 *   numbers that fit into 31 bits (directory.c).
 *
 * Both belong to the open file description: dup copies share them. A descriptor without a record is
 * an ordinary large file: so are those that came through exec or a socket. A vfork child, which shares
 * our memory but not our descriptors, has no records and leaves its parent's alone: `process` tells.
 *
 * Some descriptors are the emulator's own; the guest must neither close nor replace them.
 *
 * Threads: all functions may be called from any thread. */
#ifndef UEMU_LINUX_DESCRIPTOR_TABLE_H
#define UEMU_LINUX_DESCRIPTOR_TABLE_H

#include "Linux/process.h"

enum descriptor_flag {
  DESCRIPTOR_SMALL = 1 << 0,   /* opened without O_LARGEFILE */
  DESCRIPTOR_LIMITED = 1 << 1, /* … for writing a regular file: not past 2 GiB */
  DESCRIPTOR_COOKIES = 1 << 2, /* has directory cookies */
};

uint8_t descriptor_flags(const struct process *process, int fd);

/* A new descriptor, with the flags given (no DESCRIPTOR_COOKIES). */
void descriptor_opened(const struct process *process, int fd, uint8_t flags);
/* `fd` is about to be closed (or replaced). */
void descriptor_closing(const struct process *process, int fd);
/* The same for all of first to last, but the emulator's own. */
void descriptor_closing_range(const struct process *process, uint32_t first, uint32_t last);
void descriptor_duplicated(const struct process *process, int from, int to);

/* Moves a descriptor of the emulator's own up, as guests count on getting the lowest ones: closes `fd`,
 * returns the new one (close-on-exec) or a negative errno, then with `fd` still open. */
int descriptor_move_high(int fd);

/* Lets the emulator open files of its own when the guest's descriptors are at their limit: raises the soft
 * limit, if the hard one allows. restore() takes what raise() returned. */
uint64_t descriptor_limit_raise(void);
void descriptor_limit_restore(uint64_t soft);

/* For threads of the emulator's own: they have descriptors for themselves from here on, of which only the log is
 * there. So what they open takes no number from the guest, and a pipe ends when the guest has closed it. Nothing
 * changes if the kernel lacks close_range(2) (before Linux 5.9). */
void descriptor_table_leave(void);

/* Is it one of the emulator's own? */
bool descriptor_is_reserved(const struct process *process, int fd);
/* The guest wants this very number: moves our own away if it is one. 0 or a negative errno. */
int descriptor_vacate(struct process *process, int fd);

/* Directory cookies: numbers from 0 to INT32_MAX for host offsets. descriptor_cookie gives the cookie for
 * `offset`, which follows the position that has the cookie `previous`; negative errno: no memory.
 * descriptor_offset is the way back: -EINVAL for a number that was never given out. */
int64_t descriptor_cookie(const struct process *process, int fd, uint32_t previous, uint64_t offset);
int64_t descriptor_offset(const struct process *process, int fd, uint32_t cookie);
/* The cookie that was given out last for `offset`; -ENOENT if none was. */
int64_t descriptor_cookie_of(const struct process *process, int fd, uint64_t offset);
/* The directory was rewound: earlier cookies are void (seekdir(3p)). */
void descriptor_cookies_forget(const struct process *process, int fd);

#endif
