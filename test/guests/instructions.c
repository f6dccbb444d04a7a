/* Instructions that compilers rarely choose, by inline assembly, and what cpuid promises. */
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  uint32_t a = 0x12345678, b = 3, c, d, flags;
  __asm__("bsr %1,%0" : "=r"(c) : "r"(a));
  __asm__("bsf %1,%0" : "=r"(d) : "r"(a));
  printf("bsr %u bsf %u\n", c, d);
  __asm__("shld $5,%2,%0" : "=r"(c) : "0"(a), "r"(0x9abcdef0));
  __asm__("rcl $9,%0" : "=r"(d) : "0"(a));
  printf("shld %08x\n", c);
  c = 0x99;
  __asm__("add $0x27,%%al; daa" : "+a"(c));
  printf("daa %x\n", c);
  char text[32] = "some text to be turned", copy[32] = "";
  char *from = text, *to = copy;
  uint32_t count = 22;
  __asm__ volatile("1: lodsb; stosb; dec %%ecx; jnz 1b" : "+S"(from), "+D"(to), "+c"(count)::"al", "memory");
  printf("%s\n", copy);
  const char *at = text;
  count = 100;
  __asm__ volatile("repne scasb" : "+D"(at), "+c"(count) : "a"(0) : "memory", "cc");
  printf("length %d\n", (int)(at - text) - 1);
  uint64_t wide = 5, wanted = 5;
  unsigned char swapped;
  __asm__ volatile("lock cmpxchg8b %1; sete %0" : "=q"(swapped), "+m"(wide), "+A"(wanted) : "b"(7), "c"(9) : "cc");
  printf("%d %llx\n", swapped, (unsigned long long)wide);
  __asm__("xlat" : "+a"(b) : "b"(text), "m"(text));
  printf("xlat %c\n", (char)b);
  uint32_t before, after;
  __asm__ volatile("pushf; pop %0; mov %0,%1; xor $0x200000,%1; push %1; popf; pushf; pop %1; push %0; popf" : "=&r"(before), "=&r"(after)::"cc");
  printf("cpuid exists %d\n", (before ^ after) >> 21 & 1);
  unsigned eax, ebx, ecx, edx;
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  printf("fpu %d tsc %d cx8 %d cmov %d mmx %d fxsr %d sse %d sse2 %d\n", edx & 1, edx >> 4 & 1, edx >> 8 & 1, edx >> 15 & 1, edx >> 23 & 1, edx >> 24 & 1, edx >> 25 & 1, edx >> 26 & 1);
  uint64_t first = __builtin_ia32_rdtsc(), second = __builtin_ia32_rdtsc();
  printf("time goes on %d\n", second >= first && first);
  uint16_t fs, gs, ds, es, ss, cs;
  __asm__("mov %%ds,%0; mov %%es,%1; mov %%ss,%2; mov %%cs,%3; mov %%gs,%4" : "=r"(ds), "=r"(es), "=r"(ss), "=r"(cs), "=r"(gs));
  printf("segments %d %d %d %d\n", ds == es, ds == ss, (cs & 3) == 3, (ds & 3) == 3);
  uint32_t self, at_gs;
  __asm__("mov %%gs:0,%0; mov %%gs:(%1),%1" : "=&r"(self), "=r"(at_gs) : "1"(0));
  printf("thread pointer %d\n", self == at_gs && self);
  uint32_t sum = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    __asm__("add %1,%0; adc $0,%0; rol $3,%0; bt %1,%0; sbb %1,%0; setc %b1" : "+r"(sum), "+q"(a)::"cc");
    __asm__("lahf; movzbl %%ah,%0" : "=a"(flags) : "a"(0));
    __asm__("cmp %1,%0; cmovb %1,%0; xadd %1,%0" : "+r"(sum), "+r"(a)::"cc");
    a = a * 5 + i;
  }
  printf("mixed %08x\n", sum);
  uint8_t bcd[10];
  double value = 1234567890123.0;
  __asm__("fbstp %0" : "=m"(bcd) : "t"(value) : "st");
  for (int i = 9; i >= 0; i--)
    printf("%02x", bcd[i]);
  puts("");
  uint32_t bounds[2] = {1, 10};
  __asm__ volatile("bound %0,%1" ::"r"(5), "m"(bounds));
  __asm__ volatile("enter $16,$2; leave" ::: "memory");
  return 0;
}
