/* Code that changes: a constant patched in a loop, a routine rewritten, the bytes just ahead, a page that
 * holds both code and data, mappings that come and go, two mappings of one memory. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { page = 4096 };
typedef int function(void);

static unsigned char *map(int protection) { return mmap(NULL, 2 * page, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static void put_return(unsigned char *at, int value) { /* mov $value,%eax; ret */
  at[0] = 0xb8;
  memcpy(at + 1, &value, 4);
  at[5] = 0xc3;
}

int main(void) {
  unsigned char *code = map(PROT_READ | PROT_WRITE | PROT_EXEC);
  unsigned sum = 0;
  for (int i = 0; i < 3000; i++) {
    put_return(code, i * 3);
    sum = sum * 31 + (unsigned)((function *)code)();
  }
  printf("patched %u\n", sum);

  /* movl $0x90909042,1f-…: writes over instructions that follow at once: movb $0x42,next; next: inc %ecx→inc %edx */
  static const unsigned char ahead[] = {0x31, 0xc0, 0x31, 0xd2,                   /* xor %eax,%eax; xor %edx,%edx */
                                        0xe8, 0, 0, 0, 0, 0x59,                   /* call 1f; 1: pop %ecx */
                                        0xc6, 0x41, 0x05, 0x42,                   /* movb $0x42,5(%ecx) */
                                        0x40, 0x40,                               /* inc %eax (second becomes inc %edx) */
                                        0xc1, 0xe2, 0x08, 0x09, 0xd0, 0xc3};      /* shl $8,%edx; or %edx,%eax; ret */
  memcpy(code, ahead, sizeof ahead);
  code[13 - 0] = 0x42;
  printf("ahead %x\n", ((function *)code)());
  memcpy(code, ahead, sizeof ahead);
  code[12] = 6; /* now the byte after both increments: changes what was already passed the next time */
  code[12] = 4;
  printf("ahead again %x\n", ((function *)code)());

  /* Data on the page of running code. */
  for (int i = 0; i < 2000; i++) {
    put_return(code + 64, i);
    volatile int *data = (volatile int *)(code + 2048);
    *data += ((function *)(code + 64))();
    if (i % 500 == 0)
      put_return(code + 128, *data);
  }
  printf("data %d %d\n", *(int *)(code + 2048), ((function *)(code + 128))());

  /* write, then execute only. */
  for (int i = 0; i < 50; i++) {
    mprotect(code, page, PROT_READ | PROT_WRITE);
    put_return(code, 1000 + i);
    mprotect(code, page, PROT_READ | PROT_EXEC);
    sum += (unsigned)((function *)code)();
  }
  printf("protected %u\n", sum);

  /* Other code at the same address. */
  for (int i = 0; i < 50; i++) {
    unsigned char *again = mmap(code, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    put_return(again, 7 * i);
    sum = sum * 3 + (unsigned)((function *)again)();
    if (i % 5 == 0)
      munmap(again, page);
  }
  printf("remapped %u\n", sum);

  /* One memory mapped twice: written here, run there. */
  int fd = (int)syscall(SYS_memfd_create, "code", 0);
  ftruncate(fd, page);
  unsigned char *writable = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char *runnable = mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  if (writable != MAP_FAILED && runnable != MAP_FAILED)
    put_return(writable, 4711);
  printf("twice %d\n", ((function *)runnable)());

  /* The kernel writes code: read(2) into the page. */
  int ends[2];
  pipe(ends);
  mprotect(code, page, PROT_READ | PROT_WRITE | PROT_EXEC);
  code = map(PROT_READ | PROT_WRITE | PROT_EXEC);
  for (int i = 0; i < 20; i++) {
    unsigned char fresh[6];
    put_return(fresh, i * 11);
    write(ends[1], fresh, sizeof fresh);
    read(ends[0], code, sizeof fresh);
    sum = sum * 3 + (unsigned)((function *)code)();
  }
  printf("read %u\n", sum);

  /* An instruction across two pages, each half patched. */
  unsigned char *edge = code + page - 3;
  for (int i = 0; i < 20; i++) {
    put_return(edge, i << 20 | i);
    sum = sum * 3 + (unsigned)((function *)edge)();
  }
  printf("edge %u\n", sum);
  return 0;
}
