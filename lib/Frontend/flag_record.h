/* Flag records: the operands of the last instruction that set flags, in place of the flags.
 *
 * A guest with a handler that is shown the context of a fault may see all flags there, those too that no
 * instruction reads. Keeping all six at every instruction costs some twenty host instructions each. So
 * translated code keeps in the register file where the flags come from: the instruction's address and its
 * operands' values, two or three stores. Only when a fault is shown to the guest are flags made of them
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
  FLAG_RECORD_VOID,     /* the flags are in the register file again */
};

/* What has to be done about the instruction if its flags can be seen. */
enum flag_record flag_record_kind(const struct insn *insn);

/* The operands' values, of their sizes, as recorded: a register that is part of a larger one is
 * taken out of it here. Returns EFLAGS bits of the six flags. */
uint32_t flag_record_eflags(const struct insn *insn, uint32_t first, uint32_t second);

#endif
