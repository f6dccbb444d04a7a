/* Page faults as the guest's own instruction would have had them.
 *
 * A translation accesses memory where its instruction does, but not always in one piece: what reads and
 * writes its operand may be a load and a store. The CPU asks for a writable page at the first of them, and
 * its error code says "write"; garbage collectors and the like look at that bit. And the host's segments do not
 * end where the guest's do. */
#include "Runtime/careful.h"
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"

#include <Zydis/Mnemonic.h>
#include <string.h>

enum { ERROR_PRESENT = 1, ERROR_WRITE = 2, ERROR_USER = 4, ERROR_FETCH = 16 };

uint32_t fault_error(guest_addr address, bool write) {
  /* A page with no permission at all is not present to the CPU, mapped or not. */
  const uint8_t accessible = GUEST_PAGE_READ | GUEST_PAGE_WRITE | GUEST_PAGE_EXEC;
  bool present = guest_memory_page(address) & accessible;
  return ERROR_USER | (write ? ERROR_WRITE : 0) | (present ? ERROR_PRESENT : 0);
}

/* The operand in memory that the instruction reads and writes; -1. arpl writes only what it changes, and asks
 * for no more than it does. */
static int changed_operand(const struct insn *insn) {
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_ARPL)
    return -1;
  for (int i = 0; i < 4; i++) {
    const struct operand *op = &insn->form.op[i];
    if (op->kind == OPERAND_MEMORY && op->read && op->written)
      return i;
  }
  return -1;
}

/* How far from its operand a bit string's word lies: a register's number of bits reaches beyond it. */
static uint32_t bit_string_distance(const struct cpu_state *cpu, const struct insn *insn) {
  const bool is_bit_string = insn->form.mnemonic == ZYDIS_MNEMONIC_BTC || insn->form.mnemonic == ZYDIS_MNEMONIC_BTR ||
                             insn->form.mnemonic == ZYDIS_MNEMONIC_BTS;
  if (!is_bit_string || insn->form.op[1].kind != OPERAND_GPR)
    return 0;
  const int32_t number = (int32_t)cpu->gpr[insn->form.op[1].reg];
  return insn->form.op[0].size == 2 ? (uint32_t)((int16_t)number >> 4) << 1 : (uint32_t)(number >> 5) << 2;
}

static guest_addr operand_linear(const struct cpu_state *cpu, const struct insn *insn, unsigned i) {
  const struct operand *op = &insn->form.op[i];
  guest_addr offset = careful_offset(cpu, insn, i) + bit_string_distance(cpu, insn);
  if (insn->form.attributes & INSN_ADDRESS16)
    offset &= 0xFFFF;
  return op->segment && op->segment != SEGMENT_BEYOND ? offset + cpu->segment_base[op->segment - 1] : offset;
}

/* An operand that lies in two pages, of which the first can be read and not written: the CPU, which asks for
 * both at once, finds fault with that one, and a translation that loads first with the second. */
static void complete_change(const struct cpu_state *cpu, const struct insn *insn, unsigned operand,
                            struct trap *trap) {
  const struct operand *op = &insn->form.op[operand];
  const bool second = !(trap->error_code & ERROR_WRITE) && trap->address % GUEST_PAGE_SIZE == 0;
  trap->error_code |= ERROR_WRITE;
  if (!second)
    return;
  guest_addr first = operand_linear(cpu, insn, operand);
  if (trap->address - first >= op->size || first == trap->address ||
      guest_memory_page(first) & GUEST_PAGE_WRITE)
    return;
  trap->address = first;
  trap->error_code = fault_error(first, true);
  trap->host_code = SEGV_ACCERR;
}

/* The segment override of an instruction; 0 if it has none. The last one counts. */
static uint8_t segment_prefix(const uint8_t *bytes, const struct insn *insn) {
  static const char segments[] = "\x26\x2e\x36\x3e\x64\x65", others[] = "\x66\x67\xf0\xf2\xf3";
  uint8_t segment = 0;
  for (unsigned i = 0; i < insn->length; i++)
    if (memchr(segments, bytes[i], sizeof segments - 1))
      segment = bytes[i];
    else if (!memchr(others, bytes[i], sizeof others - 1))
      break;
  return segment;
}

/* Is it the string operand whose segment can be another? */
static bool is_string_source(const struct cpu_state *cpu, const struct insn *insn, guest_addr address) {
  const uint32_t mask = insn->form.attributes & INSN_ADDRESS16 ? 0xFFFF : UINT32_MAX;
  return address == (cpu->gpr[GPR_ESI] & mask);
}

/* The access that faulted: its size, and whether it was one of the stack segment. For an explicit operand its
 * prefix or its base decides; else push and pop and their kin are meant. */
