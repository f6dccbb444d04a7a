/* The helpers that translated code calls (helpers.h). */
#include "Runtime/helpers.h"
#include "Runtime/careful.h"
#include "Runtime/cpuid.h"
#include "Runtime/engine.h"
#include "Runtime/fpu.h"
#include "Runtime/guest_memory.h"

#include <Zydis/Mnemonic.h>
#include <string.h>

/* Gives the guest a trap; eip is where the hook finds it. The instruction does not go on. */
static void raise_trap(struct cpu_state *cpu, uint32_t vector, uint32_t error_code, guest_addr address) {
  struct trap trap = {.vector = vector, .error_code = error_code, .address = address};
  fault_complete(cpu, &trap);
  if (trap.vector == TRAP_PF)
    trap.host_code = guest_memory_page(address) & GUEST_PAGE_MAPPED ? SEGV_ACCERR : SEGV_MAPERR;
  runtime_redirect(cpu);
  engine_thread_of(cpu)->traps_after = false;
  flag_record_read(cpu);
  engine.hooks.trap(cpu, &trap);
}

/* C code could not access guest memory for the instruction at eip: the byte at `address`, or, if that can be
 * accessed, the page behind it. */
static void raise_page_fault(struct cpu_state *cpu, guest_addr address, bool write) {
  if (guest_memory_page(address) & (write ? GUEST_PAGE_WRITE : GUEST_PAGE_READ))
    address = (address | (GUEST_PAGE_SIZE - 1)) + 1;
  raise_trap(cpu, TRAP_PF, fault_error(address, write), address);
}

/* The CPU clears TF on its way into the kernel: what traps next is the instruction after this one. */
static void helper_syscall(struct cpu_state *cpu) {
  engine_thread_of(cpu)->traps_after = false;
  flag_record_read(cpu); /* a signal may show them */
  engine.hooks.syscall(cpu);
}
static void helper_trap_ud(struct cpu_state *cpu) { raise_trap(cpu, TRAP_UD, 0, 0); }
/* The error code of a software interrupt that user code may not use names its gate: index, bit 1 for the IDT
 * (SDM vol. 3, 6.13). */
static void helper_trap_gp(struct cpu_state *cpu) {
  enum { GATE = 8, IN_IDT = 2 };
  struct insn insn;
  bool is_int = careful_decode(cpu, &insn) == INSN_OK && insn.form.mnemonic == ZYDIS_MNEMONIC_INT;
  raise_trap(cpu, TRAP_GP, is_int ? (insn.form.constant & 0xFF) * GATE + IN_IDT : 0, 0);
}
static void helper_trap_ss(struct cpu_state *cpu) { raise_trap(cpu, TRAP_SS, 0, 0); }
static void helper_trap_de(struct cpu_state *cpu) { raise_trap(cpu, TRAP_DE, 0, 0); }
static void helper_trap_br(struct cpu_state *cpu) { raise_trap(cpu, TRAP_BR, 0, 0); }
static void helper_trap_db(struct cpu_state *cpu) { raise_trap(cpu, TRAP_DB, 0, 0); }
static void helper_trap_bp(struct cpu_state *cpu) { raise_trap(cpu, TRAP_BP, 0, 0); }
static void helper_trap_of(struct cpu_state *cpu) { raise_trap(cpu, TRAP_OF, 0, 0); }

static void helper_show_flags(struct cpu_state *cpu) { flag_record_read(cpu); }

static void helper_uncompiled(struct cpu_state *cpu) {
  struct insn insn;
  careful_decode(cpu, &insn);
  engine_log("0x%08x: '%s' is not implemented: #UD", cpu->eip, insn_name(&insn.form));
  raise_trap(cpu, TRAP_UD, 0, 0);
}

static void helper_cpuid(struct cpu_state *cpu) {
  struct cpuid_result r = guest_cpuid(cpu->gpr[GPR_EAX], cpu->gpr[GPR_ECX]);
  cpu->gpr[GPR_EAX] = r.eax;
  cpu->gpr[GPR_EBX] = r.ebx;
  cpu->gpr[GPR_ECX] = r.ecx;
  cpu->gpr[GPR_EDX] = r.edx;
}

/* --- EFLAGS -------------------------------------------------------------------------------------------- */

/* What popf changes outside the kernel (SDM, POPF: CPL 3, IOPL 0). */
enum {
  POPF_MASK = EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_TF | EFLAGS_DF | EFLAGS_OF |
              EFLAGS_NT | EFLAGS_AC | EFLAGS_ID
};

