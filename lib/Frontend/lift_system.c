/* System instructions, as a process of ring 3 sees them: traps and system calls, EFLAGS, time and
 * identification, frames, segments, and what it may not do. */
#include "Frontend/lift_passthrough.h"
#include "Frontend/lift_support.h"
#include "Runtime/helpers.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

/* --- What traps --------------------------------------------------------------------------------- */

/* Privileged (ring 0, or IOPL below 3): #GP(0). */
void lift_privileged(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_trap_gp, insn_eip_value(l, insn));
}

/* #UD: ud0-ud2, and what a 32-bit kernel leaves disabled for its processes. */
static void lift_undefined(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_trap_ud, insn_eip_value(l, insn));
}

/* What the host itself refuses to user code: with #GP if it has the instruction, with #UD if not. The
 * operands do not matter. */
static void lift_refused(struct lifter *l, const struct insn *insn) {
  static const struct {
    uint16_t mnemonic;
    const char *code;
  } refused[] = {
      {ZYDIS_MNEMONIC_CLGI, ".byte 0x0f, 0x01, 0xdd"},
      {ZYDIS_MNEMONIC_INVLPGA, ".byte 0x0f, 0x01, 0xdf"},
      {ZYDIS_MNEMONIC_SKINIT, ".byte 0x0f, 0x01, 0xde"},
      {ZYDIS_MNEMONIC_STGI, ".byte 0x0f, 0x01, 0xdc"},
      {ZYDIS_MNEMONIC_VMLOAD, ".byte 0x0f, 0x01, 0xda"},
      {ZYDIS_MNEMONIC_VMRUN, ".byte 0x0f, 0x01, 0xd8"},
      {ZYDIS_MNEMONIC_VMSAVE, ".byte 0x0f, 0x01, 0xdb"},
      {ZYDIS_MNEMONIC_PVALIDATE, ".byte 0xf2, 0x0f, 0x01, 0xff"},
      {ZYDIS_MNEMONIC_XRSTORS, ".byte 0x0f, 0xc7, 0x18"},
      {ZYDIS_MNEMONIC_XSAVES, ".byte 0x0f, 0xc7, 0x28"},
      {ZYDIS_MNEMONIC_INVPCID, ".byte 0x66, 0x0f, 0x38, 0x82, 0x00"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    if (refused[i].mnemonic == insn->form.mnemonic)
      passthrough_text(l, refused[i].code);
}

/* clzero: the cache line of 64 bytes that eax points into. */
static void lift_clzero(struct lifter *l, const struct insn *insn) {
  (void)insn;
  struct host_asm code = {.text = "addr32 clzero", .inputs = "{eax},~{memory}", .effects = true};
  host_asm(l, &code, &l->gpr[GPR_EAX], 1);
}

static void lift_int(struct lifter *l, const struct insn *insn) {
  switch (operand_constant(insn, 0)) {
  case 0x80:
    control_helper(l, HELPER_syscall, insn_next_value(l, insn));
    break;
  case 3:
    control_trap(l, HELPER_trap_bp, insn_next_value(l, insn));
    break;
  case 4:
    control_trap(l, HELPER_trap_of, insn_next_value(l, insn));
    break;
  default:
    control_trap(l, HELPER_trap_gp, insn_eip_value(l, insn));
  }
}

static void lift_int3(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_trap_bp, insn_next_value(l, insn));
}

static void lift_int1(struct lifter *l, const struct insn *insn) {
  control_trap(l, HELPER_trap_db, insn_next_value(l, insn));
}

static void lift_into(struct lifter *l, const struct insn *insn) {
  control_trap_if(l, flag_read(l, FLAG_O), HELPER_trap_of, insn_next_value(l, insn));
}

/* The address of the last bytes of operand 1, of which the first have been accessed at `address`. In FS and
 * GS they may lie at the segment's beginning, or on both sides of its end. */
static LLVMValueRef second_part(struct lifter *l, const struct insn *insn, LLVMValueRef address,
                                unsigned first_bytes, unsigned bytes) {
  const unsigned segment = insn->form.op[1].segment;
  LLVMValueRef distance = lifter_const(l, 4, first_bytes);
  if (!segment || l->mode & MODE_SEGMENTS)
    return LLVMBuildAdd(l->builder, address, distance, "");
  l->limit_checked = false;
  return segment_add_base(l, segment, LLVMBuildAdd(l->builder, operand_offset(l, insn, 1), distance, ""),
                          bytes, false);
}

static void lift_bound(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  LLVMTypeRef type = lifter_int(l, bytes);
  LLVMValueRef index = operand_read(l, insn, 0), address = operand_address(l, insn, 1);
  LLVMValueRef lower = memory_load(l, type, address);
  LLVMValueRef upper = memory_load(l, type, second_part(l, insn, address, bytes, bytes));
  LLVMValueRef outside = LLVMBuildOr(l->builder, LLVMBuildICmp(l->builder, LLVMIntSLT, index, lower, ""),
                                     LLVMBuildICmp(l->builder, LLVMIntSGT, index, upper, ""), "");
  control_trap_if(l, outside, HELPER_trap_br, insn_eip_value(l, insn));
}

/* --- EFLAGS ---------------------------------------------------------------------------------------- */

static void lift_pushf(struct lifter *l, const struct insn *insn) {
  control_helper(l, insn->form.operand_width == 2 ? HELPER_pushf16 : HELPER_pushf, insn_eip_value(l, insn));
}

static void lift_popf(struct lifter *l, const struct insn *insn) {
  control_helper(l, insn->form.operand_width == 2 ? HELPER_popf16 : HELPER_popf, insn_eip_value(l, insn));
}

/* The flags of ah, by their bits in it. */
static const struct {
  enum flag flag;
  unsigned bit;
} ah_flags[] = {{FLAG_C, 0}, {FLAG_P, 2}, {FLAG_A, 4}, {FLAG_Z, 6}, {FLAG_S, 7}};
enum { AH_FLAG_COUNT = sizeof ah_flags / sizeof ah_flags[0], REGISTER_AH = 4 };

static void lift_lahf(struct lifter *l, const struct insn *insn) {
  (void)insn;
  LLVMValueRef ah = lifter_const(l, 1, EFLAGS_ONE);
  for (unsigned i = 0; i < AH_FLAG_COUNT; i++) {
    LLVMValueRef bit = LLVMBuildZExt(l->builder, flag_read(l, ah_flags[i].flag), l->i8, "");
    bit = LLVMBuildShl(l->builder, bit, lifter_const(l, 1, ah_flags[i].bit), "");
    ah = LLVMBuildOr(l->builder, ah, bit, "");
  }
  gpr_write(l, REGISTER_AH, 1, ah);
}

static void lift_sahf(struct lifter *l, const struct insn *insn) {
  (void)insn;
  LLVMValueRef ah = gpr_read(l, REGISTER_AH, 1);
  for (unsigned i = 0; i < AH_FLAG_COUNT; i++)
    flag_write(l, ah_flags[i].flag, value_bit(l, ah, ah_flags[i].bit));
}

static void lift_carry(struct lifter *l, const struct insn *insn) {
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_CLC:
    flag_write(l, FLAG_C, LLVMConstNull(l->i1));
    break;
  case ZYDIS_MNEMONIC_STC:
    flag_write(l, FLAG_C, LLVMConstAllOnes(l->i1));
    break;
  default:
    flag_write(l, FLAG_C, LLVMBuildNot(l->builder, flag_read(l, FLAG_C), ""));
  }
}

