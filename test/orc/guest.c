/* A small program without a C library, so that each of its blocks can be dumped and looked at: the
 * places where a block's registers, flags and code must be exact in the middle. It prints what it saw.
 */
typedef unsigned int u32;
typedef unsigned char u8;

enum { SYS_EXIT = 1, SYS_WRITE = 4, SYS_RT_SIGACTION = 174, SYS_MPROTECT = 125, SYS_MMAP2 = 192, SIGSEGV = 11, SA_SIGINFO = 4 };

static int call6(int number, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f) {
  int result;
  __asm__ volatile("push %%ebp\n\tpush %7\n\tpop %%ebp\n\tint $0x80\n\tpop %%ebp"
                   : "=a"(result)
                   : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "g"(f)
                   : "memory");
  return result;
}

static void print(const char *what, u32 value) {
  char line[64], *to = line;
  while (*what)
    *to++ = *what++;
  *to++ = ' ';
  for (int shift = 28; shift >= 0; shift -= 4)
    *to++ = "0123456789abcdef"[value >> shift & 15];
  *to++ = '\n';
  call6(SYS_WRITE, 1, (u32)line, (u32)(to - line), 0, 0, 0);
}

/* A fault in the middle of a block: the handler sees every register, and the flags. */
static u32 context_at(const u32 *context, unsigned index) { return context[5 + index]; }

static void on_fault(int signal, const u32 *info, u32 *context) {
  static const char *const names[] = {"edi", "esi", "ebp", "esp", "ebx", "edx", "ecx", "eax"};
  print("signal", (u32)signal);
  print("address", info[3]);
  for (unsigned i = 0; i < 8; i++)
    if (i != 2 && i != 3) /* not the same in every build */
      print(names[i], context_at(context, 4 + i));
  print("flags", context_at(context, 16) & 0x8D5);
  context[5 + 14] += 2; /* past the two bytes of mov (%ecx),%eax */
}

static void fault_in_a_block(void) {
  u32 after;
  __asm__ volatile("mov $0x11111111,%%ebx\n\tmov $0x22222222,%%esi\n\tmov $0x33333333,%%edi\n\t"
                   "mov $0x10,%%ecx\n\tmov $0x7fffffff,%%edx\n\tadd $1,%%edx\n\tmov $0x55,%%al\n\t"
                   ".byte 0x8b,0x01\n\t" /* mov (%ecx),%eax */
                   "lea (%%ebx,%%esi),%%eax"
                   : "=a"(after)
                   : "0"(0)
                   : "ebx", "ecx", "edx", "esi", "edi", "cc", "memory");
  print("after", after);
}

/* A repetition that faults half way leaves the counts where it stopped. */
static void fault_in_a_repetition(u8 *page) {
  u32 count = 64, to = (u32)page + 4096 - 16;
  __asm__ volatile("cmp $1,%%ecx\n\trep stosb" : "+c"(count), "+D"(to) : "a"(0xAB) : "memory", "cc");
  print("not reached", count);
}

/* Code that changes the instruction after the one that writes, in one block. */
static void code_that_changes_itself(u8 *page) {
  static const u8 code[] = {0xC6, 0x05, 0, 0, 0, 0, 0x77, /* movb $0x77,(8 + page) */
                            0xB8, 0x11, 0, 0, 0,          /* mov $0x11,%eax: its immediate is at 8 */
                            0xC3};
  for (unsigned i = 0; i < sizeof code; i++)
    page[i] = code[i];
  *(u32 *)(page + 2) = (u32)page + 8;
  print("changed", ((u32(*)(void))page)());
}

static u32 mix(const u32 *data, unsigned count) {
  u32 hash = 0x811C9DC5;
  for (unsigned i = 0; i < count; i++) {
    hash = (hash ^ data[i]) * 0x01000193;
    hash = hash << 7 | hash >> 25;
    if (hash & 4)
      hash += i / 3;
  }
  return hash;
}

/* 16 bytes of constants in the code that LLVM makes. */
static void vectors(u32 data[4]) {
  __asm__ volatile("movups (%0),%%xmm0\n\tpcmpeqd %%xmm1,%%xmm1\n\tpsubd %%xmm1,%%xmm0\n\tpsubd %%xmm1,%%xmm0\n\t"
                   "movups %%xmm0,(%0)"
                   :
                   : "r"(data)
                   : "memory", "xmm0", "xmm1");
}

void run(void) {
  struct {
    void *handler;
    u32 flags, restorer, mask[2];
  } action = {(void *)on_fault, SA_SIGINFO, 0, {0, 0}};
  u32 data[4] = {1, 20, 300, 4000};
  u8 *page = (u8 *)call6(SYS_MMAP2, 0x20000000, 4096, 7, 0x32, (u32)-1, 0);
  print("mix", mix(data, 4));
  vectors(data);
  print("vectors", mix(data, 4));
  code_that_changes_itself(page);
  call6(SYS_RT_SIGACTION, SIGSEGV, (u32)&action, 0, 8, 0, 0);
  fault_in_a_block();
  call6(SYS_MPROTECT, (u32)page, 4096, 3, 0, 0, 0);
  u8 *two = (u8 *)call6(SYS_MMAP2, 0x20010000, 8192, 3, 0x32, (u32)-1, 0);
  call6(SYS_MPROTECT, (u32)two + 4096, 4096, 0, 0, 0, 0);
  fault_in_a_repetition(two);
  call6(SYS_EXIT, 42, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start: call run\n\thlt");
