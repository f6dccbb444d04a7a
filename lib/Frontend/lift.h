/* The lifter: what x86 instructions mean, as LLVM IR over the register file.
 *
 * There is one function a family of instructions (lift_*.c), found by mnemonic in a table. A
 * family function reads its operands, computes, sets flags, writes its results:
 *
 *     static void lift_and(struct lifter *l, const struct insn *insn) {
 *       LLVMValueRef result = LLVMBuildAnd(l->builder, operand_read(l, insn, 0), operand_read(l, insn, 1), "");
 *       operand_write(l, insn, 0, result);
 *       flags_set_logic(l, result);
 *     }
 *
 * It does not know whether immediates are constants or holes: that is behind operand_read.
 * Registers and flags are SSA values in struct lifter; a flag that nobody keeps is dropped by
 * LLVM, so family functions compute all of them. Undefined flags are set as the CPU that was
 * measured sets them where that is cheap, else left as they were.
 *
 * Order matters for precise faults: every access to guest memory comes before any register or
 * flag changes, in the lifted function as in the family function. Accesses are volatile, so LLVM
 * keeps their order; a stencil in which it did change a register first is refused when the
 * library is made.
 *
 * Lifted code comes in three settings:
 *   stencils: one shape, holes for constants, ends in a tail call to `next` or `taken`;
 *   blocks:   a basic block, constants, ends in a tail call to the dispatcher. At its entry the
 *             register file has what the registers have; it writes back what it changes, before each
 *             instruction that can fault and when it ends;
 *   regions:  a unit of many blocks with the jumps between them (lift_region.h). Where a fault's state is
 *             wanted, they write back what they change as blocks do.
 * The calling convention is in docs/guest-abi.md. */
#ifndef UEMU_FRONTEND_LIFT_H
#define UEMU_FRONTEND_LIFT_H

#include "Frontend/insn.h"

#include <llvm-c/Core.h>

enum { GUEST_XMM_COUNT = 8 };

enum lift_setting { LIFT_STENCIL, LIFT_BLOCK, LIFT_REGION };

/* Regions: the object's section .polls has a row for each loop's poll, where a thread can be stopped (lift_region.c). */
struct poll_row {
  uint32_t at, out; /* where it is, and where a stopped thread goes on: bytes from the function */
  uint32_t block;   /* of the unit */
};

/* Everything that code outside the family functions may name in lifted code. */
enum lift_symbol {
  SYMBOL_HOLE_DISP0, /* displacement of the first instruction's memory operand */
  SYMBOL_HOLE_IMM0,  /* immediates of the first instruction */
  SYMBOL_HOLE_IMM1,
  SYMBOL_HOLE_IMM2, /* immediate of the second instruction of a pair */
  SYMBOL_HOLE_EIP,  /* address of the first instruction */
  SYMBOL_HOLE_NEXT, /* address after the last instruction */
  SYMBOL_NEXT,      /* code of the next instruction */
  SYMBOL_TAKEN,     /* code of the branch target */
  SYMBOL_CALLEE,    /* code of a call's target */
  SYMBOL_DISPATCH,  /* go on at eip */
  SYMBOL_MISPAIRED, /* a call came back to another eip than its own: forget open frames, dispatch */
  SYMBOL_HELPER,    /* the first of the helpers, in the order of Runtime/helpers.h */
};

struct lifter {
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMBuilderRef builder;
  LLVMTypeRef i1, i8, i16, i32, i64, pointer, xmm_type, guest_type, function_type;
  enum lift_setting setting;
  const bool *poll_nops; /* regions: of each block, is its poll to be an instruction? NULL: loops look at `interrupt` */
  bool notes_x87;     /* regions: the object is to say where x87 instructions are (struct x87_note) */
  bool commits;       /* blocks, and regions on demand: the register file is exact at each instruction that can fault */
  bool is_foreign;    /* for another program than the emulator, which does not guard FS and GS */
  uint32_t mode;      /* blocks: enum cpu_mode */
  uint32_t code_high; /* MODE_SEGMENTS: the highest offset in the code segment */