/* The host's DF follows the guest's: string instructions are the host's own. */
static void lift_direction(struct lifter *l, const struct insn *insn) {
  bool down = insn->form.mnemonic == ZYDIS_MNEMONIC_STD;
  struct host_asm code = {.text = down ? "std" : "cld", .inputs = "~{dirflag},~{memory}", .effects = true};
  host_asm(l, &code, NULL, 0);
  state_store(l, offsetof(struct cpu_state, df), lifter_const(l, 1, down));
}

/* al = CF ? 0xFF : 0. */
static void lift_salc(struct lifter *l, const struct insn *insn) {
  (void)insn;
  gpr_write(l, GPR_EAX, 1, LLVMBuildSExt(l->builder, flag_read(l, FLAG_C), l->i8, ""));
}

/* --- Time, identification ------------------------------------------------------------------------- */

static void lift_cpuid(struct lifter *l, const struct insn *insn) {
  control_helper(l, HELPER_cpuid, insn_eip_value(l, insn));
}

static void lift_rdtsc(struct lifter *l, const struct insn *insn) {
  bool with_processor = insn->form.mnemonic == ZYDIS_MNEMONIC_RDTSCP;
  struct host_asm code = {
      .text = with_processor ? "rdtscp" : "rdtsc",
      .outputs = with_processor ? "={eax},={edx},={ecx}" : "={eax},={edx}",
      .result = {l->i32, l->i32, with_processor ? l->i32 : NULL},
      .effects = true,
  };
  host_asm(l, &code, NULL, 0);
  gpr_write(l, GPR_EAX, 4, code.value[0]);
  gpr_write(l, GPR_EDX, 4, code.value[1]);
  if (with_processor)
    gpr_write(l, GPR_ECX, 4, code.value[2]);
}

