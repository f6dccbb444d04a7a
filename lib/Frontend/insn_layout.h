/* Where an instruction's values lie in its bytes, as decoding found them (decode.c, decode_cache.c). */
#ifndef UEMU_FRONTEND_INSN_LAYOUT_H
#define UEMU_FRONTEND_INSN_LAYOUT_H

#include "Frontend/insn.h"

#include <string.h>

struct value_layout {
  uint8_t offset, size; /* bytes; size 0: not there */
  bool is_signed;       /* sign-extended to 32 bits, else zero-extended */
};

/* Reads a value where it lies, extended to 32 bits. */
static inline uint32_t insn_value_at(const uint8_t *bytes, const struct value_layout *layout) {
  uint32_t value = 0;
  memcpy(&value, bytes + layout->offset, layout->size <= 4 ? layout->size : 4);
  if (layout->is_signed && layout->size == 1)
    return (uint32_t)(int8_t)value;
  if (layout->is_signed && layout->size == 2)
    return (uint32_t)(int16_t)value;
  return value;
}

struct insn_layout {
  /* disp: not that of zero, which is another form than others. target: relative to the instruction's end. */
  struct value_layout disp, imm[2], target;
  uint32_t last_disp; /* greater ones are another form: beyond the end of FS or GS */
  bool simple; /* other values in these places leave the form as it is, but for a zero disp */
};

/* insn_decode that also fills *layout. */
enum insn_status insn_decode_layout(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip,
                                    struct insn_layout *layout);

#endif
