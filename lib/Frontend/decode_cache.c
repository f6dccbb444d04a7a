#include "Frontend/decode_cache.h"
#include "Frontend/insn_layout.h"

#include <string.h>

enum { PATTERN_COUNT = 4096, WINDOW = 16 };

struct pattern {
  uint64_t key[2], mask[2]; /* of the first 16 bytes; a mask of zero matches nothing: no pattern */
  struct insn insn;
  struct insn_layout layout;
};

static struct pattern patterns[PATTERN_COUNT];

/* One-byte opcodes without a modrm byte: what follows is a value, or the next instruction. */
static bool has_no_modrm(uint8_t opcode) {
  if (opcode < 0x40)
    return (opcode & 7) >= 4;
  if (opcode < 0x62 || (opcode >= 0x68 && opcode < 0x80))
    return opcode != 0x69 && opcode != 0x6B;
  if (opcode >= 0x90 && opcode < 0xC0)
    return true;
  return opcode == 0xC2 || opcode == 0xC3 || opcode == 0xC9 || opcode == 0xCC || opcode == 0xCD ||
         (opcode >= 0xE0 && opcode < 0xF0);
}

/* Only a good spread: the mask decides what matches. */
static unsigned pattern_index(const uint8_t *bytes) {
  uint32_t hash = bytes[0];
  unsigned at = 0;
  while (at < 3 && (bytes[at] == 0x66 || bytes[at] == 0x65 || bytes[at] == 0xF2 || bytes[at] == 0xF3))
    hash = hash * 31 + bytes[++at];
  if (bytes[at] == 0x0F) {
    hash = hash * 31 + bytes[++at];
    if (bytes[at] >= 0x80 && bytes[at] < 0x90)
      return hash * 0x9E3779B1u >> 20;
  } else if (has_no_modrm(bytes[at])) {
    return hash * 0x9E3779B1u >> 20;
  }
  uint8_t modrm = bytes[at + 1];
  hash = hash * 31 + modrm;
  if ((modrm & 7) == 4 && modrm < 0xC0)
    hash = hash * 31 + bytes[at + 2];
  return hash * 0x9E3779B1u >> 20;
}

static void unmask(uint8_t mask[WINDOW], const struct value_layout *layout) {
  memset(mask + layout->offset, 0, layout->size);
}

static void learn(struct pattern *pattern, const uint8_t *bytes, const struct insn *insn,
                  const struct insn_layout *layout, unsigned index) {
  uint8_t mask[WINDOW] = {0};
  memset(mask, 0xFF, insn->length);
  unmask(mask, &layout->disp);
  unmask(mask, &layout->imm[0]);
  unmask(mask, &layout->imm[1]);
  unmask(mask, &layout->target);
  memcpy(pattern->mask, mask, WINDOW);
  memcpy(pattern->key, bytes, WINDOW);
  for (unsigned i = 0; i < 2; i++)
    pattern->key[i] &= pattern->mask[i];
  pattern->insn = *insn;
  pattern->insn.pattern = index;
  pattern->layout = *layout;
}

enum insn_status insn_decode_cached(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip) {
  if (size < WINDOW)
    return insn_decode(insn, bytes, size, eip);
  uint64_t window[2];
  memcpy(window, bytes, WINDOW);
  unsigned index = pattern_index(bytes);
  struct pattern *pattern = &patterns[index];
  bool known = pattern->mask[0] && (window[0] & pattern->mask[0]) == pattern->key[0] &&
               (window[1] & pattern->mask[1]) == pattern->key[1];
  uint32_t disp = 0;
  if (known && pattern->layout.disp.size) {
    disp = insn_value_at(bytes, &pattern->layout.disp);
    known = disp != 0; /* a zero displacement is none: another form */
  }
  if (!known) {
    struct insn_layout layout;
    enum insn_status status = insn_decode_layout(insn, bytes, size, eip, &layout);
    if (status == INSN_OK && layout.simple)
      learn(pattern, bytes, insn, &layout, index);
    return status;
  }
  const struct insn_layout *layout = &pattern->layout;
  *insn = pattern->insn;
  insn->eip = eip;
  insn->disp = disp;
  for (unsigned i = 0; i < 2; i++)
    if (layout->imm[i].size)
      insn->imm[i] = insn_value_at(bytes, &layout->imm[i]);
  if (layout->target.size)
    insn->target = insn_next(insn) + insn_value_at(bytes, &layout->target);
  return INSN_OK;
}
