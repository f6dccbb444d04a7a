/* Writing IR and assembly.
 *
 * Metadata is what tools read, comments are what people read. LLVM prints no comments of ours, so they are
 * put into its text: before the first of some instructions that are from one guest instruction comes that
 * one's address and assembly. */
#include "Runtime/jit_write.h"
#include "Runtime/jit_internal.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/BitWriter.h>
#include <llvm-c/DebugInfo.h>

/* --- The guest's assembly
 * ----------------------------------------------------------------------------------- */

unsigned jit_disassemble(const struct jit_guest_code *code, guest_addr eip, char text[JIT_INSN_TEXT]) {
  ZydisDecoder decoder;
  ZydisFormatter formatter;
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
  const uint8_t *bytes;
  const size_t size = code->fetch(code->context, eip, &bytes);
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
  text[0] = '\0';
  if (!size || !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, size, &zi, op)) ||
      !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &zi, op, zi.operand_count_visible, text,
                                                    JIT_INSN_TEXT, eip, ZYAN_NULL)))
    return 0;
  char name[JIT_INSN_TEXT] = "";
  if (zi.operand_count_visible && op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && op[0].imm.is_relative)
    code->name(code->context, eip + zi.length + (uint32_t)op[0].imm.value.s, name, sizeof name);
  if (name[0])
    snprintf(text + strlen(text), JIT_INSN_TEXT - strlen(text), " <%s>", name);
  return zi.length;
}

/* --- The register file
 * ------------------------------------------------------------------------------------------ */

