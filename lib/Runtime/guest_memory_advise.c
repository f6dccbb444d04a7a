/* System calls that walk over mappings without changing which there are: madvise, msync, mincore, mlock.
 *
 * On the host the gaps between guest mappings are reserved and would count as mapped, so the walk is
 * made here: each run of mapped pages is given to the host's call, and gaps are answered with ENOMEM as
 * the kernel does, before or after the rest has been done. */
#include "Runtime/guest_memory_internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* How a walk takes a gap: ends there, or goes on and reports it at the end. */
enum gap_rule { GAP_ENDS, GAP_IS_NOTED };

typedef int walk_function(void *host, size_t bytes, int argument);

static int walk(uint32_t first, uint32_t end, enum gap_rule rule, walk_function *call, int argument) {
  int gap = 0;
  for (uint32_t page = first; page < end;) {
    const uint32_t run = next_mapped(page, end);
    if (run > page)
      gap = -ENOMEM;
    if (run == end || (gap && rule == GAP_ENDS))
      break;
    const uint32_t stop = next_free(run, end);
    if (call(page_host(run), page_bytes(run, stop), argument) != 0)
      return -errno;
    page = stop;
  }
  return gap;
}

/* The pages of [address, address + length), cut at the end of the guest's range. */
static void page_range(guest_addr address, uint32_t length, uint32_t *first, uint32_t *end) {
  const uint64_t last = ((uint64_t)address + length + GUEST_PAGE_SIZE - 1) >> GUEST_PAGE_SHIFT;
  *first = address >> GUEST_PAGE_SHIFT;
  *end = last < GUEST_PAGES ? (uint32_t)last : GUEST_PAGES;
}

/* --- madvise -------------------------------------------------------------------------------- */

static bool advice_changes_contents(int advice) {
  switch (advice) {
  case MADV_DONTNEED:
  case MADV_DONTNEED_LOCKED:
  case MADV_FREE:
  case MADV_REMOVE:
  case MADV_WIPEONFORK:
  case MADV_HWPOISON:
  case MADV_GUARD_INSTALL:
  case MADV_POPULATE_WRITE: /* contents stay, but the host must be able to write */
    return true;
  default:
    return false;
  }
}

int guest_memory_advise(guest_addr address, uint32_t length, int advice) {
  if (madvise((void *)(uintptr_t)GUEST_PAGE_SIZE, 0, advice) != 0)
    return -errno; /* the host does not know it */
  if (!page_aligned(address))
    return -EINVAL;
  uint32_t first, end;
  page_range(address, length, &first, &end);
  if (first == end)
    return 0;
  memory_lock();
  memory_settle(first, end);
  if (advice_changes_contents(advice))
    memory_drop_code(first, end);
  const bool populate = advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE;
  const int result = walk(first, end, populate ? GAP_ENDS : GAP_IS_NOTED, madvise, advice);
  memory_unlock();
  return result;
}

/* --- msync, mincore ------------------------------------------------------------------------- */

int guest_memory_sync(guest_addr address, uint32_t length, int flags) {
  if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || !page_aligned(address) ||
      (flags & MS_ASYNC && flags & MS_SYNC))
    return -EINVAL;
  uint32_t first, end;
  page_range(address, length, &first, &end);
  if (first == end)
    return 0;
  memory_lock();
  memory_settle(first, end);
  const int result = walk(first, end, GAP_IS_NOTED, msync, flags);
  memory_unlock();
  return result;
}

int guest_memory_in_core(guest_addr address, uint32_t length, uint8_t *vector) {
  if (!page_aligned(address))
    return -EINVAL;
  if ((uint64_t)address + length > GUEST_TASK_SIZE)
    return -ENOMEM;
  uint32_t first, end;
  page_range(address, length, &first, &end);
  int result = 0;
  memory_lock();
  memory_settle(first, end);
  const uint32_t stop = next_free(first, end);
  if (stop > first && mincore(page_host(first), page_bytes(first, stop), vector) != 0)
    result = -errno;
  else if (stop < end)
    result = -ENOMEM;
  memory_unlock();
  return result;
}

/* --- mlock ---------------------------------------------------------------------------------- */

static int call_mlock2(void *host, size_t bytes, int flags) {
  return (int)syscall(SYS_mlock2, host, bytes, flags);
}
static int call_munlock(void *host, size_t bytes, int unused) {
  (void)unused;
  return munlock(host, bytes);
}

int guest_memory_lock(guest_addr address, uint32_t length, int flags) {
  if (flags & ~MLOCK_ONFAULT)
    return -EINVAL;
  /* The right to lock at all is checked before the range. */
  if (syscall(SYS_mlock2, NULL, 0, 0) != 0)
    return -errno;
  uint32_t first, end;
  page_range(address, length, &first, &end);
  memory_lock();
  memory_settle(first, end);
  const int result = walk(first, end, GAP_ENDS, call_mlock2, flags);
  memory_unlock();
  return result;
}

int guest_memory_unlock(guest_addr address, uint32_t length) {
  uint32_t first, end;
  page_range(address, length, &first, &end);
  memory_lock();
  memory_settle(first, end);
  const int result = walk(first, end, GAP_ENDS, call_munlock, 0);
  memory_unlock();
  return result;
}

/* All that is mapped must fit RLIMIT_MEMLOCK, unless the process may lock what it likes. */
static bool may_lock_all(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      memory_mapped_pages(0, TASK_PAGES) <= limit.rlim_cur >> GUEST_PAGE_SHIFT)
    return true;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  return syscall(SYS_capget, &header, data) == 0 && data[0].effective & 1u << CAP_IPC_LOCK;
}

/* The host's mlockall() would take the emulator along, so each mapping is locked by itself. */
static int lock_current(int flags) {
  memory_settle(0, TASK_PAGES);
  for (uint32_t page = next_mapped(0, TASK_PAGES), stop; page < TASK_PAGES;
       page = next_mapped(stop, TASK_PAGES)) {
    const uint8_t bits = page_bits(page);
    stop = pages_scan_up(page, TASK_PAGES, bits, 0xFF);
    /* Pages that nobody can touch cannot be brought in; the kernel does not hold that against us here. */
    const int how = flags & MCL_ONFAULT || !(bits & PAGE_ACCESS) ? MLOCK_ONFAULT : 0;
    if (call_mlock2(page_host(page), page_bytes(page, stop), how) != 0 && errno == EPERM)
      return -errno;
  }
  return 0;
}

int guest_memory_lock_all(int flags) {
  if (flags == 0 || flags == MCL_ONFAULT || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
    return -EINVAL;
  if (syscall(SYS_mlock2, NULL, 0, 0) != 0)
    return -errno;
  memory_lock();
  int result = 0;
  if (flags & MCL_CURRENT)
    result = may_lock_all() ? lock_current(flags) : -ENOMEM;
  if (result == 0)
    guest_memory.lock_future = flags & MCL_FUTURE ? flags & (MCL_FUTURE | MCL_ONFAULT) : 0;
  memory_unlock();
  return result;
}

int guest_memory_unlock_all(void) {
  memory_lock();
  guest_memory.lock_future = 0;
  const int result = munlockall() == 0 ? 0 : -errno;
  memory_unlock();
  return result;
}
