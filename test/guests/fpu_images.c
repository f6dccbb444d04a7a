/* The x87 and SSE state as images in memory: fnstenv, fnsave, fxsave, what a signal handler finds, and
 * the loads that refuse.
 *
 * guest-test: flags=-msse2
 * guest-test: link=static */
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

struct environment {
  uint32_t control, status, tags, fip;
  uint16_t fcs, fop;
  uint32_t fdp, fds;
};

static double one = 1, zero;
static struct environment env;
static unsigned char image[512] __attribute__((aligned(64))), image2[512] __attribute__((aligned(64)));
extern char load_here[], add_here[], divide_here[], wait_here[];

/* Some CPUs leave the selectors out, or keep the operand's address for exceptions only: 0 then. */
static const char *verdict(uint32_t is, uint32_t wanted) { return is == wanted || is == 0 ? "fine" : "wrong"; }

static void show(const char *what, uint32_t instruction, uint32_t operand) {
  printf("%s: control %04x status %04x tags %04x, fip %s fcs %s, fdp %s fds %s\n", what, env.control & 0xffff,
         env.status & 0xffff, env.tags & 0xffff, env.fip == instruction ? "right" : "wrong", verdict(env.fcs, 0x23),
         verdict(env.fdp, operand), verdict(env.fds & 0xffff, 0x2b));
}

/* AMD's CPUs save the last instruction's address only where an exception is pending, so it does not outlive a switch to
 * another process: a few times in ten million natively, and more often where the code between is still to be
 * translated. Zero: once more. */
static bool was_lost(uint32_t address) {
  enum { TRIES = 20 };
  static int tries;
  tries = address == 0 ? tries + 1 : 0;
  return tries > 0 && tries < TRIES;
}

static void environments(void) {
  __asm__ volatile("fninit; fnstenv %0" : "=m"(env));
  show("after fninit", 0, 0);
  do
    __asm__ volatile("fninit; load_here: fldl %1; fnstenv %0" : "=m"(env) : "m"(one));
  while (was_lost(env.fip));
  show("fld", (uint32_t)load_here, (uint32_t)&one);
  do {
    __asm__ volatile("fninit; fldl %1; nop; nop; add_here: fadd %%st, %%st; nop; nop; fnsave %0"
                     : "=m"(image)
                     : "m"(one));
    memcpy(&env, image, sizeof env);
  } while (was_lost(env.fip));
  show("fadd", (uint32_t)add_here, (uint32_t)&one);
  /* An environment of the guest's own comes back as it went in. */
  struct environment own = env;
  own.fip = 0x12345678, own.fcs = 0x23, own.fdp = 0x9abcdef0;
  do
    __asm__ volatile("fldenv %1; fnstenv %0" : "=m"(env) : "m"(own));
  while (was_lost(env.fip));
  show("fldenv", 0x12345678, 0x9abcdef0);
  /* How shellcode and some packers learn their own address. */
  uint32_t here, there;
  do
    __asm__ volatile("fninit; call 1f; 1: pop %1; fldz; fnstenv -28(%%esp); mov -16(%%esp), %0; fninit"
                     : "=&r"(here), "=&r"(there)
                     :
                     : "memory");
  while (was_lost(here));
  printf("own address: %d\n", (int)(here - there));
}

static sigjmp_buf back;
static void on_fault(int number, siginfo_t *info, void *context) {
  const ucontext_t *uc = context;
  const struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;
  uint32_t eip = (uint32_t)uc->uc_mcontext.gregs[REG_EIP];
  printf("signal %d code %d", number, info->si_code);
  if (eip == (uint32_t)wait_here)
    printf(" at fwait, x87 instruction %s", fp->ipoff == (uint32_t)divide_here ? "right" : "wrong");
  putchar('\n');
  siglongjmp(back, 1);
}

#define TRY(what, ...)                                                                                       \
  do {                                                                                                       \
    printf("%s: ", what);                                                                                    \
    if (sigsetjmp(back, 1) == 0) {                                                                           \
      __asm__ volatile(__VA_ARGS__);                                                                         \
      puts("went through");                                                                                  \
    }                                                                                                        \
    __asm__ volatile("fninit");                                                                              \
  } while (0)

static void refusals(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGFPE, &action, NULL);
  static uint16_t traps = 0x360;
  static uint32_t mxcsr = 0x1f80, bad_mxcsr = 0x80001f80;
  TRY("x87 division by zero", "fninit; fldcw %0; fldl %1; divide_here: fdivl %2; nop; wait_here: fwait"
      : : "m"(traps), "m"(one), "m"(zero));
  TRY("ldmxcsr", "ldmxcsr %0" : : "m"(mxcsr));
  TRY("ldmxcsr with a reserved bit", "ldmxcsr %0" : : "m"(bad_mxcsr));
  TRY("movaps misaligned", "movaps %0, %%xmm0" : : "m"(image[1]));
  TRY("movups misaligned", "movups %0, %%xmm0" : : "m"(image[1]));
  TRY("addps misaligned", "addps %0, %%xmm0" : : "m"(image[8]));
  TRY("pxor misaligned", "pxor %0, %%xmm0" : : "m"(image[8]));
  TRY("movdqa misaligned store", "movdqa %%xmm0, %0" : "=m"(image[4]));
  TRY("fxsave misaligned", "fxsave %0" : "=m"(image[8]));
  TRY("fxsave nowhere", "fxsave %0" : "=m"(*(char *)16));
  TRY("fxrstor nowhere", "fxrstor %0" : : "m"(*(char *)16));
  __asm__ volatile("fxsave %0" : "=m"(image));
  image[27] = 0x80;
  TRY("fxrstor of a bad mxcsr", "fxrstor %0" : : "m"(image));
}

static void fxsaves(void) {
  memset(image, 0xaa, sizeof image);
  for (int i = 0; i < 16; i++)
    image2[i] = (unsigned char)(i * 7);
  __asm__ volatile("fninit; fld1; fldpi; movaps %1, %%xmm7; movaps %1, %%xmm0; fxsave %0" : "=m"(image) : "m"(image2));
  printf("fxsave: control %02x%02x tags %02x st0", image[1], image[0], image[4]);
  for (int i = 9; i >= 0; i--)
    printf("%s%02x", i == 9 ? " " : "", image[32 + i]);
  printf(" xmm7 %s, rest %s\n", memcmp(image + 160 + 112, image2, 16) ? "wrong" : "right",
         image[288] == 0xaa && image[511] == 0xaa ? "untouched" : "written");
  memcpy(image2, image, sizeof image);
  image2[25] = 0x5f; /* another rounding */
  image2[160] ^= 0xff;
  __asm__ volatile("fxrstor %1; fxsave %0" : "=m"(image) : "m"(image2));
  printf("fxrstor: %s\n", memcmp(image, image2, sizeof image) ? "different" : "the same again");
}

int main(void) {
  environments();
  refusals();
  fxsaves();
  return 0;
}
