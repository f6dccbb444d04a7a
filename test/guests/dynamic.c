/* The dynamic linker at run time: dlopen, dlsym, lazy binding, symbols of the program itself.
 * guest-test: link=dynamic
 * guest-test: flags=-rdynamic
 * guest-test: libraries=-ldl */
#include <dlfcn.h>
#include <link.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int exported(int n) { return n * 3; }
static int seen_libc;
static int visit(struct dl_phdr_info *info, size_t size, void *argument) {
  seen_libc += strstr(info->dlpi_name, "libc.so") != NULL;
  return 0;
}

int main(void) {
  void *math = dlopen("libm.so.6", RTLD_LAZY);
  double (*power)(double, double) = (double (*)(double, double))dlsym(math, "pow");
  printf("pow %g\n", power ? power(2, 10) : -1);
  int (*own)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "exported");
  printf("own %d\n", own ? own(14) : -1);
  printf("missing %d %d\n", dlsym(math, "no_such_symbol") == NULL, dlopen("libnothing.so.9", RTLD_NOW) == NULL);
  void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
  printf("malloc %d\n", allocate && allocate(10));
  Dl_info info;
  int found = dladdr((void *)exported, &info);
  printf("dladdr %d %s\n", found != 0, info.dli_sname);
  dl_iterate_phdr(visit, NULL);
  printf("libc seen %d\n", seen_libc);
  dlclose(math);
  return 0;
}
