/* Code for a CPU in an unusual mode: single steps, segments that are not flat, 16-bit code, alignment checks in
 * the llvm tier (careful.c). */
#ifndef UEMU_RUNTIME_CAREFUL_H
#define UEMU_RUNTIME_CAREFUL_H

#include "Runtime/engine.h"

/* Is usual code wrong for this CPU as it is now? */
bool careful_wanted(const struct cpu_state *cpu);

/* Host code for cpu->eip in the CPU's mode, which goes on in C. once: run it once, with its page left writable.
 * 0 if the bytes cannot be fetched, with *fault set. Engine lock held. */
uintptr_t careful_code(struct cpu_state *cpu, bool once, guest_addr *fault);

/* All units are about to be freed. Engine lock held. */
void careful_forget(void);

/* The instruction that careful_code() was asked for has run to its end: must #DB follow? A fault, a system call
 * or a load of SS says so for it, and nothing follows. */
bool careful_ended(struct engine_thread *thread);

/* The instruction at cpu->eip, as the CPU's mode has it. */
enum insn_status careful_decode(const struct cpu_state *cpu, struct insn *insn);

/* May `bytes` bytes at *offset of a segment be accessed? Then *offset becomes their linear address; else the
 * vector of the fault, whose error code is 0, is returned. */
uint32_t careful_address(const struct cpu_state *cpu, enum segment segment, uint32_t *offset, uint32_t bytes, bool write);

/* The offset that memory operand `op` of the instruction names, in its segment. */
uint32_t careful_offset(const struct cpu_state *cpu, const struct insn *insn, unsigned op);

/* Is the stack pointer SP alone? */
bool careful_stack_is_short(const struct cpu_state *cpu);

#endif
