/* Compiling regions: lift, optimise, and make of LLVM's object a piece of code that the engine can place.
 *
 * The object is one function and pools of constants. What refers to the pools is resolved here, for they
 * follow the code wherever that goes; what refers to the outside is left to the engine (struct
 * jit_region_reloc). An object that has anything else is refused: a table that is indexed would need its
 * address in 32 bits, a call of memcpy would leave the guest's convention.
 *
 * Nothing here looks at the guest or at the engine, so that it can be done by a thread of its own. */
#include "Frontend/lift_region.h"
#include "Runtime/jit.h"
#include "Runtime/jit_internal.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Support.h>

/* What default<O2> has for a function without allocas and globals, and in its order; docs/regions.md has what
 * was measured. */
static const char pipeline[] =
    "function(sroa,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>,simplifycfg,reassociate,"
    "loop-mssa(loop-rotate,licm),instcombine<no-verify-fixpoint>,gvn,bdce,dse,instcombine<no-verify-fixpoint>"
    ",adce,"
    "simplifycfg)";

static LLVMTargetMachineRef machine;

/* --- The object ------------------------------------------------------------------------------------------
 */

enum { SECTION_LIMIT = 32, NOT_PLACED = -1 };

static int refuse(struct jit_region *region, const char *why) {
  snprintf(region->why, sizeof region->why, "%s", why);
  return -EIO;
}

/* Where each section goes, behind the code. */
static int place_sections(struct jit_region *region, const struct jit_object *o,
                          int64_t offset[SECTION_LIMIT]) {
  uint64_t end = o->text->sh_size;
  region->alignment = (uint32_t)o->text->sh_addralign;
  if (o->section_count > SECTION_LIMIT)
    return refuse(region, "LLVM's object has too many sections");
  for (unsigned i = 0; i < o->section_count; i++) {
    const Elf64_Shdr *section = &o->sections[i];
    const char *name = o->section_names + section->sh_name;
    offset[i] = NOT_PLACED;
    if (section == o->text)
      offset[i] = 0;
    if (section == o->text || !(section->sh_flags & SHF_ALLOC) || section->sh_size == 0 ||
        strcmp(name, ".eh_frame") == 0)
      continue;
    if (strncmp(name, ".rodata.cst", 11) != 0)
      return refuse(region, "LLVM's object has sections that a region cannot hold");
    end = (end + section->sh_addralign - 1) & ~(section->sh_addralign - 1);
    offset[i] = (int64_t)end;
    end += section->sh_size;
    if (section->sh_addralign > region->alignment)
      region->alignment = (uint32_t)section->sh_addralign;
  }
  region->code_size = (uint32_t)o->text->sh_size;
  region->size = (uint32_t)end;
  region->code = calloc(1, end);
  if (!region->code)
    return refuse(region, "out of memory");
  for (unsigned i = 0; i < o->section_count; i++)
    if (offset[i] != NOT_PLACED)
      memcpy(region->code + offset[i], o->bytes + o->sections[i].sh_offset, o->sections[i].sh_size);
  return 0;
}

static bool outside(const char *name, struct jit_region_reloc *reloc) {
  int symbol = jit_symbol_of(name);
  if (region_exit_address(name, &reloc->eip)) {
    reloc->symbol = STENCIL_TAKEN;
    return true;
  }
  if (strcmp(name, "leave") == 0)
    symbol = STENCIL_LEAVE;
  reloc->symbol = (uint32_t)symbol;
  return symbol >= STENCIL_DISPATCH;
}

static int relocate(struct jit_region *region, const struct jit_object *o,
                    const int64_t offset[SECTION_LIMIT]) {
  size_t count;
  const Elf64_Rela *all = jit_object_relocs(o, &count);
  region->reloc = calloc(count + 1, sizeof *region->reloc);
  if (!region->reloc)
    return refuse(region, "out of memory");
  for (size_t i = 0; i < count; i++) {
    const Elf64_Rela *from = &all[i];
    const Elf64_Sym *symbol = &jit_object_symbols(o)[ELF64_R_SYM(from->r_info)];
    const uint64_t type = ELF64_R_TYPE(from->r_info);
    if ((type != R_X86_64_PC32 && type != R_X86_64_PLT32) || from->r_offset + 4 > region->code_size)
      return refuse(region, "LLVM's object has relocations that are not relative");
    if (symbol->st_shndx == SHN_UNDEF) {
      struct jit_region_reloc *reloc = &region->reloc[region->reloc_count];
      *reloc =
          (struct jit_region_reloc){.offset = (uint32_t)from->r_offset, .addend = (int32_t)from->r_addend};
      if (!outside(o->strings + symbol->st_name, reloc)) {
        snprintf(region->why, sizeof region->why, "LLVM's code wants '%s'", o->strings + symbol->st_name);
        return -EIO;
      }
      region->reloc_count++;
      continue;
    }
    if (symbol->st_shndx >= o->section_count || offset[symbol->st_shndx] == NOT_PLACED)
      return refuse(region, "LLVM's code refers to a section that a region cannot hold");
    int32_t value = (int32_t)(offset[symbol->st_shndx] + (int64_t)symbol->st_value + from->r_addend -
                              (int64_t)from->r_offset);
    memcpy(region->code + from->r_offset, &value, sizeof value);
  }
  return 0;
}

