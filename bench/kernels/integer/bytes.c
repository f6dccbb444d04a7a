/* Base64 and a case-folding search: bytes, setcc, partial registers, short unpredictable loops. */
#include "../kernel.h"

enum { SIZE = 3 << 16, ROUNDS = 1200 };
static uint8_t data[SIZE], out[SIZE / 3 * 4 + 1];
static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode(void) {
  uint8_t *o = out;
  for (int i = 0; i < SIZE; i += 3) {
    uint32_t v = (uint32_t)data[i] << 16 | (uint32_t)data[i + 1] << 8 | data[i + 2];
    *o++ = (uint8_t)digit[v >> 18];
    *o++ = (uint8_t)digit[v >> 12 & 63];
    *o++ = (uint8_t)digit[v >> 6 & 63];
    *o++ = (uint8_t)digit[v & 63];
  }
  *o = 0;
}

static uint8_t fold(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

static uint32_t count(const char *word) {
  uint32_t found = 0;
  for (const uint8_t *s = out; *s; s++) {
    int i = 0;
    while (word[i] && fold(s[i]) == (uint8_t)word[i])
      i++;
    found += word[i] == 0;
  }
  return found;
}

int main(void) {
  uint32_t sum = 0;
  for (int i = 0; i < SIZE; i++)
    data[i] = (uint8_t)random_next();
  for (int round = 0; round < ROUNDS; round++) {
    data[round] ^= (uint8_t)sum;
    encode();
    sum = mix(sum, count("abc"));
  }
  return kernel_end(sum);
}
