/* Lifting a unit to one function.
 *
 * Each of the unit's blocks becomes an LLVM block. Between blocks registers and flags are in variables
 * (allocas): a block loads them where it begins and stores them where it ends, and LLVM's first pass makes
 * SSA of that. A block with one predecessor takes the predecessor's values themselves, so that a second jump
 * on the same comparison is still one of its operands.
 *
 * A region that commits writes what an instruction that can fault might show to the register file before it,
 * and the rest where blocks meet, so that what is there does not depend on the way (docs/regions.md).
 *
 * Of flags only those are kept that the unit's liveness says are read: `live` of each instruction, and of
 * each way of a branch. The register file has older values of the others. */
#include "Frontend/lift_region.h"
#include "Frontend/lift_internal.h"
#include "Frontend/lift_support.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

/* The lifter's values where a block ends. */
struct values {
  LLVMValueRef gpr[GPR_COUNT], xmm[GUEST_XMM_COUNT], flag[FLAG_COUNT], compare[2], above;
  uint8_t flags_dirty, gpr_dirty, xmm_dirty;
};

struct lift_region {
  const struct lift_region_source *source;
  unsigned block, insn; /* being lifted */
  LLVMBasicBlockRef code[UNIT_BLOCK_LIMIT];
  LLVMValueRef gpr[GPR_COUNT], xmm[GUEST_XMM_COUNT], flag[FLAG_COUNT]; /* variables */
  uint8_t live_in[UNIT_BLOCK_LIMIT];      /* flags read in a block, or behind it, before they are written */
  uint8_t predecessors[UNIT_BLOCK_LIMIT]; /* edges into it; the region's entry is one, too. 2: or more */
  struct values handed[UNIT_BLOCK_LIMIT]; /* for a block with one predecessor that was lifted before */
  bool is_handed[UNIT_BLOCK_LIMIT];
  LLVMValueRef flag_before[FLAG_COUNT]; /* as the instruction found them */
  uint8_t dirty_before;
  bool leaves_at_entry; /* to where it would come in again */
};

/* --- Edges into blocks ------------------------------------------------------------------------------------------ */

static void add_edge(struct lift_region *region, int to) {
  if (to >= 0 && region->predecessors[to] < 2)
    region->predecessors[to]++;
}

static int entry_block(const struct unit *unit) {
  for (unsigned b = 0; b < unit->block_count; b++)
    if (unit->insn[unit->block[b].first].eip == unit->entry)
      return (int)b;
  return -1;
}

static void find_edges(struct lift_region *region) {
  const struct unit *unit = &region->source->unit;
  for (unsigned b = 0; b < unit->block_count; b++) {
    const struct block *block = &unit->block[b];
    region->live_in[b] = unit_live_before(unit, block->first);
    add_edge(region, block->taken);
    add_edge(region, block->next);
  }
  add_edge(region, entry_block(unit));
}

/* Does control get from block `from` to block `to`, by whatever way? */
static bool leads_back(const struct unit *unit, int from, int to) {
  bool seen[UNIT_BLOCK_LIMIT] = {false};
  int pending[2 * UNIT_BLOCK_LIMIT + 1];
  unsigned count = 0;
  for (pending[count++] = from; count;) {
    const int b = pending[--count];
    if (b == to)
      return true;
    if (b < 0 || seen[b])
      continue;
    seen[b] = true;
    pending[count++] = unit->block[b].taken;
    pending[count++] = unit->block[b].next;
  }
  return false;
}

/* --- Variables -------------------------------------------------------------------------------------------
 */

static void make_variables(struct lifter *l) {
  struct lift_region *region = l->region;
  for (unsigned i = 0; i < GPR_COUNT; i++)
    region->gpr[i] = LLVMBuildAlloca(l->builder, l->i32, "");
  for (unsigned i = 0; i < GUEST_XMM_COUNT; i++)
    region->xmm[i] = LLVMBuildAlloca(l->builder, l->xmm_type, "");
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    region->flag[f] = LLVMBuildAlloca(l->builder, l->i1, "");
}

