/* ymm registers through everything that changes hands: system calls, signals and what their frames say,
 * threads, fork.
 *
 * guest-test: needs=avx
 * guest-test: levels=O2 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* The i386 frame: an fsave image of 112 bytes, then XSAVE's (SDM vol. 1, 13.4), whose bytes 464-511 are the
 * kernel's (struct _fpx_sw_bytes). */
enum { FXSAVE = 112, MXCSR = 24, XMM = 160, SOFTWARE = 464, HEADER = 512, YMM = 576, HAS_YMM = 4 };
enum { MAGIC1 = 0x46505853, MAGIC2 = 0x46505845 };

struct registers {
  uint8_t xmm[8][16], high[8][16];
};

#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define LOAD(n)                                                                                              \
  "vmovups " #n "*16(%0), %%xmm" #n "\n\tvinsertf128 $1, 128+" #n "*16(%0), %%ymm" #n ", %%ymm" #n "\n\t"
#define STORE(n) "vmovups %%xmm" #n ", " #n "*16(%0)\n\tvextractf128 $1, %%ymm" #n ", 128+" #n "*16(%0)\n\t"

static void fill(struct registers *r, unsigned seed) {
  for (unsigned i = 0; i < sizeof *r; i++)
    ((uint8_t *)r)[i] = (uint8_t)(seed + i * 7 + i / 16);
}

/* Loads the registers, does a system call, stores them again: nothing else in between. */
static long through_syscall(const struct registers *in, struct registers *out, long number, long a, long b,
                            long c) {
  long result;
  __asm__ volatile(EACH(LOAD) : : "r"(in) : "memory");
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  __asm__ volatile(EACH(STORE) : : "r"(out) : "memory");
  return result;
}

static const char *same(const void *a, const void *b, size_t size) {
  return memcmp(a, b, size) ? "changed" : "kept";
}

/* --- Signals --------------------------------------------------------------------------------- */

static enum { LEAVE, CHANGE, NO_MAGIC1, NO_MAGIC2, NO_YMM, EMPTY_HEADER, BAD_HEADER, BAD_MXCSR } what;
static struct registers in_handler, sent;
static sigjmp_buf back;

static void on_signal(int signal, siginfo_t *info, void *context) {
  __asm__ volatile(EACH(STORE) : : "r"(&in_handler) : "memory");
  __asm__ volatile("vcmpps $15, %%ymm0, %%ymm0, %%ymm0\n\tvmovaps %%ymm0, %%ymm7\n\tvmovaps %%ymm0, %%ymm3" ::
                       : "memory");
  (void)signal, (void)info;
  ucontext_t *uc = context;
  uint8_t *image = (uint8_t *)uc->uc_mcontext.fpregs + FXSAVE;
  uint32_t software[5], magic2;
  memcpy(software, image + SOFTWARE, sizeof software);
  memcpy(&magic2, image + software[4], sizeof magic2);
  static const struct registers zero;
  printf("flags %lu, aligned %d, magic %d %d, sizes %d, components %x of %x; handler began with zeros: %s\n",
         uc->uc_flags & 1, (uintptr_t)image % 64 == 0, software[0] == MAGIC1, magic2 == MAGIC2,
         software[1] == software[4] + sizeof magic2 + FXSAVE, image[HEADER] & 7, software[2] & 7,
         memcmp(&in_handler, &zero, sizeof zero) ? "no" : "yes");
  printf("xmm %s, ymm %s\n", same(image + XMM, sent.xmm, sizeof sent.xmm),
         same(image + YMM, sent.high, sizeof sent.high));
  switch (what) {
  case LEAVE:
    break;
  case CHANGE:
    memset(image + XMM + 2 * 16, 0xA2, 16);
    memset(image + YMM + 5 * 16, 0xB5, 16);
    break;
  case NO_MAGIC1:
    image[SOFTWARE] ^= 1;
    break;
  case NO_MAGIC2:
    image[software[4]] ^= 1;
    break;
  case NO_YMM:
    image[SOFTWARE + 8] &= (uint8_t)~HAS_YMM;
    break;
  case EMPTY_HEADER:
    image[HEADER] &= (uint8_t)~HAS_YMM;
    break;
  case BAD_HEADER:
    image[HEADER + 24] = 1;
    break;
  case BAD_MXCSR:
    image[MXCSR + 3] = 0x80;
  }
}

