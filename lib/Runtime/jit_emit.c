/* From lifted IR to an object file: what blocks and regions, which differ in their passes, have in common. */
#include "Runtime/jit_internal.h"

#include <stdio.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Transforms/PassBuilder.h>

void jit_take_message(char why[JIT_WHY_SIZE], LLVMErrorRef error) {
  char *message = LLVMGetErrorMessage(error);
  snprintf(why, JIT_WHY_SIZE, "%s", message);
  LLVMDisposeErrorMessage(message);
}

/* Inline assembly that cannot have its registers, and the like. */
void jit_diagnose(LLVMDiagnosticInfoRef info, void *context) {
  char *why = context;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError || why[0])
    return;
  char *text = LLVMGetDiagInfoDescription(info);
  snprintf(why, JIT_WHY_SIZE, "%s", text);
  LLVMDisposeMessage(text);
}

bool jit_verify(LLVMModuleRef module, char why[JIT_WHY_SIZE]) {
  char *message = NULL;
  const bool broken = LLVMVerifyModule(module, LLVMReturnStatusAction, &message);
  if (broken)
    snprintf(why, JIT_WHY_SIZE, "invalid IR: %s", message);
  LLVMDisposeMessage(message);
  return !broken;
}

static bool run_passes(const struct jit_emit *emit, LLVMModuleRef module, char why[JIT_WHY_SIZE]) {
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMErrorRef error = LLVMRunPasses(module, emit->passes, emit->machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (error)
    jit_take_message(why, error);
  return !error;
}

LLVMMemoryBufferRef jit_make_object(const struct jit_emit *emit, LLVMModuleRef module, char why[JIT_WHY_SIZE]) {
  jit_dump(emit->dump, module, emit->name, emit->eip, JIT_DUMP_LIFTED);
  if (!jit_verify(module, why) || !run_passes(emit, module, why))
    return NULL;
  jit_dump(emit->dump, module, emit->name, emit->eip, JIT_DUMP_OPTIMIZED);
  LLVMMemoryBufferRef object = NULL;
  char *message = NULL;
  bool failed = LLVMTargetMachineEmitToMemoryBuffer(emit->machine, module, LLVMObjectFile, &message, &object);
  if (failed && !why[0])
    snprintf(why, JIT_WHY_SIZE, "%s", message);
  LLVMDisposeMessage(message);
  if (object && why[0]) {
    LLVMDisposeMemoryBuffer(object);
    object = NULL;
  }
  return object;
}
