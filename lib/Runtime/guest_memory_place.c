/* Where things go: scanning the page bytes, choosing free addresses, and stacks that grow.
 *
 * A program can see which addresses mmap(2) picks, and some depend on it, so the choice follows the
 * x86-64 kernel's for a 32-bit process (mm/mmap.c, arch/x86/kernel/sys_x86_64.c): the highest gap below
 * mmap_base that is large enough; if there is none, the lowest one above a third of the address space. A
 * gap ends 256 pages below a mapping that grows down. The kernel finds gaps in a tree; here the page bytes
 * are scanned eight at a time, which for the few thousand pages that most programs map takes well under a
 * microsecond, and `full_above` remembers the solid block that most programs build below mmap_base.
 *
 * Mappings that grow down are grown by the host kernel itself: below them the host has no reservation, so
 * that its own rules hold (RLIMIT_STACK, the guard gap, growth by a system call's write into the stack).
 * The price is that the module is not told; whoever needs to know about such pages calls
 * memory_settle(), which asks mincore(2). */
#include "Runtime/guest_memory_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static inline uint64_t word_at(uint32_t page) {
  uint64_t word;
  memcpy(&word, &guest_memory.page[page], sizeof word);
  return word;
}

/* Word reads race with other threads' stores as byte reads do: each byte is old or new. */
uint32_t pages_scan_up(uint32_t first, uint32_t end, uint8_t bits, uint8_t mask) {
  const uint64_t every = 0x0101010101010101u;
  const uint64_t want = every * (bits & mask), care = every * mask;
  uint32_t page = first;
  for (; page < end && page % 8 != 0; page++)
    if ((page_bits(page) ^ bits) & mask)
      return page;
  for (; page + 32 <= end; page += 32) {
    const uint64_t differ = ((word_at(page) ^ want) | (word_at(page + 8) ^ want) |
                             (word_at(page + 16) ^ want) | (word_at(page + 24) ^ want)) &
                            care;
    if (differ)
      break;
  }
  for (; page + 8 <= end; page += 8) {
    const uint64_t differ = (word_at(page) ^ want) & care;
    if (differ)
      return page + (uint32_t)__builtin_ctzll(differ) / 8;
  }
  for (; page < end; page++)
    if ((page_bits(page) ^ bits) & mask)
      return page;
  return end;
}

uint32_t pages_scan_down(uint32_t first, uint32_t end, uint8_t bits, uint8_t mask) {
  const uint64_t every = 0x0101010101010101u;
  const uint64_t want = every * (bits & mask), care = every * mask;
  uint32_t page = end;
  for (; page > first && page % 8 != 0; page--)
    if ((page_bits(page - 1) ^ bits) & mask)
      return page;
  for (; page >= first + 32; page -= 32) {
    const uint64_t differ = ((word_at(page - 8) ^ want) | (word_at(page - 16) ^ want) |
                             (word_at(page - 24) ^ want) | (word_at(page - 32) ^ want)) &
                            care;
    if (differ)
      break;
  }
  for (; page >= first + 8; page -= 8) {
    const uint64_t differ = (word_at(page - 8) ^ want) & care;
    if (differ)
      return page - (uint32_t)__builtin_clzll(differ) / 8;
  }
  for (; page > first; page--)
    if ((page_bits(page - 1) ^ bits) & mask)
      return page;
  return first;
}

static void note_code(uint8_t bits) {
  if (bits & GUEST_PAGE_EXEC)
    __atomic_store_n(&guest_memory.code_files, guest_memory.code_files + 1, __ATOMIC_RELEASE);
}

void pages_fill(uint32_t first, uint32_t end, uint8_t bits) {
  if (first >= end)
    return;
  memset(&guest_memory.page[first], bits, end - first);
  if (!(bits & GUEST_PAGE_MAPPED) && end > guest_memory.full_above)
    guest_memory.full_above = end < guest_memory.base ? end : guest_memory.base;
  if (bits & GUEST_PAGE_FILE)
    note_code(bits);
}

void pages_change(uint32_t first, uint32_t end, uint8_t clear, uint8_t set) {
  for (uint32_t page = first; page < end; page++) {
    const uint8_t bits = (uint8_t)((guest_memory.page[page] & ~clear) | set);
    __atomic_store_n(&guest_memory.page[page], bits, __ATOMIC_RELAXED);
  }
  note_code(set);
}

/* --- Growth ------------------------------------------------------------------------------- */

static bool host_has_page(uint32_t page) {
  unsigned char in_core;
  return mincore(page_host(page), GUEST_PAGE_SIZE, &in_core) == 0;
}

/* The mapping that starts at page `start` and grows down: notes how far the host kernel took it. */
static void note_growth(uint32_t start) {
  uint32_t low = pages_scan_down(0, start, PAGE_GROWTH_ROOM, 0xFF), high = start - 1;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (host_has_page(middle))
      high = middle;
    else
      low = middle + 1;
  }
  const uint8_t bits = page_bits(start);
  /* The new pages have the host protection of the page above, which may be less than its guest's. */
  if (bits & GUEST_PAGE_CODE)
    mprotect(page_host(high), page_bytes(high, start), memory_host_protection(bits & ~GUEST_PAGE_CODE));
  pages_fill(high, start, bits & ~GUEST_PAGE_CODE);
}

