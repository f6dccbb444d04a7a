/* The calling convention of lifted code (docs/guest-abi.md), for the lifter's own files. */
#ifndef UEMU_FRONTEND_LIFT_INTERNAL_H
#define UEMU_FRONTEND_LIFT_INTERNAL_H

#include "Frontend/flag_record.h"
#include "Frontend/lift.h"

/* Integer arguments and results: the eight general registers, eip, the temporary, zero.
 * Vector ones: xmm0-7, eight free temporaries. */
enum { ABI_EIP = 8, ABI_TEMPORARY = 9, ABI_ZERO = 10, ABI_INT_COUNT = 11, ABI_XMM_COUNT = 16, ABI_PARAMETER_COUNT = ABI_INT_COUNT + ABI_XMM_COUNT };

extern const char lift_triple[];

void abi_apply(struct lifter *l, LLVMValueRef function);
void abi_apply_call(struct lifter *l, LLVMValueRef call);
/* A function of the guest convention that is defined elsewhere. */
LLVMValueRef lifter_symbol(struct lifter *l, const char *name);
/* The name of helper number `helper`. */
const char *helper_symbol(unsigned helper);

/* Gives the function being lifted an attribute: of LLVM's own, or a string. */
void lifter_set_attribute(struct lifter *l, const char *name);
void lifter_set_call_attribute(struct lifter *l, LLVMValueRef call, const char *name);
void lifter_set_string_attribute(struct lifter *l, const char *key, const char *value);
/* Starts a function: registers are its parameters, flags in the register file. */
void lifter_start_function(struct lifter *l, const char *name);
/* The family function of an instruction; NULL if there is none. */
lift_function *lifter_family(const struct insn *insn);

/* lift_annotate.c, with l->annotate: a function begins; what is built from now on is of the instruction at eip; the
 * lifter ends. */
void lifter_annotate_function(struct lifter *l, const char *name);
void lifter_annotate(struct lifter *l, guest_addr eip);
void lifter_annotate_end(struct lifter *l);

/* control.c: flags newer than the register file, among those wanted, go there. */
void control_store_flags(struct lifter *l, uint8_t wanted);
/* Those that must be there when control leaves for code which reads `live`. With commits a fault may show
 * them, or any. */
void control_store_live_flags(struct lifter *l, uint8_t live);
/* With commits: the general registers and xmm newer than the register file go there. */
void control_store_registers(struct lifter *l);
/* Ends the function in a tail call of the symbol, with the registers as they are and eip, or NULL. */
void control_tail_call(struct lifter *l, const char *symbol, LLVMValueRef eip);
/* Branches to `usual` if the condition holds; to `rare`, hardly ever, if not. */
void control_expect(struct lifter *l, LLVMValueRef condition, LLVMBasicBlockRef usual, LLVMBasicBlockRef rare);
/* The host call of a guest call whose return address has been pushed: of the symbol, with the eip that it is to go to, or
 * NULL. Goes on with the registers that it returns, unless it comes back to another eip than `back`. */
void control_guest_call(struct lifter *l, const char *symbol, LLVMValueRef target, LLVMValueRef back);

/* lift_flag_record.c: the instruction's flag record, before it; there is none any more. */
void lift_flag_record(struct lifter *l, const struct insn *insn);
void lift_flag_record_void(struct lifter *l);

/* lift_region.c: what the functions of control.c do in a region. */
void region_next(struct lifter *l);
void region_taken(struct lifter *l);
void region_call(struct lifter *l, const struct insn *insn, LLVMValueRef target);
/* Ends the function before the instruction being lifted: code outside does it. */
void region_leave(struct lifter *l);

#endif
