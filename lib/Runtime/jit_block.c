/* Compiling basic blocks: lift, optimise, and have ORC link the object into the code cache.
 *
 * Each block is a module of its own. Its object goes through an ExecutionSession whose linking
 * layer asks for memory section by section: all of it is cut from one stretch of the code cache,
 * which is writable while the layer copies and relocates, and executable from then on. So code is
 * within a 32-bit displacement of its constants and of the stubs, and no page is both at once.
 *
 * ORC's own records of a block (its symbol, its resources) are removed as soon as its address is
 * known. What stays is the code, and that is the code cache's.
 *
 * Only what the lifter names can be called: a JITDylib of our own has the stubs and nothing else,
 * so code that LLVM turned into a call of memcpy, say, is refused instead of leaving the guest's
 * calling convention. */
#include "Frontend/lift_passthrough.h"
#include "Runtime/helpers.h"
#include "Runtime/jit.h"
#include "Runtime/jit_internal.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/OrcEE.h>

/* What a straight line of code without allocas or calls has use for; the whole of default<O2> finds
 * nothing more and takes several times as long (docs/orc-tier.md). */
static const char pipeline[] =
    "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg,reassociate,gvn,bdce,"
    "instcombine<no-verify-fixpoint>,adce,simplifycfg)";

/* --- Memory -------------------------------------------------------------------------------------------- */

enum { AREA_SIZE = 1 << 18 };

/* The stretch of the code cache that the object being linked gets. */
static struct {
  uint8_t *at, *end;
  const uint8_t *code;
  size_t code_size;
  bool unreachable; /* a section that code may address by more than a displacement */
} area;

static uint8_t *allocate(size_t size, unsigned alignment) {
  uintptr_t mask = alignment ? alignment - 1 : 0;
  uint8_t *at = (uint8_t *)(((uintptr_t)area.at + mask) & ~mask);
  if (size > (size_t)(area.end - at))
    return NULL;
  area.at = at + size;
  return at;
}

static uint8_t *allocate_code(void *context, uintptr_t size, unsigned alignment, unsigned id,
                              const char *name) {
  (void)context, (void)id, (void)name;
  uint8_t *at = allocate(size, alignment);
  if (area.code) /* one function: one section */
    area.unreachable = true;
  area.code = at;
  area.code_size = size;
  return at;
}

/* Pools of constants are loaded from by rip and a displacement. A table that is indexed would need its
 * address in 32 bits, which the code cache does not have. */
static uint8_t *allocate_data(void *context, uintptr_t size, unsigned alignment, unsigned id,
                              const char *name, LLVMBool read_only) {
  (void)context, (void)id, (void)read_only;
  if (strncmp(name, ".rodata.cst", 11) != 0 && strcmp(name, ".got") != 0 && size > 0)
    area.unreachable = true;
  return allocate(size, alignment);
}

static LLVMBool finalize(void *context, char **message) {
  (void)context, (void)message;
  return false;
}

static void *make_memory(void *context) { return context; }
static void end_memory(void *context) { (void)context; }

/* --- The session ------------------------------------------------------------------------------------------
 */

static struct {
  LLVMTargetMachineRef machine;
  LLVMOrcLLJITRef jit;
  LLVMOrcExecutionSessionRef session;
  LLVMOrcObjectLayerRef layer;
  LLVMOrcJITDylibRef dylib;
  unsigned block_count;
} orc;

static LLVMOrcObjectLayerRef make_layer(void *context, LLVMOrcExecutionSessionRef session,
                                        const char *triple) {
  (void)context, (void)triple;
  static int any; /* the callbacks' context; what they need is in `area` */
  orc.layer = LLVMOrcCreateRTDyldObjectLinkingLayerWithMCJITMemoryManagerLikeCallbacks(
      session, &any, make_memory, end_memory, allocate_code, allocate_data, finalize, end_memory);
  return orc.layer;
}

