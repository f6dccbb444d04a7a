/* Libraries of stencils: what goes in comes out, and a file that is cut short, damaged, or of another build
 * is refused before anything in it is used. */
#include "Runtime/stencil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 3000 };
static const uint8_t id[STENCIL_BUILD_ID_SIZE] = "0123456789abcdefghij";

/* Stencil n: another shape, size, and contents for each. */
struct made {
  struct stencil_code code;
  uint8_t bytes[200];
  struct stencil_reloc relocs[8];
};

static void make(struct made *made, unsigned n) {
  memset(made, 0, sizeof *made);
  made->code.shape.first.mnemonic = (uint16_t)(1 + n % 1500);
  made->code.shape.first.op[n % 4].reg = n % 8;
  made->code.shape.flags_live = n / 1500;
  made->code.size = (uint16_t)(n % 200);
  made->code.reloc_count = (uint8_t)(n % 9);
  made->code.flags = (uint8_t)(n % 8);
  made->code.code = made->bytes;
  made->code.reloc = made->relocs;
  for (unsigned i = 0; i < made->code.size; i++)
    made->bytes[i] = (uint8_t)(n * 31 + i);
  for (unsigned i = 0; i < made->code.reloc_count; i++)
    made->relocs[i] = (struct stencil_reloc){
        .offset = (uint16_t)i, .kind = RELOC_PC32, .symbol = (uint8_t)(n % 12), .addend = (int32_t)(n * i)};
}

static struct stencil_collection *collect(unsigned from, unsigned to) {
  struct stencil_collection *collection = stencil_collection_new();
  struct made made;
  for (unsigned n = from; n < to; n++) {
    make(&made, n);
    assert_true(stencil_collection_add(collection, &made.code));
  }
  return collection;
}

static void check_stencil(const struct stencil *s, const struct made *wanted) {
  assert_non_null(s);
  struct stencil_code code = stencil_open(s);
  assert_memory_equal(&code.shape, &wanted->code.shape, sizeof code.shape);
  assert_int_equal(code.size, wanted->code.size);
  assert_int_equal(code.reloc_count, wanted->code.reloc_count);
  assert_int_equal(code.flags, wanted->code.flags);
  assert_memory_equal(code.code, wanted->bytes, code.size);
  assert_memory_equal(code.reloc, wanted->relocs, code.reloc_count * sizeof code.reloc[0]);
}

static void check_library(const struct stencil_library_header *library, unsigned from, unsigned to) {
  struct made made;
  for (unsigned n = from; n < to; n++) {
    make(&made, n);
    check_stencil(stencil_find(library, &made.code.shape, shape_hash(&made.code.shape)), &made);
  }
  make(&made, to);
  made.code.shape.first.mnemonic = 0xFFFF;
  assert_null(stencil_find(library, &made.code.shape, shape_hash(&made.code.shape)));
}

static void round_trip(void **state) {
  (void)state;
  struct stencil_collection *collection = collect(0, COUNT);
  struct made made;
  assert_int_equal(stencil_collection_count(collection), COUNT);
  for (unsigned n = 0; n < COUNT; n++) {
    make(&made, n);
    check_stencil(stencil_collection_find(collection, &made.code.shape), &made);
  }
  size_t size;
  void *library = stencil_collection_library(collection, id, &size);
  assert_true(stencil_library_valid(library, size, id, true));
  check_library(library, 0, COUNT);
  /* Anywhere in memory, as a mapped file is. */
  void *elsewhere = malloc(size);
  memcpy(elsewhere, library, size);
  free(library);
  check_library(elsewhere, 0, COUNT);
  free(elsewhere);
  stencil_collection_free(collection);
}

static void same_bytes_for_same_contents(void **state) {
  (void)state;
  struct stencil_collection *a = collect(0, 500), *b = collect(0, 500);
  size_t size_a, size_b;
  void *x = stencil_collection_library(a, id, &size_a), *y = stencil_collection_library(b, id, &size_b);
  assert_int_equal(size_a, size_b);
  assert_memory_equal(x, y, size_a); /* builds can be reproduced */
  free(x), free(y);
  stencil_collection_free(a), stencil_collection_free(b);
}

static void merging(void **state) {
  (void)state;
  struct stencil_collection *low = collect(0, 800), *high = collect(600, 1400), *all = stencil_collection_new();
  size_t size, size_low;
  void *library_low = stencil_collection_library(low, id, &size_low);
  assert_true(stencil_collection_add_library(all, library_low));
  assert_true(stencil_collection_add_collection(all, high));
  assert_int_equal(stencil_collection_count(all), 1400);
  void *library = stencil_collection_library(all, id, &size);
  assert_true(stencil_library_valid(library, size, id, true));
  check_library(library, 0, 1400);
  free(library), free(library_low);
  stencil_collection_free(low), stencil_collection_free(high), stencil_collection_free(all);
}