/* Is the access aligned, or need it not be? Else #AC is raised. */
static bool alignment_is_good(struct cpu_state *cpu, guest_addr address, unsigned size) {
  if (!(cpu->eflags_rest & EFLAGS_AC) || address % size == 0)
    return true;
  raise_trap(cpu, TRAP_AC, 0, 0);
  return false;
}

/* The linear address of `bytes` bytes on the stack. False: a fault was raised. */
static bool stack_linear(struct cpu_state *cpu, uint32_t esp, unsigned bytes, bool write, guest_addr *address) {
  *address = careful_stack_is_short(cpu) ? esp & 0xFFFF : esp;
  const uint32_t vector = careful_address(cpu, SEG_SS, address, bytes, write);
  if (vector)
    raise_trap(cpu, vector, 0, 0);
  return !vector && alignment_is_good(cpu, *address, bytes);
}

static bool push_word(struct cpu_state *cpu, uint32_t esp, uint32_t word, unsigned size) {
  guest_addr address;
  if (!stack_linear(cpu, esp, size, true, &address))
    return false;
  if (guest_copy_out(address, &word, size) == 0)
    return true;
  raise_page_fault(cpu, address, true);
  return false;
}

static void set_stack(struct cpu_state *cpu, uint32_t esp) {
  const uint32_t kept = careful_stack_is_short(cpu) ? 0xFFFF0000 : 0;
  cpu->gpr[GPR_ESP] = (cpu->gpr[GPR_ESP] & kept) | (esp & ~kept);
}

static bool pop_word(struct cpu_state *cpu, uint32_t esp, unsigned size, uint32_t *word) {
  guest_addr from;
  *word = 0;
  if (!stack_linear(cpu, esp, size, false, &from))
    return false;
  if (guest_copy_in(word, from, size) == 0)
    return true;
  raise_page_fault(cpu, from, false);
  return false;
}

/* The last one first, as CPUs do. */
static bool pop_words(struct cpu_state *cpu, unsigned size, uint32_t words[], unsigned count) {
  for (unsigned i = count; i-- > 0;)
    if (!pop_word(cpu, cpu->gpr[GPR_ESP] + size * i, size, &words[i]))
      return false;
  return true;
}

static void push_flags(struct cpu_state *cpu, unsigned size) {
  uint32_t flags = cpu_eflags(cpu) & ~(uint32_t)(EFLAGS_RF | EFLAGS_VM), esp = cpu->gpr[GPR_ESP] - size;
  if (push_word(cpu, esp, flags, size))
    set_stack(cpu, esp);
}

/* What a pop of `size` bytes changes. */
static void take_flags(struct cpu_state *cpu, uint32_t flags, unsigned size) {
  const uint32_t mask = size == 4 ? POPF_MASK : POPF_MASK & 0xFFFF;
  cpu_change_eflags(cpu, mask, flags);
}

static void pop_flags(struct cpu_state *cpu, unsigned size) {
  uint32_t flags;
  if (!pop_words(cpu, size, &flags, 1))
    return;
  take_flags(cpu, flags, size);
  set_stack(cpu, cpu->gpr[GPR_ESP] + size);
}

static void helper_pushf(struct cpu_state *cpu) { push_flags(cpu, 4); }
static void helper_popf(struct cpu_state *cpu) { pop_flags(cpu, 4); }
static void helper_pushf16(struct cpu_state *cpu) { push_flags(cpu, 2); }
static void helper_popf16(struct cpu_state *cpu) { pop_flags(cpu, 2); }

/* --- Segments -------------------------------------------------------------------------------------------- */

/* Loads it, or raises what is wrong with the selector. */
static bool take_selector(struct cpu_state *cpu, enum segment segment, uint16_t selector) {
  const uint32_t vector = engine.hooks.load_segment(cpu, segment, selector);
  if (vector)
    raise_trap(cpu, vector, selector & ~3u, 0);
  return vector == 0;
}

static void load_segment(struct cpu_state *cpu, enum segment segment) {
  take_selector(cpu, segment, (uint16_t)cpu->helper_argument);
}

static void helper_load_es(struct cpu_state *cpu) { load_segment(cpu, SEG_ES); }
/* The trap that TF asks for is held off up to the next instruction (SDM vol. 3, 6.8.3). */
static void helper_load_ss(struct cpu_state *cpu) {
  load_segment(cpu, SEG_SS);
  engine_thread_of(cpu)->traps_after = false;
}
static void helper_load_ss_far(struct cpu_state *cpu) { load_segment(cpu, SEG_SS); } /* lss: not so */
static void helper_load_ds(struct cpu_state *cpu) { load_segment(cpu, SEG_DS); }
static void helper_load_fs(struct cpu_state *cpu) { load_segment(cpu, SEG_FS); }
static void helper_load_gs(struct cpu_state *cpu) { load_segment(cpu, SEG_GS); }

