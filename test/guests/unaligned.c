/* Unaligned and overlapping accesses, across cache lines and pages, narrow stores read wide and back. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

typedef uint16_t __attribute__((aligned(1), may_alias)) u16;
typedef uint32_t __attribute__((aligned(1), may_alias)) u32;
typedef uint64_t __attribute__((aligned(1), may_alias)) u64;
typedef double __attribute__((aligned(1), may_alias)) f64;
typedef long double __attribute__((aligned(1), may_alias)) f80;

int main(void) {
  volatile unsigned char *m = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 3 * 4096; i++)
    m[i] = (unsigned char)(i * 13);
  uint32_t sum = 0;
  for (int center = 64; center <= 8192; center *= 2)
    for (int offset = -9; offset < 9; offset++) {
      volatile unsigned char *p = m + center + offset;
      sum = sum * 31 + *(volatile u16 *)p, sum = sum * 31 + *(volatile u32 *)p, sum = sum * 31 + (uint32_t)(*(volatile u64 *)p >> 7);
      *(volatile u32 *)p += sum, *(volatile u16 *)(p + 1) ^= 0x55aa, *(volatile u64 *)p *= 3;
      p[2]++;
      sum += *(volatile u32 *)(p - 1);
      *(volatile f64 *)p = center * 1.5 + offset;
      sum = sum * 31 + (uint32_t)(int)*(volatile f64 *)p;
      *(volatile f80 *)p = (long double)offset / 3;
      sum = sum * 31 + *(volatile u32 *)(p + 6);
    }
  printf("%08x\n", sum);
  for (int i = 0; i < 3 * 4096; i++)
    sum = sum * 31 + m[i];
  printf("%08x\n", sum);
  union { uint32_t word; uint16_t half[2]; uint8_t byte[4]; float f; } u;
  for (int i = 0; i < 1000; i++) {
    u.word = sum, u.byte[i & 3] += i, u.half[i & 1] ^= 0x1234, sum = u.word * 33 + u.byte[1];
    u.f = (float)i, sum ^= u.word;
  }
  printf("%08x\n", sum);
  return 0;
}
