/* Fetching guest code for translation. */
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"

static bool page_is_known(const struct fetch *fetch, uint32_t page) {
  for (unsigned i = 0; i < fetch->page_count; i++)
    if (fetch->page[i] == page)
      return true;
  return false;
}

/* A page is write-protected before it is read: a later write to it cannot go unseen. */
bool fetch_depend(struct fetch *fetch, uint32_t page) {
  if (page_is_known(fetch, page))
    return true;
  if (fetch->page_count == FETCH_PAGE_LIMIT)
    return false;
  if (!fetch->unprotected)
    guest_memory_code_translated(page << GUEST_PAGE_SHIFT, GUEST_PAGE_SIZE);
  fetch->page[fetch->page_count++] = page;
  return true;
}

static bool use_page(struct fetch *fetch, uint32_t page) {
  return page_is_known(fetch, page) ||
         (guest_memory_page(page << GUEST_PAGE_SHIFT) & GUEST_PAGE_EXEC && fetch_depend(fetch, page));
}

size_t fetch_code(void *context, guest_addr eip, const uint8_t **bytes) {
  struct fetch *fetch = context;
  enum { FETCH_SIZE = 16 };
  if (!use_page(fetch, eip >> GUEST_PAGE_SHIFT))
    return 0;
  *bytes = guest_to_host(eip);
  guest_addr left = GUEST_PAGE_SIZE - eip % GUEST_PAGE_SIZE;
  if (left >= FETCH_SIZE || eip + left == 0)
    return left < FETCH_SIZE ? left : FETCH_SIZE;
  /* Only an instruction that needs it brings in the next page. */
  struct insn insn;
  if (insn_decode_mode(&insn, *bytes, left, eip, fetch->mode) != INSN_TRUNCATED)
    return left;
  return use_page(fetch, (eip + left) >> GUEST_PAGE_SHIFT) ? FETCH_SIZE : left;
}
