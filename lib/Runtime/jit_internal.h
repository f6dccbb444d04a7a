/* Shared by the files of the compiler (jit_*.c). */
#ifndef UEMU_RUNTIME_JIT_INTERNAL_H
#define UEMU_RUNTIME_JIT_INTERNAL_H

#include "Frontend/lift.h"
#include "Frontend/lift_internal.h"
#include "Runtime/stencil.h"

#include <llvm-c/TargetMachine.h>

/* The machine that guest code is compiled for; the caller disposes of it. NULL with *message set. */
LLVMTargetMachineRef jit_target_machine(LLVMCodeGenOptLevel level, char **message);

/* NULL if the stencil keeps the rules that precise faults need; else what it breaks. */
const char *stencil_check(const struct stencil_code *code);

#endif
