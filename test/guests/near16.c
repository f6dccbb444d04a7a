/* Near transfers with a 16-bit operand, which go to the lowest 64 KiB and push 16 bits.
 * guest-test: link=static
 * guest-test: flags=-fno-pie -no-pie
 * guest-test: levels=O2 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static unsigned char alternate[65536];
static uint32_t saved_esp __attribute__((used)), result[8] __attribute__((used));
extern char after[], low_start[], low_end[];
void go(uint32_t address);

/* Copied to a low address, where a 16-bit EIP leads. `back` is far away, reached by a 32-bit jump. */
__asm__(".text\n.globl go,after,low_start,low_end\n"
        "go: pusha; mov %esp,saved_esp; mov 36(%esp),%eax; xor %ebx,%ebx; xor %ecx,%ecx; xor %edx,%edx; jmp *%eax\n"
        "after: mov %eax,result; mov %ebx,result+4; mov %ecx,result+8; mov %edx,result+12; mov %esp,result+16\n"
        "  mov saved_esp,%esp; popa; ret\n"
        "low_start:\n"
        "  .byte 0x66,0xe8,5,0\n"          /* callw 1f */
        "  add $2,%ebx\n"                  /* comes back here: 3 bytes */
        "  .byte 0xeb,3\n"                 /* jmp over */
        "  inc %ebx; .byte 0x66,0xc3\n"    /* 1: inc; retw */
        "  mov $0xffff0000,%ecx; mov %ecx,%eax; lea 0x40(%eax),%eax\n"
        "  pushw $0x7777; .byte 0x66,0xc2,2,0\n" /* retw $2 to 0x7777, where there is nothing but what the test put */
        "low_end:\n");

static void on_fault(int signal, siginfo_t *info, void *context) {
  uint32_t *r = (uint32_t *)((char *)context + 20); /* sigcontext */
  printf("signal %d code %d address %x eip %x ebx %x ecx %x esp %d\n", signal, info->si_code, (unsigned)info->si_addr, r[14], r[8],
         r[10], (int)(saved_esp - r[7]));
  r[14] = (uint32_t)after;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
  sigaction(SIGSEGV, &action, NULL);
  /* From where EIP is far above 64 KiB: everything leads to a page that is not there. */
  static const unsigned char far[][8] = {
      {0x66, 0xE9, 0x10, 0x00},       /* jmpw */
      {0x66, 0x0F, 0x84, 0x10, 0x00}, /* jzw, taken: the xors set ZF */
      {0x66, 0x0F, 0x85, 0x10, 0x00, 0x66, 0xE9}, /* jnzw, not taken */
      {0x66, 0xE8, 0x10, 0x00},       /* callw */
      {0x66, 0xEB, 0x10},             /* jmpw, short */
      {0x66, 0xE2, 0x10},             /* loopw */
      {0x66, 0x6A, 0x55, 0x66, 0xC3}, /* pushw; retw */
      {0x66, 0xFF, 0xE0},             /* jmpw *%ax */
      {0x66, 0xFF, 0xD0},             /* callw *%ax */
  };
  unsigned char *page = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  for (unsigned i = 0; i < sizeof far / sizeof far[0]; i++) {
    memset(page + 0x100 + 16 * i, 0x90, 16);
    memcpy(page + 0x100 + 16 * i, far[i], 8);
    go((uint32_t)page + 0x100 + 16 * i);
  }
  /* Low code, if this user may map it. */
  unsigned char *low = mmap((void *)0xA000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (low == (unsigned char *)0xA000) {
    memcpy(low, low_start, (size_t)(low_end - low_start));
    go(0xA000);
  }
  return 0;
}
