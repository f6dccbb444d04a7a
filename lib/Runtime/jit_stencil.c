/* Compiling stencils: lift many shapes into one module, have LLVM make an object of it, cut the
 * object into functions, and check each.
 *
 * A function's relocations name what the stitcher fills in: holes, the next stencil, branch
 * targets, stubs. A jump to `next` at the end is cut off, so that stencils lie end to end. */
#include "Runtime/helpers.h"
#include "Runtime/jit.h"
#include "Runtime/jit_internal.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Error.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

static void initialise(void) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeX86AsmParser();
  /* LLVM 19's byte-to-word pass widens `movb (%eax,%ecx), %al` to a movzbl that loses the rest of
   * eax when eax is also the address. And a cmov is not to become a branch around the load of what it may
   * replace: that load can fault. */
  static const char *const arguments[] = {"uemu-llvm", "-fixup-byte-word-insts=0", "-x86-cmov-converter=0"};
  LLVMParseCommandLineOptions(3, arguments, NULL);
}

LLVMTargetMachineRef jit_target_machine(LLVMCodeGenOptLevel level, char **message) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, initialise);
  LLVMTargetRef target;
  if (LLVMGetTargetFromTriple(lift_triple, &target, message))
    return NULL;
  /* The baseline CPU, whatever this one is: stencils are built on one machine and run on others. Inline
   * assembly may name any instruction, features or not; the guest's cpuid says which the host has. */
  return LLVMCreateTargetMachine(target, lift_triple, "x86-64", "-slow-3ops-lea", level, LLVMRelocStatic,
                                 LLVMCodeModelSmall);
}

/* --- Names to symbols ---------------------------------------------------------------------------- */

int jit_symbol_of(const char *name) {
  static const struct {
    const char *name;
    enum stencil_symbol symbol;
  } fixed[] = {
      {"hole_disp0_32", STENCIL_DISP}, {"hole_imm0_8", STENCIL_IMM0},    {"hole_imm0_16", STENCIL_IMM0},
      {"hole_imm0_32", STENCIL_IMM0},  {"hole_negated_32", STENCIL_NEGATED},  {"hole_imm1_8", STENCIL_IMM1},    {"hole_imm1_16", STENCIL_IMM1},
      {"hole_imm1_32", STENCIL_IMM1},  {"hole_imm2_8", STENCIL_IMM2},    {"hole_imm2_16", STENCIL_IMM2},
      {"hole_imm2_32", STENCIL_IMM2},  {"hole_eip_32", STENCIL_EIP},     {"hole_next_32", STENCIL_NEXT_EIP},
      {"next", STENCIL_NEXT},          {"taken", STENCIL_TAKEN},         {"callee", STENCIL_CALLEE},
      {"dispatch", STENCIL_DISPATCH},  {"mispaired", STENCIL_MISPAIRED},
  };
  for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
    if (strcmp(name, fixed[i].name) == 0)
      return fixed[i].symbol;
  for (unsigned h = 0; h < HELPER_COUNT; h++)
    if (strcmp(name, helper_symbol(h)) == 0)
      return STENCIL_HELPER + (int)h;
  return -1;
}

static int reloc_kind(uint32_t type) {
  switch (type) {
  case R_X86_64_8:
    return RELOC_ABS8;
  case R_X86_64_16:
    return RELOC_ABS16;
  case R_X86_64_32:
  case R_X86_64_32S:
    return RELOC_ABS32;
  case R_X86_64_PC32:
  case R_X86_64_PLT32:
    return RELOC_PC32;
  default:
    return -1;
  }
}

/* --- One function ---------------------------------------------------------------------------------- */

enum { RELOC_LIMIT = 64, JUMP_SIZE = 5, JUMP_OPCODE = 0xE9 };

static bool leads_out(const struct stencil_code *code, unsigned field) {
  for (unsigned i = 0; i < code->reloc_count; i++)
    if (code->reloc[i].kind == RELOC_PC32 && code->reloc[i].offset == field)
      return true;
  return false;
}

/* spl, bpl, sil or dil, which only an instruction with a REX prefix has. */
static bool is_low_byte(const ZydisDecodedOperand *operand) {
  return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value >= ZYDIS_REGISTER_SPL &&
         operand->reg.value <= ZYDIS_REGISTER_DIL;
}

