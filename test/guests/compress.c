/* A small compressor there and back: byte and bit fiddling, tables, branches that cannot be predicted. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { size = 60000, window = 4096, shortest = 3, longest = 18 };
static uint8_t text[size], packed[size * 2], back[size];

static size_t lz_pack(const uint8_t *in, size_t length, uint8_t *out) {
  static int head[1 << 12], previous[size];
  memset(head, -1, sizeof head);
  size_t at = 0, o = 0, flag = 0;
  int bit = 8;
  while (at < length) {
    if (bit == 8)
      flag = o++, out[flag] = 0, bit = 0;
    size_t best = 0, distance = 0;
    unsigned hash = at + 2 < length ? (in[at] << 4 ^ in[at + 1] << 2 ^ in[at + 2]) & 4095 : 0;
    for (int p = head[hash], tries = 16; p >= 0 && tries-- && at - p < window; p = previous[p]) {
      size_t n = 0;
      while (n < longest && at + n < length && in[p + n] == in[at + n])
        n++;
      if (n > best)
        best = n, distance = at - p;
    }
    size_t step = 1;
    if (best >= shortest) {
      out[flag] |= 1 << bit;
      out[o++] = distance & 255;
      out[o++] = (distance >> 8) << 4 | (best - shortest);
      step = best;
    } else
      out[o++] = in[at];
    while (step--) {
      hash = at + 2 < length ? (in[at] << 4 ^ in[at + 1] << 2 ^ in[at + 2]) & 4095 : 0;
      previous[at] = head[hash], head[hash] = at, at++;
    }
    bit++;
  }
  return o;
}

static size_t lz_unpack(const uint8_t *in, size_t length, uint8_t *out) {
  size_t at = 0, o = 0;
  while (at < length) {
    unsigned flags = in[at++];
    for (int bit = 0; bit < 8 && at < length; bit++)
      if (flags >> bit & 1) {
        unsigned distance = in[at] | (in[at + 1] >> 4) << 8, n = (in[at + 1] & 15) + shortest;
        at += 2;
        for (; n; n--, o++)
          out[o] = out[o - distance];
      } else
        out[o++] = in[at++];
  }
  return o;
}

int main(void) {
  static const char *const words[] = {"the ", "stencil ", "translates ", "guest ", "code ", "and ", "runs\n", "fast ", "0x80 "};
  uint32_t state = 9;
  size_t length = 0;
  while (length < size - 20) {
    state = state * 1103515245 + 12345;
    const char *word = words[(state >> 16) % 9];
    length += strlen(strcpy((char *)text + length, word));
    if ((state >> 20) % 11 == 0)
      text[length++] = state >> 24;
  }
  size_t small = lz_pack(text, length, packed), again = lz_unpack(packed, small, back);
  uint32_t sum = 0;
  for (size_t i = 0; i < small; i++)
    sum = sum * 31 + packed[i];
  printf("%zu -> %zu -> %zu, %s, %08x\n", length, small, again, memcmp(text, back, length) ? "different" : "same", sum);
  unsigned histogram[256] = {0};
  for (size_t i = 0; i < length; i++)
    histogram[text[i]]++;
  for (int i = 'a'; i < 'i'; i++)
    printf("%u ", histogram[i]);
  puts("");
  return 0;
}
