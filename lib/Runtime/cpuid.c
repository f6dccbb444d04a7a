/* The guest's CPUID: the host's identity and caches, and of its features those that the lifter
 * implements and a 32-bit user program can use. */
#include "Runtime/cpuid.h"

#include <cpuid.h>
#include <stddef.h>

/* Leaf 1, EDX. No SYSENTER: system calls are int 0x80. */
enum {
  LEAF1_EDX = 1u << 0 /* FPU */ | 1u << 4 /* TSC */ | 1u << 8 /* CX8 */ | 1u << 15 /* CMOV */ | 1u << 19 /* CLFSH */ |
              1u << 23 /* MMX */ | 1u << 24 /* FXSR */ | 1u << 25 /* SSE */ | 1u << 26 /* SSE2 */,
  LEAF1_ECX = 1u << 0 /* SSE3 */ | 1u << 1 /* PCLMULQDQ */ | 1u << 9 /* SSSE3 */ | 1u << 19 /* SSE4.1 */ |
              1u << 20 /* SSE4.2 */ | 1u << 23 /* POPCNT */ | 1u << 25 /* AES */,
  EXTENDED1_ECX = 1u << 0, /* LAHF */
};

static struct cpuid_result host(uint32_t leaf, uint32_t subleaf) {
  struct cpuid_result r = {0};
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

struct cpuid_result guest_cpuid(uint32_t leaf, uint32_t subleaf) {
  struct cpuid_result r = {0};
  switch (leaf) {
  case 0: /* highest leaf, vendor */
    r = host(0, 0);
    r.eax = 7;
    break;
  case 1: /* family, features */
    r = host(1, 0);
    r.ebx = (r.ebx & 0x0000FF00) | 1 << 16; /* clflush line; one logical CPU */
    r.ecx &= LEAF1_ECX;
    r.edx &= LEAF1_EDX;
    break;
  case 2: /* caches */
    r = host(2, 0);
    break;
  case 4:
    r = host(4, subleaf);
    break;
  case 0x80000000:
    r = host(leaf, 0);
    r.eax = 0x80000008;
    break;
  case 0x80000001:
    r.eax = host(leaf, 0).eax;
    r.ecx = EXTENDED1_ECX;
    break;
  case 0x80000002: /* name */
  case 0x80000003:
  case 0x80000004:
  case 0x80000005: /* caches, as AMD says them */
  case 0x80000006:
    r = host(leaf, 0);
    break;
  case 0x80000008:
    r.eax = 0x2020; /* 32 bits of physical and linear address */
    break;
  default:
    break;
  }
  return r;
}