/* The processor's number, as the kernel has set it. In 64-bit code the register has 64 bits. */
static void lift_rdpid(struct lifter *l, const struct insn *insn) {
  struct host_asm code = {.text = "rdpid ${0:q}", .outputs = "=r", .result = {l->i32}, .effects = true};
  host_asm(l, &code, NULL, 0);
  operand_write(l, insn, 0, code.value[0]);
}

/* The guest's XCR0 has less than the host's. */
static void lift_xgetbv(struct lifter *l, const struct insn *insn) {
  control_helper(l, HELPER_xgetbv, insn_eip_value(l, insn));
}

/* rdrand, rdseed: CF says whether there was a number; the other flags are cleared. */
static void lift_random(struct lifter *l, const struct insn *insn) {
  const char *text = insn->form.mnemonic == ZYDIS_MNEMONIC_RDSEED ? "rdseed $0" : "rdrand $0";
  struct host_asm code = {.text = text,
                          .outputs = "=&r",
                          .result = {lifter_int(l, insn->form.op[0].size)},
                          .effects = true,
                          .flags = FLAGS_C};
  host_asm(l, &code, NULL, 0);
  operand_write(l, insn, 0, code.value[0]);
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    flag_write(l, f, LLVMConstNull(l->i1));
  host_asm_write_flags(l, &code);
}

/* --- Frames ---------------------------------------------------------------------------------------- */

/* SDM vol. 2, ENTER: push ebp; copy level - 1 frame pointers; push the new one; make room, and fault if that
 * cannot be written. All accesses come before ebp and esp change. */
static void lift_enter(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.operand_width, level = operand_constant(insn, 1) & 31;
  LLVMTypeRef type = lifter_int(l, bytes);
  LLVMValueRef esp = l->gpr[GPR_ESP], ebp = l->gpr[GPR_EBP];
  LLVMValueRef frame = LLVMBuildSub(l->builder, esp, lifter_const(l, 4, bytes), "");
  LLVMValueRef top = frame;
  memory_store(l, stack_address(l, frame, bytes, true), value_resize(l, ebp, bytes));
  for (unsigned i = 1; i < level; i++) {
    LLVMValueRef from = LLVMBuildSub(l->builder, ebp, lifter_const(l, 4, i * bytes), "");
    LLVMValueRef pointer = memory_load(l, type, stack_address(l, from, bytes, false));
    top = LLVMBuildSub(l->builder, top, lifter_const(l, 4, bytes), "");
    memory_store(l, stack_address(l, top, bytes, true), pointer);
  }
  if (level) {
    top = LLVMBuildSub(l->builder, top, lifter_const(l, 4, bytes), "");
    memory_store(l, stack_address(l, top, bytes, true), value_resize(l, frame, bytes));
  }
  uint32_t room = bytes * (1 + level) + operand_constant(insn, 0);
  LLVMValueRef end = LLVMBuildSub(l->builder, esp, lifter_const(l, 4, room), "");
  memory_touch(l, stack_address(l, end, 1, true));
  gpr_keep(l, GPR_EBP);
  esp = value_after_accesses(l, esp);
  LLVMValueRef new_ebp = LLVMBuildSub(l->builder, esp, lifter_const(l, 4, bytes), "");
  gpr_write(l, GPR_EBP, bytes, value_resize(l, new_ebp, bytes));
  stack_set(l, LLVMBuildSub(l->builder, esp, lifter_const(l, 4, room), ""));
}

/* --- Segments -------------------------------------------------------------------------------------- */

