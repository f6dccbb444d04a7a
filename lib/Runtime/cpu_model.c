/* Models of CPUs: one row a model, named as QEMU names them and with the features of theirs that are
 * implemented here (cpuid.c has the features). A feature is reported only if the host has it, too. */
#include "Runtime/cpu_model.h"
#include "Runtime/cpuid.h"

#include "Frontend/isa_features.h"

#include <stdio.h>
#include <string.h>

#define I486 "fpu "
#define PENTIUM I486 "tsc cx8 mmx "
#define PENTIUM2 PENTIUM "cmov fxsr "
#define PENTIUM3 PENTIUM2 "sse "
#define PENTIUM4 PENTIUM3 "sse2 clflush "
#define CONROE PENTIUM4 "pni ssse3 lahf_lm "
#define PENRYN CONROE "sse4.1 "
#define NEHALEM PENRYN "sse4.2 popcnt "
#define WESTMERE NEHALEM "aes pclmulqdq "
#define SANDY_BRIDGE WESTMERE "xsave osxsave avx xsaveopt rdtscp "
#define IVY_BRIDGE SANDY_BRIDGE "f16c rdrand erms "
#define HASWELL IVY_BRIDGE "fma movbe bmi1 avx2 bmi2 abm "
#define BROADWELL HASWELL "rdseed adx 3dnowprefetch "
#define SKYLAKE BROADWELL "xsavec xgetbv1 clflushopt "
#define AMD_COPIES "amd-fpu amd-tsc amd-cx8 amd-cmov amd-mmx amd-fxsr "
#define PHENOM PENTIUM4 AMD_COPIES "pni popcnt mmxext fxsr_opt rdtscp lahf_lm abm sse4a "
#define EPYC                                                                                                 \
  PHENOM "ssse3 sse4.1 sse4.2 aes pclmulqdq xsave osxsave avx f16c rdrand fma movbe bmi1 avx2 bmi2 "         \
         "rdseed adx clflushopt sha-ni xsaveopt xsavec xgetbv1 misalignsse 3dnowprefetch "

static const char intel[] = "GenuineIntel", amd[] = "AuthenticAMD";

const struct cpu_model cpu_models[] = {
    {"486", "", intel, 4, 8, 0, 1, 0, I486},
    {"pentium", "", intel, 5, 4, 3, 1, 0, PENTIUM},
    {"pentium2", "", intel, 6, 5, 2, 2, 0, PENTIUM2},
    {"pentium3", "", intel, 6, 7, 3, 3, 0, PENTIUM3},
    {"athlon", "QEMU Virtual CPU version 2.5+", amd, 6, 2, 3, 2, 0x80000008, PENTIUM3 "sse2 mmxext " AMD_COPIES},
    {"qemu32", "QEMU Virtual CPU version 2.5+", intel, 6, 6, 3, 4, 0x80000004, PENTIUM3 "sse2 pni "},
    {"kvm32", "Common 32-bit KVM processor", intel, 15, 6, 1, 5, 0x80000008, PENTIUM4 "pni "},
    {"coreduo", "Genuine Intel(R) CPU           T2600  @ 2.16GHz", intel, 6, 14, 8, 10, 0x80000008, PENTIUM4 "pni "},
    {"n270", "Intel(R) Atom(TM) CPU N270   @ 1.60GHz", intel, 6, 28, 2, 10, 0x80000008,
     PENTIUM4 "pni ssse3 movbe lahf_lm "},
    {"core2duo", "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz", intel, 6, 15, 11, 10, 0x80000008, CONROE},
    {"kvm64", "Common KVM processor", intel, 15, 6, 1, 13, 0x80000008, PENTIUM4 "pni "},
    {"qemu64", "QEMU Virtual CPU version 2.5+", amd, 15, 107, 1, 13, 0x8000000A, PENTIUM4 "pni lahf_lm "},
    {"phenom", "AMD Phenom(tm) 9550 Quad-Core Processor", amd, 16, 2, 3, 5, 0x8000001A, PHENOM},
    {"Conroe", "Intel Celeron_4x0 (Conroe/Merom Class Core 2)", intel, 6, 15, 3, 10, 0x80000008, CONROE},
    {"Penryn", "Intel Core 2 Duo P9xxx (Penryn Class Core 2)", intel, 6, 23, 3, 10, 0x80000008, PENRYN},
    {"Nehalem", "Intel Core i7 9xx (Nehalem Class Core i7)", intel, 6, 26, 3, 11, 0x80000008, NEHALEM},
    {"Westmere", "Westmere E56xx/L56xx/X56xx (Nehalem-C)", intel, 6, 44, 1, 11, 0x80000008, WESTMERE},
    {"SandyBridge", "Intel Xeon E312xx (Sandy Bridge)", intel, 6, 42, 1, 13, 0x80000008, SANDY_BRIDGE},
    {"IvyBridge", "Intel Xeon E3-12xx v2 (Ivy Bridge)", intel, 6, 58, 9, 13, 0x80000008, IVY_BRIDGE},
    {"Haswell", "Intel Core Processor (Haswell)", intel, 6, 60, 4, 13, 0x80000008, HASWELL},
    {"Broadwell", "Intel Core Processor (Broadwell)", intel, 6, 61, 2, 13, 0x80000008, BROADWELL},
    {"Skylake-Client", "Intel Core Processor (Skylake)", intel, 6, 94, 3, 13, 0x80000008, SKYLAKE},
    {"EPYC", "AMD EPYC Processor", amd, 23, 1, 2, 13, 0x8000001E, EPYC},
    {"base", "", intel, 0, 0, 0, 13, 0x80000008, ""},
    {"max", "all that the host has and that is implemented", NULL, 0, 0, 0, 0, 0, NULL},
    {"host", "the same", NULL, 0, 0, 0, 0, 0, NULL},
    {0},
};

