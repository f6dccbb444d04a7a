/* What the guest's cpuid instruction reports: exactly what is implemented, as far as the host has
 * it (SDM vol. 2, CPUID). */
#ifndef UEMU_RUNTIME_CPUID_H
#define UEMU_RUNTIME_CPUID_H

#include <stdint.h>

struct cpuid_result {
  uint32_t eax, ebx, ecx, edx;
};

struct cpuid_result guest_cpuid(uint32_t leaf, uint32_t subleaf);

/* XCR0 as the guest sees it: the state components (XSTATE_* of fpu.h) that xsave handles; 0 without xsave. */
uint64_t guest_xcr0(void);
/* What the host's kernel has switched on of them. */
uint64_t host_xcr0(void);

#endif
