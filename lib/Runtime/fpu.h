/* Images of the guest's x87, MMX, SSE and AVX state (docs/fpu.md); beside runtime_fpu_save and _load. */
#ifndef UEMU_RUNTIME_FPU_H
#define UEMU_RUNTIME_FPU_H

#include "Runtime/cpu_state.h"

#include <stdbool.h>

enum {
  FXSAVE_SIZE = 512,
  FXSAVE_WRITTEN = 288, /* what fxsave and fxrstor of 32-bit code touch */
};

/* XSAVE (SDM vol. 1, 13.4): the standard format, with the components that a 32-bit guest can have. */
enum {
  XSTATE_X87 = 1 << 0,
  XSTATE_SSE = 1 << 1,
  XSTATE_YMM = 1 << 2,
  XSAVE_HEADER = FXSAVE_SIZE,
  XSAVE_HEADER_SIZE = 64,
  XSAVE_YMM = XSAVE_HEADER + XSAVE_HEADER_SIZE, /* upper halves of ymm0-7, and of eight more in 64-bit code */
  XSAVE_YMM_SIZE = 256,
};

/* Non-zero once the guest has used ymm registers. From then on their upper halves go to the register file
 * and back with xmm (x86_64/enter.S); programs that do not use them do not pay for that. */
extern uint8_t fpu_uses_ymm;

/* xsave, xsaveopt, xsavec, xrstor at guest address `image`, with the components in `wanted` (edx:eax). */
enum xsave_kind { XSAVE_PLAIN, XSAVE_OPTIMISED, XSAVE_COMPACT };
/* What the instruction ends in: TRAP_GP, TRAP_PF (with *address), or -1 for no fault. */
int fpu_xsave(struct cpu_state *cpu, guest_addr image, uint64_t wanted, enum xsave_kind kind,
              guest_addr *address);
int fpu_xrstor(struct cpu_state *cpu, guest_addr image, uint64_t wanted, guest_addr *address);

/* The components in use (not in their initial configuration), as xgetbv with ecx = 1 tells. */
uint64_t fpu_components_in_use(const struct cpu_state *cpu);

/* Would fxrstor take it? No if a reserved bit of its MXCSR is set. */
bool fpu_image_is_valid(const void *fxsave);

/* fnstenv or fnsave, in 32-bit format, has just stored an image at guest address `image`: puts the
 * guest's view of the last instruction's address into it. */
void fpu_correct_environment(const struct cpu_state *cpu, guest_addr image);
/* fldenv or frstor has just loaded one, short or in 32-bit format: the last operand's address is the guest's. */
void fpu_note_environment(struct cpu_state *cpu, guest_addr image, bool is_short);

#endif
