/* setjmp and longjmp: loops, depth, out of nested calls, out of signal handlers, generators by hand. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static jmp_buf outer, inner;
static sigjmp_buf from_signal;

static __attribute__((noinline)) void descend(int depth, int value) {
  volatile char frame[100];
  frame[depth % 100] = (char)depth;
  if (depth == 0)
    longjmp(outer, value);
  descend(depth - 1, value);
  frame[0]++;
}

static __attribute__((noinline)) int middle(int n) {
  int code = setjmp(inner);
  if (code == 0) {
    if (n & 1)
      longjmp(inner, 10 + n);
    return n;
  }
  return code;
}

static void on_signal(int number) { siglongjmp(from_signal, number); }

int main(void) {
  volatile int count = 0;
  int code = setjmp(outer);
  printf("code %d\n", code);
  if (code < 5) {
    count++;
    descend(code * 50, code + 1);
  }
  printf("count %d\n", count);
  if ((code = setjmp(outer)) == 0)
    longjmp(outer, 0);
  printf("zero becomes %d\n", code);
  int sum = 0;
  for (int i = 0; i < 1000; i++)
    sum += middle(i);
  printf("middle %d\n", sum);
  signal(SIGUSR1, on_signal), signal(SIGSEGV, on_signal), signal(SIGFPE, on_signal);
  volatile int caught = 0;
  for (volatile int i = 0; i < 30; i++) {
    int number = sigsetjmp(from_signal, 1);
    if (number) {
      caught += number;
      continue;
    }
    if (i % 3 == 0)
      raise(SIGUSR1);
    else if (i % 3 == 1)
      *(volatile int *)(i * 4) = 1;
    else
      printf("%d\n", i / (i - i));
    puts("not reached");
  }
  printf("caught %d\n", caught);
  sigset_t mask;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  printf("mask restored %d\n", !sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGSEGV));
  volatile int loops = 0;
  for (int i = 0; i < 100000; i++)
    if (!setjmp(inner))
      longjmp(inner, 1);
    else
      loops++;
  printf("loops %d\n", loops);
  return 0;
}
