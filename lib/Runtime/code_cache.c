/* Memory for host code: one reservation, filled from the bottom.
 *
 * The pages below `head` are executable, those above are writable; the page that head is in is
 * made writable while something is added. With other threads running guest code, such a page may
 * be needed meanwhile: they fault, and the handler has them try again (x86_64/signals.c). */
#include "Runtime/engine.h"

#include <errno.h>
#include <sys/mman.h>

enum { PAGE = 4096 };
#define CODE_SIZE ((size_t)768 << 20)
#define SLOT_LIMIT ((uint32_t)16 << 20)

struct code_cache code_cache;

static uint8_t *page_down(uint8_t *at) { return (uint8_t *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1)); }

int code_cache_init(void) {
  size_t size = CODE_SIZE + SLOT_LIMIT * (sizeof(uint64_t) + sizeof(struct slot_target));
  uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return -errno;
  code_cache = (struct code_cache){.code = memory,
                                   .code_end = memory + CODE_SIZE,
                                   .head = memory,
                                   .slot = (uint64_t *)(memory + CODE_SIZE),
                                   .target = (struct slot_target *)(memory + CODE_SIZE + SLOT_LIMIT * sizeof(uint64_t)),
                                   .slot_count = 1,
                                   .slot_limit = SLOT_LIMIT};
  return 0;
}

static void protect(uint8_t *from, uint8_t *to, int protection) {
  if (to > from && mprotect(from, (size_t)(to - from), protection) < 0)
    engine_fatal(0, "cannot change the protection of the code cache: errno %d", errno);
}

uint8_t *code_cache_open(size_t size) {
  if ((size_t)(code_cache.code_end - code_cache.head) < size + PAGE)
    return NULL;
  uint8_t *page = page_down(code_cache.head);
  if (page != code_cache.head)
    protect(page, page + PAGE, PROT_READ | PROT_WRITE);
  return code_cache.head;
}

void code_cache_close(uint8_t *end) {
  protect(page_down(code_cache.head), page_down(end + PAGE - 1), PROT_READ | PROT_EXEC);
  code_cache.head = end;
}
