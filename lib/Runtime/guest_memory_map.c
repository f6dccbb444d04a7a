/* mmap(2), munmap(2), mprotect(2) and brk(2) on guest memory.
 *
 * Each function checks what the kernel would check against the guest's address space, for which the host
 * would answer differently (free addresses, the end of user space, gaps), and leaves everything else
 * (files, permissions, locks, memory) to the host's own call, made with MAP_FIXED at the guest's
 * address. Where two arguments are wrong at once, the checks run in the kernel's order. */
#include "Runtime/guest_memory_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/vfs.h>

static uint8_t implied_exec(int prot) {
  return guest_memory.read_implies_exec && prot & PROT_READ ? GUEST_PAGE_EXEC : 0;
}

/* --- mmap ----------------------------------------------------------------------------------- */

/* log2 of the page size that MAP_HUGETLB asks for. */
static uint32_t huge_shift(int flags) {
  const uint32_t asked = (uint32_t)flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
  return asked ? asked : 21;
}

/* Where the mapping goes: a page number or a negative errno. */
static int64_t choose_place(guest_addr address, uint32_t pages, int flags, uint32_t align) {
  if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
    return memory_place(address, pages, align);
  if (pages > TASK_PAGES || address > GUEST_TASK_SIZE - ((uint64_t)pages << GUEST_PAGE_SHIFT))
    return -ENOMEM;
  if (!page_aligned(address))
    return -EINVAL;
  const uint32_t first = address >> GUEST_PAGE_SHIFT;
  memory_settle(first, first + pages);
  if (flags & MAP_FIXED_NOREPLACE && !range_is_free(first, first + pages))
    return -EEXIST;
  return first;
}

static int64_t map_aligned(guest_addr address, uint32_t pages, int prot, int flags, int fd, uint64_t offset,
                           uint32_t align) {
  const int64_t place = choose_place(address, pages, flags, align);
  if (place < 0)
    return place;
  const uint32_t first = (uint32_t)place, end = first + pages;

  uint8_t bits = GUEST_PAGE_MAPPED | memory_access_bits(prot) | implied_exec(prot);
  const int type = flags & MAP_TYPE;
  if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE)
    bits |= GUEST_PAGE_SHARED;
  if (!(flags & MAP_ANONYMOUS))
    bits |= GUEST_PAGE_FILE;
  if (flags & MAP_GROWSDOWN)
    bits |= GUEST_PAGE_GROWS;
  if (!memory_may_expand(pages - memory_mapped_pages(first, end), bits))
    return -ENOMEM;

  memory_drop_code(first, end);
  int host_flags = (flags & ~(MAP_FIXED_NOREPLACE | MAP_32BIT)) | MAP_FIXED;
  if (guest_memory.lock_future && !(guest_memory.lock_future & MCL_ONFAULT))
    host_flags |= MAP_LOCKED;
  const size_t bytes = page_bytes(first, end);
  void *host = mmap(page_host(first), bytes, memory_host_protection(bits), host_flags, fd, (off_t)offset);
  if (host == MAP_FAILED && errno == EPERM && bits & GUEST_PAGE_FILE && !(prot & PROT_EXEC) &&
      bits & GUEST_PAGE_EXEC) {
    /* A file system mounted noexec: there PROT_READ does not imply PROT_EXEC. */
    bits &= ~GUEST_PAGE_EXEC;
    host = mmap(page_host(first), bytes, memory_host_protection(bits), host_flags, fd, (off_t)offset);
  }
  if (host == MAP_FAILED) {
    const int error = errno;
    memory_repair(first, end);
    return -error;
  }
  pages_fill(first, end, bits);
  if (bits & GUEST_PAGE_GROWS)
    memory_open_growth_room(first);
  if (guest_memory.lock_future & MCL_ONFAULT)
    memory_lock_future(first, end);
  return page_address(first);
}