static void store_variables(struct lifter *l, uint8_t flags) {
  struct lift_region *region = l->region;
  for (unsigned i = 0; i < GPR_COUNT; i++)
    LLVMBuildStore(l->builder, l->gpr[i], region->gpr[i]);
  for (unsigned i = 0; i < GUEST_XMM_COUNT; i++)
    LLVMBuildStore(l->builder, l->xmm[i], region->xmm[i]);
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (flags & 1 << f)
      LLVMBuildStore(l->builder, flag_read(l, f), region->flag[f]);
}

static void load_variables(struct lifter *l, uint8_t flags) {
  struct lift_region *region = l->region;
  for (unsigned i = 0; i < GPR_COUNT; i++)
    l->gpr[i] = LLVMBuildLoad2(l->builder, l->i32, region->gpr[i], "");
  for (unsigned i = 0; i < GUEST_XMM_COUNT; i++)
    l->xmm[i] = LLVMBuildLoad2(l->builder, l->xmm_type, region->xmm[i], "");
  memset(l->flag, 0, sizeof l->flag);
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (flags & 1 << f)
      l->flag[f] = LLVMBuildLoad2(l->builder, l->i1, region->flag[f], "");
  l->flags_dirty = l->commits ? FLAGS_NONE : flags; /* go() wrote them */
  l->gpr_dirty = l->xmm_dirty = 0;
  l->compare[0] = l->compare[1] = l->above = NULL;
}

static void keep_values(const struct lifter *l, struct values *values) {
  memcpy(values->gpr, l->gpr, sizeof l->gpr);
  memcpy(values->xmm, l->xmm, sizeof l->xmm);
  memcpy(values->flag, l->flag, sizeof l->flag);
  memcpy(values->compare, l->compare, sizeof l->compare);
  values->above = l->above;
  values->flags_dirty = l->flags_dirty;
  values->gpr_dirty = l->gpr_dirty;
  values->xmm_dirty = l->xmm_dirty;
}

static void take_values(struct lifter *l, const struct values *values) {
  memcpy(l->gpr, values->gpr, sizeof l->gpr);
  memcpy(l->xmm, values->xmm, sizeof l->xmm);
  memcpy(l->flag, values->flag, sizeof l->flag);
  memcpy(l->compare, values->compare, sizeof l->compare);
  l->above = values->above;
  l->flags_dirty = values->flags_dirty;
  l->gpr_dirty = values->gpr_dirty;
  l->xmm_dirty = values->xmm_dirty;
}

/* --- Edges ------------------------------------------------------------------------------------------------
 */

void region_exit_name(char name[REGION_EXIT_NAME], guest_addr eip) {
  snprintf(name, REGION_EXIT_NAME, "exit_%08x", eip);
}

bool region_exit_address(const char *name, guest_addr *eip) {
  unsigned value;
  int end = 0;
  if (strlen(name) != REGION_EXIT_NAME - 1 || sscanf(name, "exit_%8x%n", &value, &end) != 1 ||
      end != REGION_EXIT_NAME - 1)
    return false;
  *eip = value;
  return true;
}

/* Out of the region, to the code of guest address eip, which reads the flags in `live`. */
static void leave_to(struct lifter *l, guest_addr eip, uint8_t live) {
  char name[REGION_EXIT_NAME];
  region_exit_name(name, eip);
  control_store_live_flags(l, live);
  control_tail_call(l, name, NULL);
}

/* --- Polls ------------------------------------------------------------------------------
 *
 * Each loop must be left when somebody asks for the thread, which is so rare that looking costs more than it
 * is worth. Loops look at nothing: the poll is a place in the code, of no bytes, and another that goes there
 * leaves. Of both the object's section .polls has the offsets from the function. To stop the thread a
 * breakpoint is written to the place (x86_64/region_stop.c).
 *
 * To LLVM it is assembly that may jump (callbr), a block's end, and what is computed for the way out is
 * computed on the way out. It is where no flags are live, before the comparison that the loop's jump is made
 * of, so that LLVM finds registers where the guest has them at the end of a turn. */

