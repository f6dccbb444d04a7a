/* Does the lifter know every instruction that there is?
 *
 * Zydis has a table of definitions: which instructions exist, by instruction set. What of it is valid in
 * 32-bit mode is found by decoding all opcodes of all maps, with each prefix and with operands in registers
 * and memory. Each mnemonic of each set must then be in the lifter's tables, or its set must be listed here
 * with the reason why not: CPUID does not report those sets, and their instructions are #UD.
 *
 *     instruction_list_test list      prints every mnemonic: known or not, its set, an encoding */
#include "Frontend/isa_features.h"
#include "Frontend/lift.h"

#include <Zydis/Zydis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- What there is --------------------------------------------------------------------------- */

static struct {
  bool exists, known;
  uint8_t bytes[15], length; /* one that is known, if there is any */
} found[ZYDIS_MNEMONIC_MAX_VALUE + 1][ZYDIS_ISA_SET_MAX_VALUE + 1];
static ZydisDecoder decoder;

static void look_at(const uint8_t bytes[16]) {
  ZydisDecodedInstruction zi;
  struct insn insn;
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, 15, &zi)))
    return;
  __auto_type entry = &found[zi.mnemonic][zi.meta.isa_set];
  bool known = insn_decode(&insn, bytes, 15, 0x1000) == INSN_OK && lift_is_implemented(&insn);
  if (!entry->exists || (known && !entry->known)) {
    memcpy(entry->bytes, bytes, sizeof entry->bytes);
    entry->length = zi.length;
  }
  entry->exists = true;
  entry->known |= known;
}

/* The opcode with all that a ModRM byte can say, a SIB byte with a vector index behind it. */
static void look_at_opcode(const uint8_t *opcode, size_t size) {
  enum { SIB = 0x0B };
  for (unsigned modrm = 0; modrm < 256; modrm++) {
    uint8_t bytes[16] = {0};
    memcpy(bytes, opcode, size);
    bytes[size] = (uint8_t)modrm;
    if ((modrm & 7) == 4 && modrm < 0xC0)
      bytes[size + 1] = SIB;
    look_at(bytes);
  }
}

static void look_at_legacy(void) {
  static const uint8_t prefixes[] = {0, 0x66, 0xF3, 0xF2},
                       escapes[][2] = {{0}, {0x0F}, {0x0F, 0x38}, {0x0F, 0x3A}};
  enum { LOCK = 0xF0 };
  for (unsigned lock = 0; lock < 2; lock++)
    for (unsigned p = 0; p < 4; p++)
      for (unsigned e = 0; e < 4; e++)
        for (unsigned opcode = 0; opcode < 256; opcode++) {
          uint8_t bytes[5];
          size_t size = 0;
          if (lock)
            bytes[size++] = LOCK;
          if (prefixes[p])
            bytes[size++] = prefixes[p];
          for (unsigned i = 0; i < 2 && escapes[e][i]; i++)
            bytes[size++] = escapes[e][i];
          bytes[size++] = (uint8_t)opcode;
          look_at_opcode(bytes, size);
        }
}

/* 3DNow!'s opcodes come last. */
static void look_at_3dnow(void) {
  for (unsigned opcode = 0; opcode < 256; opcode++)
    look_at((uint8_t[16]){0x0F, 0x0F, 0xC1, (uint8_t)opcode});
}

/* VEX and XOP: maps, prefixes, lengths, W, with and without a third register. */
static void look_at_vex(uint8_t escape, unsigned first_map, unsigned last_map) {
  for (unsigned map = first_map; map <= last_map; map++)
    for (unsigned form = 0; form < 8 * 2 * 2; form++)
      for (unsigned opcode = 0; opcode < 256; opcode++) {
        const unsigned third = form & 16 ? 15 : 14;
        look_at_opcode((uint8_t[]){escape, (uint8_t)(0xE0 | map),
                                   (uint8_t)((form & 8) << 4 | third << 3 | (form & 7)), (uint8_t)opcode},
                       4);
      }
}

static void look_at_all(void) {
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  look_at_legacy();
  look_at_3dnow();
  look_at_vex(0xC4, 1, 3);
  look_at_vex(0x8F, 8, 10);
}

/* --- The tests ------------------------------------------------------------------------------- */

static void each_instruction_is_known_or_left_out(void **state) {
  (void)state;
  unsigned known = 0, missing = 0, excused = 0;
  for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
    for (unsigned set = 0; set <= ZYDIS_ISA_SET_MAX_VALUE; set++) {
      if (!found[m][set].exists)
        continue;
      known += found[m][set].known;
      if (found[m][set].known)
        continue;
      excused += isa_set_left_out(set) != NULL;
      if (isa_set_left_out(set))
        continue;
      missing++;
      print_error("%s (%s) is not known\n", ZydisMnemonicGetString((ZydisMnemonic)m),
                  ZydisISASetGetString((ZydisISASet)set));
    }
  print_message("%u known, %u left out with their sets\n", known, excused);
  assert_int_equal(missing, 0);
  assert_true(known > 1000); /* the tables have not become empty */
}

/* A set that is left out with nothing missing is no longer left out. */
static void each_excuse_is_needed(void **state) {
  (void)state;
  for (unsigned set = 0; set <= ZYDIS_ISA_SET_MAX_VALUE; set++) {
    bool needed = !isa_set_left_out(set);
    for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE && !needed; m++)
      needed = found[m][set].exists && !found[m][set].known;
    if (!needed)
      fail_msg("all of %s is known", ZydisISASetGetString((ZydisISASet)set));
  }
}

/* AVX-512 shares mnemonics with AVX: its forms must not be taken for those. */
static void evex_is_invalid(void **state) {
  (void)state;
  struct insn insn;
  static const uint8_t vaddps_zmm[16] = {0x62, 0xF1, 0x74, 0x48, 0x58, 0xC2},
                       vaddps_xmm[16] = {0x62, 0xF1, 0x74, 0x08, 0x58, 0xC2};
  assert_int_equal(insn_decode(&insn, vaddps_zmm, 15, 0x1000), INSN_INVALID);
  assert_int_equal(insn_decode(&insn, vaddps_xmm, 15, 0x1000), INSN_INVALID);
}

static void list(void) {
  for (unsigned set = 0; set <= ZYDIS_ISA_SET_MAX_VALUE; set++)
    for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
      if (!found[m][set].exists)
        continue;
      printf("%-7s %-16s %-16s ", found[m][set].known ? "known" : "-", ZydisISASetGetString((ZydisISASet)set),
             ZydisMnemonicGetString((ZydisMnemonic)m));
      for (unsigned i = 0; i < found[m][set].length; i++)
        printf("%02x", found[m][set].bytes[i]);
      const char *why = found[m][set].known ? NULL : isa_set_left_out(set);
      printf("%s%s\n", why ? "  " : "", why ? why : "");
    }
}

int main(int argc, char *argv[]) {
  look_at_all();
  if (argc == 2 && strcmp(argv[1], "list") == 0) {
    list();
    return 0;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_instruction_is_known_or_left_out),
                                     cmocka_unit_test(each_excuse_is_needed),
                                     cmocka_unit_test(evex_is_invalid)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
