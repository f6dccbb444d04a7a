/* Memory for host code: one range of addresses, filled from the bottom, and never writable where it
 * is executable.
 *
 * The range is made of chunks, which are filled one after the other. A free one has no memory.
 *
 * Stencil code is written through a second mapping: each chunk is shared memory of its own that is mapped
 * executable at its place in the range and writable elsewhere. (It is doubled by mremap(2): a memfd would
 * need a descriptor, and the guest may have used them up.) Adding code so needs no system call, and disturbs
 * no thread that runs in the same page. After a fork parent and child go on sharing the chunks that they
 * have; the child leaves the rest of the current one to its parent and starts another, and each frees its own
 * mappings. Of code that has run nothing changes but where exits jump (unit.c), and in what is shared they
 * only ever change to the way that is right for all.
 *
 * LLVM's linker writes code where it will run. For the llvm tier chunks are ordinary memory instead: the
 * pages below `head` are executable, those above writable, and the page that head is in is made writable
 * while something is added. Other threads that need that page meanwhile fault, and the handler has them try
 * again (x86_64/signals.c). */
#include "Runtime/engine.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, POPULATE_SIZE = 1 << 15 };

struct code_cache code_cache;

static struct chunk {
  uint64_t generation; /* 0: for ever */
  uint8_t *writable;   /* the second mapping */
  uint32_t size;       /* of its code, once it is not the current one */
  uint32_t shared;     /* what is below this offset, other processes may run, too */
  bool used;
} chunks[CODE_CHUNK_LIMIT];
static uint32_t free_chunks;

static bool in_place;
static size_t bound;        /* of a generation's code */
static size_t filled;       /* bytes in this generation's chunks, but for the current one */
static uintptr_t chunk_end; /* of the current chunk, or where filling it was ended */
static uintptr_t populated; /* in the current chunk: up to here it has memory */

static uint8_t *chunk_place(uint32_t chunk) { return code_cache.code + (size_t)chunk * CODE_CHUNK_SIZE; }