/* Sets ZF, and the register only with it. */
static void helper_ask_segment(struct cpu_state *cpu) {
  struct insn insn;
  careful_decode(cpu, &insn);
  const enum segment_question question = insn.form.mnemonic == ZYDIS_MNEMONIC_LAR    ? SEGMENT_RIGHTS
                                         : insn.form.mnemonic == ZYDIS_MNEMONIC_LSL  ? SEGMENT_LIMIT
                                         : insn.form.mnemonic == ZYDIS_MNEMONIC_VERR ? SEGMENT_IS_READABLE
                                                                                     : SEGMENT_IS_WRITABLE;
  const bool has_result = question == SEGMENT_RIGHTS || question == SEGMENT_LIMIT;
  uint32_t answer = 0;
  cpu->zf = engine.hooks.ask_segment(cpu, (uint16_t)cpu->helper_argument, question, &answer);
  if (cpu->zf && has_result)
    memcpy(&cpu->gpr[insn.form.op[0].reg], &answer, insn.form.op[0].size);
}

/* All eight but esp, edi first. What was popped before a fault stays, as on AMD's CPUs. */
static void pop_all(struct cpu_state *cpu, unsigned size) {
  const uint32_t kept = size == 4 ? 0 : 0xFFFF0000, esp = cpu->gpr[GPR_ESP];
  for (unsigned i = GPR_COUNT; i-- > 0;) {
    uint32_t word;
    if (!pop_word(cpu, esp + size * (GPR_COUNT - 1 - i), size, &word))
      return;
    if (i != GPR_ESP)
      cpu->gpr[i] = (cpu->gpr[i] & kept) | word;
  }
  set_stack(cpu, esp + size * GPR_COUNT);
}

static void helper_popa(struct cpu_state *cpu) { pop_all(cpu, 4); }
static void helper_popa16(struct cpu_state *cpu) { pop_all(cpu, 2); }

/* --- Far transfers, and near ones with a 16-bit operand ------------------------------------------------------- */

/* The code segment, for when a transfer fails after it was loaded. */
struct code_segment {
  struct segment_bounds bounds;
  uint32_t base, special;
  uint16_t selector;
};

static struct code_segment code_segment_of(const struct cpu_state *cpu) {
  return (struct code_segment){cpu->segment_bounds[SEG_CS], cpu->segment_base[SEG_CS], cpu->segments_special,
                               cpu->segment_selector[SEG_CS]};
}

static void code_segment_restore(struct cpu_state *cpu, const struct code_segment *from) {
  cpu->segment_bounds[SEG_CS] = from->bounds;
  cpu->segment_base[SEG_CS] = from->base;
  cpu->segments_special = from->special;
  cpu->segment_selector[SEG_CS] = from->selector;
}

static bool offset_is_good(const struct cpu_state *cpu, uint32_t offset) {
  return !cpu->segments_special || offset <= cpu->segment_bounds[SEG_CS].high;
}

static void go(struct cpu_state *cpu, uint32_t offset) {
  cpu->eip = offset;
  runtime_redirect(cpu);
}

/* Loads CS for going on at `offset`. False: a fault was raised, and CS is as it was. */
static bool enter_code(struct cpu_state *cpu, uint16_t selector, uint32_t offset) {
  const struct code_segment before = code_segment_of(cpu);
  const uint32_t vector = engine.hooks.load_segment(cpu, SEG_CS, selector);
  if (vector == 0 && offset_is_good(cpu, offset))
    return true;
  code_segment_restore(cpu, &before);
  raise_trap(cpu, vector ? vector : TRAP_GP, vector ? selector & ~3u : 0, 0);
  return false;
}

