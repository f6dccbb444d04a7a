/* Code that changes in ways that are easy to miss: by every kind of store, under the instruction that runs,
 * by the kernel, in another process or thread, on the stack, with its protection or its mapping.
 * guest-test: runs=|rain
 * guest-test: tiers=stencil
 * (the llvm tier compiles a block of its own for every write to translated code: minutes; self_modifying.c
 * holds it to the same)
 * guest-test: link=static
 * guest-test: flags=-Wl,-z,execstack -msse2
 * guest-test: levels=O0,O2 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rain.h"

enum { page = 4096, ALL = PROT_READ | PROT_WRITE | PROT_EXEC };
typedef unsigned function(void);
static unsigned call(const void *code) { return ((function *)code)(); }

static unsigned char *map(size_t size) { return mmap(NULL, size, ALL, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static void put(unsigned char *at, unsigned value) { /* mov $value,%eax; ret */
  at[0] = 0xb8;
  memcpy(at + 1, &value, 4);
  at[5] = 0xc3;
}

/* mov $i,%eax by stores of all kinds. Each is called with the address of the immediate and a value. */
static void store_byte(volatile uint8_t *at, uint32_t v) { for (int i = 0; i < 4; i++) at[i] = (uint8_t)(v >> 8 * i); }
static void store_movs(void *at, uint32_t v) { void *from = &v; __asm__ volatile("movsb; movsw; movsb" : "+S"(from), "+D"(at)::"memory"); }
static void store_rep(void *at, uint32_t v) { void *from = &v; int n = 4; __asm__ volatile("rep movsb" : "+S"(from), "+D"(at), "+c"(n)::"memory"); }
static void store_stos(void *at, uint32_t v) { __asm__ volatile("stosl" : "+D"(at) : "a"(v) : "memory"); }
static void store_xchg(void *at, uint32_t v) { __asm__ volatile("xchg %0,(%1)" : "+r"(v) : "r"(at) : "memory"); }
static void store_add(void *at, uint32_t v) { v -= *(uint32_t *)at; __asm__ volatile("add %0,(%1)" ::"r"(v), "r"(at) : "memory"); }
static void store_lock(void *at, uint32_t v) { v -= *(uint32_t *)at; __asm__ volatile("lock xadd %0,(%1)" : "+r"(v) : "r"(at) : "memory"); }
static void store_cmpxchg(void *at, uint32_t v) {
  uint32_t old = *(uint32_t *)at;
  __asm__ volatile("lock cmpxchg %2,(%1)" : "+a"(old) : "r"(at), "r"(v) : "memory");
}
static void store_push(void *at, uint32_t v) {
  __asm__ volatile("mov %%esp,%%edx; lea 4(%0),%%esp; push %1; mov %%edx,%%esp" ::"r"(at), "r"(v) : "edx", "memory");
}
static void store_sse(void *at, uint32_t v) { __asm__ volatile("movd %0,%%xmm0; movd %%xmm0,(%1)" ::"r"(v), "r"(at) : "xmm0", "memory"); }
static void store_x87(void *at, uint32_t v) { __asm__ volatile("fildl %0; fistpl (%1)" ::"m"(v), "r"(at) : "memory"); }
static void store_mmx(void *at, uint32_t v) { __asm__ volatile("movd %0,%%mm0; movd %%mm0,(%1); emms" ::"r"(v), "r"(at) : "memory"); }
static void store_pop(void *at, uint32_t v) { __asm__ volatile("push %1; pop (%0)" ::"r"(at), "r"(v) : "memory"); }
static void store_neg(void *at, uint32_t v) { *(uint32_t *)at = -v; __asm__ volatile("negl (%0)" ::"r"(at) : "memory"); }
static void store_set(void *at, uint32_t v) { *(uint32_t *)at = v ^ 1; __asm__ volatile("btcl $0,(%0)" ::"r"(at) : "memory"); }

static int ends[2], file = -1, sockets[2];
static void store_read(void *at, uint32_t v) { write(ends[1], &v, 4); read(ends[0], at, 4); }
static void store_readv(void *at, uint32_t v) {
  struct iovec parts[2] = {{at, 1}, {(char *)at + 1, 3}};
  write(ends[1], &v, 4);
  readv(ends[0], parts, 2);
}
static void store_pread(void *at, uint32_t v) { pwrite(file, &v, 4, 100); pread(file, at, 4, 100); }
static void store_recv(void *at, uint32_t v) {
  struct iovec part = {at, 4};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  send(sockets[1], &v, 4, 0);
  recvmsg(sockets[0], &message, 0);
}
static void store_process(void *at, uint32_t v) {
  struct iovec from = {&v, 4}, to = {at, 4};
  process_vm_writev(getpid(), &from, 1, &to, 1, 0);
}