/* A copy of the section that lifted code has filled with rows of `size` bytes, and how many; NULL if memory
 * is out. */
static void *take_rows(const struct jit_object *o, const char *name, size_t size, unsigned *count) {
  *count = 0;
  for (unsigned i = 0; i < o->section_count; i++) {
    const Elf64_Shdr *section = &o->sections[i];
    if (strcmp(o->section_names + section->sh_name, name) != 0)
      continue;
    void *rows = malloc(section->sh_size);
    if (rows)
      memcpy(rows, o->bytes + section->sh_offset, section->sh_size);
    *count = (unsigned)(section->sh_size / size);
    return rows;
  }
  return malloc(size);
}

/* The rows of lift_passthrough.h, which are in the order of the code. */
static int take_x87(struct jit_region *region, const struct jit_object *o) {
  region->x87 = take_rows(o, ".x87", sizeof *region->x87, &region->x87_count);
  if (!region->x87)
    return refuse(region, "out of memory");
  for (unsigned i = 1; i < region->x87_count; i++)
    if (region->x87[i].host <= region->x87[i - 1].host)
      return refuse(region, "its x87 instructions are not in order");
  return 0;
}

/* --- The code --------------------------------------------------------------------------- */

/* What the code's instructions are, one after the other. */
struct reading {
  uint64_t saved, room; /* on the host's stack */
  uint8_t *is_target;   /* of the code's bytes: does a jump lead there? */
};

/* How far below its entry's the code moves the stack pointer: registers that it saves, room that it makes,
 * the return address of a call. Each of these stands once, at the start of the function. */
static const char *read_stack(struct reading *reading, const ZydisDecodedInstruction *zi,
                              const ZydisDecodedOperand *op) {
  enum { SLOT = 8 };
  if (zi->meta.category == ZYDIS_CATEGORY_CALL || zi->mnemonic == ZYDIS_MNEMONIC_RET ||
      zi->mnemonic == ZYDIS_MNEMONIC_POP)
    return NULL;
  if (zi->mnemonic == ZYDIS_MNEMONIC_PUSH) {
    reading->saved += SLOT;
    return NULL;
  }
  if (op[0].type != ZYDIS_OPERAND_TYPE_REGISTER || op[0].reg.value != ZYDIS_REGISTER_RSP ||
      !(op[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) || zi->operand_count_visible == 0)
    return NULL;
  const bool adds = zi->mnemonic == ZYDIS_MNEMONIC_ADD, subtracts = zi->mnemonic == ZYDIS_MNEMONIC_SUB;
  if ((!adds && !subtracts) || op[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
    return "LLVM's code moves the stack pointer in another way than is known";
  const int64_t down = subtracts ? op[1].imm.value.s : -op[1].imm.value.s;
  if (down > (int64_t)reading->room)
    reading->room = (uint64_t)down;
  return NULL;
}

static bool leads_out(const struct jit_region *region, uint32_t field) {
  for (unsigned i = 0; i < region->reloc_count; i++)
    if (region->reloc[i].offset == field)
      return true;
  return false;
}

static void read_jump(struct reading *reading, const struct jit_region *region, uint32_t end,
                      const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op) {
  if (op[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !op[0].imm.is_relative ||
      (zi->raw.imm[0].size == 32 && leads_out(region, end - 4)))
    return;
  const uint64_t target = end + (uint64_t)op[0].imm.value.s;
  if (target < region->code_size)
    reading->is_target[target] = true;
}

static const char *read_code(struct reading *reading, struct jit_region *region) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
  for (uint32_t at = 0; at < region->code_size; at += zi.length) {
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, region->code + at, region->code_size - at, &zi, op)))
      return "LLVM's code does not decode";
    const char *why = read_stack(reading, &zi, op);
    if (why)
      return why;
    if (zi.operand_count_visible)
      read_jump(reading, region, at + zi.length, &zi, op);
    if (zi.mnemonic != ZYDIS_MNEMONIC_RET)
      continue;
    if (zi.length != 1)
      return "LLVM's code returns in another way than is known";
    struct jit_region_stop *stop = realloc(region->stop, (region->stop_count + 1) * sizeof *stop);
    if (!stop)
      return "out of memory";
    region->stop = stop;
    region->stop[region->stop_count++] = (struct jit_region_stop){.at = at};
  }
  return NULL;
}

/* A poll that is no instruction of its own is a place that one comes to from above, and only there are
 * registers as its way out expects them. Jumps must not lead there: from blocks that LLVM shares, or found
 * empty. Marks the polls that must be instructions. True: there are none. */
static bool polls_are_stops(const struct jit_region *region, const struct reading *reading,
                            const struct poll_row *poll, unsigned count, bool nops[UNIT_BLOCK_LIMIT]) {
  bool all = true;
  for (unsigned i = 0; i < count; i++) {
    bool *nop = &nops[poll[i].block];
    if (*nop || (poll[i].at < region->code_size && !reading->is_target[poll[i].at]))
      continue;
    *nop = true;
    all = false;
  }
  return all;
}

