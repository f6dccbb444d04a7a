/* What the abi_*.h headers share. They describe the i386 ABI with types of fixed width, so that they mean
 * the same to the host's compiler and to one for i386, which checks them against the system's headers
 * (test/Linux/abi_layout.c). */
#ifndef UEMU_LINUX_ABI_H
#define UEMU_LINUX_ABI_H

#include <stdint.h>

typedef uint32_t guest_addr; /* as in Runtime/cpu_state.h, which is for hosts only */

#endif
