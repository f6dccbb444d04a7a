/* The ioctl requests whose data holds longs, pointers, or struct timeval. */
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/ioctl_table.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <linux/serial.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static int32_t call(uint32_t fd, uint32_t request, const void *argument) {
  return (int32_t)HOST_CALL(SYS_ioctl, fd, request, argument);
}

/* --- Network interfaces ---------------------------------------------------------------------- */

/* struct ifreq: 32 bytes, where the host's has 40 for the sake of struct ifmap's longs. */
struct guest_ifreq {
  char name[IFNAMSIZ];
  uint8_t data[16];
};
struct guest_ifmap {
  uint32_t start, end;
  uint16_t base;
  uint8_t irq, dma, port, pad[3];
};
_Static_assert(sizeof(struct guest_ifreq) == 32 && sizeof(struct guest_ifmap) == 16, "netdevice(7)");

int32_t ioctl_interface(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct ifreq host = {0};
  if (guest_copy_in(&host, argument, sizeof(struct guest_ifreq)) < 0)
    return -EFAULT;
  const int32_t result = call(fd, request, &host);
  if (result >= 0 && guest_copy_out(argument, &host, sizeof(struct guest_ifreq)) < 0)
    return -EFAULT;
  return result;
}

int32_t ioctl_interface_map(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct guest_ifreq guest;
  struct guest_ifmap map;
  if (guest_copy_in(&guest, argument, sizeof guest) < 0)
    return -EFAULT;
  memcpy(&map, guest.data, sizeof map);
  struct ifreq host = {.ifr_map = {map.start, map.end, map.base, map.irq, map.dma, map.port}};
  memcpy(host.ifr_name, guest.name, sizeof host.ifr_name);
  const int32_t result = call(fd, request, &host);
  if (result < 0 || request != SIOCGIFMAP)
    return result;
  map = (struct guest_ifmap){(uint32_t)host.ifr_map.mem_start,
                             (uint32_t)host.ifr_map.mem_end,
                             host.ifr_map.base_addr,
                             host.ifr_map.irq,
                             host.ifr_map.dma,
                             host.ifr_map.port,
                             {0}};
  memcpy(guest.data, &map, sizeof map);
  return guest_copy_out(argument, &guest, sizeof guest);
}

/* struct ifreq points to data. The commands of ethtool have one layout, but for those that classify received
 * packets (ETHTOOL_GRXCLSRULE …), which we refuse. */
int32_t ioctl_interface_pointer(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  enum { FIRST_CLASSIFIER = ETHTOOL_GRXFH, LAST_CLASSIFIER = ETHTOOL_SRXCLSRLINS };
  struct guest_ifreq guest;
  guest_addr data;
  uint32_t command;
  if (guest_copy_in(&guest, argument, sizeof guest) < 0)
    return -EFAULT;
  memcpy(&data, guest.data, sizeof data);
  if (guest_copy_in(&command, data, sizeof command) < 0)
    return -EFAULT;
  if (command == ETHTOOL_SRXFH || (command >= FIRST_CLASSIFIER && command <= LAST_CLASSIFIER))
    return -EOPNOTSUPP;
  struct ifreq host = {.ifr_data = guest_to_host(data)};
  memcpy(host.ifr_name, guest.name, sizeof host.ifr_name);
  guest_memory_write_begin(data, GUEST_PAGE_SIZE);
  return call(fd, request, &host);
}

/* struct rtentry */
struct guest_route {
  uint32_t pad1;
  struct sockaddr destination, gateway, mask;
  uint16_t flags;
  int16_t pad2;
  uint32_t pad3;
  uint8_t service, class;
  int16_t pad4, metric;
  guest_addr device; /* a name, or 0 */
  uint32_t mtu, window;
  uint16_t round_trip;
};
_Static_assert(sizeof(struct guest_route) == 84, "struct rtentry32");

int32_t ioctl_route(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct guest_route guest;
  if (guest_copy_in(&guest, argument, sizeof guest) < 0)
    return -EFAULT;
  struct rtentry host = {
      .rt_dst = guest.destination,
      .rt_gateway = guest.gateway,
      .rt_genmask = guest.mask,
      .rt_flags = guest.flags,
      .rt_metric = guest.metric,
      .rt_mtu = guest.mtu,
      .rt_window = guest.window,
      .rt_irtt = guest.round_trip,
      .rt_dev = guest_to_host(guest.device),
  };
  return call(fd, request, &host);
}

