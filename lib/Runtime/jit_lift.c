/* Lifting a program to one module, without running it.
 *
 * A region (lift_region.h) names what it leaves to: exit_XXXXXXXX for an address. So the module itself is the
 * list of what is still to be done: as long as it declares such a function and does not define it, the code
 * at that address is lifted, and takes the declaration's place. The end has been reached when only those are
 * left that the file has no code for.
 *
 * Regions leave instructions that need a helper (int $0x80, cpuid, …) to the code outside. Here that is a
 * function of one instruction, lifted as the llvm tier lifts it, which goes on with what comes after it. */
#include "Frontend/lift_region.h"
#include "Runtime/helpers.h"
#include "Runtime/jit_internal.h"
#include "Runtime/jit_write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/DebugInfo.h>

enum { NAME_SIZE = 160 };

/* The lifting under way. */
static struct {
  const struct jit_lift *lift;
  struct jit_lift_result *result;
  struct lifter lifter;
  struct lift_region_source source;
  guest_addr entry; /* of the function being lifted */
  /* Flags count as read behind a return (docs/flags.md): some code after a call does read them. */
  uint8_t return_flags;
} work;

/* Is it the code of a guest address, defined or not? */
static bool is_exit(LLVMValueRef function, guest_addr *eip) {
  size_t length;
  return region_exit_address(LLVMGetValueName2(function, &length), eip);
}

static LLVMValueRef exit_at(guest_addr eip) {
  char name[REGION_EXIT_NAME];
  region_exit_name(name, eip);
  return lifter_symbol(&work.lifter, name);
}

/* Functions that are known already are not lifted into others. */
static bool has_code(guest_addr eip) {
  char name[REGION_EXIT_NAME];
  region_exit_name(name, eip);
  return eip != work.entry && LLVMGetNamedFunction(work.lifter.module, name) != NULL;
}

static size_t fetch(void *context, guest_addr eip, const uint8_t **bytes) {
  return work.lift->code.fetch(context, eip, bytes);
}

static void tell(const struct insn *insn, bool meaning) {
  work.result->insns += meaning;
  work.lift->lifted(work.lift->code.context, insn, meaning);
}

/* --- One function -----------------------------------------------------------------------------------------
 */

/* Jumps through the dispatcher to an address that is known go to its code. */
static void resolve_dispatch(LLVMValueRef function) {
  LLVMValueRef dispatch = LLVMGetNamedFunction(work.lifter.module, "dispatch");
  for (LLVMUseRef use = dispatch ? LLVMGetFirstUse(dispatch) : NULL, next; use; use = next) {
    LLVMValueRef user = LLVMGetUser(use);
    next = LLVMGetNextUse(use);
    if (!LLVMIsACallInst(user) || LLVMGetBasicBlockParent(LLVMGetInstructionParent(user)) != function)
      continue;
    LLVMValueRef eip = LLVMGetOperand(user, ABI_EIP);
    if (!LLVMIsAConstantInt(eip))
      continue;
    LLVMSetOperand(user, (unsigned)LLVMGetNumOperands(user) - 1,
                   exit_at((guest_addr)LLVMConstIntGetZExtValue(eip)));
  }
}

/* The one instruction, by a helper or a jump to the helper `uncompiled`. */
static LLVMValueRef lift_alone(const struct insn *insn) {
  struct lifter *l = &work.lifter;
  l->setting = LIFT_BLOCK;
  LLVMValueRef function = lifter_function(l, "", insn, 1, FLAGS_ALL);
  tell(insn, function != NULL);
  if (!function) {
    lifter_start_function(l, "");
    lifter_annotate(l, insn->eip);
    control_trap(l, HELPER_uncompiled, lifter_const(l, 4, insn->eip));
    function = l->function;
  }
  l->setting = LIFT_REGION;
  resolve_dispatch(function);
  return function;
}