  /* Of the function being lifted. */
  LLVMValueRef function;
  LLVMValueRef gpr[GPR_COUNT];       /* i32 */
  LLVMValueRef xmm[GUEST_XMM_COUNT]; /* <4 x float> */
  LLVMValueRef temporary;            /* i32 in a host register (r14): REGISTER_TEMPORARY */
  bool temporary_written;            /* it goes on to the next stencil; else it is anything */
  LLVMValueRef zero;                 /* i32 0 in a host register (r15): a base for lone displacements */
  LLVMValueRef flag[FLAG_COUNT];     /* i1; NULL: still in the register file */
  uint8_t flags_dirty;               /* flags whose SSA value is newer than the register file */
  uint8_t gpr_dirty;                 /* with commits: the same for general registers … */
  uint8_t xmm_dirty;                 /* … and xmm, since the last commit */
  LLVMValueRef compare[2];           /* operands of the last cmp or sub, if it set the flags; or NULL */
  LLVMValueRef above;                /* i1: CF = ZF = 0, where the last setter gave it as one value; or NULL */
  uint8_t flags_live;                /* stencils, regions: flags to keep */
  LLVMValueRef gpr_before[GPR_COUNT], xmm_before[GUEST_XMM_COUNT]; /* as the instruction found them; not in stencils */
  const struct insn *insn;           /* being lifted */
  bool limit_checked;                /* of its operand in FS or GS */
  unsigned position;                 /* its index in the pair or block */
  const struct insn *last;           /* of the pair or block */
  struct lift_region *region;        /* regions: lift_region.c's own */
  bool ended;                        /* control has left: no fall-through to emit */
  bool helped;                       /* a helper was called: a block ends here */

  const char *failure; /* why the instruction could not be lifted; NULL */

  /* lift_annotate.c. Set after lifter_init: IR is to say which guest instruction it is from. */
  bool annotate;
  LLVMDIBuilderRef debug;
  LLVMMetadataRef debug_file, debug_scope;
};

/* --- lift.c: a module, a function ---------------------------------------------------------- */

/* Starts a module for stencils or blocks in l->context (made here; owned by the lifter). */
void lifter_init(struct lifter *l, enum lift_setting setting);
void lifter_dispose(struct lifter *l);
/* Takes the current module away (the caller owns it) and starts an empty one. */
LLVMModuleRef lifter_take_module(struct lifter *l, const char *new_name);

/* Lifts insns[0..count) to one function `name`: a stencil that keeps the flags in `live`, or a
 * block that keeps all (and ends early after an instruction that calls a helper). NULL, with
 * l->failure set, its index in l->position, and nothing left in the module, if an instruction is
 * not implemented. */
LLVMValueRef lifter_function(struct lifter *l, const char *name, const struct insn *insns, unsigned count,
                             uint8_t live);

/* Is there a family function for it? */
bool lift_is_implemented(const struct insn *insn);

/* --- operand.c: reading and writing operands ----------------------------------------------- */

LLVMTypeRef lifter_int(struct lifter *l, unsigned bytes);
LLVMValueRef lifter_const(struct lifter *l, unsigned bytes, uint64_t value);

/* Operand i as an integer of its size (iN). Memory is loaded, immediates sign-extended or cut to
 * the size of operand 0 where they are operand 1 (so both sides have one type). */
LLVMValueRef operand_read(struct lifter *l, const struct insn *insn, unsigned i);
/* Stencils: minus immediate operand i, as a hole of its own, because no host instruction subtracts a hole
 * that is added. NULL where there is none such. */
LLVMValueRef operand_negated(struct lifter *l, const struct insn *insn, unsigned i);
/* Operand i, cut or zero-extended to `bytes`. */
LLVMValueRef operand_read_as(struct lifter *l, const struct insn *insn, unsigned i, unsigned bytes);
void operand_write(struct lifter *l, const struct insn *insn, unsigned i, LLVMValueRef value);
/* The linear address (i32) of memory operand i, segment base included. */
LLVMValueRef operand_address(struct lifter *l, const struct insn *insn, unsigned i);
/* The same without the segment base: lea. */
LLVMValueRef operand_offset(struct lifter *l, const struct insn *insn, unsigned i);
static inline bool operand_is(const struct insn *insn, unsigned i, enum operand_kind kind) {
  return insn->form.op[i].kind == (unsigned)kind;
}

/* General registers by number and size in bytes (1: al cl dl bl ah ch dh bh). */
LLVMValueRef gpr_read(struct lifter *l, unsigned reg, unsigned bytes);
void gpr_write(struct lifter *l, unsigned reg, unsigned bytes, LLVMValueRef value);
/* In stencils, has LLVM keep a general register in the host register that it is pinned to, up to here:
 * after an access whose address or value LLVM might else compute there. */
void gpr_keep(struct lifter *l, unsigned reg);
LLVMValueRef xmm_read(struct lifter *l, unsigned reg, LLVMTypeRef type); /* a 128-bit type */
void xmm_write(struct lifter *l, unsigned reg, LLVMValueRef value);      /* any 128-bit type */

/* The base of a segment. Of FS and GS in usual code #GP, if the selector is null or `bytes` bytes at the offset go
 * beyond the end, which is that of the address space; NULL: they do not. */
LLVMValueRef segment_base(struct lifter *l, enum segment segment, LLVMValueRef offset, unsigned bytes);
/* #GP if so many bytes from the offset on go beyond the end of FS or GS. */
void segment_check(struct lifter *l, enum segment segment, LLVMValueRef offset, unsigned bytes);
/* The linear address of `bytes` bytes at an offset in a segment: with MODE_SEGMENTS checked, and the base added;
 * else the offset itself. */
