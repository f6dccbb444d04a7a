/* Stands in for libFuzzer where there is none: runs each file named, then 20000 mutations of them, always
 * the same ones. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 20000, SIZE_MAX_INPUT = 65536 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 0x9e3779b97f4a7c15;

static uint32_t next(uint32_t limit) { /* xorshift64 */
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32) % limit;
}

static void mutate(uint8_t *data, size_t *size) {
  static const uint8_t values[] = {0, 1, 4, 0x10, 0x20, 0x34, 0x7f, 0x80, 0xf0, 0xff, '\n', ' ', '\t'};
  for (uint32_t changes = 1 + next(4); changes && *size; changes--)
    switch (next(5)) {
    case 0:
      data[next((uint32_t)*size)] ^= (uint8_t)(1u << next(8));
      break;
    case 1:
      data[next((uint32_t)*size)] = values[next(sizeof values)];
      break;
    case 2:
      memset(data + next((uint32_t)*size), values[next(sizeof values)], 1);
      break;
    case 3:
      *size = next((uint32_t)*size + 1);
      break;
    case 4: { /* a whole word */
      const uint32_t word = next(2) ? UINT32_MAX - next(5000) : next(70000);
      if (*size >= 4)
        memcpy(data + next((uint32_t)*size - 3), &word, 4);
      break;
    }
    }
}

int main(int argc, char **argv) {
  static uint8_t original[SIZE_MAX_INPUT], changed[SIZE_MAX_INPUT];
  for (int i = 1; i < argc; i++) {
    FILE *file = fopen(argv[i], "rb");
    if (!file) {
      perror(argv[i]);
      return 1;
    }
    const size_t size = fread(original, 1, sizeof original, file);
    fclose(file);
    LLVMFuzzerTestOneInput(original, size);
    for (int run = 0; run < RUNS / (argc - 1); run++) {
      size_t length = size;
      memcpy(changed, original, size);
      mutate(changed, &length);
      /* A copy of its own length, so that sanitizers see what reads beyond it. */
      uint8_t *input = malloc(length ? length : 1);
      if (!input)
        return 1;
      memcpy(input, changed, length);
      LLVMFuzzerTestOneInput(input, length);
      free(input);
    }
  }
  return argc > 1 ? 0 : 1;
}