#define STORE(name) {#name, (void (*)(void *, uint32_t))store_##name}
static const struct {
  const char *name;
  void (*store)(void *, uint32_t);
} stores[] = {STORE(byte), STORE(movs), STORE(rep), STORE(stos), STORE(xchg), STORE(add), STORE(lock), STORE(cmpxchg), STORE(push),
              STORE(sse), STORE(x87), STORE(mmx), STORE(pop), STORE(neg), STORE(set), STORE(read), STORE(readv), STORE(pread),
              STORE(recv), STORE(process)};

static void by_all_stores(void) {
  unsigned char *code = map(page);
  pipe(ends);
  socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets);
  file = (int)syscall(SYS_memfd_create, "file", 0);
  for (unsigned s = 0; s < sizeof stores / sizeof stores[0]; s++) {
    unsigned wrong = 0;
    put(code + 40 * s, 0);
    for (unsigned i = 0; i < 300; i++) {
      stores[s].store(code + 40 * s + 1, i * 0x10001);
      wrong += call(code + 40 * s) != i * 0x10001;
    }
    printf("%s wrong %u\n", stores[s].name, wrong);
  }
}

/* Bytes that change what comes right after them, in one block, and in a loop until they change it back. */
static void under_way(void) {
  static const unsigned char next[] = {0x8b, 0x4c, 0x24, 0x04,              /* mov 4(%esp),%ecx */
                                       0x31, 0xc0,                          /* xor %eax,%eax */
                                       0xe8, 0, 0, 0, 0, 0x5a,              /* call 1f; 1: pop %edx */
                                       0x88, 0x4a, 0x05,                    /* mov %cl,5(%edx) */
                                       0xb0, 0x00,                          /* mov $0,%al: its immediate is the byte */
                                       0xc3};
  unsigned char *code = map(page);
  unsigned sum = 0;
  memcpy(code, next, sizeof next);
  for (unsigned i = 0; i < 500; i++)
    sum = sum * 31 + ((unsigned (*)(unsigned))code)(i & 255);
  printf("next %u\n", sum);

  /* A rep stos that runs over itself: it goes on to its end, and then what it wrote is executed. */
  static const unsigned char over[] = {0x57,                                /* push %edi */
                                       0x8b, 0x7c, 0x24, 0x08,              /* mov 8(%esp),%edi */
                                       0x31, 0xc0,                          /* xor %eax,%eax */
                                       0xb0, 0x40,                          /* mov $0x40,%al: inc %eax */
                                       0x8b, 0x4c, 0x24, 0x0c,              /* mov 12(%esp),%ecx */
                                       0xf3, 0xaa,                          /* rep stosb */
                                       0x48, 0x48, 0x48, 0x48, 0x48, 0x48,  /* dec %eax, six times */
                                       0x5f, 0xc3};                         /* pop %edi; ret */
  for (unsigned i = 0; i < 40; i++) {
    memcpy(code + 256, over, sizeof over);
    sum = sum * 31 + ((unsigned (*)(void *, unsigned))(code + 256))(code + 256 + 15, i % 7);
  }
  printf("over %u\n", sum);

  /* A loop that counts in its own immediate operand until it is zero. */
  static const unsigned char count[] = {0x31, 0xc0,                         /* xor %eax,%eax */
                                        0xe8, 0, 0, 0, 0, 0x59,             /* call 1f; 1: pop %ecx */
                                        0x05, 100, 0, 0, 0,                 /* 2: add $100,%eax */
                                        0xff, 0x49, 0x02,                   /* decl 2(%ecx): the 100 */
                                        0x75, 0xf6,                         /* jne 2b */
                                        0xc3};
  for (unsigned i = 0; i < 10; i++) {
    memcpy(code + 512, count, sizeof count);
    sum = sum * 31 + call(code + 512);
  }
  printf("count %u\n", sum);

  /* A call whose return address is written over the code it returns to: the stack lies there. */
  static const unsigned char stack[] = {0x89, 0xe2,                         /* mov %esp,%edx */
                                        0x8b, 0x64, 0x24, 0x04,             /* mov 4(%esp),%esp */
                                        0xe8, 0x04, 0, 0, 0,                /* call 1f: its push writes there */
                                        0x90, 0x89, 0xd4, 0xc3,             /* nop; mov %edx,%esp; ret */
                                        0xb8, 1, 2, 3, 4, 0xc3};            /* 1: mov $0x04030201,%eax; ret */
  memcpy(code + 1024, stack, sizeof stack);
  for (unsigned i = 0; i < 20; i++)
    sum = sum * 31 + ((unsigned (*)(void *))(code + 1024))(code + 2048 - 64 * i);
  printf("stack %u\n", sum);
}

static void on_the_stack(void) {
  unsigned sum = 0;
  for (unsigned i = 0; i < 300; i++) {
    unsigned char code[16];
    put(code, i * 7);
    __asm__ volatile("" ::"r"(code) : "memory");
    sum = sum * 31 + call(code);
  }
  printf("on the stack %u\n", sum);
}

