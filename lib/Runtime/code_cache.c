/* Memory for host code: one range of addresses, filled from the bottom, and never writable where it
 * is executable.
 *
 * Stencil code is written through a second mapping: the range is made of chunks, each shared
 * memory of its own that is mapped executable at its place in the range and writable elsewhere. (It is
 * doubled by mremap(2): a memfd would need a descriptor, and the guest may have used them up.) Adding code
 * so needs no system call, and disturbs no thread that runs in the same page. After a fork parent and child
 * go on sharing the chunks that they have; the child leaves the rest of the current one to its parent and
 * starts another. Of code that has run nothing changes but where exits jump (unit.c), and in what is shared
 * they only ever change to the way that is right for all.
 *
 * LLVM's linker writes code where it will run. For the llvm tier the range is ordinary memory
 * instead: the pages below `head` are executable, those above writable, and the page that head is
 * in is made writable while something is added. Other threads that need that page meanwhile
 * fault, and the handler has them try again (x86_64/signals.c). */
#include "Runtime/engine.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK_SIZE = 4 << 20, POPULATE_SIZE = 1 << 15 };
#define CODE_SIZE ((size_t)768 << 20)
#define SLOT_LIMIT ((uint32_t)16 << 20)

struct code_cache code_cache;

static bool in_place;
static uint8_t *writable_chunk[CODE_SIZE / CHUNK_SIZE]; /* second mappings */
static uint32_t shared_end; /* what is below this offset, other processes may run, too */
static uintptr_t chunk_end; /* in the range */
static uintptr_t populated; /* in the range: up to here the chunk has memory */

int code_cache_init(bool write_in_place) {
  in_place = write_in_place;
  size_t slots = SLOT_LIMIT * (sizeof(uint64_t) + sizeof(struct slot_target));
  size_t counters = sizeof(uint32_t) << COUNTER_BITS;
  uint8_t *memory = mmap(NULL, CODE_SIZE + slots + counters, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return -errno;
  if (!in_place && mprotect(memory, CODE_SIZE, PROT_NONE) < 0)
    return -errno;
  code_cache = (struct code_cache){
      .code = memory,
      .code_end = memory + CODE_SIZE,
      .head = (uintptr_t)memory,
      .slot = (uint64_t *)(memory + CODE_SIZE),
      .target = (struct slot_target *)(memory + CODE_SIZE + SLOT_LIMIT * sizeof(uint64_t)),
      .counter = (uint32_t *)(memory + CODE_SIZE + slots),
      .slot_count = 1,
      .slot_limit = SLOT_LIMIT};
  chunk_end = (uintptr_t)memory;
  return 0;
}

/* --- Chunks ----------------------------------------------------------------------------------------- */

/* The next chunk becomes the current one. 0 or a negative errno. */
static int new_chunk(void) {
  uint8_t *place = (uint8_t *)chunk_end;
  if (place + CHUNK_SIZE > code_cache.code_end)
    return -ENOMEM;
  uint8_t *writable = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (writable == MAP_FAILED)
    return -errno;
  if (mremap(writable, 0, CHUNK_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED ||
      mprotect(place, CHUNK_SIZE, PROT_READ | PROT_EXEC) < 0) {
    const int status = -errno;
    munmap(writable, CHUNK_SIZE);
    return status;
  }
  writable_chunk[(size_t)(place - code_cache.code) / CHUNK_SIZE] = writable;
  chunk_end = (uintptr_t)place + CHUNK_SIZE;
  code_cache.head = (uintptr_t)place;
  code_cache.to_code = place - writable;
  populated = (uintptr_t)place;
  return 0;
}

/* Memory for the chunk up to `end` and somewhat further, in one go, which is cheaper than a fault for each
 * page. Kernels before 5.14 do not know how: there pages fault. */
static void populate(uintptr_t end) {
  while (populated < end && populated < chunk_end) {
    madvise((uint8_t *)populated - code_cache.to_code, POPULATE_SIZE, MADV_POPULATE_WRITE);
    populated += POPULATE_SIZE;
  }
}

int32_t *code_cache_field(uint32_t offset) {
  return (int32_t *)(writable_chunk[offset / CHUNK_SIZE] + offset % CHUNK_SIZE);
}

bool code_cache_is_shared(uint32_t offset) { return offset < shared_end; }

void code_cache_fork_parent(void) { shared_end = (uint32_t)(code_cache.head - (uintptr_t)code_cache.code); }

void code_cache_fork_child(void) {
  if (in_place)
    return;
  code_cache.head = chunk_end;
  shared_end = (uint32_t)(chunk_end - (uintptr_t)code_cache.code);
}

/* --- In place ----------------------------------------------------------------------------------------- */

static uintptr_t page_down(uintptr_t at) { return at & ~(uintptr_t)(PAGE - 1); }

static void protect(uintptr_t from, uintptr_t to, int protection) {
  if (to > from && mprotect((void *)from, to - from, protection) < 0)
    engine_fatal(0, "cannot change the protection of the code cache: errno %d", errno);
}

static uint8_t *open_in_place(size_t size) {
  if ((uintptr_t)code_cache.code_end - code_cache.head < size + PAGE)
    return NULL;
  uintptr_t page = page_down(code_cache.head);
  if (page != code_cache.head)
    protect(page, page + PAGE, PROT_READ | PROT_WRITE);
  return (uint8_t *)code_cache.head;
}

/* --- Adding code ---------------------------------------------------------------------------------------- */

static void have_room(size_t size) {
  if (chunk_end - code_cache.head >= size)
    return;
  int status = new_chunk();
  if (status < 0)
    engine_fatal(0, "no more memory for translated code: errno %d", -status);
}

uint8_t *code_cache_open(size_t size) {
  if (in_place)
    return open_in_place(size);
  have_room(size);
  populate(code_cache.head + PAGE);
  return (uint8_t *)(code_cache.head - (uintptr_t)code_cache.to_code);
}

/* Of a chunk that is mapped twice; the end of what is writable where it will run, and to_code of the rest. */
static uintptr_t opened_end;
static ptrdiff_t usual_to_code;

uint8_t *code_cache_open_in_place(size_t size) {
  if (in_place)
    return open_in_place(size);
  have_room(size);
  opened_end = page_down(code_cache.head + size + PAGE - 1);
  protect(page_down(code_cache.head), opened_end, PROT_READ | PROT_WRITE);
  usual_to_code = code_cache.to_code;
  code_cache.to_code = 0;
  return (uint8_t *)code_cache.head;
}

void code_cache_close(uint8_t *end) {
  uintptr_t code_end = code_address(end);
  if (in_place)
    protect(page_down(code_cache.head), page_down(code_end + PAGE - 1), PROT_READ | PROT_EXEC);
  if (opened_end) {
    protect(page_down(code_cache.head), opened_end, PROT_READ | PROT_EXEC);
    code_cache.to_code = usual_to_code;
    opened_end = 0;
  }
  code_cache.head = code_end;
}