static uint32_t access_size(const struct cpu_state *cpu, const struct insn *insn, const uint8_t *bytes,
                            guest_addr address, bool *stack) {
  enum { SS = 0x36 };
  const uint32_t esp = cpu->gpr[GPR_ESP], width = insn->form.operand_width;
  const uint8_t prefix = segment_prefix(bytes, insn);
  for (unsigned i = 0; i < 4; i++) {
    const struct operand *op = &insn->form.op[i];
    const bool popped = address == esp && insn->form.mnemonic == ZYDIS_MNEMONIC_POP;
    const bool pushed = address == esp - width && op->read && !op->written &&
                        (insn->form.mnemonic == ZYDIS_MNEMONIC_PUSH || insn->flow == FLOW_CALL_INDIRECT);
    /* What is read there, too, is read before. */
    if (op->kind != OPERAND_MEMORY || popped || (pushed && operand_linear(cpu, insn, i) != address))
      continue;
    *stack = prefix ? prefix == SS : op->reg == GPR_ESP || op->reg == GPR_EBP;
    return insn_access_unit(&insn->form, i);
  }
  const bool xlat = insn->form.mnemonic == ZYDIS_MNEMONIC_XLAT;
  const bool string = insn->form.attributes & INSN_STRING;
  const bool source = xlat || (string && is_string_source(cpu, insn, address));
  *stack = source ? prefix == SS : !string;
  return xlat ? 1 : width;
}

/* An access beyond the last byte that an address can name is a violation of the segment's limit, which the
 * CPU finds before it looks for pages (SDM vol. 3, 5.3). */
static void limit_access(const struct cpu_state *cpu, const struct insn *insn, const uint8_t *bytes,
                         struct trap *trap) {
  bool stack;
  uint32_t size = access_size(cpu, insn, bytes, trap->address, &stack);
  if (size && trap->address > (guest_addr)-size)
    *trap = (struct trap){.vector = stack ? TRAP_SS : TRAP_GP};
}

enum { LONGEST = 15 };

static bool decode_at_eip(const struct cpu_state *cpu, uint8_t bytes[LONGEST], struct insn *insn) {
  size_t size = LONGEST;
  while (size && guest_copy_in(bytes, cpu->eip, size) < 0)
    size--;
  return insn_decode(insn, bytes, size, cpu->eip) == INSN_OK;
}

uint32_t fault_beyond_limit(const struct cpu_state *cpu, guest_addr address) {
  uint8_t bytes[LONGEST];
  struct insn insn;
  bool stack = false;
  if (decode_at_eip(cpu, bytes, &insn))
    access_size(cpu, &insn, bytes, address, &stack);
  return stack ? TRAP_SS : TRAP_GP;
}

/* Does it look for a pending x87 exception before all else? Instructions of the x87 and MMX do (SDM vol.
 * 1, 8.3.12), but those of the name fn…. */
static bool waits(const struct insn_form *form) {
  switch (form->mnemonic) {
  case ZYDIS_MNEMONIC_FNSAVE:
  case ZYDIS_MNEMONIC_FNSTCW:
  case ZYDIS_MNEMONIC_FNSTENV:
  case ZYDIS_MNEMONIC_FNSTSW:
  case ZYDIS_MNEMONIC_FXSAVE:
  case ZYDIS_MNEMONIC_FXRSTOR:
    return false;
  default:
    break;
  }
  for (unsigned i = 0; i < 4; i++)
    if (form->op[i].kind == OPERAND_MMX)
      return true;
  return insn_is_of_the_fpu(form);
}

/* Translations find that an operand is not in its segment, and some that its page is missing, before the
 * host's x87 finds an exception pending. */
static void put_pending_first(const struct cpu_state *cpu, struct trap *trap) {
  enum { SUMMARY = 1 << 7 };
  uint8_t bytes[LONGEST];
  struct insn insn;
  uint16_t status;
  __asm__ volatile("fnstsw %0" : "=am"(status));
  if (status & SUMMARY && decode_at_eip(cpu, bytes, &insn) && waits(&insn.form))
    *trap = (struct trap){.vector = TRAP_MF};
}

void fault_complete(const struct cpu_state *cpu, struct trap *trap) {
  uint8_t bytes[LONGEST];
  struct insn insn;
  if (trap->vector == TRAP_GP || trap->vector == TRAP_SS ||
      (trap->vector == TRAP_PF && !(trap->error_code & ERROR_FETCH)))
    put_pending_first(cpu, trap);
  if (trap->vector != TRAP_PF || trap->error_code & ERROR_FETCH || !decode_at_eip(cpu, bytes, &insn))
    return;
  int changed = changed_operand(&insn);
  if (changed >= 0)
    complete_change(cpu, &insn, (unsigned)changed, trap);
  limit_access(cpu, &insn, bytes, trap);
}
