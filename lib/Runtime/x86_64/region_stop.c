/* Stopping a thread in a region.
 *
 * In a region there is no place between two guest instructions where a handler of host signals could find the
 * guest's state, and its loops do not look whether anybody asks for the thread. So the handler writes a
 * breakpoint (int3, one byte) to each place where the thread may come out: to the polls of its loops, its
 * returns, and the first byte of its exits, jumps to stubs and probes. Nothing is spent on them before. The
 * thread runs on; at the breakpoint the handler takes all of them away, has it leave a loop by the poll's way
 * out, which ends in C, and does what the other instructions would have done: jumps, or jumps to another
 * probe, that among the stubs. At a return the guest's registers are where they are between units, so the
 * thread stops there: in the region that it would return to it would have to be stopped again, and out of a
 * million calls a million times.
 *
 * Outside the region the thread is stepped on to the next guest instruction as in all code (signals.c).
 *
 * Another thread may be in the region, too. It comes upon breakpoints that are not its own, passes them in
 * the same way, and out of a loop that way brings it to C and in again. Breakpoints go when the last thread
 * that wanted them has stopped.
 *
 * A byte is written at once, and a breakpoint is the one instruction that may be written over the first byte
 * of any other while that runs elsewhere (SDM vol. 3, 9.1.3, and what Linux does with its own code). Code
 * that is another process's, too, since a fork, is not written to: who wrote it might be killed before it is
 * restored. There threads are stepped through regions. */
#include "Runtime/engine.h"

enum { INT3 = 0xCC, RET = 0xC3, JUMP = 0xE9, JUMP_SIZE = 5 };

static uint32_t host_offset(const struct code_unit *unit) { return (uint32_t)(unit->code - code_cache.code); }

static void write_byte(const struct code_unit *unit, const struct region_stop *stop, uint8_t byte) {
  uint8_t *at = (uint8_t *)code_cache_field(host_offset(unit) + stop->at);
  __atomic_store_n(at, byte, __ATOMIC_RELEASE);
}

/* --- Who wants them --------------------------------------------------------------------- */

/* Held by handlers only, in which all signals are blocked. */
static uint32_t changing;

static void want(const struct code_unit *unit, uint32_t change) {
  struct region_stops *stops = unit->stops;
  while (__atomic_exchange_n(&changing, 1, __ATOMIC_ACQUIRE))
    __builtin_ia32_pause();
  const bool were_wanted = stops->wanted;
  stops->wanted += change;
  for (uint32_t i = 0; were_wanted != (stops->wanted != 0) && i < stops->count; i++)
    write_byte(unit, &stops->stop[i], stops->wanted ? INT3 : stops->stop[i].byte);
  __atomic_store_n(&changing, 0, __ATOMIC_RELEASE);
}

void region_stop_forget(struct engine_thread *thread) {
  if (thread->stopping)
    want(thread->stopping, UINT32_MAX);
  thread->stopping = NULL;
}

bool region_stop_want(struct engine_thread *thread, const struct code_unit *unit, uintptr_t pc) {
  /* Behind its body are ways out, of which the first byte is the stop. */
  if (pc - (uintptr_t)unit->code >= unit->body_size || code_cache_is_shared(host_offset(unit)))
    return false;
  if (thread->stopping != unit) {
    region_stop_forget(thread);
    want(unit, 1);
    thread->stopping = unit;
  }
  return true;
}

/* --- At one of them --------------------------------------------------------------------- */

static const struct region_stop *stop_at(const struct code_unit *unit, uintptr_t pc) {
  const struct region_stops *stops = unit->stops;
  const uintptr_t offset = pc - (uintptr_t)unit->code;
  uint32_t low = 0, high = stops->count;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (stops->stop[middle].at < offset)
      low = middle + 1;
    else
      high = middle;
  }
  return low < stops->count && stops->stop[low].at == offset ? &stops->stop[low] : NULL;
}

bool region_stop_leave(const struct code_unit *unit, uintptr_t pc, mcontext_t *context) {
  const struct region_stop *stop = stop_at(unit, pc);
  if (!stop || !stop->out)
    return false;
  context->gregs[REG_RIP] = (greg_t)((uintptr_t)unit->code + stop->out);
  return true;
}

bool region_stop_returns(const struct code_unit *unit, uintptr_t pc) {
  const struct region_stop *stop = unit->region ? stop_at(unit, pc) : NULL;
  return stop && stop->byte == RET;
}

static uintptr_t jump_target(uintptr_t pc) {
  const int32_t *displacement = (const int32_t *)(pc + 1);
  return pc + JUMP_SIZE + (uintptr_t)(intptr_t)__atomic_load_n(displacement, __ATOMIC_ACQUIRE);
}

enum region_way region_stop_pass(struct engine_thread *thread, mcontext_t *context) {
  greg_t *r = context->gregs;
  const uintptr_t pc = (uintptr_t)r[REG_RIP] - 1;
  const struct code_unit *unit = unit_of_pc(pc);
  const struct region_stop *stop = unit && unit->stops ? stop_at(unit, pc) : NULL;
  if (!stop)
    return REGION_NO_STOP;
  region_stop_forget(thread);
  if (region_stop_leave(unit, pc, context))
    return REGION_LEFT;
  switch (stop->byte) {
  case RET:
    /* Here is the last place where the state is known: the caller may be in a region, and return as well. */
    if (__atomic_load_n(&thread->cpu->interrupt, __ATOMIC_ACQUIRE)) {
      r[REG_RIP] = (greg_t)pc;
      break;
    }
    r[REG_RIP] = *(const greg_t *)r[REG_RSP];
    r[REG_RSP] += (greg_t)sizeof(greg_t);
    break;
  case JUMP:
    r[REG_RIP] = (greg_t)jump_target(pc);
    break;
  default:
    r[REG_RIP] = (greg_t)stub_address(STENCIL_DISPATCH);
  }
  return REGION_PASSED;
}
