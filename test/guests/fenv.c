/* The floating-point environment: rounding, sticky exceptions, traps as SIGFPE, saved and restored. */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

static sigjmp_buf back;
static void on_fpe(int number, siginfo_t *info, void *context) { siglongjmp(back, info->si_code); }

static void show_exceptions(const char *what) {
  int raised = fetestexcept(FE_ALL_EXCEPT);
  printf("%s:%s%s%s%s%s\n", what, raised & FE_INVALID ? " invalid" : "", raised & FE_DIVBYZERO ? " zero" : "", raised & FE_OVERFLOW ? " overflow" : "",
         raised & FE_UNDERFLOW ? " underflow" : "", raised & FE_INEXACT ? " inexact" : "");
  feclearexcept(FE_ALL_EXCEPT);
}

int main(void) {
  static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  static const double values[] = {0.5, 1.5, -1.5, 2.4999, -0.1};
  for (int m = 0; m < 4; m++) {
    fesetround(modes[m]);
    printf("%d:", fegetround() == modes[m]);
    for (int i = 0; i < 5; i++) {
      volatile double v = values[i];
      printf(" %.0f %ld %lld", rint(v), lrint(v), llrint(v));
    }
    volatile float third = 1, three = 3, quotient = third / three;
    volatile double a = 0.1, b = 0.2, sum = a + b;
    printf(" %a %a\n", quotient, sum);
  }
  fesetround(FE_TONEAREST);
  volatile double zero = 0, one = 1, huge = DBL_MAX, tiny = DBL_MIN, result;
  feclearexcept(FE_ALL_EXCEPT);
  result = one / zero, show_exceptions("1/0");
  result = zero / zero, show_exceptions("0/0");
  result = huge * huge, show_exceptions("huge");
  result = tiny / 3, show_exceptions("tiny");
  result = one / 3, show_exceptions("1/3");
  result = sqrt(-one), show_exceptions("sqrt");
  volatile int integer = (int)(huge), unused = lrint(0.5);
  show_exceptions("to int");
  feraiseexcept(FE_DIVBYZERO | FE_INEXACT), show_exceptions("raised");
  fenv_t environment;
  feholdexcept(&environment);
  result = one / zero;
  fesetenv(&environment), show_exceptions("held");
  struct sigaction action = {.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO};
  sigaction(SIGFPE, &action, NULL);
  for (volatile int i = 0; i < 4; i++) {
    static const int traps[] = {FE_DIVBYZERO, FE_INVALID, FE_OVERFLOW, FE_DIVBYZERO | FE_INVALID};
    int code = sigsetjmp(back, 1);
    if (code) {
      printf("trapped: code %d\n", code);
      feclearexcept(FE_ALL_EXCEPT);
      fesetenv(FE_DFL_ENV);
      continue;
    }
    feenableexcept(traps[i]);
    result = i == 1 ? zero / zero : i == 2 ? huge * huge : one / zero;
    result += 1;
    printf("not trapped %g\n", result);
  }
  printf("%d %g\n", fegetexcept(), (double)(one / 3));
  return 0;
}
