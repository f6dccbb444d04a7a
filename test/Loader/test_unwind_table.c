/* Unwind tables: the functions that they tell of, in the vDSO, which the C compiler made them for; and that
 * damage does no harm. */
#include "Loader/symbols.h"
#include "Loader/unwind_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern const uint8_t vdso_image[], vdso_image_end[];
static size_t vdso_size(void) { return (size_t)(vdso_image_end - vdso_image); }

struct found {
  const struct symbols *symbols;
  unsigned count, with_symbol;
};

static void note(void *context, uint32_t address, uint32_t length) {
  struct found *found = context;
  found->count++;
  const struct symbol *symbol = symbols_find(found->symbols, address);
  if (symbol && symbol->address == address && symbol->sized) {
    found->with_symbol++;
    assert_int_equal(symbol->size, length);
  }
}

static void functions_of_the_vdso(void **state) {
  (void)state;
  struct symbols *symbols = symbols_read_bytes(vdso_image, vdso_size());
  struct found found = {.symbols = symbols};
  size_t count;
  const struct symbol *all = symbols_all(symbols, &count);
  unwind_table_read(vdso_image, vdso_size(), note, &found);
  bool clock = false;
  for (size_t i = 0; i < count; i++)
    clock |= strcmp(all[i].name, "__vdso_clock_gettime") == 0;
  assert_true(clock);
  assert_true(found.count >= 4);
  assert_true(found.with_symbol >= 3); /* what C is, at least: clock_gettime, gettimeofday, time */
  symbols_free(symbols);
}

static void ignore(void *context, uint32_t address, uint32_t length) {
  (void)address;
  *(unsigned *)context += length != 0;
}

static void damage(void **state) {
  (void)state;
  const size_t size = vdso_size();
  static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF};
  uint8_t *bytes = malloc(size);
  unsigned seen = 0;
  for (size_t at = 0; at < size; at++)
    for (size_t v = 0; v < sizeof values; v++) {
      if (at == 0)
        memcpy(bytes, vdso_image, size);
      bytes[at] = values[v];
      unwind_table_read(bytes, size, ignore, &seen);
      bytes[at] = vdso_image[at];
    }
  free(bytes);
  for (size_t cut = 0; cut < size; cut += 7) {
    bytes = malloc(cut + 1); /* so that reading further is seen */
    memcpy(bytes, vdso_image, cut);
    unwind_table_read(bytes, cut, ignore, &seen);
    free(bytes);
  }
  assert_true(seen > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(functions_of_the_vdso), cmocka_unit_test(damage)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
