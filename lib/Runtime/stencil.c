/* Libraries of stencils: look-up, validation, and putting them together. */
#include "Runtime/stencil.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char magic[8] = {'u', 'e', 'm', 'u', 's', 't', 'n', '1'};

static bool part_fits(uint64_t total, uint64_t offset, uint64_t count, uint64_t each) {
  return offset >= sizeof(struct stencil_library_header) && offset <= total && count * each <= total - offset;
}

bool stencil_library_valid(const void *library, size_t size, const uint8_t id[STENCIL_BUILD_ID_SIZE],
                           bool check_sum) {
  const struct stencil_library_header *h = library;
  if (size < sizeof *h || memcmp(h->magic, magic, sizeof magic) != 0 || h->total != size ||
      memcmp(h->build_id, id, STENCIL_BUILD_ID_SIZE) != 0)
    return false;
  if (!part_fits(size, h->stencil_offset, h->stencil_count, sizeof(struct stencil)) ||
      !part_fits(size, h->table_offset, h->table_size, 4) ||
      !part_fits(size, h->reloc_offset, h->reloc_count, sizeof(struct stencil_reloc)) ||
      !part_fits(size, h->code_offset, h->code_size, 1) || (h->table_size & (h->table_size - 1)) != 0 ||
      h->table_size <= h->stencil_count)
    return false;
  return !check_sum ||
         crc32(0, (const uint8_t *)library + sizeof *h, (uInt)(size - sizeof *h)) == h->checksum;
}

const struct stencil *stencil_find(const struct stencil_library_header *library, const struct shape *shape,
                                   uint64_t hash) {
  const uint32_t *table = (const uint32_t *)((const uint8_t *)library + library->table_offset);
  const struct stencil *all = (const struct stencil *)((const uint8_t *)library + library->stencil_offset);
  uint32_t mask = library->table_size - 1;
  for (uint32_t slot = (uint32_t)hash & mask; table[slot]; slot = (slot + 1) & mask) {
    const struct stencil *stencil = &all[table[slot] - 1];
    if (memcmp(&stencil->shape, shape, sizeof *shape) == 0)
      return stencil;
  }
  return NULL;
}

/* --- Collections --------------------------------------------------------------------------------- */

struct stencil_collection {
  struct stencil *stencil;
  struct stencil_reloc *reloc;
  uint8_t *code;
  uint32_t *table;
  uint32_t count, capacity, table_size;
  uint32_t reloc_count, reloc_capacity;
  uint32_t code_size, code_capacity;
};

struct stencil_collection *stencil_collection_new(void) { return calloc(1, sizeof(struct stencil_collection)); }

void stencil_collection_free(struct stencil_collection *c) {
  if (!c)
    return;
  free(c->stencil);
  free(c->reloc);
  free(c->code);
  free(c->table);
  free(c);
}

size_t stencil_collection_count(const struct stencil_collection *c) { return c->count; }

/* Makes room for `more` elements of `each` bytes. */
static bool grow(void **array, uint32_t *capacity, uint32_t count, uint32_t more, size_t each) {
  if (count + more <= *capacity)
    return true;
  uint32_t wanted = *capacity ? *capacity * 2 : 256;
  while (wanted < count + more)
    wanted *= 2;
  void *larger = realloc(*array, wanted * each);
  if (!larger)
    return false;
  *array = larger;
  *capacity = wanted;
  return true;
}

static void table_insert(uint32_t *table, uint32_t size, const struct stencil *all, uint32_t index) {
  uint32_t slot = (uint32_t)shape_hash(&all[index].shape) & (size - 1);
  while (table[slot])
    slot = (slot + 1) & (size - 1);
  table[slot] = index + 1;
}

static bool table_grow(struct stencil_collection *c) {
  if (c->table_size > 2 * (c->count + 1))
    return true;
  uint32_t size = c->table_size ? c->table_size * 2 : 1024;
  uint32_t *table = calloc(size, sizeof *table);
  if (!table)
    return false;
  for (uint32_t i = 0; i < c->count; i++)
    table_insert(table, size, c->stencil, i);
  free(c->table);
  c->table = table;
  c->table_size = size;
  return true;
}