/* What the poll before the instruction being lifted leaves by. */
static void build_way_out(struct lifter *l, LLVMBasicBlockRef out, guest_addr eip, uint8_t live) {
  LLVMPositionBuilderAtEnd(l->builder, out);
  control_store_live_flags(l, live);
  control_tail_call(l, "leave", lifter_const(l, 4, eip));
  l->ended = false;
}

static void build_stop(struct lifter *l, LLVMBasicBlockRef on, LLVMBasicBlockRef out) {
  size_t length;
  const char *function = LLVMGetValueName2(l->function, &length);
  char text[192];
  snprintf(text, sizeof text,
           ".L${:uid}:%s\n\t.pushsection .polls,\"\",@progbits\n\t"
           ".long .L${:uid} - %s, ${0:l} - %s, %u\n\t.popsection",
           l->poll_nops[l->region->block] ? "\n\tnop" : "", function, function, l->region->block);
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(l->context), NULL, 0, false);
  LLVMValueRef assembly =
      LLVMGetInlineAsm(type, text, strlen(text), "!i", 2, true, false, LLVMInlineAsmDialectATT, false);
  LLVMValueRef stop = LLVMBuildCallBr(l->builder, type, assembly, on, &out, 1, NULL, 0, NULL, 0, "");
  lifter_set_call_attribute(l, stop, "nounwind");
  lifter_set_call_attribute(l, stop, "memory"); /* 0: none */
}

/* The load is volatile, others write there. */
static void build_look(struct lifter *l, LLVMBasicBlockRef on, LLVMBasicBlockRef out) {
  LLVMValueRef interrupt = state_load(l, offsetof(struct cpu_state, interrupt), l->i32);
  LLVMSetVolatile(interrupt, true);
  control_expect(l, value_is_zero(l, interrupt), on, out);
}

static void poll(struct lifter *l, guest_addr eip, uint8_t live) {
  LLVMBasicBlockRef on = control_block(l, "on"), out = control_block(l, "interrupted");
  if (l->poll_nops)
    build_stop(l, on, out);
  else
    build_look(l, on, out);
  build_way_out(l, out, eip, live);
  LLVMPositionBuilderAtEnd(l->builder, on);
}

/* Before which of the block's instructions a loop is polled: UNIT_INSN_LIMIT for none. Every loop has a jump
 * to its own address or below. */
static unsigned poll_position(const struct unit *unit, unsigned b) {
  const struct block *block = &unit->block[b];
  unsigned at = block->first + block->count - 1u;
  if (block->taken < 0 || unit->insn[at].target > unit->insn[at].eip ||
      !leads_back(unit, block->taken, (int)b))
    return UNIT_INSN_LIMIT;
  while (at > block->first && unit_live_before(unit, at))
    at--;
  return at;
}

/* To guest address eip, which is block `to`, or outside for -1. The lifter's values stay as they are: there
 * may be another way. */
static void go(struct lifter *l, int to, guest_addr eip, uint8_t live) {
  struct lift_region *region = l->region;
  if (to < 0) {
    leave_to(l, eip, live);
    return;
  }
  struct values before;
  keep_values(l, &before);
  store_variables(l, region->live_in[to]);
  if (region->predecessors[to] == 1 && to > (int)region->block) { /* which is still to be lifted */
    keep_values(l, &region->handed[to]);
    region->is_handed[to] = true;
  } else if (l->commits) {
    control_store_registers(l);
    control_store_flags(l, FLAGS_ALL);
  }
  LLVMBuildBr(l->builder, region->code[to]);
  l->ended = true;
  take_values(l, &before);
}

static const struct block *current_block(const struct lifter *l) {
  return &l->region->source->unit.block[l->region->block];
}

/* Is the instruction being lifted its block's last? Others go on to the next one here. */
static bool at_end(const struct lifter *l) {
  const struct block *block = current_block(l);
  return l->region->insn + 1 == (unsigned)block->first + block->count;
}