LLVMValueRef segment_address(struct lifter *l, enum segment segment, LLVMValueRef offset, unsigned bytes, bool write);

/* A pointer to guest memory from a linear address: the only place that makes one. */
LLVMValueRef guest_pointer(struct lifter *l, LLVMValueRef address);
LLVMValueRef memory_load(struct lifter *l, LLVMTypeRef type, LLVMValueRef address);
void memory_store(struct lifter *l, LLVMValueRef address, LLVMValueRef value);

/* Fields of the register file, by offset. Volatile. */
LLVMValueRef state_load(struct lifter *l, size_t offset, LLVMTypeRef type);
void state_store(struct lifter *l, size_t offset, LLVMValueRef value);

/* The linear address of what the stack has at offset esp. */
LLVMValueRef stack_address(struct lifter *l, LLVMValueRef offset, unsigned bytes, bool write);
/* The stack pointer becomes this; only its low half with a 16-bit stack. */
void stack_set(struct lifter *l, LLVMValueRef esp);

/* esp after, and the store of, a push; the value's type says how many bytes. The register is
 * changed after the store. */
void stack_push(struct lifter *l, LLVMValueRef value);
LLVMValueRef stack_pop(struct lifter *l, unsigned bytes);

/* A value that LLVM cannot see through or move across memory accesses. */
LLVMValueRef value_after_accesses(struct lifter *l, LLVMValueRef value);

/* Address of the instruction, and of the one after it, as i32: constant or hole. */
LLVMValueRef insn_eip_value(struct lifter *l, const struct insn *insn);
LLVMValueRef insn_next_value(struct lifter *l, const struct insn *insn);

/* --- flags.c -------------------------------------------------------------------------------- */

LLVMValueRef flag_read(struct lifter *l, enum flag flag); /* i1 */
void flag_write(struct lifter *l, enum flag flag, LLVMValueRef i1);
/* zf, sf and pf from a result of any integer type. */
void flags_set_result(struct lifter *l, LLVMValueRef result);
/* and, or, xor, test: cf = of = af = 0. */
void flags_set_logic(struct lifter *l, LLVMValueRef result);
/* All six for result = a + b (+ carry) and a - b (- borrow); carry is i1 or NULL. keep_carry: inc, dec. */
void flags_set_add(struct lifter *l, LLVMValueRef a, LLVMValueRef b, LLVMValueRef carry, LLVMValueRef result,
                   bool keep_carry);
void flags_set_sub(struct lifter *l, LLVMValueRef a, LLVMValueRef b, LLVMValueRef borrow, LLVMValueRef result,
                   bool keep_carry);
/* The condition of jcc, setcc, cmovcc (0-15) as i1. */
LLVMValueRef condition_value(struct lifter *l, unsigned condition);

/* --- control.c ------------------------------------------------------------------------------ */

/* End the function: go on at the next instruction, at the branch's target, or at eip (i32). */
void control_next(struct lifter *l);
void control_taken(struct lifter *l);
void control_dispatch(struct lifter *l, LLVMValueRef eip);
/* Branches on an i1 and ends the function. */
void control_branch(struct lifter *l, LLVMValueRef condition);
/* Calls helper_NAME (Runtime/helpers.h) with the whole state committed; registers, xmm and flags
 * may have changed after it. eip is what the helper finds in cpu->eip. */
void control_helper(struct lifter *l, unsigned helper, LLVMValueRef eip);
/* Ends the function in a helper that does not come back here (traps). */
void control_trap(struct lifter *l, unsigned helper, LLVMValueRef eip);

/* Blocks: #GP or #SS of the instruction, if condition (i1) holds, with everything as it found it. */
void control_fault_if(struct lifter *l, LLVMValueRef condition, unsigned helper);
/* With MODE_SEGMENTS: #GP if control would go beyond the code segment's limit. */
void control_check_target(struct lifter *l, LLVMValueRef eip);

/* With commits: writes every register and flag newer than the register file to it, and eip, so that a
 * fault of `insn` finds the exact state. */
void control_commit(struct lifter *l, const struct insn *insn);

/* --- the table ------------------------------------------------------------------------------ */

typedef void lift_function(struct lifter *l, const struct insn *insn);

/* One row of a family's table. Each lift_*.c exports one array, ended by mnemonic 0. */
struct lift_rule {
  uint16_t mnemonic;
  lift_function *lift;
};
extern const struct lift_rule lift_rules_move[], lift_rules_arith[], lift_rules_shift[], lift_rules_bits[],
    lift_rules_muldiv[], lift_rules_string[], lift_rules_bcd[], lift_rules_control[], lift_rules_system[],
    lift_rules_atomic[], lift_rules_exchange[], lift_rules_x87[], lift_rules_simd[], lift_rules_avx[];

/* Says that the instruction's form is not supported; the function is thrown away. */
void lift_fail(struct lifter *l, const char *why);

#endif
