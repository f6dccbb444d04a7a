/* What several families of the lifter share beyond lift.h: small builders of values, host
 * instructions as inline assembly, flags and traps under a condition. */
#ifndef UEMU_FRONTEND_LIFT_SUPPORT_H
#define UEMU_FRONTEND_LIFT_SUPPORT_H

#include "Frontend/lift.h"

static inline unsigned value_bits(LLVMValueRef value) { return LLVMGetIntTypeWidth(LLVMTypeOf(value)); }
/* The constant `number` in the type of `value`. */
static inline LLVMValueRef value_const(LLVMValueRef value, uint64_t number) {
  return LLVMConstInt(LLVMTypeOf(value), number, false);
}
/* Zero-extended or cut to `bytes`. */
LLVMValueRef value_resize(struct lifter *l, LLVMValueRef value, unsigned bytes);
LLVMValueRef value_is_zero(struct lifter *l, LLVMValueRef value);
/* The top bit, the lowest bit, and bit `index` (a constant), as i1. */
LLVMValueRef value_sign(struct lifter *l, LLVMValueRef value);
LLVMValueRef value_low_bit(struct lifter *l, LLVMValueRef value);
LLVMValueRef value_bit(struct lifter *l, LLVMValueRef value, unsigned index);
/* A call of an intrinsic overloaded on the type of its first argument. */
LLVMValueRef value_intrinsic(struct lifter *l, const char *name, LLVMValueRef *arguments, unsigned count);

/* The value in a host register that no guest register is pinned to: "r10", "r11", "r14". */
LLVMValueRef value_in_temporary(struct lifter *l, LLVMValueRef value, const char *host);
/* operand_read, but a value from memory is there before anything else is computed: for operations
 * that LLVM would make of several instructions, the first of which changes a pinned register. */
LLVMValueRef operand_read_first(struct lifter *l, const struct insn *insn, unsigned i);

/* A host instruction, or a few, as inline assembly in AT&T syntax. Results are $0, $1 …, arguments
 * @0, @1 …. Flags are captured within the assembly: LLVM's own flag outputs are not kept safe
 * from what it puts between the assembly and their use. */
enum { HOST_ASM_RESULTS = 4 };
struct host_asm {
  const char *text;
  const char *outputs;                  /* constraints of the results, as LLVM writes them; NULL for none */
  const char *inputs;                   /* of the arguments, then clobbers; NULL for none */
  LLVMTypeRef result[HOST_ASM_RESULTS]; /* their types */
  LLVMTypeRef memory; /* of the memory operand ("*m"), if the first argument is one: a pointer */
  bool effects;       /* does more than compute its results from its arguments */
  uint8_t flags;      /* FLAGS_* to take from the host; those not wanted are left out */
  LLVMValueRef value[HOST_ASM_RESULTS]; /* out: results */
  LLVMValueRef flag[FLAG_COUNT];        /* out: flags taken, or NULL */
};
void host_asm(struct lifter *l, struct host_asm *code, LLVMValueRef *arguments, unsigned count);
/* Writes the flags that it took. */
void host_asm_write_flags(struct lifter *l, const struct host_asm *code);
/* AT&T suffix of an operand size: b, w, l. */
char operand_suffix(unsigned bytes);

/* Are flags that the instruction now lifted changes needed after it? */
uint8_t flags_wanted(const struct lifter *l);

/* Between begin and end, flag writes happen only if `condition` (i1) holds; else the flags stay.
 * Nothing but flags may be written there. */
struct flags_guard {
  LLVMValueRef condition, flag[FLAG_COUNT];
  LLVMBasicBlockRef unchanged; /* stencils */
  uint8_t dirty;
};
void flags_guard_begin(struct lifter *l, struct flags_guard *guard, LLVMValueRef condition);
void flags_guard_end(struct lifter *l, struct flags_guard *guard);

/* Ends in the helper if the condition holds, else lifts on. */
void control_trap_if(struct lifter *l, LLVMValueRef condition, unsigned helper, LLVMValueRef eip);
/* Ends the function: on at the next instruction, wherever in a block that is. */
void control_after(struct lifter *l, const struct insn *insn);
/* A new basic block of the function being lifted. */
LLVMBasicBlockRef control_block(struct lifter *l, const char *name);

/* Writes the byte at a linear address as it is: to see that it can be written. */
void memory_touch(struct lifter *l, LLVMValueRef address);

/* Adds the base of segment `segment` (0: flat; else 1 + enum segment) to an offset. */
LLVMValueRef segment_add_base(struct lifter *l, unsigned segment, LLVMValueRef offset, unsigned bytes, bool write);

/* The segment override of an implicit operand, as segment_add_base takes it. */
unsigned implicit_segment(const struct insn *insn);

/* lift_system.c: ends in #GP(0). */
void lift_privileged(struct lifter *l, const struct insn *insn);

/* lift_bits.c: a bit string's word in memory, and the bit's place in it (bt, bts, btr, btc). */
LLVMValueRef bit_string_address(struct lifter *l, const struct insn *insn);
LLVMValueRef bit_index(struct lifter *l, const struct insn *insn);

#endif
