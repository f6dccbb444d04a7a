/* Stack unwinding in C: backtraces, forced unwinding through cleanups. guest-test: flags=-fexceptions -funwind-tables */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

static int cleanups;
static void clean(int *value) { cleanups = cleanups * 3 + *value; }
static int depth;
static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *argument) {
  return _Unwind_GetIP(context) && ++depth < 100 ? _URC_NO_REASON : _URC_END_OF_STACK;
}
static struct _Unwind_Exception exception;
static __attribute__((noinline)) int level(int n, int throw_it);
static _Unwind_Reason_Code stop(int version, _Unwind_Action actions, _Unwind_Exception_Class kind, struct _Unwind_Exception *object,
                                struct _Unwind_Context *context, void *argument) {
  if (actions & _UA_END_OF_STACK || depth-- == 0) {
    printf("stopped, cleanups %d\n", cleanups);
    fflush(stdout);
    exit(cleanups & 63);
  }
  return _URC_NO_REASON;
}
static __attribute__((noinline)) int level(int n, int throw_it) {
  __attribute__((cleanup(clean))) int mine = n;
  if (n == 0) {
    depth = 0;
    if (throw_it) {
      depth = 7;
      _Unwind_ForcedUnwind(&exception, stop, NULL);
    }
    _Unwind_Backtrace(count_frame, NULL);
    return depth;
  }
  return level(n - 1, throw_it) + (mine & 0);
}

int main(void) {
  int shallow = level(2, 0), deep = level(12, 0);
  printf("ten frames more: %d, cleanups %d\n", deep - shallow, cleanups);
  return level(6, 1);
}
