/* Structures of the socket calls as an i386 program lays them out: recv(2), send(2), cmsg(3), socket(7),
 * packet(7). Socket addresses have no pointers and no longs: they are the same on both sides. */
#ifndef UEMU_LINUX_ABI_SOCKET_H
#define UEMU_LINUX_ABI_SOCKET_H

#include "Linux/abi.h"

#include <stdint.h>

struct guest_msghdr {
  guest_addr msg_name;
  int32_t msg_namelen;
  guest_addr msg_iov;
  uint32_t msg_iovlen;
  guest_addr msg_control;
  uint32_t msg_controllen;
  uint32_t msg_flags;
};

struct guest_mmsghdr {
  struct guest_msghdr msg_hdr;
  uint32_t msg_len;
};

/* Data follows at once; the next header is at a multiple of four bytes. */
struct guest_cmsghdr {
  uint32_t cmsg_len; /* header and data, without padding */
  int32_t cmsg_level;
  int32_t cmsg_type;
};

/* SO_ATTACH_FILTER */
struct guest_sock_fprog {
  uint16_t len;
  uint16_t padding;
  guest_addr filter;
};

_Static_assert(sizeof(struct guest_msghdr) == 28, "");
_Static_assert(sizeof(struct guest_mmsghdr) == 32, "");
_Static_assert(sizeof(struct guest_cmsghdr) == 12, "");
_Static_assert(sizeof(struct guest_sock_fprog) == 8, "");

#endif
