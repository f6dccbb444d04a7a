/* Libraries of stencils: look-up, validation, and putting them together. */
#include "Runtime/stencil.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char magic[8] = {'u', 'e', 'm', 'u', 's', 't', 'n', '6'};

_Static_assert(sizeof(struct stencil) % 4 == 0, "records are addressed in units of 4 bytes");

static size_t record_size(const struct stencil *stencil) {
  size_t size = sizeof *stencil + stencil->reloc_count * sizeof stencil->reloc[0] + stencil->size;
  return (size + 3) & ~(size_t)3;
}

/* An entry of the table: where the record is, and bits of its shape's hash that the slot does not show, so that
 * another shape's record, most likely in memory that nobody has read so far, need not be looked at. */
enum { ENTRY_BITS = 24, ENTRY_PLACE = (1 << ENTRY_BITS) - 1 };

static uint32_t table_entry(size_t offset, uint64_t hash) {
  return (uint32_t)(hash >> 56) << ENTRY_BITS | ((uint32_t)(offset / 4) + 1);
}

static const struct stencil *record_at(const uint8_t *records, uint32_t entry) {
  return (const struct stencil *)(records + (size_t)((entry & ENTRY_PLACE) - 1) * 4);
}

/* The record of a shape, by an open-addressing table of a power of two. */
static const struct stencil *find(const uint32_t *table, uint32_t table_size, const uint8_t *records,
                                  const struct shape *shape, uint64_t hash) {
  uint32_t mask = table_size - 1;
  for (uint32_t slot = (uint32_t)hash & mask; table[slot]; slot = (slot + 1) & mask) {
    if (table[slot] >> ENTRY_BITS != hash >> 56)
      continue;
    const struct stencil *stencil = record_at(records, table[slot]);
    if (memcmp(&stencil->shape, shape, sizeof *shape) == 0)
      return stencil;
  }
  return NULL;
}

static void insert(uint32_t *table, uint32_t table_size, const uint8_t *records, size_t offset) {
  const struct stencil *stencil = (const struct stencil *)(records + offset);
  const uint64_t hash = shape_hash(&stencil->shape);
  uint32_t mask = table_size - 1, slot = (uint32_t)hash & mask;
  while (table[slot])
    slot = (slot + 1) & mask;
  table[slot] = table_entry(offset, hash);
}

/* --- Libraries ---------------------------------------------------------------------------------- */

static bool part_fits(uint64_t total, uint64_t offset, uint64_t size) {
  return offset >= sizeof(struct stencil_library_header) && offset % 4 == 0 && offset <= total &&
         size <= total - offset;
}

/* Of the header, but for the sum's own place, and of all that follows it. */
static uint32_t sum_of(const void *library, size_t size) {
  struct stencil_library_header h;
  memcpy(&h, library, sizeof h);
  h.checksum = 0;
  uLong sum = crc32(0, (const Bytef *)&h, sizeof h);
  return (uint32_t)crc32(sum, (const Bytef *)library + sizeof h, (uInt)(size - sizeof h));
}

bool stencil_library_valid(const void *library, size_t size, const uint8_t id[STENCIL_BUILD_ID_SIZE],
                           bool check_sum) {
  const struct stencil_library_header *h = library;
  if (size < sizeof *h || memcmp(h->magic, magic, sizeof magic) != 0 || h->total != size ||
      memcmp(h->build_id, id, STENCIL_BUILD_ID_SIZE) != 0)
    return false;
  if (!part_fits(size, h->table_offset, (uint64_t)h->table_size * 4) ||
      !part_fits(size, h->record_offset, h->record_size) || (h->table_size & (h->table_size - 1)) != 0 ||
      h->table_size <= h->stencil_count)
    return false;
  return !check_sum || sum_of(library, size) == h->checksum;
}

static const uint8_t *records_of(const struct stencil_library_header *library) {
  return (const uint8_t *)library + library->record_offset;
}

const struct stencil *stencil_find(const struct stencil_library_header *library, const struct shape *shape,
                                   uint64_t hash) {
  const uint32_t *table = (const uint32_t *)((const uint8_t *)library + library->table_offset);
  return find(table, library->table_size, records_of(library), shape, hash);
}

/* --- Collections --------------------------------------------------------------------------------- */

struct stencil_collection {
  uint8_t *records;
  size_t size, capacity;
  uint32_t *table;
  uint32_t count, table_size;
};