#define FIELD(field, element, elements)                                                                      \
  { #field, offsetof(struct cpu_state, field), element, elements }

/* Fields that lifted code uses, by offset, and those between them. Of arrays, `count` elements. */
static const struct field {
  const char *name;
  uint32_t offset, size, count;
} fields[] = {
    FIELD(gpr, 4, GPR_COUNT),
    FIELD(eip, 4, 1),
    FIELD(cf, 1, 1),
    FIELD(pf, 1, 1),
    FIELD(af, 1, 1),
    FIELD(zf, 1, 1),
    FIELD(sf, 1, 1),
    FIELD(of, 1, 1),
    FIELD(df, 1, 1),
    FIELD(reserved, 1, 1),
    FIELD(eflags_rest, 4, 1),
    FIELD(segment_base, 4, SEG_COUNT),
    FIELD(flag_operation, 4, 1),
    FIELD(flag_operand, 4, 2),
    FIELD(interrupt, 4, 1),
    FIELD(helper_argument, 4, 1),
    {"padding", offsetof(struct cpu_state, helper_argument) + 4, 4, 1},
    FIELD(xmm, 16, 8),
    FIELD(c_stack, 8, 1),
    FIELD(frame_stack, 8, 1),
    FIELD(frame_base, 8, 1),
    FIELD(redirect, 8, 1),
    FIELD(runtime_private, 8, 1),
    FIELD(self, 8, 1),
    FIELD(owner, 8, 1),
    {"padding", offsetof(struct cpu_state, owner) + 8, 8, 1},
    FIELD(ymm_high, 16, 8),
    FIELD(segment_selector, 2, SEG_COUNT),
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };
_Static_assert(offsetof(struct cpu_state, xmm) == offsetof(struct cpu_state, helper_argument) + 8, "padding");
_Static_assert(offsetof(struct cpu_state, ymm_high) == offsetof(struct cpu_state, owner) + 16, "padding");

static LLVMTypeRef field_type(LLVMContextRef context, const struct field *field) {
  LLVMTypeRef element = field->size == 16 ? LLVMVectorType(LLVMInt32TypeInContext(context), 4)
                                          : LLVMIntTypeInContext(context, field->size * 8);
  return field->count > 1 ? LLVMArrayType2(element, field->count) : element;
}

static LLVMTypeRef state_type(LLVMContextRef context) {
  LLVMTypeRef type = LLVMGetTypeByName2(context, "cpu_state"), members[FIELD_COUNT];
  if (type)
    return type;
  for (unsigned i = 0; i < FIELD_COUNT; i++)
    members[i] = field_type(context, &fields[i]);
  type = LLVMStructCreateNamed(context, "cpu_state");
  LLVMStructSetBody(type, members, FIELD_COUNT, false);
  return type;
}

/* A pointer to the field at an offset; NULL if none begins there. */
static LLVMValueRef field_pointer(LLVMContextRef context, uint64_t offset, LLVMTypeRef pointer) {
  LLVMTypeRef i32 = LLVMInt32TypeInContext(context);
  for (unsigned i = 0; i < FIELD_COUNT; i++) {
    const struct field *field = &fields[i];
    const uint64_t inside = offset - field->offset;
    if (inside >= (uint64_t)field->size * field->count || inside % field->size)
      continue;
    LLVMValueRef index[3] = {LLVMConstInt(i32, 0, false), LLVMConstInt(i32, i, false),
                             LLVMConstInt(i32, inside / field->size, false)};
    return LLVMConstGEP2(state_type(context), LLVMConstNull(pointer), index, field->count > 1 ? 3 : 2);
  }
  return NULL;
}

/* Which operand of an access is its address; -1: it is no access. */
static int pointer_operand(LLVMValueRef insn) {
  const LLVMOpcode opcode = LLVMGetInstructionOpcode(insn);
  return opcode == LLVMLoad ? 0 : opcode == LLVMStore ? 1 : -1;
}

static void name_field(LLVMContextRef context, LLVMValueRef insn) {
  enum { GS_SPACE = 256 };
  const int operand = pointer_operand(insn);
  if (operand < 0)
    return;
  LLVMValueRef pointer = LLVMGetOperand(insn, (unsigned)operand);
  LLVMTypeRef type = LLVMTypeOf(pointer);
  if (LLVMGetPointerAddressSpace(type) != GS_SPACE)
    return;
  uint64_t offset = 0;
  if (LLVMIsAConstantExpr(pointer) && LLVMGetConstOpcode(pointer) == LLVMIntToPtr &&
      LLVMIsAConstantInt(LLVMGetOperand(pointer, 0)))
    offset = LLVMConstIntGetZExtValue(LLVMGetOperand(pointer, 0));
  else if (!LLVMIsNull(pointer))
    return;
  LLVMValueRef named = field_pointer(context, offset, type);
  if (named)
    LLVMSetOperand(insn, (unsigned)operand, named);
}

/* --- Annotating
 * ---------------------------------------------------------------------------------------------------- */

/* The node of an instruction's address and assembly. Neighbours ask for the same. */
static LLVMValueRef insn_node(LLVMContextRef context, const struct jit_guest_code *code, guest_addr eip) {
  char text[JIT_INSN_TEXT];
  jit_disassemble(code, eip, text);
  LLVMMetadataRef parts[2] = {LLVMValueAsMetadata(LLVMConstInt(LLVMInt32TypeInContext(context), eip, false)),
                              LLVMMDStringInContext2(context, text, strlen(text))};
  return LLVMMetadataAsValue(context, LLVMMDNodeInContext2(context, parts, 2));
}

static void add_register_file(LLVMModuleRef module) {
  LLVMContextRef context = LLVMGetModuleContext(module);
  for (unsigned i = 0; i < FIELD_COUNT; i++) {
    LLVMMetadataRef parts[2] = {
        LLVMMDStringInContext2(context, fields[i].name, strlen(fields[i].name)),
        LLVMValueAsMetadata(LLVMConstInt(LLVMInt32TypeInContext(context), fields[i].offset, false))};
    LLVMAddNamedMetadataOperand(module, "uemu.cpu_state",
                                LLVMMetadataAsValue(context, LLVMMDNodeInContext2(context, parts, 2)));
  }
}

void jit_annotate(LLVMModuleRef module, const struct jit_guest_code *code) {
  LLVMContextRef context = LLVMGetModuleContext(module);
  const unsigned kind = LLVMGetMDKindIDInContext(context, "uemu.insn", 9);
  guest_addr last = 0;
  LLVMValueRef node = NULL;
  for (LLVMValueRef function = LLVMGetFirstFunction(module); function;
       function = LLVMGetNextFunction(function))
    for (LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(function); block;
         block = LLVMGetNextBasicBlock(block))
      for (LLVMValueRef insn = LLVMGetFirstInstruction(block); insn; insn = LLVMGetNextInstruction(insn)) {
        LLVMMetadataRef location = LLVMInstructionGetDebugLoc(insn);
        const guest_addr eip = location ? LLVMDILocationGetLine(location) : 0;
        name_field(context, insn);
        if (!eip)
          continue;
        if (!node || eip != last)
          node = insn_node(context, code, eip);
        last = eip;
        LLVMSetMetadata(insn, kind, node);
      }
  LLVMStripModuleDebugInfo(module);
  add_register_file(module);
}

/* --- Writing
 * ---------------------------------------------------------------------------------------------------------
 */

static int write_failed(const char *path, char *why) {
  const int error = errno ? errno : EIO;
  snprintf(why, JIT_WHY_SIZE, "%s: cannot be written: %s", path, strerror(error));
  return -error;
}

/* Closes the file; was everything written? */
static int close_file(FILE *file, const char *path, char *why) {
  const bool good = !ferror(file);
  return fclose(file) == 0 && good ? 0 : write_failed(path, why);
}

static void write_heading(FILE *file, const char *mark, const char *heading) {
  for (const char *line = heading; *line;) {
    const size_t length = strcspn(line, "\n");
    fprintf(file, "%s%s%.*s\n", mark, length ? " " : "", (int)length, line);
    line += length + (line[length] == '\n');
  }
}

/* Metadata nodes "!N = !{i32 EIP, !"TEXT"}" by number: where in LLVM's text EIP stands. */
struct nodes {
  const char **at;
  size_t count;
};

static bool find_nodes(const char *text, struct nodes *nodes) {
  static const char start[] = "\n!";
  size_t room = 0;
  *nodes = (struct nodes){0};
  for (const char *line = text; (line = strstr(line, start)); line++) {
    char *end;
    const size_t number = strtoul(line + 2, &end, 10);
    if (end == line + 2 || strncmp(end, " = !{i32 ", 9) != 0)
      continue;
    if (number >= room) {
      const size_t more = 2 * number + 64;
      const char **at = realloc(nodes->at, more * sizeof *at);
      if (!at)
        return false;
      memset(at + room, 0, (more - room) * sizeof *at);
      nodes->at = at;
      room = more;
    }
    nodes->at[number] = end + 9;
    if (number >= nodes->count)
      nodes->count = number + 1;
  }
  return true;
}

/* "  ; 08049176  push %ebp", from `-2139112074, !"push %ebp"}` (LLVM prints numbers as signed ones). */
static void write_comment(FILE *file, const char *node) {
  char *end;
  const uint32_t eip = (uint32_t)strtol(node, &end, 10);
  const char *text = strchr(end, '"');
  if (text)
    fprintf(file, "  ; %08x  %.*s\n", eip, (int)strcspn(text + 1, "\""), text + 1);
}

int jit_write_text(LLVMModuleRef module, const char *path, const char *heading, char *why) {
  static const char mark[] = "!uemu.insn !";
  struct nodes nodes;
  char *text = LLVMPrintModuleToString(module);
  FILE *file = fopen(path, "we");
  if (!file || !find_nodes(text, &nodes)) {
    if (file)
      fclose(file);
    LLVMDisposeMessage(text);
    return write_failed(path, why);
  }
  write_heading(file, ";", heading);
  size_t last = SIZE_MAX;
  for (char *line = text; *line;) {
    char *end = strchr(line, '\n');
    const size_t length = end ? (size_t)(end - line) + 1 : strlen(line);
    if (line[0] != ' ') /* a label, a function's end */
      last = SIZE_MAX;
    if (end)
      *end = '\0';
    const char *found = line[0] == ' ' ? strstr(line, mark) : NULL;
    const size_t number = found ? strtoul(found + sizeof mark - 1, NULL, 10) : 0;
    if (found && number != last && number < nodes.count && nodes.at[number])
      write_comment(file, nodes.at[number]);
    if (found)
      last = number;
    if (end)
      *end = '\n';
    fwrite(line, 1, length, file);
    line += length;
  }
  free(nodes.at);
  LLVMDisposeMessage(text);
  return close_file(file, path, why);
}

int jit_write_bitcode(LLVMModuleRef module, const char *path, char *why) {
  errno = 0;
  return LLVMWriteBitcodeToFile(module, path) == 0 ? 0 : write_failed(path, why);
}

/* Of LLVM's assembly, what is about debugging goes; where it tells the line, the guest's instruction is said.
 */
static void write_filtered(FILE *file, const char *text, const struct jit_guest_code *code) {
  for (const char *line = text; *line;) {
    const size_t length = strcspn(line, "\n");
    unsigned number, eip;
    if (strncmp(line, "\t.section\t.debug_", 17) == 0)
      return;
    if (sscanf(line, "\t.loc\t%u %u", &number, &eip) == 2) {
      char insn[JIT_INSN_TEXT];
      if (eip && jit_disassemble(code, eip, insn))
        fprintf(file, "\t# %08x  %s\n", eip, insn);
    } else if (strncmp(line, "\t.file\t", 7) != 0 && strncmp(line, ".Ltmp", 5) != 0 &&
               strncmp(line, "\t.cfi_", 6) != 0) {
      fprintf(file, "%.*s\n", (int)length, line);
    }
    line += length + (line[length] == '\n');
  }
}

int jit_write_assembly(LLVMModuleRef module, LLVMTargetMachineRef machine, const struct jit_guest_code *code,
                       const char *path, const char *heading, char *why) {
  LLVMMemoryBufferRef text = NULL;
  char *message = NULL;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMAssemblyFile, &message, &text)) {
    snprintf(why, JIT_WHY_SIZE, "%s", message);
    LLVMDisposeMessage(message);
    return -EIO;
  }
  FILE *file = fopen(path, "we");
  if (file) {
    write_heading(file, "#", heading);
    write_filtered(file, LLVMGetBufferStart(text), code);
  }
  LLVMDisposeMemoryBuffer(text);
  return file ? close_file(file, path, why) : write_failed(path, why);
}