static int check_code(struct jit_region *region, const struct jit_object *o, bool nops[UNIT_BLOCK_LIMIT]) {
  enum { SLOT = 8 };
  unsigned poll_count;
  struct poll_row *poll = take_rows(o, ".polls", sizeof *poll, &poll_count);
  struct reading reading = {.is_target = calloc(1, region->code_size)};
  region->stop = malloc((poll_count + 1) * sizeof *region->stop);
  for (unsigned i = 0; poll && region->stop && i < poll_count; i++)
    region->stop[region->stop_count++] = (struct jit_region_stop){poll[i].at, poll[i].out};
  const char *why = poll && region->stop && reading.is_target ? read_code(&reading, region) : "out of memory";
  const bool stops = why || polls_are_stops(region, &reading, poll, poll_count, nops);
  free(reading.is_target);
  free(poll);
  if (why)
    return refuse(region, why);
  region->frame_size = (uint32_t)(reading.saved + reading.room + SLOT);
  if (reading.saved + reading.room >= JIT_FRAME_LIMIT)
    return refuse(region, "its frame is too large");
  return stops ? 0 : -EAGAIN;
}

static int take_object(struct jit_region *region, LLVMMemoryBufferRef buffer, bool nops[UNIT_BLOCK_LIMIT]) {
  struct jit_object object;
  int64_t offset[SECTION_LIMIT];
  if (!jit_object_open(&object, (const uint8_t *)LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer)))
    return refuse(region, "LLVM's object has no code");
  int status = place_sections(region, &object, offset);
  if (status == 0)
    status = relocate(region, &object, offset);
  if (status == 0)
    status = take_x87(region, &object);
  return status ? status : check_code(region, &object, nops);
}

/* --- Compiling ---------------------------------------------------------------------------------------------
 */

static int compile(const struct lift_region_source *source, bool nops[UNIT_BLOCK_LIMIT],
                   void (*dump)(const char *text), struct jit_region *region) {
  char name[24], *message = NULL;
  memset(region, 0, sizeof *region);
  if (!machine) {
    machine = jit_target_machine(LLVMCodeGenLevelDefault, &message);
    /* As for stencils: a short loop that lies in two of the lines that the CPU fetches runs at half its
     * speed. */
    static const char *const arguments[] = {"uemu-llvm", "-x86-experimental-pref-innermost-loop-alignment=6",
                                            "-disable-lsr"};
    LLVMParseCommandLineOptions(3, arguments, NULL);
  }
  if (!machine) {
    snprintf(region->why, sizeof region->why, "%s", message ? message : "no target machine");
    LLVMDisposeMessage(message);
    return -EIO;
  }
  snprintf(name, sizeof name, "region_%08x", source->unit.entry);
  struct lifter lifter;
  lifter_init(&lifter, LIFT_REGION);
  lifter.notes_x87 = true;
  lifter.poll_nops = nops;
  lifter.annotate = jit_dump_wanted(source->unit.entry);
  LLVMContextSetDiagnosticHandler(lifter.context, jit_diagnose, region->why);
  const struct jit_emit emit = {machine, pipeline, name, source->unit.entry, dump};
  LLVMMemoryBufferRef object = NULL;
  if (lifter_region(&lifter, name, source))
    object = jit_make_object(&emit, lifter.module, region->why);
  else
    snprintf(region->why, sizeof region->why, "%s", lifter.failure);
  int status = object ? take_object(region, object, nops) : -EIO;
  if (object)
    LLVMDisposeMemoryBuffer(object);
  lifter_dispose(&lifter);
  if (status < 0)
    jit_free_region(region);
  return status;
}

/* Compiling anew costs more than a nop in an outer loop. Blocks that are jumped to and soon end in a jump
 * back often have their poll where the jumps lead. */
static void guess_nops(const struct unit *unit, bool nops[UNIT_BLOCK_LIMIT]) {
  enum { ENOUGH = 5 };
  for (unsigned b = 0; b < unit->block_count; b++)
    nops[b] = unit->block[b].leader && unit->block[b].taken != (int)b && unit->block[b].count < ENOUGH;
}

int jit_compile_region(const struct lift_region_source *source, void (*dump)(const char *text),
                       struct jit_region *region) {
  bool nops[UNIT_BLOCK_LIMIT] = {false};
  guess_nops(&source->unit, nops);
  int status = compile(source, nops, dump, region);
  for (unsigned round = 1; status == -EAGAIN; round++) {
    if (round > 1)
      memset(nops, true, sizeof nops);
    jit_free_region(region);
    status = compile(source, nops, dump, region);
  }
  return status;
}

void jit_free_region(struct jit_region *region) {
  free(region->code);
  free(region->reloc);
  free(region->stop);
  free(region->x87);
  region->stop = NULL;
  region->x87 = NULL;
  region->code = NULL;
  region->reloc = NULL;
}
