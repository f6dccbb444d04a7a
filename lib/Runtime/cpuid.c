/* The guest's CPUID: the host's identity and caches, and of its features those that the lifter
 * implements and a 32-bit user program can use.
 *
 * A feature is a row of one table. It is reported if the host has it and everything that it needs. */
#include "Runtime/cpuid.h"
#include "Runtime/cpu_model.h"
#include "Runtime/fpu.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* --- What the host says ----------------------------------------------------------------------------
 * CPUID takes microseconds on a virtual machine, and libc asks for some leaves again and again, so what is
 * asked often is kept. Two threads may fill in the same row; they write the same. */

struct leaf {
  uint32_t leaf, subleaf;
  struct cpuid_result result;
  bool known; /* written last */
};

static struct cpuid_result ask(uint32_t leaf, uint32_t subleaf) {
  struct cpuid_result r = {0};
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

static struct cpuid_result host(uint32_t leaf, uint32_t subleaf) {
  static struct leaf leaves[] = {
      {.leaf = 0},
      {.leaf = 1},
      {.leaf = 2},
      {.leaf = 7},
      {.leaf = 7, .subleaf = 1},
      {.leaf = 13, .subleaf = 1},
      {.leaf = 0x80000000},
      {.leaf = 0x80000001},
      {.leaf = 0x80000002},
      {.leaf = 0x80000003},
      {.leaf = 0x80000004},
      {.leaf = 0x80000005},
      {.leaf = 0x80000006},
      {.leaf = 0x80000007},
  };
  for (size_t i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
    struct leaf *row = &leaves[i];
    if (row->leaf != leaf || row->subleaf != subleaf)
      continue;
    if (!__atomic_load_n(&row->known, __ATOMIC_ACQUIRE)) {
      row->result = ask(leaf, subleaf);
      __atomic_store_n(&row->known, true, __ATOMIC_RELEASE);
    }
    return row->result;
  }
  return ask(leaf, subleaf);
}

/* A leaf beyond the highest would give what the highest one gives. */
static struct cpuid_result host_if_there(uint32_t leaf, uint32_t subleaf) {
  return host(leaf & 0x80000000, 0).eax >= leaf ? host(leaf, subleaf) : (struct cpuid_result){0};
}

/* --- Features ---------------------------------------------------------------------------------------- */

/* Where feature bits are. */
enum word {
  LEAF_1_ECX,
  LEAF_1_EDX,
  LEAF_7_EBX,
  LEAF_7_ECX,
  LEAF_7_EDX,
  LEAF_13_EAX, /* of subleaf 1 */
  EXTENDED_1_ECX,
  EXTENDED_1_EDX,
  EXTENDED_8_EBX,
};

static uint32_t host_word(enum word word) {
  switch (word) {
  case LEAF_1_ECX:
    return host(1, 0).ecx;
  case LEAF_1_EDX:
    return host(1, 0).edx;
  case LEAF_7_EBX:
    return host_if_there(7, 0).ebx;
  case LEAF_7_ECX:
    return host_if_there(7, 0).ecx;
  case LEAF_7_EDX:
    return host_if_there(7, 0).edx;
  case LEAF_13_EAX:
    return host_if_there(13, 1).eax;
  case EXTENDED_1_ECX:
    return host_if_there(0x80000001, 0).ecx;
  case EXTENDED_1_EDX:
    return host_if_there(0x80000001, 0).edx;
  default:
    return host_if_there(0x80000008, 0).ebx;
  }
}

/* Names as QEMU has them. */
static const struct feature {
  const char *name;
  uint8_t word, bit; /* enum word */
  uint8_t state;     /* XSTATE_*: components of XCR0 that it needs */
} features[] = {
    /* Leaf 1, EDX. No SYSENTER: system calls are int 0x80. */
    {"fpu", LEAF_1_EDX, 0, 0},
    {"tsc", LEAF_1_EDX, 4, 0},
    {"cx8", LEAF_1_EDX, 8, 0},
    {"cmov", LEAF_1_EDX, 15, 0},
    {"clflush", LEAF_1_EDX, 19, 0},
    {"mmx", LEAF_1_EDX, 23, 0},
    {"fxsr", LEAF_1_EDX, 24, 0},
    {"sse", LEAF_1_EDX, 25, 0},
    {"sse2", LEAF_1_EDX, 26, 0},
    /* Leaf 1, ECX. */
    {"pni", LEAF_1_ECX, 0, 0},
    {"pclmulqdq", LEAF_1_ECX, 1, 0},
    {"ssse3", LEAF_1_ECX, 9, 0},
    {"fma", LEAF_1_ECX, 12, XSTATE_YMM},
    {"sse4.1", LEAF_1_ECX, 19, 0},
    {"sse4.2", LEAF_1_ECX, 20, 0},
    {"movbe", LEAF_1_ECX, 22, 0},
    {"popcnt", LEAF_1_ECX, 23, 0},
    {"aes", LEAF_1_ECX, 25, 0},
    {"xsave", LEAF_1_ECX, 26, XSTATE_SSE},
    {"osxsave", LEAF_1_ECX, 27, XSTATE_SSE},
    {"avx", LEAF_1_ECX, 28, XSTATE_YMM},
    {"f16c", LEAF_1_ECX, 29, XSTATE_YMM},
    {"rdrand", LEAF_1_ECX, 30, 0},
    /* Leaf 7, EBX. */
    {"bmi1", LEAF_7_EBX, 3, 0},
    {"avx2", LEAF_7_EBX, 5, XSTATE_YMM},
    {"fdp-excptn-only", LEAF_7_EBX, 6, 0},
    {"bmi2", LEAF_7_EBX, 8, 0},
    {"erms", LEAF_7_EBX, 9, 0},
    {"zero-fcs-fds", LEAF_7_EBX, 13, 0},
    {"rdseed", LEAF_7_EBX, 18, 0},
    {"adx", LEAF_7_EBX, 19, 0},
    {"clflushopt", LEAF_7_EBX, 23, 0},
    {"clwb", LEAF_7_EBX, 24, 0},
    {"sha-ni", LEAF_7_EBX, 29, 0},
    /* Leaf 7, ECX. */
    {"prefetchwt1", LEAF_7_ECX, 0, 0},
    {"gfni", LEAF_7_ECX, 8, 0},
    {"vaes", LEAF_7_ECX, 9, XSTATE_YMM},
    {"vpclmulqdq", LEAF_7_ECX, 10, XSTATE_YMM},
    {"rdpid", LEAF_7_ECX, 22, 0},
    {"cldemote", LEAF_7_ECX, 25, 0},
    /* Leaf 7, EDX. */
    {"fsrm", LEAF_7_EDX, 4, 0},
    /* Leaf 13, EAX. */
    {"xsaveopt", LEAF_13_EAX, 0, XSTATE_SSE},
    {"xsavec", LEAF_13_EAX, 1, XSTATE_SSE},
    {"xgetbv1", LEAF_13_EAX, 2, XSTATE_SSE},
    /* Leaf 0x80000001, ECX. */
    {"lahf_lm", EXTENDED_1_ECX, 0, 0},
    {"abm", EXTENDED_1_ECX, 5, 0},
    {"sse4a", EXTENDED_1_ECX, 6, 0},
    {"misalignsse", EXTENDED_1_ECX, 7, 0},
    {"3dnowprefetch", EXTENDED_1_ECX, 8, 0},
    /* Leaf 0x80000001, EDX: AMD repeats what leaf 1 has. */
    {"amd-fpu", EXTENDED_1_EDX, 0, 0},
    {"amd-tsc", EXTENDED_1_EDX, 4, 0},
    {"amd-cx8", EXTENDED_1_EDX, 8, 0},
    {"amd-cmov", EXTENDED_1_EDX, 15, 0},
    {"mmxext", EXTENDED_1_EDX, 22, 0},
    {"amd-mmx", EXTENDED_1_EDX, 23, 0},
    {"amd-fxsr", EXTENDED_1_EDX, 24, 0},
    {"fxsr_opt", EXTENDED_1_EDX, 25, 0},
    {"rdtscp", EXTENDED_1_EDX, 27, 0},
    /* Leaf 0x80000008, EBX. */
    {"clzero", EXTENDED_8_EBX, 0, 0},
};

enum { FEATURE_COUNT = sizeof features / sizeof features[0] };
static bool is_off[FEATURE_COUNT];

const char *cpuid_feature_name(unsigned feature) {
  return feature < FEATURE_COUNT ? features[feature].name : NULL;
}
void cpuid_feature_set(unsigned feature, bool on) { is_off[feature] = !on; }

/* Is the feature, which is in the table, on? */
static bool is_on(enum word word, unsigned bit) {
  for (size_t i = 0; i < FEATURE_COUNT; i++)
    if (features[i].word == word && features[i].bit == bit)
      return !is_off[i];
  return false;
}

/* The bits of a word that the guest has. */
static uint32_t guest_word(enum word word) {
  uint32_t bits = 0;
  for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
    if (features[i].word == word && !is_off[i] && (features[i].state & ~guest_xcr0()) == 0)
      bits |= 1u << features[i].bit;
  return bits & host_word(word);
}

uint64_t host_xcr0(void) {
  enum { OSXSAVE = 1 << 27 };
  static uint64_t known; /* XCR0 does not change; two threads would write the same */
  uint64_t xcr0 = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (!xcr0 && host(1, 0).ecx & OSXSAVE) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    xcr0 = low & (XSTATE_X87 | XSTATE_SSE | XSTATE_YMM);
    __atomic_store_n(&known, xcr0, __ATOMIC_RELAXED);
  }
  return xcr0;
}

