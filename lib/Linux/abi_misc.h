/* Structures of uname(2), sysinfo(2), keyctl(2) and io_submit(2) on i386. */
#ifndef UEMU_LINUX_ABI_MISC_H
#define UEMU_LINUX_ABI_MISC_H

#include "Linux/abi.h"

/* uname(2); the two older calls have no domain name, and the oldest short fields. */
struct guest_utsname {
  char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65];
};

struct guest_utsname_oldest {
  char sysname[9], nodename[9], release[9], version[9], machine[9];
};

struct guest_sysinfo {
  int32_t uptime;
  uint32_t loads[3];
  uint32_t totalram, freeram, sharedram, bufferram, totalswap, freeswap;
  uint16_t procs, padding;
  uint32_t totalhigh, freehigh;
  uint32_t mem_unit; /* bytes */
  char reserved[8];
};

/* KEYCTL_DH_COMPUTE's last argument */
struct guest_keyctl_kdf_params {
  guest_addr hashname, otherinfo;
  uint32_t otherinfolen;
  uint32_t reserved[8];
};

/* io_pgetevents(2)'s last argument */
struct guest_aio_sigset {
  guest_addr sigmask;
  uint32_t sigsetsize;
};

_Static_assert(sizeof(struct guest_utsname) == 390, "");
_Static_assert(sizeof(struct guest_utsname_oldest) == 45, "");
_Static_assert(sizeof(struct guest_sysinfo) == 64, "");
_Static_assert(sizeof(struct guest_keyctl_kdf_params) == 44, "");

#endif
