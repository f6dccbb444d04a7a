/* The table of known differences. Each row is an instruction and the trap that the CPU raised there.
 */
#include "known.h"

#include <stddef.h>
#include <stdio.h>

enum { TRAP_DEBUG = 1, TRAP_PROTECTION = 13, TRAP_PAGE = 14 };

struct known {
  ZydisMnemonic mnemonic;
  ZydisInstructionAttributes attributes; /* all of them must be there */
  uint32_t trap;
  unsigned parts;
  const char *what;
};

#define ROW(name, trap, parts, what)                                                                         \
  { ZYDIS_MNEMONIC_##name, 0, trap, parts, what }
static const char emulated[] =
    "the kernel emulates it (UMIP), and reports any fault as a page missing at the operand's address";
static const char larger[] = "with AVX-512, which the emulator does not have, the area is larger";
static const char before[] =
    "behind it, as the CPU has it; KVM catches the #DB on AMD's CPUs and gives it back at the instruction";
static const char elements[] = "single elements beyond the end of FS or GS wrap around to its beginning";
static const char in_part[] =
    "a word of the state lies on both sides of the end of FS or GS: what is before it was stored or loaded";
/* An operand by FS or GS that goes beyond the segment's end. */
#define BEYOND(name, what)                                                                                   \
  {ZYDIS_MNEMONIC_##name, ZYDIS_ATTRIB_HAS_SEGMENT_FS, TRAP_PROTECTION, KNOWN_ALL, what}, {                  \
    ZYDIS_MNEMONIC_##name, ZYDIS_ATTRIB_HAS_SEGMENT_GS, TRAP_PROTECTION, KNOWN_ALL, what                     \
  }
static const struct known table[] = {
    BEYOND(FLDENV, in_part),
    BEYOND(FNSAVE, in_part),
    BEYOND(FNSTENV, in_part),
    BEYOND(FRSTOR, in_part),
    BEYOND(VMASKMOVPS, elements),
    BEYOND(VMASKMOVPD, elements),
    BEYOND(VPMASKMOVD, elements),
    BEYOND(VPMASKMOVQ, elements),
    ROW(INT1, TRAP_DEBUG, KNOWN_EIP, before),
    ROW(SGDT, TRAP_PAGE, KNOWN_ALL, emulated),
    ROW(SIDT, TRAP_PAGE, KNOWN_ALL, emulated),
    ROW(SLDT, TRAP_PAGE, KNOWN_ALL, emulated),
    ROW(SMSW, TRAP_PAGE, KNOWN_ALL, emulated),
    ROW(STR, TRAP_PAGE, KNOWN_ALL, emulated),
    ROW(XSAVE, TRAP_PAGE, KNOWN_ALL, larger),
    ROW(XSAVEC, TRAP_PAGE, KNOWN_ALL, larger),
    ROW(XRSTOR, TRAP_PAGE, KNOWN_ALL, larger),
};
#undef BEYOND
#undef ROW

static bool ignored;

void known_ignore(void) { ignored = true; }

unsigned known_parts(uint32_t trap, const ZydisDecodedInstruction *zi) {
  unsigned parts = 0;
  if (ignored)
    return 0;
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (table[i].trap == trap && table[i].mnemonic == zi->mnemonic &&
        (zi->attributes & table[i].attributes) == table[i].attributes)
      parts |= table[i].parts;
  return parts;
}

void known_table_print(void) {
  static const char *const parts[] = {"all", "address", "si_code, error code", "general registers", "EIP"};
  static const struct {
    ZydisInstructionAttributes attribute;
    const char *text;
  } attributes[] = {{ZYDIS_ATTRIB_HAS_SEGMENT_FS, " with FS"},
                    {ZYDIS_ATTRIB_HAS_SEGMENT_GS, " with GS"},
                    {ZYDIS_ATTRIB_HAS_ADDRESSSIZE, " with a 16-bit address"}};
  printf("| instruction | trap | not compared | why |\n|---|---|---|---|\n");
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    const struct known *row = &table[i];
    const char *condition = "";
    for (size_t a = 0; a < sizeof attributes / sizeof attributes[0]; a++)
      if (row->attributes == attributes[a].attribute)
        condition = attributes[a].text;
    printf("| %s%s | %u |", ZydisMnemonicGetString(row->mnemonic), condition, row->trap);
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
      if (row->parts >> p & 1)
        printf(" %s", parts[p]);
    printf(" | %s |\n", row->what);
  }
}