uint64_t guest_xcr0(void) {
  enum { XSAVE = 26, AVX = 28 };
  if (!is_on(LEAF_1_ECX, XSAVE))
    return 0;
  return is_on(LEAF_1_ECX, AVX) ? host_xcr0() : host_xcr0() & (XSTATE_X87 | XSTATE_SSE);
}

bool cpuid_feature_is_set(unsigned feature) {
  return !is_off[feature] && (features[feature].state & ~guest_xcr0()) == 0;
}

/* SDM vol. 1, 13.2. */
static struct cpuid_result xsave_leaf(uint32_t subleaf) {
  const uint64_t xcr0 = guest_xcr0();
  const uint32_t size = xcr0 & XSTATE_YMM ? XSAVE_YMM + XSAVE_YMM_SIZE : XSAVE_YMM;
  if (!xcr0)
    return (struct cpuid_result){0};
  switch (subleaf) {
  case 0: /* components; sizes of the image for those in XCR0, and for all */
    return (struct cpuid_result){.eax = (uint32_t)xcr0, .ebx = size, .ecx = size};
  case 1: /* features; size in the compact format */
    return (struct cpuid_result){.eax = guest_word(LEAF_13_EAX), .ebx = size};
  case 2: /* the upper halves: size, place */
    return xcr0 & XSTATE_YMM ? (struct cpuid_result){.eax = XSAVE_YMM_SIZE, .ebx = XSAVE_YMM}
                             : (struct cpuid_result){0};
  default:
    return (struct cpuid_result){0};
  }
}

