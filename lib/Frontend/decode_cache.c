#include "Frontend/decode_cache.h"
#include "Frontend/insn_layout.h"

#include <string.h>

enum { CHAIN_COUNT = 8192, WINDOW = 8, LONGEST = 16 };

/* Where a value lies, in a byte; size 0: not there. */
struct packed_layout {
  uint8_t offset : 4, size : 3, is_signed : 1;
};
enum { VALUE_END = LONGEST - 4 }; /* four bytes can be read at any offset up to this */

/* One line of the host's cache. */
struct pattern {
  uint64_t key, mask; /* of the first 8 bytes */
  struct insn_form form;
  uint8_t length, flow, condition, flags_read, flags_written, flags_changed, flags_undefined, can_fault,
      accesses;
  struct packed_layout disp, imm[2], target;
  uint32_t last_disp;
  uint16_t next; /* in its chain; 0: the last */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct pattern) == 64, "one cache line");

/* In the order in which they were met, so that few pages of memory are touched. Number 0 is none. */
static struct pattern patterns[PATTERN_LIMIT];
static uint16_t chain[CHAIN_COUNT]; /* the first of each chain */
static unsigned pattern_count = 1;
_Static_assert(PATTERN_LIMIT <= UINT16_MAX + 1, "numbers of patterns fit 16 bits");

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
static unsigned chain_of(const uint8_t *bytes) {
  uint32_t hash = bytes[0];
  unsigned at = 0;
  while (at < 3 && (bytes[at] == 0x66 || bytes[at] == 0x65 || bytes[at] == 0xF2 || bytes[at] == 0xF3))
    hash = hash * 31 + bytes[++at];
  if (bytes[at] == 0x0F) {
    hash = hash * 31 + bytes[++at];
    if (bytes[at] >= 0x80 && bytes[at] < 0x90)
      return hash * 0x9E3779B1u >> 19;
  } else if (has_no_modrm(bytes[at])) {
    return hash * 0x9E3779B1u >> 19;
  }
  uint8_t modrm = bytes[at + 1];
  hash = hash * 31 + modrm;
  if ((modrm & 7) == 4 && modrm < 0xC0)
    hash = hash * 31 + bytes[at + 2];
  return hash * 0x9E3779B1u >> 19;
}

static struct packed_layout pack(const struct value_layout *layout) {
  return (struct packed_layout){.offset = layout->offset & 15, .size = layout->size & 7, .is_signed = layout->is_signed};
}

/* As insn_value_at, without a branch on where it is or how long: most values are met once, and a wrong guess would
 * cost more than all of this. */
static uint32_t value_at(const uint8_t *bytes, struct packed_layout layout) {
  uint32_t word;
  memcpy(&word, bytes + layout.offset, sizeof word);
  const unsigned above = 32 - 8u * layout.size;
  const uint64_t top = (uint64_t)word << 32 << above;
  return layout.is_signed ? (uint32_t)((int64_t)top >> 32 >> above) : (uint32_t)(top >> 32 >> above);
}

static void unmask(uint8_t mask[LONGEST], const struct value_layout *layout) {
  memset(mask + layout->offset, 0, layout->size);
}

static bool can_be_read(const struct value_layout *layout) { return layout->offset <= VALUE_END; }

/* Keeps the instruction's pattern, if all of its form is in the window; its number, or 0. */
static unsigned learn(const uint8_t *bytes, const struct insn *insn, const struct insn_layout *layout) {
  uint8_t mask[LONGEST] = {0};
  memset(mask, 0xFF, insn->length);
  unmask(mask, &layout->disp);
  unmask(mask, &layout->imm[0]);
  unmask(mask, &layout->imm[1]);
  unmask(mask, &layout->target);
  for (unsigned i = WINDOW; i < sizeof mask; i++)
    if (mask[i])
      return 0;
  if (pattern_count == PATTERN_LIMIT || !can_be_read(&layout->disp) || !can_be_read(&layout->imm[0]) ||
      !can_be_read(&layout->imm[1]) || !can_be_read(&layout->target))
    return 0;
  struct pattern *pattern = &patterns[pattern_count];
  memcpy(&pattern->mask, mask, WINDOW);
  memcpy(&pattern->key, bytes, WINDOW);
  pattern->key &= pattern->mask;
  pattern->form = insn->form;
  pattern->length = insn->length;
  pattern->flow = insn->flow;
  pattern->condition = insn->condition;
  pattern->flags_read = insn->flags_read;
  pattern->flags_written = insn->flags_written;
  pattern->flags_changed = insn->flags_changed;
  pattern->flags_undefined = insn->flags_undefined;
  pattern->can_fault = insn->can_fault;
  pattern->accesses = insn->accesses;
  pattern->last_disp = layout->last_disp;
  pattern->disp = pack(&layout->disp);
  pattern->imm[0] = pack(&layout->imm[0]);
  pattern->imm[1] = pack(&layout->imm[1]);
  pattern->target = pack(&layout->target);
  uint16_t *last = &chain[chain_of(bytes)];
  while (*last)
    last = &patterns[*last].next;
  *last = (uint16_t)pattern_count;
  return pattern_count++;
}

static void recall(struct insn *insn, unsigned number, const uint8_t *bytes, guest_addr eip) {
  const struct pattern *pattern = &patterns[number];
  insn->form = pattern->form;
  insn->eip = eip;
  insn->disp = value_at(bytes, pattern->disp);
  insn->imm[0] = value_at(bytes, pattern->imm[0]);
  insn->imm[1] = value_at(bytes, pattern->imm[1]);
  insn->length = pattern->length;
  insn->flow = pattern->flow;
  insn->condition = pattern->condition;
  insn->flags_read = pattern->flags_read;
  insn->flags_written = pattern->flags_written;
  insn->flags_changed = pattern->flags_changed;
  insn->flags_undefined = pattern->flags_undefined;
  insn->can_fault = pattern->can_fault;
  insn->accesses = pattern->accesses;
  insn->segment = 0;
  insn->target = pattern->target.size ? insn_next(insn) + value_at(bytes, pattern->target) : 0;
  insn->pattern = number;
}

enum insn_status insn_decode_cached(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip) {
  if (size < LONGEST)
    return insn_decode(insn, bytes, size, eip);
  uint64_t window;
  memcpy(&window, bytes, WINDOW);
  for (unsigned number = chain[chain_of(bytes)]; number; number = patterns[number].next) {
    const struct pattern *pattern = &patterns[number];
    /* A zero displacement is none: another form, with a pattern of its own; and there may be a last one. */
    if ((window & pattern->mask) == pattern->key &&
        (!pattern->disp.size || value_at(bytes, pattern->disp) - 1 < pattern->last_disp)) {
      recall(insn, number, bytes, eip);
      return INSN_OK;
    }
  }
  struct insn_layout layout;
  enum insn_status status = insn_decode_layout(insn, bytes, size, eip, &layout);
  if (status == INSN_OK && layout.simple)
    insn->pattern = learn(bytes, insn, &layout);
  return status;
}