void region_next(struct lifter *l) {
  const struct block *block = current_block(l);
  uint8_t live = l->insn->flow == FLOW_CONDITIONAL ? block->live_next : l->flags_live;
  go(l, at_end(l) ? block->next : -1, insn_next(l->insn), live);
}

void region_taken(struct lifter *l) {
  const struct block *block = current_block(l);
  uint8_t live = l->insn->flow == FLOW_CONDITIONAL ? block->live_taken : l->flags_live;
  go(l, block->taken, l->insn->target, live);
}

void region_leave(struct lifter *l) {
  struct lift_region *region = l->region;
  struct values after;
  region->leaves_at_entry |= l->insn->eip == region->source->unit.entry;
  keep_values(l, &after);
  memcpy(l->gpr, l->gpr_before, sizeof l->gpr);
  memcpy(l->xmm, l->xmm_before, sizeof l->xmm);
  memcpy(l->flag, region->flag_before, sizeof l->flag);
  l->flags_dirty = region->dirty_before;
  leave_to(l, l->insn->eip, unit_live_before(&region->source->unit, region->insn));
  /* What the family function builds after this is on nobody's way, or on another one than this. */
  take_values(l, &after);
  LLVMPositionBuilderAtEnd(l->builder, control_block(l, "left"));
}

/* --- Calls
 * -------------------------------------------------------------------------------------------------- */

void region_call(struct lifter *l, const struct insn *insn, LLVMValueRef target) {
  char name[REGION_EXIT_NAME];
  region_exit_name(name, insn->target);
  control_guest_call(l, target ? "dispatch" : name, target, lifter_const(l, 4, insn_next(insn)));
}

/* A call that only reads its own address: what is on the stack is pushed, and popped again. */
static void lift_thunk(struct lifter *l, const struct insn *insn, unsigned reg) {
  LLVMValueRef back = lifter_const(l, 4, insn_next(insn)), esp = l->gpr[GPR_ESP];
  stack_push(l, back);
  if (reg == GPR_COUNT)
    return;
  gpr_write(l, GPR_ESP, 4, esp);
  gpr_write(l, reg, 4, back);
}

/* --- Instructions
 * ------------------------------------------------------------------------------------------- */

/* What is left to the code outside though it has a family function: environments, which a helper corrects
 * when they have been stored (and exceptions masked), and repeated string instructions that are done element
 * by element. Calls behind which flags are read are left, too (reads_return). Other instructions that call
 * helpers are met in control.c, before they have changed anything.
 */
static bool is_left(const struct insn *insn) {
  const uint8_t attributes = insn->form.attributes;
  if (attributes & INSN_STRING && attributes & (INSN_REP | INSN_REPNE))
    return attributes & (INSN_ADDRESS16 | INSN_SEGMENT_FS | INSN_SEGMENT_GS);
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_FNSTENV:
  case ZYDIS_MNEMONIC_FNSAVE:
  case ZYDIS_MNEMONIC_FLDENV:
  case ZYDIS_MNEMONIC_FRSTOR:
    return true;
  default:
    return false;
  }
}

/* Flags that are not kept for anybody: code that counts all as read, before an indirect jump, has older ones
 * (docs/flags.md), as it has in stencils. */
static void forget_dead_flags(struct lifter *l, const struct insn *insn) {
  const uint8_t dead = (uint8_t)(insn->flags_changed & ~l->flags_live);
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (dead & 1 << f)
      l->flag[f] = NULL;
  l->flags_dirty &= (uint8_t)~dead;
}

/* What has to be in the register file before the instruction changes anything. */
static void commit(struct lifter *l, const struct insn *insn) {
  const enum flag_record record = l->region->source->unit.record[l->region->insn];
  if (insn->can_fault)
    control_commit(l, insn);
  if (record == FLAG_RECORD_OPERANDS)
    lift_flag_record(l, insn);
  else if (record == FLAG_RECORD_VOID)
    lift_flag_record_void(l);
}