/* les, lds, lss, lfs, lgs: an offset, then a selector, from memory. */
static void lift_load_far(struct lifter *l, const struct insn *insn) {
  static const struct {
    uint16_t mnemonic, helper;
  } loads[] = {{ZYDIS_MNEMONIC_LDS, HELPER_load_ds},
               {ZYDIS_MNEMONIC_LES, HELPER_load_es},
               {ZYDIS_MNEMONIC_LFS, HELPER_load_fs},
               {ZYDIS_MNEMONIC_LGS, HELPER_load_gs},
               {ZYDIS_MNEMONIC_LSS, HELPER_load_ss_far}};
  unsigned bytes = insn->form.op[0].size, helper = HELPER_trap_ud;
  for (unsigned i = 0; i < sizeof loads / sizeof loads[0]; i++)
    if (loads[i].mnemonic == insn->form.mnemonic)
      helper = loads[i].helper;
  LLVMValueRef address = operand_address(l, insn, 1);
  LLVMValueRef offset = memory_load(l, lifter_int(l, bytes), address);
  LLVMValueRef selector = memory_load(l, l->i16, second_part(l, insn, address, bytes, 2));
  state_store(l, offsetof(struct cpu_state, helper_argument), value_resize(l, selector, 4));
  control_helper(l, helper, insn_eip_value(l, insn));
  operand_write(l, insn, 0, offset);
}

/* sgdt, sidt, sldt, str, smsw. CPUs with UMIP trap them, and the kernel then gives a process these
 * values (arch/x86/kernel/umip.c): no host secrets, and the same on every host. */
static void lift_descriptor_store(struct lifter *l, const struct insn *insn) {
  static const uint32_t gdt_base = 0xFFFE0000, idt_base = 0xFFFF0000, cr0 = 0x80050033, task = 0x40;
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_SGDT:
  case ZYDIS_MNEMONIC_SIDT: {
    uint32_t base = insn->form.mnemonic == ZYDIS_MNEMONIC_SGDT ? gdt_base : idt_base;
    LLVMValueRef address = operand_address(l, insn, 0);
    memory_store(l, address, lifter_const(l, 2, 0));
    memory_store(l, LLVMBuildAdd(l->builder, address, lifter_const(l, 4, 2), ""), lifter_const(l, 4, base));
    break;
  }
  default: {
    uint32_t value = insn->form.mnemonic == ZYDIS_MNEMONIC_SMSW  ? cr0
                     : insn->form.mnemonic == ZYDIS_MNEMONIC_STR ? task
                                                                 : 0;
    unsigned bytes = insn->form.op[0].size;
    operand_write(l, insn, 0, lifter_const(l, bytes, bytes == 2 ? value & 0xFFFF : value));
  }
  }
}

/* lar, lsl, verr, verw: what the selector names is for the Linux layer to know. */
static void lift_selector_query(struct lifter *l, const struct insn *insn) {
  const bool has_result = insn->form.op[1].kind != OPERAND_NONE;
  LLVMValueRef selector = operand_read_as(l, insn, has_result ? 1 : 0, 4);
  state_store(l, offsetof(struct cpu_state, helper_argument), selector);
  control_helper(l, HELPER_ask_segment, insn_eip_value(l, insn));
}

/* Raises the requested privilege level of op 0 to that of op 1; ZF says whether it had to. */
static void lift_arpl(struct lifter *l, const struct insn *insn) {
  LLVMValueRef to = operand_read(l, insn, 0), from = operand_read(l, insn, 1), three = lifter_const(l, 2, 3);
  LLVMValueRef level = LLVMBuildAnd(l->builder, from, three, "");
  LLVMValueRef lower =
      LLVMBuildICmp(l->builder, LLVMIntULT, LLVMBuildAnd(l->builder, to, three, ""), level, "");
  LLVMValueRef raised = LLVMBuildAnd(l->builder, to, lifter_const(l, 2, 0xFFFC), "");
  raised = LLVMBuildOr(l->builder, raised, level, "");
  if (operand_is(insn, 0, OPERAND_MEMORY)) {
    /* Written only when it changes. */
    LLVMBasicBlockRef raise = control_block(l, "raise"), on = control_block(l, "on");
    LLVMValueRef address = operand_address(l, insn, 0);
    LLVMBuildCondBr(l->builder, lower, raise, on);
    LLVMPositionBuilderAtEnd(l->builder, raise);
    memory_store(l, address, raised);
    LLVMBuildBr(l->builder, on);
    LLVMPositionBuilderAtEnd(l->builder, on);
  } else {
    operand_write(l, insn, 0, LLVMBuildSelect(l->builder, lower, raised, to, ""));
  }
  flag_write(l, FLAG_Z, lower);
}