/* The code at eip; NULL if the file has none there. */
static LLVMValueRef lift_at(guest_addr eip) {
  const struct discover_options options = {.fetch = fetch,
                                           .context = work.lift->code.context,
                                           .has_code = has_code,
                                           .return_flags = work.return_flags,
                                           .follow = true,
                                           .insn_limit = UNIT_INSN_LIMIT};
  struct unit *unit = &work.source.unit;
  work.entry = eip;
  if (!discover(unit, eip, &options))
    return NULL;
  work.result->needs_return_flags |= unit->needs_return_flags;
  LLVMValueRef function = lifter_region(&work.lifter, "", &work.source);
  for (unsigned i = 0; !function && i < unit->insn_count; i++)
    if (unit->insn[i].eip == eip)
      return lift_alone(&unit->insn[i]);
  /* Those that it leaves to others are told of there. */
  for (unsigned i = 0; i < unit->insn_count; i++)
    if (lift_is_implemented(&unit->insn[i]))
      tell(&unit->insn[i], true);
  return function;
}

/* --- The module
 * ------------------------------------------------------------------------------------------------- */

/* Puts the function in the place of what only was declared. */
static void define(LLVMValueRef exit, LLVMValueRef function) {
  char name[NAME_SIZE];
  size_t length;
  snprintf(name, sizeof name, "%s", LLVMGetValueName2(exit, &length));
  LLVMReplaceAllUsesWith(exit, function);
  LLVMDeleteFunction(exit);
  LLVMSetValueName2(function, name, length);
}

/* From a function of the module on, which are in the order of time: what is new comes last. */
static void lift_from(LLVMValueRef at) {
  for (LLVMValueRef next; at; at = next) {
    guest_addr eip;
    LLVMValueRef function = NULL;
    if (LLVMIsDeclaration(at) && is_exit(at, &eip)) {
      function = lift_at(eip);
      work.result->outside += !function;
      work.result->functions += function != NULL;
    }
    next = LLVMGetNextFunction(at);
    if (function)
      define(at, function);
  }
}

static void lift_all(void) {
  guest_addr eip;
  for (unsigned i = 0; i < work.lift->root_count; i++)
    exit_at(work.lift->root[i]);
  lift_from(LLVMGetFirstFunction(work.lifter.module));
  while (work.lift->more(work.lift->code.context, &eip))
    lift_from(exit_at(eip));
}

/* Roots get names that other programs can link to. */
static void name_functions(void) {
  for (LLVMValueRef at = LLVMGetFirstFunction(work.lifter.module); at; at = LLVMGetNextFunction(at)) {
    guest_addr eip;
    char symbol[NAME_SIZE - 32] = "", name[NAME_SIZE];
    if (!is_exit(at, &eip) || LLVMIsDeclaration(at))
      continue;
    work.lift->code.name(work.lift->code.context, eip, symbol, sizeof symbol);
    int length = snprintf(name, sizeof name, "guest_%s", symbol);
    if (!symbol[0] || strchr(symbol, '+') || LLVMGetNamedFunction(work.lifter.module, name))
      length = snprintf(name, sizeof name, "guest_%08x", eip); /* static functions may have one name */
    LLVMSetValueName2(at, name, (size_t)length);
  }
}

static int write_module(void) {
  const struct jit_lift *lift = work.lift;
  LLVMDIBuilderFinalize(work.lifter.debug);
  jit_annotate(work.lifter.module, &lift->code);
  if (!jit_verify(work.lifter.module, work.result->why))
    return -EIO;
  if (lift->format == JIT_FORMAT_BITCODE)
    return jit_write_bitcode(work.lifter.module, lift->path, work.result->why);
  return jit_write_text(work.lifter.module, lift->path, lift->heading, work.result->why);
}

static void start(uint8_t return_flags) {
  memset(work.result, 0, sizeof *work.result);
  work.return_flags = return_flags;
  lifter_init(&work.lifter, LIFT_REGION);
  work.lifter.annotate = work.lifter.is_foreign = true;
  work.lifter.code_high = UINT32_MAX;
  discover_forget();
  lift_all();
}

int jit_lift_program(const struct jit_lift *lift, struct jit_lift_result *result) {
  work.lift = lift;
  work.result = result;
  start(FLAGS_NONE);
  while (result->needs_return_flags) {
    const uint8_t wanted = work.return_flags | result->needs_return_flags;
    lifter_dispose(&work.lifter);
    lift->restarted(lift->code.context);
    start(wanted);
  }
  name_functions();
  int status = -ENOENT;
  if (result->functions)
    status = write_module();
  else
    snprintf(result->why, sizeof result->why, "there is no code at any of the addresses to begin with");
  lifter_dispose(&work.lifter);
  return status;
}
