/* What the files of the guest-memory module share (docs/guest-memory.md). Nobody else includes it.
 *
 * Inside the module memory is counted in pages: ranges are [first, end) of page numbers, which fit 21
 * bits. Unless a comment says otherwise a function here wants the lock held. */
#ifndef UEMU_RUNTIME_GUEST_MEMORY_INTERNAL_H
#define UEMU_RUNTIME_GUEST_MEMORY_INTERNAL_H

#include "Runtime/guest_memory.h"

enum {
  GUEST_PAGES = 1 << 20,                            /* of 4 GiB */
  TASK_PAGES = GUEST_TASK_SIZE >> GUEST_PAGE_SHIFT, /* those a guest may map */
  STACK_GUARD_PAGES = 256,                          /* the kernel's stack_guard_gap */
  PAGE_ACCESS = GUEST_PAGE_READ | GUEST_PAGE_WRITE | GUEST_PAGE_EXEC,
};

/* The page's byte where nothing is mapped and the host has no reservation either: room into which the
 * host kernel may grow the MAP_GROWSDOWN mapping above. Such a page may have been mapped by a growth
 * that was not noticed yet; memory_settle() looks. */
enum { PAGE_GROWTH_ROOM = GUEST_PAGE_GROWS };

struct guest_memory {
  uint8_t page[GUEST_PAGES] __attribute__((aligned(64))); /* enum guest_page; readable without the lock */
  uint32_t lock;                                          /* futex: 0 free, 1 held, 2 held and waited for */
  uint32_t low;           /* the kernel's mmap_min_addr; the reservation's start */
  uint32_t base;          /* the top-down search starts below this page */
  uint32_t full_above;    /* every page of [full_above, base) is mapped */
  uint32_t growth_pages;  /* the most room that a MAP_GROWSDOWN mapping gets */
  bool bottom_up;         /* ADDR_COMPAT_LAYOUT: search upward from a third of the space */
  bool read_implies_exec; /* READ_IMPLIES_EXEC */
  int lock_future;        /* MCL_FUTURE and MCL_ONFAULT of mlockall(2) */
  guest_addr break_start, break_end;
  uint64_t limit_address_space, limit_data; /* bytes */
  uint32_t code_files;    /* guest_memory_code_files() */
  void (*drop_code)(guest_addr address, uint32_t length);
};
extern struct guest_memory guest_memory;

void memory_lock(void);
void memory_unlock(void);

static inline uint8_t page_bits(uint32_t page) {
  return __atomic_load_n(&guest_memory.page[page], __ATOMIC_RELAXED);
}
static inline void *page_host(uint32_t page) { return (void *)((uintptr_t)page << GUEST_PAGE_SHIFT); }
static inline size_t page_bytes(uint32_t first, uint32_t end) {
  return (size_t)(end - first) << GUEST_PAGE_SHIFT;
}
static inline guest_addr page_address(uint32_t page) { return (guest_addr)page << GUEST_PAGE_SHIFT; }
/* Pages that `length` bytes need: at most GUEST_PAGES. */
static inline uint32_t pages_of(uint64_t length) {
  return (uint32_t)((length + GUEST_PAGE_SIZE - 1) >> GUEST_PAGE_SHIFT);
}
static inline bool page_aligned(guest_addr address) { return (address & (GUEST_PAGE_SIZE - 1)) == 0; }

/* The first page of [first, end) whose bits, as far as mask goes, differ from `bits`; end if none. Does
 * not want the lock. */
uint32_t pages_scan_up(uint32_t first, uint32_t end, uint8_t bits, uint8_t mask);
/* One past the last page of [first, end) whose bits differ so; first if none. */
uint32_t pages_scan_down(uint32_t first, uint32_t end, uint8_t bits, uint8_t mask);
void pages_fill(uint32_t first, uint32_t end, uint8_t bits);
void pages_change(uint32_t first, uint32_t end, uint8_t clear, uint8_t set);

static inline uint32_t next_mapped(uint32_t first, uint32_t end) {
  return pages_scan_up(first, end, 0, GUEST_PAGE_MAPPED);
}
static inline uint32_t next_free(uint32_t first, uint32_t end) {
  return pages_scan_up(first, end, GUEST_PAGE_MAPPED, GUEST_PAGE_MAPPED);
}
static inline bool range_is_free(uint32_t first, uint32_t end) { return next_mapped(first, end) == end; }

static inline bool page_grows_down(uint32_t page) {
  const uint8_t want = GUEST_PAGE_MAPPED | GUEST_PAGE_GROWS;
  return page < TASK_PAGES && (page_bits(page) & want) == want;
}

/* --- guest_memory_place.c --- */
/* Looks whether the host kernel grew mappings into [first, end) and notes it; true if it did. */
bool memory_settle(uint32_t first, uint32_t end);
/* Gives the MAP_GROWSDOWN mapping that starts at page `start` room to grow: what is free down to the floor,
 * which for the stack is the start of the area that mmap(2) chooses from. */
void memory_open_growth_room(uint32_t start);
uint32_t memory_growth_floor(uint32_t start);
/* Where mmap(2) without MAP_FIXED puts `pages` pages, a multiple of `align` pages: at the hint if it is
 * not 0 and there is room, else where the search finds room. A page number, or -ENOMEM. */
int64_t memory_place(guest_addr hint, uint32_t pages, uint32_t align);

/* --- guest_memory.c --- */
/* The protection the host's page gets for the guest's bits. */
int memory_host_protection(uint8_t bits);
/* PROT_* as page bits. */
uint8_t memory_access_bits(int prot);
/* Would so many pages more keep to RLIMIT_AS and RLIMIT_DATA? */
bool memory_within_limits(uint32_t more_mapped, uint32_t more_data);
/* The kernel's is_data_mapping(): private, writable, no stack. */
static inline bool page_is_data(uint8_t bits) {
  return (bits & (GUEST_PAGE_WRITE | GUEST_PAGE_SHARED | GUEST_PAGE_GROWS)) == GUEST_PAGE_WRITE;
}
static inline bool memory_may_expand(uint32_t pages, uint8_t bits) {
  return memory_within_limits(pages, page_is_data(bits) ? pages : 0);
}
uint32_t memory_mapped_pages(uint32_t first, uint32_t end);
/* Unmaps [first, end) on the host, so that the guest's range stays reserved, and clears its bytes. */
int memory_release(uint32_t first, uint32_t end);
/* After a host call on [first, end) failed half-way: makes bytes and host agree again. */
void memory_repair(uint32_t first, uint32_t end);
/* mlockall(MCL_FUTURE) for a new mapping. */
void memory_lock_future(uint32_t first, uint32_t end);

/* --- guest_memory_map.c --- */
/* munmap(2) of a checked range. */
int memory_unmap(uint32_t first, uint32_t end);

/* --- guest_memory_code.c --- */
/* Drops the translations of [first, end) and lifts the write protection they needed. */
void memory_drop_code(uint32_t first, uint32_t end);
/* The same, for pages whose host protection is about to be set anyway. */
void memory_forget_code(uint32_t first, uint32_t end);
/* The same, for those of the pages that the guest cannot write to so far. */
void memory_forget_fixed_code(uint32_t first, uint32_t end);

#endif
