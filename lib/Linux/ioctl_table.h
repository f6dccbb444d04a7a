/* Which ioctl(2) requests are passed on, and how. */
#ifndef UEMU_LINUX_IOCTL_TABLE_H
#define UEMU_LINUX_IOCTL_TABLE_H

#include "Linux/process.h"

typedef int32_t ioctl_function(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument);

struct ioctl_row {
  uint32_t request;      /* as the guest says it */
  uint32_t host_request; /* as the host does; 0: the same */
  uint16_t written;      /* bytes that the kernel writes at the argument; 0: none, or as the request says */
  ioctl_function *function; /* for those whose data has another layout; NULL: the argument goes as it is */
};

/* NULL: not known. */
const struct ioctl_row *ioctl_find(uint32_t request);

/* One for all requests of a kind (ioctl_convert.c). */
ioctl_function ioctl_interface, ioctl_interface_map, ioctl_interface_pointer, ioctl_interface_list,
    ioctl_route;
ioctl_function ioctl_timeval, ioctl_timespec, ioctl_unsigned_long, ioctl_disk_geometry, ioctl_serial;
ioctl_function ioctl_extents, ioctl_dedupe;

#endif
