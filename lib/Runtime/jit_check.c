/* The check of every stencil: when an instruction of it faults on guest memory, the guest's state
 * must be what it was before the stencil.
 *
 * So: no pinned register and no field of the register file may be written before the last access
 * to guest memory. The code is read once from start to end, which is right for straight-line
 * code; loops (rep prefixes in IR, compare-and-exchange) are read as if straight. The host's own
 * string instructions may fault between two exchanges of pinned registers: the fault handler
 * undoes those (Runtime/x86_64/signals.c). */
#include "Runtime/jit_internal.h"

#include <Zydis/Zydis.h>

/* rax rcx rdx rdi rsi r8 r9 r12, r15 (zero) and xmm0-7: docs/guest-abi.md. */
static bool is_pinned(ZydisRegister reg) {
  ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
  switch (whole) {
  case ZYDIS_REGISTER_RAX:
  case ZYDIS_REGISTER_RCX:
  case ZYDIS_REGISTER_RDX:
  case ZYDIS_REGISTER_RDI:
  case ZYDIS_REGISTER_RSI:
  case ZYDIS_REGISTER_R8:
  case ZYDIS_REGISTER_R9:
  case ZYDIS_REGISTER_R12:
  case ZYDIS_REGISTER_R15:
    return true;
  default:
    return whole >= ZYDIS_REGISTER_ZMM0 && whole <= ZYDIS_REGISTER_ZMM7;
  }
}

static bool is_string(const ZydisDecodedInstruction *zi) {
  return zi->meta.category == ZYDIS_CATEGORY_STRINGOP || zi->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
         zi->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ;
}

/* Fields that no guest sees: a helper's argument, and what is noted of an operand before it is accessed. */
static bool is_beside_state(ZyanI64 offset) {
  const ZyanI64 note = (ZyanI64)offsetof(struct cpu_state, fpu_operand);
  return offset == (ZyanI64)offsetof(struct cpu_state, helper_argument) || (offset >= note && offset < note + 8);
}

bool stencil_decode(const struct stencil_code *code, unsigned at, ZydisDecodedInstruction *zi,
                    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT]) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code->code + at, code->size - at, zi, op));
}

const char *stencil_check(const struct stencil_code *code) {
  bool changed = false, exchanged = false;
  for (unsigned at = 0; at < code->size;) {
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    if (!stencil_decode(code, at, &zi, op))
      return "host code does not decode";
    at += zi.length;
    if (zi.meta.category == ZYDIS_CATEGORY_CALL) { /* a new beginning: the callee's state is whole */
      changed = false;
      continue;
    }
    if (is_string(&zi)) {
      if (!exchanged)
        return "a string instruction without the exchange of pinned registers before it";
      continue;
    }
    bool exchange = zi.mnemonic == ZYDIS_MNEMONIC_XCHG && op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                    op[1].type == ZYDIS_OPERAND_TYPE_REGISTER && zi.operand_width == 64;
    if (exchange) {
      exchanged = true;
      continue;
    }
    bool writes_register = false, writes_state = false, accesses = false;
    for (unsigned i = 0; i < zi.operand_count; i++) {
      if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
          is_pinned(op[i].reg.value))
        writes_register = true;
      if (op[i].type != ZYDIS_OPERAND_TYPE_MEMORY || op[i].mem.type == ZYDIS_MEMOP_TYPE_AGEN ||
          zi.mnemonic == ZYDIS_MNEMONIC_NOP)
        continue;
      if (op[i].mem.segment == ZYDIS_REGISTER_GS) {
        writes_state |= (op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) && !is_beside_state(op[i].mem.disp.value);
      } else if (op[i].mem.base != ZYDIS_REGISTER_RSP && op[i].mem.base != ZYDIS_REGISTER_RIP) {
        accesses = true;
      }
    }
    /* The exchange of a loop has its comparand in eax. The load before it has faulted if the page
     * cannot be read; if it cannot be written, eax is not exact in the fault's frame. */
    bool retry = zi.mnemonic == ZYDIS_MNEMONIC_CMPXCHG || zi.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B;
    if (accesses && changed && !retry)
      return "guest memory is accessed after guest state changed";
    changed |= writes_register || writes_state;
  }
  return NULL;
}

bool stencil_changes_flags(const struct stencil_code *code) {
  const uint32_t six = ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_AF | ZYDIS_CPUFLAG_ZF |
                       ZYDIS_CPUFLAG_SF | ZYDIS_CPUFLAG_OF;
  for (unsigned r = 0; r < code->reloc_count; r++)
    if (code->reloc[r].symbol >= STENCIL_HELPER)
      return true;
  for (unsigned at = 0; at < code->size;) {
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    if (!stencil_decode(code, at, &zi, op))
      return true;
    at += zi.length;
    const ZydisAccessedFlags *flags = zi.cpu_flags;
    if (flags && (flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & six)
      return true;
  }
  return false;
}