bool memory_settle(uint32_t first, uint32_t end) {
  bool changed = false;
  for (uint32_t page = first; page < end;) {
    page = pages_scan_up(page, end, 0, GUEST_PAGE_GROWS);
    if (page == end)
      break;
    if (page_bits(page) != PAGE_GROWTH_ROOM) {
      page = next_free(page, end);
      continue;
    }
    /* Growth comes from above: if it did not reach the highest of these pages, it reached none. */
    uint32_t above = pages_scan_up(page, end, PAGE_GROWTH_ROOM, 0xFF);
    page = above;
    if (!host_has_page(above - 1))
      continue;
    above = pages_scan_up(above, TASK_PAGES, PAGE_GROWTH_ROOM, 0xFF);
    if (page_grows_down(above)) {
      note_growth(above);
      changed = true;
    }
  }
  return changed;
}

uint32_t memory_growth_floor(uint32_t start) {
  const uint32_t low = start > guest_memory.base ? guest_memory.base : guest_memory.low;
  return start - low > guest_memory.growth_pages ? start - guest_memory.growth_pages : low;
}

void memory_open_growth_room(uint32_t start) {
  const uint32_t low = pages_scan_down(memory_growth_floor(start), start, 0, GUEST_PAGE_MAPPED);
  if (low >= start)
    return;
  munmap(page_host(low), page_bytes(low, start));
  pages_fill(low, start, PAGE_GROWTH_ROOM);
}

/* --- Choosing free addresses --------------------------------------------------------------- */

/* Where a gap whose next mapping is looked for from page `end` on must end: the mapping may want a guard
 * gap below itself. */
static uint32_t below_guard(uint32_t end) {
  const uint32_t limit = end + STACK_GUARD_PAGES < TASK_PAGES ? end + STACK_GUARD_PAGES : TASK_PAGES;
  const uint32_t next = next_mapped(end, limit);
  if (next == limit || !page_grows_down(next))
    return end;
  const uint32_t guard = next > STACK_GUARD_PAGES ? next - STACK_GUARD_PAGES : 0;
  return guard < end ? guard : end;
}

static int64_t search_down(uint32_t pages, uint32_t align) {
  const uint32_t low = guest_memory.low;
  uint32_t high = guest_memory.full_above;
  bool first_gap = true;
  while (high > low) {
    const uint32_t end = pages_scan_down(low, high, GUEST_PAGE_MAPPED, GUEST_PAGE_MAPPED);
    if (first_gap)
      guest_memory.full_above = end;
    first_gap = false;
    if (end == low)
      break;
    if (end - low < pages)
      break;
    const uint32_t place = (end - pages) & ~(align - 1);
    if (place < low)
      break;
    const uint32_t begin = pages_scan_down(place, end, 0, GUEST_PAGE_MAPPED);
    if (begin > place) { /* too small */
      high = begin;
      continue;
    }
    high = below_guard(end);
    if (high == end)
      return place;
    /* As the kernel: smaller gaps within the guard gap are passed over too. */
  }
  return -ENOMEM;
}

static int64_t search_up(uint32_t pages, uint32_t align) {
  /* TASK_UNMAPPED_BASE: a third of the address space. */
  const uint32_t third = pages_of(GUEST_TASK_SIZE / 3);
  uint32_t low = third > guest_memory.low ? third : guest_memory.low;
  while (low < TASK_PAGES) {
    const uint32_t begin = next_free(low, TASK_PAGES);
    const uint32_t place = (begin + align - 1) & ~(align - 1);
    if (place >= TASK_PAGES || TASK_PAGES - place < pages)
      break;
    const uint32_t end = place + pages;
    low = next_mapped(begin, end);
    if (low == end) {
      if (below_guard(end) == end)
        return place;
      low = next_mapped(end, TASK_PAGES);
    }
  }
  return -ENOMEM;
}

static bool has_room(uint32_t first, uint32_t pages) {
  return pages <= TASK_PAGES - first && range_is_free(first, first + pages) &&
         below_guard(first + pages) == first + pages;
}

static int64_t search(guest_addr hint, uint32_t pages, uint32_t align) {
  /* round_hint_to_min(): hints are cut to pages and moved above vm.mmap_min_addr. */
  uint32_t wanted = hint >> GUEST_PAGE_SHIFT;
  if (wanted != 0) {
    if (wanted < guest_memory.low)
      wanted = guest_memory.low;
    wanted = (wanted + align - 1) & ~(align - 1);
    if (wanted < TASK_PAGES && has_room(wanted, pages))
      return wanted;
  }
  if (!guest_memory.bottom_up) {
    const int64_t place = search_down(pages, align);
    if (place >= 0)
      return place;
  }
  return search_up(pages, align);
}

int64_t memory_place(guest_addr hint, uint32_t pages, uint32_t align) {
  if (pages > TASK_PAGES)
    return -ENOMEM;
  for (;;) {
    const int64_t place = search(hint, pages, align);
    if (place < 0)
      return place;
    const uint32_t end = (uint32_t)place + pages + STACK_GUARD_PAGES;
    if (!memory_settle((uint32_t)place, end < TASK_PAGES ? end : TASK_PAGES))
      return place;
  }
}
