/* Shared by the files of the compiler (jit_*.c). */
#ifndef UEMU_RUNTIME_JIT_INTERNAL_H
#define UEMU_RUNTIME_JIT_INTERNAL_H

#include "Frontend/lift.h"
#include "Frontend/lift_internal.h"
#include "Runtime/jit_dump.h"
#include "Runtime/stencil.h"

#include <Zydis/Zydis.h>
#include <elf.h>
#include <llvm-c/Error.h>
#include <llvm-c/TargetMachine.h>

/* The machine that guest code is compiled for; the caller disposes of it. NULL with *message set. */
LLVMTargetMachineRef jit_target_machine(LLVMCodeGenOptLevel level, char **message);

/* The number that stencils have for a symbol that lifted code names: enum stencil_symbol; -1 for none. */
int jit_symbol_of(const char *name);

/* --- jit_object.c: LLVM's object files ------------------------------------------------------------------- */

struct jit_object {
  const uint8_t *bytes;
  size_t size;
  const Elf64_Shdr *sections;
  unsigned section_count;
  const Elf64_Shdr *text, *rela, *symtab;
  const char *strings, *section_names;
};
bool jit_object_open(struct jit_object *object, const uint8_t *bytes, size_t size);
const Elf64_Sym *jit_object_symbols(const struct jit_object *object);
/* Relocations of its code. */
const Elf64_Rela *jit_object_relocs(const struct jit_object *object, size_t *count);

/* --- jit_dump.c --------------------------------------------------------------------------------------------- */

/* Are files wanted of code that begins at eip? Then it is to be lifted with annotations. */
bool jit_dump_wanted(guest_addr eip);
/* Shows a module of the code at eip at a stage, JIT_DUMP_LIFTED or JIT_DUMP_OPTIMIZED: in files, where they are wanted; and
 * gives `dump` its text under a heading, nothing for NULL. */
void jit_dump(void (*dump)(const char *text), LLVMModuleRef module, const char *name, guest_addr eip,
              enum jit_dump_stage stage);

/* --- jit_emit.c --------------------------------------------------------------------------------------------- */

/* For LLVMContextSetDiagnosticHandler: the first error goes to the string, of JIT_WHY_SIZE bytes. Without a
 * handler LLVM would end the process. */
enum { JIT_WHY_SIZE = 160 };
void jit_diagnose(LLVMDiagnosticInfoRef info, void *why);
void jit_take_message(char why[JIT_WHY_SIZE], LLVMErrorRef error);
/* Is the module good IR? Else `why` says what is wrong. */
bool jit_verify(LLVMModuleRef module, char why[JIT_WHY_SIZE]);

/* How a module becomes an object. */
struct jit_emit {
  LLVMTargetMachineRef machine;
  const char *passes;
  const char *name;               /* of its function … */
  guest_addr eip;                 /* … which is the code here */
  void (*dump)(const char *text); /* for jit_dump */
};
/* Verifies, shows, optimises and compiles the module, of a context with jit_diagnose and the same `why`, which is empty. The
 * caller disposes of the object. NULL with `why` set. */
LLVMMemoryBufferRef jit_make_object(const struct jit_emit *emit, LLVMModuleRef module, char why[JIT_WHY_SIZE]);

/* --- jit_check.c -------------------------------------------------------------------------------------------- */

/* The stencil's host instruction at offset `at`, with its operands. False: it does not decode. */
bool stencil_decode(const struct stencil_code *code, unsigned at, ZydisDecodedInstruction *zi,
                    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT]);
/* NULL if the stencil keeps the rules that precise faults need; else what it breaks. */
const char *stencil_check(const struct stencil_code *code);
/* Does it change the six flags of the host, or go to a helper, which looks for the guest's in the register
 * file? */
bool stencil_changes_flags(const struct stencil_code *code);

#endif