int code_cache_init(bool write_in_place, size_t size) {
  /* While threads are on their way out of one generation's code there is some of the next. */
  enum { LEAST_SPARE = 16 };
  const uint32_t wanted = (uint32_t)((size + CODE_CHUNK_SIZE - 1) / CODE_CHUNK_SIZE);
  const uint32_t count = 1 + wanted + (wanted / 2 > LEAST_SPARE ? wanted / 2 : LEAST_SPARE);
  const size_t code_size = (size_t)count * CODE_CHUNK_SIZE, slot_count = (size_t)count * CODE_CHUNK_SLOTS;
  const size_t slots = slot_count * (sizeof(uint64_t) + sizeof(struct slot_target));
  const size_t counters = sizeof(uint32_t) << COUNTER_BITS;
  uint8_t *memory = mmap(NULL, code_size + slots + counters, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return -errno;
  in_place = write_in_place;
  bound = size;
  if (!in_place && mprotect(memory, code_size, PROT_NONE) < 0)
    return -errno;
  code_cache = (struct code_cache){
      .code = memory,
      .code_end = memory + code_size,
      .chunk_count = free_chunks = count,
      .chunk = count - 1,
      .head = (uintptr_t)memory,
      .slot = (uint64_t *)(memory + code_size),
      .target = (struct slot_target *)(memory + code_size + slot_count * sizeof(uint64_t)),
      .counter = (uint32_t *)(memory + code_size + slots)};
  chunk_end = (uintptr_t)memory;
  return 0;
}

/* --- Chunks ----------------------------------------------------------------------------------------- */

/* Maps the chunk's memory twice. 0 or a negative errno. */
static int map_twice(uint32_t chunk) {
  uint8_t *place = chunk_place(chunk);
  uint8_t *writable = mmap(NULL, CODE_CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (writable == MAP_FAILED)
    return -errno;
  if (mremap(writable, 0, CODE_CHUNK_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED ||
      mprotect(place, CODE_CHUNK_SIZE, PROT_READ | PROT_EXEC) < 0) {
    const int status = -errno;
    munmap(writable, CODE_CHUNK_SIZE);
    return status;
  }
  chunks[chunk].writable = writable;
  code_cache.to_code = place - writable;
  return 0;
}

static size_t size_of_current(void) { return code_cache.head - (uintptr_t)chunk_place(code_cache.chunk); }

/* What is left of the current chunk stays empty. */
static void end_chunk(void) {
  chunks[code_cache.chunk].size = (uint32_t)size_of_current();
  chunk_end = code_cache.head;
}

/* The next free chunk becomes the current one: freed addresses are used again as late as can be. 0 or a
 * negative errno. */
static int new_chunk(void) {
  uint32_t chunk = code_cache.chunk;
  if (!free_chunks)
    return -ENOMEM;
  do
    chunk = (chunk + 1) % code_cache.chunk_count;
  while (chunks[chunk].used);
  const int status = in_place ? 0 : map_twice(chunk);
  if (status < 0)
    return status;
  end_chunk();
  if (chunks[code_cache.chunk].used && chunks[code_cache.chunk].generation == code_cache.generation)
    filled += chunks[code_cache.chunk].size;
  chunks[chunk].generation = code_cache.generation;
  chunks[chunk].shared = 0;
  chunks[chunk].used = true;
  free_chunks--;
  code_cache.chunk = chunk;
  code_cache.head = populated = (uintptr_t)chunk_place(chunk);
  chunk_end = code_cache.head + CODE_CHUNK_SIZE;
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
  return (int32_t *)(chunks[offset / CODE_CHUNK_SIZE].writable + offset % CODE_CHUNK_SIZE);
}

bool code_cache_is_shared(uint32_t offset) {
  return offset % CODE_CHUNK_SIZE < chunks[offset / CODE_CHUNK_SIZE].shared;
}

void code_cache_fork_parent(void) {
  for (uint32_t i = 0; i < code_cache.chunk_count; i++)
    chunks[i].shared = i == code_cache.chunk ? (uint32_t)size_of_current() : CODE_CHUNK_SIZE;
}

void code_cache_fork_child(void) {
  if (in_place)
    return;
  for (uint32_t i = 0; i < code_cache.chunk_count; i++)
    chunks[i].shared = CODE_CHUNK_SIZE;
  end_chunk();
}

static void have_room(size_t size) {
  if (chunk_end - code_cache.head >= size && units_have_room())
    return;
  int status = new_chunk();
  if (status < 0)
    engine_fatal(0, "no more memory for translated code: errno %d", -status);
}

/* --- Generations ------------------------------------------------------------------------------------ */

void code_cache_begin_generation(void) {
  end_chunk();
  filled = 0;
  code_cache.generation++;
}

static size_t size_of_generation(void) {
  return filled + (chunks[code_cache.chunk].generation == code_cache.generation ? size_of_current() : 0);
}

bool code_cache_has_chunks(void) {
  enum { CHUNKS_AT_ONCE = 4 };
  return free_chunks >= CHUNKS_AT_ONCE;
}

bool code_cache_is_full(void) {
  enum { SIZE_AT_ONCE = 1 << 16 };
  return size_of_generation() + SIZE_AT_ONCE > bound || !code_cache_has_chunks();
}

/* New memory each time, for another process may go on using the old. False: the kernel would not. */
static bool free_chunk(uint32_t chunk) {
  const size_t slot = (size_t)chunk * CODE_CHUNK_SLOTS;
  if (mmap(chunk_place(chunk), CODE_CHUNK_SIZE, in_place ? PROT_READ | PROT_WRITE : PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
    return false;
  if (!in_place)
    munmap(chunks[chunk].writable, CODE_CHUNK_SIZE);
  madvise(&code_cache.slot[slot], CODE_CHUNK_SLOTS * sizeof code_cache.slot[0], MADV_DONTNEED);
  madvise(&code_cache.target[slot], CODE_CHUNK_SLOTS * sizeof code_cache.target[0], MADV_DONTNEED);
  units_free(chunk);
  chunks[chunk].used = false;
  free_chunks++;
  return true;
}

uint64_t code_cache_free(uint64_t oldest) {
  uint64_t freed = 0;
  for (uint32_t i = 0; i < code_cache.chunk_count; i++)
    if (chunks[i].used && chunks[i].generation && chunks[i].generation < oldest && free_chunk(i))
      freed += chunks[i].size;
  return freed;
}

/* --- In place ----------------------------------------------------------------------------------------- */

static uintptr_t page_down(uintptr_t at) { return at & ~(uintptr_t)(PAGE - 1); }

static void protect(uintptr_t from, uintptr_t to, int protection) {
  if (to > from && mprotect((void *)from, to - from, protection) < 0)
    engine_fatal(0, "cannot change the protection of the code cache: errno %d", errno);
}

static uint8_t *open_in_place(size_t size) {
  have_room(size);
  uintptr_t page = page_down(code_cache.head);
  if (page != code_cache.head)
    protect(page, page + PAGE, PROT_READ | PROT_WRITE);
  return (uint8_t *)code_cache.head;
}

/* --- Adding code ---------------------------------------------------------------------------------------- */

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