/* Files on hugetlbfs need addresses and lengths in huge pages; told by the EINVAL that others do not give. */
static uint32_t huge_file_align(int fd) {
  struct statfs fs;
  return fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC ? pages_of((uint64_t)fs.f_bsize) : 1;
}

int64_t guest_memory_map(guest_addr address, uint32_t length, int prot, int flags, int fd, uint64_t offset) {
  const bool anonymous = flags & MAP_ANONYMOUS;
  if (!page_aligned((guest_addr)offset))
    return -EINVAL;
  if (!anonymous && fcntl(fd, F_GETFL) < 0)
    return -EBADF;
  uint32_t align = 1;
  if (anonymous && flags & MAP_HUGETLB) {
    const uint32_t shift = huge_shift(flags);
    if (shift <= GUEST_PAGE_SHIFT || shift > 31)
      return -EINVAL;
    align = 1u << (shift - GUEST_PAGE_SHIFT);
  }
  if (length == 0)
    return -EINVAL;

  memory_lock();
  uint32_t pages = (pages_of(length) + align - 1) & ~(align - 1);
  int64_t result = map_aligned(address, pages, prot, flags, fd, offset, align);
  if (result == -EINVAL && !anonymous && (align = huge_file_align(fd)) > 1) {
    pages = (pages + align - 1) & ~(align - 1);
    result = map_aligned(address, pages, prot, flags, fd, offset, align);
  }
  memory_unlock();
  return result;
}

/* --- munmap --------------------------------------------------------------------------------- */

int memory_unmap(uint32_t first, uint32_t end) {
  memory_settle(first, end);
  first = next_mapped(first, end);
  end = pages_scan_down(first, end, 0, GUEST_PAGE_MAPPED);
  if (first >= end)
    return 0;
  memory_drop_code(first, end);
  return memory_release(first, end);
}

int guest_memory_unmap(guest_addr address, uint32_t length) {
  if (!page_aligned(address) || address > GUEST_TASK_SIZE || length > GUEST_TASK_SIZE - address ||
      length == 0)
    return -EINVAL;
  const uint32_t first = address >> GUEST_PAGE_SHIFT;
  memory_lock();
  const int result = memory_unmap(first, first + pages_of(length));
  memory_unlock();
  return result;
}

/* --- mprotect ------------------------------------------------------------------------------- */

static int protect_host(uint32_t first, uint32_t end, uint8_t access, uint8_t code) {
  const int prot = memory_host_protection(access | code);
  return mprotect(page_host(first), page_bytes(first, end), prot) == 0 ? 0 : -errno;
}

/* [first, end) is all code or none of it, all file or none of it. access: the guest's new bits; optional:
 * those of them that only READ_IMPLIES_EXEC adds. */
static int protect_run(uint32_t first, uint32_t end, uint8_t access, uint8_t optional) {
  const uint8_t code = page_bits(first) & GUEST_PAGE_CODE;
  int result = protect_host(first, end, access, code);
  if (result == -EACCES && optional) {
    /* The file may not be executed: then reading does not imply it. */
    access &= ~optional;
    result = protect_host(first, end, access, code);
  }
  /* mprotect() stops at the first mapping that must not have this access; find out how far it went. */
  if (result == -EACCES) {
    uint32_t page = first;
    while (page < end && protect_host(page, page + 1, access, code) == 0)
      page++;
    end = page;
  }
  if (result == 0 || result == -EACCES)
    pages_change(first, end, PAGE_ACCESS, access);
  return result;
}