/* The stubs, by the names that lifted code has for them. */
static LLVMErrorRef define_stubs(const struct jit_host *host) {
  static const struct {
    const char *name;
    unsigned stub;
  } ways_out[] = {{"dispatch", STENCIL_DISPATCH}, {"leave", STENCIL_LEAVE}};
  enum { WAYS_OUT = sizeof ways_out / sizeof ways_out[0] };
  LLVMOrcCSymbolMapPair symbols[HELPER_COUNT + WAYS_OUT];
  LLVMJITSymbolFlags flags = {LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable, 0};
  for (unsigned i = 0; i < HELPER_COUNT + WAYS_OUT; i++) {
    const char *name = i < HELPER_COUNT ? helper_symbol(i) : ways_out[i - HELPER_COUNT].name;
    unsigned stub = i < HELPER_COUNT ? STENCIL_HELPER + i : ways_out[i - HELPER_COUNT].stub;
    symbols[i].Name = LLVMOrcExecutionSessionIntern(orc.session, name);
    symbols[i].Sym = (LLVMJITEvaluatedSymbol){host->stub_address(stub), flags};
  }
  return LLVMOrcJITDylibDefine(orc.dylib, LLVMOrcAbsoluteSymbols(symbols, HELPER_COUNT + WAYS_OUT));
}

static bool start(const struct jit_host *host, char why[JIT_WHY_SIZE]) {
  if (orc.dylib)
    return true;
  char *message = NULL;
  LLVMTargetMachineRef copy = NULL;
  if (!orc.machine)
    orc.machine = jit_target_machine(LLVMCodeGenLevelDefault, &message);
  if (orc.machine)
    copy = jit_target_machine(LLVMCodeGenLevelDefault, &message);
  if (!copy) {
    snprintf(why, JIT_WHY_SIZE, "%s", message ? message : "no target machine");
    LLVMDisposeMessage(message);
    return false;
  }
  LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
  LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(builder,
                                                LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(copy));
  LLVMOrcLLJITBuilderSetObjectLinkingLayerCreator(builder, make_layer, NULL);
  LLVMErrorRef error = LLVMOrcCreateLLJIT(&orc.jit, builder);
  if (!error) {
    orc.session = LLVMOrcLLJITGetExecutionSession(orc.jit);
    orc.dylib = LLVMOrcExecutionSessionCreateBareJITDylib(orc.session, "guest");
    error = define_stubs(host);
  }
  if (error) {
    jit_take_message(why, error);
    orc.dylib = NULL;
    return false;
  }
  return true;
}

/* --- Linking
 * ------------------------------------------------------------------------------------------------- */

struct lookup {
  LLVMErrorRef error;
  uintptr_t address;
};

/* Called before LLVMOrcExecutionSessionLookup returns: the session has no threads of its own. */
static void found(LLVMErrorRef error, LLVMOrcCSymbolMapPairs result, size_t count, void *context) {
  struct lookup *lookup = context;
  lookup->error = error;
  if (!error && count == 1)
    lookup->address = (uintptr_t)result[0].Sym.Address;
}

/* Links an object that defines `name`; takes the object. */
static LLVMErrorRef link_object(LLVMMemoryBufferRef object, const char *name, uintptr_t *address) {
  LLVMOrcResourceTrackerRef tracker = LLVMOrcJITDylibCreateResourceTracker(orc.dylib);
  LLVMErrorRef error = LLVMOrcObjectLayerAddObjectFileWithRT(orc.layer, tracker, object);
  if (!error) {
    struct lookup lookup = {NULL, 0};
    LLVMOrcCJITDylibSearchOrderElement order = {orc.dylib, LLVMOrcJITDylibLookupFlagsMatchAllSymbols};
    LLVMOrcCLookupSetElement symbol = {LLVMOrcExecutionSessionIntern(orc.session, name),
                                       LLVMOrcSymbolLookupFlagsRequiredSymbol};
    LLVMOrcExecutionSessionLookup(orc.session, LLVMOrcLookupKindStatic, &order, 1, &symbol, 1, found,
                                  &lookup);
    error = lookup.error;
    *address = lookup.address;
  }
  LLVMErrorRef removed = LLVMOrcResourceTrackerRemove(tracker);
  LLVMOrcReleaseResourceTracker(tracker);
  if (error)
    LLVMConsumeError(removed);
  else
    error = removed;
  enum { CLEAR_EVERY = 1024 };
  if (++orc.block_count % CLEAR_EVERY == 0)
    LLVMOrcSymbolStringPoolClearDeadEntries(LLVMOrcExecutionSessionGetSymbolStringPool(orc.session));
  return error;
}

/* --- One block
 * ---------------------------------------------------------------------------------------------------- */

