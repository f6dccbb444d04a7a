/* Flags are one atomic byte a descriptor, as reads and writes look at them. Cookies are rare (only
 * offsets that do not fit get one) and stand in a list under a lock.
 *
 * An offset below COOKIE_BASE is its own cookie. Any other gets COOKIE_BASE plus its place in a
 * vector of the offsets in the order in which the directory was read; reading on from a place where
 * one has been before finds the same offsets again and adds nothing. */
#include "Linux/descriptor_table.h"
#include "Linux/host_syscall.h"
#include "Linux/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { FLAGS_LIMIT = 1 << 16 /* descriptors above have no records */ };
#define COOKIE_BASE 0x40000000u

struct cookies {
  struct cookies *next;
  int *fds; /* the descriptors that share this open directory */
  int fd_count;
  uint64_t *offsets;
  uint32_t count, capacity;
};

static _Atomic uint8_t flags[FLAGS_LIMIT];
static _Atomic uint32_t flags_end; /* no descriptor from here on has flags */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static struct cookies *all_cookies;
static _Atomic(const struct process *)
    owner; /* the first to ask; children of fork have it at the same address */

static bool is_owner(const struct process *process) {
  const struct process *expected = NULL;
  return atomic_compare_exchange_strong(&owner, &expected, process) || expected == process;
}

static void take_lock(void) { pthread_mutex_lock(&lock); }
static void drop_lock(void) { pthread_mutex_unlock(&lock); }
static void hold_lock_over_fork(void) { pthread_atfork(take_lock, drop_lock, drop_lock); }

static uint8_t flags_of(int fd) {
  return fd >= 0 && fd < FLAGS_LIMIT ? atomic_load_explicit(&flags[fd], memory_order_relaxed) : 0;
}

uint8_t descriptor_flags(const struct process *process, int fd) {
  const uint8_t value = flags_of(fd);
  return value && is_owner(process) ? value : 0;
}

static void set_flags(int fd, uint8_t value) {
  if (fd < 0 || fd >= FLAGS_LIMIT)
    return;
  uint32_t end = atomic_load(&flags_end);
  while (value && end <= (uint32_t)fd && !atomic_compare_exchange_weak(&flags_end, &end, (uint32_t)fd + 1))
    ;
  atomic_store_explicit(&flags[fd], value, memory_order_relaxed);
}

static struct cookies *find_cookies(int fd, struct cookies ***link) {
  for (struct cookies **at = &all_cookies; *at; at = &(*at)->next)
    for (int i = 0; i < (*at)->fd_count; i++)
      if ((*at)->fds[i] == fd) {
        if (link)
          *link = at;
        return *at;
      }
  return NULL;
}

static bool share_cookies(struct cookies *cookies, int fd) {
  int *fds = realloc(cookies->fds, (size_t)(cookies->fd_count + 1) * sizeof *fds);
  if (!fds)
    return false;
  cookies->fds = fds;
  fds[cookies->fd_count++] = fd;
  return true;
}

static struct cookies *new_cookies(int fd) {
  pthread_once(&fork_once, hold_lock_over_fork);
  struct cookies *cookies = fd < FLAGS_LIMIT ? calloc(1, sizeof *cookies) : NULL;
  if (!cookies || !share_cookies(cookies, fd)) {
    free(cookies);
    return NULL;
  }
  cookies->next = all_cookies;
  all_cookies = cookies;
  set_flags(fd, flags_of(fd) | DESCRIPTOR_COOKIES);
  return cookies;
}

void descriptor_opened(const struct process *process, int fd, uint8_t value) {
  if (is_owner(process))
    set_flags(fd, value);
}

void descriptor_closing(const struct process *process, int fd) {
  const uint8_t had = descriptor_flags(process, fd);
  if (!had)
    return;
  set_flags(fd, 0);
  if (!(had & DESCRIPTOR_COOKIES))
    return;
  take_lock();
  struct cookies **link, *cookies = find_cookies(fd, &link);
  if (cookies) {
    for (int i = 0; i < cookies->fd_count; i++)
      if (cookies->fds[i] == fd)
        cookies->fds[i--] = cookies->fds[--cookies->fd_count];
    if (cookies->fd_count == 0) {
      *link = cookies->next;
      free(cookies->fds);
      free(cookies->offsets);
      free(cookies);
    }
  }
  drop_lock();
}

void descriptor_closing_range(const struct process *process, uint32_t first, uint32_t last) {
  const uint32_t end = atomic_load(&flags_end);
  for (uint32_t fd = first; fd <= last && fd < end; fd++)
    descriptor_closing(process, (int)fd); /* our own have no flags */
}

void descriptor_duplicated(const struct process *process, int from, int to) {
  uint8_t value = descriptor_flags(process, from);
  if (!is_owner(process))
    return;
  if (value & DESCRIPTOR_COOKIES) {
    take_lock();
    struct cookies *cookies = find_cookies(from, NULL);
    if (!cookies || to >= FLAGS_LIMIT || !share_cookies(cookies, to))
      value &= (uint8_t)~DESCRIPTOR_COOKIES;
    drop_lock();
  }
  set_flags(to, value);
}

/* Above the guest's soft limit if that is possible: there the guest neither gets a number nor looks for one.
 * A limit that is large itself has room below it; beyond it the kernel's table would be large, too. */
