/* --dump-ir=ITEMS: which IR goes to files (docs/lifted-ir.md). */
#ifndef UEMU_OBSERVE_DUMP_IR_H
#define UEMU_OBSERVE_DUMP_IR_H

#include "Runtime/jit_dump.h"

/* Reads ITEMS: lifted, optimized, asm, bitcode, function=NAME, range=FIRST-LAST, by commas. NULL, or a
 * complaint, which names the item that is wrong. */
const char *dump_ir_parse(struct jit_dump *dump, const char *items);

/* Gives it the guest's memory and names to look into. */
void dump_ir_start(struct jit_dump *dump, const char *folder,
                   void (*complain)(const char *format, ...) __attribute__((format(printf, 1, 2))));

#endif