static void far_return(struct cpu_state *cpu, const struct insn *insn) {
  unsigned size = insn->form.operand_width;
  bool interrupt = insn->form.mnemonic != ZYDIS_MNEMONIC_RET;
  uint32_t words[3];
  unsigned count = interrupt ? 3 : 2;
  if (!pop_words(cpu, size, words, count))
    return;
  /* A selector of another privilege level is refused, but AMD's CPUs read the other stack's pointer before. */
  const uint32_t outer = cpu->gpr[GPR_ESP] + size * count + (interrupt ? 0 : insn->imm[0]);
  uint32_t unused;
  if ((words[1] & 3) != 3 && (!pop_word(cpu, outer + size, size, &unused) || !pop_word(cpu, outer, size, &unused)))
    return;
  if (!enter_code(cpu, (uint16_t)words[1], words[0]))
    return;
  set_stack(cpu, cpu->gpr[GPR_ESP] + size * count + (interrupt ? 0 : insn->imm[0]));
  if (interrupt)
    take_flags(cpu, words[2], size);
  go(cpu, words[0]);
}

/* Reads `size` bytes of the memory operand, from `skip` on. False: a fault was raised. */
static bool read_operand(struct cpu_state *cpu, const struct insn *insn, unsigned skip, void *to, unsigned size) {
  const unsigned segment = insn->form.op[0].segment;
  guest_addr from = careful_offset(cpu, insn, 0) + skip;
  const uint32_t vector = careful_address(cpu, segment ? (enum segment)(segment - 1) : SEG_DS, &from, size, false);
  if (vector) {
    raise_trap(cpu, vector, 0, 0);
    return false;
  }
  if (!alignment_is_good(cpu, from, size))
    return false;
  if (guest_copy_in(to, from, size) == 0)
    return true;
  raise_page_fault(cpu, from, false);
  return false;
}

static void far_jump(struct cpu_state *cpu, const struct insn *insn) {
  uint32_t offset = insn->imm[0];
  uint16_t selector = (uint16_t)insn->imm[1];
  const unsigned size = insn->form.operand_width;
  if (insn->form.op[0].kind == OPERAND_MEMORY) {
    offset = 0;
    if (!read_operand(cpu, insn, 0, &offset, size) || !read_operand(cpu, insn, size, &selector, 2))
      return;
  }
  /* The selector's privilege level becomes the current one. */
  enum { RPL_USER = 3 };
  const struct code_segment before = code_segment_of(cpu);
  selector = selector > RPL_USER ? selector | RPL_USER : 0;
  if (!enter_code(cpu, selector, offset))
    return;
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_CALL) {
    /* A push that faults does so in the old segment. */
    const uint32_t esp = cpu->gpr[GPR_ESP];
    code_segment_restore(cpu, &before);
    if (!push_word(cpu, esp - size, before.selector, size) || !push_word(cpu, esp - 2 * size, insn_next(insn), size) ||
        !enter_code(cpu, selector, offset))
      return;
    set_stack(cpu, esp - 2 * size);
  }
  go(cpu, offset);
}

/* A call or return with a 16-bit operand, outside 16-bit code. */
static void near_short(struct cpu_state *cpu, const struct insn *insn) {
  enum { WORD = 2 };
  uint32_t target = 0;
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_RET) {
    if (!pop_words(cpu, WORD, &target, 1))
      return;
  } else if (insn->form.op[0].kind == OPERAND_RELATIVE) {
    target = insn->target;
  } else if (insn->form.op[0].kind == OPERAND_GPR) {
    target = (uint16_t)cpu->gpr[insn->form.op[0].reg];
  } else if (!read_operand(cpu, insn, 0, &target, WORD)) {
    return;
  }
  if (!offset_is_good(cpu, target)) {
    raise_trap(cpu, TRAP_GP, 0, 0);
    return;
  }
  uint32_t esp = cpu->gpr[GPR_ESP] + WORD + insn->imm[0];
  if (insn->form.mnemonic != ZYDIS_MNEMONIC_RET) {
    esp = cpu->gpr[GPR_ESP] - WORD;
    if (!push_word(cpu, esp, insn_next(insn), WORD))
      return;
  }
  set_stack(cpu, esp);
  go(cpu, target);
}

static void helper_far(struct cpu_state *cpu) {
  struct insn insn;
  flag_record_read(cpu);
  if (careful_decode(cpu, &insn) != INSN_OK)
    raise_trap(cpu, TRAP_UD, 0, 0);
  else if (insn.flow != FLOW_TRAP)
    near_short(cpu, &insn);
  else if (insn.form.mnemonic == ZYDIS_MNEMONIC_JMP || insn.form.mnemonic == ZYDIS_MNEMONIC_CALL)
    far_jump(cpu, &insn);
  else
    far_return(cpu, &insn);
}

/* --- The FPU (fpu.c) --------------------------------------------------------------------------------------- */

