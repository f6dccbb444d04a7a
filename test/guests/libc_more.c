/* A walk through libc: numbers, time, regular expressions, random, getopt, environment, locale, wordexp. */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <glob.h>
#include <iconv.h>
#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

int main(void) {
  static const char *const numbers[] = {"0", "-1", "2147483647", "2147483648", "-2147483649", "0x7f", "0777", "99999999999999999999", "zz", " +5x"};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    errno = 0;
    char *end;
    long l = strtol(numbers[i], &end, 0);
    int error = errno;
    printf("%ld %d %s %lld %llu\n", l, error == ERANGE, end, strtoll(numbers[i], NULL, 10), strtoull(numbers[i], NULL, 36));
  }
  static const time_t times[] = {0, 951826154, 1709164800, 2147483647, -1};
  for (int i = 0; i < 5; i++) {
    char text[100];
    struct tm *tm = gmtime(&times[i]);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a %j %U %%", tm);
    printf("%s %ld\n", text, (long)timegm(tm));
  }
  struct tm tm = {.tm_year = 124, .tm_mon = 13, .tm_mday = 35};
  long made = (long)mktime(&tm);
  printf("%ld %d %d\n", made, tm.tm_mon, tm.tm_mday);
  regex_t regex;
  regmatch_t match[3];
  regcomp(&regex, "([a-z]+)=([0-9]+)", REG_EXTENDED);
  int matched = regexec(&regex, "  key=1234;", 3, match, 0);
  printf("%d %d %d\n", matched, (int)match[1].rm_so, (int)match[2].rm_eo);
  regfree(&regex);
  srand(1);
  unsigned sum = 0;
  for (int i = 0; i < 1000; i++)
    sum = sum * 31 + (unsigned)rand();
  srandom(7);
  for (int i = 0; i < 1000; i++)
    sum = sum * 31 + (unsigned)random();
  srand48(3);
  double drawn = drand48();
  printf("random %u %.12f %ld\n", sum, drawn, lrand48());
  char *arguments[] = {"prog", "-a", "-b", "value", "--long=7", "--flag", "rest", NULL};
  static const struct option options[] = {{"long", 1, 0, 'l'}, {"flag", 0, 0, 'f'}, {0}};
  for (int o; (o = getopt_long(7, arguments, "ab:", options, NULL)) != -1;)
    printf("-%c %s ", o, optarg ? optarg : "");
  printf("%s\n", arguments[optind]);
  setenv("NAME", "value", 1), putenv("OTHER=thing"), unsetenv("HOME");
  printf("%s %s %d\n", getenv("NAME"), getenv("OTHER"), getenv("HOME") == NULL);
  printf("%d %d %d\n", fnmatch("*.c", "file.c", 0), fnmatch("a[!b]c", "abc", 0), fnmatch("?x*", "yxz", 0));
  char path[] = "/usr/lib/file.so", copy[] = "/usr/lib/file.so";
  printf("%s %s\n", basename(path), dirname(copy));
  printf("%s %s\n", setlocale(LC_ALL, "C"), localeconv()->decimal_point);
  div_t d = div(-17, 5);
  lldiv_t ll = lldiv(-10000000000LL, 3);
  printf("%d %d %lld %lld %d %ld\n", d.quot, d.rem, ll.quot, ll.rem, abs(INT_MIN + 1), labs(-5L));
  mbstate_t state = {0};
  wchar_t wide;
  size_t length = mbrtowc(&wide, "a", 1, &state);
  printf("%zu %d\n", length, (int)wide);
  printf("%s|%s\n", strerror(ENOENT), strsignal(11));
  char *big = malloc(300000);
  memset(big, 'q', 299999), big[299999] = 0;
  printf("%zu %d\n", strlen(big), system(NULL) != 0);
  return 0;
}
