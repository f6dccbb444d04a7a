/* Images of the guest's x87, MMX and SSE state (docs/fpu.md); beside runtime_fpu_save and _load. */
#ifndef UEMU_RUNTIME_FPU_H
#define UEMU_RUNTIME_FPU_H

#include "Runtime/cpu_state.h"

#include <stdbool.h>

enum {
  FXSAVE_SIZE = 512,
  FXSAVE_WRITTEN = 288, /* what fxsave and fxrstor of 32-bit code touch */
};

/* Would fxrstor take it? No if a reserved bit of its MXCSR is set. */
bool fpu_image_is_valid(const void *fxsave);

/* fnstenv or fnsave, in 32-bit format, has just stored an image at guest address `image`: puts the
 * guest's view of the last instruction's address into it. */
void fpu_correct_environment(const struct cpu_state *cpu, guest_addr image);

#endif