struct stencil_collection *stencil_collection_new(void) { return calloc(1, sizeof(struct stencil_collection)); }

void stencil_collection_free(struct stencil_collection *c) {
  if (!c)
    return;
  free(c->records);
  free(c->table);
  free(c);
}

size_t stencil_collection_count(const struct stencil_collection *c) { return c->count; }

static bool reserve(struct stencil_collection *c, size_t more) {
  if (c->size + more <= c->capacity)
    return true;
  size_t capacity = c->capacity ? c->capacity : 1 << 16;
  while (capacity < c->size + more)
    capacity *= 2;
  uint8_t *records = realloc(c->records, capacity);
  if (!records)
    return false;
  c->records = records;
  c->capacity = capacity;
  return true;
}

static bool table_grow(struct stencil_collection *c) {
  if (c->table_size > 2 * (c->count + 1))
    return true;
  uint32_t size = c->table_size ? c->table_size * 2 : 1024;
  uint32_t *table = calloc(size, sizeof *table);
  if (!table)
    return false;
  for (size_t at = 0; at < c->size; at += record_size((const struct stencil *)(c->records + at)))
    insert(table, size, c->records, at);
  free(c->table);
  c->table = table;
  c->table_size = size;
  return true;
}

const struct stencil *stencil_collection_find(const struct stencil_collection *c, const struct shape *shape) {
  return c->table_size ? find(c->table, c->table_size, c->records, shape, shape_hash(shape)) : NULL;
}

bool stencil_collection_add(struct stencil_collection *c, const struct stencil_code *s) {
  if (stencil_collection_find(c, &s->shape))
    return true;
  struct stencil head = {.shape = s->shape, .size = s->size, .reloc_count = s->reloc_count, .flags = s->flags, .memory = s->memory};
  size_t size = record_size(&head);
  if (c->size / 4 >= ENTRY_PLACE || !reserve(c, size) || !table_grow(c))
    return false;
  uint8_t *record = c->records + c->size;
  memset(record, 0, size);
  memcpy(record, &head, sizeof head);
  if (s->reloc_count)
    memcpy(record + sizeof head, s->reloc, s->reloc_count * sizeof *s->reloc);
  if (s->size)
    memcpy(record + sizeof head + s->reloc_count * sizeof *s->reloc, s->code, s->size);
  insert(c->table, c->table_size, c->records, c->size);
  c->size += size;
  c->count++;
  return true;
}

static bool add_records(struct stencil_collection *c, const uint8_t *records, size_t size) {
  for (size_t at = 0; at < size; at += record_size((const struct stencil *)(records + at))) {
    struct stencil_code s = stencil_open((const struct stencil *)(records + at));
    if (!stencil_collection_add(c, &s))
      return false;
  }
  return true;
}

bool stencil_collection_add_collection(struct stencil_collection *c, const struct stencil_collection *other) {
  return add_records(c, other->records, other->size);
}

bool stencil_collection_add_library(struct stencil_collection *c, const struct stencil_library_header *library) {
  return add_records(c, records_of(library), library->record_size);
}

static uint32_t round4(size_t value) { return (uint32_t)((value + 3) & ~(size_t)3); }

void *stencil_collection_library(const struct stencil_collection *c, const uint8_t id[STENCIL_BUILD_ID_SIZE],
                                 size_t *size) {
  static const uint32_t empty_table[1] = {0};
  struct stencil_library_header h = {.stencil_count = c->count,
                                     .table_size = c->table_size ? c->table_size : 1,
                                     .record_size = (uint32_t)c->size};
  memcpy(h.magic, magic, sizeof magic);
  memcpy(h.build_id, id, STENCIL_BUILD_ID_SIZE);
  h.table_offset = round4(sizeof h);
  h.record_offset = h.table_offset + h.table_size * 4;
  h.total = h.record_offset + h.record_size;
  uint8_t *library = calloc(1, h.total);
  if (!library)
    return NULL;
  memcpy(library + h.table_offset, c->table ? c->table : empty_table, (size_t)h.table_size * 4);
  if (c->size)
    memcpy(library + h.record_offset, c->records, c->size);
  memcpy(library, &h, sizeof h);
  ((struct stencil_library_header *)library)->checksum = sum_of(library, h.total);
  *size = h.total;
  return library;
}