static void lift_insn(struct lifter *l, const struct insn *insn) {
  struct lift_region *region = l->region;
  lift_function *lift = lifter_family(insn);
  l->insn = insn;
  l->limit_checked = false;
  if (l->annotate)
    lifter_annotate(l, insn->eip);
  l->flags_live = region->source->unit.live[region->insn];
  if (l->commits)
    commit(l, insn);
  memcpy(l->gpr_before, l->gpr, sizeof l->gpr);
  memcpy(l->xmm_before, l->xmm, sizeof l->xmm);
  memcpy(region->flag_before, l->flag, sizeof l->flag);
  region->dirty_before = l->flags_dirty;
  if (!lift || is_left(insn) || region->source->unit.reads_return[region->insn]) {
    region_leave(l);
  } else if (region->source->thunk[region->insn]) {
    lift_thunk(l, insn, region->source->thunk[region->insn] - 1u);
  } else {
    lift(l, insn);
    forget_dead_flags(l, insn);
    if (l->commits && !l->ended && region->source->unit.record[region->insn] == FLAG_RECORD_VOID_AFTER)
      lift_flag_record_void(l);
    if (l->failure) {
      l->failure = NULL;
      region_leave(l);
      l->ended = true;
    }
  }
}

/* Blocks that nothing leads to lack their end. */
static void end_blocks(struct lifter *l) {
  LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(l->function);
  for (; block; block = LLVMGetNextBasicBlock(block))
    if (!LLVMGetBasicBlockTerminator(block)) {
      LLVMPositionBuilderAtEnd(l->builder, block);
      LLVMBuildUnreachable(l->builder);
    }
}

static void lift_block(struct lifter *l, unsigned b) {
  struct lift_region *region = l->region;
  const struct unit *unit = &region->source->unit;
  const struct block *block = &unit->block[b];
  region->block = b;
  l->ended = false;
  LLVMPositionBuilderAtEnd(l->builder, region->code[b]);
  if (region->is_handed[b])
    take_values(l, &region->handed[b]);
  else
    load_variables(l, region->live_in[b]);
  const unsigned polled = poll_position(unit, b);
  for (unsigned i = 0; i < block->count && !l->ended; i++) {
    region->insn = block->first + i;
    if (region->insn == polled)
      poll(l, unit->insn[polled].eip, unit_live_before(unit, polled));
    lift_insn(l, &unit->insn[region->insn]);
  }
  if (!l->ended)
    region_next(l);
}

LLVMValueRef lifter_region(struct lifter *l, const char *name, const struct lift_region_source *source) {
  const struct unit *unit = &source->unit;
  struct lift_region region = {.source = source};
  l->region = &region;
  l->commits = source->commits;
  lifter_start_function(l, name);
  lifter_set_string_attribute(l, "no-builtins", "");
  lifter_set_attribute(l, "null_pointer_is_valid"); /* guest address 0 may be mapped */
  lifter_set_attribute(l, "noredzone");
  l->zero = LLVMConstNull(l->i32);
  find_edges(&region);
  make_variables(l);
  for (unsigned b = 0; b < unit->block_count; b++) {
    char label[16];
    snprintf(label, sizeof label, "at_%08x", unit->insn[unit->block[b].first].eip);
    region.code[b] = control_block(l, label);
  }
  if (l->commits) {
    l->gpr_dirty = l->xmm_dirty = 0xFF; /* at its entry host registers have the state, as in stencils */
    control_store_registers(l);
  }
  const int entry = entry_block(unit);
  store_variables(l, region.live_in[entry]);
  LLVMBuildBr(l->builder, region.code[entry]);
  for (unsigned b = 0; b < unit->block_count; b++)
    lift_block(l, b);
  end_blocks(l);
  l->region = NULL;
  if (!region.leaves_at_entry)
    return l->function;
  lift_fail(l, "its first instruction is left to others");
  LLVMDeleteFunction(l->function);
  return NULL;
}
