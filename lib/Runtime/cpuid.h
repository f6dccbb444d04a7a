/* What the guest's cpuid instruction reports: exactly what is implemented, as far as the host has
 * it (SDM vol. 2, CPUID). */
#ifndef UEMU_RUNTIME_CPUID_H
#define UEMU_RUNTIME_CPUID_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid_result {
  uint32_t eax, ebx, ecx, edx;
};

/* The features that are implemented, by number: QEMU's name, NULL beyond the last. All are on at first; one that is
 * off is not reported. Reported are those that are on, that the host has, and whose state xsave handles. */
const char *cpuid_feature_name(unsigned feature);
void cpuid_feature_set(unsigned feature, bool on);
/* Is it on, and its state handled? */
bool cpuid_feature_is_set(unsigned feature);

struct cpuid_result guest_cpuid(uint32_t leaf, uint32_t subleaf);

/* XCR0 as the guest sees it: the state components (XSTATE_* of fpu.h) that xsave handles; 0 without xsave. */
uint64_t guest_xcr0(void);
/* What the host's kernel has switched on of them. */
uint64_t host_xcr0(void);

#endif
