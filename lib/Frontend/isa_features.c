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

/* --- What no CPU model has ------------------------------------------------------------------------------ */

static const char *const left_out[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
    /* AMD's, gone from its CPUs with Zen or before. */
    [S(AMD3DNOW)] = "no CPU has had it since 2012",
    [S(FMA4)] = "no CPU has had it since 2017",
    [S(LWP)] = "no CPU has had it since 2017",
    [S(TBM)] = "no CPU has had it since 2017",
    [S(XOP)] = "no CPU has had it since 2017",
    /* VIA's. */
    [S(PADLOCK_ACE)] = "VIA's CPUs only",
    [S(PADLOCK_PHE)] = "VIA's CPUs only",
    [S(PADLOCK_PMM)] = "VIA's CPUs only",
    [S(PADLOCK_RNG)] = "VIA's CPUs only",
    /* What a kernel must switch on, and Linux does not for 32-bit programs. */
    [S(CET)] = "shadow stacks are off: #UD, or the nops that are known",
    [S(ENQCMD)] = "needs a PASID from a driver",
    [S(PKU)] = "protection keys: CPUID has no OSPKE",
    /* Optional, and rare in programs of 32 bits. */
    [S(AVX512BW_KOP)] = "no AVX-512; its EVEX forms are not looked at here",
    [S(AVX512DQ_KOP)] = "no AVX-512",
    [S(AVX512F_KOP)] = "no AVX-512",
    [S(AVX_VNNI)] = "not reported",
    [S(KEYLOCKER)] = "not reported",
    [S(KEYLOCKER_WIDE)] = "not reported",
    [S(MONITORX)] = "not reported",
    [S(MOVDIR)] = "not reported",
    [S(PT)] = "not reported",
    [S(RDPRU)] = "not reported",
    [S(RTM)] = "transactions: not reported",
    [S(SERIALIZE)] = "not reported",
    [S(TSX_LDTRK)] = "transactions: not reported",
    [S(WAITPKG)] = "not reported",
    /* For kernels and hypervisors: #UD without them, or outside ring 0. */
    [S(AMD_INVLPGB)] = "ring 0",
    [S(HRESET)] = "ring 0",
    [S(MCOMMIT)] = "needs EFER.MCOMMIT",
    [S(PCONFIG)] = "ring 0",
    [S(SGX)] = "enclaves",
    [S(SGX_ENCLV)] = "enclaves",
    [S(SMAP)] = "ring 0",
    [S(SVM)] = "vmmcall: there is no hypervisor to call",
    [S(TDX)] = "inside a trust domain",
    [S(VMFUNC)] = "inside a virtual machine",
    [S(VTX)] = "ring 0; vmcall: there is no hypervisor to call",
};

const char *isa_set_left_out(unsigned set) { return left_out[set]; }
