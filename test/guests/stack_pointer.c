/* Where ESP is at every instruction of code that moves it all the time: by faults at chosen instructions, and by
 * a timer that interrupts anywhere. The handlers are of the old kind, without siginfo: with the other kind, and
 * flags to be kept for it, translators have less freedom.
 * guest-test: link=static
 * guest-test: flags=-fno-pie -no-pie
 * guest-test: levels=O2 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { page = 4096 };

/* EXPECT n: here, ESP is n bytes above what it was at `begin`. */
__asm__(".macro expect n\n"
        ".pushsection .data.expected,\"aw\"\n"
        ".long 9f, \\n\n"
        ".popsection\n"
        "9:\n"
        ".endm\n"
        ".pushsection .data.expected,\"aw\"\n"
        ".globl expected_rows\nexpected_rows:\n"
        ".popsection\n");
struct row {
  uint32_t eip;
  int32_t offset;
};
extern struct row expected_rows[];
extern struct row expected_end[];

/* Faults while *fault_at is unreadable; ebx points there. */
uint32_t saved_esp, turns;
void moves(uint32_t turns, void *fault_at);
extern char moves_begin[], moves_end[], moves_escape[];
__asm__(".text\n.globl moves,moves_begin,moves_end,moves_escape\n"
        "moves:\n"
        "  push %ebp; push %ebx; push %esi; push %edi\n"
        "  mov 24(%esp),%ebx\n"
        "  mov 20(%esp),%eax\n"
        "  mov %eax,turns\n"
        "  mov %esp,saved_esp\n"
        "moves_begin:\n"
        "  expect 0; push %eax\n"
        "  expect -4; push $-3\n"
        "  expect -8; push $0x12345678\n"
        "  expect -12; sub $8,%esp\n"
        "  expect -20; mov (%ebx),%ecx\n"
        "  expect -20; mov %ecx,4(%esp)\n"
        "  expect -20; mov %esp,%ebp\n"
        "  expect -20; lea 12(%esp),%edx\n"
        "  expect -20; cmpl $-3,12(%esp)\n"
        "  expect -20; sete %cl\n"
        "  expect -20; push %edx\n"
        "  expect -24; cmp %esp,%edx\n"
        "  expect -24; push 20(%esp)\n"
        "  expect -28; pop %esi\n"
        "  expect -24; add $4,%esp\n"
        "  expect -20; mov 4(%ebx),%edi\n"
        "  expect -20; fldpi\n"
        "  expect -20; fstps (%esp)\n"
        "  expect -20; pop %edi\n"
        "  expect -16; mov 8(%ebx),%ecx\n"
        "  expect -16; lea -32(%esp),%esp\n"
        "  expect -48; push %esp\n"
        "  expect -52; call 1f\n"
        "  expect -52; pop %edx\n"
        "  expect -48; pushf\n"
        "  expect -52; popl (%esp)\n"
        "  expect -48; mov %ebp,%esp\n"
        "  expect -20; sub $100,%esp\n"
        "  expect -120; mov %ebx,-4(%esp)\n"
        "  expect -120; mov 12(%ebx),%ecx\n"
        "  expect -120; lea 8(%ebp),%esp\n"
        "  expect -12; push %ebp\n"
        "  expect -16; mov %esp,%ebp\n"
        "  expect -16; push %edi\n"
        "  expect -20; push %esi\n"
        "  expect -24; and $-16,%esp\n"
        "  mov %ebp,%esp\n"
        "  expect -16; push %eax\n"
        "  expect -20; leave\n"
        "  expect -12; pop %eax\n"
        "  expect -8; pop %eax\n"
        "  expect -4; pop %eax\n"
        "  expect 0; decl turns\n"
        "  expect 0; jnz moves_begin\n"
        "moves_end:\n"
        "moves_escape:\n"
        "  mov saved_esp,%esp\n"
        "  pop %edi; pop %esi; pop %ebx; pop %ebp\n"
        "  ret\n"
        "1: expect -56; push %eax\n"
        "   expect -60; pop %eax\n"
        "   expect -56; ret\n"
        ".pushsection .data.expected,\"aw\"\n"
        ".globl expected_end\nexpected_end:\n"
        ".popsection\n");

static unsigned seen, wrong;

static void look(const struct sigcontext *context) {
  for (struct row *row = expected_rows; row < expected_end; row++)
    if (row->eip == context->eip) {
      int32_t offset = (int32_t)(context->esp - saved_esp);
      seen++;
      if (offset != row->offset && wrong++ < 5)
        printf("  at +%x esp is %d, not %d\n", (unsigned)(context->eip - (uint32_t)moves_begin), (int)offset,
               (int)row->offset);
    }
}

static void on_alarm(int number, struct sigcontext context) {
  (void)number;
  look(&context);
}

static void on_fault(int number, struct sigcontext context) {
  printf("signal %d at +%x, esp %d\n", number, (unsigned)(context.eip - (uint32_t)moves_begin),
         (int)(context.esp - saved_esp));
  look(&context);
  /* Only eip: the handler's own copy of its arguments is the frame itself. */
  *(volatile unsigned long *)&context.eip = (unsigned long)moves_escape;
}

/* The C library always passes a restorer and its own flags; the call does what is meant. */
static void handle(int number, void (*handler)(int, struct sigcontext)) {
  struct {
    void *handler;
    unsigned long mask, flags;
    void *restorer;
  } action = {(void *)handler, 0, 0, NULL};
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(SYS_sigaction), "b"(number), "c"(&action), "d"(0) : "memory");
  if (result)
    printf("sigaction: %ld\n", result);
}

int main(void) {
  char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(memory + page, page);
  handle(SIGSEGV, on_fault);
  handle(SIGALRM, on_alarm);
  printf("undisturbed\n");
  moves(1000, memory);
  for (unsigned readable = 0; readable <= 12; readable += 4) {
    moves(1, memory + page - readable);
    moves(30000, memory + page - readable); /* it may be in hot code now */
  }
  printf("interrupted\n");
  struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &often, NULL);
  for (int i = 0; i < 40; i++)
    moves(100000, memory);
  setitimer(ITIMER_REAL, &never, NULL);
  printf("%u wrong, %s\n", wrong, seen > 20 ? "many looked at" : "few looked at");
  return 0;
}
