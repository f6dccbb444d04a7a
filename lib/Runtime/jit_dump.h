/* What --dump-ir writes to files: set once, before anything is compiled. */
#ifndef UEMU_RUNTIME_JIT_DUMP_H
#define UEMU_RUNTIME_JIT_DUMP_H

#include "Runtime/jit.h"

enum jit_dump_stage { JIT_DUMP_LIFTED = 1, JIT_DUMP_OPTIMIZED = 2, JIT_DUMP_ASM = 4 };

/* Its functions are called by threads that compile. */
struct jit_dump {
  struct jit_guest_code code;
  unsigned stages; /* enum jit_dump_stage */
  bool bitcode;    /* IR as bitcode, not as text */
  const char *folder;
  const char *function; /* only code of this function; NULL: of all */
  guest_addr low, high; /* only code that begins here, `high` included */
  void (*complain)(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one line */
};

#endif