static void first_one_stays(void **state) {
  (void)state;
  struct stencil_collection *collection = collect(0, 10);
  struct made made, other;
  make(&made, 5);
  make(&other, 6);
  other.code.shape = made.code.shape;
  assert_true(stencil_collection_add(collection, &other.code));
  assert_int_equal(stencil_collection_count(collection), 10);
  check_stencil(stencil_collection_find(collection, &made.code.shape), &made);
  stencil_collection_free(collection);
}

static void empty(void **state) {
  (void)state;
  struct stencil_collection *none = stencil_collection_new();
  struct made made;
  size_t size;
  make(&made, 1);
  assert_null(stencil_collection_find(none, &made.code.shape));
  void *library = stencil_collection_library(none, id, &size);
  assert_true(stencil_library_valid(library, size, id, true));
  assert_null(stencil_find(library, &made.code.shape, shape_hash(&made.code.shape)));
  free(library);
  stencil_collection_free(none);
}

/* --- What is refused ------------------------------------------------------------------------------------- */

static void other_builds(void **state) {
  (void)state;
  struct stencil_collection *collection = collect(0, 50);
  uint8_t other[STENCIL_BUILD_ID_SIZE];
  size_t size;
  void *library = stencil_collection_library(collection, id, &size);
  for (unsigned i = 0; i < sizeof other; i++) {
    memcpy(other, id, sizeof other);
    other[i] ^= 1;
    assert_false(stencil_library_valid(library, size, other, true));
    assert_false(stencil_library_valid(library, size, other, false));
  }
  free(library);
  stencil_collection_free(collection);
}

static void cut_short(void **state) {
  (void)state;
  struct stencil_collection *collection = collect(0, 50);
  size_t size;
  uint8_t *library = stencil_collection_library(collection, id, &size);
  for (size_t left = 0; left < size; left++) {
    uint8_t *copy = malloc(left ? left : 1); /* of its own, so that a sanitizer sees who reads on */
    memcpy(copy, library, left);
    assert_false(stencil_library_valid(copy, left, id, true));
    free(copy);
  }
  uint8_t *longer = calloc(1, size + 8);
  memcpy(longer, library, size);
  assert_false(stencil_library_valid(longer, size + 8, id, true));
  free(longer);
  free(library);
  stencil_collection_free(collection);
}

/* Every bit of a small library, flipped alone. */
static void damaged(void **state) {
  (void)state;
  struct stencil_collection *collection = collect(0, 12);
  size_t size;
  uint8_t *library = stencil_collection_library(collection, id, &size);
  for (size_t at = 0; at < size; at++)
    for (unsigned bit = 0; bit < 8; bit++) {
      library[at] ^= (uint8_t)(1 << bit);
      assert_false(stencil_library_valid(library, size, id, true));
      library[at] ^= (uint8_t)(1 << bit);
    }
  assert_true(stencil_library_valid(library, size, id, true));
  free(library);
  stencil_collection_free(collection);
}

/* A header that points outside is refused even where nobody adds up the whole file. */
static void bounds(void **state) {
  (void)state;
  struct stencil_collection *collection = collect(0, 12);
  size_t size;
  struct stencil_library_header *library = stencil_collection_library(collection, id, &size);
  const struct stencil_library_header good = *library;
  assert_true(stencil_library_valid(library, size, id, false));
  uint32_t *const fields[] = {&library->stencil_count, &library->table_size,    &library->table_offset,
                              &library->record_size,   &library->record_offset, &library->total};
  const uint32_t values[] = {(uint32_t)size + 1, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF8};
  for (unsigned f = 0; f < sizeof fields / sizeof fields[0]; f++)
    for (unsigned v = 0; v < sizeof values / sizeof values[0]; v++) {
      *library = good;
      *fields[f] = values[v];
      assert_false(stencil_library_valid(library, size, id, false));
    }
  /* Parts may not begin in the header. */
  uint32_t *const offsets[] = {&library->table_offset, &library->record_offset};
  for (unsigned f = 0; f < 2; f++) {
    *library = good;
    *offsets[f] = sizeof *library - 4;
    assert_false(stencil_library_valid(library, size, id, false));
  }
  /* A table that is full would be searched for ever; one of an odd size, past its end. */
  *library = good;
  library->table_size = 0;
  assert_false(stencil_library_valid(library, size, id, false));
  library->table_size = good.table_size - 1;
  assert_false(stencil_library_valid(library, size, id, false));
  library->table_size = 8;
  assert_false(stencil_library_valid(library, size, id, false));
  free(library);
  stencil_collection_free(collection);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trip),      cmocka_unit_test(same_bytes_for_same_contents),
      cmocka_unit_test(merging),         cmocka_unit_test(first_one_stays),
      cmocka_unit_test(empty),           cmocka_unit_test(other_builds),
      cmocka_unit_test(cut_short),       cmocka_unit_test(damaged),
      cmocka_unit_test(bounds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
