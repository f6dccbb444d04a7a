/* Self-modifying code: pages that translations were made from (docs/self-modifying-code.md).
 *
 * GUEST_PAGE_CODE on a page says that the code cache holds something made from its bytes. If the guest
 * may write to the page, the host may not; the first write, by the guest (a fault) or on its behalf
 * (guest_memory_write_begin), drops the translations and gives the permission back. A page that is not
 * writable costs nothing but the bit. */
#include "Runtime/guest_memory_internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITABLE_CODE = GUEST_PAGE_CODE | GUEST_PAGE_WRITE };

void guest_memory_set_code_dropper(void (*drop)(guest_addr address, uint32_t length)) {
  memory_lock();
  guest_memory.drop_code = drop;
  memory_unlock();
}

/* Finds the next run of pages with equal bits that has all of `have`; false if there is none. */
static bool next_code_run(uint32_t *first, uint32_t *run_end, uint32_t end, uint8_t have) {
  for (uint32_t page = *first; page < end; page++) {
    page = pages_scan_up(page, end, 0, GUEST_PAGE_CODE);
    if (page == end)
      return false;
    const uint8_t bits = page_bits(page);
    const uint32_t stop = pages_scan_up(page, end, bits, 0xFF);
    if ((bits & have) == have) {
      *first = page;
      *run_end = stop;
      return true;
    }
    page = stop - 1;
  }
  return false;
}

static void drop_runs(uint32_t first, uint32_t end, uint8_t have, bool set_host_protection) {
  uint32_t run_end;
  for (; next_code_run(&first, &run_end, end, have); first = run_end) {
    const uint8_t bits = page_bits(first) & ~GUEST_PAGE_CODE;
    if (guest_memory.drop_code)
      guest_memory.drop_code(page_address(first), (uint32_t)page_bytes(first, run_end));
    /* Only now may a write succeed: no translation of the old bytes is left to run. */
    if (set_host_protection && bits & GUEST_PAGE_WRITE)
      mprotect(page_host(first), page_bytes(first, run_end), memory_host_protection(bits));
    pages_change(first, run_end, GUEST_PAGE_CODE, 0);
  }
}

void memory_drop_code(uint32_t first, uint32_t end) { drop_runs(first, end, GUEST_PAGE_CODE, true); }
void memory_forget_code(uint32_t first, uint32_t end) { drop_runs(first, end, GUEST_PAGE_CODE, false); }

void memory_forget_fixed_code(uint32_t first, uint32_t end) {
  for (uint32_t run_end; next_code_run(&first, &run_end, end, GUEST_PAGE_CODE); first = run_end)
    if (!(page_bits(first) & GUEST_PAGE_WRITE))
      memory_forget_code(first, run_end);
}

/* The pages that [address, address + length) touches; false for none. */
static bool touched(guest_addr address, uint32_t length, uint32_t *first, uint32_t *end) {
  if (length == 0)
    return false;
  const uint64_t last = ((uint64_t)address + length - 1) >> GUEST_PAGE_SHIFT;
  *first = address >> GUEST_PAGE_SHIFT;
  *end = last < TASK_PAGES ? (uint32_t)last + 1 : TASK_PAGES;
  return *first < *end;
}

void guest_memory_code_translated(guest_addr address, uint32_t length) {
  uint32_t first, end;
  if (!touched(address, length, &first, &end) ||
      pages_scan_up(first, end, GUEST_PAGE_CODE, GUEST_PAGE_CODE) == end)
    return;
  memory_lock();
  memory_settle(first, end);
  for (uint32_t page = first, stop; page < end; page = stop) {
    const uint8_t bits = page_bits(page);
    stop = pages_scan_up(page, end, bits, 0xFF);
    if (!(bits & GUEST_PAGE_MAPPED) || bits & GUEST_PAGE_CODE)
      continue;
    if (bits & GUEST_PAGE_WRITE)
      mprotect(page_host(page), page_bytes(page, stop), memory_host_protection(bits | GUEST_PAGE_CODE));
    pages_change(page, stop, 0, GUEST_PAGE_CODE);
  }
  memory_unlock();
}

void guest_memory_write_begin(guest_addr address, uint32_t length) {
  uint32_t first, end;
  if (!touched(address, length, &first, &end) || pages_scan_up(first, end, 0, GUEST_PAGE_CODE) == end)
    return;
  memory_lock();
  drop_runs(first, end, WRITABLE_CODE, true);
  memory_unlock();
}

/* Would a write to the page succeed at this moment? Asks the kernel for an atomic `or 0` of one word, which
 * changes nothing and fails instead of faulting. */
static bool writable_now(uint32_t page) {
  static uint32_t nobody_waits;
  const int or_nothing = (int)FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_LT, 0);
  uint32_t *const word = page_host(page);
  return syscall(SYS_futex, &nobody_waits, FUTEX_WAKE_OP_PRIVATE, 0, 0L, word, or_nothing) >= 0;
}

bool guest_memory_write_fault(guest_addr address) {
  const uint32_t page = address >> GUEST_PAGE_SHIFT;
  if (!(page_bits(page) & (GUEST_PAGE_WRITE | GUEST_PAGE_GROWS)))
    return false;
  const int saved_errno = errno;
  memory_lock();
  memory_settle(page, page + 1);
  const uint8_t bits = page_bits(page);
  bool retry = (bits & WRITABLE_CODE) == WRITABLE_CODE;
  if (retry)
    memory_drop_code(page, page + 1);
  /* No CODE any more: another thread may have been here first, between the fault and this handler. Asked
   * under the lock: once it is released, a third thread may translate the page and protect it again, and the
   * answer would be that of a page that the guest may not write to. */
  if (!retry && bits & GUEST_PAGE_WRITE)
    retry = writable_now(page);
  memory_unlock();
  errno = saved_errno;
  return retry;
}
