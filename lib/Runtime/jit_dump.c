/* --dump-ir: the IR of what is compiled, to the log or to files of their own, and its assembly. */
#include "Runtime/jit_dump.h"
#include "Runtime/jit_internal.h"
#include "Runtime/jit_write.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct jit_dump *files;                        /* NULL: none are wanted */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER; /* blocks and regions may be compiled at once */
static LLVMTargetMachineRef machine;

void jit_set_dump(const struct jit_dump *dump) { files = dump; }

bool jit_dump_wanted(guest_addr eip) {
  char name[JIT_INSN_TEXT];
  if (!files || eip < files->low || eip > files->high)
    return false;
  if (!files->function)
    return true;
  files->code.name(files->code.context, eip, name, sizeof name);
  name[strcspn(name, "+")] = '\0';
  return strcmp(name, files->function) == 0;
}

/* The file for what begins at eip: FOLDER/08049176-main+0x12.lifted.ll */
static void choose_path(char *path, size_t size, guest_addr eip, const char *ending) {
  char name[JIT_INSN_TEXT] = "";
  files->code.name(files->code.context, eip, name, sizeof name);
  for (char *c = name; *c; c++)
    if (*c == '/' || *c == ' ')
      *c = '_';
  snprintf(path, size, "%s/%08x%s%s.%s", files->folder, eip, name[0] ? "-" : "", name, ending);
}

static void report(int status, const char *why) {
  if (status < 0)
    files->complain("%s", why);
}

static void write_ir(LLVMModuleRef module, guest_addr eip, const char *stage, const char *heading) {
  char path[4096], ending[32], why[JIT_WHY_SIZE];
  LLVMModuleRef copy = LLVMCloneModule(module);
  snprintf(ending, sizeof ending, "%s.%s", stage, files->bitcode ? "bc" : "ll");
  choose_path(path, sizeof path, eip, ending);
  jit_annotate(copy, &files->code);
  report(files->bitcode ? jit_write_bitcode(copy, path, why) : jit_write_text(copy, path, heading, why), why);
  LLVMDisposeModule(copy);
}

static void write_asm(LLVMModuleRef module, guest_addr eip, const char *heading) {
  char path[4096], why[JIT_WHY_SIZE], *message = NULL;
  if (!machine)
    machine = jit_target_machine(LLVMCodeGenLevelDefault, &message);
  LLVMDisposeMessage(message);
  if (!machine)
    return;
  LLVMModuleRef copy = LLVMCloneModule(module); /* generating code changes it */
  choose_path(path, sizeof path, eip, "s");
  report(jit_write_assembly(copy, machine, &files->code, path, heading, why), why);
  LLVMDisposeModule(copy);
}

static void write_files(LLVMModuleRef module, guest_addr eip, const char *what, enum jit_dump_stage stage) {
  char heading[512], name[JIT_INSN_TEXT] = "";
  files->code.name(files->code.context, eip, name, sizeof name);
  snprintf(heading, sizeof heading, "%s: the code at %08x%s%s (docs/lifted-ir.md)\n", what, eip,
           name[0] ? ", " : "", name);
  if (files->stages & stage)
    write_ir(module, eip, stage == JIT_DUMP_LIFTED ? "lifted" : "optimized", heading);
  if (stage == JIT_DUMP_OPTIMIZED && files->stages & JIT_DUMP_ASM)
    write_asm(module, eip, heading);
}

void jit_dump(void (*dump)(const char *text), LLVMModuleRef module, const char *name, guest_addr eip,
              enum jit_dump_stage stage) {
  if (jit_dump_wanted(eip)) {
    pthread_mutex_lock(&writing);
    write_files(module, eip, name, stage);
    pthread_mutex_unlock(&writing);
  }
  if (!dump)
    return;
  char *ir = LLVMPrintModuleToString(module);
  size_t size = strlen(ir) + 128;
  char *text = malloc(size);
  if (text) {
    snprintf(text, size, "; %s %s\n%s\n", stage == JIT_DUMP_LIFTED ? "lifted" : "optimised", name, ir);
    dump(text);
    free(text);
  }
  LLVMDisposeMessage(ir);
}