static void on_fault(int signal) {
  printf("signal %d\n", signal);
  siglongjmp(back, 1);
}

static void signals(void) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  signal(SIGSEGV, on_fault);
  static const char *const names[] = {"left alone", "changed",      "without magic 1", "without magic 2",
                                      "no ymm",     "empty header", "bad header",      "bad mxcsr"};
  for (what = LEAVE; what <= BAD_MXCSR; what++) {
    struct registers got;
    fill(&sent, 3 + what);
    printf("%s:\n", names[what]);
    if (sigsetjmp(back, 1))
      continue;
    through_syscall(&sent, &got, SYS_tgkill, getpid(), (long)syscall(SYS_gettid), SIGUSR1);
    for (int i = 0; i < 8; i++)
      if (memcmp(got.xmm[i], sent.xmm[i], 16) || memcmp(got.high[i], sent.high[i], 16))
        printf("  ymm%d: %02x %02x, %02x %02x\n", i, got.xmm[i][0], got.xmm[i][15], got.high[i][0],
               got.high[i][15]);
  }
}

/* --- Signals at any time, in threads --------------------------------------------------------- */

static volatile sig_atomic_t ticks;
static void on_tick(int signal) {
  (void)signal;
  __asm__ volatile(
      "vcmpps $15, %%ymm0, %%ymm0, %%ymm0\n\tvmovaps %%ymm0, %%ymm1\n\tvmovaps %%ymm0, %%ymm2\n\t"
      "vmovaps %%ymm0, %%ymm3\n\tvmovaps %%ymm0, %%ymm4\n\tvmovaps %%ymm0, %%ymm5" ::
          : "memory");
  ticks++;
}

/* Keeps its registers loaded and adds to them for a while; the sums say whether anybody else touched them. */
static void *spin(void *argument) {
  const unsigned seed = (unsigned)(uintptr_t)argument;
  enum { TURNS = 30000 };
  struct registers in, got, wanted;
  fill(&in, seed);
  long turns = TURNS;
  __asm__ volatile(EACH(LOAD) : : "r"(&in) : "memory");
  __asm__ volatile("1: vpaddd %%xmm0, %%xmm1, %%xmm2\n\t" /* clears above */
                   "vandps %%ymm3, %%ymm4, %%ymm2\n\t"
                   "vxorps %%ymm5, %%ymm2, %%ymm5\n\t"
                   "mov $20, %%eax\n\tint $0x80\n\t"
                   "dec %0\n\tjnz 1b"
                   : "+c"(turns)
                   :
                   : "eax", "memory");
  __asm__ volatile(EACH(STORE) : : "r"(&got) : "memory");
  wanted = in; /* an even number of turns: ymm5 as it was */
  for (int i = 0; i < 16; i++) {
    wanted.xmm[2][i] = in.xmm[3][i] & in.xmm[4][i];
    wanted.high[2][i] = in.high[3][i] & in.high[4][i];
  }
  return memcmp(&got, &wanted, sizeof got) ? "changed" : "kept";
}

static void threads(void) {
  signal(SIGALRM, on_tick);
  const struct itimerval timer = {{0, 700}, {0, 700}};
  setitimer(ITIMER_REAL, &timer, NULL);
  pthread_t thread[4];
  for (unsigned i = 0; i < 4; i++)
    pthread_create(&thread[i], NULL, spin, (void *)(uintptr_t)(10 + i));
  for (unsigned i = 0; i < 4; i++) {
    void *result;
    pthread_join(thread[i], &result);
    printf("thread %u: %s\n", i, (const char *)result);
  }
  const struct itimerval off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &off, NULL);
  printf("ticks: %s\n", ticks > 0 ? "some" : "none");
}

/* --- fork ------------------------------------------------------------------------------------ */

static void forks(void) {
  struct registers in, got;
  fill(&in, 99);
  long child = through_syscall(&in, &got, SYS_fork, 0, 0, 0);
  if (child == 0)
    _exit(memcmp(&in, &got, sizeof in) ? 1 : 0);
  int status;
  waitpid(child, &status, 0);
  printf("fork: parent %s, child %s\n", same(&in, &got, sizeof in), status == 0 ? "kept" : "changed");
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  struct registers in, got;
  fill(&in, 1);
  through_syscall(&in, &got, SYS_getpid, 0, 0, 0);
  printf("system call: %s\n", same(&in, &got, sizeof in));
  signals();
  threads();
  forks();
  return 0;
}
