/* Writing lifted IR down, for people and for LLVM's tools: with the guest's instructions beside it
 * (docs/lifted-ir.md). Part of the compiler's shared object. */
#ifndef UEMU_RUNTIME_JIT_WRITE_H
#define UEMU_RUNTIME_JIT_WRITE_H

#include "Runtime/jit.h"

#include <llvm-c/TargetMachine.h>

enum { JIT_INSN_TEXT = 128 };

/* The guest instruction at eip as assembly, into `text`; its length, 0 if there is none. */
unsigned jit_disassemble(const struct jit_guest_code *code, guest_addr eip, char text[JIT_INSN_TEXT]);

/* Makes of debug locations (lift_annotate.c) metadata !uemu.insn on the instructions, and of offsets in the
 * register file fields of the type %cpu_state. Debug locations go. */
void jit_annotate(LLVMModuleRef module, const struct jit_guest_code *code);

/* Writes an annotated module. 0, or a negative errno with `why` (JIT_WHY_SIZE bytes) set. */
int jit_write_text(LLVMModuleRef module, const char *path, const char *heading, char *why);
int jit_write_bitcode(LLVMModuleRef module, const char *path, char *why);
/* Assembly of a module that still has its debug locations. */
int jit_write_assembly(LLVMModuleRef module, LLVMTargetMachineRef machine, const struct jit_guest_code *code,
                       const char *path, const char *heading, char *why);

#endif