static bool has_low_byte(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *operand) {
  for (unsigned i = 0; i < zi->operand_count; i++)
    if (is_low_byte(&operand[i]))
      return true;
  return false;
}

/* Finds the operand that can be another (struct stencil_memory). Only in straight-line code: what comes
 * after it moves when it grows. *rex_may_go: see STENCIL_REX_MAY_GO. */
static struct stencil_memory memory_operand(const struct stencil_code *code, bool *rex_may_go) {
  const struct stencil_memory none = {0};
  struct stencil_memory found = none;
  for (unsigned at = 0; at < code->size;) {
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    if (!stencil_decode(code, at, &zi, op))
      return none;
    if (zi.raw.imm[0].is_relative && !leads_out(code, at + zi.raw.imm[0].offset))
      return none;
    for (unsigned i = 0; i < zi.operand_count; i++) {
      bool temporary = op[i].type == ZYDIS_OPERAND_TYPE_MEMORY
                           ? op[i].mem.base == ZYDIS_REGISTER_R14D || op[i].mem.index == ZYDIS_REGISTER_R14D
                           : op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                                 ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op[i].reg.value) ==
                                     ZYDIS_REGISTER_R14;
      bool only_set =
          op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && !(op[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ);
      if (!temporary || only_set)
        continue;
      /* mod 00, rm 110 with REX.B, or VEX.B in the second of three bytes: (%r14d) alone. */
      bool has_rex = zi.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && zi.attributes & ZYDIS_ATTRIB_HAS_REX;
      bool has_vex = zi.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && zi.raw.vex.size == 3;
      bool replaceable = op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && (has_rex || has_vex) &&
                         op[i].mem.type == ZYDIS_MEMOP_TYPE_MEM && zi.address_width == 32 &&
                         zi.raw.modrm.mod == 0 && zi.raw.modrm.rm == 6 && zi.raw.disp.size == 0;
      if (!replaceable || found.modrm)
        return none;
      *rex_may_go = has_rex && !has_low_byte(&zi, op);
      found = (struct stencil_memory){(uint16_t)(at + (has_rex ? zi.raw.rex.offset : zi.raw.vex.offset + 1)),
                                      (uint16_t)(at + zi.raw.modrm.offset)};
    }
    at += zi.length;
  }
  return found;
}

static struct stencil_reloc *reloc_at(const struct stencil_code *code, struct stencil_reloc *relocs, int offset,
                                      enum stencil_symbol symbol) {
  for (unsigned i = 0; i < code->reloc_count; i++)
    if (relocs[i].kind == RELOC_PC32 && relocs[i].offset == offset && relocs[i].symbol == symbol)
      return &relocs[i];
  return NULL;
}

/* LLVM often ends a conditional jump so:  jcc next; jmp taken.  The guest's way on would then be a
 * taken jump: turn it into  jncc taken  and fall through. `space` holds the changed code. */
enum { CONDITIONAL_LIMIT = 256, CONDITIONAL_SIZE = 6 };
static void turn_conditional(struct stencil_code *code, struct stencil_reloc *relocs,
                             uint8_t space[CONDITIONAL_LIMIT]) {
  int size = code->size, jump = size - JUMP_SIZE, conditional = jump - CONDITIONAL_SIZE;
  if (conditional < 0 || size > CONDITIONAL_LIMIT || code->code[jump] != JUMP_OPCODE ||
      code->code[conditional] != 0x0F || (code->code[conditional + 1] & 0xF0) != 0x80)
    return;
  struct stencil_reloc *taken = reloc_at(code, relocs, jump + 1, STENCIL_TAKEN);
  struct stencil_reloc *next = reloc_at(code, relocs, conditional + 2, STENCIL_NEXT);
  if (!taken || !next)
    return;
  memcpy(space, code->code, (size_t)size);
  space[conditional + 1] ^= 1;
  next->symbol = STENCIL_TAKEN;
  *taken = relocs[--code->reloc_count];
  code->code = space;
  code->size = (uint16_t)jump;
  code->flags |= STENCIL_FALLS_THROUGH;
}

