/* What people call a guest address: the function of the program or library that is mapped there.
 *
 * Which file is mapped where is the host kernel's to say (/proc/self/maps); it is asked, and files are read,
 * when a name is first wanted and after more code was mapped. Any thread may ask. */
#ifndef UEMU_OBSERVE_GUEST_NAMES_H
#define UEMU_OBSERVE_GUEST_NAMES_H

#include "Runtime/cpu_state.h"

#include <stddef.h>

struct guest_name {
  const char *function; /* NULL: not known */
  const char *file;     /* its last component, "[vdso]"; NULL: no file's */
  guest_addr start;     /* of the function; else where address 0 of the file lies; else 0 */
};

/* The guest's vDSO lies at `vdso`; 0 if there is none. */
void guest_names_set_vdso(guest_addr vdso);

/* In the child of a fork: whoever was asking is not there. */
void guest_names_forked(void);

/* The strings stay. */
struct guest_name guest_name_of(guest_addr address);

/* "memcpy+0x1c", "libc.so.6+0x1b2c0", "0x5655a000" */
void guest_name_format(const struct guest_name *name, guest_addr address, char *text, size_t size);

#endif
