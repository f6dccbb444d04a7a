/* Page faults as the guest's own instruction would have had them.
 *
 * A translation accesses memory where its instruction does, but not always in one piece: what reads and
 * writes its operand may be a load and a store. The CPU asks for a writable page at the first of them, and
 * its error code says "write"; garbage collectors and the like look at that bit. */
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"

enum { ERROR_PRESENT = 1, ERROR_WRITE = 2, ERROR_USER = 4, ERROR_FETCH = 16 };

uint32_t fault_error(guest_addr address, bool write) {
  /* A page with no permission at all is not present to the CPU, mapped or not. */
  const uint8_t accessible = GUEST_PAGE_READ | GUEST_PAGE_WRITE | GUEST_PAGE_EXEC;
  bool present = guest_memory_page(address) & accessible;
  return ERROR_USER | (write ? ERROR_WRITE : 0) | (present ? ERROR_PRESENT : 0);
}

static bool changes_memory(guest_addr eip) {
  uint8_t bytes[15];
  size_t size = sizeof bytes;
  struct insn insn;
  while (size && guest_copy_in(bytes, eip, size) < 0)
    size--;
  if (insn_decode(&insn, bytes, size, eip) != INSN_OK)
    return false;
  for (unsigned i = 0; i < 4; i++) {
    const struct operand *op = &insn.form.op[i];
    if (op->kind == OPERAND_MEMORY && op->read && op->written)
      return true;
  }
  return false;
}

void fault_complete(const struct cpu_state *cpu, struct trap *trap) {
  if (trap->vector == TRAP_PF && !(trap->error_code & (ERROR_WRITE | ERROR_FETCH)) && changes_memory(cpu->eip))
    trap->error_code |= ERROR_WRITE;
}
