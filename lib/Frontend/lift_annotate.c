/* Which guest instruction a piece of IR is from, for those who read it.
 *
 * LLVM has one thing that its passes keep and merge with care: debug locations. So each instruction that is
 * lifted gets one, whose line is its guest address; what writes IR down makes of it what readers want
 * (jit_write.c). It costs time, and nothing of it is made unless l->annotate is set. */
#include "Frontend/lift_internal.h"

#include <llvm-c/DebugInfo.h>
#include <string.h>

static void start_unit(struct lifter *l) {
  static const char file[] = "guest", producer[] = "uemu-llvm", flag[] = "Debug Info Version";
  l->debug = LLVMCreateDIBuilder(l->module);
  l->debug_file = LLVMDIBuilderCreateFile(l->debug, file, sizeof file - 1, "", 0);
  LLVMDIBuilderCreateCompileUnit(l->debug, LLVMDWARFSourceLanguageMips_Assembler, l->debug_file, producer,
                                 sizeof producer - 1, true, "", 0, 0, "", 0, LLVMDWARFEmissionLineTablesOnly,
                                 0, false, false, "", 0, "", 0);
  LLVMAddModuleFlag(l->module, LLVMModuleFlagBehaviorWarning, flag, sizeof flag - 1,
                    LLVMValueAsMetadata(LLVMConstInt(l->i32, LLVMDebugMetadataVersion(), false)));
}

void lifter_annotate_function(struct lifter *l, const char *name) {
  if (!l->debug)
    start_unit(l);
  const size_t length = strlen(name);
  LLVMMetadataRef type = LLVMDIBuilderCreateSubroutineType(l->debug, l->debug_file, NULL, 0, LLVMDIFlagZero);
  l->debug_scope = LLVMDIBuilderCreateFunction(l->debug, l->debug_file, name, length, name, length,
                                               l->debug_file, 0, type, false, true, 0, LLVMDIFlagZero, true);
  LLVMSetSubprogram(l->function, l->debug_scope);
  LLVMDIBuilderFinalizeSubprogram(l->debug, l->debug_scope);
  lifter_annotate(l, 0);
}

void lifter_annotate(struct lifter *l, guest_addr eip) {
  LLVMSetCurrentDebugLocation2(l->builder,
                               LLVMDIBuilderCreateDebugLocation(l->context, eip, 0, l->debug_scope, NULL));
}

void lifter_annotate_end(struct lifter *l) {
  if (l->debug)
    LLVMDisposeDIBuilder(l->debug);
  l->debug = NULL;
}
