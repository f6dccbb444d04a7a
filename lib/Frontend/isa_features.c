/* Which instructions a CPU without some feature does not have (insn.h). */
#include "Frontend/insn.h"
#include "Frontend/isa_features.h"

#include <Zydis/Zydis.h>
#include <string.h>

static bool excluded_set[ZYDIS_ISA_SET_MAX_VALUE + 1], excluded_mnemonic[ZYDIS_MNEMONIC_MAX_VALUE + 1], any;

#define SETS(...)                                                                                            \
  .set = { __VA_ARGS__ }
#define S(name) ZYDIS_ISA_SET_##name
#define MNEMONICS(...)                                                                                       \
  .mnemonic = { __VA_ARGS__ }
#define M(name) ZYDIS_MNEMONIC_##name

/* A row a feature, by QEMU's name: Zydis' sets of instructions that need it, and instructions of sets that do
 * not. Features that are not here take no instruction away. */
static const struct {
  const char *feature;
  uint16_t set[8], mnemonic[4];
} rows[] = {
    {"fpu", SETS(S(X87), S(FCMOV), S(SSE3X87))},
    {"tsc", MNEMONICS(M(RDTSC))},
    {"cx8", MNEMONICS(M(CMPXCHG8B))},
    {"cmov", SETS(S(CMOV), S(FCMOV)), MNEMONICS(M(FCOMI), M(FCOMIP), M(FUCOMI), M(FUCOMIP))},
    {"clflush", SETS(S(CLFSH))},
    {"mmx", SETS(S(PENTIUMMMX), S(SSE2MMX), S(SSSE3MMX)), MNEMONICS(M(PSHUFW), M(MASKMOVQ))},
    {"fxsr", SETS(S(FXSAVE))},
    {"sse", SETS(S(SSE), S(SSEMXCSR), S(SSE_PREFETCH)), MNEMONICS(M(PSHUFW), M(MASKMOVQ))},
    {"sse2", SETS(S(SSE2), S(SSE2MMX))},
    {"pni", SETS(S(SSE3), S(SSE3X87))},
    {"pclmulqdq", SETS(S(PCLMULQDQ))},
    {"ssse3", SETS(S(SSSE3), S(SSSE3MMX))},
    {"fma", SETS(S(FMA))},
    {"sse4.1", SETS(S(SSE4))},
    {"sse4.2", SETS(S(SSE42))},
    {"movbe", SETS(S(MOVBE))},
    {"popcnt", SETS(S(POPCNT))},
    {"aes", SETS(S(AES), S(AVXAES))},
    {"xsave", SETS(S(XSAVE))},
    {"avx", SETS(S(AVX), S(AVXAES), S(AVX_GFNI))},
    {"f16c", SETS(S(F16C))},
    {"rdrand", SETS(S(RDRAND))},
    {"bmi1", SETS(S(BMI1))},
    {"avx2", SETS(S(AVX2), S(AVX2GATHER))},
    {"bmi2", SETS(S(BMI2))},
    {"rdseed", SETS(S(RDSEED))},
    {"adx", SETS(S(ADOX_ADCX))},
    {"clflushopt", SETS(S(CLFLUSHOPT))},
    {"clwb", SETS(S(CLWB))},
    {"sha-ni", SETS(S(SHA))},
    {"gfni", SETS(S(GFNI), S(AVX_GFNI))},
    {"vaes", SETS(S(VAES))},
    {"vpclmulqdq", SETS(S(VPCLMULQDQ))},
    {"rdpid", SETS(S(RDPID))},
    {"xsaveopt", SETS(S(XSAVEOPT))},
    {"xsavec", SETS(S(XSAVEC))},
    {"abm", SETS(S(LZCNT))},
    {"sse4a", SETS(S(SSE4A))},
    {"rdtscp", SETS(S(RDTSCP))},
    {"clzero", SETS(S(CLZERO))},
    /* Not QEMU's: what all CPUs from family 6 on have. */
    {"long-nop", SETS(S(FAT_NOP), S(CET), S(PREFETCH_NOP), S(PPRO))},
};

void isa_feature_exclude(const char *feature) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (strcmp(rows[i].feature, feature) != 0)
      continue;
    any = true;
    insn_decode_without(strcmp(feature, "abm") == 0, strcmp(feature, "bmi1") == 0);
    for (unsigned k = 0; k < sizeof rows[i].set / sizeof rows[i].set[0]; k++)
      excluded_set[rows[i].set[k]] |= rows[i].set[k] != ZYDIS_ISA_SET_INVALID;
    for (unsigned k = 0; k < sizeof rows[i].mnemonic / sizeof rows[i].mnemonic[0]; k++)
      excluded_mnemonic[rows[i].mnemonic[k]] |= rows[i].mnemonic[k] != ZYDIS_MNEMONIC_INVALID;
  }
}

bool isa_is_excluded(unsigned set, unsigned mnemonic) {
  return any && (excluded_set[set] || excluded_mnemonic[mnemonic]);
}