static int place(const struct jit_host *host, LLVMMemoryBufferRef object, const char *name,
                 struct jit_block *block) {
  uintptr_t address = 0;
  uint8_t *memory = host->open(AREA_SIZE);
  area.at = memory;
  area.end = memory + AREA_SIZE;
  area.code = NULL;
  area.unreachable = false;
  LLVMErrorRef error = link_object(object, name, &address);
  bool good = !error && address && address == (uintptr_t)area.code && !area.unreachable;
  host->close(good ? area.at : memory);
  if (error)
    jit_take_message(block->why, error);
  else if (!good)
    snprintf(block->why, sizeof block->why, "LLVM's object has sections that the code cache cannot hold");
  if (!good)
    return -EIO;
  block->code = area.code;
  block->code_size = (uint32_t)area.code_size;
  block->size = (uint32_t)(area.at - area.code);
  return 0;
}

/* --- x87 instructions ---------------------------------------------------------------------------------- */

/* A guest's x87 instruction is one of the host's, and they keep their order; only one that a helper
 * does instead has none, and it is the last of its block. If the numbers do not agree, nothing is said. */
static void find_x87(struct jit_block *block, const struct insn *insns) {
  uint16_t guest[JIT_BLOCK_LIMIT];
  unsigned guest_count = 0, host_count = 0;
  for (unsigned i = 0; i < block->insn_count; i++)
    if (lift_is_x87(&insns[i]))
      guest[guest_count++] = (uint16_t)i;
  if (!guest_count)
    return;
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction zi;
  for (uint32_t at = 0; at < block->code_size && at <= UINT16_MAX; at += zi.length) {
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeInstruction(&decoder, NULL, block->code + at, block->code_size - at, &zi)))
      break;
    if (zi.meta.isa_ext != ZYDIS_ISA_EXT_X87 && zi.mnemonic != ZYDIS_MNEMONIC_FISTTP) /* which came with SSE3 */
      continue;
    if (host_count == guest_count)
      return;
    block->x87[host_count].host = (uint16_t)at;
    block->x87[host_count].insn = guest[host_count];
    host_count++;
  }
  bool last_has_none = host_count + 1 == guest_count && guest[guest_count - 1] == block->insn_count - 1;
  if (host_count == guest_count || last_has_none)
    block->x87_count = host_count;
}

/* *count instructions; if one of them cannot be lifted, -ENOTSUP, and *count is how many before it can. */
static int compile(const struct jit_host *host, const struct insn *insns, unsigned *count, const struct block_mode *mode,
                   struct jit_block *block) {
  char name[24];
  struct lifter lifter;
  int status = -EIO;
  snprintf(name, sizeof name, "block_%08x", insns[0].eip);
  block->why[0] = '\0';
  lifter_init(&lifter, LIFT_BLOCK);
  lifter.annotate = jit_dump_wanted(insns[0].eip);
  lifter.mode = mode->bits;
  lifter.code_high = mode->code_high;
  LLVMContextSetDiagnosticHandler(lifter.context, jit_diagnose, block->why);
  if (!lifter_function(&lifter, name, insns, *count, FLAGS_ALL)) {
    snprintf(block->why, sizeof block->why, "%s", lifter.failure);
    *count = lifter.position;
    status = -ENOTSUP;
  } else {
    block->insn_count = lifter.position + 1;
    const struct jit_emit emit = {orc.machine, pipeline, name, insns[0].eip, host->dump};
    LLVMMemoryBufferRef object = jit_make_object(&emit, lifter.module, block->why);
    if (object)
      status = place(host, object, name, block);
    if (status == 0)
      find_x87(block, insns);
  }
  lifter_dispose(&lifter);
  return status;
}

int jit_compile_block(const struct jit_host *host, const struct insn *insns, unsigned count, const struct block_mode *mode,
                      struct jit_block *block) {
  memset(block, 0, sizeof *block);
  if (!start(host, block->why))
    return -EIO;
  unsigned wanted = count;
  int status = compile(host, insns, &wanted, mode, block);
  if (status == -ENOTSUP && wanted > 0)
    status = compile(host, insns, &wanted, mode, block);
  /* One instruction of several may be what LLVM cannot make code of: it is met alone. */
  for (wanted = count; status == -EIO && wanted > 1;) {
    wanted /= 2;
    status = compile(host, insns, &wanted, mode, block);
  }
  return status;
}
