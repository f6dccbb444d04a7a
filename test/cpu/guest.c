/* Tells what cpuid says of the CPU, and tries an instruction of each feature: those that are reported must work, and no
 * others. With an argument it prints them; without, natively or under the emulator, just "good". It has no C
 * library: that may need a newer CPU. */
#include <stdint.h>

static int32_t call(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  int32_t result;
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
  return result;
}
enum { SYS_EXIT = 1, SYS_WRITE = 4, SYS_RT_SIGACTION = 174, SIGILL = 4, SA_SIGINFO = 4, SA_NODEFER = 0x40000000 };

static void text(const char *string) {
  uint32_t length = 0;
  while (string[length])
    length++;
  call(SYS_WRITE, 1, (uint32_t)string, length, 0);
}

static void number(uint32_t value, uint32_t base) {
  char digits[12], *at = digits + sizeof digits - 1;
  *at = 0;
  do
    *--at = "0123456789abcdef"[value % base];
  while (value /= base);
  text(at);
}

/* A fault goes on here. */
static uint32_t recover __attribute__((used));
static void on_illegal(int signal, void *info, uint8_t *context) {
  enum { UCONTEXT_EIP = 76 };
  (void)signal, (void)info;
  *(uint32_t *)(context + UCONTEXT_EIP) = recover;
}

static void cpuid(uint32_t leaf, uint32_t r[4]) {
  __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static uint8_t data[512] __attribute__((aligned(16), used));
/* leaf, register (0 eax … 3 edx), bit, and an instruction that needs it */
#define FEATURES(X)                                                                                          \
  X(tsc, 1, 3, 4, "rdtsc")                                                                                   \
  X(cx8, 1, 3, 8, "cmpxchg8b (%%esi)")                                                                       \
  X(cmov, 1, 3, 15, "cmovz %%eax,%%ecx")                                                                     \
  X(clflush, 1, 3, 19, "clflush (%%esi)")                                                                    \
  X(mmx, 1, 3, 23, "pxor %%mm0,%%mm0; emms")                                                                 \
  X(fxsr, 1, 3, 24, "fxsave data")                                                                           \
  X(sse, 1, 3, 25, "xorps %%xmm0,%%xmm0")                                                                    \
  X(sse_mmx, 1, 3, 25, "pshufw $0,%%mm0,%%mm0; emms")                                                        \
  X(sse2, 1, 3, 26, "xorpd %%xmm0,%%xmm0")                                                                   \
  X(sse3, 1, 2, 0, "haddps %%xmm0,%%xmm0")                                                                   \
  X(pclmulqdq, 1, 2, 1, "pclmulqdq $0,%%xmm0,%%xmm0")                                                        \
  X(ssse3, 1, 2, 9, "pabsb %%xmm0,%%xmm0")                                                                   \
  X(fma, 1, 2, 12, "vfmadd132ps %%xmm0,%%xmm0,%%xmm0")                                                       \
  X(sse41, 1, 2, 19, "pminsb %%xmm0,%%xmm0")                                                                 \
  X(sse42, 1, 2, 20, "pcmpgtq %%xmm0,%%xmm0")                                                                \
  X(movbe, 1, 2, 22, "movbe (%%esi),%%eax")                                                                  \
  X(popcnt, 1, 2, 23, "popcnt %%eax,%%eax")                                                                  \
  X(aes, 1, 2, 25, "aesimc %%xmm0,%%xmm0")                                                                   \
  X(xsave, 1, 2, 26, "xor %%ecx,%%ecx; xgetbv")                                                              \
  X(avx, 1, 2, 28, "vxorps %%ymm0,%%ymm0,%%ymm0")                                                            \
  X(avx2, 7, 1, 5, "vpxor %%ymm0,%%ymm0,%%ymm0")                                                             \
  X(bmi1, 7, 1, 3, "andn %%eax,%%eax,%%eax")                                                                 \
  X(bmi2, 7, 1, 8, "rorx $1,%%eax,%%eax")                                                                    \
  X(adx, 7, 1, 19, "adcx %%eax,%%eax")                                                                       \
  X(sha, 7, 1, 29, "sha1msg1 %%xmm0,%%xmm0")                                                                 \
  X(rdtscp, 0x80000001, 3, 27, "rdtscp")

#define DEFINE(name, leaf, r, bit, text)                                                                     \
  static uint32_t try_##name(void) {                                                                         \
    uint32_t works;                                                                                          \
    __asm__ volatile("movl $1f, recover; movl $0, %0; pushl %0; " text "; movl $1, (%%esp); 1: popl %0"       \
                     : "=&D"(works)                                                                          \
                     : "S"(data)                                                                             \
                     : "eax", "ecx", "edx", "ebx", "memory", "cc");                                          \
    return works;                                                                                            \
  }
FEATURES(DEFINE)
#define ROW(name, leaf, r, bit, text) {#name, leaf, r, bit, try_##name},
static const struct {
  const char *name;
  uint32_t leaf, r, bit;
  uint32_t (*attempt)(void);
} features[] = {FEATURES(ROW)};

static void show_cpu(void) {
  union {
    uint32_t word[4];
    char text[16];
  } vendor = {.word = {0}};
  uint32_t r[4];
  cpuid(0, r);
  vendor.word[0] = r[1], vendor.word[1] = r[3], vendor.word[2] = r[2];
  text(vendor.text);
  text(" level ");
  number(r[0], 10);
  cpuid(1, r);
  text(" signature ");
  number(r[0], 16);
  text("\n");
}

__attribute__((used)) void start(const uint32_t *stack) {
  const int show = stack[0] > 1;
  const uint32_t action[5] = {(uint32_t)on_illegal, SA_SIGINFO | SA_NODEFER};
  uint32_t top[4], extended_top[4];
  call(SYS_RT_SIGACTION, SIGILL, (uint32_t)action, 0, 8);
  cpuid(0, top);
  cpuid(0x80000000, extended_top);
  if (show)
    show_cpu();
  for (uint32_t i = 0; i < sizeof features / sizeof features[0]; i++) {
    const uint32_t leaf = features[i].leaf;
    uint32_t r[4] = {0};
    if (leaf & 0x80000000 ? extended_top[0] & 0x80000000 && leaf <= extended_top[0] : leaf <= top[0])
      cpuid(leaf, r);
    const uint32_t reported = r[features[i].r] >> features[i].bit & 1, works = features[i].attempt();
    if (reported != works) {
      text(features[i].name);
      text(reported ? " is reported" : " is not reported");
      text(works ? ", and it works\n" : ", and it does not work\n");
    } else if (show && reported) {
      text(" ");
      text(features[i].name);
    }
  }
  text(show ? "\n" : "good\n");
  call(SYS_EXIT, 0, 0, 0, 0);
}
__asm__(".globl _start\n_start: mov %esp, %eax; and $-16, %esp; sub $12, %esp; push %eax; call start\n");
