/* libm, whose long double half is the x87's own functions. Printed to fewer digits than computed: the last
 * bit is each CPU's own. */
#include <complex.h>
#include <math.h>
#include <stdio.h>

int main(void) {
  static const double x[] = {0.1, 0.5, 1, 1.5, 2.718281828, 3.1415926, 10, 100.25, -0.75, 1e-8};
  for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) {
    double v = x[i], p = fabs(v);
    printf("%g: %.12g %.12g %.12g %.12g %.12g %.12g\n", v, sin(v), cos(v), tan(v), atan(v), exp(v), sinh(v));
    printf("  %.12g %.12g %.12g %.12g %.12g %.12g\n", log(p), log2(p), log10(p), log1p(p), pow(p, 2.3), cbrt(v));
    printf("  %.12g %.12g %.12g %.12g %.12g %.12g\n", fmod(v, 0.3), remainder(v, 0.3), hypot(v, 2), atan2(v, -1), expm1(v), tgamma(p));
    printf("  %.6g %.6g %.6g %.6g\n", sinf(v), expf(v), logf(p), powf(p, 0.7f));
    printf("  %.15Lg %.15Lg %.15Lg %.15Lg\n", sinl(v), cosl(v), tanl(v), atanl(v));
    printf("  %.15Lg %.15Lg %.15Lg %.15Lg %.15Lg\n", expl(v), logl(p), log2l(p), powl(p, 1.7L), exp2l(v));
    printf("  %.0f %.0f %.0f %.0f %.0f %ld %lld\n", floor(v), ceil(v), trunc(v), round(v), rint(v), lrint(v), llround(v));
    int exponent;
    double whole, mantissa = frexp(v, &exponent), part = modf(v, &whole);
    printf("  %.12g %d %.12g %.12g %.12g %d %g\n", mantissa, exponent, whole, part, ldexp(v, 5), ilogb(v), logb(v));
  }
  printf("%g %g %g %g\n", sqrt(2), fma(3, 4, 5), fdim(5, 3), nextafter(1, 2) - 1);
  printf("%d %d %d %d\n", isnan(sqrt(-1)), isinf(exp(1000)), signbit(-0.0) != 0, fpclassify(1e-310) == FP_SUBNORMAL);
  printf("%.12g %.12g %.12g\n", erf(0.5), lgamma(7.5), j0(2));
  double complex z = cexp(I * 1.0) * (2 + 3 * I);
  printf("%.12g %.12g\n", creal(z), cimag(z));
  double sum = 0;
  for (int i = 1; i <= 20000; i++)
    sum += sin(i * 0.001) * log(i) / sqrt(i);
  printf("%.9f\n", sum);
  return 0;
}
