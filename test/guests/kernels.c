/* Small CPU-bound kernels over integers: loops, calls, memory. Checksums of each. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 12345;
static uint32_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

static unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static unsigned sieve(unsigned limit) {
  char *composite = calloc(limit, 1);
  unsigned count = 0;
  for (unsigned i = 2; i < limit; i++)
    if (!composite[i]) {
      count++;
      for (unsigned j = 2 * i; j < limit; j += i)
        composite[j] = 1;
    }
  free(composite);
  return count;
}

static uint32_t crc32(const uint8_t *bytes, size_t length) {
  uint32_t table[256], crc = ~0u;
  for (uint32_t i = 0; i < 256; i++) {
    table[i] = i;
    for (int bit = 0; bit < 8; bit++)
      table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320u : table[i] >> 1;
  }
  while (length--)
    crc = crc >> 8 ^ table[(crc ^ *bytes++) & 255];
  return ~crc;
}

static uint32_t matrix_product(void) {
  enum { n = 60 };
  static int a[n][n], b[n][n], c[n][n];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      a[i][j] = i * 3 - j, b[i][j] = i ^ j;
  uint32_t sum = 0;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      c[i][j] = 0;
      for (int k = 0; k < n; k++)
        c[i][j] += a[i][k] * b[k][j];
      sum = sum * 31 + (uint32_t)c[i][j];
    }
  return sum;
}

static void quicksort(int *from, int *to) {
  while (to - from > 1) {
    int pivot = from[(to - from) / 2], *left = from, *right = to - 1;
    while (left <= right) {
      while (*left < pivot)
        left++;
      while (*right > pivot)
        right--;
      if (left <= right) {
        int swap = *left;
        *left++ = *right;
        *right-- = swap;
      }
    }
    quicksort(from, right + 1);
    from = left;
  }
}

struct node {
  struct node *next;
  int value;
};

static long list_walk(void) {
  enum { count = 5000 };
  struct node *nodes = malloc(count * sizeof *nodes);
  for (int i = 0; i < count; i++) {
    nodes[i].value = i;
    nodes[i].next = &nodes[(i * 7919 + 13) % count];
  }
  long sum = 0;
  struct node *at = nodes;
  for (int i = 0; i < 200000; i++, at = at->next)
    sum = sum * 3 + at->value;
  free(nodes);
  return sum;
}

static int queens(int n, unsigned columns, unsigned left, unsigned right) {
  unsigned all = (1u << n) - 1;
  int count = 0;
  if (columns == all)
    return 1;
  for (unsigned free_places = all & ~(columns | left | right); free_places; free_places &= free_places - 1) {
    unsigned place = free_places & -free_places;
    count += queens(n, columns | place, (left | place) << 1, (right | place) >> 1);
  }
  return count;
}

static unsigned collatz(unsigned limit) {
  unsigned best = 0, best_length = 0;
  for (unsigned start = 1; start < limit; start++) {
    unsigned length = 0;
    for (uint64_t n = start; n != 1; n = n & 1 ? 3 * n + 1 : n / 2)
      length++;
    if (length > best_length)
      best_length = length, best = start;
  }
  return best * 1000 + best_length;
}

static uint32_t rotate(uint32_t value, int by) { return value >> by | value << (32 - by); }

static void sha256_block(uint32_t hash[8], const uint8_t *block) {
  uint32_t w[64], s[8], prime = 2;
  memcpy(s, hash, sizeof s);
  for (int i = 0; i < 64; i++) {
    if (i < 16)
      w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    else
      w[i] = w[i - 16] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
             (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    uint32_t k = prime * 0x9e3779b9u; /* any constants will do here */
    prime += 2 + (i & 3);
    uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k + w[i];
    uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++)
    hash[i] += s[i];
}

int main(void) {
  printf("fib %u\n", fib(25));
  printf("sieve %u\n", sieve(200000));
  static uint8_t bytes[65536];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)next_random();
  printf("crc32 %08x\n", crc32(bytes, sizeof bytes));
  printf("matrix %08x\n", matrix_product());
  enum { sorted = 50000 };
  static int numbers[sorted];
  for (int i = 0; i < sorted; i++)
    numbers[i] = (int)next_random();
  quicksort(numbers, numbers + sorted);
  int ordered = 1;
  for (int i = 1; i < sorted; i++)
    ordered &= numbers[i - 1] <= numbers[i];
  printf("quicksort %d %d %d\n", ordered, numbers[0], numbers[sorted / 2]);
  printf("list %ld\n", list_walk());
  printf("queens %d\n", queens(8, 0, 0, 0));
  printf("collatz %u\n", collatz(20000));
  uint32_t hash[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (size_t i = 0; i < sizeof bytes; i += 64)
    sha256_block(hash, bytes + i);
  printf("hash %08x %08x\n", hash[0], hash[7]);
  return 0;
}
