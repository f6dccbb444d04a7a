/* Writing host instructions byte by byte: what stubs, flag records and direct instructions share. */
#ifndef UEMU_RUNTIME_X86_64_EMIT_H
#define UEMU_RUNTIME_X86_64_EMIT_H

#include "Runtime/engine.h"

#include <string.h>

/* Host registers that are not the guest's (docs/guest-abi.md), and prefixes. */
enum { R10 = 10, R13 = 13, R14 = 14, ZERO = 15 };
enum { GS = 0x65, OPERAND16 = 0x66, ADDRESS32 = 0x67, REX = 0x40, REX_R = 4, REX_X = 2, REX_B = 1 };

/* Both return the end of what they write. */
static inline uint8_t *emit(uint8_t *at, const void *bytes, size_t size) {
  memcpy(at, bytes, size);
  return at + size;
}
static inline uint8_t *emit32(uint8_t *at, uint32_t value) { return emit(at, &value, 4); }
#define EMIT(at, ...) emit(at, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* The prefix byte for host registers in the ModRM byte's middle, as base and as index (SIB_NO_INDEX: none).
 */
static inline uint8_t rex_prefix(unsigned reg, unsigned base, unsigned index) {
  return (uint8_t)(REX | (reg & 8 ? REX_R : 0) | (index & 8 ? REX_X : 0) | (base & 8 ? REX_B : 0));
}

/* The host's of a general register, or of the temporary one. */
static inline unsigned host_gpr(unsigned reg) { return reg == REGISTER_TEMPORARY ? R14 : host_register[reg]; }

/* The host's base and index of a guest's memory operand. */
static inline unsigned host_base(const struct operand *op) {
  return op->reg == REGISTER_NONE ? ZERO : host_register[op->reg];
}
static inline unsigned host_index(const struct operand *op) {
  return op->index == REGISTER_NONE ? SIB_NO_INDEX : host_register[op->index];
}

/* mov %gs:base of the operand's segment, FS or GS,%r10d */
static inline uint8_t *emit_segment_base(uint8_t *at, const struct operand *op) {
  at = EMIT(at, GS, rex_prefix(R10, ZERO, SIB_NO_INDEX), 0x8B, 0x80 | (R10 & 7) << 3 | (ZERO & 7));
  return emit32(at, (uint32_t)CPU_GUARDED_BASE(op->segment - 1));
}

#endif
