/* The ways through random bytes: from each instruction to the next one and to the target of a relative
 * branch, with the flags that are undefined on the way there. Flags that are undefined on one of two ways
 * that meet are undefined; an instruction is looked at again when that made them more.
 *
 * Indirect jumps lead out of the code: its own addresses are in no register, and on the stack only after
 * calls, which are taken to come back. */
#include "paths.h"
#include "undefined.h"

#include <string.h>

struct walk {
  const struct definitions *definitions;
  const uint8_t *code;
  size_t length;
  bool known[PATHS_LIMIT], waiting[PATHS_LIMIT];
  uint32_t undefined[PATHS_LIMIT]; /* before the instruction */
  uint32_t sum[PATHS_LIMIT];       /* flag_track.sum of some way there */
  struct paths paths;
};

static void reach(struct walk *walk, int64_t at, const struct flag_track *track) {
  const uint32_t undefined = track->undefined;
  /* Into the jump that ends the program: what its bytes are depends on where it lies. */
  enum { JUMP_LENGTH = 5 };
  if (at > (int64_t)walk->length && at < (int64_t)walk->length + JUMP_LENGTH)
    walk->paths.excluded = true;
  if (at < 0 || at >= (int64_t)walk->length)
    return;
  if (walk->known[at] && (undefined & ~walk->undefined[at]) == 0)
    return;
  if (track->sum)
    walk->sum[at] = track->sum;
  walk->known[at] = walk->waiting[at] = true;
  walk->undefined[at] |= undefined;
}

static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};

static size_t skip_prefixes(const uint8_t *code, size_t length) {
  size_t at = 0;
  while (at < length && memchr(prefixes, code[at], sizeof prefixes))
    at++;
  return at;
}

/* EVEX, whether or not Zydis knows what instruction it is. */
static bool is_evex(const uint8_t *code, size_t length) {
  enum { BOUND_EVEX = 0x62, REGISTER_FORM = 0xc0 };
  const size_t at = skip_prefixes(code, length);
  return at + 1 < length && code[at] == BOUND_EVEX && code[at + 1] >= REGISTER_FORM;
}

/* What AMD's Zen executes though it should be undefined: `lock verw`, and vpermq and vpermpd without VEX.W.
 */
static bool is_peculiar(const uint8_t *code, size_t length) {
  enum {
    LOCK = 0xf0,
    ESCAPE = 0x0f,
    GROUP6 = 0x00,
    VERW = 5,
    VEX = 0xc4,
    MAP = 0xe3,
    W_L_PP = 0x87,
    YMM_66 = 0x05
  };
  const size_t at = skip_prefixes(code, length);
  const bool locked = memchr(code, LOCK, at);
  code += at, length -= at;
  if (length < 4)
    return false;
  if (code[0] == VEX && code[1] == MAP)
    return (code[2] & W_L_PP) == YMM_66 && code[3] <= 1;
  return locked && code[0] == ESCAPE && code[1] == GROUP6 && (code[2] >> 3 & 7) == VERW;
}

static bool goes_on(const ZydisDecodedInstruction *zi) {
  switch (zi->meta.category) {
  case ZYDIS_CATEGORY_UNCOND_BR:
  case ZYDIS_CATEGORY_RET:
  case ZYDIS_CATEGORY_INTERRUPT:
    return zi->mnemonic == ZYDIS_MNEMONIC_INTO || zi->mnemonic == ZYDIS_MNEMONIC_BOUND;
  default:
    return zi->mnemonic != ZYDIS_MNEMONIC_HLT;
  }
}

bool paths_stores_environment(const ZydisDecodedInstruction *zi) {
  return zi->mnemonic == ZYDIS_MNEMONIC_FNSTENV || zi->mnemonic == ZYDIS_MNEMONIC_FNSAVE;
}

static void visit(struct walk *walk, size_t at) {
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  if (is_evex(walk->code + at, walk->length - at) || is_peculiar(walk->code + at, walk->length - at)) {
    walk->paths.excluded = true;
    return;
  }
  if (!decode(walk->code + at, walk->length - at, &zi, zo))
    return;
  if (definitions_reason(walk->definitions->groups, &zi, zo))
    walk->paths.excluded = true;
  walk->paths.stores_environment |= paths_stores_environment(&zi);
  struct flag_track track = {.undefined = walk->undefined[at], .sum = walk->sum[at]};
  if (!flag_track_add(&track, &zi, zo))
    walk->paths.reads_undefined = true;
  walk->paths.undefined |= track.undefined | track.at_exits;
  size_t next = at + zi.length;
  if (zi.operand_count_visible && zo[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && zo[0].imm.is_relative)
    reach(walk, (int64_t)next + zo[0].imm.value.s, &track);
  if (goes_on(&zi))
    reach(walk, (int64_t)next, &track);
}

struct paths paths_find(const struct definitions *definitions, const uint8_t *code, size_t length) {
  struct walk walk = {.definitions = definitions, .code = code, .length = length};
  bool again = true;
  reach(&walk, 0, &(struct flag_track){0});
  while (again && !walk.paths.excluded && !walk.paths.reads_undefined) {
    again = false;
    for (size_t at = 0; at < length; at++)
      if (walk.waiting[at]) {
        walk.waiting[at] = false;
        again = true;
        visit(&walk, at);
      }
  }
  return walk.paths;
}