/* As AMD's CPUs look at it: a word that goes beyond the segment's end, alignment, the last byte, the first. */
static bool image_is_accessible(struct cpu_state *cpu, bool write) {
  const guest_addr first = cpu->helper_argument, last = first + FXSAVE_SIZE - 1;
  if (first & 15) {
    raise_trap(cpu, first > UINT32_MAX - 3 ? fault_beyond_limit(cpu, first) : TRAP_GP, 0, 0);
    return false;
  }
  const uint8_t permission = write ? GUEST_PAGE_WRITE : GUEST_PAGE_READ;
  if (guest_memory_page(last) & permission && guest_memory_page(first) & permission)
    return true;
  const guest_addr address = guest_memory_page(last) & permission ? first : last;
  raise_trap(cpu, TRAP_PF, fault_error(address, write), address);
  return false;
}

static void helper_fxsave(struct cpu_state *cpu) {
  uint8_t image[FXSAVE_SIZE];
  runtime_fpu_save(cpu, image);
  /* All 512 bytes must be writable, though not all are written. */
  if (image_is_accessible(cpu, true) && guest_copy_out(cpu->helper_argument, image, FXSAVE_WRITTEN) < 0)
    raise_page_fault(cpu, cpu->helper_argument, true);
}

static void helper_fxrstor(struct cpu_state *cpu) {
  uint8_t image[FXSAVE_SIZE] = {0};
  if (!image_is_accessible(cpu, false))
    return;
  if (guest_copy_in(image, cpu->helper_argument, FXSAVE_SIZE) < 0) {
    raise_page_fault(cpu, cpu->helper_argument, false);
    return;
  }
  if (!fpu_image_is_valid(image))
    raise_trap(cpu, TRAP_GP, 0, 0);
  else
    runtime_fpu_load(cpu, image);
}

/* What xsave and its kin ended in (fpu.h). */
static void finish_xsave(struct cpu_state *cpu, int vector, guest_addr address, bool write) {
  if (vector == TRAP_PF)
    raise_page_fault(cpu, address, write);
  else if (vector >= 0)
    raise_trap(cpu, (uint32_t)vector, 0, 0);
}

static uint64_t edx_eax(const struct cpu_state *cpu) {
  return (uint64_t)cpu->gpr[GPR_EDX] << 32 | cpu->gpr[GPR_EAX];
}

static void save_state(struct cpu_state *cpu, enum xsave_kind kind) {
  guest_addr address = 0;
  int vector = TRAP_UD;
  if (guest_xcr0())
    vector = fpu_xsave(cpu, cpu->helper_argument, edx_eax(cpu), kind, &address);
  finish_xsave(cpu, vector, address, true);
}

static void helper_xsave(struct cpu_state *cpu) { save_state(cpu, XSAVE_PLAIN); }
static void helper_xsaveopt(struct cpu_state *cpu) { save_state(cpu, XSAVE_OPTIMISED); }
static void helper_xsavec(struct cpu_state *cpu) { save_state(cpu, XSAVE_COMPACT); }

static void helper_xrstor(struct cpu_state *cpu) {
  guest_addr address = 0;
  int vector = guest_xcr0() ? fpu_xrstor(cpu, cpu->helper_argument, edx_eax(cpu), &address) : TRAP_UD;
  finish_xsave(cpu, vector, address, false);
}

static void helper_xgetbv(struct cpu_state *cpu) {
  enum { XCR0 = 0, IN_USE = 1 };
  uint64_t value = guest_xcr0();
  if (!value || cpu->gpr[GPR_ECX] > IN_USE) {
    raise_trap(cpu, value ? TRAP_GP : TRAP_UD, 0, 0);
    return;
  }
  if (cpu->gpr[GPR_ECX] == IN_USE)
    value &= fpu_components_in_use(cpu);
  cpu->gpr[GPR_EAX] = (uint32_t)value;
  cpu->gpr[GPR_EDX] = (uint32_t)(value >> 32);
}

static void helper_fpu_pointers(struct cpu_state *cpu) { fpu_correct_environment(cpu, cpu->helper_argument); }
static void helper_fpu_loaded(struct cpu_state *cpu) { fpu_note_environment(cpu, cpu->helper_argument, false); }
static void helper_fpu_loaded16(struct cpu_state *cpu) { fpu_note_environment(cpu, cpu->helper_argument, true); }

helper_function *const helper_functions[HELPER_COUNT] = {
#define HELPER_ROW(name) [HELPER_##name] = helper_##name,
    UEMU_HELPERS(HELPER_ROW)
#undef HELPER_ROW
};