enum { ROOM = 16, USUAL_LIMIT = 1024, LARGE_LIMIT = 8192 };

uint64_t descriptor_limit_raise(void) {
  struct rlimit limit;
  if (HOST_CALL(SYS_getrlimit, RLIMIT_NOFILE, &limit) < 0)
    return 0;
  const rlim_t soft = limit.rlim_cur;
  if (soft >= LARGE_LIMIT || limit.rlim_max < soft + ROOM)
    return 0;
  limit.rlim_cur = soft + ROOM;
  return HOST_CALL(SYS_setrlimit, RLIMIT_NOFILE, &limit) < 0 ? 0 : soft;
}

void descriptor_limit_restore(uint64_t soft) {
  struct rlimit limit;
  if (soft == 0 || HOST_CALL(SYS_getrlimit, RLIMIT_NOFILE, &limit) < 0)
    return;
  limit.rlim_cur = soft;
  HOST_CALL(SYS_setrlimit, RLIMIT_NOFILE, &limit);
}

int descriptor_move_high(int fd) {
  const uint64_t soft = descriptor_limit_raise();
  int lowest = (int)soft;
  if (soft == 0) {
    struct rlimit limit = {.rlim_cur = USUAL_LIMIT};
    HOST_CALL(SYS_getrlimit, RLIMIT_NOFILE, &limit);
    const int top = limit.rlim_cur < USUAL_LIMIT ? (int)limit.rlim_cur : USUAL_LIMIT;
    lowest = top > 2 * ROOM ? top - ROOM : 0;
  }
  const int moved = (int)HOST_CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest);
  descriptor_limit_restore(soft);
  if (moved >= 0)
    HOST_CALL(SYS_close, fd);
  return moved;
}

void descriptor_table_leave(void) {
  const uint32_t log = (uint32_t)log_descriptor(); /* -1 without one */
  if (HOST_CALL(SYS_close_range, UINT32_MAX, UINT32_MAX, 0) < 0 || HOST_CALL(SYS_unshare, CLONE_FILES) < 0)
    return;
  if (log > 0)
    HOST_CALL(SYS_close_range, 0, log - 1, 0);
  if (log < UINT32_MAX)
    HOST_CALL(SYS_close_range, log + 1, UINT32_MAX, 0);
}

bool descriptor_is_reserved(const struct process *process, int fd) {
  return fd >= 0 && (fd == process->self_fd || fd == log_descriptor());
}

int descriptor_vacate(struct process *process, int fd) {
  if (fd >= 0 && fd == log_descriptor())
    return log_move();
  if (fd < 0 || fd != process->self_fd)
    return 0;
  const int moved = descriptor_move_high(fd);
  if (moved < 0)
    return moved;
  process->self_fd = moved;
  return 0;
}

int64_t descriptor_cookie(const struct process *process, int fd, uint32_t previous, uint64_t offset) {
  if (offset < COOKIE_BASE)
    return (int64_t)offset;
  if (!is_owner(process))
    return (int64_t)(offset & INT32_MAX);
  int64_t result = -ENOMEM;
  take_lock();
  struct cookies *cookies = find_cookies(fd, NULL);
  if (!cookies)
    cookies = new_cookies(fd);
  if (!cookies)
    goto out;
  const uint32_t next = previous >= COOKIE_BASE ? previous - COOKIE_BASE + 1 : 0;
  if (next < cookies->count && cookies->offsets[next] == offset) {
    result = COOKIE_BASE + next;
    goto out;
  }
  if (cookies->count == cookies->capacity) {
    const uint32_t capacity = cookies->capacity ? cookies->capacity * 2 : 64;
    uint64_t *offsets = capacity < COOKIE_BASE ? realloc(cookies->offsets, capacity * sizeof *offsets) : NULL;
    if (!offsets)
      goto out;
    cookies->offsets = offsets;
    cookies->capacity = capacity;
  }
  cookies->offsets[cookies->count] = offset;
  result = COOKIE_BASE + cookies->count++;
out:
  drop_lock();
  return result;
}

int64_t descriptor_offset(const struct process *process, int fd, uint32_t cookie) {
  if (cookie < COOKIE_BASE || !is_owner(process))
    return cookie;
  take_lock();
  const struct cookies *cookies = find_cookies(fd, NULL);
  const uint32_t place = cookie - COOKIE_BASE;
  const int64_t offset = cookies && place < cookies->count ? (int64_t)cookies->offsets[place] : -EINVAL;
  drop_lock();
  return offset;
}

int64_t descriptor_cookie_of(const struct process *process, int fd, uint64_t offset) {
  if (offset < COOKIE_BASE)
    return (int64_t)offset;
  if (!is_owner(process))
    return (int64_t)(offset & INT32_MAX);
  int64_t result = -ENOENT;
  take_lock();
  const struct cookies *cookies = find_cookies(fd, NULL);
  for (uint32_t i = cookies ? cookies->count : 0; i-- > 0;)
    if (cookies->offsets[i] == offset) {
      result = COOKIE_BASE + i;
      break;
    }
  drop_lock();
  return result;
}

void descriptor_cookies_forget(const struct process *process, int fd) {
  if (!is_owner(process))
    return;
  take_lock();
  struct cookies *cookies = find_cookies(fd, NULL);
  if (cookies)
    cookies->count = 0;
  drop_lock();
}
