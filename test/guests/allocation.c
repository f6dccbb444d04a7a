/* malloc, realloc, free, aligned and huge blocks: brk, mmap and mremap underneath. */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
  enum { slots = 500 };
  static unsigned char *block[slots];
  static size_t size[slots];
  uint32_t state = 1, sum = 0;
  unsigned bad = 0;
  for (int i = 0; i < 60000; i++) {
    state = state * 1664525 + 1013904223;
    unsigned slot = state >> 8 & 511, want = (state >> 17) % (i % 97 == 0 ? 300000 : 900) + 1;
    if (slot >= slots)
      continue;
    if (block[slot]) {
      bad += block[slot][0] != (unsigned char)slot || block[slot][size[slot] - 1] != (unsigned char)slot;
      sum = sum * 31 + (uint32_t)size[slot];
    }
    if (state >> 28 < 4 && block[slot]) {
      free(block[slot]);
      block[slot] = NULL;
      continue;
    }
    block[slot] = realloc(block[slot], want);
    size[slot] = want;
    block[slot][0] = block[slot][want - 1] = (unsigned char)slot;
  }
  printf("%08x %u\n", sum, bad);
  for (int i = 0; i < slots; i++)
    free(block[i]);
  for (size_t alignment = 16; alignment <= 65536; alignment *= 4) {
    void *at;
    int failed = posix_memalign(&at, alignment, 100);
    printf("%d %d ", failed, (uintptr_t)at % alignment == 0);
    free(at);
  }
  puts("");
  char *huge = malloc(50 << 20);
  huge[0] = 1, huge[(50 << 20) - 1] = 2;
  huge = realloc(huge, 90 << 20);
  printf("%d %d %d\n", huge[0], huge[(50 << 20) - 1], huge[(90 << 20) - 1]);
  huge = realloc(huge, 1 << 20);
  printf("%d\n", huge[0]);
  free(huge);
  printf("%d %d\n", calloc(0x10000, 0x10001) == NULL, malloc(0xfffffff0) == NULL);
  int *zero = calloc(100000, sizeof *zero), nonzero = 0;
  for (int i = 0; i < 100000; i++)
    nonzero |= zero[i];
  printf("%d %d\n", nonzero, malloc_usable_size(zero) >= 400000);
  char *text = strdup("copied"), *formatted;
  int length = asprintf(&formatted, "%s-%d", text, 5);
  printf("%s %d %s\n", text, length, formatted);
  return 0;
}