int32_t ioctl_interface_list(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct {
    int32_t length; /* bytes */
    guest_addr requests;
  } guest;
  if (guest_copy_in(&guest, argument, sizeof guest) < 0)
    return -EFAULT;
  if (guest.length < 0)
    return -EINVAL;

  /* Without a buffer the kernel says how long it should be. */
  int32_t count = guest.length / (int32_t)sizeof(struct guest_ifreq);
  enum { COUNT_LIMIT = 65536 };
  if (count > COUNT_LIMIT)
    count = COUNT_LIMIT;
  struct ifconf host = {.ifc_len = count * (int)sizeof(struct ifreq)};
  if (guest.requests) {
    host.ifc_req = calloc((size_t)count + 1, sizeof(struct ifreq));
    if (!host.ifc_req)
      return -ENOMEM;
  }
  int32_t result = call(fd, request, &host);
  const int found = host.ifc_len / (int)sizeof(struct ifreq);
  for (int i = 0; result >= 0 && guest.requests && i < found; i++)
    if (guest_copy_out(guest.requests + (uint32_t)i * (uint32_t)sizeof(struct guest_ifreq), &host.ifc_req[i],
                       sizeof(struct guest_ifreq)) < 0)
      result = -EFAULT;
  free(host.ifc_req);
  guest.length = found * (int32_t)sizeof(struct guest_ifreq);
  if (result >= 0 && guest_copy_out(argument, &guest, sizeof guest) < 0)
    return -EFAULT;
  return result;
}

/* --- Times of the last packet ---------------------------------------------------------------- */

int32_t ioctl_timeval(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct timeval host = {0};
  const int32_t result = call(fd, request, &host);
  if (result < 0)
    return result;
  const struct guest_timeval guest = {(int32_t)host.tv_sec, (int32_t)host.tv_usec};
  return guest_copy_out(argument, &guest, sizeof guest);
}

int32_t ioctl_timespec(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct timespec host = {0};
  const int32_t result = call(fd, request, &host);
  return result < 0 ? result : guest_timespec_out(argument, TIME32, &host);
}

/* --- Block devices --------------------------------------------------------------------------- */

/* An unsigned long comes back; sizes that 32 bits cannot hold are EFBIG. */
int32_t ioctl_unsigned_long(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  unsigned long host = 0;
  const int32_t result = call(fd, request, &host);
  if (result < 0)
    return result;
  if (host > UINT32_MAX)
    return -EFBIG;
  const uint32_t guest = (uint32_t)host;
  return guest_copy_out(argument, &guest, sizeof guest);
}

int32_t ioctl_disk_geometry(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct hd_geometry host = {0};
  const int32_t result = call(fd, request, &host);
  if (result < 0)
    return result;
  const struct {
    uint8_t heads, sectors;
    uint16_t cylinders;
    uint32_t start;
  } guest = {host.heads, host.sectors, host.cylinders, (uint32_t)host.start};
  return guest_copy_out(argument, &guest, sizeof guest);
}

/* --- Serial ports ---------------------------------------------------------------------------- */

struct guest_serial {
  int32_t type, line;
  uint32_t port;
  int32_t irq, flags, xmit_fifo_size, custom_divisor, baud_base;
  uint16_t close_delay;
  uint8_t io_type, reserved_char;
  int32_t hub6;
  uint16_t closing_wait, closing_wait2;
  uint32_t iomem_base;
  uint16_t iomem_reg_shift;
  uint32_t port_high;
  uint32_t reserved;
};
_Static_assert(sizeof(struct guest_serial) == 60, "struct serial_struct32");

int32_t ioctl_serial(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct guest_serial guest = {0};
  struct serial_struct host = {0};
  /* Up to iomem_base both structs are alike. */
  const size_t alike = offsetof(struct guest_serial, iomem_base);
  if (request == TIOCSSERIAL) {
    if (guest_copy_in(&guest, argument, sizeof guest) < 0)
      return -EFAULT;
    memcpy(&host, &guest, alike);
    host.iomem_base = guest_to_host(guest.iomem_base);
    host.iomem_reg_shift = guest.iomem_reg_shift;
    host.port_high = guest.port_high;
    return call(fd, request, &host);
  }
  const int32_t result = call(fd, request, &host);
  if (result < 0)
    return result;
  memcpy(&guest, &host, alike);
  guest.iomem_base = (uintptr_t)host.iomem_base >> 32 ? UINT32_MAX : (uint32_t)(uintptr_t)host.iomem_base;
  guest.iomem_reg_shift = host.iomem_reg_shift;
  guest.port_high = (uint32_t)host.port_high;
  return guest_copy_out(argument, &guest, sizeof guest);
}

/* --- Arrays behind a header: one layout, but a length that the header says ----------------------- */

static int32_t call_with_array(uint32_t fd, uint32_t request, guest_addr argument, uint64_t length) {
  const uint64_t room = (UINT64_C(1) << 32) - argument;
  guest_memory_write_begin(argument, (uint32_t)(length < room ? length : room - 1));
  return (int32_t)HOST_CALL(SYS_ioctl, fd, request, argument);
}

int32_t ioctl_extents(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct fiemap header;
  if (guest_copy_in(&header, argument, sizeof header) < 0)
    return -EFAULT;
  return call_with_array(fd, request, argument,
                         sizeof header + (uint64_t)header.fm_extent_count * sizeof(struct fiemap_extent));
}

int32_t ioctl_dedupe(struct thread *thread, uint32_t fd, uint32_t request, uint32_t argument) {
  (void)thread;
  struct file_dedupe_range header;
  if (guest_copy_in(&header, argument, sizeof header) < 0)
    return -EFAULT;
  return call_with_array(fd, request, argument,
                         sizeof header + (uint64_t)header.dest_count * sizeof(struct file_dedupe_range_info));
}
