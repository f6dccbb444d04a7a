/* The calling convention of lifted code (docs/guest-abi.md), for the lifter's own files. */
#ifndef UEMU_FRONTEND_LIFT_INTERNAL_H
#define UEMU_FRONTEND_LIFT_INTERNAL_H

#include "Frontend/lift.h"

/* Integer arguments and results: the eight general registers, eip, the temporary, zero.
 * Vector ones: xmm0-7, eight free temporaries. */
enum { ABI_EIP = 8, ABI_TEMPORARY = 9, ABI_ZERO = 10, ABI_INT_COUNT = 11, ABI_XMM_COUNT = 16, ABI_PARAMETER_COUNT = ABI_INT_COUNT + ABI_XMM_COUNT };

extern const char lift_triple[];

void abi_apply(struct lifter *l, LLVMValueRef function);
void abi_apply_call(struct lifter *l, LLVMValueRef call);
/* A function of the guest convention that is defined elsewhere. */
LLVMValueRef lifter_symbol(struct lifter *l, const char *name);
/* The name of helper number `helper`. */
const char *helper_symbol(unsigned helper);

#endif