/* Cuts off or marks the jump at the end. */
static void finish_tail(struct stencil_code *code, struct stencil_reloc *relocs) {
  for (unsigned i = 0; i < code->reloc_count; i++) {
    bool last = relocs[i].kind == RELOC_PC32 && relocs[i].offset + 4 == code->size && code->size >= JUMP_SIZE &&
                code->code[code->size - JUMP_SIZE] == JUMP_OPCODE;
    if (last && relocs[i].symbol == STENCIL_DISPATCH)
      code->flags |= STENCIL_TAIL_DISPATCH;
    if (!last || relocs[i].symbol != STENCIL_NEXT)
      continue;
    code->size -= JUMP_SIZE;
    code->flags |= STENCIL_FALLS_THROUGH;
    relocs[i] = relocs[--code->reloc_count];
    return;
  }
  for (unsigned i = 0; i < code->reloc_count; i++)
    if (relocs[i].symbol == STENCIL_NEXT)
      code->flags |= STENCIL_FALLS_THROUGH;
}

/* Opcodes with a 32-bit immediate that have a twin with a sign-extended byte: 2 added to them. */
static bool has_byte_twin(const ZydisDecodedInstruction *zi) {
  return zi->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && zi->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
         (zi->opcode == 0x81 || zi->opcode == 0x69 || zi->opcode == 0x68);
}

static void mark_short(struct stencil_reloc *reloc, unsigned field, const ZydisDecodedInstruction *zi, unsigned at) {
  bool scaled = zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX; /* its byte displacements are multiples */
  if (reloc->kind != RELOC_ABS32)
    return;
  if (zi->raw.disp.size == 32 && field == at + zi->raw.disp.offset && zi->raw.modrm.mod == 2 && !scaled) {
    reloc->kind = RELOC_DISP32;
    reloc->back = (zi->raw.disp.offset - zi->raw.modrm.offset) & 15;
  } else if (zi->raw.imm[0].size == 32 && field == at + zi->raw.imm[0].offset && has_byte_twin(zi)) {
    unsigned opcode = zi->opcode == 0x68 ? zi->raw.imm[0].offset - 1u : zi->raw.modrm.offset - 1u;
    reloc->back = (zi->raw.imm[0].offset - opcode) & 15;
  }
}

static int by_offset(const void *a, const void *b) {
  return ((const struct stencil_reloc *)a)->offset - ((const struct stencil_reloc *)b)->offset;
}

/* Finds the fields that may be shorter when they are filled (struct stencil_reloc). Only in straight-line code: what
 * comes after them moves. */
static void find_short_fields(const struct stencil_code *code, struct stencil_reloc *relocs) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  qsort(relocs, code->reloc_count, sizeof *relocs, by_offset);
  struct stencil_reloc marked[RELOC_LIMIT];
  memcpy(marked, relocs, code->reloc_count * sizeof *relocs);
  for (unsigned at = 0; at < code->size;) {
    ZydisDecodedInstruction zi;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code->code + at, code->size - at, &zi)))
      return;
    if (zi.raw.imm[0].is_relative && !leads_out(code, at + zi.raw.imm[0].offset))
      return;
    for (unsigned r = 0; r < code->reloc_count; r++) {
      if (marked[r].symbol == STENCIL_NEXT)
        return;
      mark_short(&marked[r], marked[r].offset, &zi, at);
    }
    at += zi.length;
  }
  memcpy(relocs, marked, code->reloc_count * sizeof *relocs);
}

static void make_stencil(const struct jit_object *o, const Elf64_Sym *function, const struct stencil_source *source,
                         const struct stencil_sink *sink) {
  struct stencil_reloc relocs[RELOC_LIMIT];
  struct stencil_code code = {.code = o->bytes + o->text->sh_offset + function->st_value,
                              .reloc = relocs,
                              .size = (uint16_t)function->st_size};
  char why[128];
  shape_of(&code.shape, source->insn, source->count, source->live);
  size_t count;
  const Elf64_Rela *all = jit_object_relocs(o, &count);
  for (size_t i = 0; i < count; i++) {
    if (all[i].r_offset < function->st_value || all[i].r_offset >= function->st_value + function->st_size)
      continue;
    const Elf64_Sym *target = &jit_object_symbols(o)[ELF64_R_SYM(all[i].r_info)];
    const char *name = o->strings + target->st_name;
    int symbol = jit_symbol_of(name), kind = reloc_kind((uint32_t)ELF64_R_TYPE(all[i].r_info));
    if (symbol < 0 || kind < 0 || code.reloc_count == RELOC_LIMIT) {
      snprintf(why, sizeof why, "relocation type %u against '%s'", (unsigned)ELF64_R_TYPE(all[i].r_info), name);
      sink->refused(sink->context, source, why);
      return;
    }
    relocs[code.reloc_count++] = (struct stencil_reloc){.offset = (uint16_t)(all[i].r_offset - function->st_value),
                                                        .kind = (uint8_t)kind,
                                                        .symbol = (uint8_t)symbol,
                                                        .addend = (int32_t)all[i].r_addend};
  }
  uint8_t space[CONDITIONAL_LIMIT];
  turn_conditional(&code, relocs, space);
  finish_tail(&code, relocs);
  bool rex_may_go = false;
  code.memory = memory_operand(&code, &rex_may_go);
  if (rex_may_go)
    code.flags |= STENCIL_REX_MAY_GO;
  find_short_fields(&code, relocs);
  const char *broken = stencil_check(&code);
  if (broken) {
    sink->refused(sink->context, source, broken);
    return;
  }
  if (!stencil_changes_flags(&code))
    code.flags |= STENCIL_NEUTRAL;
  sink->made(sink->context, &code);
}