/* --- Leaves --------------------------------------------------------------------------------------------- */

/* Family, model and stepping as leaf 1 has them (SDM vol. 2, CPUID). */
static uint32_t signature(const struct cpu_model *model) {
  enum { EXTENDED_FAMILY = 15 };
  const uint32_t family = model->family < EXTENDED_FAMILY ? model->family : EXTENDED_FAMILY;
  return model->stepping | (model->model & 15u) << 4 | family << 8 | (uint32_t)(model->model >> 4) << 16 |
         (model->family - family) << 20;
}

static uint32_t four_bytes(const char *text, size_t at) {
  uint32_t bytes = 0;
  const size_t length = strlen(text), left = at < length ? length - at : 0;
  memcpy(&bytes, text + (left ? at : 0), left < sizeof bytes ? left : sizeof bytes);
  return bytes;
}

/* What a model says otherwise than the host. False: nothing of this leaf. */
static bool model_leaf(const struct cpu_model *model, uint32_t leaf, struct cpuid_result *r) {
  enum { WORD = 4, NAME_LEAF_SIZE = 16 };
  const bool extended = leaf & 0x80000000;
  const uint32_t level = model->level < 13 && guest_xcr0() ? 13 : model->level;
  if (extended ? leaf > model->extended_level && leaf != 0x80000000 : leaf > level) {
    *r = (struct cpuid_result){0};
    return true;
  }
  switch (leaf) {
  case 0:
  case 0x80000000:
    *r = (struct cpuid_result){.eax = extended ? model->extended_level : level,
                               .ebx = four_bytes(model->vendor, 0),
                               .edx = four_bytes(model->vendor, WORD),
                               .ecx = four_bytes(model->vendor, 2 * WORD)};
    return true;
  case 0x80000002:
  case 0x80000003:
  case 0x80000004: {
    const size_t at = NAME_LEAF_SIZE * (leaf - 0x80000002);
    *r = (struct cpuid_result){
        four_bytes(model->description, at), four_bytes(model->description, at + WORD),
        four_bytes(model->description, at + 2 * WORD), four_bytes(model->description, at + 3 * WORD)};
    return true;
  }
  default:
    return false;
  }
}

