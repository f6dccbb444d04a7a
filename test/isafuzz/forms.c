/* The list that test/guests/checksums.c is built with: one encoding of each definition, and the flags that it
 * leaves undefined. Memory operands are (%ebx). */
#include "fuzzer.h"
#include "undefined.h"

#include <stdio.h>
#include <string.h>

/* Results that are each CPU's own: approximations, transcendental functions. */
static bool is_approximate(const ZydisDecodedInstruction *zi) {
  static const char *const names[] = {"rcp",  "rsqrt", "vrcp",   "vrsqrt", "fsin",
                                      "fcos", "fptan", "fpatan", "fyl2x",  "f2xm1"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (!strncmp(ZydisMnemonicGetString(zi->mnemonic), names[i], strlen(names[i])))
      return true;
  return false;
}

/* Transfers, which have other tests; what the kernel answers; whole x87 states, with addresses in them. */
static bool is_left_out(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo) {
  enum { LARGEST_VALUE = 256 };
  switch (zi->meta.category) {
  case ZYDIS_CATEGORY_COND_BR:
  case ZYDIS_CATEGORY_UNCOND_BR:
  case ZYDIS_CATEGORY_CALL:
  case ZYDIS_CATEGORY_RET:
  case ZYDIS_CATEGORY_SYSTEM:
  case ZYDIS_CATEGORY_INTERRUPT:
  case ZYDIS_CATEGORY_IO:
  case ZYDIS_CATEGORY_IOSTRINGOP:
    return true;
  default:
    break;
  }
  bool is_x87 = zi->meta.isa_ext == ZYDIS_ISA_EXT_X87 || zi->meta.isa_ext == ZYDIS_ISA_EXT_BASE;
  return zi->operand_count_visible && zo[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
         (zo[0].size > LARGEST_VALUE || (is_x87 && zo[0].size > 80 && zi->mnemonic != ZYDIS_MNEMONIC_BOUND));
}

/* What every CPU has that runs the other tests. */
static bool is_basic(const ZydisDecodedInstruction *zi) {
  switch (zi->meta.isa_ext) {
  case ZYDIS_ISA_EXT_BASE:
  case ZYDIS_ISA_EXT_X87:
  case ZYDIS_ISA_EXT_MMX:
  case ZYDIS_ISA_EXT_SSE:
  case ZYDIS_ISA_EXT_SSE2:
    return true;
  default:
    return false;
  }
}

void forms_print(const struct definitions *definitions, bool basic) {
  for (size_t i = 0; i < definitions->count; i++) {
    const struct definition *definition = &definitions->at[i];
    uint8_t code[16] = {0};
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
    const struct encoding *encoding = &definitions->encoding[definition->first_encoding];
    size_t at = encoding_write(encoding, code);
    if (encoding->has_modrm)
      code[at++] = encoding->modrm;
    memcpy(code + at, "\x1b\x05\x00\x20", 4); /* immediates; a displacement is one into the scratch page */
    if (!decode(code, sizeof code, &zi, zo) || definition->exclusion || is_left_out(&zi, zo) ||
        is_approximate(&zi) || is_basic(&zi) != basic)
      continue;
    struct flag_track track = {0};
    flag_track_add(&track, &zi, zo);
    printf("{\"");
    for (unsigned b = 0; b < zi.length; b++)
      printf("%02x", code[b]);
    printf("\", 0x%03x, \"%s\"},\n", track.anywhere, definition->text);
  }
}