static sigjmp_buf back;
static void on_fault(int number, siginfo_t *info, void *context) { siglongjmp(back, number * 10 + info->si_code); }

static void protections(void) {
  unsigned char *code = map(4 * page);
  volatile unsigned sum = 0, faults = 0;
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER}, before;
  sigaction(SIGSEGV, &action, &before);
  for (volatile unsigned i = 0; i < 120; i++) {
    unsigned char *at = code + page * (i & 3);
    mprotect(at, page, PROT_READ | PROT_WRITE);
    put(at, i);
    mprotect(at, page, i % 3 ? PROT_READ | PROT_EXEC : i % 2 ? PROT_NONE : ALL);
    int signal = sigsetjmp(back, 1);
    if (signal)
      faults = faults * 3 + (unsigned)signal;
    else
      sum = sum * 31 + call(at);
    if (!sigsetjmp(back, 1))
      at[1] = 99; /* faults unless it is writable */
    else
      faults++;
    if (!sigsetjmp(back, 1))
      sum = sum * 31 + call(at);
  }
  printf("protections %u faults %u\n", sum, faults);

  /* One address, other mappings: gone, anonymous, of a file, moved there. */
  for (volatile unsigned i = 0; i < 100; i++) {
    unsigned value = i * 3;
    if (i % 4 == 0) {
      munmap(code, page);
      if (sigsetjmp(back, 1))
        faults = faults * 5 + 1;
      else
        sum += call(code);
      mmap(code, page, ALL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      put(code, value);
    } else if (i % 4 == 1) {
      unsigned char bytes[6];
      put(bytes, value);
      pwrite(file, bytes, 6, 0);
      ftruncate(file, page);
      mmap(code, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, 0);
    } else if (i % 4 == 2) {
      unsigned char *elsewhere = map(page);
      put(elsewhere, value);
      sum += call(elsewhere);
      mremap(elsewhere, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, code);
    } else {
      madvise(code, page, MADV_DONTNEED);
      put(code, value);
    }
    sum = sum * 31 + call(code);
  }
  printf("mappings %u faults %u\n", sum, faults);
  sigaction(SIGSEGV, &before, NULL);
}

/* A child has its own copy of the code, and so has its parent. */
static void in_a_child(void) {
  unsigned char *code = map(page);
  int status, wrong = 0;
  put(code, 1);
  wrong += call(code) != 1;
  for (int i = 0; i < 5; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      int bad = call(code) != (unsigned)(1 + i);
      put(code, 50);
      bad += call(code) != 50;
      put(code + 128, 51);
      bad += call(code + 128) != 51;
      _exit(bad);
    }
    put(code, (unsigned)(2 + i));
    wrong += call(code) != (unsigned)(2 + i);
    while (waitpid(pid, &status, 0) < 0)
      ;
    wrong += status != 0;
    wrong += call(code) != (unsigned)(2 + i);
  }
  printf("children: wrong %d\n", wrong);
}

/* One thread writes what another runs, with a hand-over. */
static unsigned char *shared_code;
static volatile unsigned turn, thread_wrong;
static void *runner(void *argument) {
  for (unsigned i = 1; i <= 200; i++) {
    while (turn != 2 * i - 1)
      sched_yield();
    thread_wrong += call(shared_code) != i;
    turn = 2 * i;
  }
  return NULL;
}
static void in_threads(void) {
  pthread_t thread;
  shared_code = map(page);
  pthread_create(&thread, NULL, runner, NULL);
  for (unsigned i = 1; i <= 200; i++) {
    put(shared_code, i);
    turn = 2 * i - 1;
    while (turn != 2 * i)
      sched_yield();
  }
  pthread_join(thread, NULL);
  printf("threads: wrong %u\n", thread_wrong);
}

/* More code than any table of recent changes holds, changed again and again. */
static void many(void) {
  enum { count = 300 };
  unsigned char *code = map(count * page);
  unsigned sum = 0;
  for (unsigned round = 0; round < 6; round++) {
    for (unsigned i = 0; i < count; i++)
      put(code + i * page + 16 * (i % 200), i * 5 + round);
    for (unsigned i = 0; i < count; i++)
      sum = sum * 31 + call(code + i * page + 16 * (i % 200));
  }
  mprotect(code, count * page, PROT_READ);
  mprotect(code, count * page, PROT_READ | PROT_EXEC);
  for (unsigned i = 0; i < count; i++)
    sum = sum * 31 + call(code + i * page + 16 * (i % 200));
  munmap(code, count * page);
  printf("many %u\n", sum);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  rain_begin(argc, argv);
  by_all_stores();
  under_way();
  on_the_stack();
  protections();
  in_a_child();
  in_threads();
  many();
  rain_end();
  return 0;
}