/* --- A module ---------------------------------------------------------------------------------------- */

static void function_name(char name[24], unsigned index) { snprintf(name, 24, "stencil_%u", index); }

/* The objects' relocations are sorted by nobody; with modules of this size the search is short. */
enum { MODULE_SIZE = 200 };

static int compile_module(LLVMTargetMachineRef machine, const struct stencil_source *sources, unsigned count,
                          const struct stencil_sink *sink) {
  struct lifter lifter;
  lifter_init(&lifter, LIFT_STENCIL);
  bool lifted[MODULE_SIZE];
  unsigned made = 0;
  for (unsigned i = 0; i < count; i++) {
    char name[24];
    function_name(name, i);
    struct shape shape;
    shape_of(&shape, sources[i].insn, sources[i].count, sources[i].live);
    lifted[i] = lifter_function(&lifter, name, sources[i].insn, sources[i].count, (uint8_t)shape.flags_live) != NULL;
    if (lifted[i])
      made++;
    else
      sink->refused(sink->context, &sources[i], lifter.failure);
  }
  int result = 0;
  char *message = NULL;
  LLVMMemoryBufferRef buffer = NULL;
  struct jit_object object;
  if (made == 0)
    goto done;
  /* Flags that nobody keeps go before instructions are selected: a locked `or` whose result is
   * unused is one instruction, else a loop. */
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMErrorRef error = LLVMRunPasses(lifter.module, "function(dce)", machine, options);
  LLVMDisposePassBuilderOptions(options);
  LLVMConsumeError(error);
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, lifter.module, LLVMObjectFile, &message, &buffer) ||
      !jit_object_open(&object, (const uint8_t *)LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer))) {
    for (unsigned i = 0; i < count; i++)
      if (lifted[i])
        sink->refused(sink->context, &sources[i], message ? message : "LLVM's object has no code");
    result = -EIO;
    goto done;
  }
  size_t symbol_count = object.symtab->sh_size / sizeof(Elf64_Sym);
  for (size_t s = 0; s < symbol_count; s++) {
    const Elf64_Sym *symbol = &jit_object_symbols(&object)[s];
    unsigned index;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF &&
        sscanf(object.strings + symbol->st_name, "stencil_%u", &index) == 1)
      make_stencil(&object, symbol, &sources[index], sink);
  }
done:
  LLVMDisposeMessage(message);
  if (buffer)
    LLVMDisposeMemoryBuffer(buffer);
  lifter_dispose(&lifter);
  return result;
}

int jit_compile_stencils(const struct stencil_source *sources, unsigned count, const struct stencil_sink *sink) {
  char *message = NULL;
  LLVMTargetMachineRef machine = jit_target_machine(LLVMCodeGenLevelDefault, &message);
  if (!machine) {
    for (unsigned i = 0; i < count; i++)
      sink->refused(sink->context, &sources[i], message ? message : "no target machine");
    LLVMDisposeMessage(message);
    return -EIO;
  }
  int result = 0;
  for (unsigned first = 0; first < count; first += MODULE_SIZE) {
    unsigned part = count - first < MODULE_SIZE ? count - first : MODULE_SIZE;
    int status = compile_module(machine, sources + first, part, sink);
    result = status ? status : result;
  }
  LLVMDisposeTargetMachine(machine);
  return result;
}
