/* The module's state and its upkeep: reservation, limits, the lock, and questions about pages.
 * docs/guest-memory.md tells the whole story. */
#include "Runtime/guest_memory_internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct guest_memory guest_memory = {
    .limit_address_space = RLIM_INFINITY,
    .limit_data = RLIM_INFINITY,
};

/* --- The lock ------------------------------------------------------------------------------
 * A futex rather than a mutex, because it is taken in the SIGSEGV handler too. That cannot deadlock:
 * code that holds the lock touches no guest memory. */

void memory_lock(void) {
  uint32_t seen = 0;
  if (__atomic_compare_exchange_n(&guest_memory.lock, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return;
  while (__atomic_exchange_n(&guest_memory.lock, 2, __ATOMIC_ACQUIRE) != 0)
    syscall(SYS_futex, &guest_memory.lock, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

void memory_unlock(void) {
  if (__atomic_exchange_n(&guest_memory.lock, 0, __ATOMIC_RELEASE) == 2)
    syscall(SYS_futex, &guest_memory.lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void guest_memory_fork_prepare(void) { memory_lock(); }
void guest_memory_fork_done(void) { memory_unlock(); }

/* --- Start ---------------------------------------------------------------------------------- */

/* The kernel's mmap_min_addr in pages. /proc/sys/vm shows only one of the two settings that it is made of,
 * but a hint below it is moved up to it; a hint above is taken. Never page 0: the search does not give
 * that out. */
static uint32_t lowest_page(void) {
  void *const hint = (void *)(uintptr_t)GUEST_PAGE_SIZE;
  void *const got =
      mmap(hint, GUEST_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED)
    return 16;
  munmap(got, GUEST_PAGE_SIZE);
  return (uintptr_t)got < 1u << 24 ? pages_of((uintptr_t)got) : 16;
}

static int reserve(uint32_t first, uint32_t end, int replace) {
  void *const want = page_host(first);
  void *const got = mmap(want, page_bytes(first, end), PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | replace, -1, 0);
  if (got == MAP_FAILED)
    return -errno;
  if (got != want) { /* a kernel before 4.17, which takes MAP_FIXED_NOREPLACE for a hint */
    munmap(got, page_bytes(first, end));
    return -EEXIST;
  }
  return 0;
}

/* The reservation alone is 4 GiB, so a soft limit on the address space cannot stay the host's. */
static uint64_t take_over_limit(int resource) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return RLIM_INFINITY;
  const uint64_t soft = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(resource, &limit);
  return soft;
}

int guest_memory_init(void) {
  guest_memory.limit_address_space = take_over_limit(RLIMIT_AS);
  guest_memory.limit_data = take_over_limit(RLIMIT_DATA);
  guest_memory.low = lowest_page();
  const int layout = personality(0xFFFFFFFF);
  guest_memory.bottom_up = layout >= 0 && layout & ADDR_COMPAT_LAYOUT;

  struct rlimit stack = {.rlim_cur = 8u << 20};
  getrlimit(RLIMIT_STACK, &stack);
  guest_memory_set_stack_limit(stack.rlim_cur);
  return reserve(guest_memory.low, GUEST_PAGES, MAP_FIXED_NOREPLACE);
}

void guest_memory_set_read_implies_exec(bool on) { guest_memory.read_implies_exec = on; }

void guest_memory_set_stack_limit(uint64_t stack_limit) {
  /* mmap_base() of arch/x86/mm/mmap.c, without randomisation. */
  const uint64_t least = 128u << 20, most = GUEST_TASK_SIZE / 6 * 5;
  const uint64_t pad = (uint64_t)STACK_GUARD_PAGES << GUEST_PAGE_SHIFT;
  uint64_t gap = stack_limit;
  if (gap + pad > gap)
    gap += pad;
  gap = gap < least ? least : gap > most ? most : gap;

  memory_lock();
  guest_memory.base = pages_of(GUEST_TASK_SIZE - gap);
  guest_memory.full_above = guest_memory.base;
  guest_memory.growth_pages = pages_of(gap);
  memory_unlock();
}

void guest_memory_set_limits(uint64_t address_space, uint64_t data) {
  memory_lock();
  guest_memory.limit_address_space = address_space;
  guest_memory.limit_data = data;
  memory_unlock();
}

void guest_memory_limits(uint64_t *address_space, uint64_t *data) {
  memory_lock();
  *address_space = guest_memory.limit_address_space;
  *data = guest_memory.limit_data;
  memory_unlock();
}

/* --- Between bytes and host ------------------------------------------------------------------ */

uint8_t memory_access_bits(int prot) {
  return (uint8_t)((prot & PROT_READ ? GUEST_PAGE_READ : 0) | (prot & PROT_WRITE ? GUEST_PAGE_WRITE : 0) |
                   (prot & PROT_EXEC ? GUEST_PAGE_EXEC : 0));
}

int memory_host_protection(uint8_t bits) {
  int prot = PROT_NONE;
  if (bits & GUEST_PAGE_READ)
    prot |= PROT_READ;
  /* On hosts with protection keys PROT_EXEC alone would keep the translator from reading the page. */
  if (bits & GUEST_PAGE_EXEC)
    prot |= PROT_EXEC | PROT_READ;
  if (bits & GUEST_PAGE_WRITE && !(bits & GUEST_PAGE_CODE))
    prot |= PROT_WRITE;
  return prot;
}

uint32_t memory_mapped_pages(uint32_t first, uint32_t end) {
  uint32_t count = 0;
  for (uint32_t page = next_mapped(first, end), stop; page < end; page = next_mapped(stop, end)) {
    stop = next_free(page, end);
    count += stop - page;
  }
  return count;
}

bool memory_within_limits(uint32_t more_mapped, uint32_t more_data) {
  if (guest_memory.limit_address_space == RLIM_INFINITY && guest_memory.limit_data == RLIM_INFINITY)
    return true;
  /* Counting a million bytes takes some 0.1 ms; a count kept at each change would cost everybody. */
  uint64_t mapped = more_mapped, data = more_data;
  for (uint32_t page = 0; page < TASK_PAGES; page++) {
    mapped += (guest_memory.page[page] & GUEST_PAGE_MAPPED) != 0;
    data += page_is_data(guest_memory.page[page]);
  }
  if (more_mapped && mapped > guest_memory.limit_address_space >> GUEST_PAGE_SHIFT)
    return false;
  return !more_data || data <= guest_memory.limit_data >> GUEST_PAGE_SHIFT;
}

int memory_release(uint32_t first, uint32_t end) {
  if (first < guest_memory.low) {
    const uint32_t part = end < guest_memory.low ? end : guest_memory.low;
    if (munmap(page_host(first), page_bytes(first, part)) != 0)
      return -errno;
    pages_fill(first, part, 0);
    first = part;
    if (first == end)
      return 0;
  }
  /* Below a mapping that grows down the host must have nothing. */
  const uint32_t limit = end <= guest_memory.base ? guest_memory.base + 1 : TASK_PAGES; /* of its reach */
  const uint32_t above = pages_scan_up(end, limit, PAGE_GROWTH_ROOM, 0xFF);
  const bool room = page_grows_down(above) && end > memory_growth_floor(above);
  if (room && munmap(page_host(first), page_bytes(first, end)) != 0)
    return -errno;
  const int result = room ? 0 : reserve(first, end, MAP_FIXED);
  if (result == 0)
    pages_fill(first, end, room ? PAGE_GROWTH_ROOM : 0);
  if (result == 0 && room)
    memory_open_growth_room(above); /* what lies further down may be within its reach again */
  return result;
}

void memory_repair(uint32_t first, uint32_t end) {
  unsigned char in_core;
  while (first < end) {
    const uint8_t bits = page_bits(first);
    uint32_t next = first + 1;
    if (bits & GUEST_PAGE_MAPPED) {
      if (mincore(page_host(first), GUEST_PAGE_SIZE, &in_core) != 0)
        memory_release(first, next);
    } else {
      next = pages_scan_up(first, end, bits, 0xFF);
      if (bits == 0)
        memory_release(first, next);
    }
    first = next;
  }
}

void memory_lock_future(uint32_t first, uint32_t end) {
  if (guest_memory.lock_future)
    syscall(SYS_mlock2, page_host(first), page_bytes(first, end),
            guest_memory.lock_future & MCL_ONFAULT ? MLOCK_ONFAULT : 0);
}

/* --- Questions ------------------------------------------------------------------------------- */

/* A page with room to grow into: the bits of the mapping above, if the host kernel grew it this far. */
static uint8_t growth_room_bits(uint32_t page) {
  unsigned char in_core;
  if (mincore(page_host(page), GUEST_PAGE_SIZE, &in_core) != 0)
    return 0;
  const uint32_t above = pages_scan_up(page, TASK_PAGES, PAGE_GROWTH_ROOM, 0xFF);
  const uint8_t bits = page_bits(above);
  return page_grows_down(above) ? bits & ~GUEST_PAGE_CODE : 0;
}

uint32_t guest_memory_code_files(void) { return __atomic_load_n(&guest_memory.code_files, __ATOMIC_ACQUIRE); }

uint8_t guest_memory_page(guest_addr address) {
  const uint8_t bits = page_bits(address >> GUEST_PAGE_SHIFT);
  return bits == PAGE_GROWTH_ROOM ? growth_room_bits(address >> GUEST_PAGE_SHIFT) : bits;
}

bool guest_memory_has(guest_addr address, uint32_t length, uint8_t bits) {
  if (length == 0)
    return true;
  const uint64_t last = (uint64_t)address + length - 1;
  if (last >= GUEST_TASK_SIZE)
    return false;
  const uint32_t end = (uint32_t)(last >> GUEST_PAGE_SHIFT) + 1;
  for (uint32_t page = address >> GUEST_PAGE_SHIFT; page < end; page++) {
    page = pages_scan_up(page, end, bits, bits);
    if (page < end && (guest_memory_page(page_address(page)) & bits) != bits)
      return false;
  }
  return true;
}

bool guest_memory_next_run(guest_addr *start, uint32_t *length, uint8_t *bits) {
  const uint8_t without_code = (uint8_t)~GUEST_PAGE_CODE;
  if (*start >= GUEST_TASK_SIZE)
    return false;
  memory_lock();
  const uint32_t from = (uint32_t)pages_of(*start);
  uint32_t first = next_mapped(from, TASK_PAGES);
  if (memory_settle(from, first))
    first = next_mapped(from, TASK_PAGES);
  if (first < TASK_PAGES) {
    *bits = page_bits(first) & without_code;
    *start = page_address(first);
    *length = (uint32_t)page_bytes(first, pages_scan_up(first, TASK_PAGES, *bits, without_code));
  }
  memory_unlock();
  return first < TASK_PAGES;
}