struct cpuid_result guest_cpuid(uint32_t leaf, uint32_t subleaf) {
  const struct cpu_model *model = cpu_model_chosen();
  struct cpuid_result r = {0};
  if (model && model_leaf(model, leaf, &r))
    return r;
  switch (leaf) {
  case 0: /* highest leaf, vendor */
    r = host(0, 0);
    r.eax = guest_xcr0() ? 13 : 7;
    break;
  case 1: /* family, features */
    r = host(1, 0);
    if (model)
      r.eax = signature(model);
    r.ebx = (r.ebx & 0x0000FF00) | 1 << 16; /* clflush line; one logical CPU */
    r.ecx = guest_word(LEAF_1_ECX);
    r.edx = guest_word(LEAF_1_EDX);
    break;
  case 2: /* caches */
    r = host(2, 0);
    break;
  case 4:
    r = host(4, subleaf);
    break;
  case 7:
    if (subleaf == 0)
      r = (struct cpuid_result){
          .ebx = guest_word(LEAF_7_EBX), .ecx = guest_word(LEAF_7_ECX), .edx = guest_word(LEAF_7_EDX)};
    break;
  case 13:
    r = xsave_leaf(subleaf);
    break;
  case 0x80000000:
    r = host(leaf, 0);
    r.eax = 0x80000008;
    break;
  case 0x80000001:
    r.eax = model ? signature(model) : host(leaf, 0).eax;
    r.ecx = guest_word(EXTENDED_1_ECX);
    r.edx = guest_word(EXTENDED_1_EDX);
    break;
  case 0x80000002: /* name */
  case 0x80000003:
  case 0x80000004:
  case 0x80000005: /* caches, as AMD says them */
  case 0x80000006:
    r = host(leaf, 0);
    break;
  case 0x80000007:
    r.edx = host_if_there(leaf, 0).edx & 1 << 8; /* the time stamp counter's rate is constant */
    break;
  case 0x80000008:
    r.ebx = guest_word(EXTENDED_8_EBX);
    r.eax = 0x2020; /* 32 bits of physical and linear address */
    break;
  default:
    break;
  }
  return r;
}
