/* Flag records: the operands of the last instruction that set flags, in place of the flags.
 *
 * A guest with a handler that is shown the context of a fault may see all flags there, those too that no
 * instruction reads. Keeping all six at every instruction costs some twenty host instructions each. So
 * translated code keeps in the register file where the flags come from: the operation and its
 * operands' values, one to three stores. Only when a fault is shown to the guest are flags made of them
 * (docs/flags.md).
 *
 * This is possible for the common instructions, those of two operands that write all flags and no memory.
 * Others keep all their flags as usual and void the record. And nothing is done after an instruction
 * whose flags are overwritten before anything can fault. */
#ifndef UEMU_FRONTEND_FLAG_RECORD_H
#define UEMU_FRONTEND_FLAG_RECORD_H

#include "Frontend/insn.h"

enum flag_record {
  FLAG_RECORD_NONE,
  FLAG_RECORD_OPERANDS, /* before the instruction, its operands are recorded */
  FLAG_RECORD_VOID,     /* the flags are in the register file again: to be said before it … */
  FLAG_RECORD_VOID_AFTER, /* … or after, since it may fault before it sets them */
};
static inline bool flag_record_is_void(enum flag_record record) { return record >= FLAG_RECORD_VOID; }

/* What has to be done about the instruction if its flags can be seen. */
enum flag_record flag_record_kind(const struct insn *insn);

/* Does it leave before it is done, with its flags set, and come back to where it may fault? A repeated string
 * instruction that is not the host's own does. */
bool flag_record_leaves_early(const struct insn *insn);

/* Flags that an instruction whose record is void leaves as they were, and that may be seen behind it: they must be in the
 * register file before. */
uint8_t flag_record_kept(const struct insn *insn);

/* What there is to record beside the operands' values, as one number that is not 0: the operation, the operands' size, and a small
 * immediate. */
uint32_t flag_record_operation(const struct insn *insn);
bool flag_record_has_immediate(uint32_t operation);
/* Are both operands one register? Then only the first is recorded. */
bool flag_record_is_of_one(uint32_t operation);

/* Can it be recorded behind the instruction as well, from what it leaves in its registers, and the value of
 * its memory operand? Not what moves the stack pointer, whose register may be behind. */
bool flag_record_can_be_late(const struct insn *insn);
/* Is it of logic, whose result says all about the flags? Then that is recorded, as of one operand. */
bool flag_record_is_of_result(const struct insn *insn);
/* The number then. */
uint32_t flag_record_operation_late(const struct insn *insn);

/* EFLAGS bits of the six flags. The operands' values are as recorded: a register that is part of a larger one is taken
 * out of it here. */
uint32_t flag_record_eflags(uint32_t operation, uint32_t first, uint32_t second);

#endif