static const struct cpu_model *chosen;

const struct cpu_model *cpu_model_chosen(void) { return chosen; }

/* --- Names ------------------------------------------------------------------------------------------------ */

/* Names are compared as QEMU does: - and _ are the same, and so is a dot. */
static bool same_name(const char *name, const char *word, size_t length) {
  for (size_t i = 0; i < length; i++) {
    const char a = name[i] == '_' || name[i] == '.' ? '-' : name[i];
    const char b = word[i] == '_' || word[i] == '.' ? '-' : word[i];
    if (a != b)
      return false;
  }
  return name[length] == '\0';
}

static int find_feature(const char *word, size_t length) {
  static const struct {
    const char *alias, *name;
  } aliases[] = {{"sse3", "pni"}, {"lzcnt", "abm"}, {"ffxsr", "fxsr_opt"}};
  for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
    if (same_name(aliases[i].alias, word, length)) {
      word = aliases[i].name;
      length = strlen(word);
    }
  for (unsigned i = 0; cpuid_feature_name(i); i++)
    if (same_name(cpuid_feature_name(i), word, length))
      return (int)i;
  return -1;
}

/* --- Choosing --------------------------------------------------------------------------------------------- */

static const struct cpu_model *find_model(const char *word, size_t length) {
  for (const struct cpu_model *model = cpu_models; model->name; model++)
    if (strlen(model->name) == length && strncmp(model->name, word, length) == 0)
      return model;
  return NULL;
}

static void use_model(const struct cpu_model *model) {
  chosen = model->vendor ? model : NULL;
  if (!chosen)
    return;
  for (unsigned i = 0; cpuid_feature_name(i); i++)
    cpuid_feature_set(i, false);
  for (const char *at = model->features; *at;) {
    const size_t length = strcspn(at, " ");
    const int feature = find_feature(at, length);
    if (feature >= 0)
      cpuid_feature_set((unsigned)feature, true);
    at += length + strspn(at + length, " ");
  }
}

/* One of +FEATURE, -FEATURE, FEATURE=on, FEATURE=off, FEATURE. */
static bool change_feature(const char *word, size_t length) {
  bool on = *word != '-';
  if (*word == '+' || *word == '-')
    word++, length--;
  const char *equals = memchr(word, '=', length);
  if (equals) {
    const size_t left = length - (size_t)(equals + 1 - word);
    on = left == 2 && strncmp(equals + 1, "on", 2) == 0;
    if (!on && (left != 3 || strncmp(equals + 1, "off", 3) != 0))
      return false;
    length = (size_t)(equals - word);
  }
  const int feature = find_feature(word, length);
  if (feature >= 0)
    cpuid_feature_set((unsigned)feature, on);
  return feature >= 0;
}

bool cpu_model_select(const char *specification, char *why, size_t size) {
  const char *at = specification;
  size_t length = strcspn(at, ",");
  const struct cpu_model *model = find_model(at, length);
  if (!model) {
    snprintf(why, size, "there is no CPU model '%.*s' (-cpu help lists them)", (int)length, at);
    return false;
  }
  use_model(model);
  for (at += length; *at == ','; at += length) {
    at++;
    length = strcspn(at, ",");
    if (!change_feature(at, length)) {
      snprintf(why, size, "there is no CPU feature '%.*s' (-cpu help lists them)", (int)length, at);
      return false;
    }
  }
  for (unsigned i = 0; cpuid_feature_name(i); i++)
    if (!cpuid_feature_is_set(i))
      isa_feature_exclude(cpuid_feature_name(i));
  if (chosen && chosen->family && chosen->family < 6)
    isa_feature_exclude("long-nop");
  return true;
}