#define ROW(name, function)                                                                                  \
  { ZYDIS_MNEMONIC_##name, function }
const struct lift_rule lift_rules_system[] = {
    ROW(ARPL, lift_arpl),
    ROW(BOUND, lift_bound),
    ROW(CLC, lift_carry),
    ROW(CLD, lift_direction),
    ROW(CLGI, lift_refused),
    ROW(CLI, lift_privileged),
    ROW(CLZERO, lift_clzero),
    ROW(CLTS, lift_privileged),
    ROW(CMC, lift_carry),
    ROW(CPUID, lift_cpuid),
    ROW(ENTER, lift_enter),
    ROW(GETSEC, lift_undefined),
    ROW(HLT, lift_privileged),
    ROW(IN, lift_privileged),
    ROW(INT, lift_int),
    ROW(INT1, lift_int1),
    ROW(INT3, lift_int3),
    ROW(INTO, lift_into),
    ROW(INVD, lift_privileged),
    ROW(INVLPG, lift_privileged),
    ROW(INVLPGA, lift_refused),
    ROW(INVPCID, lift_refused),
    ROW(LAHF, lift_lahf),
    ROW(LAR, lift_selector_query),
    ROW(LDS, lift_load_far),
    ROW(LES, lift_load_far),
    ROW(LFS, lift_load_far),
    ROW(LGDT, lift_privileged),
    ROW(LGS, lift_load_far),
    ROW(LIDT, lift_privileged),
    ROW(LLDT, lift_privileged),
    ROW(LMSW, lift_privileged),
    ROW(LSL, lift_selector_query),
    ROW(LSS, lift_load_far),
    ROW(LTR, lift_privileged),
    ROW(MONITOR, lift_undefined),
    ROW(MWAIT, lift_undefined),
    ROW(OUT, lift_privileged),
    ROW(POPF, lift_popf),
    ROW(POPFD, lift_popf),
    ROW(PUSHF, lift_pushf),
    ROW(PUSHFD, lift_pushf),
    ROW(PVALIDATE, lift_refused),
    ROW(RDMSR, lift_privileged),
    ROW(RDPID, lift_rdpid),
    ROW(RDPMC, lift_privileged),
    ROW(RDRAND, lift_random),
    ROW(RDSEED, lift_random),
    ROW(RDTSC, lift_rdtsc),
    ROW(RDTSCP, lift_rdtsc),
    ROW(RSM, lift_undefined),
    ROW(SAHF, lift_sahf),
    ROW(SALC, lift_salc),
    ROW(SGDT, lift_descriptor_store),
    ROW(SIDT, lift_descriptor_store),
    ROW(SKINIT, lift_refused),
    ROW(SLDT, lift_descriptor_store),
    ROW(SMSW, lift_descriptor_store),
    ROW(STC, lift_carry),
    ROW(STD, lift_direction),
    ROW(STGI, lift_refused),
    ROW(STI, lift_privileged),
    ROW(STR, lift_descriptor_store),
    ROW(SYSCALL, lift_undefined),
    ROW(SYSENTER, lift_undefined),
    ROW(SYSEXIT, lift_privileged),
    ROW(SYSRET, lift_undefined),
    ROW(UD0, lift_undefined),
    ROW(UD1, lift_undefined),
    ROW(UD2, lift_undefined),
    ROW(VERR, lift_selector_query),
    ROW(VERW, lift_selector_query),
    ROW(VMLOAD, lift_refused),
    ROW(VMRUN, lift_refused),
    ROW(VMSAVE, lift_refused),
    ROW(WBINVD, lift_privileged),
    ROW(WRMSR, lift_privileged),
    ROW(XGETBV, lift_xgetbv),
    ROW(XRSTORS, lift_refused),
    ROW(XSAVES, lift_refused),
    ROW(XSETBV, lift_privileged),
    {0, NULL},
};
