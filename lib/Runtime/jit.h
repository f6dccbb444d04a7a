/* The compiler's interface: everything that needs LLVM.
 *
 * It lives in a shared object of its own (libuemu-jit.so), opened when a program first needs a
 * shape that the stencil library lacks, or runs in the llvm tier: LLVM costs 15 ms and 58 MB to
 * load. The calls may clobber the x87 and MXCSR state; callers save it. One thread at a time. */
#ifndef UEMU_RUNTIME_JIT_H
#define UEMU_RUNTIME_JIT_H

#include "Frontend/shape.h"
#include "Runtime/stencil.h"

/* What a stencil is made from: instructions of its shape, and the flags kept. */
struct stencil_source {
  struct insn insn[2];
  uint8_t count; /* 1 or 2 */
  uint8_t live;  /* FLAGS_* wanted; rounded as shape_round_flags says */
};

struct stencil_sink {
  void *context;
  /* The stencil's memory is the callee's to copy. */
  void (*made)(void *context, const struct stencil_code *stencil);
  /* The lifter has no meaning for it, or the code broke a rule; `why` is one line. */
  void (*refused)(void *context, const struct stencil_source *source, const char *why);
};

/* Compiles each source; every one ends in made or refused. 0, or -EIO if LLVM itself failed
 * (message to sink->refused). */
int jit_compile_stencils(const struct stencil_source *sources, unsigned count, const struct stencil_sink *sink);

#endif
