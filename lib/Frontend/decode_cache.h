/* Decoding, faster: a cache of instruction patterns.
 *
 * Programs use few instruction patterns over and over: the same opcode, registers and addressing
 * form, with other displacements and immediates. The first time, Zydis decodes; the result is kept
 * as a pattern (the bytes that made the form, a mask, and where the values lie), and the next
 * instruction whose masked bytes are equal is the pattern with its own values put in. */
#ifndef UEMU_FRONTEND_DECODE_CACHE_H
#define UEMU_FRONTEND_DECODE_CACHE_H

#include "Frontend/insn.h"

/* As insn_decode, with the same results. Not thread-safe: callers hold the engine lock. */
enum insn_status insn_decode_cached(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip);

#endif