bool stencil_collection_find(const struct stencil_collection *c, const struct shape *shape,
                             struct stencil_code *stencil) {
  if (!c->table_size)
    return false;
  uint32_t mask = c->table_size - 1;
  for (uint32_t slot = (uint32_t)shape_hash(shape) & mask; c->table[slot]; slot = (slot + 1) & mask) {
    const struct stencil *s = &c->stencil[c->table[slot] - 1];
    if (memcmp(&s->shape, shape, sizeof *shape) != 0)
      continue;
    *stencil = (struct stencil_code){.shape = s->shape,
                                     .code = c->code + s->code,
                                     .reloc = c->reloc + s->reloc,
                                     .size = s->size,
                                     .reloc_count = s->reloc_count,
                                     .flags = s->flags};
    return true;
  }
  return false;
}

bool stencil_collection_add(struct stencil_collection *c, const struct stencil_code *s) {
  struct stencil_code known;
  if (stencil_collection_find(c, &s->shape, &known))
    return true;
  if (!grow((void **)&c->stencil, &c->capacity, c->count, 1, sizeof *c->stencil) ||
      !grow((void **)&c->reloc, &c->reloc_capacity, c->reloc_count, s->reloc_count, sizeof *c->reloc) ||
      !grow((void **)&c->code, &c->code_capacity, c->code_size, s->size, 1) || !table_grow(c))
    return false;
  c->stencil[c->count] = (struct stencil){.shape = s->shape,
                                          .code = c->code_size,
                                          .reloc = c->reloc_count,
                                          .size = s->size,
                                          .reloc_count = s->reloc_count,
                                          .flags = s->flags};
  if (s->size)
    memcpy(c->code + c->code_size, s->code, s->size);
  if (s->reloc_count)
    memcpy(c->reloc + c->reloc_count, s->reloc, s->reloc_count * sizeof *s->reloc);
  table_insert(c->table, c->table_size, c->stencil, c->count);
  c->code_size += s->size;
  c->reloc_count += s->reloc_count;
  c->count++;
  return true;
}

static bool add_all(struct stencil_collection *c, const struct stencil *all, uint32_t count,
                    const struct stencil_reloc *reloc, const uint8_t *code) {
  for (uint32_t i = 0; i < count; i++) {
    struct stencil_code s = {.shape = all[i].shape,
                             .code = code + all[i].code,
                             .reloc = reloc + all[i].reloc,
                             .size = all[i].size,
                             .reloc_count = all[i].reloc_count,
                             .flags = all[i].flags};
    if (!stencil_collection_add(c, &s))
      return false;
  }
  return true;
}

bool stencil_collection_add_collection(struct stencil_collection *c, const struct stencil_collection *other) {
  return add_all(c, other->stencil, other->count, other->reloc, other->code);
}

bool stencil_collection_add_library(struct stencil_collection *c, const struct stencil_library_header *library) {
  const uint8_t *bytes = (const uint8_t *)library;
  return add_all(c, (const struct stencil *)(bytes + library->stencil_offset), library->stencil_count,
                 (const struct stencil_reloc *)(bytes + library->reloc_offset), bytes + library->code_offset);
}

static uint32_t round8(uint32_t value) { return (value + 7) & ~7u; }

void *stencil_collection_library(const struct stencil_collection *c, const uint8_t id[STENCIL_BUILD_ID_SIZE],
                                 size_t *size) {
  static const uint32_t empty_table[1] = {0};
  struct stencil_library_header h = {.stencil_count = c->count,
                                     .table_size = c->table_size ? c->table_size : 1,
                                     .reloc_count = c->reloc_count,
                                     .code_size = c->code_size};
  memcpy(h.magic, magic, sizeof magic);
  memcpy(h.build_id, id, STENCIL_BUILD_ID_SIZE);
  h.stencil_offset = round8(sizeof h);
  h.table_offset = round8(h.stencil_offset + c->count * (uint32_t)sizeof(struct stencil));
  h.reloc_offset = round8(h.table_offset + h.table_size * 4);
  h.code_offset = round8(h.reloc_offset + c->reloc_count * (uint32_t)sizeof(struct stencil_reloc));
  h.total = h.code_offset + c->code_size;
  uint8_t *library = calloc(1, h.total);
  if (!library)
    return NULL;
  if (c->count) {
    memcpy(library + h.stencil_offset, c->stencil, c->count * sizeof(struct stencil));
    memcpy(library + h.reloc_offset, c->reloc, c->reloc_count * sizeof(struct stencil_reloc));
    memcpy(library + h.code_offset, c->code, c->code_size);
  }
  memcpy(library + h.table_offset, c->table ? c->table : empty_table, h.table_size * 4);
  h.checksum = (uint32_t)crc32(0, library + sizeof h, (uInt)(h.total - sizeof h));
  memcpy(library, &h, sizeof h);
  *size = h.total;
  return library;
}