static int protect(uint32_t first, uint32_t end, int prot) {
  memory_settle(prot & PROT_GROWSDOWN ? 0 : first, end);
  if (prot & PROT_GROWSDOWN) {
    const uint32_t found = next_mapped(first, end);
    if (found == end)
      return -ENOMEM;
    if (!(page_bits(found) & GUEST_PAGE_GROWS))
      return -EINVAL;
    if (found == first)
      first = pages_scan_down(0, found, page_bits(found), (uint8_t)~GUEST_PAGE_CODE);
    else
      first = found;
  } else if (!(page_bits(first) & GUEST_PAGE_MAPPED)) {
    return -ENOMEM;
  } else if (prot & PROT_GROWSUP) {
    return -EINVAL;
  }

  const uint32_t stop = next_free(first, end);
  const uint8_t optional = prot & PROT_EXEC ? 0 : implied_exec(prot);
  const uint8_t access = memory_access_bits(prot) | optional;
  if (!(access & GUEST_PAGE_EXEC))
    memory_forget_code(first, stop);
  else if (access & GUEST_PAGE_WRITE)
    memory_forget_fixed_code(first, stop);
  /* Pages that hold code stay write-protected; and each kind of file answers for itself. */
  const uint8_t kinds = (access & GUEST_PAGE_WRITE ? GUEST_PAGE_CODE : 0) | (optional ? GUEST_PAGE_FILE : 0);
  for (uint32_t page = first, next; page < stop; page = next) {
    const uint8_t bits = page_bits(page);
    next = pages_scan_up(page, stop, bits, kinds);
    if (access & GUEST_PAGE_WRITE && !page_is_data(bits) && page_is_data(bits | GUEST_PAGE_WRITE) &&
        !memory_within_limits(0, next - page))
      return -ENOMEM;
    const int result = protect_run(page, next, access, optional);
    if (result != 0)
      return result;
  }
  return stop < end ? -ENOMEM : 0;
}

int guest_memory_protect(guest_addr address, uint32_t length, int prot) {
  const int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
  const int known = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP;
  if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || !page_aligned(address))
    return -EINVAL;
  if (length == 0)
    return 0;
  if (prot & ~known)
    return -EINVAL;
  const uint32_t first = address >> GUEST_PAGE_SHIFT;
  const uint32_t wanted = first + pages_of(length);
  const uint32_t end = wanted < GUEST_PAGES ? wanted : GUEST_PAGES;
  if (first >= TASK_PAGES)
    return -ENOMEM;
  memory_lock();
  const int result = protect(first, end, prot);
  memory_unlock();
  return result;
}

/* --- brk ------------------------------------------------------------------------------------ */

void guest_memory_set_brk_start(guest_addr start) {
  memory_lock();
  guest_memory.break_start = guest_memory.break_end = start;
  memory_unlock();
}

/* The kernel keeps a page free above the break, and more below a mapping that grows down. */
static bool break_has_room(uint32_t old, uint32_t new) {
  if (new + 1 > TASK_PAGES)
    return false;
  const uint32_t limit = new + 1 + STACK_GUARD_PAGES < TASK_PAGES ? new + 1 + STACK_GUARD_PAGES : TASK_PAGES;
  memory_settle(old, limit);
  const uint32_t next = next_mapped(old, limit);
  const uint32_t guard = page_bits(next) & GUEST_PAGE_GROWS ? STACK_GUARD_PAGES : 0;
  return next == limit || new + 1 + guard <= next;
}

static bool move_break(guest_addr wanted) {
  const uint32_t old = pages_of(guest_memory.break_end), new = pages_of(wanted);
  if (old == new)
    return true;
  if (new < old) {
    memory_settle(new, old);
    return !range_is_free(new, old) && memory_unmap(new, old) == 0;
  }
  const uint8_t bits = GUEST_PAGE_MAPPED | GUEST_PAGE_READ | GUEST_PAGE_WRITE | implied_exec(PROT_READ);
  if (!break_has_room(old, new) || !memory_may_expand(new - old, bits))
    return false;
  if (mmap(page_host(old), page_bytes(old, new), memory_host_protection(bits),
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
    memory_repair(old, new);
    return false;
  }
  pages_fill(old, new, bits);
  memory_lock_future(old, new);
  return true;
}

guest_addr guest_memory_brk(guest_addr wanted) {
  memory_lock();
  if (wanted >= guest_memory.break_start && move_break(wanted))
    guest_memory.break_end = wanted;
  const guest_addr now = guest_memory.break_end;
  memory_unlock();
  return now;
}
