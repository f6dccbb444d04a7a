/* uemu-lift-one: shows what becomes of one guest instruction, or of a fused pair.
 *
 *     uemu-lift-one [--block] [--live=FLAGS] HEXBYTES [HEXBYTES]
 *
 * For example: uemu-lift-one --live=CZ 39d8 7502. FLAGS are letters of CPAZSO, those that are needed
 * afterwards; without the option all are. Prints the decoded form, the lifted IR, and the assembly. */
#include "Frontend/lift.h"
#include "Frontend/shape.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t parse_hex(const char *text, uint8_t *bytes, size_t size) {
  size_t count = 0;
  for (; *text && count < size; text++) {
    if (*text == ' ')
      continue;
    char *end, pair[3] = {text[0], text[1], 0};
    bytes[count++] = (uint8_t)strtoul(pair, &end, 16);
    if (*end || !pair[1])
      return 0;
    text++;
  }
  return count;
}

static const char flag_letters[] = "CPAZSO";

static uint8_t parse_flags(const char *text) {
  uint8_t flags = 0;
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (strchr(text, flag_letters[f]))
      flags |= (uint8_t)(1 << f);
  return flags;
}

static void print_flags(const char *what, unsigned flags) {
  printf("  %s ", what);
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    putchar(flags & 1 << f ? flag_letters[f] : '-');
}

static void print_insn(const struct insn *insn) {
  static const char *const kinds[] = {
      [OPERAND_NONE] = "none",       [OPERAND_GPR] = "gpr",           [OPERAND_MEMORY] = "memory",
      [OPERAND_IMMEDIATE] = "imm",   [OPERAND_CONSTANT] = "constant", [OPERAND_XMM] = "xmm",
      [OPERAND_YMM] = "ymm",         [OPERAND_MMX] = "mmx",           [OPERAND_X87] = "st",
      [OPERAND_SEGMENT] = "segment", [OPERAND_RELATIVE] = "relative", [OPERAND_FAR] = "far",
      [OPERAND_OTHER] = "other"};
  printf("; %s  length %u", insn_name(&insn->form), insn->length);
  print_flags("reads", insn->flags_read);
  print_flags("writes", insn->flags_written);
  printf("%s\n", insn->can_fault ? "  can fault" : "");
  for (unsigned i = 0; i < 4 && insn->form.op[i].kind != OPERAND_NONE; i++) {
    const struct operand *op = &insn->form.op[i];
    printf(";   %s %u, %u bytes%s%s", kinds[op->kind], op->reg, op->size, op->read ? ", read" : "",
           op->written ? ", written" : "");
    if (op->kind == OPERAND_CONSTANT)
      printf(", %#x", insn->form.constant >> 16 * op->hole & 0xFFFF);
    putchar('\n');
  }
}

static void print_assembly(LLVMModuleRef module) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeX86AsmParser();
  LLVMTargetRef target;
  char *error = NULL;
  if (LLVMGetTargetFromTriple(LLVMGetTarget(module), &target, &error)) {
    fprintf(stderr, "uemu-lift-one: %s\n", error);
    exit(1);
  }
  LLVMTargetMachineRef machine =
      LLVMCreateTargetMachine(target, LLVMGetTarget(module), "x86-64", "", LLVMCodeGenLevelDefault,
                              LLVMRelocStatic, LLVMCodeModelDefault);
  LLVMMemoryBufferRef text;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMAssemblyFile, &error, &text)) {
    fprintf(stderr, "uemu-lift-one: %s\n", error);
    exit(1);
  }
  fwrite(LLVMGetBufferStart(text), 1, LLVMGetBufferSize(text), stdout);
  LLVMDisposeMemoryBuffer(text);
  LLVMDisposeTargetMachine(machine);
}

int main(int argc, char **argv) {
  enum lift_setting setting = LIFT_STENCIL;
  uint8_t live = FLAGS_ALL;
  int first = 1;
  for (; first < argc && argv[first][0] == '-'; first++) {
    if (strcmp(argv[first], "--block") == 0)
      setting = LIFT_BLOCK;
    else if (strncmp(argv[first], "--live=", 7) == 0)
      live = parse_flags(argv[first] + 7);
  }
  unsigned count = (unsigned)(argc - first);
  if (count < 1 || count > 2) {
    fprintf(stderr, "usage: uemu-lift-one [--block] [--live=FLAGS] HEXBYTES [HEXBYTES]\n");
    return 2;
  }
  struct insn insns[2];
  guest_addr eip = 0x08048000;
  uint8_t changed = 0;
  for (unsigned i = 0; i < count; i++) {
    uint8_t bytes[16];
    size_t size = parse_hex(argv[first + (int)i], bytes, sizeof bytes);
    if (size == 0 || insn_decode(&insns[i], bytes, size, eip) != INSN_OK) {
      fprintf(stderr, "uemu-lift-one: %s: not an instruction\n", argv[first + (int)i]);
      return 1;
    }
    print_insn(&insns[i]);
    eip += insns[i].length;
    changed |= insns[i].flags_changed;
  }
  struct lifter lifter;
  lifter_init(&lifter, setting);
  LLVMValueRef function = lifter_function(&lifter, "stencil", insns, count, live & changed);
  if (!function) {
    fprintf(stderr, "uemu-lift-one: %s\n", lifter.failure);
    return 1;
  }
  char *ir = LLVMPrintValueToString(function);
  puts(ir);
  LLVMDisposeMessage(ir);
  char *error = NULL;
  if (LLVMVerifyModule(lifter.module, LLVMReturnStatusAction, &error)) {
    fprintf(stderr, "uemu-lift-one: invalid IR: %s\n", error);
    return 1;
  }
  LLVMDisposeMessage(error);
  print_assembly(lifter.module);
  lifter_dispose(&lifter);
  return 0;
}
